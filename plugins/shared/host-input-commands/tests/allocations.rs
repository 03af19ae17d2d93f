//! Writing the line of a finding allocates no memory, unless the finding is merged with another one.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

use std::convert::Infallible;

use scanbridge_fixtures::allocations::{self, CountingAllocator};
use scanbridge_host_input_commands::{Block, BlockLimits, CommandWriter, OPTIONS, Settings};
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, Protocol, ReportStart,
};
use scanbridge_plugin_api::{Begin, Options};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Passes an asset with this many findings to the writer, and counts the allocations.
fn allocations_of(writer: &mut CommandWriter, findings: u16) -> u64 {
    let mut builder = BatchBuilder::default();
    let mut row = AssetRow::default();
    row.set(AssetField::Address, "192.0.2.1");
    let asset = builder.push_asset(&row, false);
    for port in 1..=findings {
        let mut row = DefinitionRow::default();
        row.set(DefinitionField::Id, "7");
        row.set(DefinitionField::Cves, "CVE-2026-0001");
        let definition = builder.push_definition(&row);
        let mut row = FindingRow::default();
        row.set_kind(FindingKind::Vulnerability);
        row.set_port(port);
        row.set_protocol(Some(Protocol::Tcp));
        row.set(FindingField::Result, "a result");
        row.set(FindingField::Cves, "CVE-2026-0001");
        builder.push_finding(asset, definition, &row);
    }
    let raw = builder.finish();
    let columns = Columns::of(Schema::default());
    let batch = Batch::of(&raw, &columns).unwrap();
    let mut lines = 0;
    let mut sink = |block: Block<'_>| -> Result<(), Infallible> {
        lines += block.findings;
        Ok(())
    };
    let before = allocations::count();
    writer.batch(batch, &mut sink).unwrap();
    writer.finish_asset(&mut sink).unwrap();
    let count = allocations::count() - before;
    assert_eq!(lines, u64::from(findings));
    count
}

#[test]
fn nothing_is_allocated_per_finding() {
    for options in ["{}", r#"{"description": ["diagnosis", "result"]}"#] {
        let options = Options::read(OPTIONS, options.as_bytes()).unwrap();
        let mut writer = CommandWriter::new(Settings::read(&options, BlockLimits::default()).unwrap());
        writer.begin(&ReportStart::default(), Begin::NEW);
        allocations_of(&mut writer, 2000);
        let (few, many) = (allocations_of(&mut writer, 10), allocations_of(&mut writer, 2000));
        assert_eq!(few, many);
        assert!(few < 20, "{few}");
    }
}
