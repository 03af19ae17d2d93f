//! Runs the plugin on hand-built batches.

use std::path::Path;

use scanbridge_arcsight_cef::ArcSightCef;
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, RawBatch2, RowIndex,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingKind, ReportEnd, ReportSource, ReportStart,
};
use scanbridge_plugin_api::{
    Begin, CommitPoint, Open, OpenFrame, Options, Output, Result, Services, Written,
};
use serde_json::{Value, json};

use crate::reader::{self, Event};

/// Fills a batch asset by asset.
#[derive(Default)]
pub(crate) struct Filling {
    batch: BatchBuilder,
    asset: Option<RowIndex>,
}

impl Filling {
    /// Adds an asset. If the cells do not say which one it is, it has an address.
    pub(crate) fn asset(self, cells: &[(AssetField, &str)]) -> Self {
        let is_named = cells.iter().any(|(field, text)| IDENTIFYING.contains(field) && !text.is_empty());
        let address = (AssetField::Address, "192.0.2.1");
        self.exact_asset(&[cells, if is_named { &[] } else { std::slice::from_ref(&address) }].concat())
    }

    /// Adds an asset with these cells only.
    pub(crate) fn exact_asset(mut self, cells: &[(AssetField, &str)]) -> Self {
        self.asset = Some(self.batch.push_asset(&asset_row(cells), false));
        self
    }

    pub(crate) fn continued(mut self, cells: &[(AssetField, &str)]) -> Self {
        self.asset = Some(self.batch.push_asset(&asset_row(cells), true));
        self
    }

    pub(crate) fn finding(mut self, definition: &[(DefinitionField, &str)], cells: &[(&str, &str)]) -> Self {
        let mut row = DefinitionRow::default();
        definition.iter().for_each(|(field, text)| row.set(*field, text));
        let definition = self.batch.push_definition(&row);
        let mut row = FindingRow::default();
        row.set_kind(FindingKind::Information);
        // Hostile texts that are not a value of their code leave the code without a value.
        for (name, text) in cells {
            row.set_printed(name, text);
        }
        self.batch.push_finding(self.asset.expect("an asset comes first"), definition, &row);
        self
    }

    pub(crate) fn done(self) -> RawBatch2 {
        self.batch.finish()
    }
}

/// Cells that say which asset it is.
const IDENTIFYING: [AssetField; 12] = [
    AssetField::Id,
    AssetField::Address,
    AssetField::Ipv6,
    AssetField::Dns,
    AssetField::Netbios,
    AssetField::Fqdn,
    AssetField::OsHostname,
    AssetField::Hostname,
    AssetField::AssetId,
    AssetField::AgentId,
    AssetField::CloudId,
    AssetField::Macs,
];

fn asset_row(cells: &[(AssetField, &str)]) -> AssetRow {
    let mut row = AssetRow::default();
    cells.iter().for_each(|(field, text)| row.set(*field, text));
    row
}

/// A report with all fields of a scan.
pub(crate) fn scan() -> ReportStart {
    ReportStart::default()
        .with_id("scan/1234567890.12345")
        .with_kind("SCAN")
        .with_time("2026-01-31T12:00:00Z")
        .with_path("/reports/scan.xml")
        .with_source(ReportSource::new("Qualys", "Qualys", "qid").with_product_version("12.7"))
}

/// An instance that writes to `path`, with these additional options; `connector` among them is that of the pipeline.
pub(crate) fn open(path: &Path, mut options: Value) -> Result<ArcSightCef> {
    options["path"] = json!(path);
    let mut frame = OpenFrame::default();
    if let Some(connector) = options.as_object_mut().and_then(|options| options.remove("connector")) {
        frame.connector = serde_json::from_value(connector).unwrap();
    }
    let options = Options::read(ArcSightCef::OPTIONS, options.to_string().as_bytes())?;
    ArcSightCef::open(&Open::new(&options, &Services::without_host(path), &frame), None)
        .map(|opened| opened.plugin)
}

/// Passes one complete report to an instance.
pub(crate) fn deliver(
    output: &mut ArcSightCef,
    report: &ReportStart,
    batches: &[RawBatch2],
) -> Result<Vec<Written>> {
    let columns = Columns::of_report(report);
    output.begin(report, Begin::NEW)?;
    let mut all = Vec::new();
    for batch in batches {
        all.push(output.write(Batch::of(batch, &columns).unwrap())?);
    }
    all.push(output.end(&ReportEnd::default().with_complete(true).with_deliver(true))?);
    output.commit(CommitPoint::BetweenReports)?;
    output.stored()?;
    Ok(all)
}

/// The content of the file after one report.
pub(crate) fn text_of(options: Value, report: &ReportStart, batches: &[RawBatch2]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.cef");
    let mut output = open(&path, options).unwrap();
    deliver(&mut output, report, batches).unwrap();
    output.close().unwrap();
    std::fs::read_to_string(&path).unwrap()
}

/// As [`text_of`], without the ID of each event.
pub(crate) fn text_without_ids(options: Value, report: &ReportStart, batches: &[RawBatch2]) -> String {
    let text = text_of(options, report, batches);
    let mut pieces = text.split(" ScanbridgeEventId=");
    let first = pieces.next().expect("a split has a first piece").to_owned();
    pieces.fold(first, |text, piece| {
        let (id, rest) = piece.split_at(32);
        assert!(id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{id}");
        text + rest
    })
}

/// The events of one batch of a scan, read back, without their IDs.
pub(crate) fn events_of(options: Value, batch: RawBatch2) -> Vec<Event> {
    let text = text_without_ids(options, &scan(), &[batch]);
    text.lines().map(|line| reader::read(line).unwrap()).collect()
}

/// The one event of a batch with one finding.
pub(crate) fn event_of(options: Value, batch: RawBatch2) -> Event {
    let mut events = events_of(options, batch);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}
