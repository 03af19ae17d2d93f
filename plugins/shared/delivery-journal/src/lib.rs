//! Records deliveries across runs: a set of keys in one file of an instance's state directory.
//!
//! A key identifies something that was delivered, for example a file (path, length and time) or a scan reference.
//! Keys for which [`Journal::record`] has returned survive a power failure. A missing file is an empty journal. A
//! corrupt file is refused, because an input without its list of deliveries would deliver everything again.
//!
//! The file is text: one key per line, after a checksum. It grows by appending. When keys are deleted, a new file is
//! written next to the old one and replaces it. All keys are in memory. The owner deletes the keys of things that no
//! longer exist, which bounds their number.
//!
//! One journal belongs to one instance. Two journals that write to the same directory at once would lose keys.

mod line;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

/// The keys of everything that was delivered.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    keys: HashSet<String>,
    /// The file and the number of its valid bytes. The next append overwrites what follows them. `None` until the
    /// first key.
    file: Option<(File, u64)>,
}

impl Journal {
    /// Reads the journal of this directory and changes nothing. A missing journal is empty.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the file is unreadable or corrupt.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut journal = Self { folder: folder.to_owned(), keys: HashSet::new(), file: None };
        let path = journal.path();
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => {
                let reader = BufReader::with_capacity(64 << 10, &file);
                let (keys, length) = read(reader, &path)?;
                journal.keys = keys;
                journal.file = Some((file, length));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("cannot open", &path, &error)),
        }
        Ok(journal)
    }

    /// Whether this key was recorded.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.keys.contains(key)
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the journal contains no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Records deliveries. When this returns, the keys are on disk. Known keys take no space.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; then none of the keys is recorded, and the caller may record them later.
    pub fn record<K: Into<String>>(&mut self, keys: impl IntoIterator<Item = K>) -> Result<()> {
        let mut new: HashSet<String> = keys.into_iter().map(Into::into).collect();
        new.retain(|key| !self.keys.contains(key));
        if new.is_empty() {
            return Ok(());
        }
        let Some((file, length)) = &mut self.file else {
            self.keys = new;
            return self.rewrite().inspect_err(|_| self.keys.clear());
        };
        let lines: String = new.iter().map(|key| line::of(key)).collect();
        // Removes the rest of a failed append first: a shorter append would not overwrite all of it.
        file.set_len(*length)
            .and_then(|()| file.write_all_at(lines.as_bytes(), *length))
            .and_then(|()| file.sync_data())
            .map_err(|error| failed("cannot write", &self.folder.join(NAME), &error))?;
        *length += lines.len() as u64;
        self.keys.extend(new);
        Ok(())
    }

    /// Deletes the keys that `keep` rejects. Rewrites the file if there are any.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; then the deleted keys may reappear when the journal is opened again.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) -> Result<()> {
        let before = self.keys.len();
        self.keys.retain(|key| keep(key));
        if self.keys.len() == before { Ok(()) } else { self.rewrite() }
    }

    /// Deletes all keys.
    ///
    /// # Errors
    /// As [`Journal::retain`].
    pub fn clear(&mut self) -> Result<()> {
        self.retain(|_| false)
    }

    /// Writes all keys to a new file, which replaces the old one.
    fn rewrite(&mut self) -> Result<()> {
        let (path, new) = (self.path(), self.folder.join(NEW_NAME));
        let mut replace = || {
            let written = self.write_all(&new)?;
            fs::rename(&new, &path)?;
            // Later appends go to the new file, even if the next step fails.
            self.file = Some(written);
            File::open(&self.folder)?.sync_all()
        };
        replace().map_err(|error| failed("cannot write", &path, &error))
    }

    fn write_all(&self, path: &Path) -> io::Result<(File, u64)> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut writer = io::BufWriter::with_capacity(64 << 10, file);
        let mut length = HEAD.len() as u64 + 1;
        writer.write_all(HEAD)?;
        writer.write_all(b"\n")?;
        for key in &self.keys {
            let line = line::of(key);
            length += line.len() as u64;
            writer.write_all(line.as_bytes())?;
        }
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok((file, length))
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }
}

/// Parses the content of a journal file. Only for fuzzing; not part of the public interface.
///
/// # Errors
/// As [`Journal::open`].
#[doc(hidden)]
pub fn keys_of(bytes: &[u8]) -> Result<HashSet<String>> {
    read(bytes, Path::new(NAME)).map(|(keys, _)| keys)
}

/// Reads all lines. Returns the keys and the number of valid bytes.
///
/// Bytes after the last line break are the rest of an append that crashed. The call that wrote them had not returned:
/// their keys were never acknowledged and may be dropped. A complete line may have been acknowledged, so an
/// unreadable one is an error.
fn read(mut reader: impl BufRead, path: &Path) -> Result<(HashSet<String>, u64)> {
    let (mut keys, mut bytes, mut length) = (HashSet::new(), Vec::new(), 0);
    for number in 1_u64.. {
        bytes.clear();
        reader.read_until(b'\n', &mut bytes).map_err(|error| failed("cannot read", path, &error))?;
        // A file without a complete first line was not written by this crate: a new file is renamed only when it is
        // complete.
        match bytes.split_last() {
            None if number > 1 => break,
            Some((b'\n', HEAD)) if number == 1 => {}
            Some((b'\n', text)) if number > 1 => match line::key(text) {
                Some(key) => _ = keys.insert(key),
                None => return Err(damaged(path, number)),
            },
            Some(_) if number > 1 => break,
            _ => return Err(damaged(path, number)),
        }
        length += bytes.len() as u64;
    }
    Ok((keys, length))
}

const NAME: &str = "delivered";
const NEW_NAME: &str = "delivered.new";
/// The first line: the file type and the format version.
const HEAD: &[u8] = b"scanbridge delivery journal 1";

fn failed(what: &str, path: &Path, error: &io::Error) -> PluginError {
    PluginError::new(ErrorKind::Io, format!("{what} {}: {error}", path.display()))
}

fn damaged(path: &Path, number: u64) -> PluginError {
    let message = format!("{}, line {number}: the record of delivered files is corrupt", path.display());
    PluginError::new(ErrorKind::Io, message)
        .with_hint("run `scanbridge state reset FILE`; all files are then delivered again")
}
