//! What a conversion of old settings did with each of them.

use std::fmt::Write as _;

use super::draft::Draft;
use crate::telemetry::without_controls;

/// The product whose settings are converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldSettings {
    /// The Qualys Connector of 2014.
    QualysConnector,
    /// The SmartConnector for QualysGuard File.
    SmartConnector,
}

impl OldSettings {
    /// The words of the command line.
    pub(crate) const WORDS: [(&str, Self); 2] =
        [("qualys-connector", Self::QualysConnector), ("smartconnector", Self::SmartConnector)];
}

/// A pipeline made of old settings, and what was done with each of them.
pub(crate) struct Conversion {
    pub(crate) draft: Draft,
    pub(crate) lines: Vec<Line>,
}

/// What was done with one old setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(super) treatment: Treatment,
    /// The old key, or where it is.
    pub(super) old: String,
    /// The new key; empty if there is none.
    pub(super) new: String,
    /// Why, or what to do instead; may be empty. Has no secret.
    pub(super) note: String,
}

/// What was done with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Treatment {
    TakenOver,
    Changed,
    LeftOut,
    Asked,
}

impl Treatment {
    const ALL: [(Self, &'static str); 4] = [
        (Self::TakenOver, "Taken over"),
        (Self::Changed, "Changed"),
        (Self::LeftOut, "Not taken over"),
        (Self::Asked, "To be answered"),
    ];
}

impl Conversion {
    pub(super) fn add(&mut self, treatment: Treatment, old: &str, new: &str, note: &str) {
        let [old, new, note] = [old, new, note].map(|text| without_controls(text).into_owned());
        self.lines.push(Line { treatment, old, new, note });
    }
}

/// The report of a conversion.
pub(crate) fn show_conversion(conversion: &Conversion) -> String {
    let mut text = String::new();
    let width = conversion.lines.iter().map(|line| line.old.chars().count()).max().unwrap_or(0).min(40);
    for (treatment, heading) in Treatment::ALL {
        let lines: Vec<&Line> = conversion.lines.iter().filter(|line| line.treatment == treatment).collect();
        if lines.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{heading} ({}):", lines.len());
        for Line { old, new, note, .. } in lines {
            let new = if new.is_empty() { String::new() } else { format!(" -> {new}") };
            let note = if note.is_empty() { String::new() } else { format!("  ({note})") };
            let _ = writeln!(text, "  {old:width$}{new}{note}");
        }
    }
    text
}
