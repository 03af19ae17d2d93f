//! What the service keeps between restarts: accepted versions, and the last run of each pipeline.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use scanbridge_observe::{Bundle, ScheduleKeys, Totals};
use serde::{Deserialize, Serialize};

use crate::history::{History, LastRun};
use crate::queued_choice::QueuedChoice;

/// The directory `service` in the state directory.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// What is kept of one pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    pub(crate) paused: bool,
    /// Why it is held. A changed file ends that.
    pub(crate) held: Option<String>,
    /// Digest of the version that is held.
    pub(crate) digest: String,
    pub(crate) last_run: Option<LastRun>,
    /// The planned start, and the schedule by which it was planned.
    pub(crate) next: Option<Timestamp>,
    pub(crate) schedule: Option<ScheduleKeys>,
    /// The sums over all runs, for metrics.
    pub(crate) totals: Totals,
    /// Starts after a failed run.
    pub(crate) restarts: u64,
    /// Processor time of the runs that have ended, in microseconds.
    pub(crate) cpu_micros: u64,
    pub(crate) history: History,
    /// Reports that operators have chosen, oldest first; also the last ones that were sent.
    pub(crate) choices: Vec<QueuedChoice>,
}

/// Another service uses the state directory.
#[derive(Debug)]
pub(crate) struct Occupied;

impl Store {
    /// Creates the directories.
    ///
    /// # Errors
    /// When they cannot be created.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        let folder = state.join("service");
        DirBuilder::new().recursive(true).mode(0o700).create(folder.join("accepted"))?;
        Ok(Self { folder })
    }

    /// Locks the state directory for this service. The operating system releases the lock however the process ends.
    ///
    /// # Errors
    /// When the lock file cannot be used.
    pub(crate) fn lock(state: &Path) -> io::Result<Result<File, Occupied>> {
        let path = state.join("service.lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Ok(file)),
            Err(TryLockError::WouldBlock) => Ok(Err(Occupied)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The records of all pipelines. A missing file is the first start.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn records(&self) -> Result<BTreeMap<String, Record>, String> {
        let path = self.folder.join("pipelines.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        serde_json::from_slice(&bytes).map_err(|error| format!("{} is invalid: {error}", path.display()))
    }

    /// Stores the records.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn save(&self, records: &BTreeMap<String, Record>) -> io::Result<()> {
        replace(&self.folder.join("pipelines.json"), &serde_json::to_vec(records)?)
    }

    /// The file of the accepted version of a pipeline. The name is valid: the host has checked it.
    pub(crate) fn accepted(&self, name: &str) -> PathBuf {
        self.folder.join("accepted").join(format!("{name}.json"))
    }

    /// The file of the version that was accepted before, as long as no run of the accepted one has begun: a report that was
    /// interrupted may need it.
    pub(crate) fn earlier(&self, name: &str) -> PathBuf {
        self.folder.join("accepted").join(format!("{name}.earlier"))
    }

    /// Stores an accepted version, and keeps the one before it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn accept(&self, bundle: &Bundle) -> io::Result<()> {
        let (accepted, earlier) = (self.accepted(&bundle.name), self.earlier(&bundle.name));
        let known = self.read_accepted(&bundle.name);
        if known.is_some_and(|known| known.digest != bundle.digest) && !earlier.exists() {
            fs::hard_link(&accepted, &earlier)?;
        }
        replace(&accepted, &serde_json::to_vec(bundle)?)
    }

    /// The file with the chosen reports or the selection for the process of a pipeline that is started next.
    pub(crate) fn request(&self, name: &str) -> PathBuf {
        self.folder.join("accepted").join(format!("{name}.request"))
    }

    /// A run of the accepted version has begun.
    pub(crate) fn forget_earlier(&self, name: &str) {
        let _ = fs::remove_file(self.earlier(name));
    }

    /// The accepted version of a pipeline, if there is one.
    pub(crate) fn read_accepted(&self, name: &str) -> Option<Bundle> {
        let bundle: Bundle = serde_json::from_slice(&fs::read(self.accepted(name)).ok()?).ok()?;
        (bundle.format == Bundle::FORMAT && bundle.name == name).then_some(bundle)
    }

    /// Deletes the accepted version of a removed pipeline.
    pub(crate) fn forget(&self, name: &str) {
        let _ = fs::remove_file(self.accepted(name));
        let _ = fs::remove_file(self.request(name));
        self.forget_earlier(name);
    }
}

/// Replaces a file in one step, readable by its owner only: the texts of pipelines can contain passwords.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn records_and_versions_are_private_and_survive() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        assert_eq!(store.records().unwrap(), BTreeMap::new());
        let record = Record { paused: true, next: Some(Timestamp::UNIX_EPOCH), ..Record::default() };
        let records = BTreeMap::from([("p".to_owned(), record)]);
        store.save(&records).unwrap();
        let bundle = Bundle { format: Bundle::FORMAT, name: "p".to_owned(), ..Bundle::default() };
        store.accept(&bundle).unwrap();
        let store = Store::open(state.path()).unwrap();
        assert_eq!(store.records().unwrap(), records);
        assert_eq!(store.read_accepted("p"), Some(bundle));
        assert_eq!(fs::metadata(store.accepted("p")).unwrap().mode() & 0o777, 0o600);
        store.forget("p");
        assert_eq!(store.read_accepted("p"), None);
        fs::write(state.path().join("service/pipelines.json"), "{").unwrap();
        assert!(store.records().unwrap_err().contains("pipelines.json is invalid"));
    }

    #[test]
    fn version_of_the_last_run_is_kept_until_the_accepted_one_has_begun() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let accept = |digest: &str| {
            let (name, digest) = ("p".to_owned(), digest.to_owned());
            store.accept(&Bundle { format: Bundle::FORMAT, name, digest, ..Bundle::default() }).unwrap();
        };
        let earlier = || {
            let bundle: Bundle = serde_json::from_slice(&fs::read(store.earlier("p")).ok()?).unwrap();
            Some(bundle.digest)
        };
        for (digest, expected) in [("1", None), ("1", None), ("2", Some("1")), ("3", Some("1"))] {
            accept(digest);
            assert_eq!(earlier().as_deref(), expected, "version {digest}");
            assert_eq!(store.read_accepted("p").unwrap().digest, digest);
        }
        store.forget_earlier("p");
        accept("4");
        assert_eq!(earlier().as_deref(), Some("3"));
        store.forget("p");
        assert_eq!(earlier(), None);
    }

    #[test]
    fn one_service_for_each_state_directory() {
        let state = tempfile::tempdir().unwrap();
        let first = Store::lock(state.path()).unwrap().unwrap();
        assert!(Store::lock(state.path()).unwrap().is_err());
        drop(first);
        assert!(Store::lock(state.path()).unwrap().is_ok());
    }
}
