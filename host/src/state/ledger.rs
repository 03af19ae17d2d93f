//! The ledger: what has been delivered, in one file that is changed by transactions. Here it is created, opened and
//! closed.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageBackend,
    StorageError, TableHandle, WriteTransaction,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use dead_letters::{DeadLetterCount, DeadLetterReader};
pub use letter_groups::{LetterGroup, LetterGroups};
use tables::{
    ABOUT, Bytes, DEAD_LETTER_ENDS, DEAD_LETTER_KEYS, DEAD_LETTERS, KEYS, List, MISSED, OUTPUTS, POSITIONS,
    RECEIPTS, REPORTS, RUNS, UNCONFIRMED, put,
};

use super::error::StateError;
use super::owner::cannot_read;

mod counting;
mod dead_letters;
mod encryption;
mod history;
mod kept;
mod keys;
mod letter_groups;
mod missed;
mod tables;
mod transaction;

/// The ledger of one pipeline. When a change returns, it is either completely on disk or did not happen.
#[derive(Debug)]
pub struct Ledger {
    database: Database,
    path: PathBuf,
}

/// Format version of the tables. A ledger of another version is refused.
const FORMAT: u32 = 2;
/// How often a read is repeated while a run writes the ledger.
const READ_ATTEMPTS: u32 = 5;
const BETWEEN_READS: Duration = Duration::from_millis(20);
/// Free space in the file below which it is not made smaller.
const MIN_FREE_BYTES: u64 = 64 << 20;
/// Maximum cache size: the tables are small.
const CACHE_BYTES: usize = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct About {
    #[serde(rename = "form")]
    format: u32,
    /// Absolute path of the pipeline file.
    pipeline: PathBuf,
}

impl Ledger {
    /// Opens the ledger at this path, or creates it. It belongs to one pipeline file: another file with the same
    /// pipeline name is refused as long as the first file exists.
    ///
    /// # Errors
    /// When the ledger is corrupt, belongs to another pipeline, or cannot be read or created. A corrupt ledger is
    /// never replaced.
    pub fn open(path: &Path, pipeline: &Path) -> Result<Self, StateError> {
        // Symbolic links are not resolved: where `current` points to the newest release, the pipeline stays the same
        // after an update.
        let pipeline = std::path::absolute(pipeline).unwrap_or_else(|_| pipeline.to_owned());
        // Create only if the file certainly does not exist: a failing disk must not make a ledger look new.
        if !path.try_exists().map_err(|error| StateError::cannot_create(path, &error))? {
            return Self::create(path, pipeline);
        }
        let ledger = Self::open_existing(path)?;
        if !ledger.has_table(DEAD_LETTER_KEYS.name())? {
            ledger.merge_earlier_letters()?;
        }
        let owner = ledger.about()?.pipeline;
        if is_same_file(&owner, &pipeline) {
            return Ok(ledger);
        }
        if owner.exists() {
            return Err(StateError {
                message: format!(
                    "the saved state in {} belongs to another pipeline file, {}",
                    path.display(),
                    owner.display()
                ),
                hint: Some(
                    "set a different `name:` in one of the two pipelines, or use a separate --state-dir"
                        .to_owned(),
                ),
                exit_code: 78,
            });
        }
        tracing::info!("the pipeline file was {} before", owner.display());
        ledger.change(|transaction| put(transaction, ABOUT, "about", &About { format: FORMAT, pipeline }))?;
        Ok(ledger)
    }

    /// Reads a copy of an existing ledger into memory, for commands that show it. Works for any owner and while a run
    /// writes it; the file is only read. A copy that is made during a transaction can be that of the transaction before.
    ///
    /// # Errors
    /// When it is corrupt or cannot be read.
    pub fn read_copy(path: &Path) -> Result<Self, StateError> {
        let mut copy = Self::read_copy_once(path);
        // If a run wrote during the read, the copy is inconsistent.
        for _ in 0..READ_ATTEMPTS {
            if !copy.as_ref().is_err_and(|error| error.exit_code == 78) {
                break;
            }
            thread::sleep(BETWEEN_READS);
            copy = Self::read_copy_once(path);
        }
        copy
    }

    fn read_copy_once(path: &Path) -> Result<Self, StateError> {
        let bytes = fs::read(path).map_err(|error| cannot_read(path, &error))?;
        Self::refuse_empty(path, bytes.len() as u64)?;
        let memory = InMemoryBackend::new();
        let filled = memory.set_len(bytes.len() as u64).and_then(|()| memory.write(0, &bytes));
        filled.map_err(|error| StateError::io(path, &error))?;
        Self::checked(path, |builder| builder.create_with_backend(memory))
    }

    fn open_existing(path: &Path) -> Result<Self, StateError> {
        let length = fs::metadata(path).map_err(|error| cannot_read(path, &error))?.len();
        Self::refuse_empty(path, length)?;
        Self::checked(path, |builder| builder.open(path))
    }

    /// redb treats an empty file as a new database: what was delivered would be lost silently.
    fn refuse_empty(path: &Path, length: u64) -> Result<(), StateError> {
        if length == 0 { Err(StateError::damaged(path, &"the file is empty")) } else { Ok(()) }
    }

    fn checked(
        path: &Path,
        open: impl FnOnce(&mut Builder) -> Result<Database, DatabaseError>,
    ) -> Result<Self, StateError> {
        let mut builder = Database::builder();
        let opened = open(builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true));
        let database = opened.map_err(|error| cannot_open(path, &error))?;
        let ledger = Self { database, path: path.to_owned() };
        let format = ledger.about()?.format;
        if format != FORMAT {
            return Err(StateError {
                message: format!(
                    "unsupported state format {format} in {}; this release supports format {FORMAT}",
                    path.display()
                ),
                hint: Some(
                    "use the Scanbridge release that wrote it, or archive it with `scanbridge state reset \
                     FILE`"
                        .to_owned(),
                ),
                exit_code: 78,
            });
        }
        Ok(ledger)
    }

    /// Opens a ledger in the caller's storage, for tests that simulate crashes.
    ///
    /// # Errors
    /// As for [`Ledger::open`].
    #[doc(hidden)]
    pub fn with_storage(storage: impl StorageBackend, is_new: bool) -> Result<Self, StateError> {
        let path = PathBuf::from("memory");
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(storage);
        let ledger = Self { database: opened.map_err(|error| cannot_open(&path, &error))?, path };
        if is_new {
            ledger.initialize(PathBuf::from("pipeline.yaml"))?;
        }
        Ok(ledger)
    }

    /// Creates the ledger under a temporary name, so that a crash leaves no incomplete ledger.
    fn create(path: &Path, pipeline: PathBuf) -> Result<Self, StateError> {
        let new = path.with_extension("new");
        let _ = fs::remove_file(&new);
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&new);
        let file = file.map_err(|error| StateError::cannot_create(&new, &error))?;
        let storage = FileBackend::new(file).map_err(|error| cannot_open(&new, &error))?;
        let created = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(storage);
        let database = created.map_err(|error| cannot_open(&new, &error))?;
        let ledger = Self { database, path: path.to_owned() };
        ledger.initialize(pipeline)?;
        let renamed = fs::rename(&new, path)
            .and_then(|()| fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all());
        renamed.map_err(|error| StateError::cannot_create(path, &error))?;
        Ok(ledger)
    }

    fn initialize(&self, pipeline: PathBuf) -> Result<(), StateError> {
        self.change(|transaction| {
            for table in [ABOUT, POSITIONS, OUTPUTS, RECEIPTS, UNCONFIRMED, DEAD_LETTER_ENDS, MISSED] {
                transaction.open_table(table)?;
            }
            transaction.open_table(DEAD_LETTERS)?;
            transaction.open_table(DEAD_LETTER_KEYS)?;
            transaction.open_table(KEYS)?;
            transaction.open_table(REPORTS)?;
            transaction.open_table(RUNS)?;
            put(transaction, ABOUT, "about", &About { format: FORMAT, pipeline })
        })
    }

    /// Closes the ledger. If most of a large file is free, the file is made smaller first.
    pub fn close(mut self) {
        let compacted = match self.free_bytes() {
            Ok((free, all)) if free >= MIN_FREE_BYTES && free > all / 2 => {
                self.database.compact().map(|_| ()).map_err(redb::Error::from)
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = compacted {
            // Nothing is lost: the file only stays larger than it has to be.
            tracing::warn!("{}: cannot make the file smaller: {error}", self.path.display());
        }
    }

    /// Free bytes in the file, and its size.
    fn free_bytes(&self) -> Result<(u64, u64), redb::Error> {
        let size = fs::metadata(&self.path).map_or(0, |file| file.len());
        if size < MIN_FREE_BYTES {
            return Ok((0, size)); // The statistics read the whole file.
        }
        let transaction = self.database.begin_write()?;
        let stats = transaction.stats()?;
        let used = stats.allocated_pages().saturating_mul(stats.page_size() as u64);
        transaction.abort()?;
        Ok((size.saturating_sub(used), size))
    }

    /// The pipeline file that this ledger belongs to.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn pipeline(&self) -> Result<PathBuf, StateError> {
        Ok(self.about()?.pipeline)
    }

    fn about(&self) -> Result<About, StateError> {
        let about = self.get(ABOUT, "about")?;
        about.ok_or_else(|| StateError::damaged(&self.path, &"no format version"))
    }

    fn get<T: DeserializeOwned>(&self, table: Bytes, key: &str) -> Result<Option<T>, StateError> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(table)?;
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        let bytes = read().map_err(|error| self.failed(&error))?;
        bytes.map(|bytes| self.parse(&bytes)).transpose()
    }

    fn all(&self, table: Bytes) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let read = || -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
            let table = self.database.begin_read()?.open_table(table)?;
            let mut all = Vec::new();
            for entry in table.iter()? {
                let (key, value) = entry?;
                all.push((key.value().to_owned(), value.value().to_vec()));
            }
            Ok(all)
        };
        read().map_err(|error| self.failed(&error))
    }

    fn list<T: DeserializeOwned>(&self, table: List) -> Result<Vec<T>, StateError> {
        let read = || -> Result<Vec<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(table)?;
            let mut all = Vec::new();
            for entry in table.iter()? {
                all.push(entry?.1.value().to_vec());
            }
            Ok(all)
        };
        let values = read().map_err(|error| self.failed(&error))?;
        values.iter().map(|value| self.parse(value)).collect()
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, StateError> {
        serde_json::from_slice(bytes).map_err(|error| StateError::damaged(&self.path, &error))
    }

    fn change(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StateError> {
        self.change_with(Durability::Immediate, change)
    }

    fn change_with(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StateError> {
        let commit_change = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(durability)?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        commit_change().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &redb::Error) -> StateError {
        match error {
            redb::Error::Io(io) if is_damage(io) => StateError::damaged(&self.path, error),
            redb::Error::Io(_) | redb::Error::PreviousIo => StateError::io(&self.path, error),
            _ => StateError::damaged(&self.path, error),
        }
    }
}

/// Whether two absolute paths lead to the same file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Whether this is an error about the content: it ends too early, or names a place outside the file. A copy in memory that
/// was made during a write is like that, too.
fn is_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

fn cannot_open(path: &Path, error: &DatabaseError) -> StateError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StateError {
            message: format!("{} is in use by another process", path.display()),
            hint: Some("wait until it has finished".to_owned()),
            exit_code: 75,
        },
        DatabaseError::Storage(StorageError::Io(io))
            if matches!(io.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied) =>
        {
            StateError::cannot_create(path, io)
        }
        DatabaseError::Storage(StorageError::Io(io)) if !is_damage(io) => StateError::io(path, io),
        _ => StateError::damaged(path, error),
    }
}

#[cfg(test)]
mod tests;
