//! The call recorder: a file that names the plugin calls in progress. From it, the next run and `state show` report
//! in which call a run was killed.
//!
//! Each instance has one slot of [`SLOT`] bytes. It is overwritten before and after each call and never synchronized:
//! the page cache of the operating system outlasts the process. The file is removed at the end of the run.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use scanbridge_plugin_api::is_printable;

/// Size of a slot in bytes: a line of text, padded with spaces.
const SLOT: usize = 256;

/// Maximum number of slots. Further instances of a pipeline are not recorded.
const SLOTS: u64 = 64;

/// The recorder of one run.
#[derive(Debug)]
pub struct CallRecorder {
    path: PathBuf,
    file: Arc<File>,
    slots: AtomicU64,
}

/// The slot of one instance.
#[derive(Debug)]
pub(super) struct Slot {
    file: Arc<File>,
    offset: u64,
}

/// A call that was in progress when a run was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterruptedCall {
    /// The instance, as in messages: `output siem (Acme 1.2.0)`.
    pub instance: String,
    /// The name of the call: `write`.
    pub call: String,
    /// Start of the call, in seconds since 1970.
    pub since: u64,
}

impl CallRecorder {
    /// Creates the file at `path`, or empties it.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Self { path: path.to_owned(), file: Arc::new(file), slots: AtomicU64::new(0) })
    }

    /// Returns a new slot; `None` if all are in use.
    pub(super) fn slot(&self) -> Option<Slot> {
        let number = self.slots.fetch_add(1, Ordering::Relaxed);
        (number < SLOTS).then(|| Slot { file: Arc::clone(&self.file), offset: number * SLOT as u64 })
    }

    /// The calls that were in progress when the run that wrote the file at `path` was killed. Empty if there is no such
    /// file, or it is invalid.
    #[must_use]
    pub fn read(path: &Path) -> Vec<InterruptedCall> {
        use std::io::Read;
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(SLOTS * SLOT as u64).read_to_end(&mut bytes));
        if read.is_err() {
            return Vec::new();
        }
        bytes.chunks(SLOT).filter_map(InterruptedCall::of).collect()
    }
}

impl Drop for CallRecorder {
    /// The run has ended: no call was interrupted.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Slot {
    /// Records that `call` of `instance` begins.
    pub(super) fn begin(&self, instance: &str, call: &str) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let mut slot = [b' '; SLOT];
        let mut rest = &mut slot[..SLOT - 1];
        // A name that is longer than the slot is truncated.
        let _ = io::Write::write_fmt(&mut rest, format_args!("{since}\t{call}\t{instance}"));
        slot[SLOT - 1] = b'\n';
        let _ = self.file.write_all_at(&slot, self.offset);
    }

    /// Records that the call has returned.
    pub(super) fn end(&self) {
        let mut slot = [b' '; SLOT];
        slot[SLOT - 1] = b'\n';
        let _ = self.file.write_all_at(&slot, self.offset);
    }
}

impl InterruptedCall {
    fn of(slot: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(slot);
        let mut fields = text.trim_end().splitn(3, '\t');
        let (since, call, instance) = (fields.next()?.parse().ok()?, fields.next()?, fields.next()?);
        let is_printable = |text: &str| text.chars().all(is_printable);
        (is_printable(call) && is_printable(instance)).then(|| Self {
            instance: instance.to_owned(),
            call: call.to_owned(),
            since,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_in_progress_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls");
        assert_eq!(CallRecorder::read(&path), Vec::new());
        let recorder = CallRecorder::create(&path).unwrap();
        let slots: Vec<Slot> = (0..3).map(|_| recorder.slot().unwrap()).collect();
        slots[0].begin("input scans (QualysGuardFile 0.2.0)", "next");
        slots[1].begin("output siem (Acme 1.2.0)", "write");
        slots[2].begin(&"x".repeat(1000), "commit");
        slots[0].end();
        let calls = CallRecorder::read(&path);
        let names: Vec<(&str, &str)> =
            calls.iter().map(|call| (call.call.as_str(), call.instance.as_str())).collect();
        assert_eq!(names[0], ("write", "output siem (Acme 1.2.0)"));
        assert_eq!((names[1].0, names.len()), ("commit", 2));
        assert!(names[1].1.len() > 200 && names[1].1.chars().all(|c| c == 'x'));
        drop(recorder);
        assert!(!path.exists(), "a run that ended leaves no record");
    }

    #[test]
    fn invalid_content_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls");
        for content in ["", "\n", "1\twrite", "x\twrite\toutput", "1\twr\u{1b}[31mite\toutput"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(CallRecorder::read(&path), Vec::new(), "{content:?}");
        }
        std::fs::write(&path, "\0".repeat(1 << 20)).unwrap();
        assert_eq!(CallRecorder::read(&path), Vec::new());
    }

    #[test]
    fn more_instances_than_slots() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = CallRecorder::create(&folder.path().join("calls")).unwrap();
        assert_eq!((0..100).filter_map(|_| recorder.slot()).count(), 64);
    }
}
