//! The settings of one instance.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::descriptor::OptionDescriptor;
use super::endpoint::Endpoint;
use super::kind::OptionKind;
use super::rules::broken_rules;
use super::spec::{OptionSpec, ValueSpec};
use super::url::UrlParts;
use crate::error::{PluginError, Result};
use crate::secret::Secret;

/// The settings of one plugin instance, validated against its table: unknown keys are rejected, defaults are filled
/// in.
///
/// Options are read by the name in the table. Reading an option that is not in the table, an option with another type,
/// or a secret as text is reported as a plugin bug, whether the option is set or not. Code that several plugins share
/// asks with [`Options::has`] first.
#[derive(Clone)]
pub struct Options {
    table: &'static [OptionSpec],
    values: Map<String, Value>,
}

/// Shows the names of the options that are set. The values contain secrets.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Options {
    /// Validates `values` (a JSON object) against `table` and fills in the defaults.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an unknown key, a missing required key, an invalid
    /// value, or a broken rule between options. A value that may be secret is not shown.
    pub fn read(table: &'static [OptionSpec], values: &[u8]) -> Result<Self> {
        let given = serde_json::from_slice(values)
            .map_err(|error| PluginError::bug(format!("the options are not a JSON object: {error}")))?;
        Self::of(table, given)
    }

    /// As [`Options::read`], from a parsed JSON object.
    ///
    /// # Errors
    /// As in [`Options::read`].
    pub fn of(table: &'static [OptionSpec], mut given: Map<String, Value>) -> Result<Self> {
        let descriptors: Vec<OptionDescriptor> = table.iter().map(OptionDescriptor::from).collect();
        let (mut checked, mut set) = (Map::new(), Map::new());
        for (spec, descriptor) in table.iter().zip(&descriptors) {
            let value = spec
                .deprecated_names
                .iter()
                .chain([&spec.name])
                .filter_map(|name| given.remove(*name))
                .last();
            if let Some(value) = &value {
                set.insert(spec.name.to_owned(), value.clone());
            }
            match value.or_else(|| spec.default_value()) {
                Some(value) if spec.required && (value == "" || descriptor.kind.is_unset(&value)) => {
                    return Err(PluginError::config(format!("option `{}` must not be empty", spec.name)));
                }
                Some(value) if descriptor.kind.accepts(&value) => {
                    checked.insert(spec.name.to_owned(), value);
                }
                Some(value) => {
                    let problem = match spec.secret {
                        true => format!("is invalid: expected {}", descriptor.kind.describe()),
                        false => descriptor.kind.problem(&value),
                    };
                    return Err(PluginError::config(format!("option `{}` {problem}", spec.name)));
                }
                None if spec.required => {
                    return Err(PluginError::config(format!("option `{}` is required", spec.name)));
                }
                None => {}
            }
        }
        if let Some(name) = given.keys().next() {
            return Err(PluginError::config(format!("unknown option `{name}`")));
        }
        match broken_rules(&descriptors, &set).into_iter().next() {
            Some(rule) => Err(PluginError::config(rule.message).with_hint(rule.hint)),
            None => Ok(Self { table, values: checked }),
        }
    }

    /// Whether the table has this option.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.spec(name).is_some()
    }

    /// Whether an option has a value, from the settings or as its default; an empty list or map counts as unset.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| {
            value.as_array().is_none_or(|items| !items.is_empty())
                && value.as_object().is_none_or(|entries| !entries.is_empty())
        })
    }

    /// A yes/no option; `false` without value and default.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn flag(&self, name: &str) -> Result<bool> {
        self.optional_flag(name).map(Option::unwrap_or_default)
    }

    /// A yes/no option, if set: for options whose default depends on other settings.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn optional_flag(&self, name: &str) -> Result<Option<bool>> {
        self.get(name, |kind| matches!(kind, ValueSpec::Flag), Value::as_bool)
    }

    /// A number, if set.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, has another type, or allows values that `T`
    /// cannot represent.
    pub fn integer<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>> {
        let is_integer = |kind| matches!(kind, ValueSpec::Integer { .. });
        self.get(name, is_integer, |value| value.as_i64().and_then(|number| T::try_from(number).ok()))
    }

    /// A size in bytes, if set.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn size(&self, name: &str) -> Result<Option<u64>> {
        self.get(name, |kind| matches!(kind, ValueSpec::Size { .. }), Value::as_u64)
    }

    /// A span of time, if set.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>> {
        let is_duration = |kind| matches!(kind, ValueSpec::Duration { .. });
        self.get(name, is_duration, |value| value.as_u64().map(Duration::from_millis))
    }

    /// The address of a network service, if set.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn endpoint(&self, name: &str) -> Result<Option<Endpoint>> {
        let kind = self.spec(name).map(|spec| OptionKind::from(spec.value));
        let read = |value: &Value| unless_unset(kind.as_ref()?, value, OptionKind::endpoint_of);
        Ok(self.get(name, |kind| matches!(kind, ValueSpec::Endpoint(_)), read)?.flatten())
    }

    /// A URL, if set.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn url(&self, name: &str) -> Result<Option<UrlParts>> {
        let kind = self.spec(name).map(|spec| OptionKind::from(spec.value));
        let read = |value: &Value| unless_unset(kind.as_ref()?, value, OptionKind::url_of);
        Ok(self.get(name, |kind| matches!(kind, ValueSpec::Url { .. }), read)?.flatten())
    }

    /// A text, path or choice, if set.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, has another type, or the option is a secret:
    /// use [`Options::secret`].
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        if self.spec(name).is_some_and(|spec| spec.secret) {
            return Err(PluginError::bug(format!(
                "plugin bug: the secret option `{name}` was read as a text"
            )));
        }
        self.get(name, is_text, Value::as_str)
    }

    /// A choice, if set, as the value that `read` makes of its word.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, has another type, or has a word that `read` does not know.
    pub fn choice<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        self.get(name, |kind| matches!(kind, ValueSpec::Choice(_)), |value| value.as_str().and_then(&read))
    }

    /// A path, if set.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>> {
        self.get(name, |kind| matches!(kind, ValueSpec::Path), |value| value.as_str().map(PathBuf::from))
    }

    /// A secret text, if set.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn secret(&self, name: &str) -> Result<Option<Secret>> {
        self.get(name, is_text, |value| value.as_str().map(|text| Secret::new(text.to_owned())))
    }

    pub(super) fn spec(&self, name: &str) -> Option<&'static OptionSpec> {
        self.table.iter().find(|spec| spec.name == name)
    }

    pub(super) fn get<'a, T>(
        &'a self,
        name: &str,
        is_kind: impl Fn(ValueSpec) -> bool,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let other_type = || {
            PluginError::bug(format!(
                "plugin bug: option `{name}` was read with a type different from its table"
            ))
        };
        let Some(spec) = self.spec(name) else {
            return Err(PluginError::bug(format!(
                "plugin bug: option `{name}` was read but is not in the table"
            )));
        };
        if !is_kind(spec.value) {
            return Err(other_type());
        }
        match self.values.get(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(other_type),
        }
    }
}

/// `Some(None)` for a text that counts as not set.
#[expect(clippy::option_option, reason = "the outer level says whether the value has the type")]
fn unless_unset<T>(
    kind: &OptionKind,
    value: &Value,
    read: impl FnOnce(&OptionKind, &Value) -> Option<T>,
) -> Option<Option<T>> {
    if kind.is_unset(value) { Some(None) } else { read(kind, value).map(Some) }
}

pub(super) fn is_text(kind: ValueSpec) -> bool {
    matches!(kind, ValueSpec::Text | ValueSpec::Path | ValueSpec::Choice(_))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::error::ErrorKind;
    use crate::options::EndpointPort;

    const TABLE: &[OptionSpec] = &[
        OptionSpec::path("path").required().help("where"),
        OptionSpec::integer("page_size", 1, 100).default_integer(10).help("how many"),
        OptionSpec::flag("add_host").default_flag(false).help("whether"),
        OptionSpec::choice("format", &["table", "list"]).default_text("table").help("which"),
        OptionSpec::list("columns", &ValueSpec::Text).deprecated_names(&["cols"]).help("what"),
        OptionSpec::size("rotate", 1, u64::MAX).help("when"),
        OptionSpec::list("ports", &ValueSpec::Integer { min: 1, max: 65_535 }).help("which"),
        OptionSpec::text("password").secret().help("secret"),
        OptionSpec::duration("wait", 0, 60_000).default_integer(1_500).help("how long"),
        OptionSpec::endpoint("center", EndpointPort::Absent).help("where"),
        OptionSpec::list("receivers", &ValueSpec::Endpoint(EndpointPort::Required)).help("where"),
        OptionSpec::url("api", &["https"]).default_text("https://api.example.com").help("where"),
        OptionSpec::map("parameters", &ValueSpec::Text).help("what"),
    ];

    fn read(json: &str) -> Result<Options> {
        Options::read(TABLE, json.as_bytes())
    }

    #[test]
    fn defaults_are_filled_in_and_deprecated_names_still_work() {
        let options = read(r#"{"path": "a", "cols": ["x", "y"]}"#).unwrap();
        assert_eq!(options.integer::<u16>("page_size").unwrap(), Some(10));
        assert!(!options.flag("add_host").unwrap());
        assert_eq!(options.text("format").unwrap(), Some("table"));
        assert_eq!(options.list("columns").unwrap(), ["x", "y"]);
        assert_eq!(options.size("rotate").unwrap(), None);
    }

    #[test]
    fn value_outside_the_table_is_a_config_error() {
        for bad in [
            r#"{}"#,
            r#"{"path": "a", "page_size": 0}"#,
            r#"{"path": "a", "format": "tabel"}"#,
            r#"{"path": "a", "pth": "b"}"#,
            r#"{"path": 1}"#,
            r#"{"path": "a", "wait": 60001}"#,
            r#"{"path": "a", "center": "dc:1"}"#,
            r#"{"path": "a", "receivers": ["a"]}"#,
            r#"{"path": "a", "api": "http://a"}"#,
            r#"{"path": "a", "parameters": {"b": 1}}"#,
        ] {
            assert_eq!(read(bad).err().map(|error| error.kind), Some(ErrorKind::Config), "{bad}");
        }
    }

    #[test]
    fn reading_a_wrong_type_is_a_bug_whether_set_or_not() {
        for json in [
            r#"{"path": "a"}"#,
            r#"{"path": "a", "columns": ["x"], "ports": [1, 2], "rotate": 2, "password": "t0w3L"}"#,
        ] {
            let options = read(json).unwrap();
            let errors = [
                options.flag("path").err(),
                options.text("rotate").err(),
                options.integer::<u64>("rotate").err(),
                options.size("page_size").err(),
                options.list("ports").err(),
                options.integers::<u16>("columns").err(),
                options.text("columns").err(),
                options.text("password").err(),
                options.text("nosuch").err(),
                options.optional_flag("cols").err(),
                options.text("api").err(),
                options.url("path").err(),
                options.endpoint("api").err(),
                options.endpoints("columns").err(),
                options.duration("page_size").err(),
                options.map("columns").err(),
            ];
            for (index, error) in errors.iter().enumerate() {
                let error = error.as_ref().unwrap_or_else(|| panic!("case {index} with {json}"));
                assert_eq!(error.kind, ErrorKind::Bug, "case {index}");
                assert!(!error.message.contains("t0w3L"));
            }
        }
    }

    #[test]
    fn endpoints_urls_durations_and_maps_are_read() {
        let options = read(
            r#"{"path": "a", "center": "2001:db8::1", "receivers": ["[2001:db8::2]:514"],
                "parameters": {"b": "c", "d": ""}}"#,
        )
        .unwrap();
        assert_eq!(options.duration("wait").unwrap(), Some(Duration::from_millis(1_500)));
        assert_eq!(options.endpoint("center").unwrap().unwrap().host, "2001:db8::1");
        assert_eq!(options.endpoints("receivers").unwrap()[0].to_string(), "[2001:db8::2]:514");
        assert_eq!(options.url("api").unwrap().unwrap().to_string(), "https://api.example.com");
        assert_eq!(options.map("parameters").unwrap(), BTreeMap::from([("b", "c"), ("d", "")]));
        let empty = read(r#"{"path": "a", "center": "", "api": " "}"#).unwrap();
        assert_eq!((empty.endpoint("center").unwrap(), empty.url("api").unwrap()), (None, None));
        assert!(empty.map("parameters").unwrap().is_empty());
    }

    #[test]
    fn reason_of_a_wrong_endpoint_or_url_is_given() {
        for (json, message) in [
            (r#"{"path": "a", "center": "dc:1"}"#, "option `center` must not contain a port, found `dc:1`"),
            (
                r#"{"path": "a", "receivers": ["a:1", "a:x"]}"#,
                "option `receivers` has an invalid port; expected a number from 1 to 65535, found `a:x`",
            ),
            (r#"{"path": "a", "api": "http://a"}"#, "option `api` must start with https://"),
            (r#"{"path": "a", "page_size": 0}"#, "option `page_size` is invalid: expected number, 1 to 100"),
        ] {
            assert_eq!(read(json).unwrap_err().message, message);
        }
    }

    #[test]
    fn empty_lists_and_secrets_are_not_set() {
        let options = read(r#"{"path": "a", "ports": [1, 443]}"#).unwrap();
        assert!(options.secret("password").unwrap().is_none());
        let is_set = |name| options.is_set(name);
        assert!(is_set("ports") && is_set("page_size") && !is_set("password") && !is_set("columns"));
        assert!(options.has("password") && !options.has("nosuch"));
    }
}
