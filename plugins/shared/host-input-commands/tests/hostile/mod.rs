//! Texts that have broken importers before.

use super::*;

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
