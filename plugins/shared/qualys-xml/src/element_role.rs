//! The role of an element in a report, determined by its name and its parent's role.

use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField};

use crate::cloud::Provider;
use crate::other::Table;

/// The role of an open element. It has the size of a number, because it is copied for each element, and a processor waits
/// when it reads at once what was written in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(4))]
pub(crate) enum ElementRole {
    /// Known and not needed; skipped with its content.
    Ignored,
    /// Unknown, and not part of a row that could pass it on; counted, and skipped with its content.
    Unknown,
    /// Unknown: its texts and attributes are passed on with the row of this table, or with the details of the report.
    Other(Table),
    /// Structure of the report.
    Of(Structure),
    /// A list within a definition.
    List(List),
    /// An item of such a list.
    Item(Item),
    /// The text of a cell.
    Asset(AssetField),
    /// The text of a cell; replaces earlier text.
    AssetBetter(AssetField),
    /// The text of a cell.
    Definition(DefinitionField),
    /// The text of a cell.
    Finding(FindingField),
    /// A text that is processed when its element ends.
    Value(Value),
}

/// Structural elements. Each belongs to one kind of report unless its description names several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Structure {
    /// The parent of the root.
    Document,
    /// The root of any document.
    Root,
    /// `HEADER` of a scan or template report, `RESPONSE` of the others.
    Head,
    /// A scan's `IP`, the others' `HOST`.
    Asset,
    /// `INFOS`, `SERVICES`, `VULNS`, `PRACTICES` of a scan; the list of findings of the others.
    Findings,
    /// `CAT` of a scan.
    Category,
    /// `INFO`, `SERVICE`, `VULN`, `PRACTICE`, `VULN_INFO`, `DETECTION`.
    Finding,
    /// `HOST_LIST`.
    Assets,
    /// A list of texts within an asset, including its nested levels.
    AssetList(AssetField),
    /// `DNS_DATA`.
    DnsData,
    /// `VULN_DETAILS_LIST` within `GLOSSARY`, or `VULN_LIST`.
    Definitions,
    /// `VULN_DETAILS` of a glossary, `VULN` of a knowledge base.
    Definition,
    /// `CVSS_SCORE` and `CVSS3_SCORE`; `CVSS` of a knowledge base.
    Cvss,
    /// `CVSS_V3` of a knowledge base.
    Cvss3,
    /// `CVSS_V4` of a knowledge base.
    Cvss4,
    /// A level between an asset, definition or finding and its texts.
    Level(Level),
    /// The metadata of one cloud provider.
    CloudMetadata(Provider),
    /// `RISK_SCORE_SUMMARY`.
    RiskSummary,
    /// `RISK_SCORE_PER_HOST`.
    AssetRisks,
    /// `HOSTS` of `RISK_SCORE_PER_HOST`: the risk of one asset.
    AssetRisk,
    /// `APPENDICES`.
    Appendices,
    /// `NO_VULNS` and the levels below it.
    CleanRanges,
    /// `RANGE` of `NO_VULNS`.
    CleanRange,
    /// `WARNING`.
    Warning,
    /// `ID_SET`, which some responses contain instead of the requested data.
    IdSet,
}

/// Levels within a row that contain only other elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// `METADATA`.
    Metadata,
    /// `CLOUD_PROVIDER_TAGS`.
    CloudTags,
    /// `TAGS`.
    Tags,
    /// `ASSET_GROUP_LIST`.
    Groups,
    /// `TRURISK_SCORE_FACTORS`, `ARS_FACTORS`.
    RiskFactors,
    /// `USER_DEF`.
    UserAttributes,
    /// `QDS_FACTORS`.
    DetectionFactors,
    /// `SOFTWARE_LIST`.
    Software,
    /// `CHANGE_LOG_LIST`.
    Changes,
    /// `PCI_REASONS`.
    PciReasons,
    /// `THREAT_INTELLIGENCE`.
    ThreatIntelligence,
    /// `DISCOVERY`.
    Discovery,
    /// `AUTH_TYPE_LIST`.
    AuthTypes,
    /// `LAST_CUSTOMIZATION`.
    Customization,
}

/// Lists within a definition, and the levels between them and their items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    VendorReferences,
    Cves,
    Bugtraqs,
    Compliance,
    Correlation,
    Exploits,
    ExploitSource,
    Malware,
    MalwareSource,
}

/// Items of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    VendorReference,
    Cve,
    Bugtraq,
    Compliance,
    Exploit,
    Malware,
    Software,
    Change,
    Tag,
    Group,
    CloudAttribute,
    CloudTag,
}

impl Item {
    /// The table of its row.
    pub(crate) fn table(self) -> Table {
        match self {
            Self::Tag | Self::Group | Self::CloudAttribute | Self::CloudTag => Table::Asset,
            _ => Table::Definition,
        }
    }
}

/// Lists of a finding whose shape differs between versions: the element is repeated, or one text has commas, or the
/// items are children with any names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gathered {
    Cves,
    DetectionSources,
    TacticIds,
    TacticNames,
    TechniqueIds,
    TechniqueNames,
}

impl Gathered {
    pub(crate) const COUNT: usize = 6;
}

/// The values of a finding that are numbers in its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Kind,
    Severity,
    Port,
    Protocol,
    Ssl,
    Status,
}

/// A text that is processed when its element ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// An item of a list of an asset.
    AssetItem(AssetField),
    /// An item of a list of a definition.
    DefinitionItem(DefinitionField),
    /// Items of a list of a definition, separated by commas.
    DefinitionItems(DefinitionField),
    /// An address of an asset.
    Address,
    /// A text that is used only if the cell is empty; otherwise it is passed on as unknown, if it differs.
    AssetFallback(AssetField),
    /// A risk score of an asset in addition to another one.
    SecondRiskScore,
    /// A value from which the risk score of an asset is computed. Its name is the first part.
    AssetFactor,
    /// A value from which the score of a detection is computed. Its name is the first part.
    DetectionFactor,
    /// An attribute that users define. Its name is the first part.
    UserAttribute,
    /// An item of threat intelligence. Its ID is the first part.
    ThreatIntelligence,
    /// A metric of CVSS of this version: 2 or 3.
    CvssMetric(u8),
    /// A list of a finding.
    Gathered(Gathered),
    /// Whether a finding is ignored.
    Ignored,
    /// Whether a finding is disabled.
    Disabled,
    /// The type of a definition.
    DefinitionType,
    /// The address of an entry of `RISK_SCORE_PER_HOST`, its risk, and its number of vulnerabilities.
    RiskAddress,
    SecurityRisk,
    AssetTotal,
    /// A part of the current item.
    Part(u8),
    /// The source of the exploits that follow.
    Source,
    /// The time of a report.
    Time,
    /// The title of a report.
    Title,
    /// A number of findings that the report declares.
    Total,
    /// The first address of a range.
    RangeStart,
    /// The last address of a range.
    RangeEnd,
    /// The code of a warning.
    WarningCode,
    /// The URL in a warning.
    WarningAddress,
    /// A `KEY` in the header of a scan.
    Key,
    /// An `ERROR` of a report or of an asset.
    Error,
    /// A value of a finding that is a number in its row.
    Code(Code),
    /// The number of an asset.
    AssetId,
    /// The number of a definition.
    Qid,
}

impl Level {
    /// Whether it is a part of an asset.
    pub(crate) fn is_of_asset(self) -> bool {
        matches!(
            self,
            Self::Metadata
                | Self::CloudTags
                | Self::Tags
                | Self::Groups
                | Self::RiskFactors
                | Self::UserAttributes
        )
    }

    /// The table of the row that it is a part of.
    fn table(self) -> Table {
        match self {
            Self::DetectionFactors => Table::Finding,
            _ if self.is_of_asset() => Table::Asset,
            _ => Table::Definition,
        }
    }
}

impl Value {
    /// Whether it belongs to the asset, whose texts may appear between its findings.
    #[inline]
    pub(crate) fn is_of_asset(self) -> bool {
        matches!(
            self,
            Self::Address
                | Self::AssetItem(_)
                | Self::AssetFallback(_)
                | Self::AssetFactor
                | Self::SecondRiskScore
                | Self::UserAttribute
        )
    }
}

impl Structure {
    /// Whether it is the element of a row, or of the head of a report.
    pub(crate) fn is_row(self) -> bool {
        matches!(self, Self::Asset | Self::Finding | Self::Definition | Self::Head)
    }

    /// The table of the row that it belongs to.
    pub(crate) fn table(self) -> Table {
        match self {
            Self::Finding => Table::Finding,
            Self::Asset | Self::Findings | Self::Category | Self::AssetList(_) | Self::DnsData => {
                Table::Asset
            }
            Self::CloudMetadata(_) => Table::Asset,
            Self::Definition | Self::Cvss | Self::Cvss3 | Self::Cvss4 => Table::Definition,
            Self::Level(level) => level.table(),
            _ => Table::Report,
        }
    }
}

impl ElementRole {
    /// Whether the element is skipped with its content.
    #[inline]
    pub(crate) fn is_skipped(self) -> bool {
        matches!(self, Self::Ignored | Self::Unknown)
    }

    /// The role after the element was opened: earlier text has been replaced.
    #[inline]
    pub(crate) fn opened(self) -> Self {
        match self {
            Self::AssetBetter(field) => Self::Asset(field),
            role => role,
        }
    }
}

/// The role of `name` within one of the lists of a definition. The lists are the same in every kind of report, except
/// for some names in the knowledge base.
pub(crate) fn in_list(list: List, name: &str) -> ElementRole {
    match (list, name) {
        (List::Cves, "CVE_ID" | "CVE") => ElementRole::Item(Item::Cve),
        (List::VendorReferences, "VENDOR_REFERENCE") => ElementRole::Item(Item::VendorReference),
        (List::Bugtraqs, "BUGTRAQ_ID" | "BUGTRAQ") => ElementRole::Item(Item::Bugtraq),
        (List::Compliance, "COMPLIANCE_INFO" | "COMPLIANCE") => ElementRole::Item(Item::Compliance),
        (List::Correlation, "EXPLOITABILITY" | "EXPLOITS") => ElementRole::List(List::Exploits),
        (List::Correlation, "MALWARE") => ElementRole::List(List::Malware),
        (List::Exploits, "EXPLT_SRC") => ElementRole::List(List::ExploitSource),
        (List::ExploitSource, "EXPLT_LIST") => ElementRole::List(List::Exploits),
        (List::Exploits, "EXPLT") => ElementRole::Item(Item::Exploit),
        (List::Malware, "MW_SRC") => ElementRole::List(List::MalwareSource),
        (List::MalwareSource, "MW_LIST") => ElementRole::List(List::Malware),
        (List::Malware, "MW_INFO") => ElementRole::Item(Item::Malware),
        (List::ExploitSource | List::MalwareSource, "SRC_NAME") => ElementRole::Value(Value::Source),
        _ => ElementRole::Unknown,
    }
}

/// The role of `name` within an item of such a list.
pub(crate) fn in_item(item: Item, name: &str) -> ElementRole {
    match (item, name) {
        (Item::Cve | Item::Bugtraq | Item::VendorReference, "ID") => ElementRole::Value(Value::Part(0)),
        (Item::VendorReference, "URL") => ElementRole::Value(Value::Part(1)),
        (Item::Cve | Item::Bugtraq, "URL") => ElementRole::Ignored,
        (Item::Exploit, "REF") => ElementRole::Value(Value::Part(0)),
        (Item::Exploit, "DESC") => ElementRole::Value(Value::Part(1)),
        (Item::Exploit, "LINK") => ElementRole::Value(Value::Part(2)),
        (Item::Malware, "MW_ID") => ElementRole::Value(Value::Part(0)),
        (Item::Malware, "MW_TYPE") => ElementRole::Value(Value::Part(1)),
        (Item::Malware, "MW_PLATFORM") => ElementRole::Value(Value::Part(2)),
        (Item::Malware, "MW_ALIAS") => ElementRole::Value(Value::Part(3)),
        (Item::Malware, "MW_RATING") => ElementRole::Value(Value::Part(4)),
        (Item::Malware, "MW_LINK") => ElementRole::Value(Value::Part(5)),
        (Item::Software, "VENDOR") => ElementRole::Value(Value::Part(0)),
        (Item::Software, "PRODUCT") => ElementRole::Value(Value::Part(1)),
        (Item::Change, "CHANGE_DATE") => ElementRole::Value(Value::Part(0)),
        (Item::Change, "COMMENTS") => ElementRole::Value(Value::Part(1)),
        (Item::Tag, "TAG_ID") | (Item::Group, "ASSET_GROUP_ID") => ElementRole::Value(Value::Part(0)),
        (Item::Tag, "NAME") | (Item::Group, "ASSET_GROUP_TITLE") => ElementRole::Value(Value::Part(1)),
        (Item::Tag, "COLOR" | "BACKGROUND_COLOR") => ElementRole::Ignored,
        (Item::CloudAttribute | Item::CloudTag, "NAME") => ElementRole::Value(Value::Part(0)),
        (Item::CloudAttribute | Item::CloudTag, "VALUE") => ElementRole::Value(Value::Part(1)),
        (Item::CloudTag, "LAST_SUCCESS_DATE") => ElementRole::Value(Value::Part(2)),
        (Item::CloudAttribute, "LAST_STATUS") => ElementRole::Value(Value::Part(2)),
        (Item::CloudAttribute, "LAST_SUCCESS_DATE") => ElementRole::Value(Value::Part(3)),
        (Item::CloudAttribute, "LAST_ERROR_DATE") => ElementRole::Value(Value::Part(4)),
        (Item::CloudAttribute, "LAST_ERROR") => ElementRole::Value(Value::Part(5)),
        (Item::Compliance, "COMPLIANCE_TYPE" | "TYPE") => ElementRole::Value(Value::Part(0)),
        (Item::Compliance, "COMPLIANCE_SECTION" | "SECTION") => ElementRole::Value(Value::Part(1)),
        (Item::Compliance, "COMPLIANCE_DESCRIPTION" | "DESCRIPTION") => ElementRole::Value(Value::Part(2)),
        _ => ElementRole::Unknown,
    }
}

/// The lists of a definition, by their names in all kinds of report.
fn list_of_definition(name: &str) -> Option<ElementRole> {
    Some(ElementRole::List(match name {
        "CVE_ID_LIST" | "CVE_LIST" => List::Cves,
        "VENDOR_REFERENCE_LIST" => List::VendorReferences,
        "BUGTRAQ_ID_LIST" | "BUGTRAQ_LIST" => List::Bugtraqs,
        "COMPLIANCE" | "COMPLIANCE_LIST" => List::Compliance,
        "CORRELATION" => List::Correlation,
        _ => return None,
    }))
}

/// The cells of a definition that have the same names in most kinds of report.
#[inline]
fn cell_of_definition(name: &str) -> Option<DefinitionField> {
    Some(match name {
        "TITLE" => DefinitionField::Title,
        "LAST_UPDATE" => DefinitionField::LastUpdate,
        "PCI_FLAG" => DefinitionField::PciFlag,
        "DIAGNOSIS" | "THREAT" | "DIAGNOSIS_COMMENT" | "THREAT_COMMENT" => DefinitionField::Diagnosis,
        "CONSEQUENCE" | "IMPACT" | "CONSEQUENCE_COMMENT" | "IMPACT_COMMENT" => DefinitionField::Consequence,
        "SOLUTION" | "SOLUTION_COMMENT" => DefinitionField::Solution,
        "CVSS_BASE" => DefinitionField::CvssBase,
        "CVSS_TEMPORAL" => DefinitionField::CvssTemporal,
        "CVSS3_BASE" => DefinitionField::Cvss3Base,
        "CVSS3_TEMPORAL" => DefinitionField::Cvss3Temporal,
        "CVSS3_VERSION" => DefinitionField::Cvss3Version,
        "CATEGORY" => DefinitionField::Category,
        "PATCHABLE" => DefinitionField::Patchable,
        _ => return None,
    })
}

/// The role of `name` in `DISCOVERY` and `AUTH_TYPE_LIST`.
pub(crate) fn in_discovery(level: Level, name: &str) -> ElementRole {
    match (level, name) {
        (Level::Discovery, "REMOTE") => ElementRole::Definition(DefinitionField::Remote),
        (Level::Discovery, "ADDITIONAL_INFO") => ElementRole::Definition(DefinitionField::DiscoveryInfo),
        (Level::Discovery, "AUTH_TYPE_LIST") => ElementRole::Of(Structure::Level(Level::AuthTypes)),
        (Level::AuthTypes, "AUTH_TYPE") => {
            ElementRole::Value(Value::DefinitionItem(DefinitionField::AuthTypes))
        }
        _ => ElementRole::Unknown,
    }
}

/// The role of `name` in an element that contains a definition: a cell, a list, or unknown.
#[inline]
pub(crate) fn in_definition(name: &str) -> ElementRole {
    match cell_of_definition(name) {
        Some(field) => ElementRole::Definition(field),
        None => list_of_definition(name).unwrap_or(ElementRole::Unknown),
    }
}
