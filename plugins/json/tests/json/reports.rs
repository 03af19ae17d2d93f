//! Reports for tests, and the lines that the plugin makes of them.

use std::collections::BTreeMap;
use std::fs;

use scanbridge_columns::{CellForm, Table};
use scanbridge_json::Json;
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, RawBatch2, Row, Schema,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, Field, FindingField, FindingKind, FindingStatus, Protocol, ReportDetail,
    ReportEnd, ReportSource, ReportStart, Severity,
};
use scanbridge_plugin_api::{Begin, CommitPoint, Open, OpenFrame, Options, Output, Services, Written};
use serde_json::{Value, json};

/// What the plugin made of a report.
pub(crate) struct Made {
    pub(crate) text: String,
    pub(crate) written: Written,
    pub(crate) notes: BTreeMap<String, u64>,
}

impl Made {
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }
}

/// Writes a report of one batch with these options; `path` is added.
pub(crate) fn made(options: &Value, report: &ReportStart, raw: &RawBatch2) -> Made {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("out.ndjson");
    let mut options = options.clone();
    options["path"] = json!(path);
    let options = Options::read(Json::OPTIONS, options.to_string().as_bytes()).expect("valid options");
    let services = Services::without_host(folder.path());
    let opened = Json::open(&Open::new(&options, &services, &OpenFrame::default()), None);
    let mut output = opened.expect("the output opens").plugin;
    output.begin(report, Begin::NEW).expect("the report begins");
    let columns = Columns::of_report(report);
    let batch = Batch::of(raw, &columns).expect("a valid batch");
    let written = output.write(batch).expect("it is written");
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true)).expect("the report ends");
    output.commit(CommitPoint::BetweenReports).expect("the report is committed");
    output.stored().expect("the report is published");
    let text = fs::read_to_string(&path).expect("the file exists");
    Made { text, written, notes: services.notes() }
}

pub(crate) fn report() -> ReportStart {
    let source = ReportSource::new("Qualys", "Qualys", "qid")
        .with_product_version("12.4")
        .with_scanner("scanner-1 (Scanner 12.4)");
    ReportStart::default()
        .with_id("scan/1234567890.12345")
        .with_kind("SCAN")
        .with_title("Weekly")
        .with_time("2026-01-31T12:00:00Z")
        .with_path("scan.xml")
        .with_status("FINISHED")
        .with_signature_version("2.6.1")
        .with_assets_alive(Some(3))
        .with_assets_total(Some(256))
        .with_duration_secs(Some(4210))
        .with_details(vec![
            ReportDetail::new("target", "192.0.2.0/24"),
            ReportDetail::new("asset_group", "dmz"),
        ])
        .with_source(source)
}

/// A text that has the form of the column: its own name where any text has it.
pub(crate) fn token<F: Field>(table: Table, field: F) -> String {
    let name = format!("{}.{}", table.word(), F::NAMES[field.index()]);
    if let Some((_, text)) = SPECIAL.iter().find(|(special, _)| *special == name) {
        return (*text).to_owned();
    }
    let schema = Schema::default();
    let column = &F::columns(&schema)[field.index()];
    match CellForm::of(table, column) {
        CellForm::Integer => "3".to_owned(),
        CellForm::Decimal => "0.5".to_owned(),
        CellForm::Score => "9.3 (AV:N/AC:M/Au:N/C:C/I:C/A:C)".to_owned(),
        CellForm::Flag => "1".to_owned(),
        CellForm::List => format!("{name} 1\n{name} 2"),
        CellForm::Objects(parts) => {
            let item = |number: u8| {
                parts.iter().map(|part| format!("{name} {part} {number}")).collect::<Vec<_>>().join("\t")
            };
            format!("{}\n{}", item(1), item(2))
        }
        _ if column.column_type == scanbridge_plugin_api::batch::ColumnType::Time => {
            // Each column has a time of its own.
            let hour = Table::ALL.iter().position(|it| *it == table).unwrap() + 8;
            format!("2026-01-30T{hour:02}:{:02}:{:02}Z", field.index() / 60, field.index() % 60)
        }
        _ => name,
    }
}

/// Columns whose texts have a form that the model does not name.
const SPECIAL: &[(&str, &str)] = &[
    ("asset.address", "192.0.2.10"),
    ("asset.ipv6", "2001:db8::10"),
    ("asset.interfaces", "192.0.2.10\n198.51.100.7"),
    ("asset.macs", "00:00:5e:00:53:01\n00:00:5e:00:53:02"),
    ("asset.cloud_public_address", "203.0.113.7"),
    ("asset.cloud_private_address", "192.0.2.11"),
    ("asset.os", "Red Hat Linux 9"),
    ("asset.hardware_uuid", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
    ("definition.id", "38170"),
    ("definition.scheme", ""),
    ("definition.cves", "CVE-2014-0160\nCVE-2014-0224"),
    ("definition.diagnosis", "The cipher is <B>weak</B>.<P>See &amp; think."),
    ("finding.cves", "CVE-2014-0160\nCVE-2020-0001"),
    ("finding.protocol", ""),
    ("finding.facts", "port\t22\ttcp\tssh\tssh\nos\tLinux\tTCP/IP\nname\ta.example.com\tFQDN\nlater\tx"),
];

fn fill<F: Field>(row: &mut Row<F>, table: Table) {
    F::ALL.iter().for_each(|field| row.set(*field, &token(table, *field)));
}

pub(crate) fn full_asset() -> AssetRow {
    let mut row = AssetRow::default();
    fill(&mut row, Table::Asset);
    row
}

pub(crate) fn full_definition() -> DefinitionRow {
    let mut row = DefinitionRow::default();
    fill(&mut row, Table::Definition);
    row
}

pub(crate) fn full_finding() -> FindingRow {
    let mut row = FindingRow::default();
    fill(&mut row, Table::Finding);
    row.set_kind(FindingKind::Vulnerability);
    row.set_severity(Severity::new(4));
    row.set_port(443);
    row.set_protocol(Protocol::Tcp);
    row.set_ssl(true);
    row.set_status(FindingStatus::Fixed);
    row
}

/// A batch with one finding.
pub(crate) fn one(asset: &AssetRow, definition: &DefinitionRow, finding: &FindingRow) -> RawBatch2 {
    let mut batch = BatchBuilder::default();
    let asset = batch.push_asset(asset, false);
    let definition = batch.push_definition(definition);
    batch.push_finding(asset, definition, finding);
    batch.finish()
}

/// A batch with one finding, all of whose columns are filled.
pub(crate) fn full() -> RawBatch2 {
    one(&full_asset(), &full_definition(), &full_finding())
}

/// Assets with all columns, and with just one that identifies them.
pub(crate) fn assets() -> Vec<AssetRow> {
    let only = |field: AssetField, text: &str| {
        let mut row = AssetRow::default();
        row.set(field, text);
        row
    };
    vec![
        full_asset(),
        only(AssetField::Address, "192.0.2.20"),
        only(AssetField::Ipv6, "2001:db8::20"),
        only(AssetField::Address, "not an address"),
        only(AssetField::Dns, "a.example.com"),
        only(AssetField::Fqdn, "b.example.com"),
        only(AssetField::Netbios, "HOST-1"),
        only(AssetField::OsHostname, "host-2"),
        only(AssetField::Hostname, "host-3"),
        only(AssetField::Id, "77"),
        only(AssetField::AssetId, "7700"),
        only(AssetField::AgentId, "3f1c"),
        only(AssetField::CloudId, "i-0123456789"),
        only(AssetField::Macs, "00:00:5e:00:53:09"),
    ]
}

/// Definitions with all columns, and with other lists of CVE IDs and scores.
pub(crate) fn definitions() -> Vec<DefinitionRow> {
    let with = |changes: &[(DefinitionField, &str)]| {
        let mut row = full_definition();
        changes.iter().for_each(|(field, text)| row.set(*field, text));
        row
    };
    let mut bare = DefinitionRow::default();
    bare.set(DefinitionField::Id, "1");
    vec![
        with(&[]),
        with(&[(DefinitionField::Cves, "")]),
        with(&[(DefinitionField::Cves, "CVE-2014-0160"), (DefinitionField::CvssBase, "-")]),
        with(&[
            (DefinitionField::CvssBase, "high"),
            (DefinitionField::Cvss3Base, ""),
            (DefinitionField::Cvss4Base, "10.0"),
            (DefinitionField::CvssSource, ""),
        ]),
        with(&[(DefinitionField::Cvss4Base, "")]),
        with(&[(DefinitionField::Scheme, "nessus"), (DefinitionField::Id, "11936")]),
        bare,
    ]
}

/// Findings of these kinds with each status and severity, and with few columns.
pub(crate) fn findings(kinds: &[FindingKind]) -> Vec<FindingRow> {
    let statuses = FindingStatus::ALL.into_iter().map(Some).chain([None]);
    let mut rows = Vec::new();
    for (number, status) in statuses.enumerate() {
        for kind in kinds {
            let mut row = full_finding();
            row.set_kind(*kind);
            row.set_status(status);
            row.set_severity(Severity::new(u8::try_from(number).expect("few") % 6));
            if number % 2 == 0 {
                row.set(FindingField::Cves, "");
                row.set(FindingField::UniqueId, "");
                row.set(FindingField::LastFound, "");
            }
            rows.push(row);
            let mut bare = FindingRow::default();
            bare.set_kind(*kind);
            bare.set_status(status);
            rows.push(bare);
        }
    }
    rows
}

/// The asset with all columns has every definition with every finding; the others have every definition with the first
/// findings.
pub(crate) fn all(kinds: &[FindingKind]) -> RawBatch2 {
    let mut batch = BatchBuilder::default();
    let definitions = definitions();
    let findings = findings(kinds);
    for (number, asset) in assets().iter().enumerate() {
        let asset = batch.push_asset(asset, false);
        for definition in &definitions {
            let definition = batch.push_definition(definition);
            let count = if number == 0 { findings.len() } else { FEW };
            findings[..count].iter().for_each(|finding| batch.push_finding(asset, definition, finding));
        }
    }
    batch.finish()
}

/// The number of lines of [`all`].
pub(crate) fn count_of_all(kinds: &[FindingKind]) -> usize {
    definitions().len() * (findings(kinds).len() + (assets().len() - 1) * FEW)
}

const FEW: usize = 2;

pub(crate) const VULNERABILITIES: &[FindingKind] = &[FindingKind::Vulnerability, FindingKind::Potential];

/// The paths of all values of a line that are not lists or objects, with `[]` for the items of a list.
pub(crate) fn paths(value: &Value, at: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let gap = if at.is_empty() { "" } else { "." };
                paths(value, &format!("{at}{gap}{name}"), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, &format!("{at}[]"), found)),
        value => {
            found.insert(at.to_owned(), value.clone());
        }
    }
}
