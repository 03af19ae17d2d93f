//! A batch of a hostile plugin is rejected, or all its cells can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanbridge_plugin_api::batch::{Batch, Column, ColumnType, Columns, RawBatch2, Schema};

/// Splits the input into the arenas and the three tables. The first three bytes are the lengths of the tables.
fn batch(input: &[u8]) -> Option<RawBatch2> {
    let (lengths, rest) = input.split_at_checked(3)?;
    let mut rest = rest;
    let mut table = |length: u8| {
        let (table, left) = rest.split_at(usize::from(length).min(rest.len() / 4) * 4);
        rest = left;
        // Small numbers, so that the fuzzer finds almost valid tables.
        table.chunks_exact(4).map(|n| u32::from_le_bytes([n[0], n[1], 0, n[3] >> 7])).collect::<Vec<u32>>()
    };
    let (assets, new_rows, findings) = (table(lengths[0]), table(lengths[1]), table(lengths[2]));
    let (definition_bytes, bytes) = rest.split_at(rest.len() / 2);
    Some(RawBatch2 {
        text: bytes.to_vec().into(),
        assets: assets.into(),
        findings: findings.into(),
        // As many keys as the tables can name.
        keys: vec![0; 4 * (new_rows.len() / 2)].into(),
        new_rows: new_rows.into(),
        new_text: definition_bytes.to_vec().into(),
        ..RawBatch2::default()
    })
}

fuzz_target!(|input: &[u8]| {
    let Some(raw) = batch(input) else { return };
    let names = |names: &[&str]| names.iter().map(|name| Column::new(*name, ColumnType::Text, "")).collect();
    let mut named = Schema::default();
    (named.assets, named.definitions, named.findings) = (names(&["address"]), names(&[]), names(&["facts"]));
    for schema in [Schema::default(), named] {
        let columns = Columns::of(schema);
        let Ok(batch) = Batch::of(&raw, &columns) else { continue };
        for asset in batch.assets() {
            assert!(asset.address().len() <= raw.text.len());
        }
        for finding in batch.findings() {
            let _ = (finding.kind(), finding.severity(), finding.port(), finding.facts().count());
            let _ = (finding.asset().address(), finding.definition().key());
            for column in 0..columns.schema().definitions.len() {
                assert!(finding.definition().column(Some(column)).len() <= raw.new_text.len());
            }
        }
    }
});
