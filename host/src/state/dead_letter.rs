//! A dead letter: a finding that was rejected, with everything that is required to send it again.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use scanbridge_plugin_api::batch::{AssetView, Column, ColumnType, Columns, FindingView, Schema};
use scanbridge_plugin_api::model::ReportStart;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3;

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
    /// The finding.
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
        let mut hash = Xxh3::new();
        if let Stage::Input { .. } = self.stage {
            let names_asset = ASSET_IDS.iter().chain(&ASSET_NAMES).any(|name| asset.contains_key(*name));
            if !names_asset || !definition.contains_key("id") {
                return None;
            }
            // What is wrong with the row may be what distinguishes it from another one.
            hash.update(self.reason.as_bytes());
            hash.update(&[0]);
        }
        let mut add = |fields: &BTreeMap<String, String>, names: &[&str]| {
            for name in names {
                hash.update(fields.get(*name).map_or("", String::as_str).as_bytes());
                hash.update(&[0]);
            }
        };
        // Names and addresses of an asset change more often than the ID that its scanner gave it.
        let has_id = ASSET_IDS.iter().any(|name| asset.contains_key(*name));
        add(asset, if has_id { &ASSET_IDS } else { &ASSET_NAMES });
        add(definition, &["scheme", "id"]);
        add(finding, &["kind", "port", "protocol", "ssl", "service", "fqdn", "instance"]);
        hash.update(self.report.source.scheme.as_bytes());
        Some(hash.digest128())
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

const ASSET_IDS: [&str; 4] = ["id", "asset_id", "agent_id", "cloud_id"];
const ASSET_NAMES: [&str; 8] =
    ["network", "network_id", "address", "ipv6", "dns", "netbios", "fqdn", "hostname"];

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
