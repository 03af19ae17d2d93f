//! The commands as they are written to the file.

use std::fs;

use crate::reports::*;
use scanbridge_plugin_api::Output;
use scanbridge_plugin_api::model::{Hints, ReportEnd, ReportSource};

const FORMAT: &str = r#""format": "host-input""#;

#[test]
fn the_commands_are_the_golden_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut output = open(&path, FORMAT).unwrap();
    let (rejected, bytes) = write(&mut output, &start(), sample(), &complete(&["203.0.113.5"]));
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, include_str!("golden/host-input.csv"));
    assert_eq!(bytes, text.len() as u64);
    // The finding of the asset without an address. The information finding is skipped, not rejected.
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].row, 2);
    assert!(rejected[0].reason.contains("`laptop.example.com` has no IP address"));
}

#[test]
fn the_options_reach_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let options = format!(
        "{FORMAT}, \"source\": \"Feed 1\", \"scanner\": \"Qualys\", \"domain\": \"Global\\\\Lab\", \"add_host\": false, \
         \"kinds\": [\"information\"], \"description\": [\"solution\"], \"description_length\": 16"
    );
    let mut output = open(&path, &options).unwrap();
    write(&mut output, &start(), vec![batch(&[(WEB, WEAK, INFO)], false)], &complete(&[]));
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "SetDomain,Global\\Lab\n\
         SetSource,Feed 1\n\
         DeleteScanResult,192.0.2.10,\"Qualys\"\n\
         AddScanResult,192.0.2.10,\"Qualys\",4242,,,\"Weak \"\"RC4\"\" cipher, old\",\"Switch it off...\",\
         \"cve_ids: CVE-2013-2566 CVE-2015-2808\",\"bugtraq_ids: 58796\"\n\
         ScanUpdate\n"
    );
}

#[test]
fn results_of_another_scanner_are_replaced_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let report = start().with_source(ReportSource::new("Acme", "Acme \"Scan\"", "acme"));
    write(&mut open(&path, FORMAT).unwrap(), &report, sample(), &complete(&[]));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("SetSource,Acme _Scan_\n"), "{text}");
    assert!(text.contains("DeleteScanResult,192.0.2.10,\"Acme _Scan_\"\n"), "{text}");
    assert!(!text.contains("Qualys"), "{text}");

    let options = format!("{FORMAT}, \"scanner\": \"Own\", \"source\": \"Source\"");
    write(&mut open(&path, &options).unwrap(), &report, sample(), &complete(&[]));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("SetSource,Source\n") && text.contains(",\"Own\""), "{text}");
    assert!(!text.contains("Acme"), "the options of the output take precedence: {text}");
}

#[test]
fn without_option_and_hint_no_asset_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut output = open(&path, FORMAT).unwrap();
    let report = start().with_hints(Hints::default());
    write(&mut output, &report, sample(), &complete(&[]));
    assert!(!fs::read_to_string(&path).unwrap().contains("AddHost"));
}

#[test]
fn truncated_report_leaves_no_file_unless_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut output = open(&path, FORMAT).unwrap();
    let clean = vec!["203.0.113.5".parse().unwrap()];
    let truncated = ReportEnd::default().with_clean_assets(clean);
    write(&mut output, &start(), sample(), &truncated);
    assert!(!path.exists());
    write(&mut output, &start(), sample(), &truncated.with_deliver(true));
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("203.0.113.5"), "only a complete report clears assets");
    assert!(text.ends_with("ScanUpdate\n"));
}

fn on_port(port: &str) -> [(&str, &str); 3] {
    [("kind", "vulnerability"), ("port", port), ("protocol", "tcp")]
}

#[test]
fn pieces_end_between_assets_and_each_names_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let options = format!("{FORMAT}, \"rotate_bytes\": 1024");
    let mut output = open(&folder.path().join("out.csv"), &options).unwrap();
    let ports: Vec<String> = (1..=12).map(|port| port.to_string()).collect();
    let services: Vec<_> = ports.iter().map(|port| on_port(port)).collect();
    let findings: Vec<Cells<'_>> =
        services.iter().map(|cells| (WEB, WEAK, &cells[..])).chain([(V6, WEAK, ON_443)]).collect();
    write(&mut output, &start(), vec![batch(&findings, false)], &complete(&[]));
    let first = fs::read_to_string(folder.path().join("out.0001.csv")).unwrap();
    let second = fs::read_to_string(folder.path().join("out.0002.csv")).unwrap();
    assert_eq!(first.matches("AddScanResult").count(), 12);
    assert!(first.ends_with("ScanUpdate\n") && !first.contains("2001:db8::1"));
    assert!(second.starts_with("SetSource,QualysGuard\nAddHost,2001:db8::1\n"));
    assert!(!folder.path().join("out.0003.csv").exists());
}

#[test]
fn large_asset_is_one_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut output = open(&path, FORMAT).unwrap();
    let ports: Vec<String> = (1..=20_000).map(|port| port.to_string()).collect();
    let cells: Vec<_> = ports.iter().map(|port| on_port(port)).collect();
    let findings: Vec<Cells<'_>> = cells.iter().map(|cells| (WEB, WEAK, &cells[..])).collect();
    let batches = findings.chunks(500).enumerate().map(|(index, part)| batch(part, index > 0)).collect();
    write(&mut output, &start(), batches, &complete(&[]));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.len() > 2 << 20);
    for (command, count) in [("SetSource", 1), ("AddHost", 1), ("DeleteScanResult", 1), ("ScanUpdate", 1)] {
        assert_eq!(text.matches(command).count(), count, "{command}");
    }
    let sent: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("AddScanResult,")?.split(',').nth(3)).collect();
    assert_eq!(sent, ports);
}

#[test]
fn appending_names_the_source_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    for source in ["One", "Two"] {
        let options = format!("{FORMAT}, \"if_exists\": \"append\", \"source\": \"{source}\"");
        let mut output = open(&path, &options).unwrap();
        for _ in 0..2 {
            write(&mut output, &start(), sample(), &complete(&[]));
        }
        output.close().unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let sources: Vec<&str> = text.lines().filter(|line| line.starts_with("SetSource")).collect();
    assert_eq!(sources, ["SetSource,One", "SetSource,One", "SetSource,Two", "SetSource,Two"]);
}

/// A replay in which all findings are rejected again.
#[test]
fn nothing_is_written_when_nothing_is_accepted() {
    for format in [FORMAT, "\"header\": true"] {
        for existing in [None, Some("SetSource,Other source\n")] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("out.csv");
            existing.iter().for_each(|text| fs::write(&path, text).unwrap());
            let mut output = open(&path, &format!("{format}, \"if_exists\": \"append\"")).unwrap();
            let partial = ReportEnd::default().with_deliver(true);
            // The table rejects nothing, so it gets no findings.
            let count = usize::from(format == FORMAT);
            for _ in 0..2 {
                let refused = (0..count).map(|_| batch(&[(NAMELESS, PATCH, WHOLE)], false)).collect();
                let (rejected, bytes) = write(&mut output, &start(), refused, &partial);
                assert_eq!((rejected.len(), bytes), (count, 0), "{format}");
            }
            let text = fs::read_to_string(&path).ok();
            assert_eq!(text.as_deref(), existing, "{format}");
        }
    }
}

/// Everything that a report wrote before it was rolled back is removed, including its `SetSource`.
#[test]
fn source_is_named_again_after_a_rolled_back_report() {
    let folder = tempfile::tempdir().unwrap();
    let old = "SetSource,Other source\n";
    for name in ["a.csv", "b.csv"] {
        fs::write(folder.path().join(name), old).unwrap();
    }
    let options = format!("{FORMAT}, \"if_exists\": \"append\"");
    let mut output = open(&folder.path().join("{report}.csv"), &options).unwrap();
    let named = |id: &str| start().with_id(id.to_owned());
    write(&mut output, &named("a"), sample(), &ReportEnd::default());
    write(&mut output, &named("a"), sample(), &complete(&[]));
    write(&mut output, &named("b"), sample(), &complete(&[]));
    for name in ["a.csv", "b.csv"] {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(text.starts_with(&format!("{old}SetSource,QualysGuard\nAddHost,")), "{name}: {text}");
    }
}
