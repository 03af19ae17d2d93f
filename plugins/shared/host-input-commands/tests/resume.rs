//! A writer that resumes where another one stopped, and the settings for old results.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

use scanbridge_plugin_api::Begin;
use std::convert::Infallible;

use proptest::prelude::*;
use scanbridge_host_input_commands::{Block, BlockLimits, CommandWriter, Name, Replace, Settings};
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingKind, Hints, ReportEnd, ReportSource, ReportStart,
};

/// An asset's address, its status and the QIDs of its findings. A finding with QID 0 cannot be sent.
type AssetFindings = (&'static str, &'static str, Vec<u32>);

fn writer(replace: Replace, bytes: usize) -> CommandWriter {
    CommandWriter::new(Settings {
        source: Some(Name::new("QualysGuard").unwrap()),
        scanner: Some(Name::new("QualysGuard").unwrap()),
        domain: None,
        add_host: None,
        replace,
        set_os: true,
        kinds: vec![FindingKind::Vulnerability],
        min_severity: 1,
        description: Vec::new(),
        description_length: 100,
        limits: BlockLimits { bytes, line_bytes: 200, asset_bytes: bytes },
    })
}

fn start() -> ReportStart {
    ReportStart::default()
        .with_source(ReportSource::new("Qualys", "QualysGuard", "qid"))
        .with_hints(Hints::default().with_flag("host-input.add_host", Some(true)))
}

fn end() -> ReportEnd {
    let clean_assets = vec!["192.0.2.0-192.0.2.9".parse().unwrap()];
    ReportEnd::default().with_complete(true).with_deliver(true).with_clean_assets(clean_assets)
}

fn feed(writer: &mut CommandWriter, text: &mut String, assets: &[AssetFindings]) {
    let mut builder = BatchBuilder::default();
    for (address, status, qids) in assets {
        let mut row = AssetRow::default();
        row.set(AssetField::Address, address);
        row.set(AssetField::Status, status);
        row.set(AssetField::Os, "Prüf-OS \"9\"");
        let asset = builder.push_asset(&row, false);
        for qid in qids {
            let mut row = DefinitionRow::default();
            row.set(DefinitionField::Id, &qid.to_string());
            let definition = builder.push_definition(&row);
            let mut row = FindingRow::default();
            row.set_kind(FindingKind::Vulnerability);
            builder.push_finding(asset, definition, &row);
        }
    }
    let columns = Columns::of(Schema::default());
    let raw = builder.finish();
    writer.batch(Batch::of(&raw, &columns).unwrap(), &mut into(text)).unwrap();
}

fn into(text: &mut String) -> impl FnMut(Block<'_>) -> Result<(), Infallible> {
    |block| {
        text.push_str(block.text);
        Ok(())
    }
}

/// The text of a report whose writer is replaced after these assets.
fn text(replace: Replace, assets: &[AssetFindings], stops: &[usize]) -> String {
    let mut text = String::new();
    let mut current = writer(replace, 600);
    current.begin(&start(), Begin::NEW);
    let mut from = 0;
    for stop in stops {
        let stop = (*stop).clamp(from, assets.len());
        feed(&mut current, &mut text, &assets[from..stop]);
        current.finish_asset(&mut into(&mut text)).unwrap();
        let snapshot = current.snapshot();
        current = writer(replace, 600);
        current.begin(&start(), Begin::NEW);
        current.restore(&snapshot).unwrap();
        assert_eq!(current.snapshot(), snapshot);
        from = stop;
    }
    feed(&mut current, &mut text, &assets[from..]);
    let totals = current.end(&end(), &mut into(&mut text)).unwrap();
    assert_eq!(totals.hosts_added, text.matches("AddHost").count() as u64);
    text
}

fn assets() -> impl Strategy<Value = Vec<AssetFindings>> {
    let address = prop::sample::select(vec!["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "", "x"]);
    let status = prop::sample::select(vec!["", "Finish", "down"]);
    prop::collection::vec((address, status, prop::collection::vec(0_u32..20, 0..12)), 0..12)
}

proptest! {
    #[test]
    fn the_text_is_the_same_wherever_the_writer_is_replaced(
        assets in assets(),
        mut stops in prop::collection::vec(0_usize..12, 0..4),
        replace in prop::sample::select(vec![Replace::Asset, Replace::Flush, Replace::Merge]),
    ) {
        stops.sort_unstable();
        prop_assert_eq!(text(replace, &assets, &stops), text(replace, &assets, &[]));
    }

    #[test]
    fn bytes_that_are_no_snapshot_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut writer = writer(Replace::Asset, 600);
        writer.begin(&start(), Begin::NEW);
        let before = writer.snapshot();
        match writer.restore(&bytes) {
            Ok(()) => prop_assert!(writer.snapshot().len() <= bytes.len()),
            Err(_) => prop_assert_eq!(writer.snapshot(), before),
        }
    }
}

#[test]
fn each_way_to_replace_has_its_commands() {
    let assets = [("192.0.2.20", "", vec![1]), ("192.0.2.21", "", vec![]), ("192.0.2.20", "", vec![2])];
    let lines = |replace| {
        let text = text(replace, &assets, &[]);
        text.lines().map(|line| line.split(',').next().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let clearing = "DeleteScanResult ScanUpdate ".repeat(11);
    let clearing = clearing.trim_end();
    assert_eq!(
        lines(Replace::Asset),
        format!(
            "AddHost SetOS DeleteScanResult AddScanResult ScanUpdate AddScanResult ScanUpdate {clearing}"
        )
    );
    assert_eq!(
        lines(Replace::Flush),
        format!("AddHost SetOS AddScanResult ScanFlush AddScanResult ScanUpdate {clearing}")
    );
    assert_eq!(lines(Replace::Merge), "AddHost SetOS AddScanResult ScanUpdate AddScanResult ScanUpdate");
    assert!(
        text(Replace::Merge, &assets, &[]).contains("SetOS,192.0.2.20,\"\",\"Pruf-OS \"\"9\"\"\",\"\"\n")
    );
}

/// A part of an asset may have no status, or that of an incomplete scan. Then the other part does not make the asset
/// clean.
#[test]
fn asset_with_incomplete_information_is_not_cleared() {
    for assets in [
        [("192.0.2.20", "", vec![]), ("192.0.2.20", "down", vec![])],
        [("192.0.2.20", "", vec![]), ("192.0.2.20", "", vec![0])],
        [("192.0.2.5", "", vec![0]), ("192.0.2.20", "down", vec![])],
    ] {
        let text = text(Replace::Asset, &assets, &[1]);
        assert!(!text.contains("DeleteScanResult,192.0.2.20,"), "{text}");
        assert!(text.contains("DeleteScanResult,192.0.2.4,"));
        assert_eq!(text.contains("DeleteScanResult,192.0.2.5,"), assets[0].0 == "192.0.2.20");
    }
}

#[test]
fn truncated_asset_is_merged_for_every_setting_of_replace() {
    for replace in [Replace::Asset, Replace::Flush, Replace::Merge] {
        let mut text = String::new();
        let mut writer = writer(replace, 1 << 20);
        writer.begin(&start(), Begin::NEW);
        feed(&mut writer, &mut text, &[("192.0.2.20", "", vec![1, 2])]);
        let truncated = ReportEnd::default().with_deliver(true);
        let totals = writer.end(&truncated, &mut into(&mut text)).unwrap();
        assert_eq!(totals.warnings, [""; 0], "{replace:?}");
        assert!(!text.contains("DeleteScanResult") && !text.contains("ScanFlush"), "{text}");
        assert!(text.ends_with("\nScanUpdate\n"));
    }
}
