//! Sources and spools in memory, for tests and fuzz targets.

use std::io::{self, Read};

use crate::Spool;

/// A spool in memory.
#[derive(Debug, Default)]
pub struct MemorySpool(Vec<u8>);

impl Spool for MemorySpool {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// # Panics
    /// If the range was not appended.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).expect("offsets come from `append`");
        into.copy_from_slice(&self.0[from..from + into.len()]);
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.0.clear();
        Ok(())
    }
}

/// Returns bytes in pieces of these lengths, in rotation.
#[derive(Debug)]
pub struct Pieces<'a> {
    rest: &'a [u8],
    lengths: &'a [usize],
    next: usize,
}

impl<'a> Pieces<'a> {
    /// The bytes, and the lengths of the pieces; there must be at least one, and none of 0 bytes.
    #[must_use]
    pub fn new(rest: &'a [u8], lengths: &'a [usize]) -> Self {
        Self { rest, lengths, next: 0 }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.next = (self.next + 1) % self.lengths.len();
        let length = self.lengths[self.next].min(into.len());
        self.rest.read(&mut into[..length])
    }
}
