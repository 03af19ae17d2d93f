//! The expected values of a line.

use scanbridge_plugin_api::model::ReportStart;
use serde_json::{Value, json};

/// The values that a reader must return for one line.
pub(crate) struct Expected {
    header: Vec<String>,
    extension: Vec<(String, String)>,
}

impl Expected {
    pub(crate) fn new(report: &ReportStart, class: &str, name: &str, severity: &str) -> Self {
        let version = Some(in_header(&report.source.product_version)).filter(|version| !version.is_empty());
        let version = version.unwrap_or_else(|| "unknown".to_owned());
        let header = ["0", "Qualys", "Qualys", &version, &in_header(class), &in_header(name), severity];
        Self { header: header.map(str::to_owned).to_vec(), extension: Vec::new() }
    }

    pub(crate) fn add(&mut self, key: &str, value: &str) {
        let value = in_value(value);
        if !value.is_empty() {
            self.extension.push((key.to_owned(), value));
        }
    }

    pub(crate) fn labeled(&mut self, key: &str, label: &str, value: &str) {
        if !in_value(value).is_empty() {
            self.add(&format!("{key}Label"), label);
            self.add(key, value);
        }
    }

    pub(crate) fn classified(&mut self, category: &str) {
        self.add("deviceSeverity", "3");
        self.add("deviceDomain", "Network");
        self.add("categoryTechnique", category);
    }

    pub(crate) fn origin(&mut self, report: &ReportStart) {
        self.add("oldFilePath", &report.path);
        self.add("externalId", &report.id);
    }

    pub(crate) fn done(self) -> Value {
        json!({ "header": self.header, "extension": self.extension })
    }
}

/// A text without what shows nothing at its ends; empty if it shows nothing.
pub(crate) fn visible(text: &str) -> &str {
    let is_margin = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(
                c,
                '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            )
            || matches!(c, '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}')
            || matches!(c, '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}')
            || matches!(c, '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
    };
    let is_selector = |c: char| matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}');
    let text = text.trim_matches(is_margin);
    if text.chars().all(|c| is_margin(c) || is_selector(c)) { "" } else { text }
}

/// The value that a reader must return for an extension value.
pub(crate) fn in_value(text: &str) -> String {
    let text = visible(text).replace("\r\n", "\n").replace('\r', "\n");
    let clean = |c: char| match c {
        '\n' => '\n',
        '\u{2028}' | '\u{2029}' => ' ',
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => '\u{FFFD}',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().map(clean).collect()
}

/// The value that a reader must return for a header field.
pub(crate) fn in_header(text: &str) -> String {
    in_value(text).replace('\n', " ")
}
