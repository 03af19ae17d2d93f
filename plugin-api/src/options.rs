//! A plugin's options: the table it hands to the host, and the reader it gets its settings through.
//!
//! The table is the only place where an option is described. From it come the checks of a pipeline file,
//! did-you-mean, redaction, `plugin describe`, the JSON Schema and the generated documentation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{PluginError, Result};
use crate::secret::Secret;

/// What values an option takes, as a constant that can stand in a plugin's table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueSpec {
    /// Yes or no. The words of YAML 1.1 are taken too: `y`, `yes`, `on`, `true` and their opposites.
    Flag,
    /// A whole number within these bounds, both included.
    Integer {
        /// The smallest value taken.
        min: i64,
        /// The largest value taken.
        max: i64,
    },
    /// A number of bytes: `1048576`, `512 KiB`, `100MiB`, `2 GiB` (or `kB`, `MB`, `GB` in powers of ten).
    Size {
        /// The fewest bytes taken.
        min: u64,
        /// The most bytes taken.
        max: u64,
    },
    /// Any text.
    Text,
    /// A path, relative to the working directory unless absolute.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several of these: a YAML list, or one scalar with commas between the items.
    List(&'static ValueSpec),
}

/// One row of a plugin's option table.
///
/// ```
/// use scanbridge_plugin_api::OptionSpec;
///
/// const OPTIONS: &[OptionSpec] = &[
///     OptionSpec::path("path").required().help("where to write"),
///     OptionSpec::integer("page_size", 1, 10_000).default_integer(1_000).help("assets per page"),
///     OptionSpec::choice("format", &["table", "list"]).default_text("table").help("the layout"),
///     OptionSpec::text("token").secret().help("the login token"),
/// ];
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptionSpec {
    /// The key in YAML, in `snake_case`; a unit stands at its end (`timeout_secs`).
    pub name: &'static str,
    /// What values it takes.
    pub value: ValueSpec,
    /// Whether the key must be there. A required option has no default.
    pub required: bool,
    /// Whether the value is never shown.
    pub secret: bool,
    /// What it is for, in one or two sentences.
    pub help: &'static str,
    /// Spellings that still work and are answered with a warning.
    pub deprecated_names: &'static [&'static str],
    default: DefaultSpec,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum DefaultSpec {
    None,
    Flag(bool),
    Integer(i64),
    Text(&'static str),
    List(&'static [&'static str]),
}

impl OptionSpec {
    const fn new(name: &'static str, value: ValueSpec) -> Self {
        Self {
            name,
            value,
            required: false,
            secret: false,
            help: "",
            deprecated_names: &[],
            default: DefaultSpec::None,
        }
    }

    /// A yes/no option.
    #[must_use]
    pub const fn flag(name: &'static str) -> Self {
        Self::new(name, ValueSpec::Flag)
    }

    /// A whole number between `min` and `max`, both included.
    #[must_use]
    pub const fn integer(name: &'static str, min: i64, max: i64) -> Self {
        Self::new(name, ValueSpec::Integer { min, max })
    }

    /// A number of bytes between `min` and `max`, both included; give its default as a number.
    #[must_use]
    pub const fn size(name: &'static str, min: u64, max: u64) -> Self {
        Self::new(name, ValueSpec::Size { min, max })
    }

    /// A text.
    #[must_use]
    pub const fn text(name: &'static str) -> Self {
        Self::new(name, ValueSpec::Text)
    }

    /// A path.
    #[must_use]
    pub const fn path(name: &'static str) -> Self {
        Self::new(name, ValueSpec::Path)
    }

    /// One of these words.
    #[must_use]
    pub const fn choice(name: &'static str, words: &'static [&'static str]) -> Self {
        Self::new(name, ValueSpec::Choice(words))
    }

    /// A list of these.
    #[must_use]
    pub const fn list(name: &'static str, of: &'static ValueSpec) -> Self {
        Self::new(name, ValueSpec::List(of))
    }

    /// The key must be there.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The value is never shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// What it is for.
    #[must_use]
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// Old spellings that still work.
    #[must_use]
    pub const fn deprecated_names(mut self, names: &'static [&'static str]) -> Self {
        self.deprecated_names = names;
        self
    }

    /// The value of a yes/no option when its key is absent.
    #[must_use]
    pub const fn default_flag(mut self, value: bool) -> Self {
        self.default = DefaultSpec::Flag(value);
        self
    }

    /// The value of a number or size when its key is absent.
    #[must_use]
    pub const fn default_integer(mut self, value: i64) -> Self {
        self.default = DefaultSpec::Integer(value);
        self
    }

    /// The value of a text, path or choice when its key is absent.
    #[must_use]
    pub const fn default_text(mut self, value: &'static str) -> Self {
        self.default = DefaultSpec::Text(value);
        self
    }

    /// The value of a list of texts when its key is absent.
    #[must_use]
    pub const fn default_list(mut self, values: &'static [&'static str]) -> Self {
        self.default = DefaultSpec::List(values);
        self
    }

    /// The default in the form that crosses the ABI; `None` when the option stays unset.
    #[must_use]
    pub fn default_value(&self) -> Option<Value> {
        match self.default {
            DefaultSpec::None => None,
            DefaultSpec::Flag(value) => Some(value.into()),
            DefaultSpec::Integer(value) => Some(value.into()),
            DefaultSpec::Text(value) => Some(value.into()),
            DefaultSpec::List(values) => Some(values.iter().map(|v| Value::from(*v)).collect()),
        }
    }
}

/// [`ValueSpec`] in the owned form that crosses the ABI as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum OptionKind {
    /// Yes or no.
    Flag,
    /// A whole number between two bounds, both included.
    Integer {
        /// The smallest value taken.
        min: i64,
        /// The largest value taken.
        max: i64,
    },
    /// A number of bytes between two bounds, both included.
    Size {
        /// The fewest bytes taken.
        min: u64,
        /// The most bytes taken.
        max: u64,
    },
    /// Any text.
    Text,
    /// A path.
    Path,
    /// One of these words.
    Choice {
        /// The words, in the order in which they are shown.
        words: Vec<String>,
    },
    /// Several values.
    List {
        /// What each item is.
        of: Box<OptionKind>,
    },
}

impl From<ValueSpec> for OptionKind {
    fn from(spec: ValueSpec) -> Self {
        match spec {
            ValueSpec::Flag => Self::Flag,
            ValueSpec::Integer { min, max } => Self::Integer { min, max },
            ValueSpec::Size { min, max } => Self::Size { min, max },
            ValueSpec::Text => Self::Text,
            ValueSpec::Path => Self::Path,
            ValueSpec::Choice(words) => {
                Self::Choice { words: words.iter().map(|word| (*word).to_owned()).collect() }
            }
            ValueSpec::List(of) => Self::List { of: Box::new(Self::from(*of)) },
        }
    }
}

impl OptionKind {
    /// Reads one scalar of a settings file (its text, without quotes) into the form that crosses the ABI.
    ///
    /// A list takes a scalar too, split at commas, with blanks around the items dropped.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the option's name: `must be between 1 and 9, found 0`. The
    /// found text is part of it, so for a secret option the caller shows its own words instead.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        match self {
            Self::Flag => match text.to_ascii_lowercase().as_str() {
                "y" | "yes" | "true" | "on" => Ok(true.into()),
                "n" | "no" | "false" | "off" => Ok(false.into()),
                _ => Err(format!("must be yes or no, found `{text}`")),
            },
            Self::Integer { min, max } => match text.parse::<i64>() {
                Ok(number) if (*min..=*max).contains(&number) => Ok(number.into()),
                _ => Err(format!("must be a whole number between {min} and {max}, found `{text}`")),
            },
            Self::Size { min, max } => match parse_size(text) {
                Some(bytes) if (*min..=*max).contains(&bytes) => Ok(bytes.into()),
                Some(bytes) => Err(format!(
                    "must be between {} and {}, found {}",
                    show_size(*min),
                    show_size(*max),
                    show_size(bytes)
                )),
                None => Err(format!("must be a size such as `100 MiB`, found `{text}`")),
            },
            Self::Text | Self::Path => Ok(text.into()),
            Self::Choice { words } => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                Some(word) => Ok(word.as_str().into()),
                None => Err(format!("must be one of {}, found `{text}`", words.join(", "))),
            },
            Self::List { of } => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| of.parse(item))
                .collect(),
        }
    }

    /// The kind in words, for `plugin describe` and the documentation.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Flag => "yes/no".to_owned(),
            Self::Integer { min, max: i64::MAX } => format!("number, at least {min}"),
            Self::Integer { min, max } => format!("number, {min} to {max}"),
            Self::Size { min, max: u64::MAX } => format!("size, at least {}", show_size(*min)),
            Self::Size { min, max } => format!("size, {} to {}", show_size(*min), show_size(*max)),
            Self::Text => "text".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Choice { words } => words.join(" | "),
            Self::List { of } => format!("list of {}", of.describe()),
        }
    }

    /// Whether `value` is one that [`OptionKind::parse`] could have made.
    fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Flag => value.is_boolean(),
            Self::Integer { min, max } => value.as_i64().is_some_and(|n| (*min..=*max).contains(&n)),
            Self::Size { min, max } => value.as_u64().is_some_and(|n| (*min..=*max).contains(&n)),
            Self::Text | Self::Path => value.is_string(),
            Self::Choice { words } => {
                value.as_str().is_some_and(|text| words.iter().any(|word| word == text))
            }
            Self::List { of } => {
                value.as_array().is_some_and(|items| items.iter().all(|item| of.accepts(item)))
            }
        }
    }
}

const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

fn parse_size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (number, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((lower.strip_suffix(&unit.to_ascii_lowercase())?, *factor)))
        .unwrap_or((&lower, 1));
    number.trim_end().parse::<u64>().ok()?.checked_mul(factor)
}

/// A number of bytes in the largest binary unit that leaves no rest: `100 MiB`, `1000 B`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    UNITS[..3]
        .iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(|| format!("{bytes} B"), |(unit, factor)| format!("{} {unit}", bytes / factor))
}

/// The settings of one plugin instance, checked against its table: unknown keys refused, defaults filled in.
///
/// A reader asks for an option by the name in its table. Asking for a name that is not in the table, or as
/// another type than the table says, is a bug of the plugin and is reported as one.
#[derive(Clone)]
pub struct Options {
    values: Map<String, Value>,
}

impl Options {
    /// Checks `values` (a JSON object) against `table` and fills in the defaults.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an unknown key, a missing required one, or a value
    /// that the table does not take. The value itself is not shown.
    pub fn read(table: &[OptionSpec], values: &[u8]) -> Result<Self> {
        let mut given: Map<String, Value> = serde_json::from_slice(values)
            .map_err(|error| PluginError::bug(format!("the options are not a JSON object: {error}")))?;
        let mut checked = Map::new();
        for spec in table {
            let value = spec
                .deprecated_names
                .iter()
                .chain([&spec.name])
                .filter_map(|name| given.remove(*name))
                .last();
            match value.or_else(|| spec.default_value()) {
                Some(value) if OptionKind::from(spec.value).accepts(&value) => {
                    checked.insert(spec.name.to_owned(), value);
                }
                Some(_) => {
                    let takes = OptionKind::from(spec.value).describe();
                    return Err(PluginError::config(format!("option `{}` takes {takes}", spec.name)));
                }
                None if spec.required => {
                    return Err(PluginError::config(format!("option `{}` is required", spec.name)));
                }
                None => {}
            }
        }
        match given.keys().next() {
            Some(name) => Err(PluginError::config(format!("there is no option `{name}`"))),
            None => Ok(Self { values: checked }),
        }
    }

    /// A yes/no option; `false` when it has neither value nor default.
    ///
    /// # Errors
    /// A bug of the plugin: the table says another type.
    pub fn flag(&self, name: &str) -> Result<bool> {
        self.optional_flag(name).map(Option::unwrap_or_default)
    }

    /// A yes/no option, if set: for one whose absence means that something else decides.
    ///
    /// # Errors
    /// A bug of the plugin: the table says another type.
    pub fn optional_flag(&self, name: &str) -> Result<Option<bool>> {
        self.get(name, Value::as_bool)
    }

    /// A number, if set.
    ///
    /// # Errors
    /// A bug of the plugin: the table says another type, or allows values that `T` cannot hold.
    pub fn integer<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>> {
        self.get(name, |value| value.as_i64().and_then(|number| T::try_from(number).ok()))
    }

    /// A size in bytes, if set.
    ///
    /// # Errors
    /// A bug of the plugin: the table says another type.
    pub fn size(&self, name: &str) -> Result<Option<u64>> {
        self.get(name, Value::as_u64)
    }

    /// A text or choice, if set.
    ///
    /// # Errors
    /// A bug of the plugin: the table says another type.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        self.get(name, Value::as_str)
    }

    /// A path, if set.
    ///
    /// # Errors
    /// A bug of the plugin: the table says another type.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>> {
        self.get(name, |value| value.as_str().map(PathBuf::from))
    }

    /// A secret text, if set.
    ///
    /// # Errors
    /// A bug of the plugin: the table says another type.
    pub fn secret(&self, name: &str) -> Result<Option<Secret>> {
        self.get(name, |value| value.as_str().map(|text| Secret::new(text.to_owned())))
    }

    /// A list of texts; empty when unset.
    ///
    /// # Errors
    /// A bug of the plugin: the table says another type.
    pub fn list(&self, name: &str) -> Result<Vec<&str>> {
        self.get(name, |value| value.as_array()?.iter().map(Value::as_str).collect())
            .map(Option::unwrap_or_default)
    }

    fn get<'a, T>(&'a self, name: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        match self.values.get(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| {
                PluginError::bug(format!("option `{name}` was read as a type that its table does not say"))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const TABLE: &[OptionSpec] = &[
        OptionSpec::path("path").required().help("where"),
        OptionSpec::integer("page_size", 1, 100).default_integer(10).help("how many"),
        OptionSpec::flag("add_host").default_flag(false).help("whether"),
        OptionSpec::choice("format", &["table", "list"]).default_text("table").help("which"),
        OptionSpec::list("columns", &ValueSpec::Text).deprecated_names(&["cols"]).help("what"),
        OptionSpec::size("rotate", 1, u64::MAX).help("when"),
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
    fn what_the_table_does_not_say_is_a_config_error() {
        for bad in [
            r#"{}"#,
            r#"{"path": "a", "page_size": 0}"#,
            r#"{"path": "a", "format": "tabel"}"#,
            r#"{"path": "a", "pth": "b"}"#,
            r#"{"path": 1}"#,
        ] {
            assert_eq!(read(bad).err().map(|error| error.kind), Some(ErrorKind::Config), "{bad}");
        }
    }

    #[test]
    fn reading_as_another_type_is_a_bug() {
        let options = read(r#"{"path": "a"}"#).unwrap();
        assert_eq!(options.flag("path").unwrap_err().kind, ErrorKind::Bug);
    }

    #[test]
    fn scalars_of_yaml_become_values() {
        for (kind, text, value) in [
            (OptionKind::Flag, "Y", Value::from(true)),
            (OptionKind::Flag, "off", Value::from(false)),
            (OptionKind::Integer { min: 0, max: 9 }, "7", Value::from(7)),
            (OptionKind::Size { min: 0, max: u64::MAX }, "100 MiB", Value::from(100 << 20)),
            (OptionKind::Size { min: 0, max: u64::MAX }, "2kb", Value::from(2000)),
            (OptionKind::Choice { words: vec!["CEF".to_owned()] }, "cef", Value::from("CEF")),
            (OptionKind::List { of: Box::new(OptionKind::Text) }, "a, b,", Value::from(vec!["a", "b"])),
        ] {
            assert_eq!(kind.parse(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn refusals_say_what_is_taken_and_what_was_found() {
        for (kind, text, problem) in [
            (OptionKind::Flag, "maybe", "must be yes or no, found `maybe`"),
            (
                OptionKind::Integer { min: 1, max: 9 },
                "0",
                "must be a whole number between 1 and 9, found `0`",
            ),
            (OptionKind::Size { min: 1024, max: 1 << 30 }, "5", "must be between 1 KiB and 1 GiB, found 5 B"),
            (
                OptionKind::Size { min: 0, max: 1 },
                "99999999999 GiB",
                "must be a size such as `100 MiB`, found `99999999999 GiB`",
            ),
        ] {
            assert_eq!(kind.parse(text), Err(problem.to_owned()));
        }
    }
}
