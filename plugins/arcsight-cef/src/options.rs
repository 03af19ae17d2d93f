//! The option table, and the event settings read from it.

use scanbridge_cef_events::{EventSettings, options as cef};
use scanbridge_durable_file::options as file;
use scanbridge_plugin_api::{ConnectorIdentity, OptionSpec, Options, Result};
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
    cef::CEF_VERSION,
    cef::SEVERITY_STYLE,
    cef::CLASS_ID_SEPARATOR.help(
        "Separator in device event class IDs: `Qualys|VULN|38170` or `Qualys:VULN:38170`, for parsers that do not \
         unescape `|`. Default: that of `receiver`, else pipe.",
    ),
    cef::NAME_STYLE.help(
        "Name of a vulnerability in the CEF header: `Vulnerability:38170`, as in the SmartConnector guide, with the \
         title in `msg`, or the title. Default: that of `receiver`, else guide.",
    ),
    cef::CLASS_ID_STYLE,
    cef::DERIVE,
    cef::ASSET_EVENTS,
    cef::CATEGORY_TECHNIQUE,
    // The word `profile` is of this plugin alone.
    OptionSpec::choice(cef::ADDITIONAL_DATA.name, &["profile", "ad", "custom"]).default_text("profile").group("records").help(
        "Key of exploit descriptions: `ad` = `ad.ExpltDescription`, `custom` = \
         `QualysQualysExpltDescription` (for receivers that do not accept dots in keys). Also the keys of \
         `additional_fields`. Default: `profile`, that of `receiver` or `profile`.",
    ),
    OptionSpec::choice(cef::EXTENSION_LEADING_SPACE.name, &["profile", "yes", "no"]).default_text("profile").group("records").help(
        "Add a space after the CEF header (needed by liblognorm 2.0.6). Default: `profile`, that of \
         `receiver` or `profile`.",
    ),
    cef::EXTRA_FIELDS.help(
        "Keys that are sent in addition, listed in the README of ArcSightCEF. Default: none for `receiver: arcsight`, all for the \
         others. `none` sends none of them; `outcome` is always sent.",
    ),
    cef::ADDITIONAL_FIELDS,
    cef::CONNECTOR_FIELDS,
    cef::AGGREGATE,
    cef::ORDER,
    cef::TIME_OFFSET,
    cef::TIME_PAST_LIMIT,
    cef::TIME_FUTURE_LIMIT,
    cef::DEVICE_VENDOR,
    cef::DEVICE_PRODUCT,
    cef::DEVICE_VERSION,
];

/// The validated options that determine the content of events.
pub(crate) fn event_settings(options: &Options, connector: &ConnectorIdentity) -> Result<EventSettings> {
    let defaults = Preset::of(options)?.events;
    EventSettings::read(options, connector, &defaults)?.with_events_of_assets(options)
}
