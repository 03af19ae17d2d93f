//! The marks in the stream. Scanner data comes as snapshots: only what stands between a start and a complete
//! end may clear or "fix" anything downstream.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::Schema;

/// A report begins. The stream holds one report at a time: its batches follow, then its [`ReportEnd`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportStart {
    /// The scanner's number for the report or scan, for example `scan/1234567890.12345`; empty if it has none.
    pub id: String,
    /// What kind of report it is: the name of its XML root for the Qualys inputs.
    pub kind: String,
    /// The title that people know it by.
    pub title: String,
    /// When the scan or report was made, in UTC (`2026-01-31T12:00:00Z`); empty if unknown.
    pub time: String,
    /// The file it was read from, or the address it was fetched from without any secret.
    pub path: String,
    /// A word for the content of the source, so that a source that has changed counts as another report: size and time
    /// of a file, the ETag of a download; empty if there is none.
    pub revision: String,
    /// The scanner.
    pub source: ReportSource,
    /// What the settings of the input wish of the outputs.
    pub hints: Hints,
    /// The columns of the batches that follow.
    pub schema: Schema,
}

/// The scanner that a report is from. Outputs name it, and replace only results of the same one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportSource {
    /// Its vendor, for example `Qualys`. Required.
    pub vendor: String,
    /// Its product, for example `Qualys` or `Nessus`. Required.
    pub product: String,
    /// The scheme of the IDs of its definitions, for example `qid`: lower case letters, digits and `-`. Required.
    pub scheme: String,
    /// The version of the product; empty if unknown.
    pub product_version: String,
    /// The name of the appliance or agent that scanned; empty if unknown.
    pub scanner: String,
    /// The name under which results are stored at a destination that keeps them by scanner. Empty means the product.
    pub name: String,
}

impl ReportSource {
    /// A scanner with its required values.
    #[must_use]
    pub fn new(vendor: &str, product: &str, scheme: &str) -> Self {
        Self {
            vendor: vendor.to_owned(),
            product: product.to_owned(),
            scheme: scheme.to_owned(),
            ..Self::default()
        }
    }

    /// The name under which results are stored.
    #[must_use]
    pub fn result_name(&self) -> &str {
        if self.name.is_empty() { &self.product } else { &self.name }
    }

    /// What an input must correct, as the end of a sentence: `a report without ...`; none for a valid value.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.vendor.trim().is_empty() {
            Some("a `source.vendor`")
        } else if self.product.trim().is_empty() {
            Some("a `source.product`")
        } else if self.scheme.is_empty() || !self.scheme.bytes().all(is_word) {
            Some("a `source.scheme` of lower case letters, digits and `-`")
        } else {
            None
        }
    }
}

/// Settings of an input that outputs may follow, by name: `OUTPUT.SETTING`. An option of the output itself takes
/// precedence, and an output ignores names that it does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hints(BTreeMap<String, Value>);

impl Hints {
    /// With this flag, unless it has no value.
    #[must_use]
    pub fn with_flag(mut self, name: &str, value: Option<bool>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), Value::Bool(value));
        }
        self
    }

    /// The flag with this name; none when it is not set or not a flag.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }
}

/// A report ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportEnd {
    /// Whether everything in the report was read. Only then may an output clear what is no longer there.
    pub complete: bool,
    /// Whether outputs shall finish what they wrote of it. Always true for a complete report; true for an
    /// incomplete one only when the operator asked for that. False: outputs take back what they can.
    pub deliver: bool,
    /// Why the report is incomplete, as a sentence for the operator; empty for a complete one.
    pub reason: String,
    /// Addresses (single, or `first-last`) that were scanned and have no findings at all.
    pub clean_assets: Vec<String>,
    /// What the operator should know although nothing failed.
    pub notes: Vec<Note>,
    /// How large the report is at its source, in bytes; 0 if unknown.
    pub bytes: u64,
}

/// Something worth knowing about a report, with how often it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// A sentence in lower case without a full stop: `invalid bytes were replaced`.
    pub text: String,
    /// How often.
    pub count: u64,
}

/// A report that was not delivered at all: of another kind, damaged, still growing, or not readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file or address.
    pub path: String,
    /// Why, with the kind that decides the exit code.
    pub error: crate::PluginError,
    /// Whether it is a report of the right kind that ends too early; it counts as incomplete then.
    pub incomplete: bool,
}

#[cfg(test)]
mod tests {
    use super::{Hints, ReportSource};

    #[test]
    fn source_needs_vendor_product_and_scheme() {
        assert_eq!(ReportSource::new("Acme", "Scan 3", "acme-id").fault(), None);
        for (vendor, product, scheme, part) in [
            ("", "p", "s", "vendor"),
            ("v", " ", "s", "product"),
            ("v", "p", "", "scheme"),
            ("v", "p", "QID", "scheme"),
        ] {
            let fault = ReportSource::new(vendor, product, scheme).fault().unwrap();
            assert!(fault.contains(part), "{fault}");
        }
    }

    #[test]
    fn results_are_stored_under_the_name_or_the_product() {
        let product = ReportSource::new("v", "Product", "s");
        assert_eq!(product.result_name(), "Product");
        assert_eq!(ReportSource { name: "Name".to_owned(), ..product }.result_name(), "Name");
    }

    #[test]
    fn hint_of_another_type_is_not_a_flag() {
        let hints: Hints = serde_json::from_str(r#"{"a.b": true, "c.d": 1}"#).unwrap();
        assert_eq!((hints.flag("a.b"), hints.flag("c.d"), hints.flag("e")), (Some(true), None, None));
    }
}
