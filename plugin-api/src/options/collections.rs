//! Reads lists and maps from the settings of an instance.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::endpoint::Endpoint;
use super::kind::OptionKind;
use super::settings::{Options, is_text};
use super::spec::ValueSpec;
use crate::error::Result;

impl Options {
    /// A list of texts, paths or choices; empty when unset.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn list(&self, name: &str) -> Result<Vec<&str>> {
        self.items(name, is_text, Value::as_str)
    }

    /// A list of choices, as the values that `read` makes of their words; empty when unset.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, has another type, or has a word that `read` does not know.
    pub fn choices<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
        self.items(name, is_choice, |value| value.as_str().and_then(&read))
    }

    /// A list of numbers; empty when unset.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, has another type, or allows values that `T`
    /// cannot represent.
    pub fn integers<T: TryFrom<i64>>(&self, name: &str) -> Result<Vec<T>> {
        self.items(name, is_integer, integer)
    }

    /// A list of sizes in bytes; empty when unset.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn sizes(&self, name: &str) -> Result<Vec<u64>> {
        self.items(name, is_size, Value::as_u64)
    }

    /// A list of spans of time; empty when unset.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn durations(&self, name: &str) -> Result<Vec<Duration>> {
        self.items(name, is_duration, duration)
    }

    /// The addresses of a list of endpoints; empty when unset.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn endpoints(&self, name: &str) -> Result<Vec<Endpoint>> {
        let item = self.spec(name).and_then(|spec| match spec.value {
            ValueSpec::List(of) => Some(OptionKind::from(*of)),
            _ => None,
        });
        let is_endpoint = |kind| matches!(kind, ValueSpec::Endpoint(_));
        self.items(name, is_endpoint, |value| item.as_ref()?.endpoint_of(value))
    }

    /// A map of texts, paths or choices, by name; empty when unset.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn map(&self, name: &str) -> Result<BTreeMap<&str, &str>> {
        self.entries(name, is_text, Value::as_str)
    }

    /// A map of choices, by name, as the values that `read` makes of their words; empty when unset.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, has another type, or has a word that `read` does not know.
    pub fn map_of_choices<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<BTreeMap<&str, T>> {
        self.entries(name, is_choice, |value| value.as_str().and_then(&read))
    }

    /// A map of numbers, by name; empty when unset.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, has another type, or allows values that `T`
    /// cannot represent.
    pub fn map_of_integers<T: TryFrom<i64>>(&self, name: &str) -> Result<BTreeMap<&str, T>> {
        self.entries(name, is_integer, integer)
    }

    /// A map of sizes in bytes, by name; empty when unset.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn map_of_sizes(&self, name: &str) -> Result<BTreeMap<&str, u64>> {
        self.entries(name, is_size, Value::as_u64)
    }

    /// A map of spans of time, by name; empty when unset.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the option, or has another type.
    pub fn map_of_durations(&self, name: &str) -> Result<BTreeMap<&str, Duration>> {
        self.entries(name, is_duration, duration)
    }

    fn items<'a, T>(
        &'a self,
        name: &str,
        is_item: impl Fn(ValueSpec) -> bool,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Vec<T>> {
        let is_list = |kind| matches!(kind, ValueSpec::List(of) if is_item(*of));
        let items = self.get(name, is_list, |value| value.as_array()?.iter().map(&read).collect());
        items.map(Option::unwrap_or_default)
    }

    fn entries<'a, T>(
        &'a self,
        name: &str,
        is_value: impl Fn(ValueSpec) -> bool,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<BTreeMap<&'a str, T>> {
        let is_map = |kind| matches!(kind, ValueSpec::Map(of) if is_value(*of));
        let entry = |(name, value): (&'a String, &'a Value)| Some((name.as_str(), read(value)?));
        let entries = self.get(name, is_map, |value| value.as_object()?.iter().map(entry).collect());
        entries.map(Option::unwrap_or_default)
    }
}

fn is_choice(kind: ValueSpec) -> bool {
    matches!(kind, ValueSpec::Choice(_))
}

fn is_integer(kind: ValueSpec) -> bool {
    matches!(kind, ValueSpec::Integer { .. })
}

fn is_size(kind: ValueSpec) -> bool {
    matches!(kind, ValueSpec::Size { .. })
}

fn is_duration(kind: ValueSpec) -> bool {
    matches!(kind, ValueSpec::Duration { .. })
}

fn integer<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    value.as_i64().and_then(|number| T::try_from(number).ok())
}

fn duration(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, PluginError};
    use crate::options::OptionSpec;

    const COLORS: ValueSpec = ValueSpec::Choice(&["red", "green", "blue"]);
    const PORT: ValueSpec = ValueSpec::Integer { min: 1, max: 65_535 };
    const SIZE: ValueSpec = ValueSpec::Size { min: 1, max: u64::MAX };
    const PAUSE: ValueSpec = ValueSpec::Duration { min_ms: 0, max_ms: 60_000 };

    const TABLE: &[OptionSpec] = &[
        OptionSpec::of("color", COLORS).help("which"),
        OptionSpec::list("colors", &COLORS).help("which"),
        OptionSpec::list("ports", &PORT).help("which"),
        OptionSpec::list("sizes", &SIZE).help("which"),
        OptionSpec::list("pauses", &PAUSE).help("which"),
        OptionSpec::list("names", &ValueSpec::Text).help("which"),
        OptionSpec::map("color_of", &COLORS).help("which"),
        OptionSpec::map("port_of", &PORT).help("which"),
        OptionSpec::map("size_of", &SIZE).help("which"),
        OptionSpec::map("pause_of", &PAUSE).help("which"),
        OptionSpec::map("name_of", &ValueSpec::Text).help("which"),
    ];

    const ALL_SET: &str = r#"{
        "color": "blue", "colors": ["red", "green"], "ports": [1, 443], "sizes": [4096], "pauses": [0, 1500],
        "names": ["x"], "color_of": {"sky": "blue"}, "port_of": {"https": 443}, "size_of": {"page": 4096},
        "pause_of": {"first": 1500}, "name_of": {"a": "b"}
    }"#;

    fn read(json: &str) -> Options {
        Options::read(TABLE, json.as_bytes()).unwrap()
    }

    /// The words that the plugin knows.
    fn number(word: &str) -> Option<u8> {
        [("red", 1), ("green", 2), ("blue", 3)].into_iter().find(|(known, _)| *known == word).map(|(_, n)| n)
    }

    #[test]
    fn lists_and_maps_of_all_kinds_are_read() {
        let options = read(ALL_SET);
        assert_eq!(options.choice("color", number).unwrap(), Some(3));
        assert_eq!(options.choices("colors", number).unwrap(), [1, 2]);
        assert_eq!(options.integers::<u16>("ports").unwrap(), [1, 443]);
        assert_eq!(options.sizes("sizes").unwrap(), [4096]);
        assert_eq!(options.durations("pauses").unwrap(), [Duration::ZERO, Duration::from_millis(1500)]);
        assert_eq!(options.list("names").unwrap(), ["x"]);
        assert_eq!(options.list("colors").unwrap(), ["red", "green"], "a choice is a text, too");
        assert_eq!(options.map_of_choices("color_of", number).unwrap(), BTreeMap::from([("sky", 3)]));
        assert_eq!(options.map_of_integers::<u16>("port_of").unwrap(), BTreeMap::from([("https", 443)]));
        assert_eq!(options.map_of_sizes("size_of").unwrap(), BTreeMap::from([("page", 4096)]));
        let pauses = BTreeMap::from([("first", Duration::from_millis(1500))]);
        assert_eq!(options.map_of_durations("pause_of").unwrap(), pauses);
        assert_eq!(options.map("name_of").unwrap(), BTreeMap::from([("a", "b")]));
    }

    #[test]
    fn unset_lists_and_maps_are_empty() {
        let options = read("{}");
        assert_eq!(options.choice("color", number).unwrap(), None);
        let lengths = [
            options.choices("colors", number).unwrap().len(),
            options.integers::<u16>("ports").unwrap().len(),
            options.sizes("sizes").unwrap().len(),
            options.durations("pauses").unwrap().len(),
            options.list("names").unwrap().len(),
            options.map_of_choices("color_of", number).unwrap().len(),
            options.map_of_integers::<u16>("port_of").unwrap().len(),
            options.map_of_sizes("size_of").unwrap().len(),
            options.map_of_durations("pause_of").unwrap().len(),
            options.map("name_of").unwrap().len(),
        ];
        assert_eq!(lengths, [0; 10]);
    }

    /// Each getter refuses each option of another type, and an option that is not in the table.
    #[test]
    fn other_types_are_bugs_whether_set_or_not() {
        type Getter = fn(&Options, &str) -> Option<PluginError>;
        let getters: [(&str, Getter); 9] = [
            ("color", |options, name| options.choice(name, number).err()),
            ("colors", |options, name| options.choices(name, number).err()),
            ("ports", |options, name| options.integers::<u16>(name).err()),
            ("sizes", |options, name| options.sizes(name).err()),
            ("pauses", |options, name| options.durations(name).err()),
            ("color_of", |options, name| options.map_of_choices(name, number).err()),
            ("port_of", |options, name| options.map_of_integers::<u16>(name).err()),
            ("size_of", |options, name| options.map_of_sizes(name).err()),
            ("pause_of", |options, name| options.map_of_durations(name).err()),
        ];
        for json in ["{}", ALL_SET] {
            let options = read(json);
            for (own, getter) in &getters {
                assert!(getter(&options, own).is_none(), "{own}");
                for name in TABLE.iter().map(|spec| spec.name).chain(["nosuch"]).filter(|name| name != own) {
                    let error =
                        getter(&options, name).unwrap_or_else(|| panic!("{own} reads {name}, {json}"));
                    assert_eq!(error.kind, ErrorKind::Bug, "{own} reads {name}");
                }
            }
        }
    }

    #[test]
    fn word_that_the_plugin_does_not_know_is_a_bug() {
        let options = read(ALL_SET);
        let errors = [
            options.choice("color", |_| None::<u8>).unwrap_err(),
            options.choices("colors", |word| (word == "red").then_some(1)).unwrap_err(),
            options.map_of_choices("color_of", |_| None::<u8>).unwrap_err(),
            options.integers::<u8>("ports").unwrap_err(),
            options.map_of_integers::<u8>("port_of").unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.kind == ErrorKind::Bug), "{errors:?}");
    }
}
