//! The commands of a report, line by line, and the state of a Defense Center after the import.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod hostile;
mod partial;
mod report;
mod results;
mod strict_reader;

use scanbridge_plugin_api::Begin;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use proptest::prelude::*;
use report::*;
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

fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}
