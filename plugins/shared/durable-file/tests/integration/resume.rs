//! Resuming with a receipt, as an output does. Unit tests next to the code interrupt each step on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use scanbridge_durable_file::{IfExists, ReportFile, Rotation, StartMode, Target};
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{ErrorKind, PluginError, Receipt};

use crate::folder::{finish, names, on_a_small_disk, read};

fn report(id: &str) -> ReportStart {
    ReportStart::default().with_id(id.to_owned())
}

/// A directory in which a run was interrupted after a commit of `one\n`.
struct Interrupted {
    folder: tempfile::TempDir,
    path: PathBuf,
    receipt: Receipt,
}

impl Interrupted {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut file = ReportFile::open(Target::new(&path), None).unwrap();
        file.begin(&report("r"), false).unwrap();
        file.write(b"one\n").unwrap();
        let receipt = file.commit(b"state").unwrap();
        file.write(b"lost\n").unwrap();
        Self { folder, path, receipt }
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join(".out.csv.1.part")
    }

    fn resume(&self) -> Result<String, PluginError> {
        let mut file = ReportFile::open(Target::new(&self.path), Some(&self.receipt))?;
        assert_eq!(file.begin(&report("r"), true)?, StartMode::Continued(b"state".to_vec()));
        file.write(b"two\n")?;
        finish(&mut file, true)?;
        Ok(read(&self.path))
    }
}

#[test]
fn resume_appends_after_committed_bytes() {
    let run = Interrupted::new();
    assert_eq!(names(run.folder.path()), [".out.csv.1.part"]);
    // The bytes that a killed process wrote after the commit are truncated.
    fs::write(run.part(), "one\nhalf a rec").unwrap();
    assert_eq!(run.resume(), Ok("one\ntwo\n".to_owned()));
    assert_eq!(names(run.folder.path()), ["out.csv"]);
}

#[test]
fn report_begun_again_rolls_back_the_interrupted_one() {
    for (start, is_continued) in [(report("r"), false), (report("other"), false), (report("other"), true)] {
        let run = Interrupted::new();
        let mut file = ReportFile::open(Target::new(&run.path), Some(&run.receipt)).unwrap();
        assert_eq!(file.begin(&start, is_continued).unwrap(), StartMode::Empty);
        file.write(b"new\n").unwrap();
        // The stored receipt may still be the old one.
        assert_eq!(names(run.folder.path()), [".out.csv.1.part", ".out.csv.2.part"]);
        finish(&mut file, true).unwrap();
        assert_eq!(read(&run.path), "new\n");
        assert_eq!(names(run.folder.path()), ["out.csv"]);
    }
}

#[test]
fn a_run_that_has_nothing_more_to_do_leaves_the_part_as_it_is() {
    let run = Interrupted::new();
    let mut file = ReportFile::open(Target::new(&run.path), Some(&run.receipt)).unwrap();
    assert_eq!(file.commit(b"").unwrap(), run.receipt);
    drop(file);
    assert_eq!(run.resume(), Ok("one\ntwo\n".to_owned()));
}

#[test]
fn missing_or_truncated_part_is_named() {
    let cut = |run: &Interrupted| fs::write(run.part(), "on").unwrap();
    let remove = |run: &Interrupted| fs::remove_file(run.part()).unwrap();
    for damage in [&cut as &dyn Fn(&Interrupted), &remove] {
        let run = Interrupted::new();
        damage(&run);
        let error = run.resume().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Io);
        assert!(
            error.message.contains(".out.csv.1.part is missing, or was changed since the interrupted run"),
            "{error}"
        );
        assert!(error.hint.unwrap().contains("scanbridge run --restart"));
        // Starting from the beginning, as `--restart` does, does not need the part file.
        let mut file = ReportFile::open(Target::new(&run.path), Some(&run.receipt)).unwrap();
        assert_eq!(file.begin(&report("r"), false).unwrap(), StartMode::Empty);
    }
}

#[test]
fn damaged_and_foreign_receipts_are_refused_with_the_way_out() {
    let run = Interrupted::new();
    let sound = String::from_utf8(run.receipt.0.clone()).unwrap();
    for (damaged, problem) in [
        (String::new(), "is corrupt"),
        (sound.replace('\n', " "), "is corrupt"),
        (sound[..40].to_owned() + "\n", "is corrupt"),
        (
            sound.replace("\"version\":2", "\"version\":1"),
            "has version 1, but this release supports version 2",
        ),
        (
            sound.replace("\"name\":\"out.csv\"", "\"name\":\"../out.csv\""),
            "is corrupt: a file in another directory",
        ),
        (sound.replace("\"name\":\"out.csv\"", "\"name\":\"..\""), "is corrupt: a file in another directory"),
        (sound.replace("[\"out.csv\"]", "[\"a/out.csv\"]"), "is corrupt: a file in another directory"),
        (sound.replace("\"count\":1", "\"count\":0"), "is corrupt: invalid number of files"),
        (sound.replace("\"count\":1", "\"count\":2"), "different rotation settings"),
        (sound.replace("\"first\":0", "\"first\":1"), "different rotation settings"),
        (sound.replace("\"first\":0", "\"first\":4294967295"), "different rotation settings"),
        (sound.replace("{\"number\":1", "{\"number\":2"), "is corrupt: invalid number of a part file"),
        (sound.replace("\"length\":4", "\"length\":-1"), "is corrupt"),
        (sound.replace("\"forgot\":false", "\"forgot\":false,\"more\":1"), "is corrupt: unknown field"),
        (sound.replace("out.csv\",\"started", "x.csv\",\"started"), "belongs to another `path`"),
    ] {
        let receipt = Receipt(damaged.clone().into_bytes());
        let error = ReportFile::open(Target::new(&run.path), Some(&receipt)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config, "{damaged}");
        assert!(error.message.contains("out.csv") && error.message.contains(problem), "{damaged}: {error}");
        let hint = error.hint.unwrap();
        assert!(hint.contains("scanbridge run --restart") && hint.contains("scanbridge state reset"));
    }
    assert_eq!(run.resume(), Ok("one\ntwo\n".to_owned()), "none of them has touched the part");
}

#[test]
fn the_day_in_the_name_is_that_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::new(folder.path().join("{date}.csv"));
    let mut file = ReportFile::open(target.clone(), None).unwrap();
    let text = String::from_utf8(file.commit(b"").unwrap().0).unwrap();
    drop(file);
    let today = text.split("\"started\":").nth(1).unwrap().split(',').next().unwrap();
    let open = |milliseconds: &str| {
        let receipt = Receipt(text.replace(today, milliseconds).into_bytes());
        ReportFile::open(target.clone(), Some(&receipt))
    };
    let mut file = open("981158400000").unwrap();
    file.begin(&report("r"), false).unwrap();
    finish(&mut file, true).unwrap();
    assert_eq!(names(folder.path()), ["2001-02-03.csv"]);
    assert_eq!(open("18446744073709551615").unwrap_err().kind, ErrorKind::Config);
    assert_eq!(open("\"../../etc\"").unwrap_err().kind, ErrorKind::Config);
}

#[test]
fn a_receipt_stays_small_whatever_the_report_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = ReportFile::open(Target::new(folder.path().join("{report}.csv")), None).unwrap();
    let long = "\u{1}x".repeat(50_000);
    let start = report("a").with_title(long.clone()).with_time(long.clone()).with_path(long);
    file.begin(&start, false).unwrap();
    assert!(file.commit(b"").unwrap().0.len() < 5_000);
    finish(&mut file, true).unwrap();
    let small = file.commit(b"").unwrap().0.len();
    for number in 0..100 {
        file.begin(&report(&format!("scan-{number:03}")), false).unwrap();
        finish(&mut file, true).unwrap();
    }
    assert!((file.commit(b"").unwrap().0.len() - small) / 100 < 150);
}

#[test]
fn a_file_that_a_reader_took_away_or_another_program_replaced_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut file = ReportFile::open(Target::new(&path), None).unwrap();
    file.begin(&report("1"), false).unwrap();
    file.write(b"one\n").unwrap();
    let receipt = finish(&mut file, true).unwrap();
    drop(file);
    // Moved, not deleted: the file system could give its inode number to the file of the other program.
    fs::rename(&path, folder.path().join("taken")).unwrap();
    ReportFile::open(Target::new(&path), Some(&receipt)).unwrap();
    assert!(!path.exists());
    fs::write(folder.path().join("other"), "longer, and of another program\n").unwrap();
    fs::rename(folder.path().join("other"), &path).unwrap();
    let mut file = ReportFile::open(Target::new(&path), Some(&receipt)).unwrap();
    assert!(
        file.begin(&report("2"), false)
            .unwrap_err()
            .message
            .contains("replaced or truncated by another program")
    );
    assert_eq!(read(&path), "longer, and of another program\n");
}

/// The part of a report that is not delivered is needed as long as the receipt in it may be the stored one.
#[test]
fn withdrawn_report_keeps_its_part_until_that_is_stored() {
    let run = Interrupted::new();
    let mut file = ReportFile::open(Target::new(&run.path), Some(&run.receipt)).unwrap();
    file.begin(&report("r"), true).unwrap();
    file.end(false).unwrap();
    let withdrawn = file.commit(b"").unwrap();
    drop(file);
    assert_eq!(names(run.folder.path()), [".out.csv.1.part"]);
    assert_eq!(run.resume(), Ok("one\ntwo\n".to_owned()));

    let run = Interrupted::new();
    let file = ReportFile::open(Target::new(&run.path), Some(&withdrawn));
    assert_eq!(file.unwrap_err().kind, ErrorKind::Config, "of another path");
    let mut file = ReportFile::open(Target::new(&run.path), Some(&run.receipt)).unwrap();
    file.begin(&report("r"), true).unwrap();
    file.end(false).unwrap();
    let withdrawn = file.commit(b"").unwrap();
    drop(file);
    ReportFile::open(Target::new(&run.path), Some(&withdrawn)).unwrap();
    assert_eq!(names(run.folder.path()), [""; 0]);
}

/// A crash between the storing of the receipt and `stored`.
#[test]
fn open_with_the_receipt_of_an_end_publishes() {
    let run = Interrupted::new();
    let mut file = ReportFile::open(Target::new(&run.path), Some(&run.receipt)).unwrap();
    file.begin(&report("r"), true).unwrap();
    file.write(b"two\n").unwrap();
    file.end(true).unwrap();
    let receipt = file.commit(b"").unwrap();
    drop(file);
    assert_eq!(names(run.folder.path()), [".out.csv.1.part"]);
    for _ in 0..2 {
        let mut file = ReportFile::open(Target::new(&run.path), Some(&receipt)).unwrap();
        file.stored().unwrap();
        assert_eq!(read(&run.path), "one\ntwo\n");
        assert_eq!(names(run.folder.path()), ["out.csv"]);
    }
}

#[test]
fn many_pieces_resume_after_the_last_one_under_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    let rotate = Rotation { max_bytes: Some(4), max_age: None };
    let target = Target { rotate, if_exists: IfExists::Fail, ..Target::new(folder.path().join("out")) };
    let mut file = ReportFile::open(target.clone(), None).unwrap();
    file.begin(&report("r"), false).unwrap();
    for record in ["aaaa\n", "bbbb\n", "cc\n"] {
        file.record_boundary().unwrap();
        file.write(record.as_bytes()).unwrap();
    }
    let receipt = file.commit(b"").unwrap();
    for record in ["lost\n"; 5] {
        file.record_boundary().unwrap();
        file.write(record.as_bytes()).unwrap();
    }
    drop(file);
    let mut file = ReportFile::open(target.clone(), Some(&receipt)).unwrap();
    let error = ReportFile::open(target, Some(&receipt)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::CannotCreate);
    assert_eq!(file.begin(&report("r"), true).unwrap(), StartMode::Continued(Vec::new()));
    file.write(b"dd\n").unwrap();
    finish(&mut file, true).unwrap();
    drop(file);
    assert_eq!(names(folder.path()), ["out.0001", "out.0002", "out.0003"]);
    assert_eq!(read(folder.path().join("out.0003")), "cc\ndd\n");
}

/// The output declares `resume: none` for it: the host sends the report again.
#[test]
fn receipt_of_a_device_resumes_nothing() {
    let target = Target::new("/dev/null");
    let mut file = ReportFile::open(target.clone(), None).unwrap();
    assert_eq!(file.begin(&report("1"), false).unwrap(), StartMode::Empty);
    let within = file.commit(b"x").unwrap();
    finish(&mut file, true).unwrap();
    let mut file = ReportFile::open(target, Some(&within)).unwrap();
    assert_eq!(file.begin(&report("1"), true).unwrap(), StartMode::Empty);
}

#[test]
fn run_resumes_after_disk_full() {
    let folder = tempfile::tempdir().unwrap();
    let Some(outcome) = on_a_small_disk(folder.path(), fill_and_resume) else { return };
    let (full, names, text) = outcome.unwrap();
    assert_eq!(full.kind, ErrorKind::Io);
    let hint = full.hint.unwrap();
    // Full pages of what did not fit are in the file, too.
    let size = hint
        .split_once("/.out.csv.1.part (")
        .and_then(|(_, rest)| rest.split_once(" bytes) has what was written"));
    let (size, rest) = size.unwrap_or_else(|| panic!("{hint}"));
    assert!((100_000..300_000).contains(&size.parse::<u64>().unwrap()), "{hint}");
    assert!(rest.contains("a run that resumes continues it at its last checkpoint"), "{hint}");
    assert_eq!(names, [".out.csv.1.part", "in the way"], "no incomplete file has the final name");
    assert!(text == "x".repeat(300_000));
}

fn fill_and_resume(folder: &Path) -> Result<(PluginError, Vec<String>, String), PluginError> {
    let target = Target::new(folder.join("out.csv"));
    fs::write(folder.join("in the way"), vec![0; 800_000]).unwrap();
    let mut file = ReportFile::open(target.clone(), None)?;
    file.begin(&report("r"), false)?;
    file.write(&[b'x'; 100_000])?;
    let receipt = file.commit(b"")?;
    // The bytes that fit are written to disk; the rest are not.
    let full = file.write(&[b'x'; 200_000]).and_then(|()| file.commit(b"").map(|_| ())).unwrap_err();
    drop(file);
    let names = names(folder);
    fs::remove_file(folder.join("in the way")).unwrap();
    let mut file = ReportFile::open(target, Some(&receipt))?;
    file.begin(&report("r"), true)?;
    file.write(&[b'x'; 200_000])?;
    finish(&mut file, true)?;
    Ok((full, names, read(folder.join("out.csv"))))
}
