//! The commands of a report, line by line, and the state of a Defense Center after the import.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod partial;
mod results;
mod strict_reader;

use scanbridge_plugin_api::Begin;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use proptest::prelude::*;
use scanbridge_host_input_commands::{
    Block, BlockLimits, CommandWriter, Counts, Cuts, DescriptionPart, Domain, Name, Replace, Settings, Totals,
};
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, FindingStatus, Hints, Protocol, ReportEnd,
    ReportSource, ReportStart,
};
use strict_reader::fields;

/// A finding with the cells that matter here.
#[derive(Debug, Clone)]
struct Finding {
    kind: &'static str,
    status: &'static str,
    qid: String,
    port: String,
    protocol: String,
    title: String,
    text: String,
    result: String,
    cves: Vec<String>,
    bugtraqs: Vec<String>,
    /// Those of the finding; the others are those of its definition.
    finding_cves: Vec<String>,
}

fn finding(qid: &str) -> Finding {
    Finding {
        kind: "vulnerability",
        status: "",
        qid: qid.to_owned(),
        port: "443".to_owned(),
        protocol: "tcp".to_owned(),
        title: format!("Title {qid}"),
        text: String::new(),
        result: String::new(),
        cves: Vec::new(),
        bugtraqs: Vec::new(),
        finding_cves: Vec::new(),
    }
}

/// An asset's address, whether it is continued, and its findings.
type AssetFindings = (&'static str, bool, Vec<Finding>);

fn settings() -> Settings {
    Settings {
        source: Some(Name::new("Qualys Guard").unwrap()),
        scanner: Some(Name::new("QualysGuard").unwrap()),
        domain: None,
        add_host: None,
        replace: Replace::Asset,
        set_os: false,
        min_severity: 1,
        kinds: vec![FindingKind::Vulnerability, FindingKind::Potential],
        description: vec![DescriptionPart::Diagnosis],
        description_length: 1000,
        limits: BlockLimits::default(),
    }
}

fn end(complete: bool, clean: &[&str]) -> ReportEnd {
    let clean_assets = clean.iter().map(|text| text.parse().unwrap()).collect();
    ReportEnd::default().with_complete(complete).with_deliver(true).with_clean_assets(clean_assets)
}

#[derive(Debug, Default)]
struct Outcome {
    text: String,
    commands: u64,
    findings: u64,
    lengths: Vec<usize>,
    rejected: Vec<String>,
    left_out: usize,
    totals: Totals,
}

impl Outcome {
    fn take(&mut self, block: Block<'_>) {
        assert!(block.text.ends_with('\n'));
        assert_eq!(block.text.lines().count() as u64, block.commands);
        assert_eq!(block.text.matches("AddScanResult,").count() as u64, block.findings);
        let ends = block.text.ends_with("ScanUpdate\n") || block.text.ends_with("ScanFlush\n");
        assert_eq!(ends, block.ends_asset);
        self.text.push_str(block.text);
        self.commands += block.commands;
        self.findings += block.findings;
        self.lengths.push(block.text.len());
    }
}

fn run(settings: Settings, hints: Hints, batches: &[Vec<AssetFindings>], end: &ReportEnd) -> Outcome {
    run_report(settings, &start().with_hints(hints), Begin::NEW, batches, end)
}

fn run_report(
    settings: Settings,
    start: &ReportStart,
    how: Begin,
    batches: &[Vec<AssetFindings>],
    end: &ReportEnd,
) -> Outcome {
    let mut writer = CommandWriter::new(settings);
    let mut outcome = Outcome::default();
    writer.begin(start, how);
    let columns = Columns::of(Schema::default());
    for assets in batches {
        let raw = raw(assets).finish();
        let batch = Batch::of(&raw, &columns).unwrap();
        let mut sink = |block: Block<'_>| -> Result<(), Infallible> {
            outcome.take(block);
            Ok(())
        };
        let written = writer.batch(batch, &mut sink).unwrap();
        outcome.rejected.extend(written.rejected.into_iter().map(|rejection| rejection.reason));
        outcome.left_out += written.left_out.len();
    }
    let mut sink = |block: Block<'_>| -> Result<(), Infallible> {
        outcome.take(block);
        Ok(())
    };
    let totals = writer.end(end, &mut sink).unwrap();
    outcome.totals = totals;
    outcome
}

fn start() -> ReportStart {
    let source = ReportSource::new("Qualys", "Qualys", "qid").with_name("QualysGuard");
    ReportStart::default().with_source(source)
}

fn raw(assets: &[AssetFindings]) -> BatchBuilder {
    let mut builder = BatchBuilder::default();
    for (address, continued, findings) in assets {
        let mut row = AssetRow::default();
        row.set(AssetField::Address, address);
        row.set(AssetField::Dns, "www.example.com");
        let asset = builder.push_asset(&row, *continued);
        for finding in findings {
            let mut row = DefinitionRow::default();
            row.set(DefinitionField::Id, &finding.qid);
            row.set(DefinitionField::Title, &finding.title);
            row.set(DefinitionField::Diagnosis, &finding.text);
            finding.cves.iter().for_each(|id| row.append_item(DefinitionField::Cves, id));
            finding.bugtraqs.iter().for_each(|id| row.append_item(DefinitionField::Bugtraqs, id));
            let definition = builder.push_definition(&row);
            let mut row = FindingRow::default();
            row.set_kind(FindingKind::from_word(finding.kind));
            row.set_status(FindingStatus::from_word(finding.status));
            row.set_port(finding.port.parse().unwrap_or_default());
            row.set_protocol(Protocol::of(&finding.protocol));
            row.set(FindingField::Result, &finding.result);
            finding.finding_cves.iter().for_each(|id| row.append_item(FindingField::Cves, id));
            builder.push_finding(asset, definition, &row);
        }
    }
    builder
}

#[test]
fn a_report_becomes_these_lines() {
    let weak = Finding {
        title: "Weak \"RC4\" cipher, 100%41".to_owned(),
        text: "<P>Ciphers are\r\n<B>weak</B> &amp; old – see “x”.".to_owned(),
        cves: vec!["CVE-2013-2566".to_owned(), "cve-2015-2808".to_owned(), "no id".to_owned()],
        bugtraqs: vec!["58796".to_owned(), "x1".to_owned()],
        ..finding("4242")
    };
    let icmp = Finding { port: "0".to_owned(), protocol: "icmp".to_owned(), ..finding("82003") };
    let info = Finding { kind: "information", ..finding("6") };
    let fixed = Finding { status: "Fixed", ..finding("7") };
    let outcome = run(
        settings(),
        Hints::default().with_flag("host-input.add_host", Some(true)),
        &[
            vec![("192.0.2.10", false, vec![weak.clone(), info.clone()]), ("2001:DB8::1", false, vec![icmp])],
            vec![("2001:DB8::1", true, vec![weak]), ("192.0.2.11", false, vec![info, fixed])],
        ],
        &end(true, &["192.0.2.12-192.0.2.13"]),
    );
    let tail = "\"Weak \"\"RC4\"\" cipher, 100% 41\",\"Ciphers are weak & old - see \"\"x\"\".\",\
                \"cve_ids: CVE-2013-2566 CVE-2015-2808\",\"bugtraq_ids: 58796\"";
    let expected = format!(
        "AddHost,192.0.2.10\n\
         DeleteScanResult,192.0.2.10,\"QualysGuard\"\n\
         AddScanResult,192.0.2.10,\"QualysGuard\",4242,443,tcp,{tail}\n\
         ScanUpdate\n\
         AddHost,2001:db8::1\n\
         DeleteScanResult,2001:db8::1,\"QualysGuard\"\n\
         AddScanResult,2001:db8::1,\"QualysGuard\",82003,,,\"Title 82003\",\"\",\"cve_ids:\",\"bugtraq_ids:\"\n\
         AddScanResult,2001:db8::1,\"QualysGuard\",4242,443,tcp,{tail}\n\
         ScanUpdate\n\
         DeleteScanResult,192.0.2.11,\"QualysGuard\"\n\
         ScanUpdate\n\
         DeleteScanResult,192.0.2.12,\"QualysGuard\"\n\
         ScanUpdate\n\
         DeleteScanResult,192.0.2.13,\"QualysGuard\"\n\
         ScanUpdate\n"
    );
    assert_eq!(outcome.text, expected);
    assert_eq!((outcome.commands, outcome.findings), (15, 3));
    let cuts = Cuts { bad_ids: 4, ..Cuts::default() };
    let counts = Counts { cuts, ..Counts::default() };
    assert_eq!(outcome.totals, Totals { hosts_added: 2, cleared: 3, counts, warnings: Vec::new() });
    assert_eq!(outcome.left_out, 3);
}

#[test]
fn the_header_names_domain_and_source() {
    let mut settings = settings();
    let header = |settings: &Settings| {
        let mut writer = CommandWriter::new(settings.clone());
        writer.begin(&start(), Begin::NEW);
        writer.header()
    };
    assert_eq!(header(&settings), "SetSource,Qualys Guard\n");
    settings.domain = Some(Domain::new("Global\\Lab").unwrap());
    assert_eq!(header(&settings), "SetDomain,Global\\Lab\nSetSource,Qualys Guard\n");
    settings.source = None;
    assert_eq!(header(&settings), "SetDomain,Global\\Lab\nSetSource,QualysGuard\n");
}

#[test]
fn the_option_wins_over_the_hint_and_neither_means_no() {
    for (option, hint, added) in [
        (None, None, false),
        (None, Some(true), true),
        (None, Some(false), false),
        (Some(false), Some(true), false),
        (Some(true), Some(false), true),
    ] {
        let settings = Settings { add_host: option, ..settings() };
        let batches = [vec![("192.0.2.1", false, vec![finding("1")])]];
        let outcome =
            run(settings, Hints::default().with_flag("host-input.add_host", hint), &batches, &end(true, &[]));
        assert_eq!(outcome.text.starts_with("AddHost,192.0.2.1\n"), added, "{option:?} {hint:?}");
        assert_eq!(outcome.totals.hosts_added, u64::from(added));
    }
}

#[test]
fn an_incomplete_report_clears_nothing_and_an_undelivered_one_says_nothing_more() {
    let batches = [vec![("192.0.2.1", false, vec![]), ("192.0.2.2", false, vec![finding("1")])]];
    let clean = ["192.0.2.9"];
    let partial = run(settings(), Hints::default(), &batches, &end(false, &clean));
    assert!(!partial.text.contains("192.0.2.1,") && !partial.text.contains("192.0.2.9"));
    assert!(partial.text.ends_with("ScanUpdate\n"));
    let rolled_back = end(false, &clean).with_deliver(false);
    assert_eq!(run(settings(), Hints::default(), &batches, &rolled_back).text, "");
}

#[test]
fn truncated_last_asset_keeps_its_old_results() {
    let batches = [vec![
        ("192.0.2.1", false, vec![finding("1")]),
        ("192.0.2.2", false, vec![finding("2"), finding("3")]),
    ]];
    let hints = Hints::default().with_flag("host-input.add_host", Some(true));
    let truncated = run(settings(), hints.clone(), &batches, &end(false, &[]));
    let result = |address: &str, id: &str| {
        format!(
            "AddScanResult,{address},\"QualysGuard\",{id},443,tcp,\"Title {id}\",\"\",\"cve_ids:\",\"bugtraq_ids:\"\n"
        )
    };
    let expected = format!(
        "AddHost,192.0.2.1\nDeleteScanResult,192.0.2.1,\"QualysGuard\"\n{}ScanUpdate\n\
         AddHost,192.0.2.2\n{}{}ScanUpdate\n",
        result("192.0.2.1", "1"),
        result("192.0.2.2", "2"),
        result("192.0.2.2", "3")
    );
    assert_eq!(truncated.text, expected);
    assert_eq!((truncated.commands, truncated.findings), (8, 3));
    let warning = "the report turned out to be incomplete after the old results of 1 assets were replaced";
    assert_eq!(truncated.totals.warnings, [warning]);
    let complete = run(settings(), hints.clone(), &batches, &end(true, &[]));
    assert_eq!(complete.text.matches("DeleteScanResult").count(), 2);
}

#[test]
fn truncated_asset_with_sent_deletion_is_reported() {
    let limits = BlockLimits { asset_bytes: 250, ..BlockLimits::default() };
    let parts: Vec<_> = (1..=5).map(|qid| finding(&qid.to_string())).collect();
    let twice = vec![
        ("192.0.2.1", false, vec![finding("1")]),
        ("192.0.2.2", false, vec![finding("2")]),
        ("192.0.2.1", false, vec![finding("3")]),
    ];
    for batches in [[vec![("192.0.2.1", false, parts)]], [twice]] {
        let outcome = run(Settings { limits, ..settings() }, Hints::default(), &batches, &end(false, &[]));
        assert_eq!(outcome.text.matches("DeleteScanResult,192.0.2.1,").count(), 1);
        assert_eq!(
            outcome.totals.warnings[0],
            "the report is truncated within asset 192.0.2.1, whose old results are already deleted; some results may be missing until a complete report is delivered"
        );
        assert!(outcome.totals.warnings[1].contains("incomplete after the old results of"));
        // A report that is not delivered has deleted the same results at this point.
        let rolled_back = end(false, &[]).with_deliver(false);
        let outcome = run(Settings { limits, ..settings() }, Hints::default(), &batches, &rolled_back);
        assert_eq!(outcome.totals.warnings.len(), 1);
        let complete = run(Settings { limits, ..settings() }, Hints::default(), &batches, &end(true, &[]));
        assert_eq!(complete.totals.warnings, [""; 0]);
    }
}

#[test]
fn only_assets_that_were_scanned_to_the_end_are_cleared() {
    let mut raw = BatchBuilder::default();
    let statuses = ["", "Finished", "FINISH", "down", "Aborted", "dead", " ", "fin", "ünfinished"];
    for (number, status) in statuses.into_iter().enumerate() {
        let mut row = AssetRow::default();
        row.set(AssetField::Address, &format!("192.0.2.{number}"));
        row.set(AssetField::Status, status);
        raw.push_asset(&row, false);
    }
    let raw = raw.finish();
    let columns = Columns::of(Schema::default());
    let mut writer = CommandWriter::new(settings());
    let mut cleared = Vec::new();
    let mut sink = |block: Block<'_>| -> Result<(), Infallible> {
        cleared.push(block.address.to_string());
        Ok(())
    };
    writer.begin(&start(), Begin::NEW);
    writer.batch(Batch::of(&raw, &columns).unwrap(), &mut sink).unwrap();
    let totals = writer.end(&end(true, &[]), &mut sink).unwrap();
    assert_eq!(cleared, ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.6"]);
    assert_eq!(totals.cleared, 4);
}

/// Content keys are equal only within a schema. With the columns in another order, old texts must not be found.
#[test]
fn another_schema_is_read_by_its_names() {
    let mut swapped = Schema::default();
    let position = |name: &str| swapped.definitions.iter().position(|column| column.name == name).unwrap();
    let (title, diagnosis) = (position("title"), position("diagnosis"));
    swapped.definitions.swap(title, diagnosis);
    let one = Finding { title: "first".to_owned(), text: "second".to_owned(), ..finding("1") };
    let raw = raw(&[("192.0.2.1", false, vec![one])]).finish();
    let mut writer = CommandWriter::new(settings());
    let mut texts = Vec::new();
    for schema in [Schema::default(), swapped] {
        let mut sink = |block: Block<'_>| -> Result<(), Infallible> {
            texts.push(block.text.to_owned());
            Ok(())
        };
        let columns = Columns::of(schema.clone());
        writer.begin(&start().with_schema(schema), Begin::NEW);
        writer.batch(Batch::of(&raw, &columns).unwrap(), &mut sink).unwrap();
        writer.end(&end(true, &[]), &mut sink).unwrap();
    }
    assert!(texts[0].contains(",\"first\",\"second\","), "{}", texts[0]);
    assert!(texts[1].contains(",\"second\",\"first\","), "{}", texts[1]);
}

#[test]
fn unsendable_finding_is_rejected_and_clears_nothing() {
    let batches = [vec![
        ("", false, vec![finding("1"), Finding { kind: "service", ..finding("2") }]),
        ("192.0.2.256", false, vec![finding("3")]),
        ("192.0.2.1", false, vec![finding("0"), finding("x"), finding("4294967296"), finding("+5")]),
    ]];
    let outcome = run(settings(), Hints::default(), &batches, &end(true, &[]));
    assert_eq!(outcome.text, "");
    assert_eq!(outcome.left_out, 1);
    assert_eq!(
        outcome.rejected,
        [
            "asset `www.example.com` has no IP address; the Defense Center stores results by IP address",
            "asset `192.0.2.256` has no valid IP address",
            "the ID `0` is not a number accepted by the Defense Center",
            "the ID `x` is not a number accepted by the Defense Center",
            "the ID `4294967296` is not a number accepted by the Defense Center",
            "the ID `+5` is not a number accepted by the Defense Center",
        ]
    );
}

#[test]
fn asset_that_appears_twice_keeps_its_first_part() {
    let batches = [vec![
        ("192.0.2.1", false, vec![finding("1")]),
        ("192.0.2.2", false, vec![]),
        ("192.0.2.1", false, vec![finding("2")]),
        ("192.0.2.2", false, vec![finding("3")]),
    ]];
    let outcome = run(settings(), Hints::default(), &batches, &end(true, &["192.0.2.1"]));
    let expected = [("192.0.2.1", vec!["1", "2"]), ("192.0.2.2", vec!["3"])];
    assert_eq!(imported(&outcome.text), expected.map(|(ip, ids)| (ip.to_owned(), owned(&ids))).into());
    assert_eq!(outcome.totals.cleared, 0);
}

#[test]
fn boundless_clean_range_is_reported() {
    let all = run(settings(), Hints::default(), &[], &end(true, &["::-ffff::"]));
    assert_eq!(all.totals.cleared, 1 << 20);
    assert!(all.totals.warnings[0].starts_with("only 1048576 assets"));
}

#[test]
fn descriptions_are_made_of_the_parts_that_were_asked_for() {
    let mut settings = settings();
    settings.description = vec![DescriptionPart::Result, DescriptionPart::Diagnosis];
    let one = Finding { text: "<i>why</i>".to_owned(), result: "seen <b>\there".to_owned(), ..finding("1") };
    let two = Finding { text: String::new(), result: "other".to_owned(), ..finding("2") };
    let batches = [vec![("192.0.2.1", false, vec![one, two])]];
    let text = run(settings, Hints::default(), &batches, &end(true, &[])).text;
    assert!(text.contains("\"Result: seen <b> here Diagnosis: why\""), "{text}");
    assert!(text.contains("\"Result: other\""), "{text}");
}

#[test]
fn large_asset_is_passed_on_in_parts_of_complete_lines() {
    let findings: Vec<_> = (1..=5000).map(|qid| finding(&qid.to_string())).collect();
    let batches = [vec![("192.0.2.1", false, findings)]];
    let limits = BlockLimits { bytes: 16 << 20, ..BlockLimits::default() };
    let complete = run(Settings { limits, ..settings() }, Hints::default(), &batches, &end(true, &[]));
    assert_eq!(complete.lengths.len(), 1);
    let limits = BlockLimits { bytes: 2000, ..BlockLimits::default() };
    let parts = run(Settings { limits, ..settings() }, Hints::default(), &batches, &end(true, &[]));
    assert_eq!(parts.text, complete.text);
    assert!(parts.lengths.len() > 100);
    assert!(parts.lengths.iter().all(|length| *length <= limits.bytes));
}

/// The results that a Defense Center has after the import: IDs of the scanner's results, by address.
fn imported(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut deleted = BTreeSet::new();
    let mut added: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let fields = fields(line).unwrap();
        match fields[0].as_str() {
            "DeleteScanResult" => {
                deleted.insert(fields[1].clone());
            }
            "AddScanResult" => added.push((fields[1].clone(), fields[3].clone())),
            "ScanUpdate" => {
                known.retain(|address, _| !deleted.contains(address));
                deleted.clear();
                for (address, id) in added.drain(..) {
                    known.entry(address).or_default().push(id);
                }
            }
            "AddHost" => {}
            other => panic!("{other}"),
        }
    }
    assert!(added.is_empty() && deleted.is_empty(), "something was left without its update");
    known
}

fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// Text that has broken importers before, in random combinations.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "\"",
            "\"\"",
            "\\\"",
            "\\",
            ",",
            "\n",
            "\r\n",
            "\t",
            "\0",
            "%",
            "%4",
            "41",
            "%41",
            "'",
            "#",
            "é",
            "“",
            "％41",
            "ScanFlush",
            "<b>",
            "<",
            "&quot;",
            "&#10;",
            "&#34;",
            " ",
            "\u{2028}",
            "\u{7f}",
            "\u{85}",
            "💥",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        "[ -~]{0,8}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn hostile_finding() -> impl Strategy<Value = Finding> {
    (
        prop::sample::select(vec!["vulnerability", "potential", "information", "service"]),
        prop::sample::select(vec!["", "Active", "Fixed"]),
        prop_oneof![4 => (1..u32::MAX).prop_map(|qid| qid.to_string()), 1 => hostile()],
        prop_oneof![any::<u32>().prop_map(|port| port.to_string()), hostile()],
        prop_oneof![Just("tcp".to_owned()), Just("UDP".to_owned()), hostile()],
        [hostile(), hostile(), hostile()],
        prop::collection::vec(prop_oneof![Just("CVE-2014-0160".to_owned()), hostile()], 0..3),
        prop::collection::vec(prop_oneof![Just("58796".to_owned()), hostile()], 0..3),
    )
        .prop_map(|(kind, status, qid, port, protocol, [title, text, result], cves, bugtraqs)| Finding {
            kind,
            status,
            qid,
            port,
            protocol,
            title,
            text,
            result,
            finding_cves: without_breaks(bugtraqs.clone()),
            cves: without_breaks(cves),
            bugtraqs: without_breaks(bugtraqs),
        })
}

/// The input ensures that no list item contains a line break.
fn without_breaks(items: Vec<String>) -> Vec<String> {
    items.into_iter().map(|item| item.replace('\n', " ")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_line_passes_the_strict_reader(
        findings in prop::collection::vec(hostile_finding(), 0..6),
        with_result in any::<bool>(),
        length in 16_usize..60,
        line_bytes in prop_oneof![Just(usize::MAX), 60_usize..400],
    ) {
        let mut settings = settings();
        settings.limits.line_bytes = line_bytes;
        settings.description_length = length;
        if with_result {
            settings.description.push(DescriptionPart::Result);
        }
        let count = findings.len();
        let is_unlimited = line_bytes == usize::MAX;
        let batches = [vec![("192.0.2.1", false, findings)]];
        let outcome = run(settings, Hints::default().with_flag("host-input.add_host", Some(true)), &batches, &end(true, &[]));
        let mut sent = 0;
        for line in outcome.text.split_terminator('\n') {
            let fields = fields(line).map_err(|why| TestCaseError::fail(format!("{why}: {line}")))?;
            prop_assert!(!line.as_bytes().windows(3).any(
                |three| three[0] == b'%' && three[1].is_ascii_hexdigit() && three[2].is_ascii_hexdigit()
            ), "{line}");
            if fields[0] == "AddScanResult" {
                prop_assert!(line.len() < line_bytes, "{}", line);
                sent += 1;
                check_result(&fields, length)?;
            }
        }
        let merged = outcome.totals.counts.merged as usize;
        prop_assert_eq!(sent + merged + outcome.rejected.len() + outcome.left_out, count);
        prop_assert!(!is_unlimited || outcome.totals.counts.cuts.lines == 0);
        let imported = imported(&outcome.text);
        // An asset is emptied by nothing, and no result is sent twice.
        let has_room = !outcome.rejected.iter().any(|reason| reason.contains("maximum message size"));
        prop_assert!(has_room || !outcome.text.contains("DeleteScanResult"));
        prop_assert_eq!(imported.get("192.0.2.1").map_or(0, Vec::len), sent);
    }
}

fn check_result(fields: &[String], length: usize) -> Result<(), TestCaseError> {
    prop_assert_eq!(fields.len(), 10);
    prop_assert_eq!(&fields[1], "192.0.2.1");
    prop_assert_eq!(&fields[2], "QualysGuard");
    prop_assert!(fields[3].parse::<u32>().is_ok_and(|id| id > 0));
    prop_assert!(fields[4].is_empty() || fields[4].parse::<u16>().is_ok_and(|port| port > 0));
    prop_assert!(["", "tcp", "udp"].contains(&fields[5].as_str()));
    // The space that breaks a percent code is not part of the length.
    prop_assert!(fields[7].replace("% ", "%").len() <= length);
    for (list, prefix) in [(&fields[8], "cve_ids:"), (&fields[9], "bugtraq_ids:")] {
        prop_assert!(list.strip_prefix(prefix).is_some_and(|ids| ids.is_empty() || ids.starts_with(' ')));
    }
    Ok(())
}
