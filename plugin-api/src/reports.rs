//! Stored reports of a source that an operator can choose from: what crosses in the table `reports/1`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{PluginError, Result};
use crate::setters::setters;

/// Which stored reports [`Input::list_reports`](crate::Input::list_reports) returns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReportQuery {
    /// Only reports that were made at this time or later, in UTC: `2026-01-31T12:00:00Z`. Empty for all.
    pub since: String,
    /// Only reports that were made before this time. Empty for all.
    pub until: String,
    /// Only reports with this text in their title or ID; case is ignored. Empty for all.
    pub text: String,
    /// Maximum number of entries, up to [`ReportQuery::MAX_LIMIT`]. 0 is the maximum.
    pub limit: u64,
    /// Where the page begins: [`ReportPage::cursor`] of the page before. Empty for the first page.
    pub cursor: String,
}

setters!(ReportQuery {
    texts: with_since(since), with_until(until), with_text(text), with_cursor(cursor);
    values: with_limit(limit: u64);
});

impl ReportQuery {
    /// Maximum number of entries in one page.
    pub const MAX_LIMIT: u64 = 1_000;

    /// Selects and orders the entries of a complete list: newest first; reports without a time are last and are not
    /// selected by a time. For inputs whose source returns all its reports at once. The cursor is the number of entries
    /// before the page, so all pages must come from the same list.
    ///
    /// # Errors
    /// When the cursor is not from such a page.
    pub fn page(&self, mut entries: Vec<ReportEntry>) -> Result<ReportPage> {
        let text = self.text.to_lowercase();
        let is_in = |entry: &ReportEntry| {
            let is_timed = self.since.is_empty() && self.until.is_empty() || !entry.made.is_empty();
            is_timed
                && entry.made >= self.since
                && (self.until.is_empty() || entry.made < self.until)
                && (entry.title.to_lowercase().contains(&text) || entry.id.to_lowercase().contains(&text))
        };
        entries.retain(is_in);
        entries.sort_by(|a, b| (&b.made, &a.id).cmp(&(&a.made, &b.id)));
        let skipped = if self.cursor.is_empty() { Ok(0) } else { self.cursor.parse::<usize>() };
        let skipped = skipped.map_err(|_| {
            PluginError::bug(format!("the cursor `{}` is not from a list of reports", self.cursor))
        })?;
        let total = entries.len();
        let limit = if self.limit == 0 { Self::MAX_LIMIT } else { self.limit.min(Self::MAX_LIMIT) };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let entries: Vec<ReportEntry> = entries.into_iter().skip(skipped).take(limit).collect();
        let next = skipped + entries.len();
        let cursor = if next < total { next.to_string() } else { String::new() };
        Ok(ReportPage { entries, cursor, total: total as u64 })
    }
}

/// One stored report of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReportEntry {
    /// Identifies the report at this input, now and later: `ReportStart.id`, or for files `ReportStart.path`.
    pub id: String,
    /// The title.
    pub title: String,
    /// What it is, as in `ReportStart.kind`.
    pub kind: String,
    /// When it was made, in UTC: `2026-01-31T12:00:00Z`. Empty if the source does not say so.
    pub made: String,
    /// Its size in bytes, if the source says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Its state in the word of the source: `Finished`.
    pub source_state: String,
    /// Whether it can be delivered now.
    pub ready: bool,
    /// Whether this input has delivered it, or it was marked as delivered.
    pub delivered: bool,
    /// What else helps to choose, by name: owner, targets, type. At most [`ReportEntry::MAX_DETAILS`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
}

setters!(ReportEntry {
    texts: with_kind(kind), with_made(made), with_source_state(source_state);
    values: with_bytes(bytes: Option<u64>), with_ready(ready: bool), with_delivered(delivered: bool);
});

impl ReportEntry {
    /// Maximum number of details.
    pub const MAX_DETAILS: usize = 8;

    /// A report that can be delivered.
    #[must_use]
    pub fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self { id: id.into(), title: title.into(), ready: true, ..Self::default() }
    }

    /// Adds a detail, unless its text is empty or there are [`ReportEntry::MAX_DETAILS`] already.
    #[must_use]
    pub fn with_detail(mut self, name: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() && self.detail.len() < Self::MAX_DETAILS {
            self.detail.insert(name.to_owned(), text);
        }
        self
    }
}

/// A part of the list of stored reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReportPage {
    /// The reports, newest first.
    pub entries: Vec<ReportEntry>,
    /// Where the next page begins, in a format private to the input. Empty for the last page.
    pub cursor: String,
    /// Number of reports on all pages.
    pub total: u64,
}

/// The reports that a run delivers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReportChoice {
    /// IDs of stored reports, each once, in the order of delivery.
    pub ids: Vec<String>,
    /// Whether to deliver reports that were delivered before.
    pub again: bool,
}

impl ReportChoice {
    /// These reports.
    #[must_use]
    pub fn new(ids: Vec<String>, again: bool) -> Self {
        Self { ids, again }
    }
}

/// Reports that count as delivered from now on, or no longer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReportMarks {
    /// IDs of stored reports.
    pub ids: Vec<String>,
    /// Whether they count as delivered.
    pub delivered: bool,
}

impl ReportMarks {
    /// These reports count as delivered, or no longer.
    #[must_use]
    pub fn new(ids: Vec<String>, delivered: bool) -> Self {
        Self { ids, delivered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, title: &str, made: &str) -> ReportEntry {
        ReportEntry::new(id, title).with_made(made)
    }

    fn ids(page: &ReportPage) -> String {
        page.entries.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn page_is_selected_newest_first() {
        let entries = || {
            vec![
                entry("scan/1", "Weekly EMEA", "2026-01-01T00:00:00Z"),
                entry("scan/3", "weekly APAC", "2026-03-01T00:00:00Z"),
                entry("scan/2", "Daily", "2026-03-01T00:00:00Z"),
                entry("scan/4", "WEEKLY of an unknown time", ""),
            ]
        };
        let all = ReportQuery::default();
        for (query, expected) in [
            (all.clone(), "scan/2 scan/3 scan/1 scan/4"),
            (all.clone().with_text("weekLY"), "scan/3 scan/1 scan/4"),
            (all.clone().with_text("SCAN/2"), "scan/2"),
            (all.clone().with_since("2026-03-01T00:00:00Z"), "scan/2 scan/3"),
            (all.clone().with_until("2026-03-01T00:00:00Z"), "scan/1"),
            (all.clone().with_until("2026-01-01T00:00:00Z"), ""),
        ] {
            let page = query.page(entries()).unwrap();
            assert_eq!(ids(&page), expected, "{query:?}");
            assert_eq!((page.total, page.cursor.as_str()), (page.entries.len() as u64, ""));
        }
        let first = all.clone().with_limit(3).page(entries()).unwrap();
        assert_eq!((ids(&first).as_str(), first.total), ("scan/2 scan/3 scan/1", 4));
        let second = all.clone().with_limit(3).with_cursor(first.cursor).page(entries()).unwrap();
        assert_eq!((ids(&second).as_str(), second.cursor.as_str()), ("scan/4", ""));
        assert!(all.with_cursor("next").page(entries()).is_err());
    }

    #[test]
    fn empty_and_surplus_details_are_left_out() {
        let entry = (0..20).fold(ReportEntry::new("1", ""), |entry, n| {
            entry.with_detail(&format!("detail {n:02}"), if n == 0 { "" } else { "text" })
        });
        assert_eq!(entry.detail.len(), ReportEntry::MAX_DETAILS);
        assert!(!entry.detail.contains_key("detail 00"));
    }
}
