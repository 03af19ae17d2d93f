//! Tests of the ledger.

use std::fs;

use scanbridge_plugin_api::{Outcome, ReportKey, StoredReport};

use super::history::MAX_RUNS;
use super::tables::EARLIER_KEYS;
use super::*;
use crate::state::{
    AheadReport, Checkpoint, DayCounts, DeadLetter, DeadLetterEnd, EndOfRun, Fingerprint, InvalidOfReport,
    LetterFilter, Missed, OutputCounts, OutputState, Record, ReportRecord, RunRecord, RunState, SentReport,
    SinceCheckpoint, Stage,
};

fn run(number: u64, state: RunState) -> RunRecord {
    RunRecord {
        number,
        started: "2026-01-31T12:00:00Z".to_owned(),
        ended: None,
        state,
        fingerprint: Fingerprint::default(),
        exit_code: None,
        findings: 7,
        choice: None,
    }
}

fn checkpoint(step: u8) -> Checkpoint {
    let missed = step.is_multiple_of(2).then(|| Missed { findings: 7, reason: "refused".to_owned() });
    let state = OutputState {
        receipt: Some(vec![step; 100]),
        has_gap: !step.is_multiple_of(2),
        gap_is_covered: step.is_multiple_of(5),
        dead_letters: DeadLetterEnd { number: step.into(), bytes: 0 },
        report: step.is_multiple_of(2).then(ReportRecord::default),
        has_invalid_rows: step.is_multiple_of(3),
        rejected: step.into(),
        ahead: vec![AheadReport { key: key(step), missed, dead_letters: 3 }],
        counts: OutputCounts { records: step.into(), ..OutputCounts::default() },
    };
    Checkpoint {
        positions: [("scans".to_owned(), vec![step])].into(),
        outputs: [("sheet".to_owned(), state.clone()), ("siem".to_owned(), state)].into(),
        active_input: (!step.is_multiple_of(3)).then(|| "scans".to_owned()),
        unconfirmed: [(
            "scans".to_owned(),
            vec![StoredReport::new(key(step), Outcome::Missed).with_dead_letters(1)],
        )]
        .into(),
        invalid_rows: [("scans".to_owned(), InvalidOfReport { dead_letters: step.into(), lost: 2 })].into(),
    }
}

fn key(step: u8) -> ReportKey {
    ReportKey::default().with_path(format!("{step}.xml"))
}

/// A new ledger with a run in progress.
fn ledger_with_run(path: &Path) -> Ledger {
    let ledger = Ledger::open(path, Path::new("a.yaml")).unwrap();
    ledger.begin(&run(1, RunState::Running), None).unwrap();
    ledger
}

fn report(step: u8) -> SentReport {
    SentReport { input: "scans".to_owned(), id: step.to_string(), ..SentReport::default() }
}

fn since(reports: &[SentReport]) -> SinceCheckpoint {
    SinceCheckpoint { reports: reports.to_vec(), ..SinceCheckpoint::default() }
}

#[test]
fn stored_checkpoint_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let ledger = Ledger::open(&path, Path::new("a.yaml")).unwrap();
    assert_eq!(ledger.checkpoint().unwrap(), None);
    ledger.begin(&run(1, RunState::Running), None).unwrap();
    ledger.store(&checkpoint(1), &since(&[report(1), report(2)])).unwrap();
    ledger.store(&checkpoint(2), &since(&[report(3)])).unwrap();
    drop(ledger);

    let ledger = Ledger::open(&path, Path::new("a.yaml")).unwrap();
    let stored = ledger.checkpoint().unwrap().unwrap();
    assert_eq!(stored, checkpoint(2));
    ledger.store(&checkpoint(3), &since(&[])).unwrap();
    assert_eq!(ledger.checkpoint().unwrap(), Some(checkpoint(3)), "between reports");
    ledger.store(&checkpoint(4), &since(&[])).unwrap();
    assert_eq!(ledger.reports().unwrap(), [report(1), report(2), report(3)]);
    ledger.begin(&run(2, RunState::Running), Some(&stored)).unwrap();
    assert_eq!(ledger.checkpoint().unwrap(), Some(checkpoint(4)));
    ledger
        .end(&run(2, RunState::Finished), &EndOfRun { since: since(&[report(4)]), ..EndOfRun::default() })
        .unwrap();
    assert_eq!(ledger.reports().unwrap().len(), 4);
    assert_eq!(ledger.checkpoint().unwrap(), None);
    assert_eq!(ledger.runs().unwrap(), [run(1, RunState::Running), run(2, RunState::Finished)]);
}

/// A changed pipeline continues with a part of the checkpoint: the rest must not come back in a later run.
#[test]
fn run_that_resumes_a_part_of_the_checkpoint_deletes_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_with_run(&folder.path().join("ledger.redb"));
    let mut part = Checkpoint { active_input: None, ..checkpoint(3) };
    part.positions.insert("other".to_owned(), vec![9]);
    ledger.store(&part, &since(&[])).unwrap();
    part.positions.remove("scans");
    part.outputs.remove("siem");
    ledger.begin(&run(2, RunState::Running), Some(&part)).unwrap();
    assert_eq!(ledger.checkpoint().unwrap(), Some(part));
}

#[test]
fn history_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger.redb"), Path::new("a.yaml")).unwrap();
    for number in 1..=MAX_RUNS + 5 {
        ledger.begin(&run(number, RunState::Running), None).unwrap();
    }
    let runs = ledger.runs().unwrap();
    assert_eq!((runs.len() as u64, runs[0].number), (MAX_RUNS, 6));
}

#[test]
fn ledger_belongs_to_one_pipeline_file_until_it_is_moved() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
    fs::write(&first, "").unwrap();
    fs::write(&second, "").unwrap();
    let path = folder.path().join("ledger.redb");
    drop(Ledger::open(&path, &first).unwrap());
    let error = Ledger::open(&path, &second).unwrap_err();
    assert!(error.message.contains("a.yaml") && error.exit_code == 78, "{error}");
    fs::remove_file(&first).unwrap();
    drop(Ledger::open(&path, &second).unwrap());
    fs::write(&first, "").unwrap();
    assert!(Ledger::open(&path, &first).unwrap_err().message.contains("b.yaml"));
}

/// A pipeline reached through a symbolic link keeps its state when the link points to the next release.
#[test]
fn symbolic_link_to_a_newer_release_keeps_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let release = |name: &str| {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("nightly.yaml"), "").unwrap();
        let current = folder.path().join("current");
        let _ = fs::remove_file(&current);
        std::os::unix::fs::symlink(name, &current).unwrap();
        current.join("nightly.yaml")
    };
    let path = folder.path().join("ledger.redb");
    drop(Ledger::open(&path, &release("1.0")).unwrap());
    drop(
        Ledger::open(&path, &folder.path().join("1.0/../1.0/nightly.yaml"))
            .expect("a different path of the same file"),
    );
    let current = release("1.1");
    drop(Ledger::open(&path, &current).expect("the same path as before"));
    let error = Ledger::open(&path, &folder.path().join("1.0/nightly.yaml")).unwrap_err();
    assert!(error.message.ends_with("current/nightly.yaml"), "{error}");
}

/// A corrupt ledger is either refused or read correctly, never replaced by a new one.
#[test]
fn corrupt_ledger_is_refused_and_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let ledger = ledger_with_run(&path);
    ledger.store(&checkpoint(1), &since(&[report(1)])).unwrap();
    drop(ledger);
    let valid = fs::read(&path).unwrap();
    let mut refused = 0;
    for step in 0..120 {
        let mut damaged = valid.clone();
        match step % 3 {
            0 => damaged.truncate(valid.len() * step / 120),
            1 => damaged[step * 37 % 4096] ^= 0x5a,
            _ => damaged[valid.len() / 2..].fill(u8::try_from(step).unwrap()),
        }
        fs::write(&path, &damaged).unwrap();
        match Ledger::open(&path, Path::new("a.yaml")).and_then(|ledger| ledger.checkpoint()) {
            Ok(stored) => assert_eq!(stored, Some(checkpoint(1)), "step {step}"),
            Err(error) => {
                refused += 1;
                assert!(error.message.contains("ledger.redb"), "{error}");
                if error.exit_code == 78 {
                    assert!(error.hint.unwrap().contains("scanbridge state reset"));
                }
            }
        }
    }
    assert!(refused > 40, "only {refused} of 120 damaged ledgers were refused");
}

/// The complete content of a ledger.
type Content = (Option<Checkpoint>, Option<String>, Vec<RunRecord>, Vec<SentReport>, PathBuf);

fn content(ledger: &Ledger) -> Result<Content, StateError> {
    let (runs, reports) = (ledger.runs()?, ledger.reports()?);
    Ok((ledger.checkpoint()?, ledger.stored()?, runs, reports, ledger.pipeline()?))
}

/// A single changed byte is refused, or has no effect.
#[test]
fn changed_byte_is_refused_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let ledger = ledger_with_run(&path);
    for step in 1..40 {
        ledger.store(&checkpoint(step), &since(&[report(step)])).unwrap();
    }
    let valid = content(&ledger).unwrap();
    drop(ledger);
    let bytes = fs::read(&path).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|offset| bytes[*offset] != 0).collect();
    let (mut refused, stride) = (0, used.len() / 500 + 1);
    for (number, offset) in used.iter().step_by(stride).enumerate() {
        let mut damaged = bytes.clone();
        damaged[*offset] ^= 1 << (number % 8);
        fs::write(&path, &damaged).unwrap();
        // An operator's command reads a copy; the next run opens the file.
        for opened in [Ledger::read_copy(&path), Ledger::open(&path, Path::new("a.yaml"))] {
            match opened.and_then(|ledger| content(&ledger)) {
                Ok(stored) => assert_eq!(stored, valid, "byte {offset}"),
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.exit_code, 78, "byte {offset}: {error}");
                }
            }
        }
    }
    assert!(refused > 20, "{refused} were refused");
}

#[test]
fn truncated_ledger_is_refused_as_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    drop(ledger_with_run(&path));
    let whole = fs::read(&path).unwrap();
    for length in [1, 100, 4096, whole.len() / 2] {
        fs::write(&path, &whole[..length]).unwrap();
        for opened in [Ledger::read_copy(&path), Ledger::open(&path, Path::new("a.yaml"))] {
            let error = opened.err().unwrap_or_else(|| panic!("{length} bytes were accepted"));
            assert_eq!(error.exit_code, 78, "{length} bytes: {error}");
        }
    }
}

#[test]
fn ledger_can_be_read_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let ledger = ledger_with_run(&path);
    ledger.store(&checkpoint(0), &since(&[])).unwrap();
    let last = std::sync::atomic::AtomicU8::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for step in 1..=100 {
                ledger.store(&checkpoint(step), &since(&[report(step)])).unwrap();
                last.store(step, std::sync::atomic::Ordering::SeqCst);
            }
        });
        let mut last_position = 0;
        while last_position < 100 {
            let expected_minimum = last.load(std::sync::atomic::Ordering::SeqCst);
            let stored = Ledger::read_copy(&path).unwrap();
            let position = stored.checkpoint().unwrap().unwrap().positions["scans"][0];
            // A copy that was made during a transaction can be that of the transaction before.
            assert!(
                position + 1 >= expected_minimum && position + 1 >= last_position,
                "{position} is older than {expected_minimum} or {last_position}"
            );
            assert_eq!(stored.reports().unwrap().len(), usize::from(position));
            assert!(stored.stored().unwrap().is_some());
            last_position = position;
        }
    });
}

#[test]
fn ledger_is_readable_by_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    drop(ledger_with_run(&path));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn dead_letters_of_invalid_rows_are_stored_with_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let ledger = ledger_with_run(&path);
    for (step, first) in [(1, 1), (2, 3)] {
        let rows = vec![(
            "scans".to_owned(),
            vec![
                format!("{{\"row\":{first}}}").into_bytes(),
                format!("{{\"row\":{}}}", first + 1).into_bytes(),
            ],
        )];
        let since = SinceCheckpoint { invalid_rows: rows, ..SinceCheckpoint::default() };
        ledger.store(&checkpoint(step), &since).unwrap();
    }
    assert_eq!(ledger.dead_letter_end("scans").unwrap(), DeadLetterEnd { number: 4, bytes: 36 });
    assert_eq!(ledger.remove_dead_letters("scans", u64::MAX, 0, &LetterFilter::default()).unwrap(), 4);
}

#[test]
fn ledger_with_much_free_space_is_made_smaller() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let ledger = ledger_with_run(&path);
    let letter = vec![b'x'; 1 << 20];
    for number in 0..100 {
        ledger.write_dead_letters("siem", number, std::slice::from_ref(&letter)).unwrap();
    }
    ledger.store(&checkpoint(1), &SinceCheckpoint::default()).unwrap();
    let size = || fs::metadata(&path).unwrap().len();
    let full = size();
    assert!(full > 100 << 20, "{full}");
    assert_eq!(ledger.dead_letter_end("siem").unwrap().number, 1);
    ledger.remove_dead_letters("siem", u64::MAX, 100, &LetterFilter::default()).unwrap();
    ledger.close();
    assert!(size() < 4 << 20, "{}", size());
    let ledger = Ledger::open(&path, Path::new("a.yaml")).unwrap();
    assert_eq!(ledger.checkpoint().unwrap().unwrap().positions, checkpoint(1).positions);
}

#[test]
fn summaries_and_counts_by_day_are_kept_also_in_an_older_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_with_run(&folder.path().join("ledger.redb"));
    assert!(ledger.summaries().unwrap().is_empty() && ledger.days().unwrap().is_empty());
    let counts = DayCounts { ok: 1, findings: 7, delivered: 14, ..DayCounts::default() };
    for number in 1..=MAX_RUNS + 3 {
        let ended = if number == 1 { "2026-01-30T23:59:59Z" } else { "2026-01-31T00:00:00Z" };
        let run = RunRecord { ended: Some(ended.to_owned()), ..run(number, RunState::Finished) };
        let summary = Some((format!("{{\"run\":{number}}}").into_bytes(), counts));
        ledger.end(&run, &EndOfRun { summary, ..EndOfRun::default() }).unwrap();
    }
    let summaries = ledger.summaries().unwrap();
    assert_eq!(summaries.len() as u64, MAX_RUNS);
    assert_eq!(summaries[0]["run"], 4);
    let days = ledger.days().unwrap();
    assert_eq!(days[0], ("2026-01-30".to_owned(), counts));
    let (day, all) = &days[1];
    assert_eq!((day.as_str(), all.ok, all.delivered), ("2026-01-31", MAX_RUNS + 2, 14 * (MAX_RUNS + 2)));
}

#[test]
fn discarding_an_interruption_keeps_everything_else() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_with_run(&folder.path().join("ledger.redb"));
    let keys = [("scans".to_owned(), [("file:1".to_owned(), Some(b"x".to_vec()))].into())].into();
    let since = SinceCheckpoint { keys, ..SinceCheckpoint::default() };
    ledger.store(&checkpoint(2), &since).unwrap();
    assert!(ledger.discard_checkpoint().unwrap());
    assert_eq!(ledger.checkpoint().unwrap(), None);
    assert_eq!(ledger.key("scans", "file:1").unwrap(), Some(b"x".to_vec()));
    assert_eq!(ledger.dead_letter_end("siem").unwrap().number, 2);
    assert_eq!(ledger.unconfirmed().unwrap().len(), 1);
    assert!(!ledger.discard_checkpoint().unwrap());
}

/// The keys by which a ledger of an earlier release knows findings have another form. They are made again.
#[test]
fn keys_of_an_earlier_rule_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let letter = DeadLetter {
        stage: Stage::Output { output: "siem".to_owned() },
        run: 1,
        first: String::new(),
        time: "2026-01-31T12:00:00Z".to_owned(),
        reason: "too long".to_owned(),
        attempts: 1,
        report: ReportRecord::default(),
        encryption: String::new(),
        record: Record::default(),
    };
    let key = letter.key().unwrap();
    let reject = |ledger: &Ledger, number: u64| {
        ledger.write_dead_letters("siem", number, &[letter.to_json()]).unwrap();
        ledger.remove_dead_letters("siem", 0, number, &LetterFilter::default()).unwrap();
    };
    let ledger = ledger_with_run(&path);
    reject(&ledger, 1);
    assert!(ledger.size_of_letter("siem", key).unwrap() > 0);
    ledger
        .change(|transaction| {
            transaction.delete_table(DEAD_LETTER_KEYS)?;
            transaction.open_table(EARLIER_KEYS)?.insert(("siem", 42), 1)?;
            Ok(())
        })
        .unwrap();
    drop(ledger);

    let ledger = Ledger::open(&path, Path::new("a.yaml")).unwrap();
    assert!(ledger.size_of_letter("siem", key).unwrap() > 0);
    assert!(!ledger.has_table(EARLIER_KEYS.name()).unwrap());
    reject(&ledger, 2);
    let counts = ledger.dead_letter_counts().unwrap();
    assert_eq!((counts.len(), counts[0].letters), (1, 1), "the finding has one dead letter");
}
