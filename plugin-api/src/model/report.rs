//! Start and end of reports. Scanner data are snapshots: an output may delete or close a finding downstream only
//! after the end of a complete report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AddressRange;
use crate::batch::Schema;
use crate::setters::setters;

/// The start of a report. Reports do not overlap: the batches of this one follow, then its [`ReportEnd`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReportStart {
    /// The scanner's ID of the report or scan, for example `scan/1234567890.12345`; empty if it has none.
    pub id: String,
    /// The kind of report. The Qualys inputs use the name of the XML root element.
    pub kind: String,
    /// The title.
    pub title: String,
    /// Time of the scan or report, in UTC (`2026-01-31T12:00:00Z`); empty if unknown.
    pub time: String,
    /// The path of the file, or the URL without secrets.
    pub path: String,
    /// Identifies the version of the source's content: a changed source is another report. For example size and time
    /// of a file, or the ETag of a download; empty if there is none.
    pub revision: String,
    /// The scanner.
    pub source: ReportSource,
    /// Settings of the input that outputs may follow.
    pub hints: Hints,
    /// The columns of the batches that follow.
    pub schema: Schema,
    /// The scanner's status of the scan, for example `FINISHED`; empty if unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The version of the vulnerability signatures; empty if unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signature_version: String,
    /// Number of assets that answered the scan, as the report declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assets_alive: Option<u64>,
    /// Number of assets that were to be scanned, as the report declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assets_total: Option<u64>,
    /// Duration of the scan, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_secs: Option<u64>,
    /// The key with which the host has encrypted fields for this output: identity and version, `soc-emea/1`; empty if
    /// nothing is encrypted. Inputs leave it empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub encryption: String,
    /// More about the report, in the order of the source: `option_profile`, `asset_group` …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<ReportDetail>,
}

setters!(ReportStart {
    texts: with_id(id), with_kind(kind), with_title(title), with_time(time), with_path(path),
        with_revision(revision), with_status(status), with_signature_version(signature_version),
        with_encryption(encryption);
    values: with_source(source: ReportSource), with_hints(hints: Hints), with_schema(schema: Schema),
        with_assets_alive(assets_alive: Option<u64>), with_assets_total(assets_total: Option<u64>),
        with_duration_secs(duration_secs: Option<u64>), with_details(details: Vec<ReportDetail>);
});

/// A detail of a report that has no field of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReportDetail {
    /// Its name, lower case with underscores.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl ReportDetail {
    /// A detail with this name and value.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// The scanner of a report. Outputs that keep results per scanner replace only results of the same scanner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
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
    /// The name under which a destination stores the results, if it stores them per scanner. Empty means the product.
    pub name: String,
}

setters!(ReportSource {
    texts: with_vendor(vendor), with_product(product), with_scheme(scheme),
        with_product_version(product_version), with_scanner(scanner), with_name(name);
});

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

    /// What the input must correct, as the end of a sentence: `a report without ...`. `None` for a valid value.
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

/// Settings of an input that outputs may follow, named `OUTPUT.SETTING`. An option of the output itself takes
/// precedence. Outputs ignore unknown names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hints(BTreeMap<String, Value>);

impl Hints {
    /// Adds this flag, unless it has no value.
    #[must_use]
    pub fn with_flag(mut self, name: &str, value: Option<bool>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), Value::Bool(value));
        }
        self
    }

    /// The flag with this name. `None` if it is not set or not a flag.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }
}

/// The end of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReportEnd {
    /// Whether the report was read completely. Only then may an output delete findings that it no longer contains.
    pub complete: bool,
    /// Whether outputs must deliver the report. Always true for a complete report. True for an incomplete one only if
    /// the operator configured that. If false, outputs roll back what they have not delivered yet.
    pub deliver: bool,
    /// Why the report is incomplete, as a message for the operator; empty for a complete one.
    pub reason: String,
    /// Addresses that were scanned and have no findings.
    pub clean_assets: Vec<AddressRange>,
    /// Warnings for the operator.
    pub notes: Vec<Note>,
    /// Size of the report at its source, in bytes; 0 if unknown.
    pub bytes: u64,
}

setters!(ReportEnd {
    texts: with_reason(reason);
    values: with_complete(complete: bool), with_deliver(deliver: bool),
        with_clean_assets(clean_assets: Vec<AddressRange>), with_notes(notes: Vec<Note>), with_bytes(bytes: u64);
});

/// A warning about a report, with its number of occurrences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Note {
    /// The message, in lower case without a full stop: `invalid bytes were replaced`.
    pub text: String,
    /// Number of occurrences.
    pub count: u64,
}

impl Note {
    /// This message, with its number of occurrences.
    pub fn new(text: impl Into<String>, count: u64) -> Self {
        Self { text: text.into(), count }
    }
}

/// A report that was not read: of another kind, damaged, incomplete, or not readable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The path or URL.
    pub path: String,
    /// The reason. Its kind determines the exit code.
    pub error: crate::PluginError,
    /// Whether it is a truncated report of the right kind. Then it counts as incomplete.
    pub incomplete: bool,
    /// Whether an earlier run refused it and it has not changed. The host then counts it, but reports no failure.
    pub known: bool,
    /// Whether there is no such report, or nothing where reports are expected.
    pub missing: bool,
}

impl Refusal {
    /// The path or URL, and the reason.
    pub fn new(path: impl Into<String>, error: crate::PluginError) -> Self {
        Self { path: path.into(), error, incomplete: false, known: false, missing: false }
    }
}

setters!(Refusal {
    values: with_incomplete(incomplete: bool), with_known(known: bool), with_missing(missing: bool);
});

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
        assert_eq!(hints.flag("a.b"), Some(true));
        assert_eq!(hints.flag("c.d"), None);
        assert_eq!(hints.flag("e"), None);
    }
}
