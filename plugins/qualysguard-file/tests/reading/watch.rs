//! Watched directories, and the actions for delivered files.

use std::fs;
use std::path::Path;
use std::process::Command;

use scanbridge_fixtures::{damaged, good};
use scanbridge_plugin_api::{ErrorKind, Input, Open, OpenFrame, Options, Outcome, Services, Verdict};
use scanbridge_qualysguard_file::QualysGuardFile;
use serde_json::{Value, json};

use crate::files::gzip;
use crate::resume::bytes_read;
use crate::session::{Pause, Session};

fn watching(folder: &Path, more: &Value) -> Value {
    let mut options = json!({ "path": [folder], "watch": true, "settle_secs": 0 });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

fn copy_fixture(name: &str, to: &Path) {
    fs::copy(good(name), to).unwrap();
}

/// Reads the available files and commits their reports.
fn scan(session: &mut Session) {
    assert_eq!(session.go(), Pause::Idle);
    if !session.positions.is_empty() {
        session.commit().unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn each_file_is_delivered_once_across_runs_and_again_when_it_changes() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (folder.path().join("a.xml"), folder.path().join("b.xml"));
    let options = watching(folder.path(), &json!({}));
    let mut first = Session::open(&options, state.path(), None);
    scan(&mut first);
    copy_fixture("scan-ipv6.xml", &b);
    scan(&mut first);
    scan(&mut first);
    copy_fixture("scan-crlf.xml", &a);
    scan(&mut first);
    assert_eq!(first.files(), ["b.xml", "a.xml"]);
    copy_fixture("template-report.xml", &b);
    scan(&mut first);
    scan(&mut first);
    assert_eq!(first.files(), ["b.xml", "a.xml", "b.xml"]);
    assert_eq!(first.refusals().len(), 0, "an empty directory is not an error");
    drop(first);

    let mut second = Session::open(&options, state.path(), None);
    scan(&mut second);
    assert_eq!(second.files(), [""; 0]);
    // A file that is removed and added again is new; the other file is still known.
    let time = fs::metadata(&b).unwrap().modified().unwrap();
    fs::remove_file(&b).unwrap();
    scan(&mut second);
    copy_fixture("template-report.xml", &b);
    fs::File::options().write(true).open(&b).unwrap().set_modified(time).unwrap();
    scan(&mut second);
    assert_eq!(second.files(), ["b.xml"]);
}

#[test]
fn files_of_an_empty_directory_stay_recorded() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mounted = folder.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    copy_fixture("scan-ipv6.xml", &mounted.join("a.xml"));
    let mut session = Session::open(&watching(&mounted, &json!({})), state.path(), None);
    scan(&mut session);
    fs::rename(&mounted, folder.path().join("unmounted")).unwrap();
    scan(&mut session);
    scan(&mut session);
    let outcome: Vec<_> = session.refusals().iter().map(|refusal| refusal.error.kind).collect();
    assert_eq!(outcome, [ErrorKind::NoInput], "a missing directory is reported once");
    fs::create_dir(&mounted).unwrap();
    scan(&mut session);
    fs::remove_dir(&mounted).unwrap();
    fs::rename(folder.path().join("unmounted"), &mounted).unwrap();
    scan(&mut session);
    assert_eq!(session.files(), ["a.xml"]);
}

/// Decompression fails until the operator frees disk space. The file itself does not change.
#[test]
fn failed_decompression_is_retried_and_reported_once() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(_mounted) = mount(state.path(), 1) else {
        return println!("skipped: mounting a file system is not permitted");
    };
    fs::write(folder.path().join("a.xml.gz"), gzip(&fs::read(good("scan-ipv6.xml")).unwrap())).unwrap();
    let filler = state.path().join("filler");
    let mut session = Session::open(&watching(folder.path(), &json!({})), state.path(), None);
    assert!(fs::write(&filler, vec![0; 2 << 20]).is_err(), "the disk is not full");
    scan(&mut session);
    scan(&mut session);
    let outcome: Vec<_> = session.refusals().iter().map(|refusal| refusal.error.kind).collect();
    fs::remove_file(&filler).unwrap();
    scan(&mut session);
    scan(&mut session);
    let files = session.files();
    drop(session);
    assert_eq!((outcome, files), (vec![ErrorKind::Io], vec!["a.xml.gz".to_owned()]));
}

/// A file system in memory. `None` if the user may not mount one.
fn mount(folder: &Path, mebibytes: u32) -> Option<Mounted<'_>> {
    let size = format!("size={mebibytes}m");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
    mounted.is_ok_and(|output| output.status.success()).then_some(Mounted(folder))
}

/// Unmounts when it is dropped.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// A report that does not compress well, of this many MiB.
fn incompressible_report(mebibytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b' ' + (state >> 58) as u8
    });
    let text: Vec<u8> = random.filter(|byte| !b"-<&".contains(byte)).take(mebibytes << 20).collect();
    let report = fs::read(good("scan-ipv6.xml")).unwrap();
    [&report[..], b"<!--", &text[..], b"-->"].concat()
}

#[test]
fn temporary_file_leaves_a_reserve_of_disk_space() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(_mounted) = mount(state.path(), 20) else {
        return println!("skipped: mounting a file system is not permitted");
    };
    fs::write(folder.path().join("a.xml.gz"), gzip(&incompressible_report(6))).unwrap();
    let filler = state.path().join("filler");
    let mut session = Session::open(&watching(folder.path(), &json!({})), state.path(), None);
    fs::write(&filler, vec![0; 13 << 20]).unwrap();
    scan(&mut session);
    {
        let refusals = session.refusals();
        let error = &refusals[0].error;
        assert_eq!(error.kind, ErrorKind::Io);
        assert!(error.message.contains("2 MiB must remain free in the state directory"), "{error}");
    }
    let (read, ()) = bytes_read(|| scan(&mut session));
    assert!(read < 1 << 20, "{read} bytes were read although neither file nor disk has changed");
    fs::remove_file(&filler).unwrap();
    scan(&mut session);
    assert_eq!((session.refusals().len(), session.files()), (1, vec!["a.xml.gz".to_owned()]));
    drop(session);
}

/// Directories by date are created and deleted with their files.
#[test]
fn files_of_a_deleted_directory_are_removed_from_the_list() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let days = ["2026-01-01", "2026-01-02"].map(|day| folder.path().join(day));
    for day in &days {
        fs::create_dir(day).unwrap();
        copy_fixture("scan-ipv6.xml", &day.join("a.xml"));
    }
    let options = watching(folder.path(), &json!({ "path": [folder.path().join("*/*.xml")] }));
    let mut session = Session::open(&options, state.path(), None);
    scan(&mut session);
    assert_eq!(session.listed().len(), 2);
    fs::remove_dir_all(&days[0]).unwrap();
    scan(&mut session);
    assert_eq!(session.listed().len(), 1);
}

#[test]
fn incomplete_file_does_not_delay_other_files() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let growing = folder.path().join("a.xml");
    let complete = fs::read(good("scan-all-kinds.xml")).unwrap();
    fs::write(&growing, &complete[..complete.len() / 2]).unwrap();
    copy_fixture("scan-ipv6.xml", &folder.path().join("b.xml"));
    let options = watching(folder.path(), &json!({ "settle_secs": 3600 }));
    let mut session = Session::open(&options, state.path(), None);
    scan(&mut session);
    scan(&mut session);
    assert_eq!(session.files(), ["b.xml"]);
    fs::write(&growing, &complete).unwrap();
    scan(&mut session);
    assert_eq!(session.files(), ["b.xml", "a.xml"]);
    assert_eq!(session.refusals().len(), 0);
}

#[test]
fn rejected_file_is_reported_once_until_it_changes() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("a.xml");
    fs::copy(damaged("scan-cut-in-cdata.xml"), &path).unwrap();
    let options = watching(folder.path(), &json!({ "on_done": "delete" }));
    let mut session = Session::open(&options, state.path(), None);
    scan(&mut session);
    scan(&mut session);
    assert_eq!((session.refusals().len(), names(folder.path())), (1, vec!["a.xml".to_owned()]));
    copy_fixture("scan-ipv6.xml", &path);
    scan(&mut session);
    assert_eq!((session.files(), names(folder.path())), (vec!["a.xml".to_owned()], vec![]));
}

#[test]
fn delivered_incomplete_report_stays_and_is_delivered_once() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::copy(damaged("scan-cut-between-assets.xml"), folder.path().join("a.xml")).unwrap();
    let more = json!({ "on_done": "move", "deliver_incomplete": true });
    for files in [vec!["a.xml"], vec![]] {
        let mut session = Session::open(&watching(folder.path(), &more), state.path(), None);
        scan(&mut session);
        scan(&mut session);
        assert_eq!(
            (session.files(), names(folder.path())),
            (files.iter().map(ToString::to_string).collect(), vec!["a.xml".to_owned()])
        );
    }
}

/// Files are moved only after the host reports the commit, by this run or the next one.
#[test]
fn delivered_files_are_moved_when_they_are_committed() {
    for (watch, crash) in [(false, false), (false, true), (true, false), (true, true)] {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["a.xml", "b.xml", "c.xml"] {
            copy_fixture("scan-ipv6.xml", &folder.path().join(name));
        }
        let options = watching(folder.path(), &json!({ "watch": watch, "on_done": "move" }));
        let mut first = Session::open(&options, state.path(), None);
        let position = first.go_to_end_of(2);
        assert_eq!(names(folder.path()), ["a.xml", "b.xml", "c.xml"]);
        if !crash {
            first.commit().unwrap();
            assert_eq!(names(folder.path()), ["c.xml", "done"]);
        }
        let reports = first.stored_reports(Outcome::Delivered);
        drop(first);
        let mut second = Session::open(&options, state.path(), Some(&position));
        if crash {
            // The host repeats the call before the first step.
            second.confirm(&position, reports).unwrap();
        }
        second.go();
        assert_eq!(second.files(), ["c.xml"]);
        assert_eq!(names(folder.path()), ["c.xml", "done"]);
        second.commit().unwrap();
        assert_eq!(names(folder.path()), ["done"]);
        assert_eq!(names(&folder.path().join("done")), ["a.xml", "b.xml", "c.xml"]);

        // All files were delivered, so none is reported as missing.
        let position = second.last_position();
        let mut third = Session::open(&options, state.path(), Some(&position));
        third.go();
        assert_eq!((third.files().len(), third.refusals().len()), (0, 0));
    }
}

#[test]
fn deleted_file_is_not_reported_missing_after_a_crash() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (folder.path().join("a.xml"), folder.path().join("b.xml"));
    copy_fixture("scan-ipv6.xml", &a);
    copy_fixture("scan-ipv6.xml", &b);
    let options = json!({ "path": [a, b], "on_done": "delete" });
    let mut first = Session::open(&options, state.path(), None);
    let position = first.go_to_end_of(1);
    first.commit().unwrap();
    let mut second = Session::open(&options, state.path(), Some(&position));
    second.go();
    assert_eq!((second.files(), second.refusals().len()), (vec!["b.xml".to_owned()], 0));
    second.commit().unwrap();
    let mut third = Session::open(&options, state.path(), None);
    third.go();
    assert_eq!(third.refusals().len(), 2, "a new run reports the files that it cannot find");
}

#[test]
fn failed_move_is_reported_and_file_is_not_read_again() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy_fixture("scan-ipv6.xml", &folder.path().join("a.xml"));
    fs::write(folder.path().join("done"), "not a directory").unwrap();
    let options = watching(folder.path(), &json!({ "on_done": "move" }));
    let mut first = Session::open(&options, state.path(), None);
    first.go();
    let error = first.commit().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.message.contains("a.xml"), "{}", error.message);
    drop(first);
    let mut second = Session::open(&options, state.path(), None);
    second.go();
    assert_eq!(second.files(), [""; 0]);
    // The next run retries the move.
    fs::remove_file(folder.path().join("done")).unwrap();
    let mut third = Session::open(&options, state.path(), None);
    third.go();
    assert_eq!((third.files().len(), names(folder.path())), (0, vec!["done".to_owned()]));
}

#[test]
fn files_in_done_folder_are_not_read() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy_fixture("scan-ipv6.xml", &folder.path().join("a.xml"));
    let more = json!({
        "path": [folder.path().join("**/*.xml")], "watch": false, "on_done": "move",
        "done_folder": folder.path().join("old/2026"),
    });
    let options = watching(folder.path(), &more);
    let mut session = Session::open(&options, state.path(), None);
    session.go();
    session.commit().unwrap();
    assert_eq!(names(&folder.path().join("old/2026")), ["a.xml"]);
    let mut rerun = Session::open(&options, state.path(), None);
    rerun.go();
    assert_eq!((rerun.files().len(), rerun.refusals().len()), (0, 0));
}

#[test]
fn corrupt_list_of_delivered_files_is_an_error() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy_fixture("scan-ipv6.xml", &folder.path().join("a.xml"));
    let options = watching(folder.path(), &json!({}));
    scan(&mut Session::open(&options, state.path(), None));
    let services = Services::without_host(state.path());
    let keys = services.state();
    keys.put(&keys.list("").unwrap()[0], b"{").unwrap();

    let options = Options::read(QualysGuardFile::OPTIONS, options.to_string().as_bytes()).unwrap();
    let frame = OpenFrame::default();
    let mut input = QualysGuardFile::open(&Open::new(&options, &services, &frame), None).unwrap().plugin;
    let error = input.next(scanbridge_plugin_api::batch::BatchBuilder::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(
        error.message.starts_with("the list of delivered files is invalid at file:"),
        "{}",
        error.message
    );
    assert!(error.hint.unwrap().contains("--instance"));
}

#[test]
fn pipe_in_a_watched_directory_is_skipped() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let created = std::process::Command::new("mkfifo").arg(folder.path().join("a.xml")).status().unwrap();
    assert!(created.success());
    copy_fixture("scan-ipv6.xml", &folder.path().join("b.xml"));
    let mut session = Session::open(&watching(folder.path(), &json!({})), state.path(), None);
    scan(&mut session);
    scan(&mut session);
    assert_eq!(session.files(), ["b.xml"]);
    let outcome: Vec<_> = session.refusals().iter().map(|refusal| refusal.error.message.as_str()).collect();
    assert!(
        matches!(outcome[..], [message] if message.ends_with("is not a regular file; it was skipped")),
        "{outcome:?}"
    );
}

#[test]
fn options_that_contradict_each_other_are_config_errors() {
    for (options, part) in [
        (json!({ "path": ["-"], "watch": true }), "`watch`"),
        (json!({ "path": ["in"], "done_folder": "out" }), "`done_folder`"),
        (json!({ "path": ["in"], "on_done": "delete", "done_folder": "out" }), "`done_folder`"),
    ] {
        let options = Options::read(QualysGuardFile::OPTIONS, options.to_string().as_bytes()).unwrap();
        let opened = QualysGuardFile::open(
            &Open::new(&options, &Services::without_host(Path::new("/none")), &OpenFrame::default()),
            None,
        );
        let error = opened.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains(part), "{}", error.message);
    }
}

#[test]
fn check_of_an_empty_directory_depends_on_the_options() {
    let folder = tempfile::tempdir().unwrap();
    for (more, verdict) in [
        (json!({}), Verdict::Ok),
        (json!({ "watch": false }), Verdict::Failed),
        (
            json!({ "path": [good("scan-ipv6.xml")], "on_done": "move", "done_folder": "Cargo.toml" }),
            Verdict::Failed,
        ),
        (json!({ "watch": false, "on_done": "move", "done_folder": folder.path() }), Verdict::Ok),
    ] {
        let options = watching(folder.path(), &more);
        let options = Options::read(QualysGuardFile::OPTIONS, options.to_string().as_bytes()).unwrap();
        let services = Services::without_host(Path::new("/none/state"));
        let report = QualysGuardFile::open(&Open::new(&options, &services, &OpenFrame::default()), None)
            .unwrap()
            .plugin
            .check()
            .unwrap();
        assert_eq!(report.steps.last().unwrap().verdict, verdict, "{:?}", report.steps);
    }
}
