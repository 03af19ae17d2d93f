//! Standard output, devices and pipes: written directly, because there is no final name to publish.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use scanbridge_plugin_api::{PluginError, Result};

use crate::failure::{cannot_create, cannot_write};

/// A destination that stays open for the whole run: the reader of a pipe would treat a close as the end of the
/// output.
#[derive(Debug)]
pub(crate) struct Direct {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

/// Whether this path is written directly.
pub(crate) fn is_direct(path: &Path) -> bool {
    standard_stream(path).is_some()
        || fs::metadata(path).is_ok_and(|metadata| {
            let kind = metadata.file_type();
            kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket()
        })
}

#[derive(Clone, Copy)]
enum Stream {
    Output,
    Error,
}

fn standard_stream(path: &Path) -> Option<Stream> {
    match path.to_str()? {
        // The names under /dev may refer to a regular file to which the output is redirected. Opened by name, that
        // file would be written from its beginning.
        "-" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Some(Stream::Output),
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => Some(Stream::Error),
        _ => None,
    }
}

impl Direct {
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let file = match standard_stream(&path) {
            Some(Stream::Output) => io::stdout().as_fd().try_clone_to_owned().map(File::from),
            Some(Stream::Error) => io::stderr().as_fd().try_clone_to_owned().map(File::from),
            None => open_special(&path),
        };
        let file = file.map_err(|error| cannot_create(&path, &error))?;
        Ok(Self { path, file, buffer: Vec::with_capacity(BUFFER) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() > BUFFER {
            return self.file.write_all(bytes).map_err(|error| self.failed(&error));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> PluginError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => cannot_write(
                &self.path,
                &io::Error::other(
                    "broken pipe: the \
                 reader has closed it",
                ),
            ),
            _ => cannot_write(&self.path, error),
        }
    }
}

/// Opening a pipe blocks until it has a reader, so this polls and times out.
fn open_special(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut attempts = 0;
    let file = loop {
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => break file,
            Err(rustix::io::Errno::NXIO) if attempts < READER_ATTEMPTS => {
                attempts += 1;
                thread::sleep(READER_PAUSE);
            }
            Err(rustix::io::Errno::NXIO) => return Err(io::Error::other("no reader has opened the pipe")),
            Err(error) => return Err(error.into()),
        }
    };
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(File::from(file))
}

const BUFFER: usize = 64 * 1024;
const READER_PAUSE: Duration = Duration::from_millis(50);
const READER_ATTEMPTS: u32 = 100;
