//! The option table, and the event settings read from it.

use scanbridge_cef_events::{
    AdditionalField, AssetBufferSettings, ClassIdStyle, ConnectorFields, ConnectorStyle, DEVICE_LIMIT,
    EscapeResult, EventSettings, ExtraFields, SeverityStyle, TimeCorrection, VERSION_LIMIT, header,
};
use scanbridge_durable_file::options as file;
use scanbridge_plugin_api::{ConnectorIdentity, OptionSpec, Options, PluginError, Result, ValueSpec};
use scanbridge_tls_identity::options as tls;

use crate::preset::{PROFILES, Preset, RECEIVERS};
use crate::transport::options as transport;

/// All options of the plugin.
pub(crate) const TABLE: &[OptionSpec] = &[
    transport::TRANSPORT,
    transport::PATH,
    file::MODE,
    file::IF_EXISTS,
    transport::ROTATE_BYTES,
    transport::ROTATE_SECS,
    transport::ADDRESS,
    transport::PREFERRED,
    transport::SOURCE_ADDRESS,
    transport::FRAMING,
    transport::HEADER,
    transport::FACILITY,
    transport::SEVERITIES,
    transport::HOST,
    transport::APP,
    transport::MAX_MESSAGE,
    transport::MAX_DATAGRAMS,
    transport::CONNECT_TIMEOUT,
    transport::WRITE_TIMEOUT,
    transport::KEEPALIVE,
    transport::CONFIRM,
    transport::GRACE,
    transport::BATCH_EVENTS,
    transport::BATCH_BYTES,
    transport::BATCH_SECS,
    transport::TLS_CERTIFICATE,
    transport::TLS_KEY,
    transport::TLS_PASSWORD,
    transport::TLS_CA_FILE,
    transport::TLS_FINGERPRINT,
    transport::TLS_FIRST_USE_FILE,
    tls::CHECK_NAME,
    tls::MIN_VERSION,
    OptionSpec::choice("receiver", RECEIVERS).default_text("profile").conflicts(&["profile"]).group("records").help(
        "Receiver preset. Sets the defaults of `syslog_header`, `framing`, `facility`, `max_message_bytes`, \
         `additional_data`, `extension_leading_space`, `class_id_separator`, `name_style` and `extra_fields`. \
         `profile`: that of `profile`.",
    ),
    OptionSpec::choice("profile", PROFILES).default_text("arcsight").group("records").help(
        "Older spelling of `receiver`, with three presets; `generic` is any receiver of RFC 5424.",
    ),
    OptionSpec::integer("cef_version", 0, 1)
        .default_integer(0).group("records")
        .help("CEF version. 1 allows IPv6 addresses in `dst`; fewer receivers support it."),
    OptionSpec::choice("severity_style", &["number", "word"])
        .default_text("number").group("records")
        .help("Severity in the CEF header: number (0 to 10) or word (Low, Medium, High, Very-High)."),
    OptionSpec::choice("class_id_separator", &["pipe", "colon"]).group("records").help(
        "Separator in device event class IDs: `Qualys|VULN|38170` or `Qualys:VULN:38170`, for parsers that do not \
         unescape `|`. Default: that of `receiver`, else pipe.",
    ),
    OptionSpec::choice("name_style", &["guide", "title"]).group("records").help(
        "Name of a vulnerability in the CEF header: `Vulnerability:38170`, as in the SmartConnector guide, with the \
         title in `msg`, or the title. Default: that of `receiver`, else guide.",
    ),
    OptionSpec::choice("class_id_style", &["stable", "concat"]).default_text("stable").group("records").help(
        "Device event class ID of vulnerabilities. `stable`: `VENDOR|VULN|ID`, for example \
         `Qualys|VULN|38170`. `concat`: ID, title, \
         severity, texts and CVE IDs as in the SmartConnector; changes whenever one of the texts changes.",
    ),
    OptionSpec::flag("derive")
        .default_flag(true).group("records")
        .help("Also send events for open ports and operating systems."),
    OptionSpec::flag("asset_events")
        .default_flag(false).group("records")
        .help("Also send one event per asset, with or without findings."),
    OptionSpec::flag("category_technique").default_flag(true).group("records").help(
        "Send the field `categoryTechnique`. Turn it off if ArcSight ESM should categorize events itself.",
    ),
    OptionSpec::choice("additional_data", &["profile", "ad", "custom"]).default_text("profile").group("records").help(
        "Key of exploit descriptions: `ad` = `ad.ExpltDescription`, `custom` = \
         `QualysQualysExpltDescription` (for receivers that do not accept dots in keys). Also the keys of \
         `additional_fields`. `profile`: the default of `receiver` or `profile`.",
    ),
    OptionSpec::choice("extension_leading_space", &["profile", "yes", "no"]).default_text("profile").group("records").help(
        "Add a space after the CEF header (needed by liblognorm 2.0.6). `profile`: the default of \
         `receiver` or `profile`.",
    ),
    OptionSpec::list("extra_fields", &ValueSpec::Choice(EXTRA_FIELDS)).group("records").help(
        "Keys that are sent in addition, listed in the README. Default: none for `receiver: arcsight`, all for the \
         others. `none` sends none of them; `outcome` is always sent.",
    ),
    OptionSpec::list("additional_fields", &ValueSpec::Text).group("records").help(
        "Columns of the JSON and CSV outputs to send as additional data, for example `asset.owner` as \
         `ad.AssetOwner`: at most 1,023 bytes each and 8,000 together.",
    ),
    OptionSpec::choice("connector_fields", &["ad", "device", "none"]).default_text("ad").group("records").help(
        "Fields of the pipeline's `connector`: `ad` sends name, location and comment as additional data; `device` sends \
         the connector as the device: `deviceExternalId`, `deviceFacility`, `dvchost`, `dvc` or `c6a1`, and \
         `deviceProcessName`; `none` sends nothing.",
    ),
    OptionSpec::flag("aggregate")
        .default_flag(false).group("records")
        .help("Merge identical information and service events of an asset into one event with a count."),
    OptionSpec::choice("order", &["arrival", "severity"])
        .default_text("arrival").group("records")
        .help("Order of the events of an asset: `arrival`, or `severity` with the highest severity first."),
    OptionSpec::integer("time_offset_secs", -MAX_OFFSET, MAX_OFFSET)
        .default_integer(0).group("records")
        .help("Correction added to each event time, in seconds, for a scanner with a wrong clock."),
    OptionSpec::integer("time_past_limit_secs", 1, i32::MAX as i64).group("records").help(
        "Oldest event time sent, in seconds before now. Older times are clamped to it. Default: no limit.",
    ),
    OptionSpec::integer("time_future_limit_secs", 0, i32::MAX as i64).group("records").help(
        "Newest event time sent, in seconds after now. Newer times are clamped to it. Default: no limit.",
    ),
    OptionSpec::text("device_vendor").group("records")
        .help("Device vendor in the CEF header. Default: the vendor of the report's scanner."),
    OptionSpec::text("device_product").group("records")
        .help("Device product in the CEF header. Default: the product of the report's scanner."),
    OptionSpec::text("device_version")
        .default_text("unknown").group("records")
        .help("Device version in the CEF header when the report does not contain one."),
];

/// A year and a day.
const MAX_OFFSET: i64 = 366 * 86_400;

/// The words of `extra_fields`.
const EXTRA_FIELDS: &[&str] = &[
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
fn extra_fields(options: &Options, preset: &Preset) -> Result<ExtraFields> {
    let named = options.list("extra_fields")?;
    let has = |word: &str| if named.is_empty() { preset.extra_fields } else { named.contains(&word) };
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

/// The validated options that determine the content of events.
pub(crate) fn event_settings(options: &Options, connector: &ConnectorIdentity) -> Result<EventSettings> {
    let preset = Preset::of(options)?;
    let version = options.integer::<u8>("cef_version")?.unwrap_or_default();
    let vendor = fixed_text(options, "device_vendor", header, DEVICE_LIMIT)?;
    let product = fixed_text(options, "device_product", header, DEVICE_LIMIT)?;
    let device_version = fixed_text(options, "device_version", header, VERSION_LIMIT)?;
    let dotted_keys = match options.text("additional_data")? {
        Some("ad") => true,
        Some("custom") => false,
        _ => preset.dotted_keys,
    };
    let style = match options.text("connector_fields")? {
        Some("device") => ConnectorStyle::Device,
        Some("none") => ConnectorStyle::None,
        _ => ConnectorStyle::AdditionalData,
    };
    Ok(EventSettings {
        opening: if version == 1 { "CEF:1|" } else { "CEF:0|" },
        vendor,
        product,
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
        derive: options.flag("derive")?,
        asset_events: options.flag("asset_events")?,
        category_technique: options.flag("category_technique")?,
        dotted_keys,
        leading_space: match options.text("extension_leading_space")? {
            Some("yes") => true,
            Some("no") => false,
            _ => preset.leading_space,
        },
        class_id_separator: match options.text("class_id_separator")? {
            Some("pipe") => "|",
            Some("colon") => ":",
            _ => preset.class_id_separator,
        },
        title_as_name: match options.text("name_style")? {
            Some(style) => style == "title",
            None => preset.title_as_name,
        },
        extra: extra_fields(options, &preset)?,
        additional: AdditionalField::read(&options.list("additional_fields")?)?,
        connector: ConnectorFields::new(style, connector, dotted_keys)?,
        buffer: AssetBufferSettings {
            merge: options.flag("aggregate")?,
            highest_severity_first: options.text("order")? == Some("severity"),
        },
        time: TimeCorrection {
            offset: milliseconds(options, "time_offset_secs")?.unwrap_or_default(),
            max_past: milliseconds(options, "time_past_limit_secs")?,
            max_future: milliseconds(options, "time_future_limit_secs")?,
        },
    })
}

fn milliseconds(options: &Options, name: &str) -> Result<Option<i64>> {
    Ok(options.integer::<i64>(name)?.map(|seconds| seconds * 1000))
}

/// A text set by the operator that is in every event and is never truncated.
///
/// # Errors
/// A configuration error if it is empty or too long.
fn fixed_text(
    options: &Options,
    name: &str,
    escape: fn(&mut Vec<u8>, &str, usize) -> EscapeResult,
    limit: usize,
) -> Result<Option<String>> {
    let Some(text) = options.text(name)? else { return Ok(None) };
    match escape(&mut Vec::new(), text, limit) {
        EscapeResult::Complete => Ok(Some(text.to_owned())),
        EscapeResult::Empty => Err(PluginError::config(format!("option `{name}` must not be empty"))),
        EscapeResult::Truncated => Err(PluginError::config(format!(
            "option `{name}` must not be longer than {limit} bytes after escaping"
        ))),
    }
}
