//! Reports that an optional output has missed: the source is kept, the operator sees them, and can send or abandon
//! them.

use std::fs;

use serde_json::Value;

use crate::installation::project_file;
use crate::sandbox::{CSV, Outcome, Sandbox, pipeline};

/// An optional output that cannot be opened before its directory is created.
const LINES: &str = "{ id: lines, plugin: JSON, required: no, with: { path: later/findings.ndjson } }";

fn command(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    let all = [arguments, &["pipeline.yaml", "--state-dir", "state"]].concat();
    Outcome::of(sandbox.host(&all).output().unwrap())
}

/// A run of two reports that only the table received.
fn after_a_run() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("in")).unwrap();
    for name in ["in/a.xml", "in/b.xml"] {
        fs::copy(project_file("examples/reports/scan.xml"), sandbox.path(name)).unwrap();
    }
    let text = pipeline("path: in, settle_secs: 0, on_done: move", &[CSV, LINES]);
    sandbox.run(&text).expect_code(73);
    assert_eq!(in_folder(&sandbox), ["a.xml", "b.xml"], "the output lacks them, so they stay");
    (sandbox, text)
}

fn in_folder(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path("in")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn missed_reports_are_shown_and_sent_by_a_replay() {
    let (sandbox, text) = after_a_run();
    let shown = command(&sandbox, &["state", "show"]).expect_code(0).stdout;
    assert!(shown.contains("lines lacks findings of 2 reports"), "{shown}");
    let listed = command(&sandbox, &["dead-letters", "list", "--format", "json"]).expect_code(0).stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed[0]["output"], &listed[0]["missed_reports"]),
        (&"lines".into(), &2.into()),
        "{listed}"
    );
    let shown = command(&sandbox, &["dead-letters", "show"]).expect_code(0).stdout;
    assert!(
        shown.lines().count() == 2
            && shown.contains(
                "lines: lacks 16 findings of the report in/a.xml (run 1, input reports): cannot create later"
            ),
        "{shown}"
    );

    // The output still cannot be opened: nothing changes.
    command(&sandbox, &["dead-letters", "replay"]).expect_code(73);
    assert!(command(&sandbox, &["dead-letters", "show"]).stdout.contains("in/b.xml"));

    fs::create_dir(sandbox.path("later")).unwrap();
    let table = sandbox.read("findings.csv");
    let replayed = command(&sandbox, &["dead-letters", "replay", "--summary", "json"]).expect_code(0);
    assert_eq!(replayed.summary()["outputs"][0]["records"], 32, "{}", replayed.stdout);
    assert_eq!(sandbox.read("findings.csv"), table, "only the output that lacked them receives the reports");
    assert_eq!(sandbox.read("later/findings.ndjson").lines().count(), 32);
    assert_eq!(in_folder(&sandbox), ["a.xml", "b.xml"], "the input is informed by the next run");
    assert_eq!(command(&sandbox, &["dead-letters", "show"]).stdout, "no dead letters in state/pipeline\n");

    sandbox.run(&text).expect_code(0);
    assert_eq!(in_folder(&sandbox), ["done"]);
}

#[test]
fn missed_reports_are_abandoned_by_a_purge() {
    let (sandbox, text) = after_a_run();
    let purged = command(&sandbox, &["dead-letters", "purge"]).expect_code(0).stdout;
    assert!(purged.contains("lines: abandoned the missing findings of 2 reports"), "{purged}");
    assert_eq!(command(&sandbox, &["dead-letters", "show"]).stdout, "no dead letters in state/pipeline\n");
    fs::create_dir(sandbox.path("later")).unwrap();
    sandbox.run(&text).expect_code(0);
    assert_eq!(in_folder(&sandbox), ["done"]);
}

#[test]
fn changed_file_is_not_sent_as_the_missed_report() {
    let (sandbox, _) = after_a_run();
    let changed = sandbox.read("in/a.xml").replace("Weekly scan", "Another scan");
    sandbox.write("in/a.xml", changed);
    fs::create_dir(sandbox.path("later")).unwrap();
    let replayed = command(&sandbox, &["dead-letters", "replay", "--summary", "json"]).expect_code(66);
    assert_eq!(replayed.summary()["outputs"][0]["records"], 16, "{}", replayed.stdout);
    assert!(
        replayed.stderr.contains("in/a.xml has changed since its report was delivered"),
        "{}",
        replayed.stderr
    );
    let shown = command(&sandbox, &["dead-letters", "show"]).stdout;
    assert!(shown.contains("in/a.xml") && !shown.contains("in/b.xml"), "{shown}");
}

/// A report that is read again as a whole by a later run is no longer missed.
#[test]
fn later_run_of_the_same_report_settles_it() {
    let (sandbox, text) = after_a_run();
    fs::create_dir(sandbox.path("later")).unwrap();
    sandbox.run(&text).expect_code(0);
    assert_eq!(command(&sandbox, &["dead-letters", "show"]).stdout, "no dead letters in state/pipeline\n");
    assert_eq!(in_folder(&sandbox), ["done"]);
}
