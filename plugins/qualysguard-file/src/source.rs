//! The bytes of one report. A regular file is read directly. Data from a gzip file or a pipe is written to a
//! temporary file, so that it can be read from its end and more than once.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, show_size};
use scanbridge_qualys_report::{Source, temporary_file};
use scanbridge_qualys_xml::Kind;

use crate::paths::reason;
use crate::pipe::CancellableReader;

/// Opens sources and applies their limits.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    pub(crate) services: Services,
    pub(crate) max_unpacked_bytes: u64,
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
    /// Opens a file by its path.
    pub(crate) fn open(&self, path: &Path) -> Result<Opened> {
        let name = path.display().to_string();
        let metadata = fs::metadata(path).map_err(|error| cannot_open(path, &error))?;
        if metadata.is_file() || metadata.is_dir() {
            let (file, metadata) = open_file(path)?;
            return self.opened(Source::new(file, metadata.len()), metadata.modified().ok(), &name);
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
        self.copy(|| Ok(io::stdin()), "standard input")
    }

    fn copy<R: Read>(
        &self,
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        name: &str,
    ) -> Result<Opened> {
        let from = CancellableReader::new(&self.services, open).map_err(|error| failed(name, &error))?;
        let copy = self.spool(from, name)?;
        self.opened(copy, None, name)
    }

    fn opened(&self, source: Source, modified: Option<SystemTime>, name: &str) -> Result<Opened> {
        let fingerprint = source.fingerprint(modified).map_err(|error| failed(name, &error))?;
        Ok(Opened { source: self.decompress(source, name)?, fingerprint, is_file: modified.is_some() })
    }

    /// Returns the decompressed bytes of a gzip file, detected by its first bytes; other files are returned
    /// unchanged.
    fn decompress(&self, source: Source, name: &str) -> Result<Source> {
        if source.head(2).map_err(|error| failed(name, &error))? != GZIP {
            return Ok(source);
        }
        let compressed = io::BufReader::with_capacity(64 << 10, source.read(None));
        self.spool(MultiGzDecoder::new(compressed), name)
    }

    /// Writes all bytes to a temporary file.
    fn spool(&self, mut from: impl Read, name: &str) -> Result<Source> {
        let mut file = temporary_file(&self.services)?;
        let mut block = vec![0; 256 << 10];
        let mut length = 0_u64;
        let is_truncated = loop {
            let read = from.read(&mut block);
            if self.services.is_cancelled() {
                return Err(PluginError::cancelled());
            }
            let read = match read {
                Ok(0) => break false,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Only the gzip decoder reports this; plain data ends without an error.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break true,
                Err(error) => return Err(unreadable(name, &error)),
            };
            length += read as u64;
            if length > self.max_unpacked_bytes {
                let limit = show_size(self.max_unpacked_bytes);
                return Err(PluginError::bad_data(format!("{name} exceeds {limit} after decompression"))
                    .with_hint("increase `max_unpacked_bytes` if this size is expected"));
            }
            file.write_all(&block[..read]).map_err(|error| {
                PluginError::new(ErrorKind::Io, format!("cannot write a temporary file for {name}: {error}"))
            })?;
        };
        let mut source = Source::new(file, length);
        source.is_truncated = is_truncated;
        Ok(source)
    }
}

const GZIP: &[u8] = b"\x1F\x8B";

fn open_file(path: &Path) -> Result<(File, fs::Metadata)> {
    let no_input = |error: io::Error| cannot_open(path, &error);
    let file = File::open(path).map_err(no_input)?;
    let metadata = file.metadata().map_err(no_input)?;
    if metadata.is_dir() {
        return Err(no_input(io::Error::other("is a directory")));
    }
    Ok((file, metadata))
}

fn cannot_open(path: &Path, error: &io::Error) -> PluginError {
    PluginError::new(ErrorKind::NoInput, format!("cannot open {}: {}", path.display(), reason(error)))
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
