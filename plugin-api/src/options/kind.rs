//! Types of option values, and how values are parsed from the scalars of a settings file.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::duration::{parse_duration, show_duration};
use super::endpoint::{Endpoint, EndpointPort};
use super::map::{duplicate, split_pair};
use super::size::{parse_size, show_size};
use super::spec::ValueSpec;
use super::url::{UrlForm, UrlParts};

/// [`ValueSpec`] in the owned form that crosses the ABI as JSON.
///
/// A type of a later version is read as the older type in its key `as`, otherwise as [`OptionKind::Text`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", remote = "Self")]
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
    /// A span of time within these inclusive bounds. Its ABI form is a number of milliseconds.
    Duration {
        /// Minimum, in milliseconds.
        min_ms: u64,
        /// Maximum, in milliseconds.
        max_ms: u64,
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
    /// The address of a network service: an [`Endpoint`]. An empty text counts as not set.
    Endpoint {
        /// Whether it has a port.
        #[serde(default, skip_serializing_if = "EndpointPort::is_required")]
        port: EndpointPort,
    },
    /// A URL without user name and password: [`UrlParts`]. An empty text counts as not set.
    Url {
        /// The schemes that are accepted, in lower case and display order.
        schemes: Vec<String>,
        /// The scheme of a value without `://`; if absent, the scheme is required.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default_scheme: Option<String>,
        /// Whether a path, a query or a fragment may follow.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        path: bool,
    },
    /// Several values.
    List {
        /// The type of each item.
        of: Box<OptionKind>,
    },
    /// Several values, each with a name of its own. Its ABI form is an object.
    Map {
        /// The type of each value.
        of: Box<OptionKind>,
    },
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// The types of this version.
const WORDS: [&str; 11] =
    ["flag", "integer", "size", "duration", "text", "path", "choice", "endpoint", "url", "list", "map"];

impl Serialize for OptionKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for OptionKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let is_later = value["type"].as_str().is_some_and(|word| !WORDS.contains(&word));
        if is_later {
            return match value.get_mut("as").map(Value::take) {
                Some(older) => serde_json::from_value(older).map_err(serde::de::Error::custom),
                None => Ok(Self::Text),
            };
        }
        Self::deserialize(value).map_err(serde::de::Error::custom)
    }
}

impl From<ValueSpec> for OptionKind {
    fn from(spec: ValueSpec) -> Self {
        match spec {
            ValueSpec::Flag => Self::Flag,
            ValueSpec::Integer { min, max } => Self::Integer { min, max },
            ValueSpec::Size { min, max } => Self::Size { min, max },
            ValueSpec::Duration { min_ms, max_ms } => Self::Duration { min_ms, max_ms },
            ValueSpec::Text => Self::Text,
            ValueSpec::Path => Self::Path,
            ValueSpec::Choice(words) => Self::Choice { words: owned(words) },
            ValueSpec::Endpoint(port) => Self::Endpoint { port },
            ValueSpec::Url { schemes, default_scheme, path } => {
                Self::Url { schemes: owned(schemes), default_scheme: default_scheme.map(str::to_owned), path }
            }
            ValueSpec::List(of) => Self::List { of: Box::new(Self::from(*of)) },
            ValueSpec::Map(of) => Self::Map { of: Box::new(Self::from(*of)) },
        }
    }
}

/// The maximum number of words that a message lists.
const MAX_SHOWN_WORDS: usize = 32;

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl OptionKind {
    /// Parses one scalar of a settings file (its text, without quotes) into the form that crosses the ABI.
    ///
    /// A list also accepts a scalar, which is split at commas; spaces around the items are removed. So does a map; its
    /// items are `name=value`. Spaces around an endpoint or URL are removed, and an empty one is accepted: it counts as
    /// not set.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the option's name: `must be between 1 and 9, found 0`. The found text
    /// is part of it, so for a secret option the caller shows a different text.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        match self {
            Self::Endpoint { .. } | Self::Url { .. } if text.trim().is_empty() => Ok("".into()),
            Self::List { of } => items(text).map(|item| of.parse_item(item)).collect(),
            Self::Map { .. } => {
                let mut map = Map::new();
                for item in items(text) {
                    let (name, value) = self.parse_pair(item)?;
                    if map.insert(name.clone(), value).is_some() {
                        return Err(duplicate(&name));
                    }
                }
                Ok(map.into())
            }
            _ => self.parse_item(text),
        }
    }

    /// Parses one `name=value` of a map that is written as a list of texts.
    ///
    /// # Errors
    /// As in [`OptionKind::parse`]; also when this type is not a map.
    pub fn parse_pair(&self, text: &str) -> Result<(String, Value), String> {
        let Self::Map { of } = self else { return Err(format!("must be {}", self.describe())) };
        let (name, value) = split_pair(text)?;
        Ok((name.to_owned(), of.parse_item(value)?))
    }

    /// Parses one item of a list or one value of a map. Unlike [`OptionKind::parse`], it refuses an empty endpoint or
    /// URL.
    ///
    /// # Errors
    /// As in [`OptionKind::parse`].
    pub fn parse_item(&self, text: &str) -> Result<Value, String> {
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
                Some(bytes) => within(bytes, (*min, *max), show_size),
                None => Err(format!("must be a size such as `100 MiB`, found `{text}`")),
            },
            Self::Path if text.contains('\0') => Err("must not contain a NUL byte".to_owned()),
            Self::Text | Self::Path => Ok(text.into()),
            Self::Choice { words } => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                Some(word) => Ok(word.as_str().into()),
                None if words.len() > MAX_SHOWN_WORDS => Err(format!(
                    "must be one of {} words that `plugin describe` lists, found `{text}`",
                    words.len()
                )),
                None => Err(format!("must be one of {}, found `{text}`", words.join(", "))),
            },
            Self::Duration { min_ms, max_ms } => match parse_duration(text.trim()) {
                Some(ms) => within(ms, (*min_ms, *max_ms), show_duration),
                None => Err(format!("must be a duration such as `30 s` or `5 min`, found `{text}`")),
            },
            Self::Endpoint { port } => Endpoint::parse(text.trim(), *port).map(|_| text.trim().into()),
            Self::Url { .. } => self.parse_url(text.trim()).map(|_| text.trim().into()),
            Self::List { .. } | Self::Map { .. } => self.parse(text),
        }
    }

    fn parse_url(&self, text: &str) -> Result<UrlParts, String> {
        let Self::Url { schemes, default_scheme, path } = self else {
            return Err(format!("must be {}", self.describe()));
        };
        UrlParts::parse(text, UrlForm { schemes, default_scheme: default_scheme.as_deref(), path: *path })
    }

    /// The endpoint in a value of this type; `None` for an empty text or another type.
    pub(super) fn endpoint_of(&self, value: &Value) -> Option<Endpoint> {
        let Self::Endpoint { port } = self else { return None };
        Endpoint::parse(value.as_str()?.trim(), *port).ok()
    }

    /// The URL in a value of this type; `None` for an empty text or another type.
    pub(super) fn url_of(&self, value: &Value) -> Option<UrlParts> {
        self.parse_url(value.as_str()?.trim()).ok()
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
            Self::Duration { min_ms, max_ms: u64::MAX } => {
                format!("duration, at least {}", show_duration(*min_ms))
            }
            Self::Duration { min_ms, max_ms } => {
                format!("duration, {} to {}", show_duration(*min_ms), show_duration(*max_ms))
            }
            Self::Text => "text".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Choice { words } => words.join(" | "),
            Self::Endpoint { port } => match port {
                EndpointPort::Required => "host:port".to_owned(),
                EndpointPort::Optional => "host or host:port".to_owned(),
                EndpointPort::Absent => "host name or IP address".to_owned(),
            },
            Self::Url { schemes, .. } => format!("{} URL", schemes.join(" or ")),
            Self::List { of } => format!("list of {}", of.describe()),
            Self::Map { of } => format!("name=value pairs, each value: {}", of.describe()),
        }
    }

    /// Whether `value` is an empty text that counts as not set.
    pub(super) fn is_unset(&self, value: &Value) -> bool {
        matches!(self, Self::Endpoint { .. } | Self::Url { .. })
            && value.as_str().is_some_and(|text| text.trim().is_empty())
    }

    /// What is wrong with a value that this type does not accept: the rest of a sentence that begins with the option's
    /// name. Only the errors of endpoints and URLs give a reason; those of other types name the type.
    pub(super) fn problem(&self, value: &Value) -> String {
        let expected = || format!("is invalid: expected {}", self.describe());
        match (self, value) {
            (Self::Endpoint { .. } | Self::Url { .. }, Value::String(text)) => {
                self.parse_item(text).err().unwrap_or_else(expected)
            }
            (Self::List { of }, Value::Array(items)) => {
                let wrong = items.iter().find(|item| !of.accepts_item(item));
                wrong.map_or_else(expected, |item| of.problem(item))
            }
            _ => expected(),
        }
    }

    /// Whether [`OptionKind::parse`] could have returned `value`.
    #[must_use]
    pub fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Flag => value.is_boolean(),
            Self::Integer { min, max } => value.as_i64().is_some_and(|n| (*min..=*max).contains(&n)),
            Self::Size { min, max } => value.as_u64().is_some_and(|n| (*min..=*max).contains(&n)),
            Self::Duration { min_ms, max_ms } => {
                value.as_u64().is_some_and(|ms| (*min_ms..=*max_ms).contains(&ms))
            }
            Self::Text => value.is_string(),
            Self::Path => value.as_str().is_some_and(|text| !text.contains('\0')),
            Self::Endpoint { .. } | Self::Url { .. } => self.is_unset(value) || self.accepts_item(value),
            Self::Choice { words } => {
                value.as_str().is_some_and(|text| words.iter().any(|word| word == text))
            }
            Self::List { of } => {
                value.as_array().is_some_and(|items| items.iter().all(|item| of.accepts_item(item)))
            }
            Self::Map { of } => {
                value.as_object().is_some_and(|map| map.values().all(|value| of.accepts_item(value)))
            }
        }
    }

    fn accepts_item(&self, value: &Value) -> bool {
        match self {
            Self::Endpoint { .. } => self.endpoint_of(value).is_some(),
            Self::Url { .. } => self.url_of(value).is_some(),
            _ => self.accepts(value),
        }
    }
}

/// The number as a value if it is within these inclusive bounds, otherwise the rest of a sentence.
fn within(number: u64, (min, max): (u64, u64), show: fn(u64) -> String) -> Result<Value, String> {
    match number {
        number if (min..=max).contains(&number) => Ok(number.into()),
        number if max == u64::MAX => Err(format!("must be at least {}, found {}", show(min), show(number))),
        number => Err(format!("must be between {} and {}, found {}", show(min), show(max), show(number))),
    }
}

/// The items of a list in one scalar.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn url() -> OptionKind {
        OptionKind::Url {
            schemes: vec!["http".to_owned(), "https".to_owned()],
            default_scheme: None,
            path: true,
        }
    }

    /// One type of each word.
    fn every_kind() -> Vec<OptionKind> {
        let text = || Box::new(OptionKind::Text);
        vec![
            OptionKind::Flag,
            OptionKind::Integer { min: -9, max: 9 },
            OptionKind::Size { min: 0, max: u64::MAX },
            OptionKind::Duration { min_ms: 0, max_ms: u64::MAX },
            OptionKind::Text,
            OptionKind::Path,
            OptionKind::Choice { words: vec!["a".to_owned()] },
            OptionKind::Endpoint { port: EndpointPort::Optional },
            url(),
            OptionKind::List { of: text() },
            OptionKind::Map { of: text() },
            OptionKind::List { of: Box::new(OptionKind::Endpoint { port: EndpointPort::Required }) },
            OptionKind::Map { of: Box::new(url()) },
        ]
    }

    #[test]
    fn json_form_is_read_again() {
        for (kind, word) in every_kind().into_iter().zip(WORDS) {
            let json = serde_json::to_value(&kind).unwrap();
            assert_eq!(json["type"], word);
            assert_eq!(serde_json::from_value::<OptionKind>(json).unwrap(), kind);
        }
        let read = |json| serde_json::from_value::<OptionKind>(json).unwrap();
        assert_eq!(read(json!({"type": "endpoint"})), OptionKind::Endpoint { port: EndpointPort::Required });
        let https = read(json!({"type": "url", "schemes": ["https"]}));
        let schemes = vec!["https".to_owned()];
        assert_eq!(https, OptionKind::Url { schemes, default_scheme: None, path: true });
    }

    proptest! {
        #[test]
        fn parsed_value_is_accepted(text in "\\PC{0,12}|[a-z0-9:=,. ]{0,20}|https?://[a-z0-9.:/]{0,12}|[0-9]{1,3} ?(s|h|min)") {
            for kind in every_kind() {
                if let Ok(value) = kind.parse(&text) {
                    prop_assert!(kind.accepts(&value), "{:?} {}", kind, value);
                }
            }
        }
    }

    #[test]
    fn empty_endpoint_and_url_count_as_not_set_but_not_as_an_item() {
        for kind in [OptionKind::Endpoint { port: EndpointPort::Required }, url()] {
            assert_eq!(kind.parse(" "), Ok("".into()));
            assert!(kind.accepts(&"".into()));
            assert!(kind.parse_item("").is_err());
            let list = OptionKind::List { of: Box::new(kind) };
            assert!(!list.accepts(&json!([""])));
        }
    }

    #[test]
    fn map_is_read_from_pairs() {
        let map = OptionKind::Map { of: Box::new(OptionKind::Integer { min: 0, max: 9 }) };
        assert_eq!(map.parse("a=1, b = 2,"), Ok(json!({"a": 1, "b": 2})));
        assert_eq!(map.parse_pair("c=3"), Ok(("c".to_owned(), json!(3))));
        for (text, problem) in [
            ("a", "must have the form `name=value`"),
            ("a=1,a=2", "has the name `a` twice"),
            ("a=10", "must be a whole number between 0 and 9, found `10`"),
        ] {
            assert_eq!(map.parse(text), Err(problem.to_owned()));
        }
        assert!(
            map.accepts(&json!({"a": 9})) && !map.accepts(&json!({"a": 10})) && !map.accepts(&json!(["a=1"]))
        );
    }

    #[test]
    fn scalars_of_yaml_become_values() {
        for (kind, text, value) in [
            (OptionKind::Duration { min_ms: 0, max_ms: 9_000 }, "5 s", Value::from(5_000)),
            (OptionKind::Endpoint { port: EndpointPort::Required }, " a:1 ", Value::from("a:1")),
            (url(), "https://a/b", Value::from("https://a/b")),
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
                OptionKind::Duration { min_ms: 1_000, max_ms: 60_000 },
                "2 min",
                "must be between 1 s and 1 min, found 2 min",
            ),
            (
                OptionKind::Duration { min_ms: 1_000, max_ms: u64::MAX },
                "30",
                "must be a duration such as `30 s` or `5 min`, found `30`",
            ),
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
                OptionKind::Choice { words: (0..2).map(|word| format!("w{word}")).collect() },
                "w",
                "must be one of w0, w1, found `w`",
            ),
            (
                OptionKind::Choice { words: (0..33).map(|word| format!("w{word}")).collect() },
                "w",
                "must be one of 33 words that `plugin describe` lists, found `w`",
            ),
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
