//! An interrupted run resumes at its last position.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use scanbridge_bench::generator::{Extent, Format, Shape};
use scanbridge_fixtures::{Group, damaged, good};
use scanbridge_plugin_api::Position;
use serde_json::{Value, json};

use crate::session::{Event, Pause, Session};

fn options(paths: &[&Path]) -> Value {
    json!({ "path": paths, "settle_secs": 0, "knowledge_base": good("knowledge-base.xml") })
}

fn read(options: &Value) -> Session {
    let state = tempfile::tempdir().unwrap();
    let mut session = Session::open(options, state.path(), None);
    assert_eq!(session.go(), Pause::Finished);
    session
}

/// After a resume at `position`, the events are the same as those after it in the uninterrupted run. They follow the
/// start of the report that was in progress. Rows may be in other batches, so assets and findings of a report are
/// compared separately.
fn assert_resumes(options: &Value, uninterrupted: &[Event], at: usize, position: &Position) {
    let state = tempfile::tempdir().unwrap();
    let mut session = Session::open(options, state.path(), Some(position));
    assert_eq!(session.go(), Pause::Finished);
    let started = uninterrupted[..at].iter().rposition(|event| matches!(event, Event::Start(..)));
    let ended = uninterrupted[..at].iter().rposition(|event| matches!(event, Event::End(_)));
    let mut expected = Vec::new();
    if let Some(start) = started.filter(|start| ended.is_none_or(|end| end < *start)) {
        let Event::Start(start, _) = uninterrupted[start].clone() else { unreachable!() };
        expected.push(Event::Start(start, true));
    }
    expected.extend_from_slice(&uninterrupted[at..]);
    assert_eq!(by_report(&session.events), by_report(&expected));
}

fn by_report(events: &[Event]) -> Vec<Vec<&Event>> {
    let mut reports = vec![Vec::new()];
    for event in events {
        if matches!(event, Event::Start(..)) {
            reports.push(Vec::new());
        }
        reports.last_mut().unwrap().push(event);
    }
    for report in &mut reports {
        // Stable: each kind of row keeps its order.
        report.sort_by_key(|event| match event {
            Event::Start(..) => 0,
            Event::Asset(_) => 1,
            Event::Finding(_) => 2,
            Event::End(_) | Event::Refused(_) => 3,
        });
    }
    reports
}

fn generated(format: Format, findings_per_asset: usize, assets: u64, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let shape = Shape { format, extent: Extent::Assets(assets), findings_per_asset, qids: 60, seed };
    shape.write(&mut bytes).unwrap();
    bytes
}

#[test]
fn large_report_resumes_at_every_position() {
    for (format, findings) in [
        (Format::Scan, 30),
        (Format::Template, 3),
        (Format::Template, 400),
        (Format::Detections, 30),
        (Format::Detections, 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.xml");
        let assets = if findings == 0 { 14_000 } else { 3_000 / findings as u64 };
        fs::write(&path, generated(format, findings, assets, 5)).unwrap();
        let options = options(&[&path]);
        let uninterrupted = read(&options);
        let inside: Vec<_> =
            uninterrupted.positions.iter().filter(|(_, position)| !position.0.is_empty()).collect();
        assert!(inside.len() > 4, "{format:?} {findings}: {} positions", inside.len());
        for (at, position) in inside {
            assert_resumes(&options, &uninterrupted.events, *at, position);
        }
    }
}

/// Fixtures fit into one batch, so the positions between assets are constructed.
#[test]
fn every_valid_report_resumes_after_every_asset() {
    let mut count = 0;
    for path in Group::Good.files() {
        let options = options(&[&path]);
        let uninterrupted = read(&options);
        let assets: Vec<&Event> =
            uninterrupted.events.iter().filter(|event| matches!(event, Event::Asset(_))).collect();
        let Some((_, position)) = uninterrupted.positions.iter().find(|_| !assets.is_empty()) else {
            continue;
        };
        for skipped in 0..=assets.len() {
            let mut edited: Value = serde_json::from_slice(&position.0).unwrap();
            edited["report"]["assets"] = skipped.into();
            let position = Position(edited.to_string().into_bytes());
            // The expected events: first the rows of the first assets, then the rest.
            let skipped_addresses: Vec<_> = assets[..skipped].iter().map(|asset| address(asset)).collect();
            let (mut first, mut rest) = (Vec::new(), Vec::new());
            for event in &uninterrupted.events {
                let is_first = match event {
                    Event::Start(..) => true,
                    Event::Asset(_) | Event::Finding(_) => skipped_addresses.contains(&address(event)),
                    Event::End(_) | Event::Refused(_) => false,
                };
                if is_first { &mut first } else { &mut rest }.push(event.clone());
            }
            let at = first.len();
            first.append(&mut rest);
            assert_resumes(&options, &first, at, &position);
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

fn address(event: &Event) -> &str {
    match event {
        Event::Asset(row) => row.get("address").or_else(|| row.get("ipv6")).map_or("", String::as_str),
        Event::Finding(row) => &row["asset"],
        _ => "",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn report_resumes_at_any_position(
        format in prop::sample::select(vec![Format::Scan, Format::Template, Format::Detections]),
        findings in 1_usize..120,
        seed: u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any.xml");
        fs::write(&path, generated(format, findings, 1_200 / findings as u64 + 1, seed)).unwrap();
        let options = options(&[&path]);
        let uninterrupted = read(&options);
        for (at, position) in uninterrupted.positions.iter().filter(|(_, position)| !position.0.is_empty()) {
            assert_resumes(&options, &uninterrupted.events, *at, position);
        }
    }
}

/// The note about late texts depends on the batches; its count is the same after a resume.
#[test]
fn notes_are_kept_after_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.xml");
    let xml = fs::read_to_string(good("scan-ipv6.xml")).unwrap();
    let finding = &xml[xml.find("<VULN ").unwrap()..xml.find("</CAT>").unwrap()];
    let more: String =
        (0..400).map(|number| finding.replace("[r]", &format!("[{number} {}]", "x".repeat(5_000)))).collect();
    let late =
        xml.replacen("</CAT>", &format!("{more}</CAT>"), 1).replacen("</IP>", "<NETWORK>N</NETWORK></IP>", 1);
    let asset = &late[late.find("<IP ").unwrap()..late.find("</IP>").unwrap() + 5];
    fs::write(&path, late.replacen(asset, &asset.repeat(2), 1)).unwrap();

    let options = options(&[&path]);
    let uninterrupted = read(&options);
    assert!(
        uninterrupted.ends()[0]
            .notes
            .iter()
            .any(|note| note.text.contains("found after the first findings of the asset") && note.count == 2)
    );
    let empty = uninterrupted.positions.iter().filter(|(_, position)| position.0.is_empty()).count();
    assert!(empty >= 2, "a position inside an asset is not empty");
    for (at, position) in uninterrupted.positions.iter().filter(|(_, position)| !position.0.is_empty()) {
        assert_resumes(&options, &uninterrupted.events, *at, position);
    }
}

#[test]
fn finished_files_are_not_read_again_and_new_ones_are() {
    for committed in [false, true] {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["b.xml", "c.xml", "d.xml"] {
            fs::copy(good("scan-ipv6.xml"), folder.path().join(name)).unwrap();
        }
        let options = options(&[folder.path()]);
        let mut first = Session::open(&options, state.path(), None);
        let mut position = first.go_to_end_of(1);
        if committed {
            first.commit().unwrap();
            position = first.go_to_end_of(2);
        }
        drop(first);
        fs::copy(good("template-report.xml"), folder.path().join("a.xml")).unwrap();

        let mut second = Session::open(&options, state.path(), Some(&position));
        assert_eq!(second.go(), Pause::Finished);
        let rest: &[&str] = if committed { &["a.xml", "d.xml"] } else { &["a.xml", "c.xml", "d.xml"] };
        assert_eq!(second.files(), rest);
        second.commit().unwrap();

        // A run from the beginning reads all files.
        let mut third = Session::open(&options, state.path(), None);
        third.go();
        assert_eq!(third.files(), ["a.xml", "b.xml", "c.xml", "d.xml"]);
    }
}

#[test]
fn report_in_progress_is_resumed_first() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("m.xml");
    fs::write(&path, generated(Format::Template, 10, 200, 1)).unwrap();
    let options = options(&[folder.path()]);
    let mut first = Session::open(&options, state.path(), None);
    while first.positions.iter().all(|(_, position)| position.0.is_empty()) {
        assert_eq!(first.step(), None);
    }
    let position = first.last_position();
    fs::copy(good("scan-ipv6.xml"), folder.path().join("a.xml")).unwrap();
    let mut second = Session::open(&options, state.path(), Some(&position));
    second.go();
    assert_eq!(second.files(), ["m.xml+", "a.xml"]);

    // A changed file is a different report.
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&bytes[..], b"\n"].concat()).unwrap();
    let mut third = Session::open(&options, state.path(), Some(&position));
    third.go();
    assert_eq!(third.files(), ["m.xml", "a.xml"]);
    assert_eq!(third.ends()[0].bytes, bytes.len() as u64 + 1);

    // A file that no longer exists cannot be resumed.
    fs::remove_file(&path).unwrap();
    let mut fourth = Session::open(&options, state.path(), Some(&position));
    fourth.go();
    assert_eq!(fourth.files(), ["a.xml"]);
}

/// A change may keep the length, time and ends of a file; a smaller number of assets is still detected.
#[test]
fn report_with_fewer_assets_than_before_is_not_complete() {
    let (path, state) = (good("scan-ipv6.xml"), tempfile::tempdir().unwrap());
    let options = options(&[&path]);
    let uninterrupted = read(&options);
    let mut edited: Value = serde_json::from_slice(&uninterrupted.positions[0].1.0).unwrap();
    edited["report"]["assets"] = 3.into();
    let position = Position(edited.to_string().into_bytes());
    let mut session = Session::open(&options, state.path(), Some(&position));
    session.go();
    let [Event::Start(..), Event::End(end)] = &session.events[..] else { panic!("{:?}", session.events) };
    assert!(!end.complete && !end.deliver);
    assert!(end.reason.ends_with("the report previously had 3 assets"), "{}", end.reason);
}

#[test]
fn delivered_truncated_report_resumes_too() {
    let mut options = options(&[&damaged("scan-cut-between-assets.xml"), &good("scan-ipv6.xml")]);
    options["deliver_incomplete"] = true.into();
    let uninterrupted = read(&options);
    assert!(!uninterrupted.ends()[0].complete && uninterrupted.ends()[0].deliver);
    for (at, position) in uninterrupted.positions.iter().filter(|(_, position)| !position.0.is_empty()) {
        assert_resumes(&options, &uninterrupted.events, *at, position);
    }
}

#[test]
fn pipe_cannot_resume_but_is_recognized() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let options = options(&[&pipe]);
    let run = |bytes: Vec<u8>, resume: Option<&Position>| {
        std::thread::scope(|scope| {
            scope.spawn(|| fs::write(&pipe, bytes).unwrap());
            let mut session = Session::open(&options, state.path(), resume);
            session.go();
            session
        })
    };
    let bytes = generated(Format::Template, 10, 200, 1);
    let first = run(bytes.clone(), None);
    let (end, inside) = first.positions.split_last().unwrap();
    assert!(inside.len() > 1 && inside.iter().all(|(_, position)| position.0.is_empty()));
    assert!(run(bytes, Some(&end.1)).files().is_empty(), "the same bytes are the same report");
    assert_eq!(run(generated(Format::Template, 10, 200, 2), Some(&end.1)).files(), ["pipe"]);
}

#[test]
fn position_size_is_limited_without_commits() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for number in 0..500 {
        fs::copy(good("scan-no-assets.xml"), folder.path().join(format!("{number:03}.xml"))).unwrap();
    }
    let options = options(&[folder.path()]);
    let mut first = Session::open(&options, state.path(), None);
    let position = first.go_to_end_of(499);
    assert!(position.0.len() < 500 * 40, "{} bytes", position.0.len());
    let mut second = Session::open(&options, state.path(), Some(&position));
    second.go();
    assert_eq!(second.files(), ["499.xml"]);
}
