//! What is in an event.

use crate::additional::AdditionalField;
use crate::asset_buffer::AssetBufferSettings;
use crate::connector::ConnectorFields;
use crate::severity::SeverityStyle;
use crate::time::TimeCorrection;

/// Maximum length of the device vendor and product in bytes, after escaping.
pub(crate) const DEVICE_LIMIT: usize = 63;
/// Maximum length of the device version in bytes, after escaping.
pub(crate) const VERSION_LIMIT: usize = 31;

/// Format of the class ID of a vulnerability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassIdStyle {
    /// The vendor, `|VULN|` and the ID.
    Stable,
    /// All parts that the guide lists, joined by `|`.
    Concat,
}

/// Fields that are sent by default only to some receivers; none by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExtraFields {
    /// `externalId`: the ID of the report.
    pub external_id: bool,
    /// `cn1`: the QID.
    pub qid_number: bool,
    /// `flexString1`: the ID of the asset.
    pub asset_id: bool,
    /// `deviceCustomDate1`: when the finding was found first.
    pub first_found: bool,
    /// `deviceCustomDate2`: when the finding was fixed last.
    pub last_fixed: bool,
    /// `cn2`: the detection score.
    pub detection_score: bool,
    /// `cn3`: the risk score of the asset.
    pub risk_score: bool,
    /// `cfp3`: EPSS.
    pub epss: bool,
    /// `flexString2`: threat intelligence.
    pub threat_intelligence: bool,
}

impl ExtraFields {
    /// All of them.
    pub const ALL: Self = Self {
        external_id: true,
        qid_number: true,
        asset_id: true,
        first_found: true,
        last_fixed: true,
        detection_score: true,
        risk_score: true,
        epss: true,
        threat_intelligence: true,
    };

    /// Whether a finding has fields of its own among them.
    pub(crate) fn of_finding(self) -> bool {
        self.first_found || self.last_fixed || self.detection_score || self.epss
    }
}

/// What is in an event. The default is what the SmartConnector guide says, without fields that are for some receivers only.
#[derive(Debug, Clone)]
pub struct EventSettings {
    /// `CEF:0|` or `CEF:1|`.
    pub opening: &'static str,
    /// The vendor in the header, at most 63 bytes; `None`: that of the report.
    pub vendor: Option<String>,
    /// The product in the header, at most 63 bytes; `None`: that of the report.
    pub product: Option<String>,
    /// The version in the header if the report has none, at most 31 bytes.
    pub version: String,
    /// Whether `dst` may have an IPv6 address.
    pub ipv6_in_dst: bool,
    /// The severity in the header.
    pub severity_style: SeverityStyle,
    /// The class ID of vulnerabilities.
    pub class_id_style: ClassIdStyle,
    /// Whether there are events for open ports and operating systems.
    pub derive: bool,
    /// Whether there is an event for each asset.
    pub asset_events: bool,
    /// Whether `categoryTechnique` is sent.
    pub category_technique: bool,
    /// Whether keys of additional data begin with `ad.`; otherwise they have no dot.
    pub dotted_keys: bool,
    /// Whether a space follows the header.
    pub leading_space: bool,
    /// `|` or `:`, between the parts of a class ID.
    pub class_id_separator: &'static str,
    /// Whether the header names a vulnerability by its title.
    pub title_as_name: bool,
    /// Fields that are sent to some receivers only.
    pub extra: ExtraFields,
    /// Columns that are sent as additional data.
    pub additional: Vec<AdditionalField>,
    /// Who sends the events.
    pub connector: ConnectorFields,
    /// Whether events of an asset are merged or sorted.
    pub buffer: AssetBufferSettings,
    /// Correction of event times.
    pub time: TimeCorrection,
    /// What limits the size of a line, for messages: an option in backticks.
    pub limit: &'static str,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            opening: "CEF:0|",
            vendor: None,
            product: None,
            version: "unknown".to_owned(),
            ipv6_in_dst: false,
            severity_style: SeverityStyle::Number,
            class_id_style: ClassIdStyle::Stable,
            derive: true,
            asset_events: false,
            category_technique: true,
            dotted_keys: true,
            leading_space: false,
            class_id_separator: "|",
            title_as_name: false,
            extra: ExtraFields::default(),
            additional: Vec::new(),
            connector: ConnectorFields::default(),
            buffer: AssetBufferSettings::default(),
            time: TimeCorrection::default(),
            limit: "`max_message_bytes`",
        }
    }
}
