//! Writing the line of a finding allocates no memory, unless the finding is merged with another one.

#![expect(unsafe_code, reason = "the trait `GlobalAlloc` is unsafe")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::convert::Infallible;

use scanbridge_host_input_commands::{Block, BlockLimits, CommandWriter, OPTIONS, Settings};
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, Protocol, ReportStart,
};
use scanbridge_plugin_api::{Begin, Options};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: each call is passed on to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are those of the system allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is from the system allocator.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Passes an asset with this many findings to the writer, and counts the allocations.
fn allocations(writer: &mut CommandWriter, findings: u16) -> u64 {
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
    let before = COUNT.get();
    writer.batch(batch, &mut sink).unwrap();
    writer.finish_asset(&mut sink).unwrap();
    let count = COUNT.get() - before;
    assert_eq!(lines, u64::from(findings));
    count
}

#[test]
fn nothing_is_allocated_per_finding() {
    for options in ["{}", r#"{"description": ["diagnosis", "result"]}"#] {
        let options = Options::read(OPTIONS, options.as_bytes()).unwrap();
        let mut writer = CommandWriter::new(Settings::read(&options, BlockLimits::default()).unwrap());
        writer.begin(&ReportStart::default(), Begin::NEW);
        allocations(&mut writer, 2000);
        let (few, many) = (allocations(&mut writer, 10), allocations(&mut writer, 2000));
        assert_eq!(few, many);
        assert!(few < 20, "{few}");
    }
}
