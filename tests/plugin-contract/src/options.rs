//! Compares what the host says about option values without opening the plugin (`check --offline`) with what the plugin
//! says when it is opened for a check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use scanbridge_plugin_api::{
    Descriptor, ErrorKind, Input, Open, OpenFrame, OptionKind, OptionSpec, Options, Output, PluginError,
    Purpose, Services,
};
use serde_json::{Map, Value, json};

/// Values that are wrong for many options.
const VALUES: [&str; 28] = [
    "",
    " ",
    "x",
    "two words",
    "0",
    "-1",
    "70000",
    "99999999999999999999",
    "0888",
    "1.5",
    "maybe",
    "yes",
    "a:b",
    "host:70000",
    "http://127.0.0.1:abc",
    "https://user:password@host",
    "https://host.300",
    "ftp://host",
    "host name:514",
    "192.0.2.300",
    "192.0.2.9-192.0.2.1",
    "{nosuch}",
    "no-equals-sign",
    "=value",
    "2026-02-30",
    "[a",
    "\u{e9}\n",
    "a\0b",
];

/// Tries wrong values of every option of an output. `valid` are complete settings that it accepts; one option at a time
/// is replaced. `only_the_plugin` lists the options with values that the table accepts and the plugin refuses, each
/// with the reason why the table cannot judge them.
///
/// # Panics
/// If the table refuses a value that the plugin's reader accepts, or if `only_the_plugin` does not list exactly the
/// options that only the plugin refuses; the message names them.
pub fn wrong_option_values_of_output<T: Output>(valid: &[Value], only_the_plugin: &[(&str, &str)]) {
    compare(T::OPTIONS, valid, only_the_plugin, |open| T::open(open, None).map(drop));
}

/// The same for an input.
///
/// # Panics
/// As [`wrong_option_values_of_output`].
pub fn wrong_option_values_of_input<T: Input>(valid: &[Value], only_the_plugin: &[(&str, &str)]) {
    compare(T::OPTIONS, valid, only_the_plugin, |open| T::open(open, None).map(drop));
}

fn compare(
    table: &'static [OptionSpec],
    valid: &[Value],
    only_the_plugin: &[(&str, &str)],
    open: impl Fn(&Open<'_>) -> Result<(), PluginError>,
) {
    let descriptor: Descriptor = serde_json::from_value(json!({ "name": "exam", "kind": "output" }))
        .expect("a descriptor without options");
    let descriptor = Descriptor { options: table.iter().map(Into::into).collect(), ..descriptor };
    assert_eq!(descriptor.fault(), None);
    let services = Services::without_host(Path::new("/nonexistent"));
    let mut frame = OpenFrame::default();
    frame.purpose = Purpose::Check;
    let mut found = BTreeMap::new();
    for valid in valid {
        let valid = valid.as_object().expect("the settings are an object");
        let opened = Options::of(table, valid.clone()).expect("valid settings");
        if let Err(error) = open(&Open::new(&opened, &services, &frame)) {
            assert_ne!(error.kind, ErrorKind::Config, "settings that should be valid: {error}");
        }
        for option in table {
            for text in VALUES {
                let refused = judge(&descriptor, option, text, valid);
                let set = refused.clone().unwrap_or_else(|value| with(valid, option, value));
                let options = Options::of(table, set);
                match (refused, options) {
                    (Ok(_), Err(error)) => {
                        panic!("only the plugin refuses `{}: {text}`: {error}", option.name)
                    }
                    (Err(_), Ok(_)) => panic!("the plugin's reader accepts `{}: {text}`", option.name),
                    (Err(_), Err(_)) => {}
                    (Ok(_), Ok(options)) => {
                        let error = open(&Open::new(&options, &services, &frame)).err();
                        if let Some(error) = error.filter(|error| error.kind == ErrorKind::Config) {
                            found.entry(option.name).or_insert_with(|| format!("{text:?}: {error}"));
                        }
                    }
                }
            }
        }
    }
    let listed: BTreeSet<&str> = only_the_plugin.iter().map(|(name, _)| *name).collect();
    let names: BTreeSet<&str> = found.keys().copied().collect();
    let unlisted: Vec<_> = found.iter().filter(|(name, _)| !listed.contains(*name)).collect();
    assert!(unlisted.is_empty(), "only the plugin refuses values of these options: {unlisted:#?}");
    let needless: Vec<_> = listed.difference(&names).collect();
    assert!(needless.is_empty(), "nothing was found that only the plugin refuses: {needless:?}");
}

/// The settings with this value if the host accepts them, otherwise a value of this text for the plugin's reader.
fn judge(
    descriptor: &Descriptor,
    option: &OptionSpec,
    text: &str,
    valid: &Map<String, Value>,
) -> Result<Map<String, Value>, Value> {
    let value = OptionKind::from(option.value).parse(text).map_err(|_| Value::from(text))?;
    if option.required && value == "" {
        return Err(value);
    }
    let set = with(valid, option, value.clone());
    if descriptor.broken_rules(&set).is_empty() { Ok(set) } else { Err(value) }
}

fn with(valid: &Map<String, Value>, option: &OptionSpec, value: Value) -> Map<String, Value> {
    let mut set = valid.clone();
    set.insert(option.name.to_owned(), value);
    set
}
