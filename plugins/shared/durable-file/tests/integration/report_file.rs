//! What a reader of the target may see and must never see.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use scanbridge_durable_file::{IfExists, ReportFile, Rotation, StartMode, Target};
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{ErrorKind, PluginError};

use crate::folder::{finish, names, read};

fn report(title: &str) -> ReportStart {
    ReportStart::default().with_title(title.to_owned())
}

fn write_report(file: &mut ReportFile, title: &str, records: &[&str], deliver: bool) {
    if file.begin(&report(title), false).unwrap() == StartMode::Empty {
        file.write(b"HEADER\n").unwrap();
    }
    for record in records {
        if file.record_boundary().unwrap() {
            file.write(b"HEADER\n").unwrap();
        }
        file.write(record.as_bytes()).unwrap();
    }
    finish(file, deliver).unwrap();
}

/// A target that is rotated when it has this many bytes.
fn in_pieces(path: &Path, max_bytes: u64) -> Target {
    let rotate = Rotation { max_bytes: Some(max_bytes), max_age: None };
    Target { rotate, ..Target::new(path) }
}

#[test]
fn the_name_appears_with_the_whole_report_and_no_sooner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    fs::write(&path, "of yesterday\n").unwrap();
    let mut file = ReportFile::open(Target::new(&path), None).unwrap();
    assert_eq!(names(folder.path()), ["out.csv"]);
    assert_eq!(file.begin(&report("a"), false).unwrap(), StartMode::Empty);
    file.write(b"one\n").unwrap();
    file.commit(b"").unwrap();
    assert_eq!(file.path(), folder.path().join(".out.csv.1.part"));
    assert_eq!(read(folder.path().join(".out.csv.1.part")), "one\n");
    file.end(true).unwrap();
    file.commit(b"").unwrap();
    assert_eq!(read(&path), "of yesterday\n");
    file.stored().unwrap();
    assert_eq!(read(&path), "one\n");
    assert_eq!(names(folder.path()), ["out.csv"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
}

#[test]
fn a_report_that_is_not_delivered_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut file = ReportFile::open(Target::new(&path), None).unwrap();
    write_report(&mut file, "cut", &["x\n"], false);
    assert_eq!(names(folder.path()), [""; 0]);
    write_report(&mut file, "whole", &["a\n"], true);
    write_report(&mut file, "cut", &["y\n"], false);
    assert_eq!(read(&path), "HEADER\na\n");
    write_report(&mut file, "whole too", &["b\n"], true);
    assert_eq!(read(&path), "HEADER\na\nb\n");
    file.begin(&report("dropped midway"), false).unwrap();
    file.write(b"z\n").unwrap();
    drop(file);
    assert_eq!(names(folder.path()), ["out.csv"]);
    assert_eq!(read(&path), "HEADER\na\nb\n");
}

/// Replayed dead letters that are all rejected again must leave no trace in the file.
#[test]
fn report_without_records_makes_a_new_table_but_adds_nothing_to_a_file() {
    for (if_exists, existing, expected) in [
        (IfExists::Replace, None, Some("HEADER\n")),
        (IfExists::Replace, Some("of yesterday\n"), Some("HEADER\n")),
        (IfExists::Fail, None, Some("HEADER\n")),
        (IfExists::Append, None, None),
        (IfExists::Append, Some("of yesterday\n"), Some("of yesterday\n")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        existing.iter().for_each(|text| fs::write(&path, text).unwrap());
        let mut file = ReportFile::open(Target { if_exists, ..Target::new(&path) }, None).unwrap();
        let write_head = |file: &mut ReportFile| {
            file.begin(&report("empty"), false).unwrap();
            file.write_head(b"HEADER\n").unwrap();
            file.write(b"").unwrap();
            file.commit(b"").unwrap(); // A checkpoint within the report changes nothing.
            assert!(file.record_boundary().is_ok_and(|is_new| !is_new));
        };
        write_head(&mut file);
        assert_eq!(file.end(true).unwrap(), expected == Some("HEADER\n"), "{if_exists:?} {existing:?}");
        file.commit(b"").unwrap();
        file.stored().unwrap();
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), expected, "{if_exists:?} {existing:?}");
        // A second report of the run with the same name.
        write_head(&mut file);
        finish(&mut file, true).unwrap();
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), expected, "{if_exists:?} {existing:?}");
        write_head(&mut file);
        file.write(b"record\n").unwrap();
        finish(&mut file, true).unwrap();
        let before = expected.unwrap_or_default();
        assert_eq!(read(&path), format!("{before}HEADER\nrecord\n"), "{if_exists:?} {existing:?}");
        assert_eq!(names(folder.path()), ["out.csv"]);
    }
}

#[test]
fn a_reader_who_opened_the_file_keeps_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut file = ReportFile::open(Target::new(&path), None).unwrap();
    write_report(&mut file, "1", &["a\n"], true);
    let before = fs::metadata(&path).unwrap().ino();
    file.begin(&report("2"), false).unwrap();
    file.write(b"b\n").unwrap();
    file.commit(b"").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(read(&path), "HEADER\na\n");
    finish(&mut file, true).unwrap();
    assert_ne!(fs::metadata(&path).unwrap().ino(), before);
}

#[test]
fn if_exists_replace_append_fail() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let run = |if_exists| -> Result<String, PluginError> {
        let mut file = ReportFile::open(Target { if_exists, ..Target::new(&path) }, None)?;
        write_report(&mut file, "r", &["x\n"], true);
        Ok(read(&path))
    };
    assert_eq!(run(IfExists::Fail), Ok("HEADER\nx\n".to_owned()));
    assert_eq!(run(IfExists::Append), Ok("HEADER\nx\nx\n".to_owned()));
    let error = run(IfExists::Fail).unwrap_err();
    assert_eq!(error.kind, ErrorKind::CannotCreate);
    assert!(error.message.contains("out.csv already exists"), "{error}");
    assert_eq!(run(IfExists::Replace), Ok("HEADER\nx\n".to_owned()));
    fs::remove_file(&path).unwrap();
    assert_eq!(run(IfExists::Append), Ok("HEADER\nx\n".to_owned()));
}

#[test]
fn a_file_that_comes_meanwhile_is_not_overwritten_when_it_must_be_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut file =
        ReportFile::open(Target { if_exists: IfExists::Fail, ..Target::new(&path) }, None).unwrap();
    file.begin(&report("r"), false).unwrap();
    fs::write(&path, "of another program").unwrap();
    assert_eq!(finish(&mut file, true).unwrap_err().kind, ErrorKind::CannotCreate);
    assert_eq!(read(&path), "of another program");
    assert_eq!(names(folder.path()), [".out.csv.1.part", "out.csv"]);
    // The complete report is not lost: it is published when the other file was moved away.
    fs::remove_file(&path).unwrap();
    file.stored().unwrap();
    assert_eq!(names(folder.path()), ["out.csv"]);
}

#[test]
fn each_report_may_have_its_own_file_and_chooses_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = ReportFile::open(Target::new(folder.path().join("f-{report}.csv")), None).unwrap();
    for title in ["../../etc/passwd", "Weekly", "/etc/shadow", "Weekly", "a\0b"] {
        write_report(&mut file, title, &["x\n"], true);
    }
    assert_eq!(names(folder.path()), ["f-Weekly.csv", "f-a_b.csv", "f-etc_passwd.csv", "f-etc_shadow.csv"]);
    assert_eq!(read(folder.path().join("f-Weekly.csv")), "HEADER\nx\nx\n");
}

#[test]
fn pieces_are_cut_between_records_and_appear_together() {
    let folder = tempfile::tempdir().unwrap();
    let target = in_pieces(&folder.path().join("out.csv"), 12);
    for number in 1..=9 {
        fs::write(folder.path().join(format!("out.{number:04}.csv")), "old").unwrap();
    }
    fs::write(folder.path().join("out.2025.csv"), "another program's own").unwrap();
    let mut file = ReportFile::open(target.clone(), None).unwrap();
    write_report(&mut file, "1", &["aaaa\n", "bbbb\n", "cccc\n"], true);
    // HEADER + aaaa = 12 bytes: full. So each piece has one record.
    assert_eq!(names(folder.path()), ["out.0001.csv", "out.0002.csv", "out.0003.csv", "out.2025.csv"]);
    assert_eq!(read(folder.path().join("out.0003.csv")), "HEADER\ncccc\n");
    write_report(&mut file, "2", &["d\n"], true);
    write_report(&mut file, "3", &["e\n", "f\n", "g\n"], false);
    write_report(&mut file, "4", &["h\n", "i\n", "j\n"], true);
    assert_eq!(read(folder.path().join("out.0004.csv")), "HEADER\nd\nh\ni\n");
    assert_eq!(read(folder.path().join("out.0005.csv")), "HEADER\nj\n");
    assert_eq!(names(folder.path()).len(), 6);
    drop(file);

    let mut file = ReportFile::open(Target { if_exists: IfExists::Append, ..target }, None).unwrap();
    write_report(&mut file, "5", &["k\n", "l\n", "m\n"], true);
    assert_eq!(read(folder.path().join("out.0005.csv")), "HEADER\nj\nk\nl\n");
    assert_eq!(read(folder.path().join("out.0006.csv")), "HEADER\nm\n");
}

#[test]
fn a_last_piece_that_stays_empty_does_not_appear() {
    let folder = tempfile::tempdir().unwrap();
    let target = in_pieces(&folder.path().join("out.csv"), 2);
    let mut file = ReportFile::open(target, None).unwrap();
    file.begin(&report("1"), false).unwrap();
    for record in [b"a\n", b"b\n"] {
        file.write(record).unwrap();
        assert!(file.record_boundary().unwrap());
    }
    finish(&mut file, true).unwrap();
    assert_eq!(names(folder.path()), ["out.0001.csv", "out.0002.csv"]);
    // The next report starts with what the last one published, and is written after it.
    file.begin(&report("2"), false).unwrap();
    file.write(b"c\n").unwrap();
    finish(&mut file, true).unwrap();
    assert_eq!(names(folder.path()), ["out.0001.csv", "out.0002.csv", "out.0003.csv"]);
    assert_eq!(read(folder.path().join("out.0003.csv")), "c\n");
}

#[test]
fn pieces_that_must_be_new_appear_all_or_none() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("out.0002.csv"), "old").unwrap();
    let target = Target { if_exists: IfExists::Fail, ..in_pieces(&folder.path().join("out.csv"), 11) };
    let mut file = ReportFile::open(target, None).unwrap();
    file.begin(&report("1"), false).unwrap();
    for record in ["full piece\n"; 3] {
        file.record_boundary().unwrap();
        file.write(record.as_bytes()).unwrap();
    }
    let error = finish(&mut file, true).unwrap_err();
    assert_eq!(error.kind, ErrorKind::CannotCreate);
    assert!(error.message.contains("out.0002.csv already exists"), "{error}");
    assert!(names(folder.path()).iter().all(|name| name.starts_with('.') || name == "out.0002.csv"));
    assert_eq!(read(folder.path().join("out.0002.csv")), "old");
    // Once the file is removed, the same run may write two more reports: its own files are not a reason to refuse.
    fs::remove_file(folder.path().join("out.0002.csv")).unwrap();
    file.stored().unwrap();
    assert_eq!(names(folder.path()), ["out.0001.csv", "out.0002.csv", "out.0003.csv"]);
    write_report(&mut file, "2", &["a\n"], true);
    write_report(&mut file, "3", &["d\n", "e\n"], true);
    assert_eq!(read(folder.path().join("out.0004.csv")), "HEADER\na\nd\n");
    assert_eq!(read(folder.path().join("out.0005.csv")), "HEADER\ne\n");
}

#[test]
fn publication_of_pieces_resumes_after_a_failed_rename() {
    let folder = tempfile::tempdir().unwrap();
    // A file cannot be renamed over a directory.
    fs::create_dir(folder.path().join("out.0003.csv")).unwrap();
    fs::write(folder.path().join("out.0001.csv"), "old").unwrap();
    let target = in_pieces(&folder.path().join("out.csv"), 1);
    let mut file = ReportFile::open(target.clone(), None).unwrap();
    file.begin(&report("1"), false).unwrap();
    for record in [b"a\n", b"b\n", b"c\n"] {
        file.record_boundary().unwrap();
        file.write(record).unwrap();
    }
    file.end(true).unwrap();
    let receipt = file.commit(b"").unwrap();
    let error = file.stored().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.message.contains("out.0003.csv"), "{error}");
    drop(file);
    let left = [".out.csv.1-0003.part", "out.0001.csv", "out.0002.csv", "out.0003.csv"];
    assert_eq!(names(folder.path()), left);
    fs::remove_dir(folder.path().join("out.0003.csv")).unwrap();
    ReportFile::open(target, Some(&receipt)).unwrap();
    assert_eq!(names(folder.path()), ["out.0001.csv", "out.0002.csv", "out.0003.csv"]);
    assert_eq!(read(folder.path().join("out.0003.csv")), "c\n");
}

/// What another program does between the copy and the publication.
#[test]
fn file_that_was_changed_since_its_copy_is_not_overwritten() {
    type Change = fn(&Path);
    let append: Change = |path| {
        fs::File::options().append(true).open(path).unwrap().write_all(b"more\n").unwrap();
    };
    let replace: Change = |path| {
        fs::write(path.with_extension("new"), "old\n").unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    };
    let empty: Change = |path| fs::write(path, "").unwrap();
    let remove: Change = |path| fs::remove_file(path).unwrap();
    for (change, is_refused) in [(append, true), (replace, true), (empty, false), (remove, false)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        fs::write(&path, "old\n").unwrap();
        let target = Target { if_exists: IfExists::Append, ..Target::new(&path) };
        let mut file = ReportFile::open(target.clone(), None).unwrap();
        assert_eq!(file.begin(&report("1"), false).unwrap(), StartMode::Behind);
        file.write(b"x\n").unwrap();
        file.end(true).unwrap();
        let receipt = file.commit(b"").unwrap();
        change(&path);
        if is_refused {
            let before = read(&path);
            let error = file.stored().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Io);
            assert!(error.message.ends_with("out.csv was changed by another program"), "{error}");
            assert!(error.hint.unwrap().contains(".out.csv.1.part"));
            assert_eq!((read(&path), names(folder.path()).len()), (before, 2));
            fs::rename(&path, folder.path().join("moved")).unwrap();
            drop(file);
            ReportFile::open(target, Some(&receipt)).unwrap();
        } else {
            file.stored().unwrap();
        }
        assert_eq!(read(&path), "old\nx\n");
    }
}

#[test]
fn run_without_a_receipt_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let count = || fs::read_dir(folder.path()).unwrap().count();
    let file = ReportFile::open(in_pieces(&folder.path().join("out.csv"), 1), None).unwrap();
    assert!(file.check().verdict() == scanbridge_plugin_api::Verdict::Ok);
    assert_eq!(count(), 0, "only opened");
    drop(file);
    let mut file = ReportFile::open(in_pieces(&folder.path().join("out.csv"), 1), None).unwrap();
    file.begin(&report("1"), false).unwrap();
    for record in [b"a\n", b"b\n"] {
        file.record_boundary().unwrap();
        file.write(record).unwrap();
    }
    assert_eq!(count(), 3, "two parts and a lock");
    drop(file);
    assert_eq!(count(), 0);
}

#[test]
fn no_piece_appears_before_the_report_ends() {
    let folder = tempfile::tempdir().unwrap();
    let target = in_pieces(&folder.path().join("out.csv"), 1);
    let mut file = ReportFile::open(target, None).unwrap();
    file.begin(&report("1"), false).unwrap();
    for _ in 0..50 {
        file.write(b"x\n").unwrap();
        file.record_boundary().unwrap();
    }
    assert!(names(folder.path()).iter().all(|name| name.starts_with('.')));
    finish(&mut file, false).unwrap();
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn an_old_piece_is_ended_by_its_age() {
    let folder = tempfile::tempdir().unwrap();
    let rotate = Rotation { max_bytes: None, max_age: Some(Duration::from_millis(30)) };
    let target = Target { rotate, ..Target::new(folder.path().join("out")) };
    let mut file = ReportFile::open(target, None).unwrap();
    assert_eq!(file.begin(&report("1"), false).unwrap(), StartMode::Empty);
    file.write(b"a\n").unwrap();
    std::thread::sleep(Duration::from_millis(40));
    assert!(file.record_boundary().unwrap());
    assert!(!file.record_boundary().unwrap(), "an empty piece is not ended");
    file.write(b"b\n").unwrap();
    finish(&mut file, true).unwrap();
    assert_eq!(names(folder.path()), ["out.0001", "out.0002"]);
}

#[test]
fn a_finished_file_may_be_taken_away_but_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut file = ReportFile::open(Target::new(&path), None).unwrap();
    write_report(&mut file, "1", &["a\n"], true);
    fs::remove_file(&path).unwrap();
    write_report(&mut file, "2", &["b\n"], true);
    assert_eq!(read(&path), "HEADER\nb\n");
    let other = folder.path().join("other");
    fs::write(&other, "of another program").unwrap();
    fs::rename(&other, &path).unwrap();
    let error = file.begin(&report("3"), false).unwrap_err();
    assert!(error.message.contains("replaced or truncated by another program"), "{error}");
    assert!(error.hint.unwrap().contains("`{report}`"));
    assert_eq!(read(&path), "of another program");
}

/// What `logrotate` leaves with `create` and with `copytruncate`.
#[test]
fn emptied_file_is_started_again() {
    for rotate in [None, Some(100)] {
        let folder = tempfile::tempdir().unwrap();
        let target =
            Target { rotate: Rotation { max_bytes: rotate, max_age: None }, ..target_in(folder.path()) };
        let path = folder.path().join(if rotate.is_some() { "out.0001.csv" } else { "out.csv" });
        let mut file = ReportFile::open(target, None).unwrap();
        write_report(&mut file, "1", &["a\n"], true);
        fs::rename(&path, folder.path().join("rotated")).unwrap();
        fs::write(&path, "").unwrap();
        write_report(&mut file, "2", &["b\n"], true);
        let next = if rotate.is_some() { folder.path().join("out.0002.csv") } else { path.clone() };
        assert_eq!(read(&next), "HEADER\nb\n");
        fs::File::options().write(true).open(&next).unwrap().set_len(0).unwrap();
        write_report(&mut file, "3", &["c\n"], true);
        let last = if rotate.is_some() { folder.path().join("out.0003.csv") } else { path };
        assert_eq!(read(&last), "HEADER\nc\n");
        assert_eq!(read(folder.path().join("rotated")), "HEADER\na\n");
    }
}

fn target_in(folder: &Path) -> Target {
    Target::new(folder.join("out.csv"))
}

#[test]
fn bad_places_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let kind = |path: &Path| ReportFile::open(Target::new(path), None).unwrap_err();
    let missing = kind(&folder.path().join("no/out.csv"));
    assert_eq!(missing.kind, ErrorKind::CannotCreate);
    assert!(missing.message.contains("no/out.csv"), "{missing}");
    assert!(missing.hint.unwrap().contains("mkdir -p"));
    assert_eq!(kind(folder.path()).kind, ErrorKind::CannotCreate);
    assert_eq!(kind(Path::new("/")).kind, ErrorKind::Config);
    assert_eq!(kind(&folder.path().join("{date}/x")).kind, ErrorKind::Config);
    // Even root cannot create a file here; only an attempt shows that.
    let mut file = ReportFile::open(Target::new("/proc/out.csv"), None).unwrap();
    assert_eq!(file.begin(&report("r"), false).unwrap_err().kind, ErrorKind::CannotCreate);
}

/// In a directory that others can write to.
#[test]
fn prepared_links_are_not_used_as_part_files() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, folder.path().join(".out.csv.1.part")).unwrap();
    fs::hard_link(&victim, folder.path().join(".out.csv.7.part")).unwrap();
    let path = folder.path().join("out.csv");
    let mut file = ReportFile::open(Target::new(&path), None).unwrap();
    file.begin(&report("r"), false).unwrap();
    assert_eq!(file.path(), folder.path().join(".out.csv.8.part"));
    finish(&mut file, true).unwrap();
    assert_eq!(names(folder.path()), ["out.csv", "victim"]);
    assert_eq!(read(&victim), "precious");

    // A link that takes the place of a part later.
    file.begin(&report("r"), false).unwrap();
    fs::remove_file(folder.path().join(".out.csv.9.part")).unwrap();
    fs::hard_link(&victim, folder.path().join(".out.csv.9.part")).unwrap();
    let error = finish(&mut file, true).unwrap_err();
    assert_eq!(error.kind, ErrorKind::CannotCreate);
    assert!(error.message.contains(".out.csv.9.part is a hard link to another file"), "{error}");
    assert_eq!(read(&victim), "precious");
}

#[test]
fn a_link_as_target_is_replaced_and_its_end_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let path = folder.path().join("out.csv");
    symlink(&victim, &path).unwrap();
    let mut file = ReportFile::open(Target::new(&path), None).unwrap();
    write_report(&mut file, "r", &["x\n"], true);
    assert_eq!(read(&victim), "precious");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn large_and_small_writes_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let mut file = ReportFile::open(Target::new(&path), None).unwrap();
    file.begin(&report("r"), false).unwrap();
    let mut expected = Vec::new();
    for size in [1, 300_000, 7, 131_072, 131_073, 0, 65_536, 65_537, 3] {
        let record = vec![b'a' + (size % 26) as u8; size];
        file.write_all(&record).unwrap();
        expected.extend(record);
    }
    file.commit(b"").unwrap();
    finish(&mut file, true).unwrap();
    assert_eq!(fs::read(&path).unwrap(), expected);
}

#[test]
fn calls_in_a_wrong_order_are_bugs() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = ReportFile::open(Target::new(folder.path().join("out")), None).unwrap();
    assert_eq!(file.write(b"x").unwrap_err().kind, ErrorKind::Bug);
    assert_eq!(file.end(true).unwrap_err().kind, ErrorKind::Bug);
    file.stored().unwrap();
    file.begin(&report("r"), false).unwrap();
    assert_eq!(file.begin(&report("r"), false).unwrap_err().kind, ErrorKind::Bug);
    file.end(true).unwrap();
    assert_eq!(file.stored().unwrap_err().kind, ErrorKind::Bug);
    file.commit(b"").unwrap();
    assert_eq!(file.begin(&report("r"), false).unwrap_err().kind, ErrorKind::Bug);
    assert!(names(folder.path()).iter().all(|name| name.starts_with('.')));
}
