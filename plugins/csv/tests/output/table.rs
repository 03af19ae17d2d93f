//! The table, read back by CSV readers.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::reports::*;
use proptest::prelude::*;
use scanbridge_plugin_api::batch::{Batch, Columns};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, ReportDetail, ReportEnd, ReportSource, ReportStart,
};
use scanbridge_plugin_api::{Begin, CommitPoint, ErrorKind, Output, Verdict};

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
    let last = report.schema.findings.iter().position(|column| column.name == "ticket").unwrap();
    report.schema.findings[last].name = "later".to_owned();
    let cells = &[("kind", "vulnerability"), ("ticket", "0.97")];
    let options = r#""columns": ["finding.later", "finding.ticket"], "header": false"#;
    let mut output = open(&path, options).unwrap();
    write(&mut output, &report, vec![batch(&[(WEB, WEAK, cells)], false)], &complete(&[]));
    assert_eq!(fs::read_to_string(&path).unwrap(), "0.97,\r\n");

    let error = open(&path, options).unwrap().begin(&start(), Begin::NEW).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("unknown column `finding.later`"), "{error}");
}

/// The cells of these columns for one finding.
fn cells_of(columns: &[&str], report: &ReportStart, finding: Cells<'_>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let options = format!(r#""columns": {}, "header": true"#, serde_json::json!(columns));
    let mut output = open(&path, &options).unwrap();
    write(&mut output, report, vec![batch(&[finding], false)], &complete(&[]));
    let mut records = records(&path, b',');
    assert_eq!(records.remove(0), columns);
    records.remove(0)
}

#[test]
fn values_of_the_report_are_columns() {
    let report = start()
        .with_status("FINISHED")
        .with_signature_version("2.6.1")
        .with_assets_alive(Some(3))
        .with_duration_secs(Some(4210))
        .with_details(vec![
            ReportDetail::new("target", "192.0.2.0/24"),
            ReportDetail::new("company", "Example"),
        ])
        .with_source(ReportSource::new("Qualys", "Qualys", "qid").with_product_version("12.4"));
    let cells = cells_of(
        &[
            "report.status",
            "report.scanner_version",
            "report.product_version",
            "report.signature_version",
            "report.assets_alive",
            "report.assets_total",
            "report.duration_secs",
            "report.details",
        ],
        &report,
        (WEB, WEAK, ON_443),
    );
    assert_eq!(
        cells,
        ["FINISHED", "12.4", "12.4", "2.6.1", "3", "", "4210", "target 192.0.2.0/24; company Example"]
    );
}

#[test]
fn one_path_of_other_values_is_a_column() {
    let other = "SCORES/NEW@unit\tms\nSCORES/NEW\t12\nSCORES/NEW@unit\tpercent of all";
    let finding = &[("kind", "vulnerability"), ("other", other)][..];
    let columns = [
        "finding.other.SCORES/NEW@unit",
        "finding.other.SCORES/NEW",
        "finding.other.SCORES",
        "asset.other.X",
        "finding.other",
    ];
    let cells = cells_of(&columns, &start(), (WEB, WEAK, finding));
    let all = "SCORES/NEW@unit ms; SCORES/NEW 12; SCORES/NEW@unit percent of all";
    assert_eq!(cells, ["ms; percent of all", "12", "", "", all]);
}

#[test]
fn numbers_are_those_of_json() {
    let definition = &[
        (DefinitionField::Id, "1"),
        (DefinitionField::CvssBase, "9.3 (AV:N/AC:M/Au:N/C:C/I:C/A:C)"),
        (DefinitionField::CvssTemporal, "-"),
        (DefinitionField::Cvss3Base, "high"),
        (DefinitionField::Cvss4Base, "08.0"),
        (DefinitionField::Patchable, "yes"),
    ][..];
    let finding =
        &[("kind", "vulnerability"), ("times_found", "many"), ("epss", "0.5"), ("known_exploited", "1")][..];
    let columns = [
        "definition.cvss_base",
        "definition.cvss_temporal",
        "definition.cvss3_base",
        "definition.cvss4_base",
        "definition.patchable",
        "finding.times_found",
        "finding.epss",
        "finding.known_exploited",
    ];
    assert_eq!(
        cells_of(&columns, &start(), (WEB, definition, finding)),
        ["9.3", "", "", "8.0", "", "", "0.5", "1"]
    );
}

#[test]
fn unknown_columns_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["finding.adress", "finding.other.", "finding.result.A", "asset.others"] {
        let options = format!(r#""columns": ["{name}"]"#);
        let mut output = open(&folder.path().join("out.csv"), &options).unwrap();
        let error = output.begin(&start(), Begin::NEW).unwrap_err();
        assert!(error.message.contains("unknown column"), "{error}");
    }
}

/// The beginnings of other formats: SYLK, HTML, RTF, JSON, PDF.
#[test]
fn file_without_header_is_not_taken_for_another_format() {
    let folder = tempfile::tempdir().unwrap();
    for (text, file) in [
        ("ID", "\"ID\",\"vulnerability\"\r\nID,vulnerability\r\n"),
        ("<HTML>", "\"<HTML>\",\"vulnerability\"\r\n<HTML>,vulnerability\r\n"),
        ("{\\rtf1", "\"{\\rtf1\",\"vulnerability\"\r\n{\\rtf1,vulnerability\r\n"),
        ("id", "id,vulnerability\r\nid,vulnerability\r\n"),
    ] {
        let cells = &[("kind", "vulnerability"), ("result", text)][..];
        let finding: Cells<'_> = (WEB, WEAK, cells);
        for (settings, head) in [
            (r#""header": false"#, file.to_owned()),
            (r#""header": true"#, format!("finding.result,finding.kind\r\n{}", file.replace('"', ""))),
            (r#""header": false, "bom": true"#, format!("\u{feff}{}", file.replace('"', ""))),
        ] {
            let path = folder.path().join("out.csv");
            let options = format!(r#""columns": ["finding.result", "finding.kind"], {settings}"#);
            let mut output = open(&path, &options).unwrap();
            write(&mut output, &start(), vec![batch(&[finding, finding], false)], &complete(&[]));
            assert_eq!(fs::read_to_string(&path).unwrap(), head, "{settings}");
        }
    }
}

/// What a run writes that is killed before the first row is written, and resumed.
#[test]
fn resumed_file_without_rows_has_the_same_first_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let options = r#""columns": ["finding.result"], "header": false"#;
    let mut output = open(&path, options).unwrap();
    output.begin(&start(), Begin::NEW).unwrap();
    let receipt = output.commit(CommitPoint::InReport).unwrap().receipt.unwrap();
    drop(output);
    let mut output = open_with(&path, options, Some(&receipt)).unwrap();
    output.begin(&start(), Begin::CONTINUED).unwrap();
    let raw = batch(&[(WEB, WEAK, &[("kind", "vulnerability"), ("result", "ID")])], false).finish();
    output.write(Batch::of(&raw, &Columns::of_report(&start())).unwrap()).unwrap();
    output.end(&complete(&[])).unwrap();
    output.commit(CommitPoint::BetweenReports).unwrap();
    output.stored().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "\"ID\"\r\n");
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

/// The text of a cell: control and separator characters that are not part of CSV become spaces.
fn plain(text: &str) -> String {
    let is_replaced = |c: char| (c.is_control() && !"\t\r\n".contains(c)) || "\u{2028}\u{2029}".contains(c);
    text.chars().map(|c| if is_replaced(c) { ' ' } else { c }).collect()
}

/// An independent reader, with each setting of header, byte order mark, separators and line ends. It must be installed
/// where the tests decide about a merge.
#[test]
fn python_reads_the_same_cells() {
    let special = [
        "a\"b",
        "a,b",
        "a;b",
        "a|b",
        "l1\nl2",
        "l1\r\nl2",
        "",
        " x ",
        "é💥",
        "'",
        "\"",
        "\t,\"",
        "x\\\"y",
        "\u{feff}z",
        "ID",
        "=1+1",
        "\u{2060}=1",
        "<html>",
        "sep=,",
    ];
    let hostile = ["a\u{2028}b", "\u{85}c", "d\u{9b}2J\u{1b}[2J", "e\u{b}\u{c}\u{1c}\u{2029}f"];
    let mut cells = Vec::new();
    for text in special.iter().chain(&hostile) {
        cells.push([("result", *text), ("kind", "information")]);
    }
    let findings: Vec<Cells<'_>> = cells.iter().map(|cells| (WEB, WEAK, &cells[..])).collect();
    let script = "import csv,sys\n\
                  text = open(sys.argv[1], newline='', encoding=sys.argv[3])\n\
                  for row in csv.reader(text, strict=True, delimiter=sys.argv[2]):\n\
                  \x20   print(len(row), row[0].encode('utf-8').hex())";
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    for setting in 0..32 {
        let (header, bom, lf) = (setting & 1 > 0, setting & 2 > 0, setting & 4 > 0);
        let delimiter = [",", ";", "\t", "|"][setting / 8];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let options = format!(
            r#""columns": ["finding.result", "finding.kind"], "escape_formulas": false, "header": {header},
            "bom": {bom}, "line_ending": "{}", "delimiter": "{}""#,
            if lf { "lf" } else { "crlf" },
            if delimiter == "\t" { "tab" } else { delimiter },
        );
        let mut output = open(&path, &options).unwrap();
        write(&mut output, &start(), vec![batch(&findings, false)], &complete(&[]));
        let encoding = if bom { "utf-8-sig" } else { "utf-8" };
        let run =
            Command::new("python3").args(["-c", script]).arg(&path).args([delimiter, encoding]).output();
        let output = match run {
            Ok(output) => output,
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped: no python3: {error}");
                return;
            }
            Err(error) => panic!("python3 is needed where CI is set: {error}"),
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let heading = header.then(|| "finding.result".to_owned());
        let texts = special.iter().chain(&hostile).map(|text| plain(text));
        let expected: Vec<String> = heading
            .into_iter()
            .chain(texts)
            .map(|text| format!("2 {}", hex(&text)).trim_end().to_owned())
            .collect();
        let read: Vec<String> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        assert_eq!(read, expected, "{options}");
    }
}

#[test]
fn headings_of_the_operator_replace_the_names_of_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let cells: &[(&str, &str)] = &[("result", "open")];
    for (options, first) in [
        (r#""headings": {"finding.result": "Result, \"raw\""}"#, "asset.address,\"Result, \"\"raw\"\"\""),
        (r#""headings": {"asset.address": "IP", "finding.result": "Ergebnis"}"#, "IP,Ergebnis"),
        // A spreadsheet would take the file for SYLK.
        (r#""headings": {"asset.address": "ID"}"#, "\"ID\",\"finding.result\""),
        (r#""bom": true, "headings": {"asset.address": "ID"}"#, "\u{feff}ID,finding.result"),
    ] {
        let options = format!(r#""columns": ["asset.address", "finding.result"], {options}"#);
        let mut output = open(&path, &options).unwrap();
        write(&mut output, &start(), vec![batch(&[(WEB, WEAK, cells)], false)], &complete(&[]));
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!((lines[0], lines.len()), (first, 3), "{text}");
        assert!(!lines[1].contains('"'), "only the first row is quoted: {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_text_comes_back_as_it_was(
        texts in prop::collection::vec(["[\\PC\r\n\t\0\u{1b}\u{7f}-\u{a0}\u{2028}\u{2029}\",;=+@']{0,20}", "\\PC{0,300}", "[\"\r\n,]{0,9}"], 1..20),
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
        let records = records(&path, delimiter);
        prop_assert_eq!(&records, &texts.map_to_records());
        let is_plain = |c: char| "\t\r\n".contains(c) || !(c.is_control() || "\u{2028}\u{2029}".contains(c));
        prop_assert!(records.iter().flatten().all(|cell| cell.chars().all(is_plain)));
    }

    #[test]
    fn no_cell_begins_like_a_formula(
        text in "[ \t\r\n\u{ad}\u{180e}\u{200b}\u{202e}\u{2060}\u{feff}]{0,3}[=+@＝-][\\PC]{0,10}",
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut output = open(&path, r#""columns": ["finding.result"], "header": false"#).unwrap();
        let cells: &[(&str, &str)] = &[("result", &text)];
        write(&mut output, &start(), vec![batch(&[(WEB, WEAK, cells)], false)], &complete(&[]));
        let cell = records(&path, b',').remove(0).remove(0);
        let text = plain(&text);
        let trimmed = text.trim_start_matches(
            [' ', '\t', '\r', '\n', '\u{ad}', '\u{180e}', '\u{200b}', '\u{202e}', '\u{2060}', '\u{feff}'],
        );
        // The reader takes it for the byte order mark of the file, unless a quote comes before it.
        let is_same = cell == text || text.strip_prefix('\u{feff}') == Some(&cell);
        let number = trimmed.parse::<f64>().is_ok() || ["+", "-"].contains(&trimmed);
        prop_assert!(cell == format!("'{text}") || (number && is_same), "{:?} {:?}", text, cell);
    }
}

trait MapToRecords {
    fn map_to_records(&self) -> Vec<Vec<String>>;
}

impl MapToRecords for Vec<[String; 3]> {
    fn map_to_records(&self) -> Vec<Vec<String>> {
        let cell = |text: &String| plain(text);
        self.iter().map(|texts| texts.iter().map(cell).collect()).collect()
    }
}
