//! Temporary files without a name: they vanish with the process, however it ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services};
use scanbridge_qualys_xml::Spool;

/// A new temporary file in the instance's own directory, readable only by its owner.
///
/// # Errors
/// When it cannot be made.
pub fn temporary_file(services: &Services) -> Result<File> {
    let folder = services.state_folder()?;
    tempfile::tempfile_in(folder).map_err(|error| {
        let message = format!("cannot create a temporary file in {}: {error}", folder.display());
        PluginError::new(ErrorKind::CannotCreate, message)
    })
}

/// Keeps definitions in a temporary file, which is made when the first one comes.
pub struct FileSpool {
    services: Services,
    file: Option<File>,
    /// What is not in the file yet.
    buffer: Vec<u8>,
    written: u64,
}

const BUFFER: usize = 64 << 10;

impl FileSpool {
    /// Makes its file, when it comes to that, in the folder of this instance.
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
        // The next glossary gets a file of its own; dropping this one gives its blocks back.
        self.file = None;
        self.buffer = Vec::new();
        self.written = 0;
        Ok(())
    }
}
