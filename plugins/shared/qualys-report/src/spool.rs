//! Unnamed temporary files. The operating system deletes them when the process ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services};
use scanbridge_qualys_xml::Spool;

/// A new temporary file in the state directory of the instance, readable only by its owner.
///
/// # Errors
/// When the file cannot be created.
pub fn temporary_file(services: &Services) -> Result<File> {
    let folder = services.state_folder()?;
    tempfile::tempfile_in(folder).map_err(|error| {
        let message = format!("cannot create a temporary file in {}: {error}", folder.display());
        PluginError::new(ErrorKind::CannotCreate, message)
    })
}

/// Stores definitions in a temporary file, which is created for the first one.
pub struct FileSpool {
    services: Services,
    file: Option<File>,
    /// Bytes that are not written to the file yet.
    buffer: Vec<u8>,
    written: u64,
}

const BUFFER: usize = 64 << 10;

impl FileSpool {
    /// Creates the file on first use, in the state directory of this instance.
    #[must_use]
    pub fn new(services: &Services) -> Self {
        Self { services: services.clone(), file: None, buffer: Vec::new(), written: 0 }
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.file = Some(temporary_file(&self.services).map_err(io::Error::other)?);
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("the temporary file has been removed"))
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            let buffer = std::mem::take(&mut self.buffer);
            self.file()?.write_all(&buffer)?;
            self.written += buffer.len() as u64;
            self.buffer = buffer;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl Spool for FileSpool {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.flush()?;
        self.file()?.read_exact_at(into, offset)
    }

    fn clear(&mut self) -> io::Result<()> {
        // Dropping the file frees its disk space; the next glossary gets a new one.
        self.file = None;
        self.buffer = Vec::new();
        self.written = 0;
        Ok(())
    }
}
