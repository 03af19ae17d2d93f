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
fn assert_resumes(options: &Value, uninterrupted: &Session, at: usize, position: &Position) {
    let state = tempfile::tempdir().unwrap();
    let mut session = uninterrupted.resume(options, state.path(), at, position);
    let uninterrupted = &uninterrupted.events;
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
    let shape = Shape {
        format,
        extent: Extent::Assets(assets),
        findings_per_asset,
        qids: 60,
        own_texts: false,
        seed,
    };
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
        let assets = if findings == 0 { 20_000 } else { 6_000 / findings as u64 };
        fs::write(&path, generated(format, findings, assets, 5)).unwrap();
        let options = options(&[&path]);
        let uninterrupted = read(&options);
        let inside: Vec<_> =
            uninterrupted.positions.iter().filter(|(_, position)| !position.0.is_empty()).collect();
        assert!(inside.len() > 4, "{format:?} {findings}: {} positions", inside.len());
        for (at, position) in inside {
            assert_resumes(&options, &uninterrupted, *at, position);
        }
    }
}

/// Every valid report, and variants of it whose bytes must be sanitized, at every position between two assets.
#[test]
fn every_valid_report_resumes_after_every_asset() {
    let (mut count, folder) = (0, tempfile::tempdir().unwrap());
    let path = folder.path().join("report.xml");
    for file in Group::Good.files() {
        let bytes = fs::read(&file).unwrap();
        let crlf = String::from_utf8_lossy(&bytes).replace('\n', "\r\n").into_bytes();
        for bytes in [bytes.clone(), crlf, with_between_tags(&bytes, b"\xFF\x01\r\xEF\xBF\xBE\xC3\xA9")] {
            fs::write(&path, &bytes).unwrap();
            let options = options(&[&path]);
            let state = tempfile::tempdir().unwrap();
            let mut uninterrupted = Session::open(&options, state.path(), None).one_asset_per_batch();
            uninterrupted.go();
            let inside = inside(&uninterrupted);
            let assets = uninterrupted.events.iter().filter(|event| matches!(event, Event::Asset(_))).count();
            assert_eq!(inside.len(), assets, "{}", file.display());
            for (at, position) in inside {
                assert_resumes(&options, &uninterrupted, *at, position);
                count += 1;
            }
        }
    }
    assert!(count > 80, "{count}");
}

/// The positions inside a report.
fn inside(session: &Session) -> Vec<&(usize, Position)> {
    let is_inside = |position: &Position| position.0.windows(6).any(|key| key == b"\"mark\"");
    session.positions.iter().filter(|(_, position)| is_inside(position)).collect()
}

/// Inserts `text` after each tag that ends an element, except the root.
fn with_between_tags(xml: &[u8], text: &[u8]) -> Vec<u8> {
    let root = xml.windows(2).rposition(|pair| pair == b"</").unwrap_or(0);
    let mut changed = Vec::new();
    let mut is_end = false;
    for (at, byte) in xml.iter().enumerate() {
        is_end |= xml[at..].starts_with(b"</") && at < root;
        changed.push(*byte);
        if *byte == b'>' && std::mem::take(&mut is_end) {
            changed.extend_from_slice(text);
        }
    }
    changed
}

/// The bytes that this thread reads while `call` runs, from files of any kind.
pub(crate) fn bytes_read<T>(call: impl FnOnce() -> T) -> (u64, T) {
    let count = || -> u64 {
        let io = fs::read_to_string("/proc/thread-self/io").unwrap();
        io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    };
    let before = count();
    let result = call();
    (count() - before, result)
}

/// A run that resumes after 60 % of the findings reads at most 45 % of the bytes of a complete run. The header may
/// follow the assets, or be missing; all bytes may have to be sanitized.
#[test]
fn resumed_run_reads_only_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.xml");
    let scan = String::from_utf8(generated(Format::Scan, 30, 250, 5)).unwrap();
    let (begin, end) = (scan.find("<HEADER>").unwrap(), scan.find("</HEADER>").unwrap() + "</HEADER>".len());
    let header = &scan[begin..end];
    let without_header = scan.replacen(header, "", 1);
    let header_last = without_header.replacen("</SCAN>", &format!("{header}</SCAN>"), 1);
    let template = generated(Format::Template, 30, 500, 5);
    let crlf = String::from_utf8(template.clone()).unwrap().replace('\n', "\r\n");
    for (name, bytes) in [
        ("scan", scan.clone().into_bytes()),
        ("scan without header", without_header.into_bytes()),
        ("scan with the header after the assets", header_last.into_bytes()),
        ("template report", template),
        ("template report with CR LF", crlf.into_bytes()),
        ("detections", generated(Format::Detections, 30, 500, 5)),
    ] {
        assert!(bytes.len() > 4 << 20, "{name}: {}", bytes.len());
        fs::write(&path, bytes).unwrap();
        let options = options(&[&path]);
        let (all_bytes, uninterrupted) = bytes_read(|| read(&options));
        let findings = |events: &[Event]| events.iter().filter(|e| matches!(e, Event::Finding(_))).count();
        let total = findings(&uninterrupted.events);
        let inside = inside(&uninterrupted);
        let (at, position) =
            inside.iter().find(|(at, _)| 10 * findings(&uninterrupted.events[..*at]) >= 6 * total).unwrap();
        let (rest, ()) = bytes_read(|| assert_resumes(&options, &uninterrupted, *at, position));
        assert!(100 * rest <= 45 * all_bytes, "{name}: {rest} of {all_bytes} bytes");
    }
}

/// Damage after the position is reported with the line in the complete file.
#[test]
fn damage_after_a_resume_has_the_right_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.xml");
    for (format, end_of_asset) in
        [(Format::Scan, "</IP>"), (Format::Template, "</HOST>"), (Format::Detections, "</HOST>")]
    {
        let mut xml = String::from_utf8(generated(format, 30, 60, 5)).unwrap();
        let at = xml.rfind(end_of_asset).unwrap();
        xml.insert_str(at, "</OTHER>");
        let sanitized = with_between_tags(xml.as_bytes(), b"\xFF");
        for bytes in [xml.clone().into_bytes(), xml.replace('\n', "\r\n").into_bytes(), sanitized] {
            fs::write(&path, &bytes).unwrap();
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n").replace('\r', "\n");
            let line = text[..text.rfind("</OTHER>").unwrap()].matches('\n').count() + 1;
            let options = options(&[&path]);
            let uninterrupted = read(&options);
            let reason = &uninterrupted.ends()[0].reason;
            let expected = format!(", line {line}: expected `{end_of_asset}`");
            assert!(reason.contains(&expected), "{reason}, not {expected}");
            let inside = inside(&uninterrupted);
            assert!(inside.len() > 1);
            for (at, position) in inside {
                assert_resumes(&options, &uninterrupted, *at, position);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn report_resumes_at_any_position(
        format in prop::sample::select(vec![Format::Scan, Format::Template, Format::Detections]),
        findings in 1_usize..120,
        seed: u64,
        inserted in prop::sample::select(vec![&b""[..], b"\r\n", b"\r", b"\xFF", b"\xEF\xBF\xBE\x01", "\u{E9}".as_bytes(), b"&#1;>"]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any.xml");
        let xml = generated(format, findings, 1_200 / findings as u64 + 1, seed);
        fs::write(&path, with_between_tags(&xml, inserted)).unwrap();
        let options = options(&[&path]);
        let uninterrupted = read(&options);
        for (at, position) in uninterrupted.positions.iter().filter(|(_, position)| !position.0.is_empty()) {
            assert_resumes(&options, &uninterrupted, *at, position);
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
        assert_resumes(&options, &uninterrupted, *at, position);
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

/// A change may keep the length, time and ends of a file. If the position is no longer the end of an asset, the report is
/// read from its beginning.
#[test]
fn report_whose_assets_have_moved_is_read_from_the_beginning() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("changed.xml");
    let xml = String::from_utf8(generated(Format::Scan, 30, 200, 5)).unwrap();
    fs::write(&path, &xml).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let options = options(&[&path]);
    let uninterrupted = read(&options);
    let position = &inside(&uninterrupted)[1].1;
    let middle = 100 << 10;
    let at = middle + xml[middle..].find("<RESULT>").unwrap_or_else(|| xml[middle..].find("<VULN").unwrap());
    let mut moved = xml.clone();
    moved.insert(at, '\n');
    let late = moved.len() - (100 << 10);
    let removed = late + moved[late..].find('\n').unwrap();
    moved.remove(removed);
    let beyond = |position: &Position| {
        let mut edited: Value = serde_json::from_slice(&position.0).unwrap();
        edited["report"]["mark"]["offset"] = (xml.len() + 1).into();
        Position(edited.to_string().into_bytes())
    };
    for (xml, position) in [(&moved, position.clone()), (&xml, beyond(position))] {
        fs::write(&path, xml).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let mut session = Session::open(&options, state.path(), Some(&position));
        session.go();
        assert_eq!(session.files(), ["changed.xml"]);
        assert!(session.ends()[0].complete);
    }
}

#[test]
fn delivered_truncated_report_resumes_too() {
    let mut options = options(&[&damaged("scan-cut-between-assets.xml"), &good("scan-ipv6.xml")]);
    options["deliver_incomplete"] = true.into();
    let uninterrupted = read(&options);
    assert!(!uninterrupted.ends()[0].complete && uninterrupted.ends()[0].deliver);
    for (at, position) in uninterrupted.positions.iter().filter(|(_, position)| !position.0.is_empty()) {
        assert_resumes(&options, &uninterrupted, *at, position);
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
