//! The bytes of one report in a file that can be looked at from its end and read more than once.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use scanbridge_plugin_api::Services;
use scanbridge_qualys_xml::Kind;
use scanbridge_qualys_xml::tail::{self, Ending};

/// A report's bytes, which can be read from the beginning as often as needed.
#[derive(Debug, Clone)]
pub struct Source {
    file: Arc<File>,
    /// How many bytes belong to it: what a writer adds later is not read.
    pub length: u64,
    /// A gzip file that ends in the middle: what could be unpacked is there.
    pub is_cut: bool,
}

impl Source {
    /// A file of which this many bytes belong to the report.
    #[must_use]
    pub fn whole(file: File, length: u64) -> Self {
        Self { file: Arc::new(file), length, is_cut: false }
    }

    /// Reads from the beginning. With a watch, reading tells the host how far it is and fails once the host
    /// wants to stop.
    #[must_use]
    pub fn read(&self, watch: Option<Watch>) -> SourceReader {
        SourceReader { file: Arc::clone(&self.file), position: 0, end: self.length, watch, unwatched: 0 }
    }

    /// What it is, judged by its first bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn kind(&self) -> io::Result<Kind> {
        Ok(Kind::of(&self.head(Kind::WINDOW)?))
    }

    /// How it ends, judged by its last bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn ending(&self, root: &str) -> io::Result<Ending> {
        let bytes = self.tail(tail::WINDOW)?;
        Ok(Ending::of(&bytes, root, bytes.len() as u64 == self.length))
    }

    /// Its last bytes, at most so many.
    ///
    /// # Errors
    /// When the file cannot be read, or has become shorter.
    pub fn tail(&self, most: usize) -> io::Result<Vec<u8>> {
        let length = self.length.min(most as u64);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(most)];
        self.file.read_exact_at(&mut bytes, self.length - length)?;
        Ok(bytes)
    }

    /// Its first bytes, at most so many.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn head(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read(None).take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The progress that the host gets while a source is read.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The host.
    pub services: Services,
    /// Bytes of earlier passes.
    pub done: u64,
    /// Bytes of all passes.
    pub total: u64,
}

/// Reads a [`Source`] from its beginning. Several readers of one source do not disturb each other.
#[derive(Debug)]
pub struct SourceReader {
    file: Arc<File>,
    position: u64,
    end: u64,
    watch: Option<Watch>,
    unwatched: usize,
}

/// Progress is reported and cancellation checked once per this number of bytes: often enough for a slow disk.
const WATCH_BYTES: usize = 1 << 20;

impl Read for SourceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let most = into.len().min(left);
        let read = self.file.read_at(&mut into[..most], self.position)?;
        self.position += read as u64;
        self.unwatched += read;
        if let Some(watch) = &self.watch
            && (self.unwatched >= WATCH_BYTES || read == 0)
        {
            self.unwatched = 0;
            watch.services.progress(watch.done + self.position, Some(watch.total).filter(|total| *total > 0));
            if watch.services.is_cancelled() {
                return Err(io::Error::other("the run was interrupted"));
            }
        }
        Ok(read)
    }
}
