//! Writes any texts in assets, definitions and findings with `ArcSightCEF`. Each line can be parsed and contains the
//! original texts, and the lines do not depend on how the findings are split into batches.
//!
//! The input is one byte for the settings, then cells separated by the byte FF: one [`Cells`] after another.
#![no_main]

mod cef_line;
mod folder;

use std::fs;
use std::path::Path;

use libfuzzer_sys::{Corpus, fuzz_target};
use scanbridge_arcsight_cef::ArcSightCef;
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, RawBatch2,
};
use scanbridge_plugin_api::model::{
    AssetField as A, DefinitionField as D, FindingField as F, FindingKind, FindingStatus, ReportEnd,
    ReportSource, ReportStart, list_items,
};
use scanbridge_plugin_api::{Begin, CommitPoint, Open, OpenFrame, Options, Output, Result, Services};

use cef_line::Line;
use folder::FOLDER;

/// One finding with its asset and definition: the texts of [`ASSET`], [`DEFINITION`] and [`FINDING`] in this order.
type Cells = Vec<String>;

const ASSET: &[A] = &[A::Dns, A::Netbios, A::Address, A::Os];
const DEFINITION: &[D] =
    &[D::Title, D::Cves, D::Category, D::Diagnosis, D::Exploits, D::Id, D::Solution, D::CvssBase];
/// The names of the values of a finding.
const FINDING: &[&str] = &["result", "kind", "facts", "port", "protocol", "severity", "last_found", "status"];
const CELLS: usize = ASSET.len() + DEFINITION.len() + FINDING.len();
const MOST_FINDINGS: usize = 6;

const SETTINGS: [&str; 5] = [
    "",
    r#","profile":"generic","derive":false,"class_id_style":"concat","severity_style":"word","extra_fields":["outcome"]"#,
    r#","profile":"rsyslog","cef_version":1,"asset_events":true,"extra_fields":["externalId","cn1","outcome"]"#,
    r#","additional_data":"custom","category_technique":false,"extra_fields":["outcome"]"#,
    r#","receiver":"graylog","asset_events":true,"additional_fields":["asset.os","definition.title","definition.exploits","finding.result"]"#,
];

/// The index of the settings with which the class ID of a vulnerability can begin with any text. They derive no events.
const CONCATENATED: usize = 1;

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((first, rest)) = input.split_first() else { return Corpus::Reject };
    let settings = usize::from(first % 5);
    let mut texts: Vec<String> = rest.split(|byte| *byte == 0xFF).map(text).collect();
    let source = ReportSource::new("Qualys", "Qualys", "qid");
    let mut start = ReportStart::default().with_kind("SCAN").with_source(source);
    for slot in [&mut start.path, &mut start.id, &mut start.source.product_version] {
        *slot = texts.pop().unwrap_or_default();
    }
    let findings: Vec<Cells> = texts.chunks(CELLS).take(MOST_FINDINGS).map(<[String]>::to_vec).collect();

    let path = FOLDER.path().join("findings.cef");
    let deliver = |batches: &[RawBatch2]| {
        let output = open(&path, SETTINGS[settings]).expect("the settings are valid");
        report(output, &start, batches).expect("the file system in memory is not full");
        let text = fs::read_to_string(&path).expect("the output writes a UTF-8 file");
        fs::remove_file(&path).expect("the file can be removed");
        text
    };
    let written = deliver(&[one_batch(&findings)]);
    check(&written, settings == CONCATENATED, &findings, &start);
    assert_eq!(deliver(&one_batch_each(&findings)), written, "the same findings in several batches");
    Corpus::Keep
});

/// The text of a cell. The prefix FE and a number repeats it, so that short inputs reach the length limits.
fn text(bytes: &[u8]) -> String {
    match bytes {
        [0xFE, times, rest @ ..] => {
            let text = String::from_utf8_lossy(rest);
            text.repeat(usize::from(*times).min(20_000 / text.len().max(1)))
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn open(path: &Path, settings: &str) -> Result<ArcSightCef> {
    let options = format!(r#"{{"path":"{}"{settings}}}"#, path.display());
    let options = Options::read(ArcSightCef::OPTIONS, options.as_bytes())?;
    let (services, frame) = (Services::without_host(FOLDER.path()), OpenFrame::default());
    ArcSightCef::open(&Open::new(&options, &services, &frame), None).map(|opened| opened.plugin)
}

fn report(mut output: ArcSightCef, start: &ReportStart, batches: &[RawBatch2]) -> Result<()> {
    let columns = Columns::of_report(start);
    output.begin(start, Begin::NEW)?;
    for batch in batches {
        let written = output.write(Batch::of(batch, &columns).expect("a batch of the builder is valid"))?;
        assert!(written.rejected.is_empty() && written.retry.is_empty() && written.left_out.is_empty());
    }
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true))?;
    output.commit(CommitPoint::BetweenReports)?;
    output.stored()?;
    output.close()
}

fn one_batch(findings: &[Cells]) -> RawBatch2 {
    let mut batch = BatchBuilder::default();
    for of_asset in findings.chunk_by(|one, next| is_same_asset(one, next)) {
        let asset = batch.push_asset(&asset_row(&of_asset[0]), false);
        for finding in of_asset {
            let definition = batch.push_definition(&definition_row(finding));
            batch.push_finding(asset, definition, &finding_row(finding));
        }
    }
    batch.finish()
}

fn one_batch_each(findings: &[Cells]) -> Vec<RawBatch2> {
    let batch = |index: usize| {
        let (mut batch, finding) = (BatchBuilder::default(), &findings[index]);
        let continued = index > 0 && is_same_asset(&findings[index - 1], finding);
        let asset = batch.push_asset(&asset_row(finding), continued);
        let definition = batch.push_definition(&definition_row(finding));
        batch.push_finding(asset, definition, &finding_row(finding));
        batch.finish()
    };
    (0..findings.len()).map(batch).collect()
}

fn is_same_asset(one: &Cells, other: &Cells) -> bool {
    asset_texts(one).eq(asset_texts(other))
}

fn asset_texts(cells: &Cells) -> impl Iterator<Item = &str> {
    (0..ASSET.len()).map(|index| cell(cells, index))
}

fn cell(cells: &Cells, index: usize) -> &str {
    cells.get(index).map_or("", String::as_str)
}

fn asset_row(cells: &Cells) -> AssetRow {
    let mut row = AssetRow::default();
    // A finding of an asset that nothing identifies is rejected.
    row.set(A::Id, "1");
    ASSET.iter().enumerate().for_each(|(index, field)| row.set(*field, cell(cells, index)));
    row
}

fn definition_row(cells: &Cells) -> DefinitionRow {
    let mut row = DefinitionRow::default();
    let first = ASSET.len();
    DEFINITION.iter().enumerate().for_each(|(index, field)| row.set(*field, cell(cells, first + index)));
    row
}

fn finding_row(cells: &Cells) -> FindingRow {
    let mut row = FindingRow::default();
    let first = ASSET.len() + DEFINITION.len();
    for (index, name) in FINDING.iter().enumerate() {
        let text = cell(cells, first + index);
        // The first byte of the text selects one of the four kinds.
        let kinds = ["vulnerability", "potential", "information", "service"];
        let kind = kinds[usize::from(text.as_bytes().first().copied().unwrap_or(0) % 4)];
        // Texts that are not a value of their code are left out, as an input would do.
        row.set_printed(name, if *name == "kind" { kind } else { text });
    }
    row
}

/// Parses all lines and compares the events of findings with the input.
fn check(written: &str, is_all_findings: bool, findings: &[Cells], start: &ReportStart) {
    assert!(written.is_empty() || written.ends_with('\n'), "the last line has no line feed");
    let lines = written.split_terminator('\n');
    let lines = lines.map(|line| cef_line::read(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    let derived = ["Open Port|", "URI|", "SCANNER"];
    let is_derived = |line: &Line| {
        let class = line.header[4].replacen(':', "|", 2);
        derived
            .iter()
            .any(|derived| class.strip_prefix("Qualys|").is_some_and(|class| class.starts_with(derived)))
    };
    let of_findings: Vec<_> = lines.filter(|line| is_all_findings || !is_derived(line)).collect();
    assert_eq!(of_findings.len(), findings.len(), "one event for each finding:\n{written}");
    for (line, cells) in of_findings.into_iter().zip(findings) {
        let (definition, finding) = (definition_row(cells), finding_row(cells));
        let name = if finding.kind() == Some(FindingKind::Information) {
            [cell(cells, 1), cell(cells, 0)]
        } else {
            [cell(cells, 0), cell(cells, 1)]
        };
        let is_name = |name: &String| {
            let placeholders = ["", "-", "n/a", "no registered hostname"];
            !placeholders.contains(&name.to_ascii_lowercase().as_str())
        };
        let name = name.into_iter().map(cef_line::clean).find(is_name);
        line.expect("dhost", &name.unwrap_or_default());
        line.expect("cs1", &cef_line::clean(finding.get(F::Result)));
        line.expect("cat", &cef_line::clean(definition.get(D::Category)));
        line.expect("oldFilePath", &cef_line::clean(&start.path));
        if line.get("outcome").is_some() {
            let status = FindingStatus::from_word(cell(cells, CELLS - 1)).map_or("", FindingStatus::word);
            line.expect("outcome", status);
        }
        if finding.kind() != Some(FindingKind::Service) {
            let cves: Vec<_> = list_items(definition.get(D::Cves))
                .map(cef_line::visible)
                .filter(|cve| !cve.is_empty())
                .collect();
            line.expect("cs2", &cef_line::clean(&cves.join(",")));
        }
    }
}
