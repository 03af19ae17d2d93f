//! Preset `defectdojo`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use scanbridge_doubles::http_destination::{DefectDojo, HttpDestination, Rude};
use scanbridge_http::Http;
use scanbridge_plugin_api::batch::{Batch, Columns, RawBatch2};
use scanbridge_plugin_api::model::{AssetField, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CommitPoint, ErrorKind, Open, OpenFrame, Options, Output, Purpose, Receipt, Result, Services,
};
use serde_json::{Value, json};

use crate::case::{batch_from, scan};

const PART: &str = "defectdojo-report";
const REFUSED: &str = "defectdojo-refused.ndjson";

fn start() -> (HttpDestination<DefectDojo>, Value) {
    let dojo = DefectDojo { token: "d0jo-t0ken".to_owned(), ..DefectDojo::default() };
    let server = HttpDestination::start(dojo);
    let options = json!({
        "preset": "defectdojo", "url": server.url(), "token": "d0jo-t0ken", "product_name": "Network",
    });
    (server, options)
}

/// An output of a run with this state directory.
fn open_in(folder: &Path, options: &Value, receipt: Option<&Receipt>) -> Result<Http> {
    let options = Options::read(Http::OPTIONS, options.to_string().as_bytes())?;
    let services = Services::without_host(folder);
    let mut frame = OpenFrame::default();
    frame.purpose = Purpose::Run;
    Http::open(&Open::new(&options, &services, &frame), receipt).map(|opened| opened.plugin)
}

/// Writes a report up to its receipt.
fn write(
    output: &mut Http,
    report: &ReportStart,
    how: Begin,
    end: &ReportEnd,
    batches: &[RawBatch2],
) -> Receipt {
    let columns = Columns::of_report(report);
    output.begin(report, how).unwrap();
    for batch in batches {
        output.write(Batch::of(batch, &columns).unwrap()).unwrap();
    }
    output.end(end).unwrap();
    output.commit(CommitPoint::BetweenReports).unwrap().receipt.unwrap()
}

fn weekly() -> ReportStart {
    scan().with_title("Weekly")
}

fn complete() -> ReportEnd {
    ReportEnd::default().with_complete(true).with_deliver(true)
}

/// Findings with these results, in the asset groups.
fn findings(results: &[&str], groups: &[&str]) -> RawBatch2 {
    batch_from(0, results, |asset| {
        groups.iter().for_each(|group| asset.append_item(AssetField::Groups, group))
    })
}

/// Delivers a complete report.
fn deliver(output: &mut Http, batches: &[RawBatch2]) -> Result<()> {
    write(output, &weekly(), Begin::NEW, &complete(), batches);
    output.stored()
}

fn active(server: &HttpDestination<DefectDojo>) -> usize {
    server.with(|dojo| dojo.active().len())
}

#[test]
fn nothing_is_sent_before_the_receipt_is_stored() {
    let (server, options) = start();
    let folder = tempfile::tempdir().unwrap();
    let mut output = open_in(folder.path(), &options, None).unwrap();
    write(&mut output, &weekly(), Begin::NEW, &complete(), &[findings(&["a", "b"], &[])]);
    assert!(server.requests().is_empty());
    output.stored().unwrap();
    output.stored().unwrap();
    assert_eq!(server.requests().len(), 1, "once");
    server.with(|dojo| {
        let import = &dojo.imports[0];
        for (field, value) in [
            ("scan_type", "Generic Findings Import"),
            ("product_name", "Network"),
            ("engagement_name", "Scanbridge"),
            ("test_title", "Weekly"),
            ("close_old_findings", "true"),
            ("verified", "false"),
            ("minimum_severity", "Info"),
        ] {
            assert_eq!(import.get(field).map(String::as_str), Some(value), "{field}");
        }
        assert!(!import.contains_key("active"));
        let known = dojo.tests.values().next().unwrap();
        let finding = &known.values().next().unwrap().finding;
        assert_eq!(finding["severity"], "High");
        assert_eq!(finding["endpoints"], json!(["tcp://192.0.2.1:443"]));
        assert!(finding["description"].as_str().unwrap().contains("```"));
        assert_eq!(finding["unique_id_from_tool"].as_str().unwrap().len(), 32);
    });
    assert!(!folder.path().join(PART).exists());
    output.close().unwrap();
}

#[test]
fn complete_report_closes_what_is_gone_and_a_partial_one_does_not() {
    let (server, options) = start();
    let folder = tempfile::tempdir().unwrap();
    let mut output = open_in(folder.path(), &options, None).unwrap();
    deliver(&mut output, &[findings(&["a", "b", "c"], &[])]).unwrap();
    for (how, end) in [
        (Begin::NEW, ReportEnd::default().with_deliver(true)),
        (Begin::PARTIAL, complete()),
        (Begin::NEW.with_gap(true), complete()),
    ] {
        write(&mut output, &weekly(), how, &end, &[findings(&["a"], &[])]);
        output.stored().unwrap();
        assert_eq!(active(&server), 3, "{how:?}");
    }
    write(&mut output, &weekly(), Begin::NEW, &ReportEnd::default(), &[findings(&["a"], &[])]);
    output.stored().unwrap();
    assert_eq!((active(&server), server.requests().len()), (3, 4), "a report that is not delivered");
    deliver(&mut output, &[findings(&["a"], &[])]).unwrap();
    assert_eq!(active(&server), 1);
    deliver(&mut output, &[]).unwrap();
    assert_eq!(active(&server), 0, "a complete report without findings");
    drop(output);
    let mut options = options;
    options["close_old_findings"] = false.into();
    let mut output = open_in(folder.path(), &options, None).unwrap();
    deliver(&mut output, &[findings(&["a", "b"], &[])]).unwrap();
    deliver(&mut output, &[findings(&["a"], &[])]).unwrap();
    assert_eq!(active(&server), 2);
}

#[test]
fn large_report_is_split_into_tests_that_do_not_close_each_other() {
    let (server, mut options) = start();
    options["max_findings"] = 10.into();
    server.with(|dojo| dojo.max_findings = 10);
    let results: Vec<String> = (0..60).map(|number| number.to_string()).collect();
    let results: Vec<&str> = results.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut output = open_in(folder.path(), &options, None).unwrap();
    let mut tests = BTreeSet::new();
    for count in [5, 60, 60, 20, 0] {
        deliver(&mut output, &[findings(&results[..count], &[])]).unwrap();
        server.with(|dojo| {
            assert_eq!(dojo.active().len(), count, "of {count}");
            let titles: BTreeSet<String> = dojo.active().into_iter().map(|(_, title, _)| title).collect();
            tests.extend(titles);
            let ids: BTreeSet<String> = dojo.active().into_iter().map(|(_, _, id)| id).collect();
            assert_eq!(ids.len(), count, "none is in two tests");
        });
    }
    assert!(tests.len() >= 8 && tests.contains("Weekly") && tests.contains("Weekly (2)"), "{tests:?}");
}

#[test]
fn each_asset_group_has_its_product_and_a_vanished_one_is_closed() {
    let (server, mut options) = start();
    options["product_name"] = "Net {asset_group}".into();
    let folder = tempfile::tempdir().unwrap();
    let mut output = open_in(folder.path(), &options, None).unwrap();
    let batches = [findings(&["a"], &["LAN", "DMZ"]), findings(&["b", "c"], &["LAN"]), findings(&["d"], &[])];
    deliver(&mut output, &batches).unwrap();
    let products = || -> Vec<String> {
        server.with(|dojo| dojo.active().into_iter().map(|(product, ..)| product).collect())
    };
    assert_eq!(products(), ["Net DMZ", "Net LAN", "Net LAN", "Net Ungrouped"]);
    deliver(&mut output, &[findings(&["b"], &["LAN"])]).unwrap();
    assert_eq!(products(), ["Net LAN"]);
}

#[test]
fn kill_at_each_step_imports_the_report_once() {
    let (server, options) = start();
    let folder = tempfile::tempdir().unwrap();
    let mut output = open_in(folder.path(), &options, None).unwrap();
    let (report, batch) = (weekly(), findings(&["a", "b"], &[]));
    // Inside the report.
    let columns = Columns::of_report(&report);
    output.begin(&report, Begin::NEW).unwrap();
    output.write(Batch::of(&batch, &columns).unwrap()).unwrap();
    let receipt = output.commit(CommitPoint::InReport).unwrap().receipt.unwrap();
    drop(output);
    let mut output = open_in(folder.path(), &options, Some(&receipt)).unwrap();
    let sealed = write(&mut output, &report, Begin::CONTINUED, &complete(), &[batch_from(2, &["c"], |_| {})]);
    // The receipt of the end is stored, and the host is killed before `stored`, and again while it posts.
    drop(output);
    for fault in [Rude::Reset(0), Rude::Reset(40), Rude::Silent] {
        server.be_rude([fault]);
        let error = open_in(folder.path(), &options, Some(&sealed)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{fault:?} {error}");
        assert!(folder.path().join(PART).exists(), "{fault:?}");
    }
    let output = open_in(folder.path(), &options, Some(&sealed)).unwrap();
    assert_eq!(active(&server), 3);
    let requests = server.requests().len();
    drop(output);
    open_in(folder.path(), &options, Some(&sealed)).unwrap();
    assert_eq!(server.requests().len(), requests, "not again");
}

#[test]
fn refused_finding_is_found_named_and_closes_nothing() {
    let (server, options) = start();
    let folder = tempfile::tempdir().unwrap();
    let mut output = open_in(folder.path(), &options, None).unwrap();
    deliver(&mut output, &[findings(&["a", "b", "c", "d", "e", "f"], &[])]).unwrap();
    deliver(&mut output, &[findings(&["a", "REJECT", "c", "d"], &[])]).unwrap();
    assert_eq!(active(&server), 6, "nothing is closed, because a finding is missing");
    let refused = fs::read_to_string(folder.path().join(REFUSED)).unwrap();
    assert_eq!(refused.lines().count(), 1);
    let refused: Value = serde_json::from_str(&refused).unwrap();
    assert!(refused["reason"].as_str().unwrap().contains("a value is not allowed"), "{refused}");
    assert!(refused["finding"]["description"].as_str().unwrap().contains("REJECT"));
    assert!(!refused.to_string().contains("d0jo-t0ken"));
    let error = output.close().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected, "{error}");
    assert!(error.hint.unwrap().contains(REFUSED));
}

#[test]
fn refused_form_is_a_wrong_setting_and_keeps_the_part() {
    for (keys, rejects, text) in [
        (vec!["endpoints"], false, "Not allowed fields"),
        (Vec::new(), true, "each of the first 3 findings is refused"),
    ] {
        let (server, options) = start();
        server.with(|dojo| dojo.unknown_keys = keys.clone());
        let folder = tempfile::tempdir().unwrap();
        let mut output = open_in(folder.path(), &options, None).unwrap();
        let results =
            if rejects { ["REJECT 1", "REJECT 2", "REJECT 3", "REJECT 4"] } else { ["a", "b", "c", "d"] };
        let error = deliver(&mut output, &[findings(&results, &[])]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config, "{error}");
        assert!(error.message.contains(text), "{error}");
        assert!(folder.path().join(PART).exists());
        assert_eq!(active(&server), 0);
    }
}

#[test]
fn too_large_file_is_halved() {
    let (server, options) = start();
    server.with(|dojo| dojo.max_findings = 2);
    let folder = tempfile::tempdir().unwrap();
    let mut output = open_in(folder.path(), &options, None).unwrap();
    deliver(&mut output, &[findings(&["a", "b", "c", "d", "e"], &[])]).unwrap();
    assert_eq!(active(&server), 5);
    output.close().unwrap();
}

#[test]
fn wrong_token_is_not_repeated() {
    let (server, mut options) = start();
    options["token"] = "an0ther-t0ken".into();
    let folder = tempfile::tempdir().unwrap();
    let mut output = open_in(folder.path(), &options, None).unwrap();
    let error = deliver(&mut output, &[findings(&["a"], &[])]).unwrap_err();
    assert_eq!((error.kind, server.requests().len()), (ErrorKind::Auth, 1));
    assert!(!error.message.contains("t0ken"), "{error}");
}

#[test]
fn files_that_are_done_are_not_posted_again() {
    let (server, mut options) = start();
    options["max_findings"] = 4.into();
    let results: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let results: Vec<&str> = results.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut output = open_in(folder.path(), &options, None).unwrap();
    let sealed = write(&mut output, &weekly(), Begin::NEW, &complete(), &[findings(&results, &[])]);
    drop(output);
    let mut attempts = 0;
    loop {
        server.be_rude([Rude::Closed, Rude::Status(503, None)]);
        attempts += 1;
        match open_in(folder.path(), &options, Some(&sealed)) {
            Ok(output) => break output.close().unwrap(),
            Err(error) => assert_eq!(error.kind, ErrorKind::Unavailable, "{error}"),
        }
    }
    server.with(|dojo| {
        assert_eq!((dojo.active().len(), dojo.imports.len()), (40, attempts));
        assert!(dojo.imports.len() >= 16);
    });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing stays");
}
