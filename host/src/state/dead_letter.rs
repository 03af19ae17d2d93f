//! A dead letter: a finding that was rejected, with everything that is required to send it again.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use scanbridge_plugin_api::batch::{AssetView, Column, ColumnType, Columns, FindingView, Schema};
use scanbridge_plugin_api::model::{AssetField, Field, ReportStart};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_128;

use crate::finding_identity::{FindingParts, add_asset};

/// A finding that was rejected. As JSON, one line of `dead-letters show --format json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it was rejected.
    #[serde(flatten)]
    pub stage: Stage,
    /// The ledger's number of the run that first moved it to the dead letters.
    pub run: u64,
    /// When it was rejected first, in UTC. Older releases did not store it.
    #[serde(default)]
    pub first: String,
    /// When the last delivery attempt failed, in UTC.
    pub time: String,
    /// Why it was rejected.
    pub reason: String,
    /// Number of delivery attempts, replays included; for an invalid row, how often it was read.
    pub attempts: u32,
    /// The report that contains the finding.
    pub report: ReportRecord,
    /// Identity and version of the key with which fields are encrypted (`soc-emea/1`); empty if nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub encryption: String,
    /// The finding, as the output got it.
    pub record: Record,
}

impl DeadLetter {
    /// The dead letter as JSON, as the ledger stores it.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data can be serialized")
    }

    /// Identifies the finding: one output has one dead letter for it, however often it rejects it. So does an input for an
    /// invalid row, if the row names its asset and its definition; otherwise `None`.
    #[must_use]
    pub fn key(&self) -> Option<u128> {
        let Record { asset, definition, finding, .. } = &self.record;
        let scheme = match text_of(definition, "scheme") {
            "" => self.report.source.scheme.as_str(),
            scheme => scheme,
        };
        let parts = FindingParts {
            scheme,
            id: text_of(definition, "id"),
            port: text_of(finding, "port").parse().unwrap_or_default(),
            protocol: text_of(finding, "protocol"),
            ssl: match text_of(finding, "ssl") {
                "1" => Some(true),
                "0" => Some(false),
                _ => None,
            },
            fqdn: text_of(finding, "fqdn"),
            service: text_of(finding, "service"),
            instance: text_of(finding, "instance"),
        };
        let mut bytes = Vec::new();
        add_asset(&mut bytes, |field| text_of(asset, AssetField::NAMES[field.index()]));
        if let Stage::Input { .. } = self.stage {
            if bytes.is_empty() || parts.id.is_empty() {
                return None;
            }
            // What is wrong with the row may be what distinguishes it from another one.
            bytes.extend_from_slice(self.reason.as_bytes());
            bytes.push(0);
        }
        parts.add_to(&mut bytes);
        // A report can have two findings that differ only in this.
        bytes.extend_from_slice(text_of(finding, "kind").as_bytes());
        Some(xxh3_128(&bytes))
    }

    /// The ID of the dead letter on the command line. It does not change when the finding is rejected again.
    #[must_use]
    pub fn id(&self, number: u64) -> String {
        self.key().map_or_else(|| number.to_string(), |key| format!("{:016x}", key >> 64))
    }

    /// When it was rejected first, in UTC.
    #[must_use]
    pub fn first(&self) -> &str {
        if self.first.is_empty() { &self.time } else { &self.first }
    }

    /// The same finding was rejected before.
    pub(super) fn add_earlier(&mut self, earlier: &Self) {
        earlier.first().clone_into(&mut self.first);
        self.run = earlier.run;
        self.attempts = self.attempts.saturating_add(earlier.attempts);
    }
}

fn text_of<'a>(fields: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

/// Where a finding was rejected, with the `id:` of the input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "lowercase")]
pub enum Stage {
    /// The row that the input sent is invalid: no output got it, and it cannot be replayed.
    Input {
        /// The `id:` of the input.
        input: String,
    },
    /// An output rejected it.
    Output {
        /// The `id:` of the output.
        output: String,
    },
}

impl Stage {
    /// The `id:` of the input or output.
    #[must_use]
    pub fn instance(&self) -> &str {
        match self {
            Self::Input { input: id } | Self::Output { output: id } => id,
        }
    }
}

/// What the state stores of a report: its start without the columns, since a stored finding names its own. Cheap to
/// clone: every dead letter of a report has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRecord(Arc<ReportStart>);

impl Default for ReportRecord {
    fn default() -> Self {
        Self::from(ReportStart::default())
    }
}

impl From<ReportStart> for ReportRecord {
    fn from(mut report: ReportStart) -> Self {
        report.schema.assets.clear();
        report.schema.definitions.clear();
        report.schema.findings.clear();
        Self(Arc::new(report))
    }
}

impl From<&ReportStart> for ReportRecord {
    fn from(report: &ReportStart) -> Self {
        Self::from(report.clone())
    }
}

impl From<ReportRecord> for ReportStart {
    /// With the columns of the model.
    fn from(report: ReportRecord) -> Self {
        Arc::unwrap_or_clone(report.0).with_schema(Schema::default())
    }
}

impl Deref for ReportRecord {
    type Target = ReportStart;

    fn deref(&self) -> &ReportStart {
        &self.0
    }
}

impl Serialize for ReportRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::to_value(&*self.0).map_err(S::Error::custom)?;
        if let Some(fields) = value.as_object_mut() {
            fields.remove("schema");
        }
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ReportRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ReportStart::deserialize(deserializer).map(Self::from)
    }
}

/// A finding with its asset and its definition: values by field name. Empty fields are omitted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The asset.
    pub asset: BTreeMap<String, String>,
    /// The definition.
    pub definition: BTreeMap<String, String>,
    /// The finding.
    pub finding: BTreeMap<String, String>,
    /// The types of the columns that the input has added, except text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, ColumnType>,
}

impl Record {
    /// Builds the record of this finding.
    #[must_use]
    pub fn of(finding: FindingView<'_>, columns: &Columns) -> Self {
        let (asset, definition, schema) = (finding.asset(), finding.definition(), columns.schema());
        let mut scratch = String::new();
        let values = columns.finding_columns().into_iter();
        let values =
            values.map(|(name, column)| (name.to_owned(), finding.printed(column, &mut scratch).to_owned()));
        Self {
            asset: fields(&schema.assets, |column| asset.column(column)),
            definition: fields(&schema.definitions, |column| definition.column(column)),
            finding: values.filter(|(_, text)| !text.is_empty()).collect(),
            types: own_types(schema),
        }
    }

    /// Builds the record of an asset without a finding.
    #[must_use]
    pub fn of_asset(asset: AssetView<'_>, columns: &Columns) -> Self {
        let schema = columns.schema();
        let asset = fields(&schema.assets, |column| asset.column(column));
        Self { asset, types: own_types(schema), ..Self::default() }
    }
}

fn own_types(schema: &Schema) -> BTreeMap<String, ColumnType> {
    let columns = [&schema.assets, &schema.definitions, &schema.findings].into_iter().flatten();
    let typed = columns.filter(|column| column.is_own() && column.column_type != ColumnType::Text);
    typed.map(|column| (column.name.clone(), column.column_type)).collect()
}

fn fields<'a>(columns: &[Column], cell: impl Fn(Option<usize>) -> &'a str) -> BTreeMap<String, String> {
    let cells =
        columns.iter().enumerate().map(|(index, column)| (column.name.clone(), cell(Some(index)).to_owned()));
    cells.filter(|(_, text)| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder, DefinitionRow, FindingRow, ValidBatch};
    use scanbridge_plugin_api::model::{DefinitionField, FindingField, FindingKind, Protocol, ReportSource};

    use super::*;

    fn row() -> FindingRow {
        let mut row = FindingRow::default();
        row.set_kind(FindingKind::Vulnerability);
        row.set_port(443);
        row.set_protocol(Protocol::Tcp);
        row.set_ssl(true);
        row.set(FindingField::Service, "https");
        row.set(FindingField::Fqdn, "www.example.com");
        row
    }

    /// Key of the dead letter of this finding, and the bytes by which the comparison of runs knows it.
    fn identities(asset: &[(AssetField, &str)], finding: &FindingRow) -> (u128, Vec<u8>) {
        let mut cells = AssetRow::default();
        asset.iter().for_each(|(field, text)| cells.set(*field, text));
        let mut definition = DefinitionRow::default();
        definition.set(DefinitionField::Id, "38170");
        let mut builder = BatchBuilder::default();
        let asset = builder.push_asset(&cells, false);
        let definition = builder.push_definition(&definition);
        builder.push_finding(asset, definition, finding);
        let source = ReportSource::new("Qualys", "QualysGuard", "qid");
        let report = ReportStart::default().with_source(source);
        let columns = Arc::new(Columns::of_report(&report));
        let batch = ValidBatch::alone(builder.finish(), Arc::clone(&columns)).unwrap();
        let mut found = None;
        batch.read(|batch| {
            let finding = batch.findings().next().unwrap();
            let mut bytes = Vec::new();
            add_asset(&mut bytes, |field| finding.asset().get(field));
            FindingParts::of(finding).add_to(&mut bytes);
            let letter = DeadLetter {
                stage: Stage::Output { output: "siem".to_owned() },
                run: 1,
                first: String::new(),
                time: String::new(),
                reason: String::new(),
                attempts: 1,
                report: ReportRecord::from(&report),
                encryption: String::new(),
                record: Record::of(finding, &columns),
            };
            found = Some((letter.key().unwrap(), bytes));
        });
        found.unwrap()
    }

    /// A dead letter has the finding as texts, the comparison of runs has it as it is: both know it by the same parts.
    #[test]
    fn dead_letter_and_comparison_know_a_finding_by_the_same_parts() {
        let assets: [&[(AssetField, &str)]; 5] = [
            &[(AssetField::Address, "192.0.2.1")],
            &[(AssetField::Address, "192.0.2.1"), (AssetField::Network, "DMZ")],
            &[(AssetField::Id, "7"), (AssetField::Address, "192.0.2.1")],
            &[(AssetField::Dns, "www.example.com")],
            &[(AssetField::CloudId, "i-1")],
        ];
        let other = |change: fn(&mut FindingRow)| {
            let mut row = row();
            change(&mut row);
            (row, "vulnerability")
        };
        let mut bare = FindingRow::default();
        bare.set_kind(FindingKind::Service);
        let findings = [
            (row(), "vulnerability"),
            (bare, "service"),
            other(|row| row.set_port(8443)),
            other(|row| row.set_ssl(false)),
            other(|row| row.set_protocol(Protocol::Other("sctp"))),
            other(|row| row.set(FindingField::Instance, "2")),
        ];
        let mut all = Vec::new();
        for asset in assets {
            for (number, (finding, kind)) in findings.iter().enumerate() {
                let (key, mut bytes) = identities(asset, finding);
                bytes.extend_from_slice(kind.as_bytes());
                assert_eq!(key, xxh3_128(&bytes), "{asset:?} {number}");
                assert!(!all.contains(&key), "{asset:?} {number}");
                all.push(key);
            }
        }
        // What changes between two scans is not part of it.
        let mut later = row();
        later.set(FindingField::LastFound, "2026-01-31T12:00:00Z");
        let renamed = [(AssetField::Id, "7"), (AssetField::Address, "192.0.2.99"), (AssetField::Dns, "new")];
        assert_eq!(identities(&renamed, &later), identities(assets[2], &row()));
    }
}
