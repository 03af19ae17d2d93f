//! A folder that is watched, and what becomes of files that were delivered.

use std::fs;
use std::path::Path;
use std::process::Command;

use scanbridge_fixtures::{damaged, good};
use scanbridge_plugin_api::{ErrorKind, Input, Open, OpenFrame, Options, Services, Verdict};
use scanbridge_qualysguard_file::QualysGuardFile;
use serde_json::{Value, json};

use crate::files::gzip;
use crate::session::{Pause, Session};

fn watching(folder: &Path, more: &Value) -> Value {
    let mut options = json!({ "path": [folder], "watch": true, "settle_secs": 0 });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

fn put(name: &str, to: &Path) {
    fs::copy(good(name), to).unwrap();
}

/// Reads what is there and commits it.
fn look(session: &mut Session) {
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
    look(&mut first);
    put("scan-ipv6.xml", &b);
    look(&mut first);
    look(&mut first);
    put("scan-crlf.xml", &a);
    look(&mut first);
    assert_eq!(first.files(), ["b.xml", "a.xml"]);
    put("template-report.xml", &b);
    look(&mut first);
    look(&mut first);
    assert_eq!(first.files(), ["b.xml", "a.xml", "b.xml"]);
    assert_eq!(first.refusals().len(), 0, "an empty directory is not an error");
    drop(first);

    let mut second = Session::open(&options, state.path(), None);
    look(&mut second);
    assert_eq!(second.files(), [""; 0]);
    // Gone and come back, it is a new file; its neighbour is still known.
    let time = fs::metadata(&b).unwrap().modified().unwrap();
    fs::remove_file(&b).unwrap();
    look(&mut second);
    put("template-report.xml", &b);
    fs::File::options().write(true).open(&b).unwrap().set_modified(time).unwrap();
    look(&mut second);
    assert_eq!(second.files(), ["b.xml"]);
}

#[test]
fn a_folder_that_looks_empty_makes_nothing_forgotten() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mounted = folder.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    put("scan-ipv6.xml", &mounted.join("a.xml"));
    let mut session = Session::open(&watching(&mounted, &json!({})), state.path(), None);
    look(&mut session);
    fs::rename(&mounted, folder.path().join("away")).unwrap();
    look(&mut session);
    look(&mut session);
    let outcome: Vec<_> = session.refusals().iter().map(|refusal| refusal.error.kind).collect();
    assert_eq!(outcome, [ErrorKind::NoInput], "a folder that is missing is named once");
    fs::create_dir(&mounted).unwrap();
    look(&mut session);
    fs::remove_dir(&mounted).unwrap();
    fs::rename(folder.path().join("away"), &mounted).unwrap();
    look(&mut session);
    assert_eq!(session.files(), ["a.xml"]);
}

/// There is no space to decompress it until the operator frees some: the file itself does not change by that.
#[test]
fn failed_decompression_is_retried_and_reported_once() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mount = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
    let mounted = Command::new("mount").args(mount).arg(state.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return println!("skipped: no file system may be mounted here");
    }
    fs::write(folder.path().join("a.xml.gz"), gzip(&fs::read(good("scan-ipv6.xml")).unwrap())).unwrap();
    let in_the_way = state.path().join("in the way");
    let mut session = Session::open(&watching(folder.path(), &json!({})), state.path(), None);
    assert!(fs::write(&in_the_way, vec![0; 2 << 20]).is_err(), "the disk is small");
    look(&mut session);
    look(&mut session);
    let outcome: Vec<_> = session.refusals().iter().map(|refusal| refusal.error.kind).collect();
    fs::remove_file(&in_the_way).unwrap();
    look(&mut session);
    look(&mut session);
    let files = session.files();
    drop(session);
    assert!(Command::new("umount").arg(state.path()).status().unwrap().success());
    assert_eq!((outcome, files), (vec![ErrorKind::Io], vec!["a.xml.gz".to_owned()]));
}

/// Folders by date come and go with all that is in them.
#[test]
fn files_of_a_folder_that_was_deleted_are_forgotten() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let days = ["2026-01-01", "2026-01-02"].map(|day| folder.path().join(day));
    for day in &days {
        fs::create_dir(day).unwrap();
        put("scan-ipv6.xml", &day.join("a.xml"));
    }
    let options = watching(folder.path(), &json!({ "path": [folder.path().join("*/*.xml")] }));
    let mut session = Session::open(&options, state.path(), None);
    look(&mut session);
    let journal = || fs::read_to_string(state.path().join("delivered")).unwrap().lines().count();
    assert_eq!(journal(), 3);
    fs::remove_dir_all(&days[0]).unwrap();
    look(&mut session);
    assert_eq!(journal(), 2);
}

#[test]
fn a_file_that_is_not_finished_waits_and_the_others_do_not() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let growing = folder.path().join("a.xml");
    let whole = fs::read(good("scan-all-kinds.xml")).unwrap();
    fs::write(&growing, &whole[..whole.len() / 2]).unwrap();
    put("scan-ipv6.xml", &folder.path().join("b.xml"));
    let options = watching(folder.path(), &json!({ "settle_secs": 3600 }));
    let mut session = Session::open(&options, state.path(), None);
    look(&mut session);
    look(&mut session);
    assert_eq!(session.files(), ["b.xml"]);
    fs::write(&growing, &whole).unwrap();
    look(&mut session);
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
    look(&mut session);
    look(&mut session);
    assert_eq!((session.refusals().len(), names(folder.path())), (1, vec!["a.xml".to_owned()]));
    put("scan-ipv6.xml", &path);
    look(&mut session);
    assert_eq!((session.files(), names(folder.path())), (vec!["a.xml".to_owned()], vec![]));
}

#[test]
fn an_incomplete_report_that_is_delivered_stays_and_is_not_delivered_again() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::copy(damaged("scan-cut-between-assets.xml"), folder.path().join("a.xml")).unwrap();
    let more = json!({ "on_done": "move", "deliver_incomplete": true });
    for files in [vec!["a.xml"], vec![]] {
        let mut session = Session::open(&watching(folder.path(), &more), state.path(), None);
        look(&mut session);
        look(&mut session);
        assert_eq!(
            (session.files(), names(folder.path())),
            (files.iter().map(ToString::to_string).collect(), vec!["a.xml".to_owned()])
        );
    }
}

/// Nothing is moved before the host reports that it is delivered; afterwards everything is, by this run or the next
/// one.
#[test]
fn delivered_files_are_moved_when_they_are_committed() {
    for (watch, crash) in [(false, false), (false, true), (true, false), (true, true)] {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["a.xml", "b.xml", "c.xml"] {
            put("scan-ipv6.xml", &folder.path().join(name));
        }
        let options = watching(folder.path(), &json!({ "watch": watch, "on_done": "move" }));
        let mut first = Session::open(&options, state.path(), None);
        let position = first.go_to_end_of(2);
        assert_eq!(names(folder.path()), ["a.xml", "b.xml", "c.xml"]);
        if !crash {
            first.commit().unwrap();
            assert_eq!(names(folder.path()), ["c.xml", "done"]);
        }
        drop(first);
        let mut second = Session::open(&options, state.path(), Some(&position));
        second.go();
        assert_eq!(second.files(), ["c.xml"]);
        assert_eq!(names(folder.path()), ["c.xml", "done"]);
        second.commit().unwrap();
        assert_eq!(names(folder.path()), ["done"]);
        assert_eq!(names(&folder.path().join("done")), ["a.xml", "b.xml", "c.xml"]);

        // All were delivered, and so none is missing.
        let position = second.last_position();
        let mut third = Session::open(&options, state.path(), Some(&position));
        third.go();
        assert_eq!((third.files().len(), third.refusals().len()), (0, 0));
    }
}

#[test]
fn a_named_file_that_was_deleted_is_not_missed_after_a_crash() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (folder.path().join("a.xml"), folder.path().join("b.xml"));
    put("scan-ipv6.xml", &a);
    put("scan-ipv6.xml", &b);
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
fn a_file_that_cannot_be_moved_is_named_and_not_read_again() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put("scan-ipv6.xml", &folder.path().join("a.xml"));
    fs::write(folder.path().join("done"), "no folder").unwrap();
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
    // The next run tries again.
    fs::remove_file(folder.path().join("done")).unwrap();
    let mut third = Session::open(&options, state.path(), None);
    third.go();
    assert_eq!((third.files().len(), names(folder.path())), (0, vec!["done".to_owned()]));
}

#[test]
fn unrecorded_delivery_stays_in_the_position() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["a.xml", "b.xml"] {
        put("scan-ipv6.xml", &folder.path().join(name));
    }
    let options = watching(folder.path(), &json!({}));
    let mut first = Session::open(&options, state.path(), None);
    first.go_to_end_of(1);
    // Where the record is written before it is moved into its place.
    fs::create_dir(state.path().join("delivered.new")).unwrap();
    assert_eq!(first.commit().unwrap_err().kind, ErrorKind::Io);
    let position = first.go_to_end_of(2);
    drop(first);
    fs::remove_dir(state.path().join("delivered.new")).unwrap();
    let mut second = Session::open(&options, state.path(), Some(&position));
    second.go();
    assert_eq!(second.files(), [""; 0]);
}

#[test]
fn files_move_to_a_folder_that_is_named_and_are_not_read_there() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put("scan-ipv6.xml", &folder.path().join("a.xml"));
    let more = json!({
        "path": [folder.path().join("**/*.xml")], "watch": false, "on_done": "move",
        "done_folder": folder.path().join("old/2026"),
    });
    let options = watching(folder.path(), &more);
    let mut session = Session::open(&options, state.path(), None);
    session.go();
    session.commit().unwrap();
    assert_eq!(names(&folder.path().join("old/2026")), ["a.xml"]);
    let mut again = Session::open(&options, state.path(), None);
    again.go();
    assert_eq!((again.files().len(), again.refusals().len()), (0, 0));
}

#[test]
fn a_damaged_record_of_what_was_delivered_stops_the_run() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put("scan-ipv6.xml", &folder.path().join("a.xml"));
    let options = watching(folder.path(), &json!({}));
    look(&mut Session::open(&options, state.path(), None));
    let journal = state.path().join("delivered");
    fs::write(&journal, fs::read_to_string(&journal).unwrap().replace("a.xml", "b.xml")).unwrap();

    let options = Options::read(QualysGuardFile::OPTIONS, options.to_string().as_bytes()).unwrap();
    let mut input = QualysGuardFile::open(
        &Open::new(&options, &Services::without_host(state.path()), &OpenFrame::default()),
        None,
    )
    .unwrap()
    .plugin;
    let error = input.next(scanbridge_plugin_api::batch::BatchBuilder::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.message.contains("delivered, line 2"), "{}", error.message);
}

#[test]
fn a_pipe_is_not_waited_for_in_a_watched_folder() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("a.xml")).status().unwrap();
    assert!(made.success());
    put("scan-ipv6.xml", &folder.path().join("b.xml"));
    let mut session = Session::open(&watching(folder.path(), &json!({})), state.path(), None);
    look(&mut session);
    look(&mut session);
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
fn a_check_depends_on_what_is_wanted() {
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
