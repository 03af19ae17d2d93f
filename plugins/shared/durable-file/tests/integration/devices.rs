//! Devices, pipes and full disks.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use scanbridge_durable_file::{ReportFile, StartMode, Target};
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{ErrorKind, Result};

use crate::folder::{finish, names, on_a_small_disk, read};

#[test]
fn a_full_device_is_an_error_that_names_it() {
    let mut file = ReportFile::open(Target::new("/dev/full"), None).unwrap();
    assert_eq!(file.begin(&ReportStart::default(), false).unwrap(), StartMode::Empty);
    file.write(b"small enough to be buffered").unwrap();
    let error = file.end(true).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.message.contains("/dev/full"), "{error}");
    assert!(file.check().verdict() == scanbridge_plugin_api::Verdict::Ok);
}

#[test]
fn a_device_gets_its_header_once() {
    let mut file = ReportFile::open(Target::new("/dev/null"), None).unwrap();
    assert_eq!(file.begin(&ReportStart::default(), false).unwrap(), StartMode::Empty);
    file.write(&[b'x'; 200_000]).unwrap();
    assert!(!file.record_boundary().unwrap());
    file.commit(b"").unwrap();
    finish(&mut file, false).unwrap();
    assert_eq!(file.begin(&ReportStart::default(), false).unwrap(), StartMode::Behind);
    finish(&mut file, true).unwrap();
    assert!(!Path::new("/dev/.null.1.part").exists() && !Path::new("/dev/.null.lock").exists());
}

fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn a_pipe_stays_open_between_reports() {
    let folder = tempfile::tempdir().unwrap();
    let path = pipe(folder.path());
    let reader = {
        let path = path.clone();
        thread::spawn(move || {
            let mut text = String::new();
            fs::File::open(path).unwrap().read_to_string(&mut text).unwrap();
            text
        })
    };
    let mut file = ReportFile::open(Target::new(&path), None).unwrap();
    for text in ["one\n", "two\n"] {
        file.begin(&ReportStart::default(), false).unwrap();
        file.write(text.as_bytes()).unwrap();
        finish(&mut file, true).unwrap();
    }
    drop(file);
    assert_eq!(reader.join().unwrap(), "one\ntwo\n");
}

/// Where mounting is not permitted, the test with `/dev/full` covers this.
#[test]
fn a_full_disk_leaves_the_old_file_and_no_part() {
    let folder = tempfile::tempdir().unwrap();
    let Some((outcome, old, names)) = on_a_small_disk(folder.path(), fill) else { return };
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.message.contains("out.csv"), "{error}");
    let hint = error.hint.unwrap();
    assert!(
        hint.starts_with("free disk space and run again; ") && hint.contains("/.out.csv.1.part ("),
        "{hint}"
    );
    assert!(hint.contains(" bytes) is removed, because nothing of the report was committed"), "{hint}");
    assert_eq!(old, "of yesterday\n");
    assert_eq!(names, ["out.csv"]);
}

fn fill(folder: &Path) -> (Result<()>, String, Vec<String>) {
    let path = folder.join("out.csv");
    fs::write(&path, "of yesterday\n").unwrap();
    let outcome = (|| {
        let mut file = ReportFile::open(Target::new(&path), None)?;
        file.begin(&ReportStart::default(), false)?;
        for _ in 0..64 {
            file.write(&[b'x'; 65_536])?;
        }
        finish(&mut file, true).map(drop)
    })();
    (outcome, read(&path), names(folder))
}

/// `scanbridge run … | head` ends the reader first.
#[test]
fn reader_that_closes_early_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = pipe(folder.path());
    let reader = {
        let path = path.clone();
        thread::spawn(move || fs::File::open(path).unwrap().read_exact(&mut [0; 4]).unwrap())
    };
    let mut file = ReportFile::open(Target::new(&path), None).unwrap();
    file.begin(&ReportStart::default(), false).unwrap();
    file.write(b"one\n").unwrap();
    file.commit(b"").unwrap();
    reader.join().unwrap();
    // A process that another test starts at this moment may have the read end for a short time.
    let write = |_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        file.write(b"two\n").and_then(|()| file.commit(b"").map(drop)).err()
    };
    let error = (0..250).find_map(write).expect("the pipe has no reader");
    assert_eq!(error.kind, ErrorKind::Io);
    assert_eq!(
        error.message,
        format!("cannot write to {}: broken pipe: the reader has closed it", path.display())
    );
}
