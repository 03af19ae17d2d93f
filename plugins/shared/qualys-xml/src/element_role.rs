//! The role of an element in a report, determined by its name and its parent's role.

use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField};

/// The role of an open element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElementRole {
    /// Known and not needed; skipped with its content.
    Ignored,
    /// Unknown; counted, and skipped with its content.
    Unknown,
    /// Structure of the report.
    Of(Structure),
    /// A list within a definition.
    List(List),
    /// An item of such a list.
    Item(Item),
    /// The text of a cell.
    Asset(AssetField),
    /// The text of a cell; ignored if the cell already has text.
    AssetFallback(AssetField),
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
    /// `RISK_SCORE_SUMMARY`.
    RiskSummary,
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
}

/// Items of those lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    VendorReference,
    Cve,
    Bugtraq,
    Compliance,
    Exploit,
    Malware,
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

impl ElementRole {
    /// Whether the element is skipped with its content.
    #[inline]
    pub(crate) fn is_skipped(self) -> bool {
        matches!(self, Self::Ignored | Self::Unknown)
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
        (List::Malware, "MW_SRC" | "MW_LIST") => ElementRole::List(List::Malware),
        (List::Malware, "MW_INFO") => ElementRole::Item(Item::Malware),
        (List::ExploitSource, "SRC_NAME") => ElementRole::Value(Value::Source),
        (List::Malware, "SRC_NAME") => ElementRole::Ignored,
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
        (Item::Malware, "MW_TYPE" | "MW_PLATFORM" | "MW_ALIAS" | "MW_RATING" | "MW_LINK") => {
            ElementRole::Ignored
        }
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

/// The role of `name` in an element that contains a definition: a cell, a list, or unknown.
#[inline]
pub(crate) fn in_definition(name: &str) -> ElementRole {
    match cell_of_definition(name) {
        Some(field) => ElementRole::Definition(field),
        None => list_of_definition(name).unwrap_or(ElementRole::Unknown),
    }
}
