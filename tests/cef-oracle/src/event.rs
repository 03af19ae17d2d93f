//! An event, as a judge or the expectation has it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// An event read from a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// Version, vendor, product, version, class id, name, severity.
    pub header: Vec<String>,
    /// Keys and values; in the order of the line where the reader keeps it.
    pub extension: Vec<(String, String)>,
}

impl Event {
    /// Reads a line of the file of expectations.
    pub fn from_json(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| format!("bad expectation: {error}"))
    }

    /// The difference to `other`, if any, ignoring the order of keys.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.header != other.header {
            return Some(format!("header {:?} instead of {:?}", other.header, self.header));
        }
        let (expected, actual) = (by_key(&self.extension), by_key(&other.extension));
        for (key, value) in &expected {
            match actual.get(key) {
                Some(read) if read == value => {}
                Some(read) => return Some(format!("{key} is {read:?} instead of {value:?}")),
                None => return Some(format!("{key} is missing")),
            }
        }
        actual.keys().find(|key| !expected.contains_key(*key)).map(|key| format!("there is a {key}"))
    }
}

fn by_key(pairs: &[(String, String)]) -> BTreeMap<&str, &str> {
    pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}
