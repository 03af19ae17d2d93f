//! Compares what an output has done with what a test expects of it.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::config::Expectation;
use crate::pipeline::OutputSummary;

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Unmet {
    /// The output; `None` for the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<String>,
    /// The key in the test file.
    pub(crate) key: &'static str,
    /// What is expected.
    pub(crate) expected: Value,
    /// What was found. For a text that is missing, the line that is most similar.
    pub(crate) found: Value,
}

impl Unmet {
    /// The run has ended with another exit code.
    pub(super) fn of_run(expected: u8, found: u8) -> Self {
        Self { output: None, key: "exit_code", expected: expected.into(), found: found.into() }
    }
}

/// What an output has written and counted.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Its summary; null if the run was not started.
    counts: Value,
    /// The text of its files.
    text: String,
}

impl Found {
    pub(super) fn read(summary: Option<&OutputSummary>, files: &[PathBuf]) -> io::Result<Self> {
        let mut found = Self::default();
        if let Some(summary) = summary {
            found.counts = serde_json::to_value(summary)?;
        }
        for file in files {
            found.text += &String::from_utf8_lossy(&fs::read(file)?);
        }
        Ok(found)
    }

    /// What is not as expected.
    pub(super) fn unmet(&self, output: &str, expected: &Expectation) -> Vec<Unmet> {
        let unmet = |key, expected, found| Unmet { output: Some(output.to_owned()), key, expected, found };
        let mut failed = Vec::new();
        for (key, count) in &expected.counts {
            if self.counts[key] != *count {
                failed.push(unmet(key, (*count).into(), self.counts[key].clone()));
            }
        }
        for text in expected.contains.iter().filter(|text| !self.text.contains(*text)) {
            failed.push(unmet("contains", text.as_str().into(), self.nearest_line(text).into()));
        }
        for text in &expected.lacks {
            if let Some(line) = self.text.lines().find(|line| line.contains(text)) {
                failed.push(unmet("lacks", text.as_str().into(), excerpt(line, text).into()));
            }
        }
        failed
    }

    /// The line with the longest beginning of this text, or the first line.
    fn nearest_line(&self, text: &str) -> Option<String> {
        let beginnings = text.char_indices().map(|(end, _)| &text[..end]).skip(1);
        let beginnings: Vec<&str> = beginnings.collect();
        let found = beginnings.into_iter().rev().find_map(|beginning| {
            let line = self.text.lines().find(|line| line.contains(beginning))?;
            Some(excerpt(line, beginning))
        });
        found.or_else(|| self.text.lines().next().map(|line| excerpt(line, "")))
    }
}

/// The part of a line around a text that it contains.
fn excerpt(line: &str, text: &str) -> String {
    let at = line.find(text).unwrap_or_default();
    let start = (0..=at.saturating_sub(BEFORE)).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    let shown: String = line[start..].chars().take(SHOWN).collect();
    let [before, after] =
        [start > 0, start + shown.len() < line.len()].map(|is_cut| if is_cut { "…" } else { "" });
    format!("{before}{shown}{after}")
}

/// Length of an excerpt, in characters.
const SHOWN: usize = 160;
/// Length of the part before the text that was found, in bytes.
const BEFORE: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_text_is_shown_with_the_most_similar_line() {
        let text = format!("first line\n{} dst=192.0.2.17 dpt=443 {}\nlast", "x".repeat(60), "y".repeat(300));
        let found = Found { counts: serde_json::json!({ "records": 3 }), text };
        let expected = Expectation {
            counts: vec![("records", 4), ("derived", 0)],
            contains: vec!["dst=192.0.2.9".to_owned(), "last".to_owned(), "§".to_owned()],
            lacks: vec!["dpt=443".to_owned(), "secret".to_owned()],
        };
        let failed = found.unmet("siem", &expected);
        let shown: Vec<String> =
            failed.iter().map(|unmet| format!("{} {} {}", unmet.key, unmet.expected, unmet.found)).collect();
        assert_eq!(shown[..2], ["records 4 3", "derived 0 null"]);
        assert!(shown[2].starts_with("contains \"dst=192.0.2.9\" \"…xxxx"), "{}", shown[2]);
        assert!(shown[2].contains("dst=192.0.2.17") && shown[2].ends_with("y…\""), "{}", shown[2]);
        assert_eq!(shown[3], "contains \"§\" \"first line\"");
        assert!(
            shown[4].starts_with("lacks \"dpt=443\" \"…") && shown[4].contains("dpt=443"),
            "{}",
            shown[4]
        );
        assert_eq!(shown.len(), 5);
    }
}
