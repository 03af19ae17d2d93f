//! Reports as tests describe them, and a host that passes them to an output.

use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingKind, Hints, Protocol, ReportEnd, ReportSource, ReportStart, Severity,
};
use scanbridge_plugin_api::{Begin, Output, PluginError, Result, Written};
use scanbridge_sourcefire::SourcefireOutput;

/// An asset and its findings: ID and port, 0 for none.
pub(crate) type Asset = (String, Vec<(u32, u16)>);

pub(crate) fn asset(address: &str, findings: &[(u32, u16)]) -> Asset {
    (address.to_owned(), findings.to_vec())
}

pub(crate) fn start() -> ReportStart {
    ReportStart::default()
        .with_id("scan/1")
        .with_source(ReportSource::new("Qualys", "QualysGuard", "qid"))
        .with_hints(Hints::default().with_flag("host-input.add_host", Some(true)))
}

pub(crate) fn complete(clean: &[&str]) -> ReportEnd {
    let clean_assets = clean.iter().map(|text| text.parse().unwrap()).collect();
    ReportEnd::default().with_complete(true).with_deliver(true).with_clean_assets(clean_assets)
}

/// The findings of an asset in the notation of the fake Defense Center.
pub(crate) fn expected(assets: &[Asset]) -> Vec<String> {
    let mut lines: Vec<String> = assets
        .iter()
        .flat_map(|(address, findings)| {
            let address = address.parse::<std::net::IpAddr>().unwrap();
            findings.iter().map(move |(id, port)| match port {
                0 => format!("{address}: QualysGuard {id}"),
                port => format!("{address}: QualysGuard {id} {port} tcp"),
            })
        })
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// Passes assets to an output as one batch. `continued`: the first asset began in the previous batch.
pub(crate) fn write(output: &mut SourcefireOutput, assets: &[Asset], continued: bool) -> Result<Written> {
    let raw = builder(assets, continued).finish();
    let columns = Columns::of(Schema::default());
    output.write(Batch::of(&raw, &columns).unwrap())
}

pub(crate) fn builder(assets: &[Asset], continued: bool) -> BatchBuilder {
    let mut builder = BatchBuilder::default();
    for (index, (address, findings)) in assets.iter().enumerate() {
        let mut row = AssetRow::default();
        row.set(AssetField::Address, address);
        row.set(AssetField::Os, "Windows Server 2019");
        let asset = builder.push_asset(&row, continued && index == 0);
        for (id, port) in findings {
            let definition = builder.push_definition(&definition(*id));
            let mut row = FindingRow::default();
            row.set_kind(FindingKind::Vulnerability);
            row.set_severity(Severity::new(3));
            if *port > 0 {
                row.set_port(*port);
                row.set_protocol(Protocol::Tcp);
            }
            builder.push_finding(asset, definition, &row);
        }
    }
    builder
}

fn definition(id: u32) -> DefinitionRow {
    let mut row = DefinitionRow::default();
    row.set(DefinitionField::Id, &id.to_string());
    row.set(DefinitionField::Title, &format!("Title of \"{id}\", é"));
    row.set(DefinitionField::Diagnosis, "<p>Diagnosis,\r\nin two lines</p>");
    row.append_item(DefinitionField::Cves, &format!("CVE-2026-{id:04}"));
    row
}

/// Delivers a report in one batch.
pub(crate) fn deliver(
    output: &mut SourcefireOutput,
    assets: &[Asset],
    end: &ReportEnd,
) -> Result<Written, PluginError> {
    output.begin(&start(), Begin::NEW)?;
    let mut written = write(output, assets, false)?;
    written.bytes += output.end(end)?.bytes;
    Ok(written)
}
