//! The bytes of one report. A regular file is read directly. Data from a gzip file or a pipe is written to a
//! temporary file, so that it can be read from its end and more than once.
//!
//! Other users may write to the directory of the reports, and other pipelines use the disk of the state directory. So
//! the temporary file is limited: by `max_unpacked_bytes`, by the compression ratio, and by a reserve of free space.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, show_size};
use scanbridge_qualys_report::{Source, temporary_file};
use scanbridge_qualys_xml::Kind;

use crate::fingerprint::Stamp;
use crate::free_space::{Failed, FreeSpace};
use crate::paths::{reason, with_help};
use crate::pipe::CancellableReader;

/// Opens sources and applies their limits.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) services: Services,
    max_unpacked_bytes: u64,
    /// Files for which the disk had too little free space.
    too_large: RefCell<HashMap<PathBuf, TooLarge>>,
}

/// A failed attempt to write a temporary file for a source.
#[derive(Debug)]
struct TooLarge {
    stamp: Option<Stamp>,
    /// Free space before the attempt, in bytes.
    free: u64,
    error: PluginError,
}

/// A source, and its fingerprint.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) source: Source,
    /// Fingerprint of the bytes as stored, compressed or not.
    pub(crate) fingerprint: String,
    /// Whether the bytes are in a file: false for a pipe.
    pub(crate) is_file: bool,
}

impl Opener {
    /// Limits temporary files to this many bytes.
    pub(crate) fn new(services: &Services, max_unpacked_bytes: u64) -> Self {
        Self { services: services.clone(), max_unpacked_bytes, too_large: RefCell::default() }
    }

    /// Opens a file by its path. A file for which the disk had too little space is not read again until it changes or
    /// more space is free.
    pub(crate) fn open(&self, path: &Path) -> Result<Opened> {
        let stamp = Stamp::of(path);
        if let Some(failed) = self.too_large.borrow().get(path)
            && failed.stamp == stamp
            && !FreeSpace::of(self.services.state_folder()?)?.has_grown_since(failed.free)
        {
            return Err(failed.error.clone());
        }
        let opened = self.open_now(path);
        let mut too_large = self.too_large.borrow_mut();
        match &opened {
            Err(Failed::DiskFull { free, error }) => {
                too_large.insert(path.to_owned(), TooLarge { stamp, free: *free, error: error.clone() });
            }
            _ => _ = too_large.remove(path),
        }
        opened.map_err(Failed::into_error)
    }

    fn open_now(&self, path: &Path) -> Result<Opened, Failed> {
        let name = path.display().to_string();
        let metadata = fs::metadata(path).map_err(|error| cannot_open(path, &error))?;
        if metadata.is_file() || metadata.is_dir() {
            let (file, metadata) = open_file(path)?;
            return self.opened(Source::new(file, metadata.len()), metadata.modified().ok(), &name);
        }
        // A device may have no end.
        if !metadata.file_type().is_fifo() {
            let error = io::Error::other("neither a regular file nor a pipe");
            return Err(cannot_open(path, &error).into());
        }
        let path = path.to_owned();
        self.copy(move || File::open(path), &name)
    }

    /// The format of a file and its length on disk. Decompresses only the beginning, and does not wait for a writer.
    pub(crate) fn peek(path: &Path) -> Result<(Kind, u64)> {
        let no_input = |error: io::Error| cannot_open(path, &error);
        if !fs::metadata(path).map_err(no_input)?.is_file() {
            return Err(no_input(io::Error::other(
                "not a regular file (pipe or device); it cannot be read again",
            )));
        }
        let (file, metadata) = open_file(path)?;
        let source = Source::new(file, metadata.len());
        let mut head = source.head(Kind::WINDOW).map_err(no_input)?;
        if head.starts_with(GZIP) {
            let mut decompressed = Vec::new();
            // The compressed data is truncated here, which is expected.
            let _ = MultiGzDecoder::new(&head[..]).take(Kind::WINDOW as u64).read_to_end(&mut decompressed);
            head = decompressed;
        }
        Ok((Kind::of(&head), metadata.len()))
    }

    /// Reads standard input to its end.
    pub(crate) fn standard_input(&self) -> Result<Opened> {
        self.copy(|| Ok(io::stdin()), "standard input").map_err(Failed::into_error)
    }

    fn copy<R: Read>(
        &self,
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        name: &str,
    ) -> Result<Opened, Failed> {
        let from = CancellableReader::new(&self.services, open).map_err(|error| failed(name, &error))?;
        let copy = self.spool(from, name, None)?;
        self.opened(copy, None, name)
    }

    fn opened(&self, source: Source, modified: Option<SystemTime>, name: &str) -> Result<Opened, Failed> {
        let fingerprint = source.fingerprint(modified).map_err(|error| failed(name, &error))?;
        Ok(Opened { source: self.decompress(source, name)?, fingerprint, is_file: modified.is_some() })
    }

    /// Returns the decompressed bytes of a gzip file, detected by its first bytes; other files are returned
    /// unchanged.
    fn decompress(&self, source: Source, name: &str) -> Result<Source, Failed> {
        if source.head(2).map_err(|error| failed(name, &error))? != GZIP {
            return Ok(source);
        }
        let compressed = io::BufReader::with_capacity(64 << 10, source.read(None));
        self.spool(MultiGzDecoder::new(compressed), name, Some(source.length))
    }

    /// Writes all bytes to a temporary file. `compressed`: the number of bytes from which they are decompressed.
    fn spool(&self, mut from: impl Read, name: &str, compressed: Option<u64>) -> Result<Source, Failed> {
        let space = FreeSpace::of(self.services.state_folder()?)?;
        let by_ratio = compressed.map(|bytes| bytes.saturating_mul(MAX_RATIO).max(UNLIMITED_RATIO_BYTES));
        let mut file = temporary_file(&self.services)?;
        let mut block = vec![0; 256 << 10];
        let mut length = 0_u64;
        let is_truncated = loop {
            let read = from.read(&mut block);
            if self.services.is_cancelled() {
                return Err(PluginError::cancelled().into());
            }
            let read = match read {
                Ok(0) => break false,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Only the gzip decoder reports this; plain data ends without an error.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break true,
                Err(error) => return Err(unreadable(name, &error).into()),
            };
            length += read as u64;
            if length > self.max_unpacked_bytes {
                let limit = show_size(self.max_unpacked_bytes);
                let error = PluginError::bad_data(format!("{name} exceeds {limit} after decompression"));
                return Err(error.with_hint("increase `max_unpacked_bytes` if this size is expected").into());
            }
            if by_ratio.is_some_and(|limit| length > limit) {
                let message = format!("{name} decompresses to more than {MAX_RATIO} times its size");
                let hint = "a report does not compress that well; if the file is valid, decompress it first";
                return Err(PluginError::bad_data(message).with_hint(hint).into());
            }
            if !space.has_room_for(read as u64, &file)? {
                let reserve = show_size(space.reserve());
                return Err(space.disk_full(format!(
                    "not enough disk space for a temporary file for {name}: {reserve} must remain free in the \
                     state directory"
                )));
            }
            file.write_all(&block[..read]).map_err(|error| {
                let message = format!("cannot write a temporary file for {name}: {error}");
                match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => space.disk_full(message),
                    _ => PluginError::new(ErrorKind::Io, message).into(),
                }
            })?;
        };
        let mut source = Source::new(file, length);
        source.is_truncated = is_truncated;
        Ok(source)
    }
}

const GZIP: &[u8] = b"\x1F\x8B";

/// Maximum decompressed bytes per compressed byte. Reports compress to a tenth or a fiftieth of their size, and gzip
/// reaches at most 1032.
const MAX_RATIO: u64 = 200;

/// Up to this size, the ratio is not checked: a short report may consist of one repeated text.
const UNLIMITED_RATIO_BYTES: u64 = 16 << 20;

fn open_file(path: &Path) -> Result<(File, fs::Metadata)> {
    let no_input = |error: io::Error| cannot_open(path, &error);
    let file = File::open(path).map_err(no_input)?;
    let metadata = file.metadata().map_err(no_input)?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "is a directory" } else { "not a regular file" };
        return Err(no_input(io::Error::other(what)));
    }
    Ok((file, metadata))
}

fn cannot_open(path: &Path, error: &io::Error) -> PluginError {
    let message = format!("cannot open {}: {}", path.display(), reason(error));
    with_help(PluginError::new(ErrorKind::NoInput, message), &path.to_string_lossy(), error)
}

/// The error for a failed decompression or copy. The decoder reports corrupt data as invalid.
fn unreadable(name: &str, error: &io::Error) -> PluginError {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            PluginError::bad_data(format!("invalid gzip data in {name}: {error}"))
                .with_hint("download the report again")
        }
        _ => failed(name, error),
    }
}

fn failed(name: &str, error: &io::Error) -> PluginError {
    PluginError::new(ErrorKind::Io, format!("cannot read {name}: {error}"))
}
