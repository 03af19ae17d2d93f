//! Reads any bytes as saved state. They are rejected, or read and then written back unchanged. No file outside the
//! directory changes, and the record of delivered data is never lost silently.
//!
//! The first byte selects the kind of state.
#![no_main]

mod folder;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::{Corpus, fuzz_target};
use scanbridge::state::{DeadLetter, DeadLetterReader, Ledger, LetterFilter};
use scanbridge_durable_file::{ReportFile, Rotation, Target};
use scanbridge_plugin_api::Receipt;
use scanbridge_plugin_api::model::ReportStart;

use folder::FOLDER;

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((first, rest)) = input.split_first() else { return Corpus::Reject };
    match first % 8 {
        0..=2 => receipt(rest, Rotation::default()),
        3 => receipt(rest, Rotation { max_bytes: Some(1024), max_age: None }),
        4 | 5 => dead_letters(rest),
        _ => ledger(rest),
    }
    Corpus::Keep
});

/// Opens an output file with a stored receipt.
fn receipt(bytes: &[u8], rotate: Rotation) {
    let folder = FOLDER.path().join("receipt");
    let _ = fs::remove_dir_all(&folder);
    let out = folder.join("out");
    fs::create_dir_all(&out).expect("the file system in memory is not full");
    fs::write(folder.join("a.csv"), "outside").expect("the file system in memory is not full");
    // The output file and the part files that the seeds refer to.
    fs::write(out.join("a.csv"), "published\n").expect("the file system in memory is not full");
    for part in [".a.csv.2.part", ".a.csv.2-0001.part"] {
        fs::write(out.join(part), "published\nhalf a line").expect("the file system in memory is not full");
    }
    // A receipt contains the path of its file. The seeds contain a placeholder instead.
    let text = String::from_utf8_lossy(bytes).replace("\"P\"", &format!("{:?}", out.join("a.csv")));
    let target = || Target { rotate, ..Target::new(out.join("a.csv")) };
    if let Ok(mut file) = ReportFile::open(target(), Some(&Receipt(text.into_bytes()))) {
        if file.begin(&ReportStart::default(), false).is_ok() {
            let _ = file.write(b"record\n").and_then(|()| file.record_boundary());
        }
        if let Ok(receipt) = file.commit(b"state") {
            drop(file);
            let again = ReportFile::open(target(), Some(&receipt)).and_then(|mut file| file.commit(b"state"));
            assert!(again.is_ok(), "its own receipt was rejected: {again:?}");
        }
    }
    assert_eq!(fs::read(folder.join("a.csv")).ok().as_deref(), Some(&b"outside"[..]));
    assert_eq!(
        fs::read_dir(&folder).map_or(0, Iterator::count),
        2,
        "a file was created outside its directory"
    );
}

/// Each line is a dead letter in the ledger.
fn dead_letters(bytes: &[u8]) {
    let ledger = &*LETTERS;
    let read = |letters: &[Vec<u8>]| -> Vec<Option<DeadLetter>> {
        let first = ledger.dead_letter_end("siem").expect("the ledger is valid").number + 1;
        let last = first + letters.len() as u64 - 1;
        ledger.write_dead_letters("siem", first, letters).expect("the file system in memory is not full");
        ledger
            .remove_dead_letters("siem", first - 1, last, &LetterFilter::default())
            .expect("the file system in memory is not full");
        let reader = DeadLetterReader::new(ledger, "siem").expect("the ledger is valid");
        reader.map(|letter| letter.ok().map(|(_, letter)| letter)).collect()
    };
    let lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let found = read(&lines);
    assert!(found.len() <= lines.len(), "a finding has one dead letter");
    assert_eq!(found.is_empty(), lines.is_empty(), "every dead letter must be read or be an error");
    let good: Vec<DeadLetter> = found.into_iter().flatten().collect();
    let to_json = |letter| serde_json::to_vec(letter).expect("plain data can be serialized");
    let written: Vec<Vec<u8>> = good.iter().map(to_json).collect();
    assert!(written.is_empty() || read(&written) == good.into_iter().map(Some).collect::<Vec<_>>());
}

static LETTERS: LazyLock<Arc<Ledger>> = LazyLock::new(|| {
    let path = FOLDER.path().join("letters.redb");
    Arc::new(Ledger::open(&path, Path::new("letters.yaml")).expect("the file system in memory is not full"))
});

/// A valid ledger, and its content as text.
static LEDGER: LazyLock<(Vec<u8>, String)> = LazyLock::new(|| {
    let path = FOLDER.path().join("valid.redb");
    let ledger =
        Ledger::open(&path, Path::new("nightly.yaml")).expect("the file system in memory is not full");
    let run = scanbridge::state::RunRecord {
        number: 1,
        started: "2026-01-31T12:00:00Z".to_owned(),
        ended: None,
        state: scanbridge::state::RunState::Running,
        fingerprint: scanbridge::state::Fingerprint::default(),
        exit_code: None,
        findings: 7,
        choice: None,
    };
    ledger.begin(&run, None).expect("the file system in memory is not full");
    let mut checkpoint = scanbridge::state::Checkpoint::default();
    checkpoint.positions.insert("scans".to_owned(), b"position".to_vec());
    ledger
        .store(&checkpoint, &scanbridge::state::SinceCheckpoint::default())
        .expect("the file system in memory is not full");
    let content = content(&ledger).expect("the ledger is valid");
    drop(ledger);
    (fs::read(&path).expect("it was written"), content)
});

fn content(ledger: &Ledger) -> Option<String> {
    Some(format!("{:?} {:?}", ledger.checkpoint().ok()?, ledger.runs().ok()?))
}

/// Damages a ledger. Each change is three bytes for the position and one for the new value. An incomplete change
/// truncates the file.
fn ledger(changes: &[u8]) {
    let (valid, expected) = &*LEDGER;
    let mut bytes = valid.clone();
    for change in changes.chunks(4) {
        let at = change.iter().take(3).fold(0, |at, byte| at * 256 + usize::from(*byte)) % valid.len();
        match change {
            [_, _, _, value] if at < bytes.len() => bytes[at] = *value,
            [_, _, _, _] => {}
            _ => bytes.truncate(at),
        }
    }
    let path: PathBuf = FOLDER.path().join("damaged.redb");
    fs::write(&path, &bytes).expect("the file system in memory is not full");
    match Ledger::open(&path, Path::new("nightly.yaml")) {
        Ok(ledger) => {
            if let Some(content) = content(&ledger) {
                assert_eq!(content, *expected, "a damaged ledger was read with different content");
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
        }
    }
}
