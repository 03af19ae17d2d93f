//! Devices, pipes and full disks.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::thread;

use scanbridge_durable_file::{Begun, ReportFile, Target};
use scanbridge_plugin_api::ErrorKind;
use scanbridge_plugin_api::model::ReportStart;

#[test]
fn a_full_device_is_an_error_that_names_it() {
    let mut file = ReportFile::open(Target::new("/dev/full"), None).unwrap();
    assert_eq!(file.begin(&ReportStart::default()).unwrap(), Begun::Empty);
    file.write(b"small enough to be buffered").unwrap();
    let error = file.end(true).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.message.contains("/dev/full"), "{error}");
    assert!(file.check().verdict() == scanbridge_plugin_api::Verdict::Ok);
}

#[test]
fn a_device_gets_its_header_once() {
    let mut file = ReportFile::open(Target::new("/dev/null"), None).unwrap();
    assert_eq!(file.begin(&ReportStart::default()).unwrap(), Begun::Empty);
    file.write(&[b'x'; 200_000]).unwrap();
    assert!(!file.record_boundary().unwrap());
    file.commit(b"").unwrap();
    file.end(false).unwrap();
    assert_eq!(file.begin(&ReportStart::default()).unwrap(), Begun::Behind);
    file.end(true).unwrap();
    assert!(!Path::new("/dev/.null.part").exists());
}

#[test]
fn a_pipe_stays_open_between_reports() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
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
        file.begin(&ReportStart::default()).unwrap();
        file.write(text.as_bytes()).unwrap();
        file.end(true).unwrap();
    }
    drop(file);
    assert_eq!(reader.join().unwrap(), "one\ntwo\n");
}

/// A file system of 1 MiB, where this may be mounted; elsewhere `/dev/full` above has to do.
#[test]
fn a_full_disk_leaves_the_old_file_and_no_part() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(folder.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("skipped: no file system may be mounted here");
        return;
    }
    let path = folder.path().join("out.csv");
    fs::write(&path, "of yesterday\n").unwrap();
    let outcome = (|| {
        let mut file = ReportFile::open(Target::new(&path), None)?;
        file.begin(&ReportStart::default())?;
        for _ in 0..64 {
            file.write(&[b'x'; 65_536])?;
        }
        file.end(true)
    })();
    let (old, part) = (fs::read_to_string(&path), folder.path().join(".out.csv.part").exists());
    assert!(Command::new("umount").arg(folder.path()).status().unwrap().success());
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.message.contains("out.csv"), "{error}");
    assert!(error.hint.unwrap().contains("free some space"));
    assert_eq!(old.unwrap(), "of yesterday\n");
    assert!(!part);
}
