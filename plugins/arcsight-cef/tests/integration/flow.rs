//! Reports, batches and files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use scanbridge_plugin_api::batch::{Batch, Columns, RawBatch2, Schema, Selection};
use scanbridge_plugin_api::model::{AssetField as A, DefinitionField as D, ReportEnd};
use scanbridge_plugin_api::{Begin, CommitPoint, ErrorKind, Output, Verdict, Written};
use serde_json::json;

use crate::case::{Filling, deliver, open, scan, text_of};
use crate::reader;

const ASSET: &[(A, &str)] = &[(A::Address, "192.0.2.1"), (A::Os, "Linux")];
const OTHER: &[(A, &str)] = &[(A::Address, "192.0.2.2")];
const FACTS: &str = "port\t22\ttcp\tssh\t\nport\t80\ttcp\thttp\t\nos\tUbuntu\tSSH";

fn cells<'a>(kind: &'a str, facts: &'a str) -> [(&'a str, &'a str); 3] {
    [("kind", kind), ("severity", "2"), ("facts", facts)]
}

fn qid(number: &str) -> [(D, &str); 2] {
    [(D::Id, number), (D::Category, "CGI")]
}

/// Two assets; the first repeats a port in its third finding.
fn one_batch() -> Vec<RawBatch2> {
    let filling = Filling::default().asset(ASSET).finding(&qid("1"), &cells("service", FACTS));
    let filling = filling.finding(&qid("2"), &cells("vulnerability", ""));
    let filling = filling.finding(&qid("3"), &cells("service", "port\t80\ttcp\t\t\nos\tBSD\tICMP"));
    vec![filling.asset(OTHER).finding(&qid("1"), &cells("service", FACTS)).done()]
}

/// The same, with a batch boundary after each finding.
fn small_batches() -> Vec<RawBatch2> {
    let first = Filling::default().asset(ASSET).finding(&qid("1"), &cells("service", FACTS)).done();
    let second = Filling::default().continued(ASSET).finding(&qid("2"), &cells("vulnerability", "")).done();
    let third = Filling::default()
        .continued(ASSET)
        .finding(&qid("3"), &cells("service", "port\t80\ttcp\t\t\nos\tBSD\tICMP"))
        .done();
    let last = Filling::default().asset(OTHER).finding(&qid("1"), &cells("service", FACTS)).done();
    vec![first, second, third, last]
}

#[test]
fn batch_boundaries_do_not_change_events() {
    let text = text_of(json!({}), &scan(), &one_batch());
    assert_eq!(text, text_of(json!({}), &scan(), &small_batches()));
    assert_eq!(text, text_of(json!({}), &scan(), &one_batch()), "and the day does not change them");
    let classes: Vec<_> = text.lines().map(|line| reader::read(line).unwrap().header[3].clone()).collect();
    let expected = [
        "Services|1",
        "Open Port|1",
        "Open Port|1",
        "VULN|2",
        "Services|3",
        "URI|Linux",
        "Services|1",
        "Open Port|1",
        "Open Port|1",
        "URI|Ubuntu",
    ];
    assert_eq!(classes, expected.map(|class| format!("Qualys|{class}")));
}

/// Names and systems that a scan reports after the findings of an asset reach the derived events, with any
/// batches.
#[test]
fn late_asset_fields_are_used() {
    let early: &[(A, &str)] = &[(A::Address, "192.0.2.1")];
    let late: &[(A, &str)] = &[(A::Address, "192.0.2.1"), (A::Os, "Linux"), (A::Dns, "www.example.com")];
    let row = cells("service", "os\tUbuntu\tSSH");
    let one = Filling::default().asset(late).finding(&qid("1"), &row).finding(&qid("2"), &row).done();
    let first = Filling::default().asset(early).finding(&qid("1"), &row).done();
    let second = Filling::default().continued(late).finding(&qid("2"), &row).done();
    let derived = |batches: &[RawBatch2]| {
        let text = text_of(json!({ "asset_events": true }), &scan(), batches);
        let derived = text.lines().filter(|line| !line.contains("Services")).map(str::to_owned);
        derived.collect::<Vec<_>>()
    };
    let expected = derived(&[one]);
    assert_eq!(expected, derived(&[first, second]));
    assert_eq!(expected.len(), 2);
    assert!(expected.iter().all(|line| line.contains(" dhost=www.example.com ")), "{expected:?}");
    assert!(expected[0].contains(r"|Qualys\|URI\|Linux|"), "{expected:?}");
}

/// Commits, always after a complete asset, do not change the events.
#[test]
fn commits_do_not_change_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.cef");
    let options = json!({ "aggregate": true, "order": "severity", "asset_events": true });
    let mut output = open(&path, options.clone()).unwrap();
    let columns = Columns::of_report(&scan());
    output.begin(&scan(), Begin::NEW).unwrap();
    for (index, batch) in small_batches().into_iter().enumerate() {
        output.write(Batch::of(&batch, &columns).unwrap()).unwrap();
        if index >= 2 {
            output.commit(CommitPoint::InReport).unwrap();
        }
    }
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true)).unwrap();
    output.commit(CommitPoint::BetweenReports).unwrap();
    output.stored().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), text_of(options, &scan(), &one_batch()));
}

/// A-171: as many events as findings of each kind, even if fields of the findings are empty.
#[test]
fn each_finding_is_one_event() {
    let kinds = ["vulnerability", "potential", "information", "service"];
    let mut filling = Filling::default();
    for asset in 0..20 {
        filling = filling.asset(&[(A::Id, &asset.to_string())]);
        for finding in 0..asset {
            let row = [("kind", kinds[finding % 4]), ("port", "443")];
            filling = filling.finding(&qid(&finding.to_string()), &row);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut output = open(&folder.path().join("out.cef"), json!({})).unwrap();
    let written = deliver(&mut output, &scan(), &[filling.done()]).unwrap();
    let text = fs::read_to_string(folder.path().join("out.cef")).unwrap();
    for (class, index) in [("VULN", 0), ("PRACTICES", 1), ("INFOS", 2), ("Services", 3)] {
        let expected: usize =
            (0..20).map(|asset| (0..asset).filter(|finding| finding % 4 == index).count()).sum();
        let events = text.lines().filter(|line| line.contains(&format!(r"|Qualys\|{class}\|")));
        assert_eq!(events.count(), expected, "{class}");
    }
    let all = Written::default().with_bytes(text.len() as u64);
    assert_eq!(written, [all, Written::default()]);
}

#[test]
fn derived_events_are_counted_separately() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.cef");
    let written = deliver(&mut open(&path, json!({})).unwrap(), &scan(), &one_batch()).unwrap();
    assert_eq!(written.iter().map(|written| written.derived).collect::<Vec<_>>(), [5, 1]);
    assert_eq!(written.iter().map(|written| written.bytes).sum::<u64>(), fs::metadata(&path).unwrap().len());
}

#[test]
fn fixed_finding_derives_no_events() {
    let mut row = cells("service", FACTS).to_vec();
    row.push(("status", "Fixed"));
    let text =
        text_of(json!({}), &scan(), &[Filling::default().asset(OTHER).finding(&qid("1"), &row).done()]);
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn only_selected_findings_become_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.cef");
    let mut output = open(&path, json!({})).unwrap();
    let (batches, columns) = (one_batch(), Columns::of_report(&scan()));
    output.begin(&scan(), Begin::NEW).unwrap();
    let selection = Selection::new(&[0], &[1]);
    output.write(Batch::of(&batches[0], &columns).unwrap().select(selection)).unwrap();
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true)).unwrap();
    output.commit(CommitPoint::BetweenReports).unwrap();
    output.stored().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let classes: Vec<_> = text.lines().map(|line| reader::read(line).unwrap().header[3].clone()).collect();
    assert_eq!(classes, ["Qualys|VULN|2", "Qualys|URI|Linux"]);
}

/// An asset whose first rows were filtered out is not treated as the previous asset.
#[test]
fn continued_asset_is_identified_by_its_cells() {
    let first = Filling::default().asset(ASSET).finding(&qid("1"), &cells("service", "")).done();
    let second = Filling::default().continued(OTHER).finding(&qid("2"), &cells("service", "")).done();
    let text = text_of(json!({}), &scan(), &[first, second]);
    let hosts: Vec<_> = text.lines().map(|line| reader::read(line).unwrap()).collect();
    let hosts: Vec<_> = hosts.iter().map(|event| event.get("dst").unwrap()).collect();
    assert_eq!(hosts, ["192.0.2.1", "192.0.2.1", "192.0.2.2"]);
}

#[test]
fn undelivered_report_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.cef");
    let mut output = open(&path, json!({})).unwrap();
    let (batches, columns) = (one_batch(), Columns::of_report(&scan()));
    output.begin(&scan(), Begin::NEW).unwrap();
    output.write(Batch::of(&batches[0], &columns).unwrap()).unwrap();
    let written = output.end(&ReportEnd::default().with_reason("truncated")).unwrap();
    assert_eq!(written, Written::default());
    output.commit(CommitPoint::BetweenReports).unwrap();
    output.stored().unwrap();
    let is_lock = |name: &std::ffi::OsStr| name == ".out.cef.lock";
    assert!(fs::read_dir(folder.path()).unwrap().all(|entry| is_lock(&entry.unwrap().file_name())));
    // The next report is complete and contains nothing of the previous one.
    deliver(&mut output, &scan(), &one_batch()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), text_of(json!({}), &scan(), &one_batch()));
}

#[test]
fn reports_of_one_run_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.cef");
    let mut output = open(&path, json!({})).unwrap();
    for time in ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"] {
        let report = scan().with_time(time.to_owned());
        deliver(&mut output, &report, &one_batch()).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches(" dst=192.0.2.1 ").count(), 12);
    assert_eq!(
        (text.matches("|rt=1767225600000 ").count(), text.matches("|rt=1767312000000 ").count()),
        (10, 10)
    );
}

#[test]
fn rotated_files_contain_complete_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.cef");
    let mut output = open(&path, json!({ "rotate_bytes": 1024, "mode": "0600" })).unwrap();
    deliver(&mut output, &scan(), &one_batch()).unwrap();
    output.close().unwrap();
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 1, "{files:?}");
    let texts: Vec<_> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    assert!(texts.iter().all(|text| text.ends_with('\n')));
    assert_eq!(texts.concat(), text_of(json!({}), &scan(), &one_batch()));
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().permissions().mode() & 0o777 == 0o600));
}

/// The last event may fill its file exactly; no empty file follows.
#[test]
fn no_rotated_file_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.cef");
    let long = "x".repeat(1024);
    let finding = [("kind", "vulnerability"), ("severity", "2"), ("result", long.as_str())];
    let batch = Filling::default().asset(OTHER).finding(&qid("1"), &finding).finding(&qid("2"), &finding);
    let mut output = open(&path, json!({ "rotate_bytes": 1024 })).unwrap();
    deliver(&mut output, &scan(), &[batch.done()]).unwrap();
    output.close().unwrap();
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files, ["out.0001.cef", "out.0002.cef"].map(|name| folder.path().join(name)));
    for file in files {
        assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 1);
    }
}

#[test]
fn default_mode_denies_access_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.cef");
    let mut output = open(&path, json!({})).unwrap();
    output.begin(&scan(), Begin::NEW).unwrap();
    let batches = one_batch();
    let columns = Columns::of_report(&scan());
    output.write(Batch::of(&batches[0], &columns).unwrap()).unwrap();
    output.commit(CommitPoint::InReport).unwrap();
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true)).unwrap();
    output.commit(CommitPoint::BetweenReports).unwrap();
    output.stored().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

/// Content keys are equal only within a schema: columns in another order must not find the old fragments.
#[test]
fn changed_schema_is_read_by_column_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.cef");
    let mut output = open(&path, json!({})).unwrap();
    deliver(&mut output, &scan(), &one_batch()).unwrap();
    let mut schema = Schema::default();
    schema.definitions.swap(0, 3); // ID and category
    let report = scan().with_schema(schema);
    let (batches, columns) = (one_batch(), Columns::of_report(&report));
    output.begin(&report, Begin::NEW).unwrap();
    output.write(Batch::of(&batches[0], &columns).unwrap()).unwrap();
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true)).unwrap();
    output.commit(CommitPoint::BetweenReports).unwrap();
    output.stored().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches(r"|Qualys\|VULN\|2|").count(), 1);
    assert_eq!(text.matches(r"|Qualys\|VULN\|CGI|").count(), 1);
}

#[test]
fn unwritable_path_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere").join("out.cef");
    let error = open(&path, json!({})).unwrap_err();
    assert_eq!(error.kind, ErrorKind::CannotCreate);
    assert!(error.message.contains("nowhere"), "{error}");
    let mut output = open(Path::new("/dev/null"), json!({})).unwrap();
    assert_eq!(output.check().unwrap().verdict(), Verdict::Ok);
}
