//! Tests of the journal through its file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;
use scanbridge_delivery_journal::Journal;
use scanbridge_plugin_api::ErrorKind;

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("delivered")
}

#[test]
fn recorded_keys_survive_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path()).unwrap();
    assert!(journal.is_empty() && !file(folder.path()).exists());
    journal.record(["a", "b"]).unwrap();
    journal.record(["b", "line\nbreak", ""]).unwrap();

    let journal = Journal::open(folder.path()).unwrap();
    assert_eq!(journal.len(), 4);
    assert!(["a", "b", "line\nbreak", ""].iter().all(|key| journal.contains(key)));
    assert!(!journal.contains("line"));
    let mode = fs::metadata(file(folder.path())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_to_string(file(folder.path())).unwrap().lines().count(), 5);
}

#[test]
fn deleted_keys_stay_deleted_after_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path()).unwrap();
    journal.record(["/in/a", "/in/b", "/other/c"]).unwrap();
    journal.retain(|key| key.starts_with("/in/")).unwrap();
    journal.record(["/in/d"]).unwrap();
    let mut journal = Journal::open(folder.path()).unwrap();
    assert_eq!(journal.len(), 3);
    assert!(!journal.contains("/other/c") && journal.contains("/in/d"));
    journal.clear().unwrap();
    assert!(Journal::open(folder.path()).unwrap().is_empty());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["delivered"]);
}

#[test]
fn corrupt_journal_is_reported_and_not_treated_as_empty() {
    let folder = tempfile::tempdir().unwrap();
    Journal::open(folder.path()).unwrap().record(["first"]).unwrap();
    Journal::open(folder.path()).unwrap().record(["second"]).unwrap();
    let good = fs::read_to_string(file(folder.path())).unwrap();
    for (bad, line) in [
        (good.replace("first", "fisrt"), 2),
        (good.replace("second", "sceond"), 3),
        (good.replacen("journal 1", "journal 2", 1), 1),
        (good.replacen('\n', "\n\n", 1), 2),
        (String::new(), 1),
        ("\0".repeat(100), 1),
    ] {
        fs::write(file(folder.path()), &bad).unwrap();
        let error = Journal::open(folder.path()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Io);
        assert!(error.message.contains(&format!("delivered, line {line}: ")), "{}", error.message);
        assert!(error.hint.unwrap().contains("`scanbridge state reset FILE`"));
        assert_eq!(fs::read_to_string(file(folder.path())).unwrap(), bad, "a damaged journal is left alone");
    }
}

proptest! {
    /// A crash leaves any part of the bytes of the last call, or zeros instead of them.
    #[test]
    fn crash_while_recording_loses_no_acknowledged_key(
        acknowledged in prop::collection::hash_set(any::<String>(), 1..8),
        last in any::<String>(),
        truncation in any::<prop::sample::Index>(),
        zeros: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        for key in &acknowledged {
            journal.record([key]).unwrap();
        }
        let acknowledged_length = fs::metadata(file(folder.path())).unwrap().len();
        journal.record([&last]).unwrap();
        let mut bytes = fs::read(file(folder.path())).unwrap();
        let keep = usize::try_from(acknowledged_length).unwrap() + truncation.index(bytes.len() - usize::try_from(acknowledged_length).unwrap() + 1);
        let is_complete = keep == bytes.len();
        if zeros { bytes[keep..].fill(0) } else { bytes.truncate(keep) }
        fs::write(file(folder.path()), &bytes).unwrap();

        let mut journal = Journal::open(folder.path()).unwrap();
        prop_assert!(acknowledged.iter().all(|key| journal.contains(key)));
        prop_assert_eq!(journal.contains(&last), is_complete || acknowledged.contains(&last));
        // The journal accepts new keys after the crash.
        journal.record(["next"]).unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        prop_assert!(journal.contains("next") && acknowledged.iter().all(|key| journal.contains(key)));
    }
}
