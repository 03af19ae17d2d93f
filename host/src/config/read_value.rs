//! A value of a settings file, read by the type of its option.

use serde_json::Value;

/// A value, and how it may be shown.
pub(super) struct ReadValue {
    pub(super) value: Value,
    pub(super) references: Vec<String>,
    pub(super) is_credential: bool,
}

impl ReadValue {
    /// One value that consists of several.
    pub(super) fn join(parts: Vec<Self>, value: impl FnOnce(Vec<Value>) -> Value) -> Self {
        let is_credential = parts.iter().any(|part| part.is_credential);
        let (values, references): (Vec<Value>, Vec<Vec<String>>) =
            parts.into_iter().map(|part| (part.value, part.references)).unzip();
        Self { value: value(values), references: references.concat(), is_credential }
    }
}
