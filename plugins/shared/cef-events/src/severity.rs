//! Mapping of the scanner's severity to words and numbers.

use scanbridge_plugin_api::model::Severity;

/// Format of the severity in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeverityStyle {
    /// 0 to 10.
    Number,
    /// `Low`, `Medium`, `High`, `Very-High`, `Unknown`.
    Word,
}

/// The severity in the header. The numbers are in the ranges that the words name, and distinguish 3 and 4
/// although both are `High`.
pub(crate) fn agent(severity: Option<Severity>, style: SeverityStyle) -> &'static str {
    let (number, word) = match severity.map(Severity::number) {
        Some(5) => ("10", "Very-High"),
        Some(4) => ("8", "High"),
        Some(3) => ("7", "High"),
        Some(2) => ("5", "Medium"),
        Some(1) => ("3", "Low"),
        _ => ("0", "Unknown"),
    };
    match style {
        SeverityStyle::Number => number,
        SeverityStyle::Word => word,
    }
}

/// The word of `deviceSeverity` in the tables Infos and Practices.
pub(crate) fn device_word(severity: Severity) -> &'static str {
    match severity.number() {
        5 => "Urgent",
        4 => "Critical",
        3 => "Serious",
        2 => "Medium",
        _ => "Minimal",
    }
}
