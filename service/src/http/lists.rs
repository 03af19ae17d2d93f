//! The lists of stored reports that operators have asked for: a page shows the last one again, so that nothing asks the source
//! unless a person does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Deserialize;

/// A stored report, as `scanbridge reports list` prints it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Report {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) kind: String,
    pub(super) made: Option<String>,
    pub(super) bytes: Option<u64>,
    pub(super) source_state: String,
    pub(super) detail: BTreeMap<String, String>,
    /// `new`, `sent`, `not-ready` or `refused`.
    pub(super) state: String,
    pub(super) sent: Option<String>,
    pub(super) run: Option<u64>,
    pub(super) reason: Option<String>,
}

/// All stored reports of an input, newest first.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) at: Timestamp,
    pub(super) reports: Vec<Report>,
}

/// The names of a pipeline and of its input.
type Place = (String, String);

/// The last list of each input.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists(Arc<Mutex<BTreeMap<Place, Arc<List>>>>);

impl Lists {
    pub(super) fn get(&self, pipeline: &str, input: &str) -> Option<Arc<List>> {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.get(&(pipeline.to_owned(), input.to_owned())).cloned()
    }

    pub(super) fn keep(&self, pipeline: &str, input: &str, reports: Vec<Report>) {
        let list = Arc::new(List { at: Timestamp::now(), reports });
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert((pipeline.to_owned(), input.to_owned()), list);
    }
}

/// Which reports of a list a page shows. Empty texts select everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    pub(super) input: String,
    /// A state, `all`, or empty for those that were not sent.
    pub(super) state: String,
    /// Part of the title or ID; case is ignored.
    pub(super) text: String,
    /// Dates, in UTC.
    pub(super) since: String,
    pub(super) until: String,
    pub(super) page: String,
    /// The job whose result is shown.
    pub(super) job: String,
}

impl Report {
    pub(super) fn is_unsent(&self) -> bool {
        matches!(self.state.as_str(), "new" | "refused")
    }

    pub(super) fn shown_title(&self) -> &str {
        if self.title.is_empty() { &self.id } else { &self.title }
    }
}

impl Filter {
    pub(super) fn selects(&self, report: &Report) -> bool {
        let in_state = match self.state.as_str() {
            "" => report.is_unsent(),
            "all" => true,
            state => report.state == state,
        };
        let text = self.text.trim().to_lowercase();
        let has_text = |of: &str| of.to_lowercase().contains(&text);
        // Times are in RFC 3339 and UTC, so that they compare as texts; those of the last day count.
        let made = report.made.as_deref().unwrap_or_default();
        let is_late_enough = self.since.is_empty() || made >= self.since.as_str();
        let day = made.get(..self.until.len()).unwrap_or(made);
        let is_early_enough = self.until.is_empty() || (!made.is_empty() && day <= self.until.as_str());
        in_state && (has_text(&report.title) || has_text(&report.id)) && is_late_enough && is_early_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_selects_by_state_text_and_days() {
        let report = |id: &str, title: &str, made: Option<&str>, state: &str| Report {
            id: id.to_owned(),
            title: title.to_owned(),
            made: made.map(str::to_owned),
            state: state.to_owned(),
            ..Report::default()
        };
        let reports = [
            report("scan/1", "Weekly EMEA", Some("2026-01-05T22:10:00Z"), "new"),
            report("scan/2", "Weekly APAC", Some("2026-01-06T22:10:00Z"), "sent"),
            report("scan/3", "DMZ", Some("2026-01-07T22:10:00Z"), "refused"),
            report("scan/4", "", None, "not-ready"),
        ];
        let filter = |state: &str, text: &str, since: &str, until: &str| {
            let [state, text, since, until] = [state, text, since, until].map(str::to_owned);
            Filter { state, text, since, until, ..Filter::default() }
        };
        for (filter, expected) in [
            (filter("", "", "", ""), &["scan/1", "scan/3"][..]),
            (filter("all", "", "", ""), &["scan/1", "scan/2", "scan/3", "scan/4"]),
            (filter("sent", "", "", ""), &["scan/2"]),
            (filter("all", " weekly ", "", ""), &["scan/1", "scan/2"]),
            (filter("all", "AN/4", "", ""), &["scan/4"]),
            (filter("all", "", "2026-01-06", ""), &["scan/2", "scan/3"]),
            (filter("all", "", "", "2026-01-06"), &["scan/1", "scan/2"]),
            (filter("all", "", "2026-01-06", "2026-01-06"), &["scan/2"]),
            (filter("odd", "", "", ""), &[]),
        ] {
            let found: Vec<&str> = reports
                .iter()
                .filter(|report| filter.selects(report))
                .map(|report| report.id.as_str())
                .collect();
            assert_eq!(found, expected, "{filter:?}");
        }
    }
}
