//! The options that decide what is in an event, for the plugins that write events, and how they are read.
//!
//! A constant has no default that differs between destinations: the table of a plugin adds it, and [`EventDefaults`] are
//! what an option means that is not set.

use scanbridge_plugin_api::{ConnectorIdentity, OptionSpec, Options, PluginError, Result, ValueSpec};

use crate::additional::AdditionalField;
use crate::asset_buffer::AssetBufferSettings;
use crate::connector::{ConnectorFields, ConnectorStyle};
use crate::escape::{EscapeResult, header};
use crate::settings::{ClassIdStyle, DEVICE_LIMIT, EventSettings, ExtraFields, VERSION_LIMIT};
use crate::severity::SeverityStyle;
use crate::time::TimeCorrection;

/// Option `cef_version`.
pub const CEF_VERSION: OptionSpec = OptionSpec::integer("cef_version", 0, 1)
    .default_integer(0)
    .group("records")
    .help("CEF version. 1 allows IPv6 addresses in `dst`; fewer receivers support it.");
/// Option `severity_style`.
pub const SEVERITY_STYLE: OptionSpec = OptionSpec::choice("severity_style", &["number", "word"])
    .default_text("number")
    .group("records")
    .help("Severity in the CEF header: number (0 to 10) or word (Low, Medium, High, Very-High).");
/// Option `class_id_separator`; its default is [`EventDefaults::class_id_separator`].
pub const CLASS_ID_SEPARATOR: OptionSpec =
    OptionSpec::choice("class_id_separator", &["pipe", "colon"]).group("records").help(
        "Separator in device event class IDs: `Qualys|VULN|38170` or `Qualys:VULN:38170`, for parsers that do not \
         unescape `|`.",
    );
/// Option `name_style`; its default is [`EventDefaults::title_as_name`].
pub const NAME_STYLE: OptionSpec =
    OptionSpec::choice("name_style", &["guide", "title"]).group("records").help(
        "Name of a vulnerability in the CEF header: `Vulnerability:38170`, as in the SmartConnector guide, with the \
         title in `msg`, or the title.",
    );
/// Option `class_id_style`.
pub const CLASS_ID_STYLE: OptionSpec =
    OptionSpec::choice("class_id_style", &["stable", "concat"]).default_text("stable").group("records").help(
        "Device event class ID of vulnerabilities. `stable`: `VENDOR|VULN|ID`, for example \
         `Qualys|VULN|38170`. `concat`: ID, title, \
         severity, texts and CVE IDs as in the SmartConnector; changes whenever one of the texts changes.",
    );
/// Option `derive`.
pub const DERIVE: OptionSpec = OptionSpec::flag("derive")
    .default_flag(true)
    .group("records")
    .help("Also send events for open ports and operating systems.");
/// Option `asset_events`.
pub const ASSET_EVENTS: OptionSpec = OptionSpec::flag("asset_events")
    .default_flag(false)
    .group("records")
    .help("Also send one event per asset, with or without findings.");
/// Option `category_technique`.
pub const CATEGORY_TECHNIQUE: OptionSpec = OptionSpec::flag("category_technique")
    .default_flag(true)
    .group("records")
    .help("Send the field `categoryTechnique`. Turn it off if ArcSight ESM should categorize events itself.");
/// Option `additional_data`; its default is [`EventDefaults::dotted_keys`]. A word of the plugin's own means the default.
pub const ADDITIONAL_DATA: OptionSpec =
    OptionSpec::choice("additional_data", &["ad", "custom"]).group("records").help(
        "Key of exploit descriptions: `ad` = `ad.ExpltDescription`, `custom` = \
         `QualysQualysExpltDescription` (for receivers that do not accept dots in keys). Also the keys of \
         `additional_fields`.",
    );
/// Option `extension_leading_space`; its default is [`EventDefaults::leading_space`]. A word of the plugin's own means the
/// default.
pub const EXTENSION_LEADING_SPACE: OptionSpec = OptionSpec::choice("extension_leading_space", &["yes", "no"])
    .group("records")
    .help("Add a space after the CEF header (needed by liblognorm 2.0.6).");
/// Option `extra_fields`; its default is [`EventDefaults::extra_fields`].
pub const EXTRA_FIELDS: OptionSpec =
    OptionSpec::list("extra_fields", &ValueSpec::Choice(EXTRA_WORDS)).group("records").help(
        "Keys that are sent in addition, listed in the README of ArcSightCEF. `none` sends none of them; `outcome` is \
         always sent.",
    );
/// Option `additional_fields`.
pub const ADDITIONAL_FIELDS: OptionSpec =
    OptionSpec::list("additional_fields", &ValueSpec::Text).group("records").help(
        "Columns of the JSON and CSV outputs to send as additional data, for example `asset.owner` as \
         `ad.AssetOwner` with `additional_data: ad`: at most 1,023 bytes each and 8,000 together.",
    );
/// Option `connector_fields`.
pub const CONNECTOR_FIELDS: OptionSpec =
    OptionSpec::choice("connector_fields", &["ad", "device", "none"])
        .default_text("ad")
        .group("records")
        .help(
            "Fields of the pipeline's `connector`: `ad` sends name, location and comment as additional data; `device` sends it \
             as the device: `deviceExternalId`, `deviceFacility`, `dvchost`, `dvc` or `c6a1`, and `deviceProcessName`; \
             `none` sends nothing.",
        );
/// Option `aggregate`.
pub const AGGREGATE: OptionSpec = OptionSpec::flag("aggregate")
    .default_flag(false)
    .group("records")
    .help("Merge identical information and service events of an asset into one event with a count.");
/// Option `order`.
pub const ORDER: OptionSpec = OptionSpec::choice("order", &["arrival", "severity"])
    .default_text("arrival")
    .group("records")
    .help("Order of the events of an asset: `arrival`, or `severity` with the highest severity first.");
/// Option `time_offset_secs`.
pub const TIME_OFFSET: OptionSpec = OptionSpec::integer("time_offset_secs", -MAX_OFFSET, MAX_OFFSET)
    .default_integer(0)
    .group("records")
    .help("Correction added to each event time, in seconds, for a scanner with a wrong clock.");
/// Option `time_past_limit_secs`.
pub const TIME_PAST_LIMIT: OptionSpec = OptionSpec::integer("time_past_limit_secs", 1, i32::MAX as i64)
    .group("records")
    .help("Oldest event time sent, in seconds before now. Older times are clamped to it. Default: no limit.");
/// Option `time_future_limit_secs`.
pub const TIME_FUTURE_LIMIT: OptionSpec = OptionSpec::integer("time_future_limit_secs", 0, i32::MAX as i64)
    .group("records")
    .help("Newest event time sent, in seconds after now. Newer times are clamped to it. Default: no limit.");
/// Option `device_vendor`.
pub const DEVICE_VENDOR: OptionSpec = OptionSpec::text("device_vendor")
    .group("records")
    .help("Device vendor in the CEF header. Default: the vendor of the report's scanner.");
/// Option `device_product`.
pub const DEVICE_PRODUCT: OptionSpec = OptionSpec::text("device_product")
    .group("records")
    .help("Device product in the CEF header. Default: the product of the report's scanner.");
/// Option `device_version`.
pub const DEVICE_VERSION: OptionSpec = OptionSpec::text("device_version")
    .default_text("unknown")
    .group("records")
    .help("Device version in the CEF header when the report does not contain one.");

/// What options mean that are not set, where destinations differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventDefaults {
    /// `additional_data: ad`.
    pub dotted_keys: bool,
    /// `extension_leading_space: yes`.
    pub leading_space: bool,
    /// `class_id_separator`, as it is written.
    pub class_id_separator: &'static str,
    /// `name_style: title`.
    pub title_as_name: bool,
    /// All of `extra_fields`; otherwise none.
    pub extra_fields: bool,
}

impl EventSettings {
    /// The settings of findings, from all options of this module except [`DERIVE`], [`ASSET_EVENTS`], [`AGGREGATE`] and
    /// [`ORDER`]: each finding has one event, and there are no others.
    ///
    /// # Errors
    /// A configuration error that names the option, or a plugin bug: an option is not in the table.
    pub fn read(options: &Options, connector: &ConnectorIdentity, defaults: &EventDefaults) -> Result<Self> {
        let version = options.integer::<u8>("cef_version")?.unwrap_or_default();
        let device_version = fixed_text(options, "device_version", VERSION_LIMIT)?;
        let dotted_keys = match options.text("additional_data")? {
            Some("ad") => true,
            Some("custom") => false,
            _ => defaults.dotted_keys,
        };
        let style = match options.text("connector_fields")? {
            Some("device") => ConnectorStyle::Device,
            Some("none") => ConnectorStyle::None,
            _ => ConnectorStyle::AdditionalData,
        };
        Ok(Self {
            opening: if version == 1 { "CEF:1|" } else { "CEF:0|" },
            vendor: fixed_text(options, "device_vendor", DEVICE_LIMIT)?,
            product: fixed_text(options, "device_product", DEVICE_LIMIT)?,
            version: device_version.unwrap_or_default(),
            ipv6_in_dst: version == 1,
            severity_style: match options.text("severity_style")? {
                Some("word") => SeverityStyle::Word,
                _ => SeverityStyle::Number,
            },
            class_id_style: match options.text("class_id_style")? {
                Some("concat") => ClassIdStyle::Concat,
                _ => ClassIdStyle::Stable,
            },
            derive: false,
            category_technique: options.flag("category_technique")?,
            dotted_keys,
            leading_space: match options.text("extension_leading_space")? {
                Some("yes") => true,
                Some("no") => false,
                _ => defaults.leading_space,
            },
            class_id_separator: match options.text("class_id_separator")? {
                Some("pipe") => "|",
                Some("colon") => ":",
                _ => defaults.class_id_separator,
            },
            title_as_name: match options.text("name_style")? {
                Some(style) => style == "title",
                None => defaults.title_as_name,
            },
            extra: extra_fields(options, defaults)?,
            additional: AdditionalField::read(&options.list("additional_fields")?)?,
            connector: ConnectorFields::new(style, connector, dotted_keys)?,
            time: TimeCorrection {
                offset: milliseconds(options, "time_offset_secs")?.unwrap_or_default(),
                max_past: milliseconds(options, "time_past_limit_secs")?,
                max_future: milliseconds(options, "time_future_limit_secs")?,
            },
            ..Self::default()
        })
    }

    /// The same settings with [`DERIVE`], [`ASSET_EVENTS`], [`AGGREGATE`] and [`ORDER`].
    ///
    /// # Errors
    /// A plugin bug: an option is not in the table.
    pub fn with_events_of_assets(self, options: &Options) -> Result<Self> {
        Ok(Self {
            derive: options.flag("derive")?,
            asset_events: options.flag("asset_events")?,
            buffer: AssetBufferSettings {
                merge: options.flag("aggregate")?,
                highest_severity_first: options.text("order")? == Some("severity"),
            },
            ..self
        })
    }
}

/// A year and a day.
const MAX_OFFSET: i64 = 366 * 86_400;

/// The words of `extra_fields`.
const EXTRA_WORDS: &[&str] = &[
    "externalId",
    "cn1",
    "outcome",
    "flexString1",
    "deviceCustomDate1",
    "deviceCustomDate2",
    "cn2",
    "cn3",
    "cfp3",
    "flexString2",
    "none",
];

/// The fields that the option names; without it, all or none.
fn extra_fields(options: &Options, defaults: &EventDefaults) -> Result<ExtraFields> {
    let named = options.list("extra_fields")?;
    let has = |word: &str| if named.is_empty() { defaults.extra_fields } else { named.contains(&word) };
    Ok(ExtraFields {
        external_id: has("externalId"),
        qid_number: has("cn1"),
        asset_id: has("flexString1"),
        first_found: has("deviceCustomDate1"),
        last_fixed: has("deviceCustomDate2"),
        detection_score: has("cn2"),
        risk_score: has("cn3"),
        epss: has("cfp3"),
        threat_intelligence: has("flexString2"),
    })
}

fn milliseconds(options: &Options, name: &str) -> Result<Option<i64>> {
    Ok(options.integer::<i64>(name)?.map(|seconds| seconds * 1000))
}

/// A text set by the operator that is in every event and is never truncated.
///
/// # Errors
/// A configuration error if it is empty or too long.
fn fixed_text(options: &Options, name: &str, limit: usize) -> Result<Option<String>> {
    let Some(text) = options.text(name)? else { return Ok(None) };
    match header(&mut Vec::new(), text, limit) {
        EscapeResult::Complete => Ok(Some(text.to_owned())),
        EscapeResult::Empty => Err(PluginError::config(format!("option `{name}` must not be empty"))),
        EscapeResult::Truncated => Err(PluginError::config(format!(
            "option `{name}` must not be longer than {limit} bytes after escaping"
        ))),
    }
}
