//! Which findings share a line, what is in it, and what is counted.

use super::*;

/// The lines of findings in a text, by their fields.
fn result_lines(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().map(|line| fields(line).unwrap());
    lines.filter(|fields| fields[0] == "AddScanResult").collect()
}

/// The report of these findings on one asset, in one batch each, with results as the description.
fn described(findings: &[Finding], limits: BlockLimits) -> Outcome {
    let settings = Settings { description: vec![DescriptionPart::Result], limits, ..settings() };
    let batches: Vec<_> = findings
        .iter()
        .enumerate()
        .map(|(index, finding)| vec![("192.0.2.1", index > 0, vec![finding.clone()])])
        .collect();
    run(settings, Hints::default(), &batches, &end(true, &[]))
}

fn with_result(qid: &str, result: &str) -> Finding {
    Finding { result: result.to_owned(), ..finding(qid) }
}

#[test]
fn findings_with_one_key_are_one_line() {
    let on = |port: &str, protocol: &str, result: &str| Finding {
        port: port.to_owned(),
        protocol: protocol.to_owned(),
        ..with_result("7", result)
    };
    let fixed = Finding { status: "Fixed", ..on("443", "tcp", "closed") };
    let findings = [
        on("443", "tcp", "one"),
        fixed.clone(),
        on("443", "udp", "datagram"),
        on("443", "TCP", " two\n"),
        on("8443", "tcp", "other port"),
        on("443", "tcp", "one"),
        on("443", "tcp", ""),
        on("443", "tcp", "three"),
        Finding { qid: "8".to_owned(), ..fixed },
    ];
    let outcome = described(&findings, BlockLimits::default());
    let found: Vec<_> = result_lines(&outcome.text).iter().map(|fields| fields[3..8].join("|")).collect();
    let expected =
        ["7|443|tcp|Title 7|one two three", "7|443|udp|Title 7|datagram", "7|8443|tcp|Title 7|other port"];
    assert_eq!(found, expected);
    assert_eq!((outcome.left_out, outcome.totals.counts), (2, Counts { merged: 4, ..Counts::default() }));
    assert!(outcome.rejected.is_empty());
}

/// After a part of an asset was passed on, the results of its lines cannot be joined any more.
#[test]
fn finding_whose_line_was_passed_on_is_counted() {
    let limits = BlockLimits { asset_bytes: 200, ..BlockLimits::default() };
    let findings: Vec<_> = [("1", "a"), ("2", "b"), ("3", "c"), ("1", "d"), ("1", "")]
        .map(|(qid, result)| with_result(qid, result))
        .into();
    let outcome = described(&findings, limits);
    assert_eq!(imported(&outcome.text), [("192.0.2.1".to_owned(), owned(&["1", "2", "3"]))].into());
    assert_eq!(outcome.totals.counts, Counts { merged: 2, late: 1, ..Counts::default() });
}

/// Lines that were written again do not fill the buffer of an asset.
#[test]
fn many_merged_results_are_one_line() {
    let findings: Vec<_> = (0..400).map(|number| with_result("1", &format!("result {number}"))).collect();
    let limits = BlockLimits { asset_bytes: 16_384, ..BlockLimits::default() };
    let outcome = described(&findings, limits);
    let lines = result_lines(&outcome.text);
    assert_eq!((lines.len(), outcome.totals.counts.late), (1, 0));
    assert!(lines[0][7].starts_with("result 0 result 1 result 2") && lines[0][7].ends_with("..."));
    assert_eq!(outcome.totals.counts.cuts.texts, 1);
}

/// The Defense Center knows a service by its port and protocol; one without the other is nothing to it.
#[test]
fn port_and_protocol_are_sent_together() {
    for (port, protocol, expected, ports) in [
        ("443", "tcp", ["443", "tcp"], 0),
        ("53", "UDP", ["53", "udp"], 0),
        ("65535", "tcp", ["65535", "tcp"], 0),
        ("0", "tcp", ["", ""], 0),
        ("0", "icmp", ["", ""], 0),
        ("0", "", ["", ""], 0),
        ("443", "", ["", ""], 1),
        ("443", "sctp", ["", ""], 1),
    ] {
        let one = Finding { port: port.to_owned(), protocol: protocol.to_owned(), ..finding("1") };
        let outcome = described(&[one], BlockLimits::default());
        assert_eq!(result_lines(&outcome.text)[0][4..6], expected, "{port} {protocol}");
        assert_eq!(outcome.totals.counts.ports, ports, "{port} {protocol}");
    }
}

#[test]
fn cve_ids_are_those_of_the_definition_then_those_of_the_finding() {
    let ids = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    for (of_definition, of_findings, expected, bad_ids) in [
        (&["CVE-2026-0001"][..], &[&[][..]][..], "cve_ids: CVE-2026-0001", 0),
        (&[], &[&["CVE-2026-0002"]], "cve_ids: CVE-2026-0002", 0),
        (&["CVE-2026-0001"], &[&["cve-2026-0001"]], "cve_ids: CVE-2026-0001", 0),
        (
            &["CVE-2026-0001"],
            &[&["CVE-2026-0003", "CVE-2026-0001"]],
            "cve_ids: CVE-2026-0001 CVE-2026-0003",
            0,
        ),
        (&["odd"], &[&["CVE-2026-0003", "x"]], "cve_ids: CVE-2026-0003", 2),
        (
            &[],
            &[&["CVE-2026-0004"], &["CVE-2026-0004"], &["CVE-2026-0005"]],
            "cve_ids: CVE-2026-0004 CVE-2026-0005",
            0,
        ),
    ] {
        let findings: Vec<_> = of_findings
            .iter()
            .map(|list| Finding { cves: ids(of_definition), finding_cves: ids(list), ..finding("1") })
            .collect();
        let outcome = described(&findings, BlockLimits::default());
        let lines = result_lines(&outcome.text);
        assert_eq!((lines.len(), &*lines[0][8]), (1, expected));
        assert_eq!(outcome.totals.counts.cuts.bad_ids, bad_ids, "{expected}");
    }
}

#[test]
fn closed_findings_are_left_out_and_leave_a_clean_asset() {
    for status in FindingStatus::ALL {
        let one = Finding { status: status.word(), ..finding("1") };
        let outcome = described(&[one], BlockLimits::default());
        let is_sent = outcome.text.contains("AddScanResult");
        assert_eq!(is_sent, status.is_open(), "{status:?}");
        assert_eq!((outcome.left_out, outcome.totals.cleared), if is_sent { (0, 0) } else { (1, 1) });
        assert!(outcome.text.starts_with("DeleteScanResult,192.0.2.1,"), "{}", outcome.text);
    }
}

/// Even the shortest line is too long: the asset is left alone, and the finding is kept as a dead letter.
#[test]
fn asset_with_a_finding_without_room_keeps_its_old_results() {
    let long = Finding { qid: "4000000000".to_owned(), port: "65535".to_owned(), ..finding("1") };
    let limits = BlockLimits { line_bytes: 91, ..BlockLimits::default() };
    for findings in [vec![long.clone()], vec![finding("7"), long.clone()], vec![long, finding("7")]] {
        let count = findings.len() - 1;
        for replace in [Replace::Asset, Replace::Flush] {
            let batches = [vec![("192.0.2.1", false, findings.clone())]];
            let settings = Settings { replace, limits, ..settings() };
            let outcome = run(settings, Hints::default(), &batches, &end(true, &[]));
            assert!(
                outcome.rejected[0].contains("exceeds the maximum message size"),
                "{:?}",
                outcome.rejected
            );
            assert_eq!((outcome.rejected.len(), result_lines(&outcome.text).len()), (1, count));
            assert!(!outcome.text.contains("DeleteScanResult") && !outcome.text.contains("ScanFlush"));
        }
    }
}

/// A report that is known to be incomplete, one with a gap, and one of dead letters.
#[test]
fn incomplete_report_only_adds() {
    let batches = [vec![
        ("192.0.2.1", false, vec![finding("1")]),
        ("192.0.2.2", false, vec![]),
        ("192.0.2.3", false, vec![finding("2")]),
    ]];
    let incomplete = start().with_hints(Hints::default().with_flag("host-input.incomplete", Some(true)));
    for (start, how) in
        [(&incomplete, Begin::NEW), (&start(), Begin::NEW.with_gap(true)), (&start(), Begin::PARTIAL)]
    {
        for replace in [Replace::Asset, Replace::Flush] {
            let settings = Settings { replace, ..settings() };
            let outcome = run_report(settings, start, how, &batches, &end(false, &["192.0.2.9"]));
            let frame: Vec<_> =
                outcome.text.lines().filter(|line| !line.starts_with("AddScanResult")).collect();
            assert_eq!(frame, ["ScanUpdate", "ScanUpdate"]);
            assert_eq!(outcome.totals.warnings, [""; 0]);
        }
    }
}

#[test]
fn spellings_of_one_address_are_one_asset() {
    for (spellings, address) in [
        (["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:c000:201"], "192.0.2.1"),
        (["2001:db8::1", "2001:DB8:0:0:0:0:0:1", "2001:0db8::0001"], "2001:db8::1"),
    ] {
        let assets = spellings.into_iter().zip(["1", "2", "3"]);
        let assets = assets.map(|(spelling, qid)| (spelling, false, vec![finding(qid)])).collect();
        let outcome = run(settings(), Hints::default(), &[assets], &end(true, &spellings));
        assert_eq!(imported(&outcome.text), [(address.to_owned(), owned(&["1", "2", "3"]))].into());
        assert_eq!(outcome.text.matches("DeleteScanResult").count(), 1);
        let clean = spellings.map(|spelling| (spelling, false, vec![])).into();
        let outcome = run(settings(), Hints::default(), &[clean], &end(true, &spellings));
        assert_eq!(outcome.text, format!("DeleteScanResult,{address},\"QualysGuard\"\nScanUpdate\n"));
    }
}

/// An asset without an address is named by the first of these fields.
#[test]
fn asset_without_an_address_is_rejected_by_its_name() {
    let names = [
        AssetField::Dns,
        AssetField::Fqdn,
        AssetField::Netbios,
        AssetField::OsHostname,
        AssetField::Hostname,
        AssetField::Id,
        AssetField::AssetId,
        AssetField::AgentId,
        AssetField::CloudId,
        AssetField::Macs,
    ];
    for first in 0..names.len() {
        let mut builder = BatchBuilder::default();
        let mut row = AssetRow::default();
        names[first..].iter().for_each(|field| row.set(*field, &format!("name of {field:?}")));
        let asset = builder.push_asset(&row, false);
        let mut definition = DefinitionRow::default();
        definition.set(DefinitionField::Id, "1");
        let definition = builder.push_definition(&definition);
        let mut finding = FindingRow::default();
        finding.set_kind(FindingKind::Vulnerability);
        builder.push_finding(asset, definition, &finding);
        let raw = builder.finish();
        let mut writer = CommandWriter::new(settings());
        writer.begin(&start(), Begin::NEW);
        let columns = Columns::of(Schema::default());
        let mut sink = |block: Block<'_>| Err(block.text.to_owned());
        let written = writer.batch(Batch::of(&raw, &columns).unwrap(), &mut sink).unwrap();
        let expected = format!(
            "asset `name of {:?}` has no IP address; the Defense Center stores results by IP address",
            names[first]
        );
        assert_eq!(written.rejected[0].reason, expected);
    }
}

/// An asset whose scan did not finish is added to: its old results may still be correct.
#[test]
fn asset_that_was_not_scanned_to_its_end_is_only_added_to() {
    for (status, replaces) in [("Finish", true), ("", true), ("down", false), ("Aborted", false)] {
        let mut builder = raw(&[("192.0.2.1", false, vec![finding("1")])]);
        let mut row = AssetRow::default();
        row.set(AssetField::Address, "192.0.2.2");
        row.set(AssetField::Status, status);
        let asset = builder.push_asset(&row, false);
        let definition = {
            let mut row = DefinitionRow::default();
            row.set(DefinitionField::Id, "2");
            builder.push_definition(&row)
        };
        let mut row = FindingRow::default();
        row.set_kind(FindingKind::Vulnerability);
        builder.push_finding(asset, definition, &row);
        let raw = builder.finish();
        let mut writer = CommandWriter::new(settings());
        let mut outcome = Outcome::default();
        let mut sink = |block: Block<'_>| -> Result<(), Infallible> {
            outcome.take(block);
            Ok(())
        };
        writer.begin(&start(), Begin::NEW);
        writer.batch(Batch::of(&raw, &Columns::of(Schema::default())).unwrap(), &mut sink).unwrap();
        writer.end(&end(true, &[]), &mut sink).unwrap();
        assert_eq!(outcome.text.contains("DeleteScanResult,192.0.2.2,"), replaces, "{status}");
        assert_eq!(outcome.findings, 2);
    }
}
