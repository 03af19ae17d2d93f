//! An invalid batch is rejected, or all its cells can be read.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use scanbridge_plugin_api::batch::{
    AssetRow, BadBatch, BadCode, BadPack, Batch, BatchBuilder, Column, ColumnType, Columns, DefinitionRow,
    DefinitionTable, FindingColumn, FindingRow, FindingView, RawBatch2, Schema, Selection, ValidBatch, pack,
    unpack,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, FindingStatus, Protocol, Severity,
};

fn columns() -> Columns {
    Columns::of(Schema::default())
}

fn text_column(name: &str) -> Column {
    Column::new(name, ColumnType::Text, "")
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

fn small_batch() -> RawBatch2 {
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
fn cells_are_read_as_they_were_set() {
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
    let mut rows: Vec<u32> = batch.findings().map(|finding| finding.definition().row()).collect();
    rows.sort_unstable();
    rows.dedup();
    (rows.len(), batch.findings().next().expect("a finding").definition().key())
}

#[test]
fn definition_is_sent_once_in_a_batch_and_has_the_same_key_in_the_next() {
    let (rows, key) = rows_and_key(&["x", "y", "x"]);
    assert_eq!(rows, 2);
    assert_eq!(rows_and_key(&["x"]).1, key);
    assert_ne!(rows_and_key(&["y"]).1, key);
}

#[test]
fn text_in_another_cell_is_another_definition() {
    let key = |field| {
        let mut batch = BatchBuilder::default();
        let mut row = DefinitionRow::default();
        row.set(field, "same");
        batch.push_definition(&row);
        batch.finish().keys.to_vec()
    };
    assert_ne!(key(DefinitionField::Diagnosis), key(DefinitionField::Solution));
}

#[test]
fn fields_are_found_by_name_and_unknown_ones_are_kept() {
    let mut schema = Schema::default();
    schema.assets = ["dns", "colour", "address"].map(text_column).to_vec();
    schema.definitions = vec![];
    schema.findings = vec![text_column("size")];
    let raw = RawBatch2 {
        text: b"a.example.testgreen192.0.2.7large".to_vec().into(),
        assets: vec![0, 0, 14, 19, 28].into(),
        findings: vec![0, 0, 1, 0, 28, 33].into(),
        keys: vec![0, 0, 0, 0].into(),
        new_rows: vec![0, 0].into(),
        ..RawBatch2::default()
    };
    let columns = Columns::of(schema);
    let batch = Batch::of(&raw, &columns).unwrap();
    let asset = batch.assets().next().unwrap();
    assert_eq!((asset.get(AssetField::Dns), asset.address()), ("a.example.test", "192.0.2.7"));
    assert_eq!(asset.get(AssetField::Os), "", "a column that the sender lacks is empty");
    let colour = batch.schema().assets.iter().position(|column| column.name == "colour");
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

fn refusal(change: fn(&mut RawBatch2)) -> Option<BadBatch> {
    let mut raw = small_batch();
    change(&mut raw);
    ValidBatch::alone(raw, Arc::new(columns())).err()
}

#[test]
fn error_names_the_fault() {
    assert!(matches!(
        refusal(|raw| raw.findings = raw.findings[..5].to_vec().into()),
        Some(BadBatch::Shape { table: "findings", .. })
    ));
    assert!(matches!(
        refusal(|raw| raw.assets[2] = 4_000_000),
        Some(BadBatch::Offsets { table: "assets", row: 0 })
    ));
    assert!(matches!(refusal(|raw| raw.findings[1] = 1), Some(BadBatch::Reference { row: 0 })));
    assert_eq!(refusal(|raw| raw.text[0] = 0xff), Some(BadBatch::Utf8));
    assert_eq!(refusal(|raw| raw.new_text[0] = 0xff), Some(BadBatch::Utf8));
    assert_eq!(refusal(|raw| raw.new_rows[0] = 7), Some(BadBatch::NewRow { row: 0 }));
    assert_eq!(refusal(|raw| raw.keys[0] ^= 1), Some(BadBatch::Key { row: 0 }));
    assert_eq!(refusal(|raw| raw.new_rows = Vec::new().into()), Some(BadBatch::UnknownKey { row: 0 }));
    assert!(matches!(
        refusal(|raw| raw.keys = raw.keys[..3].to_vec().into()),
        Some(BadBatch::Shape { table: "keys", .. })
    ));
}

/// A batch with one finding of this definition.
fn batch_of(title: &str) -> RawBatch2 {
    let mut batch = BatchBuilder::default();
    let asset = batch.push_asset(&AssetRow::default(), false);
    let mut row = DefinitionRow::default();
    row.set(DefinitionField::Title, title);
    let definition = batch.push_definition(&row);
    batch.push_finding(asset, definition, &information());
    batch.finish()
}

#[test]
fn a_definition_is_found_by_its_key_until_the_next_epoch() {
    let columns = Arc::new(columns());
    let mut table = DefinitionTable::default();
    let mut title = |mut raw: RawBatch2| {
        let resolved = table.resolve(&mut raw, columns.schema())?;
        let batch = ValidBatch::new(raw, resolved, Arc::clone(&columns))?;
        let mut new = 0;
        batch.read_new_definitions(|definition| new += definition.get(DefinitionField::Title).len());
        Ok(batch.read(|batch| {
            let finding = batch.findings().next().expect("one finding");
            (finding.definition().get(DefinitionField::Title).to_owned(), new)
        }))
    };
    // Later batches of an epoch have the key without the cells.
    let later = |title: &str, epoch| RawBatch2 {
        epoch,
        new_rows: Vec::new().into(),
        new_text: Vec::new().into(),
        ..batch_of(title)
    };
    assert_eq!(title(batch_of("abc")), Ok(("abc".to_owned(), 3)));
    assert_eq!(title(batch_of("d")), Ok(("d".to_owned(), 1)));
    assert_eq!(title(later("abc", 0)), Ok(("abc".to_owned(), 0)));
    assert_eq!(title(later("e", 0)), Err(BadBatch::UnknownKey { row: 0 }));
    assert_eq!(title(later("abc", 3)), Err(BadBatch::UnknownKey { row: 0 }), "another epoch begins empty");
    assert_eq!(title(RawBatch2 { epoch: 3, ..batch_of("abc") }), Ok(("abc".to_owned(), 3)));
    assert_eq!(title(batch_of("abc")), Err(BadBatch::Epoch { epoch: 0, current: 3 }));
}

#[test]
fn a_batch_keeps_the_definitions_of_its_epoch() {
    let columns = Arc::new(columns());
    let mut table = DefinitionTable::default();
    let mut raw = batch_of("old");
    let resolved = table.resolve(&mut raw, columns.schema()).unwrap();
    let batch = ValidBatch::new(raw, resolved, Arc::clone(&columns)).unwrap();
    let mut next = RawBatch2 { epoch: 1, ..batch_of("new") };
    table.resolve(&mut next, columns.schema()).unwrap();
    let title = batch
        .read(|batch| batch.findings().next().unwrap().definition().get(DefinitionField::Title).to_owned());
    assert_eq!(title, "old");
}

#[test]
fn other_cells_under_a_key_are_refused() {
    let mut raw = batch_of("abc");
    raw.new_text[0] = b'x';
    let refused = DefinitionTable::default().resolve(&mut raw, &Schema::default());
    assert_eq!(refused.err(), Some(BadBatch::Key { row: 0 }));
}

#[test]
fn offset_inside_a_character_is_rejected() {
    let found = refusal(|raw| {
        // The title begins with a letter of two bytes; the offset at which its cell ends is now between them.
        let title = 1 + 1 + DefinitionField::Title as usize;
        let start = raw.new_rows[title - 1];
        for end in &mut raw.new_rows[title..] {
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
        // The tables grow by doubling. The text has a reserve, which takes no memory while it is not used.
        let reserve = BatchBuilder::TARGET_BYTES + BatchBuilder::TARGET_BYTES / 4;
        assert!(batch.finish().capacity_bytes() <= 2 * BatchBuilder::TARGET_BYTES + reserve + 4096);
    }
}

#[test]
fn memory_of_a_huge_finding_is_not_kept() {
    let mut batch = BatchBuilder::default();
    let mut row = AssetRow::default();
    row.set(AssetField::Os, &"x".repeat(64 << 20));
    batch.push_asset(&row, false);
    let again = BatchBuilder::recycle(&Schema::default(), batch.finish()).finish();
    assert!(again.capacity_bytes() < 1 << 20);
}

/// A batch with two assets, three findings, and two definitions.
fn larger_batch() -> RawBatch2 {
    let mut batch = BatchBuilder::default();
    let mut finding = information();
    for (address, titles) in [("192.0.2.1", &["a", "b"][..]), ("192.0.2.2", &["b"])] {
        let mut asset = AssetRow::default();
        asset.set(AssetField::Address, address);
        let asset = batch.push_asset(&asset, false);
        for title in titles {
            let mut row = DefinitionRow::default();
            row.set(DefinitionField::Title, title);
            let definition = batch.push_definition(&row);
            finding.set(FindingField::Result, &format!("{title} on {address}"));
            batch.push_finding(asset, definition, &finding);
        }
    }
    batch.finish()
}

/// The address, the title and the result of each finding.
fn lines(batch: Batch<'_>) -> Vec<String> {
    let line = |finding: FindingView<'_>| {
        let title = finding.definition().get(DefinitionField::Title);
        format!("{} {title}: {}", finding.asset().address(), finding.get(FindingField::Result))
    };
    batch.findings().map(line).collect()
}

#[test]
fn packed_batch_contains_everything() {
    let columns = Arc::new(columns());
    for raw in [small_batch(), larger_batch(), RawBatch2::default()] {
        let original = ValidBatch::alone(raw, Arc::clone(&columns)).unwrap();
        let bytes = original.read(|batch| pack(batch, |_| false));
        let copy = ValidBatch::alone(unpack(&bytes).unwrap(), Arc::clone(&columns)).unwrap();
        assert_eq!(original.read(lines), copy.read(lines));
        assert_eq!(original.read(read_everything), copy.read(read_everything));
        let continued =
            |batch: Batch<'_>| batch.assets().map(|asset| asset.is_continued()).collect::<Vec<_>>();
        assert_eq!(original.read(continued), copy.read(continued));
    }
}

#[test]
fn only_selected_rows_are_packed() {
    let (raw, columns) = (larger_batch(), columns());
    let selection = Selection::new(&[], &[2]);
    let bytes = pack(Batch::of(&raw, &columns).unwrap().select(selection), |_| false);
    let copy = unpack(&bytes).unwrap();
    let batch = Batch::of(&copy, &columns).unwrap();
    assert_eq!(lines(batch), ["192.0.2.2 b: b on 192.0.2.2"]);
    assert_eq!((batch.assets().count(), copy.keys.len()), (1, 4));
}

#[test]
fn packed_batch_without_the_definitions_that_the_receiver_has() {
    let columns = Arc::new(columns());
    let first = ValidBatch::alone(larger_batch(), Arc::clone(&columns)).unwrap();
    let known = first.read(|batch| batch.findings().next().unwrap().definition().key());
    let packed = first.read(|batch| unpack(&pack(batch, |key| key == known)).unwrap());
    assert_eq!(&packed.new_text[..], b"b");
    assert_eq!(ValidBatch::alone(packed, Arc::clone(&columns)).err(), Some(BadBatch::UnknownKey { row: 0 }));

    let mut table = DefinitionTable::default();
    table.resolve(&mut larger_batch(), columns.schema()).unwrap();
    let mut packed = first.read(|batch| unpack(&pack(batch, |_| true)).unwrap());
    let definitions = table.resolve(&mut packed, columns.schema()).unwrap();
    let copy = ValidBatch::new(packed, definitions, columns).unwrap();
    assert_eq!(copy.read(lines), first.read(lines));
}

#[test]
fn bytes_of_another_length_are_not_a_packed_batch() {
    let bytes = Batch::of(&larger_batch(), &columns()).map(|batch| pack(batch, |_| false)).unwrap();
    for length in 0..bytes.len() {
        assert_eq!(unpack(&bytes[..length]).err(), Some(BadPack), "{length}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert_eq!(unpack(&longer).err(), Some(BadPack));
    assert_eq!(unpack(&[b"SBB1", &bytes[4..]].concat()).err(), Some(BadPack));
}

#[test]
fn own_columns_and_columns_in_another_order_are_written_and_read() {
    let mut schema = Schema::default();
    let owner = schema.add_column("acme:owner", ColumnType::Text, "owner").unwrap();
    let epss = schema.add_column("acme:epss", ColumnType::Decimal, "EPSS score").unwrap();
    let fixes = schema.add_column("acme:fixes", ColumnType::List, "fixes").unwrap();
    let mut mixed = schema.clone();
    for columns in [&mut mixed.assets, &mut mixed.definitions, &mut mixed.findings] {
        columns.reverse();
    }
    // A sender with a smaller model.
    mixed.definitions.retain(|column| column.name != "category");
    for schema in [schema, mixed] {
        let mut batch = BatchBuilder::new(&schema);
        let mut asset = AssetRow::default();
        asset.set_own(owner, "team");
        asset.set(AssetField::Address, "192.0.2.1");
        let asset = batch.push_asset(&asset, false);
        let mut definition = DefinitionRow::default();
        definition.append_own_item(fixes, "p1");
        definition.set(DefinitionField::Title, "title");
        definition.append_own_item(fixes, "p2");
        let definition = batch.push_definition(&definition);
        let mut finding = information();
        finding.set_own(epss, "0.1");
        finding.set_own(epss, "0.97");
        batch.push_finding(asset, definition, &finding);
        // Rows without own cells.
        let asset = batch.push_asset(&AssetRow::default(), false);
        let definition = batch.push_definition(&DefinitionRow::default());
        batch.push_finding(asset, definition, &information());
        let (raw, columns) = (batch.finish(), Columns::of(schema));
        let batch = Batch::of(&raw, &columns).unwrap();
        let [owner, fixes, epss] =
            ["acme:owner", "acme:fixes", "acme:epss"].map(|name| batch.column(name).unwrap());
        let finding = batch.findings().next().unwrap();
        assert_eq!((finding.cell(owner).text(), finding.cell(epss).decimal()), ("team", Some(0.97)));
        assert_eq!(finding.cell(fixes).items().collect::<Vec<_>>(), ["p1", "p2"]);
        assert_eq!(finding.asset().address(), "192.0.2.1");
        assert_eq!(finding.definition().get(DefinitionField::Title), "title");
        let second = batch.findings().nth(1).unwrap();
        assert_eq!((second.cell(owner).text(), second.cell(epss).decimal()), ("", None));
        assert_eq!((batch.column("acme:other"), batch.column("result")), (None, None));
    }
}

#[test]
#[should_panic(expected = "a column that the schema does not have")]
fn own_cell_of_another_schema_is_not_dropped_silently() {
    let epss = Schema::default().add_column("acme:epss", ColumnType::Decimal, "").unwrap();
    let mut row = AssetRow::default();
    row.set_own(epss, "0.97");
    BatchBuilder::default().push_asset(&row, false);
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
        let raw = RawBatch2 {
            text: bytes.to_vec().into(),
            assets: assets.into(),
            findings: findings.into(),
            keys: vec![0; definitions.len()].into(),
            new_rows: definitions.into(),
            new_text: definition_bytes.to_vec().into(),
            ..RawBatch2::default()
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
            1 => &mut raw.new_rows[..],
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
