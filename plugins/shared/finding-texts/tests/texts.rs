//! The texts of a report: the same bytes as the events and lines of the encoders, and what options add.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

use scanbridge_cef_events::{
    ConnectorFields, ConnectorStyle, Encoder, EventSettings, ExtraFields, Outcome, Sink,
};
use scanbridge_finding_texts::options::{
    ADDITIONAL_DATA, ADDITIONAL_FIELDS, AGGREGATE, ASSET_EVENTS, ASSETS, CATEGORY_TECHNIQUE, CEF_VERSION,
    CLASS_ID_SEPARATOR, CLASS_ID_STYLE, CONNECTOR_FIELDS, DERIVE, DEVICE_PRODUCT, DEVICE_VENDOR,
    DEVICE_VERSION, EXTENSION_LEADING_SPACE, EXTRA_FIELDS, LEAVE_OUT, NAME_STYLE, ORDER, SEVERITY_STYLE,
    TIME_FUTURE_LIMIT, TIME_OFFSET, TIME_PAST_LIMIT,
};
use scanbridge_finding_texts::{LineLimit, TextEncoder, TextFormat, TextSink};
use scanbridge_plugin_api::batch::{
    AssetRow, AssetView, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow, RawBatch2,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, FindingStatus, ReportSource, ReportStart,
    Severity,
};
use scanbridge_plugin_api::{ConnectorIdentity, OptionSpec, Options, Result};

const OF_FINDINGS: &[OptionSpec] = &[
    LEAVE_OUT,
    CEF_VERSION,
    SEVERITY_STYLE,
    CLASS_ID_SEPARATOR,
    NAME_STYLE,
    CLASS_ID_STYLE,
    CATEGORY_TECHNIQUE,
    ADDITIONAL_DATA,
    EXTENSION_LEADING_SPACE,
    EXTRA_FIELDS,
    ADDITIONAL_FIELDS,
    CONNECTOR_FIELDS,
    TIME_OFFSET,
    TIME_PAST_LIMIT,
    TIME_FUTURE_LIMIT,
    DEVICE_VENDOR,
    DEVICE_PRODUCT,
    DEVICE_VERSION,
];

const ALL: &[OptionSpec] = &[
    LEAVE_OUT,
    CEF_VERSION,
    SEVERITY_STYLE,
    CLASS_ID_SEPARATOR,
    NAME_STYLE,
    CLASS_ID_STYLE,
    CATEGORY_TECHNIQUE,
    ADDITIONAL_DATA,
    EXTENSION_LEADING_SPACE,
    EXTRA_FIELDS,
    ADDITIONAL_FIELDS,
    CONNECTOR_FIELDS,
    TIME_OFFSET,
    TIME_PAST_LIMIT,
    TIME_FUTURE_LIMIT,
    DEVICE_VENDOR,
    DEVICE_PRODUCT,
    DEVICE_VERSION,
    DERIVE,
    ASSET_EVENTS,
    AGGREGATE,
    ORDER,
    ASSETS,
];

fn report() -> ReportStart {
    ReportStart::default().with_id("scan/1").with_time("2026-01-30T00:00:00Z").with_source(ReportSource::new(
        "Qualys",
        "QualysGuard",
        "qid",
    ))
}

/// Two assets; the first one has two findings of each kind, with all that options select.
fn batch() -> RawBatch2 {
    let mut batch = BatchBuilder::default();
    for address in ["192.0.2.1", "192.0.2.2"] {
        let mut asset = AssetRow::default();
        asset.set(AssetField::Address, address);
        asset.set(AssetField::AssetId, "77");
        asset.set(AssetField::Os, "Linux");
        asset.set(AssetField::RiskScore, "500");
        let asset = batch.push_asset(&asset, false);
        for (number, kind) in [FindingKind::Vulnerability, FindingKind::Information].into_iter().enumerate() {
            let mut definition = DefinitionRow::default();
            definition.set(DefinitionField::Id, &(38_170 + number).to_string());
            definition.set(DefinitionField::Title, "a | title");
            let definition = batch.push_definition(&definition);
            for _ in 0..2 {
                let mut finding = FindingRow::default();
                finding.set_kind(kind);
                finding.set_severity(Severity::new(4));
                finding.set_status(FindingStatus::Active);
                finding.set(FindingField::FirstFound, "2026-01-01T00:00:00Z");
                finding.set(FindingField::DetectionScore, "90");
                finding.set(FindingField::Facts, "port\t443\ttcp\thttps\t");
                batch.push_finding(asset, definition, &finding);
            }
        }
    }
    batch.finish()
}

fn connector() -> ConnectorIdentity {
    serde_json::from_value(serde_json::json!({ "name": "emea", "location": "Berlin" })).unwrap()
}

const LIMIT: LineLimit = LineLimit { bytes: 8000, name: "`bytes`" };

fn encoder(table: &'static [OptionSpec], format: TextFormat, options: &str) -> TextEncoder {
    let options = Options::read(table, options.as_bytes()).unwrap();
    TextEncoder::new(format, &options, &connector(), "2026-01-31T12:00:00Z", LIMIT).unwrap()
}

/// Address, finding and text.
#[derive(Default)]
struct Texts {
    asset: String,
    texts: Vec<(String, Option<u32>, String)>,
}

impl TextSink for Texts {
    fn asset(&mut self, asset: AssetView<'_>) {
        self.asset = asset.address().to_owned();
    }

    fn text(&mut self, finding: Option<u32>, text: &[u8]) -> Result<()> {
        self.texts.push((self.asset.clone(), finding, String::from_utf8(text.to_vec()).unwrap()));
        Ok(())
    }
}

impl Sink for Texts {
    fn event(&mut self, line: &[u8], _: Option<Severity>) -> Result<Outcome> {
        self.text(None, line.strip_suffix(b"\n").unwrap())?;
        Ok(Outcome::Accepted)
    }
}

fn texts(mut encoder: TextEncoder) -> Vec<(String, Option<u32>, String)> {
    let (raw, report, mut sink) = (batch(), report(), Texts::default());
    encoder.begin(&report);
    encoder.batch(Batch::of(&raw, &Columns::of_report(&report)).unwrap(), &mut sink).unwrap();
    encoder.finish(&mut sink).unwrap();
    assert!(!encoder.is_pending());
    sink.texts
}

/// The defaults are those that the outputs had before they had the options.
#[test]
fn defaults_are_events_for_most_parsers() {
    let settings = EventSettings {
        connector: ConnectorFields::new(ConnectorStyle::AdditionalData, &connector(), false).unwrap(),
        derive: false,
        dotted_keys: false,
        class_id_separator: ":",
        title_as_name: true,
        extra: ExtraFields::ALL,
        ..EventSettings::default()
    };
    let (mut encoder_of_events, mut events) = (Encoder::new(settings, LIMIT.bytes), Texts::default());
    let (raw, report) = (batch(), report());
    encoder_of_events.begin(&report);
    let columns = Columns::of_report(&report);
    let _ = encoder_of_events.batch(Batch::of(&raw, &columns).unwrap(), &mut events).unwrap();
    let expected: Vec<_> = events.texts.into_iter().map(|(.., text)| text).collect();
    assert_eq!(expected.len(), 8);
    assert!(expected[0].contains("=emea "), "{}", expected[0]);
    for table in [OF_FINDINGS, ALL] {
        let found: Vec<_> =
            texts(encoder(table, TextFormat::Cef, "{}")).into_iter().map(|(.., text)| text).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn each_finding_has_one_text() {
    for (format, count) in
        [(TextFormat::Json, 8), (TextFormat::Ocsf, 4), (TextFormat::Ecs, 8), (TextFormat::Cef, 8)]
    {
        let texts = texts(encoder(ALL, format, "{}"));
        assert_eq!(texts.len(), count, "{format:?}");
        let rows: Vec<_> = texts.iter().filter_map(|(_, row, _)| *row).collect();
        assert!(rows.len() == count && rows.is_sorted(), "{rows:?}");
        assert!(texts.iter().all(|(address, row, _)| (address == "192.0.2.1") == (row.unwrap() < 4)));
    }
}

#[test]
fn texts_of_assets_name_no_finding() {
    let shown = |format, options| -> Vec<(String, Option<u32>)> {
        texts(encoder(ALL, format, options)).into_iter().map(|(address, row, _)| (address, row)).collect()
    };
    let of = |address: &str, rows: &[Option<u32>]| -> Vec<(String, Option<u32>)> {
        rows.iter().map(|row| (address.to_owned(), *row)).collect()
    };
    let one = [Some(0), None, Some(1), Some(2), Some(3), None];
    let two = [Some(4), None, Some(5), Some(6), Some(7), None];
    let derived = shown(TextFormat::Cef, r#"{"derive": true}"#);
    assert_eq!(derived, [of("192.0.2.1", &one), of("192.0.2.2", &two)].concat());
    // Two of the information events are one.
    let merged = shown(TextFormat::Cef, r#"{"aggregate": true, "asset_events": true}"#);
    assert_eq!(merged, [of("192.0.2.1", &[None; 4]), of("192.0.2.2", &[None; 4])].concat());
    let lines = shown(TextFormat::Json, r#"{"assets": true}"#);
    assert_eq!(
        lines[..3],
        [of("192.0.2.1", &[None]), of("192.0.2.2", &[None]), of("192.0.2.1", &[Some(0)])].concat()
    );
    assert_eq!(lines.len(), 10);
}

#[test]
fn abandoned_texts_are_dropped() {
    let mut encoder = encoder(ALL, TextFormat::Cef, r#"{"derive": true, "order": "severity"}"#);
    let (raw, report, mut sink) = (batch(), report(), Texts::default());
    encoder.begin(&report);
    let encoded = encoder.batch(Batch::of(&raw, &Columns::of_report(&report)).unwrap(), &mut sink).unwrap();
    assert!(encoder.is_pending());
    assert_eq!((encoded.derived, sink.texts.len()), (3, 6), "those of the first asset are written");
    encoder.abandon();
    assert!(!encoder.is_pending());
    assert_eq!(encoder.finish(&mut sink).unwrap(), 0);
    assert_eq!(sink.texts.len(), 6);
}
