//! What an output gets of a batch, and of the start and the end of a report.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use scanbridge_field_encryption::{FieldKey, Format, HashKey, Mentions, OwnName};
use scanbridge_plugin_api::PluginError;
use scanbridge_plugin_api::batch::{
    AssetView, BadBatch, CellWriter, Column, FindingView, Selection, ValidBatch,
};
use scanbridge_plugin_api::model::{AddressRange, AssetField, ReportEnd, ReportStart};

pub(crate) use super::cells::Tally;
use super::cells::{Encrypter, Reader, ValueCipher};
use super::fields::{EncryptedField, FieldForm, FieldFormat};
use super::settings::Encryption;

/// Addresses without findings that are encrypted for the end of a report, at most: each is passed on by itself.
const MAX_CLEAN_ADDRESSES: usize = 8192;

/// Whether values are still to be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are in clear.
    Encrypt,
    /// They come from dead letters, and were encrypted when the output rejected them.
    AsTheyAre,
}

/// Encrypts everything that one output gets.
pub(crate) struct OutputCipher {
    key: FieldKey,
    fields: Vec<EncryptedField>,
    label: String,
    refuses_short_values: bool,
    mode: Mode,
}

/// Omits the key.
impl fmt::Debug for OutputCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputCipher({})", self.label)
    }
}

/// A batch for an output.
pub(crate) struct EncryptedBatch {
    /// The batch, with the same rows.
    pub(crate) batch: Arc<ValidBatch>,
    /// The rows of findings that must not be delivered, because a value cannot be encrypted; ascending.
    pub(crate) refused: Vec<u32>,
    /// What was encrypted.
    pub(crate) tally: Tally,
}

impl OutputCipher {
    /// Derives the key of these settings.
    ///
    /// # Errors
    /// When the secret cannot be read, or is too short.
    pub(crate) fn new(encryption: &Encryption, mode: Mode) -> Result<Self, PluginError> {
        Ok(Self {
            key: encryption.key()?,
            fields: encryption.fields.clone(),
            label: encryption.label(),
            refuses_short_values: encryption.refuses_short_values,
            mode,
        })
    }

    /// Identity and version of the key.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The key for hashes of findings that are kept to compare runs.
    pub(crate) fn hash_key(&self) -> HashKey {
        self.key.hash_key("comparison of runs")
    }

    pub(super) fn fields(&self) -> &[EncryptedField] {
        &self.fields
    }

    pub(super) fn key(&self) -> &FieldKey {
        &self.key
    }

    /// Why a finding is refused.
    pub(crate) const REFUSAL: &'static str = "a value that must be encrypted has fewer than a million possible values or \
                                              characters outside its format (`short_values: refuse`)";

    /// A copy of the batch with encrypted values. Other rows than the selected ones are empty.
    ///
    /// # Errors
    /// When the copy would be too large.
    pub(crate) fn batch(
        &self,
        batch: &ValidBatch,
        selection: Selection<'_>,
    ) -> Result<EncryptedBatch, BadBatch> {
        let schema = batch.columns().schema();
        let mut writer = Writer {
            cipher: self,
            assets: self.plan(&schema.assets, |form| matches!(form, FieldForm::Asset(_))),
            findings: self.plan(&schema.findings, |form| matches!(form, FieldForm::Finding(_))),
            needs_names: self.fields.iter().any(|field| field.format == FieldFormat::Mentions),
            names: (None, Mentions::default()),
            tally: Tally::default(),
            token_assets: BTreeSet::new(),
            token_findings: BTreeSet::new(),
        };
        let encrypted = batch.rewritten(selection, &mut writer)?;
        let Writer { tally, token_assets, token_findings, .. } = writer;
        let mut refused = Vec::new();
        if self.refuses_short_values && tally.tokens > 0 {
            batch.read(|batch| {
                let has_token = |finding: &FindingView<'_>| {
                    token_findings.contains(&finding.row()) || token_assets.contains(&finding.asset().row())
                };
                refused.extend(
                    batch.select(selection).findings().filter(has_token).map(|finding| finding.row()),
                );
            });
        }
        Ok(EncryptedBatch { batch: Arc::new(encrypted), refused, tally })
    }

    /// The format of each column.
    fn plan(
        &self,
        columns: &[Column],
        is_of_table: impl Fn(FieldForm) -> bool,
    ) -> Vec<Option<(FieldFormat, bool)>> {
        let fields: Vec<_> = self.fields.iter().filter(|field| is_of_table(field.form)).collect();
        let format = |column: &Column| {
            let field = fields.iter().find(|field| field.name == column.name)?;
            Some((field.format, matches!(field.form, FieldForm::Asset(true) | FieldForm::Finding(true))))
        };
        columns.iter().map(format).collect()
    }

    /// The start of a report, with its encrypted values and the name of the key.
    pub(crate) fn start(&self, report: &ReportStart) -> ReportStart {
        let mut report = report.clone().with_encryption(&*self.label);
        if self.mode == Mode::AsTheyAre {
            return report;
        }
        let fields = self.fields.clone();
        for field in fields.iter().filter(|field| field.form == FieldForm::Report) {
            let value = match field.name {
                "title" => &mut report.title,
                "path" => &mut report.path,
                _ => &mut report.source.scanner,
            };
            *value = self.text(field.format, value);
        }
        if self.hides_addresses() {
            for detail in &mut report.details {
                detail.value = self.text(FieldFormat::Mentions, &detail.value);
            }
        }
        report
    }

    /// The end of a report. Ranges of addresses become single addresses, because the encrypted ones are not next to each
    /// other; of too many, none is passed on, so that no finding of theirs is removed.
    pub(crate) fn end(&self, mut end: ReportEnd) -> ReportEnd {
        if self.mode == Mode::AsTheyAre || !self.hides_addresses() {
            return end;
        }
        let addresses = || end.clean_assets.iter().flat_map(AddressRange::addresses);
        let count = addresses().take(MAX_CLEAN_ADDRESSES + 1).count();
        if count > MAX_CLEAN_ADDRESSES {
            tracing::warn!(
                "the report names more than {MAX_CLEAN_ADDRESSES} addresses without findings; because addresses are \
                 encrypted, old findings at these addresses are not removed"
            );
            end.clean_assets.clear();
        } else {
            let mut encrypted: Vec<AddressRange> = addresses()
                .filter_map(|address| self.one(Format::Address, &address.to_string()).parse().ok())
                .collect();
            encrypted.sort_unstable();
            end.clean_assets = encrypted;
        }
        end.reason = self.text(FieldFormat::Mentions, &end.reason);
        for note in &mut end.notes {
            note.text = self.text(FieldFormat::Mentions, &note.text);
        }
        end
    }

    fn hides_addresses(&self) -> bool {
        let is_address = |field: &EncryptedField| matches!(field.name, "address" | "ipv6");
        self.fields.iter().any(|field| matches!(field.form, FieldForm::Asset(_)) && is_address(field))
    }

    fn one(&self, format: Format, value: &str) -> String {
        let mut out = String::new();
        self.key.encrypt(format, value, &mut out);
        out
    }

    /// A value outside the tables.
    fn text(&self, format: FieldFormat, value: &str) -> String {
        let (names, mut out) = (Mentions::default(), String::new());
        let mut encrypter = Encrypter { key: &self.key, names: &names, tally: Tally::default() };
        encrypter.cell(format, false, value, &mut out).expect("every value can be encrypted");
        out
    }
}

/// The names of an asset, for texts about it.
pub(super) fn own_names<'a>(cell: impl Fn(AssetField) -> &'a str) -> [OwnName<'a>; 7] {
    let name = |clear| OwnName { clear, format: Format::Name };
    let first_label = |name: &'a str| name.split('.').next().unwrap_or_default();
    let dns = [AssetField::Dns, AssetField::Fqdn].map(&cell);
    [
        name(dns[0]),
        name(dns[1]),
        name(cell(AssetField::Hostname)),
        name(cell(AssetField::OsHostname)),
        OwnName { clear: cell(AssetField::Netbios), format: Format::Netbios },
        name(first_label(dns[0])),
        name(first_label(dns[1])),
    ]
}

/// Writes encrypted cells.
struct Writer<'a> {
    cipher: &'a OutputCipher,
    assets: Vec<Option<(FieldFormat, bool)>>,
    findings: Vec<Option<(FieldFormat, bool)>>,
    needs_names: bool,
    /// The names of the asset in this row.
    names: (Option<u32>, Mentions),
    tally: Tally,
    /// The rows of assets with a token.
    token_assets: BTreeSet<u32>,
    /// The rows of findings with a token.
    token_findings: BTreeSet<u32>,
}

impl Writer<'_> {
    /// Appends the encrypted cell. Returns how many tokens it has.
    fn write(
        &mut self,
        format: Option<(FieldFormat, bool)>,
        asset: AssetView<'_>,
        cell: &str,
        out: &mut String,
    ) -> u64 {
        let Some((format, is_list)) = format else {
            out.push_str(cell);
            return 0;
        };
        let key = &self.cipher.key;
        if self.needs_names && self.names.0 != Some(asset.row()) {
            let names = own_names(|field| asset.get(field));
            self.names = (Some(asset.row()), key.mentions(names));
        }
        let tally = match self.cipher.mode {
            Mode::Encrypt => {
                let mut encrypter = Encrypter { key, names: &self.names.1, tally: Tally::default() };
                encrypter.cell(format, is_list, cell, out).map(|()| encrypter.tally)
            }
            Mode::AsTheyAre => {
                let mut reader = Reader(Tally::default());
                reader.cell(format, is_list, cell, out).map(|()| reader.0)
            }
        };
        let tally = tally.expect("every value can be encrypted");
        self.tally.add(tally);
        tally.tokens
    }
}

impl CellWriter for Writer<'_> {
    fn asset_cell(&mut self, asset: AssetView<'_>, column: usize, cell: &str, out: &mut String) {
        if self.write(self.assets[column], asset, cell, out) > 0 {
            self.token_assets.insert(asset.row());
        }
    }

    fn finding_cell(&mut self, finding: FindingView<'_>, column: usize, cell: &str, out: &mut String) {
        let format = self.findings[column];
        if format.is_none() {
            out.push_str(cell);
        } else if self.write(format, finding.asset(), cell, out) > 0 {
            self.token_findings.insert(finding.row());
        }
    }
}
