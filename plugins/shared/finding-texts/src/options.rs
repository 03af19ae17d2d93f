//! The options of the formats: those of the outputs ArcSightCEF and JSON, under the same names.
//!
//! The events are as most parsers of CEF read them, unless an option says otherwise.

use scanbridge_cef_events::options::{self as cef, EventDefaults};
use scanbridge_plugin_api::{OptionSpec, Options, PluginError, Result, ValueSpec};

use crate::TextFormat;

pub use scanbridge_json_records::LEAVE_OUT;

/// An option of another plugin, whose help also says for which formats it is.
macro_rules! only_for {
    ($formats:literal, $option:expr) => {{
        const HELP: [&str; 2] = [$option.help, concat!(" Only for ", $formats, ".")];
        const BYTES: [u8; HELP[0].len() + HELP[1].len()] = joined(HELP);
        const TEXT: &str = match str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => panic!("two texts are a text"),
        };
        $option.help(TEXT)
    }};
}

const fn joined<const LENGTH: usize>([first, second]: [&str; 2]) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let (start, end) = bytes.split_at_mut(first.len());
    start.copy_from_slice(first.as_bytes());
    end.copy_from_slice(second.as_bytes());
    bytes
}

/// Option `cef_version`.
pub const CEF_VERSION: OptionSpec = only_for!("`cef`", cef::CEF_VERSION);
/// Option `severity_style`.
pub const SEVERITY_STYLE: OptionSpec = only_for!("`cef`", cef::SEVERITY_STYLE);
/// Option `class_id_separator`.
pub const CLASS_ID_SEPARATOR: OptionSpec = only_for!("`cef`", cef::CLASS_ID_SEPARATOR.default_text("colon"));
/// Option `name_style`.
pub const NAME_STYLE: OptionSpec = only_for!("`cef`", cef::NAME_STYLE.default_text("title"));
/// Option `class_id_style`.
pub const CLASS_ID_STYLE: OptionSpec = only_for!("`cef`", cef::CLASS_ID_STYLE);
/// Option `category_technique`.
pub const CATEGORY_TECHNIQUE: OptionSpec = only_for!("`cef`", cef::CATEGORY_TECHNIQUE);
/// Option `additional_data`.
pub const ADDITIONAL_DATA: OptionSpec = only_for!("`cef`", cef::ADDITIONAL_DATA.default_text("custom"));
/// Option `extension_leading_space`.
pub const EXTENSION_LEADING_SPACE: OptionSpec =
    only_for!("`cef`", cef::EXTENSION_LEADING_SPACE.default_text("no"));
/// Option `extra_fields`.
pub const EXTRA_FIELDS: OptionSpec = only_for!("`cef`", cef::EXTRA_FIELDS.help(
        "Keys that are sent in addition, listed in the README of ArcSightCEF. Default: all. `none` sends none of them; \
         `outcome` is always sent.",
    ));
/// Option `additional_fields`.
pub const ADDITIONAL_FIELDS: OptionSpec = only_for!("`cef`", cef::ADDITIONAL_FIELDS);
/// Option `connector_fields`.
pub const CONNECTOR_FIELDS: OptionSpec = only_for!("`cef`", cef::CONNECTOR_FIELDS);
/// Option `time_offset_secs`.
pub const TIME_OFFSET: OptionSpec = only_for!("`cef`", cef::TIME_OFFSET);
/// Option `time_past_limit_secs`.
pub const TIME_PAST_LIMIT: OptionSpec = only_for!("`cef`", cef::TIME_PAST_LIMIT);
/// Option `time_future_limit_secs`.
pub const TIME_FUTURE_LIMIT: OptionSpec = only_for!("`cef`", cef::TIME_FUTURE_LIMIT);
/// Option `device_vendor`.
pub const DEVICE_VENDOR: OptionSpec = only_for!("`cef`", cef::DEVICE_VENDOR);
/// Option `device_product`.
pub const DEVICE_PRODUCT: OptionSpec = only_for!("`cef`", cef::DEVICE_PRODUCT);
/// Option `device_version`.
pub const DEVICE_VERSION: OptionSpec = only_for!("`cef`", cef::DEVICE_VERSION);
/// Option `derive`.
pub const DERIVE: OptionSpec = only_for!("`cef`", cef::DERIVE.default_flag(false));
/// Option `asset_events`.
pub const ASSET_EVENTS: OptionSpec = only_for!("`cef`", cef::ASSET_EVENTS);
/// Option `aggregate`.
pub const AGGREGATE: OptionSpec = only_for!("`cef`", cef::AGGREGATE);
/// Option `order`.
pub const ORDER: OptionSpec = only_for!("`cef`", cef::ORDER);
/// Option `assets`.
pub const ASSETS: OptionSpec = only_for!("`json`", scanbridge_json_records::ASSETS);

/// The options that decide what is in a CEF event.
const OF_CEF: &[OptionSpec] = &[
    CEF_VERSION,
    SEVERITY_STYLE,
    CLASS_ID_SEPARATOR,
    NAME_STYLE,
    CLASS_ID_STYLE,
    CATEGORY_TECHNIQUE,
    ADDITIONAL_DATA,
    EXTENSION_LEADING_SPACE,
    EXTRA_FIELDS,
    ADDITIONAL_FIELDS,
    CONNECTOR_FIELDS,
    TIME_OFFSET,
    TIME_PAST_LIMIT,
    TIME_FUTURE_LIMIT,
    DEVICE_VENDOR,
    DEVICE_PRODUCT,
    DEVICE_VERSION,
    DERIVE,
    ASSET_EVENTS,
    AGGREGATE,
    ORDER,
];

/// What the options mean that are not set.
pub(crate) const DEFAULTS: EventDefaults = EventDefaults {
    dotted_keys: false,
    leading_space: false,
    class_id_separator: ":",
    title_as_name: true,
    extra_fields: true,
};

/// Refuses an option that has no effect, because no text has its format. Only a value other than the default counts.
///
/// # Errors
/// A configuration error that names the option and its formats.
pub fn refuse_unused(options: &Options, formats: &[TextFormat]) -> Result<()> {
    match unused(options, formats)? {
        None => Ok(()),
        Some((name, needed)) => {
            let words: Vec<_> = needed.iter().map(|format| format!("`{}`", format.word())).collect();
            let words = words.join(", ");
            Err(PluginError::config(format!(
                "option `{name}` has no effect: no record has the format {words}"
            ))
            .with_option(name)
            .with_hint(format!("remove it, or set the format {words}")))
        }
    }
}

/// The first option with an effect on other formats only, and these formats. Only a value other than the default counts.
///
/// # Errors
/// A plugin bug: the option is of another type in the table.
pub fn unused(
    options: &Options,
    formats: &[TextFormat],
) -> Result<Option<(&'static str, &'static [TextFormat])>> {
    let tables: [(&[OptionSpec], &'static [TextFormat]); 3] = [
        (OF_CEF, &[TextFormat::Cef]),
        (&[ASSETS], &[TextFormat::Json]),
        (&[LEAVE_OUT], &[TextFormat::Json, TextFormat::Ocsf, TextFormat::Ecs]),
    ];
    for (table, needed) in tables {
        if formats.iter().any(|format| needed.contains(format)) {
            continue;
        }
        for spec in table.iter().filter(|spec| options.has(spec.name)) {
            if is_changed(options, spec)? {
                return Ok(Some((spec.name, needed)));
            }
        }
    }
    Ok(None)
}

/// Whether an option has a value other than its default.
fn is_changed(options: &Options, spec: &OptionSpec) -> Result<bool> {
    let (name, default) = (spec.name, spec.default_value());
    Ok(match spec.value {
        ValueSpec::Flag => options.optional_flag(name)? != default.and_then(|value| value.as_bool()),
        ValueSpec::Integer { .. } => options.integer(name)? != default.and_then(|value| value.as_i64()),
        ValueSpec::List(_) => options.is_set(name),
        _ => options.text(name)? != default.as_ref().and_then(|value| value.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::ErrorKind;

    use super::*;

    const ALL: &[OptionSpec] = &[
        LEAVE_OUT,
        ASSETS,
        CEF_VERSION,
        SEVERITY_STYLE,
        CLASS_ID_SEPARATOR,
        NAME_STYLE,
        CLASS_ID_STYLE,
        CATEGORY_TECHNIQUE,
        ADDITIONAL_DATA,
        EXTENSION_LEADING_SPACE,
        EXTRA_FIELDS,
        ADDITIONAL_FIELDS,
        CONNECTOR_FIELDS,
        TIME_OFFSET,
        TIME_PAST_LIMIT,
        TIME_FUTURE_LIMIT,
        DEVICE_VENDOR,
        DEVICE_PRODUCT,
        DEVICE_VERSION,
        DERIVE,
        ASSET_EVENTS,
        AGGREGATE,
        ORDER,
    ];

    #[test]
    fn each_option_is_refused_without_its_format() {
        for (option, value, formats) in [
            ("leave_out", r#"["finding.result"]"#, "`json`, `ocsf`, `ecs`"),
            ("assets", "true", "`json`"),
            ("cef_version", "1", "`cef`"),
            ("severity_style", r#""word""#, "`cef`"),
            ("class_id_separator", r#""pipe""#, "`cef`"),
            ("name_style", r#""guide""#, "`cef`"),
            ("class_id_style", r#""concat""#, "`cef`"),
            ("category_technique", "false", "`cef`"),
            ("additional_data", r#""ad""#, "`cef`"),
            ("extension_leading_space", r#""yes""#, "`cef`"),
            ("extra_fields", r#"["none"]"#, "`cef`"),
            ("additional_fields", r#"["asset.owner"]"#, "`cef`"),
            ("connector_fields", r#""none""#, "`cef`"),
            ("time_offset_secs", "-1", "`cef`"),
            ("time_past_limit_secs", "1", "`cef`"),
            ("time_future_limit_secs", "0", "`cef`"),
            ("device_vendor", r#""Acme""#, "`cef`"),
            ("device_product", r#""Acme""#, "`cef`"),
            ("device_version", r#""2""#, "`cef`"),
            ("derive", "true", "`cef`"),
            ("asset_events", "true", "`cef`"),
            ("aggregate", "true", "`cef`"),
            ("order", r#""severity""#, "`cef`"),
        ] {
            let options = Options::read(ALL, format!("{{\"{option}\": {value}}}").as_bytes()).unwrap();
            let needed: Vec<_> = formats
                .split(", ")
                .map(|word| TextFormat::of_word(word.trim_matches('`')).unwrap())
                .collect();
            for format in TextFormat::ALL {
                let result = refuse_unused(&options, &[*format]);
                assert_eq!(result.is_ok(), needed.contains(format), "{option} {format:?}");
            }
            let error = refuse_unused(&options, &[]).unwrap_err();
            assert_eq!((error.kind, error.option.as_deref()), (ErrorKind::Config, Some(option)));
            assert_eq!(
                error.message,
                format!("option `{option}` has no effect: no record has the format {formats}")
            );
        }
    }

    /// Whether an option was written in the pipeline file is not known here, only its value.
    #[test]
    fn defaults_are_accepted_with_every_format() {
        let written =
            br#"{"severity_style": "number", "derive": false, "cef_version": 0, "additional_fields": []}"#;
        for written in [&b"{}"[..], written] {
            let options = Options::read(ALL, written).unwrap();
            assert_eq!(unused(&options, &[]).unwrap(), None);
        }
        // A table without the options.
        assert_eq!(unused(&Options::read(&[LEAVE_OUT], b"{}").unwrap(), &[]).unwrap(), None);
    }
}
