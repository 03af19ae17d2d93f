//! Types of option values, and how values are parsed from the scalars of a settings file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::size::{parse_size, show_size};
use super::spec::ValueSpec;

/// [`ValueSpec`] in the owned form that crosses the ABI as JSON.
///
/// A type of a later version is read as the older type in its key `as`, otherwise as [`OptionKind::Text`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", try_from = "Value")]
// The host is built with this very version, so it may write and match all of it.
#[cfg_attr(not(feature = "host"), non_exhaustive)]
pub enum OptionKind {
    /// Yes or no.
    Flag,
    /// A whole number within these inclusive bounds.
    Integer {
        /// Minimum.
        min: i64,
        /// Maximum.
        max: i64,
    },
    /// A number of bytes within these inclusive bounds.
    Size {
        /// Minimum, in bytes.
        min: u64,
        /// Maximum, in bytes.
        max: u64,
    },
    /// Any text.
    Text,
    /// A path.
    Path,
    /// One of these words.
    Choice {
        /// The words, in display order.
        words: Vec<String>,
    },
    /// Several values.
    List {
        /// The type of each item.
        of: Box<OptionKind>,
    },
}

/// The types of this version as JSON. The members equal those of [`OptionKind`].
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum CurrentKind {
    Flag,
    Integer { min: i64, max: i64 },
    Size { min: u64, max: u64 },
    Text,
    Path,
    Choice { words: Vec<String> },
    List { of: Box<OptionKind> },
}

impl CurrentKind {
    const WORDS: [&str; 7] = ["flag", "integer", "size", "text", "path", "choice", "list"];
}

impl TryFrom<Value> for OptionKind {
    type Error = serde_json::Error;

    fn try_from(mut value: Value) -> Result<Self, serde_json::Error> {
        let is_known =
            |value: &Value| value["type"].as_str().is_some_and(|word| CurrentKind::WORDS.contains(&word));
        if !is_known(&value) && value["type"].is_string() {
            // A type of a later version.
            return match value.get_mut("as").map(Value::take) {
                Some(older) => Self::try_from(older),
                None => Ok(Self::Text),
            };
        }
        Ok(match serde_json::from_value(value)? {
            CurrentKind::Flag => Self::Flag,
            CurrentKind::Integer { min, max } => Self::Integer { min, max },
            CurrentKind::Size { min, max } => Self::Size { min, max },
            CurrentKind::Text => Self::Text,
            CurrentKind::Path => Self::Path,
            CurrentKind::Choice { words } => Self::Choice { words },
            CurrentKind::List { of } => Self::List { of },
        })
    }
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
    /// Parses one scalar of a settings file (its text, without quotes) into the form that crosses the ABI.
    ///
    /// A list also accepts a scalar, which is split at commas; spaces around the items are removed.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the option's name: `must be between 1 and 9, found 0`. The found text
    /// is part of it, so for a secret option the caller shows a different text.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        match self {
            Self::Flag => match text.to_ascii_lowercase().as_str() {
                "y" | "yes" | "true" | "on" => Ok(true.into()),
                "n" | "no" | "false" | "off" => Ok(false.into()),
                _ => Err(format!("must be `yes` or `no`, found `{text}`")),
            },
            Self::Integer { min, max } => match text.parse::<i64>() {
                Ok(number) if (*min..=*max).contains(&number) => Ok(number.into()),
                _ if *max == i64::MAX => {
                    Err(format!("must be a whole number, at least {min}, found `{text}`"))
                }
                _ => Err(format!("must be a whole number between {min} and {max}, found `{text}`")),
            },
            Self::Size { min, max } => match parse_size(text) {
                Some(bytes) if (*min..=*max).contains(&bytes) => Ok(bytes.into()),
                Some(bytes) if *max == u64::MAX => {
                    Err(format!("must be at least {}, found {}", show_size(*min), show_size(bytes)))
                }
                Some(bytes) => Err(format!(
                    "must be between {} and {}, found {}",
                    show_size(*min),
                    show_size(*max),
                    show_size(bytes)
                )),
                None => Err(format!("must be a size such as `100 MiB`, found `{text}`")),
            },
            Self::Path if text.contains('\0') => Err("must not contain a NUL byte".to_owned()),
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

    /// Describes the type in words, for `plugin describe` and the documentation.
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

    /// Whether [`OptionKind::parse`] could have returned `value`.
    pub(super) fn accepts(&self, value: &Value) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn errors_show_the_expected_and_the_found_value() {
        for (kind, text, problem) in [
            (OptionKind::Flag, "maybe", "must be `yes` or `no`, found `maybe`"),
            (
                OptionKind::Integer { min: 1, max: 9 },
                "0",
                "must be a whole number between 1 and 9, found `0`",
            ),
            (
                OptionKind::Integer { min: 1, max: i64::MAX },
                "0",
                "must be a whole number, at least 1, found `0`",
            ),
            (OptionKind::Size { min: 1024, max: u64::MAX }, "5", "must be at least 1 KiB, found 5 B"),
            (
                OptionKind::Size { min: 1024, max: 1 << 50 },
                "2 PiB",
                "must be between 1 KiB and 1 PiB, found 2 PiB",
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
