//! The fields that can be encrypted, and the format of each.

use scanbridge_field_encryption::Format;
use scanbridge_plugin_api::batch::ColumnType;
use scanbridge_plugin_api::model::{AssetField, Field, FindingField};

/// More fields than these are possible, with a warning.
pub(crate) const MAX_FIELDS: usize = 20;

/// What `recommended` means: what identifies a machine.
pub(crate) const RECOMMENDED: [&str; 20] = [
    "asset.address",
    "asset.ipv6",
    "asset.dns",
    "asset.netbios",
    "asset.agent_id",
    "asset.interfaces",
    "asset.cloud_id",
    "asset.fqdn",
    "asset.hostname",
    "asset.os_hostname",
    "asset.macs",
    "asset.cloud_public_address",
    "asset.cloud_private_address",
    "asset.cloud_public_dns",
    "asset.cloud_private_dns",
    "finding.fqdn",
    "finding.result",
    "finding.facts",
    "finding.hostname",
    "report.path",
];

/// How the values of a field are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldFormat {
    /// Each value has one format.
    One(Format),
    /// A text that stays readable: addresses and the asset's own names in it are encrypted.
    Mentions,
    /// IP addresses and hardware addresses.
    Interfaces,
    /// Facts: the names among them.
    Facts,
}

impl FieldFormat {
    /// The formats that an operator can choose.
    pub(crate) const SELECTABLE: [Self; 8] = [
        Self::One(Format::Address),
        Self::One(Format::Name),
        Self::One(Format::Netbios),
        Self::One(Format::Mac),
        Self::One(Format::Hex),
        Self::One(Format::Digits),
        Self::One(Format::Text),
        Self::Mentions,
    ];

    /// Its name in settings.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::One(format) => format.word(),
            Self::Mentions => "mentions",
            Self::Interfaces => "interfaces",
            Self::Facts => "facts",
        }
    }

    /// The format that an operator can choose by this name.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::SELECTABLE.into_iter().find(|format| format.word() == word)
    }

    /// Whether another format can be chosen instead.
    fn is_replaceable(self) -> bool {
        matches!(self, Self::One(_) | Self::Mentions)
    }
}

/// The table of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldForm {
    /// A column of assets; with `true`, a list.
    Asset(bool),
    /// A column of findings; with `true`, a list.
    Finding(bool),
    /// A value of the report.
    Report,
}

/// A field that is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EncryptedField {
    /// Its name without the table.
    pub(crate) name: &'static str,
    /// Its table.
    pub(crate) form: FieldForm,
    /// Its format.
    pub(crate) format: FieldFormat,
}

impl EncryptedField {
    /// The word of its table, in settings and in lines of the JSON output.
    pub(crate) fn table(&self) -> &'static str {
        match self.form {
            FieldForm::Asset(_) => "asset",
            FieldForm::Finding(_) => "finding",
            FieldForm::Report => "report",
        }
    }

    /// The name in settings: `asset.address`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}.{}", self.table(), self.name)
    }

    /// The same field with another format; `None` if the field has parts with formats of their own.
    pub(crate) fn with_format(self, format: FieldFormat) -> Option<Self> {
        self.format.is_replaceable().then_some(Self { format, ..self })
    }
}

/// The field with this name (`asset.address`) and its default format.
///
/// # Errors
/// Why it cannot be encrypted, as the end of a sentence; `None` if there is no such field.
pub(crate) fn find_field(name: &str) -> Result<EncryptedField, Option<&'static str>> {
    let (table, name) = name.split_once('.').ok_or(None)?;
    match table {
        "asset" => {
            let field = column::<AssetField>(name)?;
            let format = asset_format(field)?;
            Ok(field_of(field, FieldForm::Asset(is_list(field)), format))
        }
        "finding" if CODES.contains(&name) => Err(Some(SMALL)),
        "finding" => {
            let field = column::<FindingField>(name)?;
            let format = finding_format(field)?;
            Ok(field_of(field, FieldForm::Finding(is_list(field)), format))
        }
        "report" => {
            let text = FieldFormat::One(Format::Text);
            let field = |name| Ok(EncryptedField { name, form: FieldForm::Report, format: text });
            match name {
                "title" => field("title"),
                "path" => field("path"),
                "scanner" => field("scanner"),
                "id" => Err(Some("outputs recognize a report by its ID")),
                _ => Err(Some("it describes the report, not a machine")),
            }
        }
        "definition" => Err(Some("it is part of the public knowledge base of the scanner's vendor")),
        _ => Err(None),
    }
}

/// The names of all fields that can be encrypted.
pub(crate) fn selectable_fields() -> Vec<String> {
    let assets = AssetField::NAMES.iter().map(|name| format!("asset.{name}"));
    let findings = FindingField::NAMES.iter().map(|name| format!("finding.{name}"));
    let reports = ["report.title", "report.path", "report.scanner"].map(str::to_owned);
    assets.chain(findings).chain(reports).filter(|name| find_field(name).is_ok()).collect()
}

/// Values of a finding without a column.
const CODES: [&str; 6] = ["kind", "severity", "port", "protocol", "ssl", "status"];

const SMALL: &str = "it has fewer than a million values, so that encrypted ones could be guessed";
const NUMBER: &str = "it is a number that rules compare";
const TIME: &str = "order and age of findings would be lost";

fn column<F: Field>(name: &str) -> Result<F, Option<&'static str>> {
    let index = F::NAMES.iter().position(|known| *known == name);
    let field = index.map(|index| F::ALL[index]).ok_or(None)?;
    match field.column_type() {
        ColumnType::Time => Err(Some(TIME)),
        ColumnType::Integer | ColumnType::Decimal => Err(Some(NUMBER)),
        ColumnType::Flag => Err(Some(SMALL)),
        _ => Ok(field),
    }
}

fn is_list<F: Field>(field: F) -> bool {
    field.column_type() == ColumnType::List
}

fn field_of<F: Field>(field: F, form: FieldForm, format: FieldFormat) -> EncryptedField {
    EncryptedField { name: F::NAMES[field.index()], form, format }
}

fn asset_format(field: AssetField) -> Result<FieldFormat, Option<&'static str>> {
    use AssetField as F;
    Ok(FieldFormat::One(match field {
        F::Address | F::Ipv6 | F::CloudPublicAddress | F::CloudPrivateAddress => Format::Address,
        F::Dns
        | F::Fqdn
        | F::Hostname
        | F::Domain
        | F::OsHostname
        | F::CloudPublicDns
        | F::CloudPrivateDns => Format::Name,
        F::Netbios => Format::Netbios,
        F::Macs => Format::Mac,
        F::AgentId | F::HardwareUuid => Format::Hex,
        F::Id | F::AssetId | F::NetworkId | F::GroupIds => Format::Digits,
        F::Interfaces => return Ok(FieldFormat::Interfaces),
        F::Status | F::TrackingMethod | F::AgentStatus | F::CloudInstanceState | F::SecurityRisk => {
            return Err(Some(SMALL));
        }
        F::RiskFactors => return Err(Some(NUMBER)),
        _ => Format::Text,
    }))
}

fn finding_format(field: FindingField) -> Result<FieldFormat, Option<&'static str>> {
    use FindingField as F;
    Ok(FieldFormat::One(match field {
        F::Fqdn | F::Hostname => Format::Name,
        F::Facts => return Ok(FieldFormat::Facts),
        F::Ticket => Format::Digits,
        F::CvssFinal | F::Cvss3Final | F::RiskFactors => return Err(Some(NUMBER)),
        F::ResultFormat
        | F::ReportedStatus
        | F::TicketState
        | F::StandardSeverity
        | F::PortNote
        | F::DetectionLevel
        | F::EliminationStatus
        | F::ExploitMaturity
        | F::ThreatIndicators => return Err(Some(SMALL)),
        F::Cves | F::AttackTactics | F::AttackTechniques => {
            return Err(Some("it names entries of public catalogs"));
        }
        _ => Format::Text,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_a_format_or_a_reason() {
        let format = |name| find_field(name).map(|field| field.format.word());
        for (name, word) in [
            ("asset.address", "address"),
            ("asset.dns", "name"),
            ("asset.netbios", "netbios"),
            ("asset.interfaces", "interfaces"),
            ("asset.id", "digits"),
            ("asset.agent_id", "hex"),
            ("asset.cloud_id", "text"),
            ("asset.tags", "text"),
            ("finding.facts", "facts"),
            ("finding.result", "text"),
            ("report.title", "text"),
        ] {
            assert_eq!(format(name), Ok(word), "{name}");
        }
        for name in
            ["finding.port", "finding.severity", "asset.last_scan", "finding.times_found", "asset.status"]
        {
            assert!(matches!(format(name), Err(Some(_))), "{name}");
        }
        for name in ["definition.title", "definition.nosuch", "report.id", "report.time"] {
            assert!(matches!(format(name), Err(Some(_))), "{name}");
        }
        for name in ["asset.nosuch", "address", "host.address", ""] {
            assert_eq!(format(name), Err(None), "{name}");
        }
        assert!(RECOMMENDED.len() <= MAX_FIELDS && RECOMMENDED.iter().all(|name| find_field(name).is_ok()));
        assert!(selectable_fields().len() > 50);
    }

    #[test]
    fn table_in_the_manual_has_every_field() {
        let row = |name: String| {
            let field = find_field(&name).unwrap();
            let recommended = if RECOMMENDED.contains(&name.as_str()) { "yes" } else { "" };
            format!("| `{name}` | `{}` | {recommended} |\n", field.format.word())
        };
        let table: String = selectable_fields().into_iter().map(row).collect();
        let manual = include_str!("../../../docs/field-encryption.md");
        assert!(manual.contains(&table), "docs/field-encryption.md must contain:\n{table}");
    }
}
