//! Writes response bodies to files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use flate2::write::MultiGzDecoder;
use scanbridge_http_route::Cause;
use scanbridge_plugin_api::{ErrorKind, PluginError, Services, show_size};
use scanbridge_qualys_report::{Source, temporary_file};

/// The file for a response body.
#[derive(Debug, Clone)]
pub(crate) enum Keep {
    /// An unnamed temporary file, which disappears when the process ends.
    Unnamed,
    /// This file in the state directory, readable only by its owner.
    At(PathBuf),
}

/// A complete body.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) source: Source,
}

/// Writes the chunks of a body, decompressed.
pub(super) struct Writer {
    sink: Sink,
}

enum Sink {
    Plain(Box<Counted>),
    Gzip(Box<MultiGzDecoder<Counted>>),
}

struct Counted {
    file: File,
    length: u64,
    limit: u64,
    /// True if a write failed because of the size limit.
    too_large: bool,
}

impl Writer {
    pub(super) fn new(keep: &Keep, services: &Services, limit: u64, gzip: bool) -> Result<Self, Cause> {
        let file = match keep {
            Keep::Unnamed => temporary_file(services),
            Keep::At(path) => create(path),
        };
        let file = file.map_err(|error| Cause::Disk(Box::new(error)))?;
        let counted = Counted { file, length: 0, limit, too_large: false };
        let sink = if gzip {
            Sink::Gzip(Box::new(MultiGzDecoder::new(counted)))
        } else {
            Sink::Plain(Box::new(counted))
        };
        Ok(Self { sink })
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), Cause> {
        let written = match &mut self.sink {
            Sink::Plain(counted) => counted.write_all(piece),
            Sink::Gzip(decoder) => decoder.write_all(piece),
        };
        written.map_err(|error| self.cause(&error))
    }

    /// Number of bytes written so far.
    pub(super) fn length(&self) -> u64 {
        self.counted().length
    }

    pub(super) fn finish(mut self) -> Result<Body, Cause> {
        if let Sink::Gzip(decoder) = &mut self.sink {
            let ended = decoder.try_finish();
            ended.map_err(|error| self.cause(&error))?;
        }
        let counted = match self.sink {
            Sink::Plain(counted) => counted,
            Sink::Gzip(decoder) => {
                Box::new(decoder.finish().map_err(|error| Cause::InvalidGzip(error.to_string()))?)
            }
        };
        Ok(Body { source: Source::new(counted.file, counted.length) })
    }

    fn counted(&self) -> &Counted {
        match &self.sink {
            Sink::Plain(counted) => counted,
            Sink::Gzip(decoder) => decoder.get_ref(),
        }
    }

    fn cause(&self, error: &io::Error) -> Cause {
        if self.counted().too_large {
            return Cause::TooLarge(show_size(self.counted().limit));
        }
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                Cause::InvalidGzip(error.to_string())
            }
            _ => Cause::Disk(Box::new(PluginError::new(
                ErrorKind::Io,
                format!("cannot write the download to the state directory: {error}"),
            ))),
        }
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.length + bytes.len() as u64 > self.limit {
            self.too_large = true;
            return Err(io::Error::other("too large"));
        }
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn create(path: &PathBuf) -> Result<File, PluginError> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| {
        PluginError::new(ErrorKind::CannotCreate, format!("cannot create {}: {error}", path.display()))
    })
}
