//! A batch from a stranger is either refused or can be read to its last cell.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use scanbridge_plugin_api::batch::{
    AssetRow, BadBatch, BadCode, Batch, BatchBuilder, Columns, DefinitionRow, FindingColumn, FindingRow,
    Known, RawBatch, RawDefinitions, Schema, ValidBatch,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, FindingStatus, Protocol, Severity,
};

fn columns() -> Columns {
    Columns::of(Schema::default())
}

fn read_everything(batch: Batch<'_>) -> usize {
    let mut bytes = 0;
    for asset in batch.assets() {
        bytes +=
            (0..batch.schema().assets.len()).map(|column| asset.column(Some(column)).len()).sum::<usize>();
    }
    for finding in batch.findings() {
        let (asset, definition) = (finding.asset(), finding.definition());
        bytes += asset.address().len() + finding.facts().count() + usize::from(finding.port().unwrap_or(0));
        bytes +=
            (0..batch.schema().definitions.len()).map(|c| definition.column(Some(c)).len()).sum::<usize>();
        bytes += (0..batch.schema().findings.len()).map(|c| finding.column(Some(c)).len()).sum::<usize>();
    }
    bytes
}

fn small_batch() -> RawBatch {
    let mut batch = BatchBuilder::default();
    let mut asset = AssetRow::default();
    asset.set(AssetField::Address, "192.0.2.1");
    let asset = batch.push_asset(&asset, true);
    let mut definition = DefinitionRow::default();
    definition.set(DefinitionField::Title, "Überlauf");
    let definition = batch.push_definition(&definition);
    let mut finding = FindingRow::default();
    finding.set_kind(FindingKind::Potential);
    finding.set_severity(Severity::new(4));
    finding.set_protocol(Protocol::Other("sctp"));
    finding.append(FindingField::Result, "a");
    finding.append(FindingField::Service, "x");
    finding.set_status(FindingStatus::Fixed);
    finding.append(FindingField::Result, "b");
    batch.push_finding(asset, definition, &finding);
    batch.finish()
}

fn information() -> FindingRow {
    let mut row = FindingRow::default();
    row.set_kind(FindingKind::Information);
    row
}

#[test]
fn cells_are_read_as_written() {
    let (raw, columns) = (small_batch(), columns());
    let batch = Batch::of(&raw, &columns).unwrap();
    let finding = batch.findings().next().unwrap();
    assert_eq!(finding.kind(), FindingKind::Potential);
    assert_eq!(finding.severity(), Severity::new(4));
    assert_eq!(finding.port(), None, "the finding is about the entire asset");
    assert_eq!((finding.protocol(), finding.ssl()), (Some(Protocol::Other("sctp")), None));
    assert_eq!(
        finding.get(FindingField::Result),
        "ab",
        "pieces of a cell are joined whatever came in between"
    );
    assert!(finding.is_fixed());
    assert!(finding.asset().is_continued());
    assert_eq!(finding.asset().address(), "192.0.2.1");
    assert_eq!(finding.definition().get(DefinitionField::Title), "Überlauf");
}

/// The number of definition rows that the findings point at, and the key of the first.
fn rows_and_key(titles: &[&str]) -> (usize, u128) {
    let mut batch = BatchBuilder::default();
    let asset = batch.push_asset(&AssetRow::default(), false);
    for title in titles {
        let mut row = DefinitionRow::default();
        row.set(DefinitionField::Title, title);
        let definition = batch.push_definition(&row);
        batch.push_finding(asset, definition, &information());
    }
    let (raw, columns) = (batch.finish(), columns());
    let batch = Batch::of(&raw, &columns).expect("the builder builds in order");
    let mut rows: Vec<u32> = batch.findings().map(|finding| finding.definition().number()).collect();
    rows.sort_unstable();
    rows.dedup();
    (rows.len(), batch.findings().next().expect("a finding").definition().key())
}

#[test]
fn definition_is_in_a_batch_once_and_keeps_its_key() {
    let (rows, key) = rows_and_key(&["x", "y", "x"]);
    assert_eq!(rows, 2);
    assert_eq!(rows_and_key(&["x"]).1, key);
    assert_ne!(rows_and_key(&["y"]).1, key);
}

#[test]
fn a_text_in_another_cell_is_another_definition() {
    let key = |field| {
        let mut batch = BatchBuilder::default();
        let mut row = DefinitionRow::default();
        row.set(field, "same");
        batch.push_definition(&row);
        batch.finish().definitions.table[..4].to_vec()
    };
    assert_ne!(key(DefinitionField::Diagnosis), key(DefinitionField::Solution));
}

#[test]
fn fields_travel_by_name_and_unknown_ones_ride_along() {
    let schema = Schema {
        assets: vec!["dns".into(), "colour".into(), "address".into()],
        definitions: vec![],
        findings: vec!["size".into()],
    };
    let raw = RawBatch {
        bytes: b"a.example.testgreen192.0.2.7large".to_vec().into(),
        assets: vec![0, 0, 14, 19, 28].into(),
        findings: vec![0, 0, 1, 0, 28, 33].into(),
        definitions: RawDefinitions { table: vec![0, 0, 0, 0, 0].into(), ..RawDefinitions::default() },
    };
    let columns = Columns::of(schema);
    let batch = Batch::of(&raw, &columns).unwrap();
    let asset = batch.assets().next().unwrap();
    assert_eq!((asset.get(AssetField::Dns), asset.address()), ("a.example.test", "192.0.2.7"));
    assert_eq!(asset.get(AssetField::Os), "", "a column that the sender lacks is empty");
    let colour = batch.schema().assets.iter().position(|name| name == "colour");
    assert_eq!(asset.column(colour), "green");
    let finding = batch.findings().next().unwrap();
    assert_eq!(finding.kind(), FindingKind::Vulnerability);
    let printed: Vec<(&str, FindingColumn)> = columns.finding_columns();
    let mut scratch = String::new();
    let texts =
        printed.iter().map(|(name, column)| format!("{name}={}", finding.printed(*column, &mut scratch)));
    let texts = texts.collect::<Vec<_>>().join(" ");
    assert_eq!(texts, "kind=vulnerability severity= port= size=large protocol= ssl= status=");
}

#[test]
fn printed_values_are_read_back() {
    let values = [
        ("kind", "service"),
        ("severity", "5"),
        ("port", "65535"),
        ("protocol", "sctp"),
        ("service", "https"),
        ("fqdn", "a.example.com"),
        ("ssl", "0"),
        ("instance", "1"),
        ("result", "r"),
        ("result_format", "table"),
        ("status", "Re-Opened"),
        ("first_found", "2026-01-31T12:00:00Z"),
    ];
    let mut row = FindingRow::default();
    assert!(values.iter().all(|(name, text)| row.set_printed(name, text)));
    for (name, text) in
        [("kind", "odd"), ("severity", "6"), ("port", "65536"), ("ssl", "yes"), ("status", "")]
    {
        assert!(!row.set_printed(name, text), "{name}={text}");
    }
    assert!(!row.set_printed("colour", "green"));
    let mut batch = BatchBuilder::default();
    let asset = batch.push_asset(&AssetRow::default(), false);
    let definition = batch.push_definition(&DefinitionRow::default());
    batch.push_finding(asset, definition, &row);
    let (raw, columns) = (batch.finish(), columns());
    let finding = Batch::of(&raw, &columns).unwrap().findings().next().unwrap();
    let mut scratch = String::new();
    let printed = columns.finding_columns().into_iter();
    let printed = printed.map(|(name, column)| (name, finding.printed(column, &mut scratch).to_owned()));
    let printed: Vec<_> = printed.filter(|(_, text)| !text.is_empty()).collect();
    assert!(printed.iter().map(|(name, text)| (*name, text.as_str())).eq(values), "{printed:?}");
}

#[test]
fn unknown_code_is_found() {
    for (word, value, code) in [
        (2, 0, BadCode::Kind(0)),
        (2, 5, BadCode::Kind(5)),
        (2, 0x0901, BadCode::Severity(9)),
        (3, 7, BadCode::Status(7)),
        (3, 0x0900, BadCode::Protocol(9)),
    ] {
        let mut raw = small_batch();
        raw.findings[word] = value;
        assert_eq!(Batch::of(&raw, &columns()).err(), Some(BadBatch::Code { row: 0, code }));
    }
}

fn refusal(change: fn(&mut RawBatch)) -> Option<BadBatch> {
    let mut raw = small_batch();
    change(&mut raw);
    ValidBatch::alone(raw, Arc::new(columns())).err()
}

#[test]
fn invalid_batches_are_rejected_with_the_reason() {
    assert!(matches!(
        refusal(|raw| raw.findings = raw.findings[..5].to_vec().into()),
        Some(BadBatch::Shape { table: "findings", .. })
    ));
    assert!(matches!(
        refusal(|raw| raw.assets[2] = 4_000_000),
        Some(BadBatch::Offsets { table: "assets", row: 0 })
    ));
    assert!(matches!(refusal(|raw| raw.findings[1] = 1), Some(BadBatch::Reference { row: 0 })));
    assert_eq!(refusal(|raw| raw.bytes[0] = 0xff), Some(BadBatch::Utf8));
    assert_eq!(refusal(|raw| raw.definitions.bytes[0] = 0xff), Some(BadBatch::Utf8));
    let gap = Some(BadBatch::Numbering { first: 7, expected: 0 });
    assert_eq!(refusal(|raw| raw.definitions.first = 7), gap);
}

/// A batch with one finding of the definition `title`, as an input of the second batch and later sends it.
fn later_batch(first: u32, titles: &[&str], number: u32) -> RawBatch {
    let mut batch = BatchBuilder::default();
    let asset = batch.push_asset(&AssetRow::default(), false);
    let mut row = DefinitionRow::default();
    for title in titles {
        row.set(DefinitionField::Title, title);
        batch.push_definition(&row);
    }
    let any = batch.push_definition(&row);
    batch.push_finding(asset, any, &information());
    let mut raw = batch.finish();
    raw.findings[1] = number;
    if titles.is_empty() {
        raw.definitions = RawDefinitions::default();
    }
    raw.definitions.first = first;
    raw
}

#[test]
fn definitions_are_found_until_the_sender_restarts() {
    let columns = Arc::new(columns());
    let mut known = Known::default();
    let mut title = |mut raw: RawBatch| {
        known.take(&mut raw, columns.schema())?;
        let batch = ValidBatch::new(raw, known.clone(), Arc::clone(&columns))?;
        Ok(batch.read(|batch| {
            let finding = batch.findings().next().expect("one finding");
            finding.definition().get(DefinitionField::Title).to_owned()
        }))
    };
    assert_eq!(title(later_batch(0, &["a", "b"], 1)).as_deref(), Ok("b"));
    assert_eq!(title(later_batch(2, &["c"], 0)).as_deref(), Ok("a"));
    assert_eq!(title(later_batch(3, &[], 2)).as_deref(), Ok("c"));
    assert_eq!(title(later_batch(3, &[], 3)), Err(BadBatch::Reference { row: 0 }));
    assert_eq!(title(later_batch(5, &["x"], 0)), Err(BadBatch::Numbering { first: 5, expected: 3 }));
    assert_eq!(title(later_batch(0, &["new"], 0)).as_deref(), Ok("new"));
    assert_eq!(title(later_batch(1, &[], 1)), Err(BadBatch::Reference { row: 0 }));
}

#[test]
fn offset_inside_a_character_is_rejected() {
    let found = refusal(|raw| {
        // The title begins with a character of two bytes; its cell now ends between them.
        let title = 4 + 1 + DefinitionField::Title as usize;
        let start = raw.definitions.table[title - 1];
        for end in &mut raw.definitions.table[title..] {
            *end = start + 1;
        }
    });
    assert!(matches!(found, Some(BadBatch::Offsets { table: "definitions", row: 0 })), "{found:?}");
}

#[test]
fn rows_without_text_fill_a_batch_as_well() {
    let (mut assets, mut findings) = (BatchBuilder::default(), BatchBuilder::default());
    let asset = findings.push_asset(&AssetRow::default(), false);
    let definition = findings.push_definition(&DefinitionRow::default());
    for _ in 0..100_000 {
        if !assets.is_full() {
            assets.push_asset(&AssetRow::default(), false);
        }
        if !findings.is_full() {
            findings.push_finding(asset, definition, &FindingRow::default());
        }
    }
    for batch in [assets, findings] {
        assert!(batch.is_full());
        // Memory grows by doubling.
        assert!(batch.finish().capacity_bytes() <= 2 * BatchBuilder::TARGET_BYTES + 4096);
    }
}

#[test]
fn memory_of_a_huge_finding_is_not_kept() {
    let mut batch = BatchBuilder::default();
    let mut row = AssetRow::default();
    row.set(AssetField::Os, &"x".repeat(64 << 20));
    batch.push_asset(&row, false);
    let again = BatchBuilder::recycle(batch.finish()).finish();
    assert!(again.capacity_bytes() < 1 << 20);
}

proptest! {
    #[test]
    fn arbitrary_numbers_never_panic_a_reader(
        bytes in vec(any::<u8>(), 0..64),
        assets in vec(0_u32..70, 0..60),
        definitions in vec(0_u32..70, 0..60),
        findings in vec(0_u32..70, 0..60),
    ) {
        let (definition_bytes, bytes) = bytes.split_at(bytes.len() / 2);
        let raw = RawBatch {
            bytes: bytes.to_vec().into(),
            assets: assets.into(),
            findings: findings.into(),
            definitions: RawDefinitions {
                first: 0,
                bytes: definition_bytes.to_vec().into(),
                table: definitions.into(),
            },
        };
        let columns = columns();
        if let Ok(batch) = Batch::of(&raw, &columns) {
            read_everything(batch);
        }
    }

    #[test]
    fn one_changed_number_is_refused_or_readable(table in 0..3_usize, at in any::<usize>(), to in any::<u32>()) {
        let mut raw = small_batch();
        let table = match table {
            0 => &mut raw.assets[..],
            1 => &mut raw.definitions.table[..],
            _ => &mut raw.findings[..],
        };
        let at = at % table.len();
        table[at] = to;
        let columns = columns();
        if let Ok(batch) = Batch::of(&raw, &columns) {
            read_everything(batch);
        }
    }
}
