//! The bytes of one report, in a file that can be read from its end and more than once.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use scanbridge_plugin_api::Services;
use scanbridge_qualys_xml::tail::{self, Ending};
use scanbridge_qualys_xml::{Kind, Mark};
use xxhash_rust::xxh3::Xxh3;

/// A report's bytes, which can be read from any offset and repeatedly.
#[derive(Debug, Clone)]
pub struct Source {
    file: Arc<File>,
    /// Number of bytes of the report. Bytes that a writer appends later are not read.
    pub length: u64,
    /// Whether the source is a truncated gzip file. It then contains the decompressed part.
    pub is_truncated: bool,
}

impl Source {
    /// The first `length` bytes of a file.
    #[must_use]
    pub fn new(file: File, length: u64) -> Self {
        Self { file: Arc::new(file), length, is_truncated: false }
    }

    /// Reads from the beginning. With a watch, reading reports progress to the host and fails once the run is
    /// cancelled.
    #[must_use]
    pub fn read(&self, watch: Option<Watch>) -> SourceReader {
        self.read_from(0, watch)
    }

    /// As [`Source::read`], from an offset in bytes.
    #[must_use]
    pub fn read_from(&self, offset: u64, watch: Option<Watch>) -> SourceReader {
        SourceReader {
            file: Arc::clone(&self.file),
            position: offset.min(self.length),
            end: self.length,
            watch,
            since_progress: 0,
        }
    }

    /// Whether a reader can resume at `mark`: the bytes before it are still the end of an asset. False if the file
    /// cannot be read.
    #[must_use]
    pub fn has_mark(&self, kind: &Kind, mark: &Mark) -> bool {
        let mut before = [0; Mark::WINDOW];
        let length = Mark::WINDOW.min(usize::try_from(mark.offset).unwrap_or(usize::MAX));
        let before = &mut before[..length];
        mark.offset <= self.length
            && self.file.read_exact_at(before, mark.offset - length as u64).is_ok()
            && Mark::is_after_asset(kind, before)
    }

    /// Identifies the content: length, modification time, and a hash of the first and last bytes. The hash is needed
    /// because times are coarse and some tools set them. Data from a pipe has no modification time.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn fingerprint(&self, modified: Option<SystemTime>) -> io::Result<String> {
        let mut hash = Xxh3::new();
        hash.update(&self.head(HASHED_BYTES)?);
        hash.update(&self.tail(HASHED_BYTES)?);
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        Ok(format!("{}-{}-{:032x}", self.length, since.as_nanos(), hash.digest128()))
    }

    /// The format, determined by the first bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn kind(&self) -> io::Result<Kind> {
        Ok(Kind::of(&self.head(Kind::WINDOW)?))
    }

    /// The ending, determined by the last bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn ending(&self, root: &str) -> io::Result<Ending> {
        let bytes = self.tail(tail::WINDOW)?;
        Ok(Ending::of(&bytes, root, bytes.len() as u64 == self.length))
    }

    /// The last bytes, at most `max`.
    ///
    /// # Errors
    /// When the file cannot be read, or has become shorter.
    pub fn tail(&self, max: usize) -> io::Result<Vec<u8>> {
        let length = self.length.min(max as u64);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(max)];
        self.file.read_exact_at(&mut bytes, self.length - length)?;
        Ok(bytes)
    }

    /// The first bytes, at most `max`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn head(&self, max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read(None).take(max as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reports the progress of reading a source to the host.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The host.
    pub services: Services,
    /// Bytes read by earlier passes.
    pub done: u64,
    /// Bytes of all passes.
    pub total: u64,
}

/// Reads a [`Source`] from an offset. Readers of one source are independent.
#[derive(Debug)]
pub struct SourceReader {
    file: Arc<File>,
    position: u64,
    end: u64,
    watch: Option<Watch>,
    since_progress: usize,
}

/// Number of bytes hashed at each end.
const HASHED_BYTES: usize = 64 << 10;

/// Progress is reported and cancellation checked after each block of this size, small enough for a slow disk.
const WATCH_BYTES: usize = 1 << 20;

impl Read for SourceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let remaining = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let max = into.len().min(remaining);
        let read = self.file.read_at(&mut into[..max], self.position)?;
        self.position += read as u64;
        self.since_progress += read;
        if let Some(watch) = &self.watch
            && (self.since_progress >= WATCH_BYTES || read == 0)
        {
            self.since_progress = 0;
            watch.services.progress(watch.done + self.position, Some(watch.total).filter(|total| *total > 0));
            if watch.services.is_cancelled() {
                return Err(io::Error::other("the run was interrupted"));
            }
        }
        Ok(read)
    }
}
