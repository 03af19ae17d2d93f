//! The table, read back by CSV readers.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::reports::*;
use proptest::prelude::*;
use scanbridge_plugin_api::model::{AssetField, DefinitionField, ReportEnd, ReportSource};
use scanbridge_plugin_api::{Begin, ErrorKind, Output, Verdict};

/// All records of a file as the csv crate reads them.
fn records(path: &Path, delimiter: u8) -> Vec<Vec<String>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_path(path).unwrap();
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn the_default_table_is_the_golden_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut output = open(&path, "").unwrap();
    assert_eq!(output.check().unwrap().verdict(), Verdict::Ok);
    let (rejected, bytes) = write(&mut output, &start(), sample(), &complete(&["203.0.113.5"]));
    assert!(rejected.is_empty());
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, include_str!("golden/table.csv"));
    assert_eq!(bytes, text.len() as u64);
}

#[test]
fn the_operator_chooses_columns_separators_and_line_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let options = r#""columns": ["finding.port", "report.title", "definition.cves", "asset.address"],
        "delimiter": ";", "list_separator": " | ", "line_ending": "lf", "bom": true, "header": false"#;
    let mut output = open(&path, options).unwrap();
    write(&mut output, &start(), vec![batch(&[(WEB, WEAK, ON_443)], false)], &complete(&[]));
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "\u{feff}443;Weekly, DMZ;CVE-2013-2566 | CVE-2015-2808;192.0.2.10\n"
    );
}

#[test]
fn escape_formulas_off_leaves_formulas_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let options = r#""columns": ["asset.netbios"], "escape_formulas": false, "header": false"#;
    let mut output = open(&path, options).unwrap();
    write(&mut output, &start(), vec![batch(&[(WEB, WEAK, ON_443)], false)], &complete(&[]));
    assert_eq!(fs::read_to_string(&path).unwrap(), "=cmd|' /C calc'!A0\r\n");
}

#[test]
fn columns_unknown_to_the_model_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut report = start();
    // A column that an input of a later version might send instead of a known one.
    let last = report.schema.findings.len() - 1;
    report.schema.findings[last].name = "epss".to_owned();
    let cells = &[("kind", "vulnerability"), ("facts", "0.97")];
    let options = r#""columns": ["finding.epss", "finding.facts"], "header": false"#;
    let mut output = open(&path, options).unwrap();
    write(&mut output, &report, vec![batch(&[(WEB, WEAK, cells)], false)], &complete(&[]));
    assert_eq!(fs::read_to_string(&path).unwrap(), "0.97,\r\n");

    let error = open(&path, options).unwrap().begin(&start(), Begin::NEW).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("unknown column `finding.epss`"), "{error}");
}

#[test]
fn report_of_another_scanner_has_ids_of_its_scheme() {
    let folder = tempfile::tempdir().unwrap();
    let report = start().with_source(ReportSource::new("Acme", "Scanner", "acme"));
    let path = folder.path().join("default.csv");
    write(&mut open(&path, "").unwrap(), &report, vec![batch(&[(WEB, WEAK, ON_443)], false)], &complete(&[]));
    let records = records(&path, b',');
    assert_eq!((records[0][4].as_str(), records[1][4].as_str()), ("definition.id", "4242"));

    let options = r#""columns": ["definition.qid", "definition.scheme", "report.vendor", "report.product"]"#;
    let path = folder.path().join("out.csv");
    write(
        &mut open(&path, options).unwrap(),
        &report,
        vec![batch(&[(WEB, WEAK, ON_443)], false)],
        &complete(&[]),
    );
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().nth(1), Some(",acme,Acme,Scanner"));
}

#[test]
fn two_reports_share_a_header_and_a_truncated_one_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut output = open(&path, r#""columns": ["report.id"]"#).unwrap();
    let report = |id: &str| start().with_id(id.to_owned());
    let one = || vec![batch(&[(WEB, WEAK, ON_443)], false)];
    write(&mut output, &report("one"), one(), &complete(&[]));
    write(&mut output, &report("cut"), one(), &ReportEnd::default());
    write(&mut output, &report("two"), one(), &complete(&[]));
    assert_eq!(fs::read_to_string(&path).unwrap(), "report.id\r\none\r\ntwo\r\n");
    output.close().unwrap();
}

#[test]
fn each_piece_has_its_own_header() {
    let folder = tempfile::tempdir().unwrap();
    let options = r#""columns": ["definition.qid", "finding.result"], "rotate_bytes": 1024"#;
    let mut output = open(&folder.path().join("out.csv"), options).unwrap();
    let result = "x".repeat(600);
    let cells: &[(&str, &str)] = &[("result", &result)];
    write(&mut output, &start(), vec![batch(&[(WEB, WEAK, cells); 5], false)], &complete(&[]));
    for (piece, rows) in [("out.0001.csv", 3), ("out.0002.csv", 3), ("out.0003.csv", 2)] {
        let records = records(&folder.path().join(piece), b',');
        assert_eq!(records[0], ["definition.qid", "finding.result"]);
        assert_eq!(records.len(), rows, "{piece}");
    }
    assert!(!folder.path().join("out.0004.csv").exists());
}

#[test]
fn cell_of_many_megabytes_is_written_completely() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut output = open(&path, r#""columns": ["finding.result"], "header": false"#).unwrap();
    let result = "say \"no\"\n".repeat(1_000_000);
    let cells: &[(&str, &str)] = &[("result", &result)];
    write(&mut output, &start(), vec![batch(&[(WEB, WEAK, cells)], false)], &complete(&[]));
    assert!(records(&path, b',') == [[result]]);
}

/// An independent reader. It must be installed where the tests decide about a merge.
#[test]
fn python_reads_the_same_cells() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let special =
        ["a\"b", "a,b", "l1\nl2", "l1\r\nl2", "", " x ", "é💥", "'", "\"", "\t,\"", "x\\\"y", "\u{feff}z"];
    let mut cells = Vec::new();
    for text in &special {
        cells.push([("result", *text), ("kind", "information")]);
    }
    let findings: Vec<Cells<'_>> = cells.iter().map(|cells| (WEB, WEAK, &cells[..])).collect();
    let options = r#""columns": ["finding.result", "finding.kind"], "escape_formulas": false"#;
    let mut output = open(&path, options).unwrap();
    write(&mut output, &start(), vec![batch(&findings, false)], &complete(&[]));

    let script = "import csv,sys\n\
                  for row in csv.reader(open(sys.argv[1], newline='', encoding='utf-8'), strict=True):\n\
                  \x20   print(len(row), row[0].encode('utf-8').hex())";
    let run = Command::new("python3").args(["-c", script]).arg(&path).output();
    let output = match run {
        Ok(output) => output,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: no python3: {error}");
            return;
        }
        Err(error) => panic!("python3 is needed where CI is set: {error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let expected: Vec<String> = ["finding.result"]
        .iter()
        .chain(&special)
        .map(|text| format!("2 {}", hex(text)).trim_end().to_owned())
        .collect();
    let read: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim_end().to_owned()).collect();
    assert_eq!(read, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_text_comes_back_as_it_was(
        texts in prop::collection::vec(["[\\PC\r\n\t\0\",;=+@']{0,20}", "\\PC{0,300}", "[\"\r\n,]{0,9}"], 1..20),
        delimiter in prop::sample::select(vec![",", ";", "tab", "|"]),
        line_ending in prop::sample::select(vec!["crlf", "lf"]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let options = format!(
            "\"columns\": [\"asset.os\", \"definition.title\", \"finding.result\"], \"escape_formulas\": false, \
             \"header\": false, \"delimiter\": \"{delimiter}\", \"line_ending\": \"{line_ending}\""
        );
        let cells: Vec<_> = texts
            .iter()
            .map(|[a, d, f]| {
                ([(AssetField::Os, a.as_str())], [(DefinitionField::Title, d.as_str())], [("result", f.as_str())])
            })
            .collect();
        let findings: Vec<Cells<'_>> = cells.iter().map(|(a, d, f)| (&a[..], &d[..], &f[..])).collect();
        let mut output = open(&path, &options).unwrap();
        write(&mut output, &start(), vec![batch(&findings, false)], &complete(&[]));
        let delimiter = if delimiter == "tab" { b'\t' } else { delimiter.as_bytes()[0] };
        prop_assert_eq!(records(&path, delimiter), texts.map_to_records());
    }

    #[test]
    fn no_cell_begins_like_a_formula(text in "[ \t\r\n\0]{0,2}[=+@＝-][\\PC]{0,10}") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut output = open(&path, r#""columns": ["finding.result"], "header": false"#).unwrap();
        let cells: &[(&str, &str)] = &[("result", &text)];
        write(&mut output, &start(), vec![batch(&[(WEB, WEAK, cells)], false)], &complete(&[]));
        let cell = records(&path, b',').remove(0).remove(0);
        let trimmed = text.trim_matches([' ', '\t', '\r', '\n', '\0']);
        let number = trimmed.parse::<f64>().is_ok() || ["+", "-"].contains(&trimmed);
        prop_assert!(cell == format!("'{text}") || (number && cell == text), "{:?} {:?}", text, cell);
    }
}

trait MapToRecords {
    fn map_to_records(&self) -> Vec<Vec<String>>;
}

impl MapToRecords for Vec<[String; 3]> {
    fn map_to_records(&self) -> Vec<Vec<String>> {
        self.iter().map(|texts| texts.to_vec()).collect()
    }
}
