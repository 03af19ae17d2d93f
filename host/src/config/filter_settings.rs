//! Reads and checks a `filter:`.

use scanbridge_plugin_api::model::{FindingKind, FindingStatus, Severity};

use super::checker::Checker;
use super::conditions::Statuses;
use super::exclude::Exclude;
use super::fields::Fields;
use super::filter::Filter;
use super::host_options::{keys, keys_of_section};
use super::host_table::Scope;
use super::ranges::{AddressRanges, Ranges, read_addresses, read_qids};
use super::source::Span;
use super::suggestion::nearest;
use super::tree::Node;

impl Checker<'_> {
    /// Reads a filter. Invalid conditions are reported and omitted.
    pub(super) fn filter(&mut self, node: &Node) -> Filter {
        let fields = Fields::read(&mut self.collector, node, "the filter", &keys(Scope::Filter), |_| None);
        Filter {
            min_severity: fields.get("min_severity").and_then(|node| self.min_severity(node)),
            kinds: fields.get("kinds").map(|node| self.kinds(node)),
            qids: fields.get("qids").map(|node| Ranges::of(self.entries(node, "qids", read_qids))),
            statuses: fields.get("statuses").map(|node| self.statuses(node)),
            ip_ranges: fields
                .get("ip_ranges")
                .map(|node| AddressRanges::of(&self.entries(node, "ip_ranges", read_addresses))),
            exclude: fields.get("exclude").map(|node| self.exclude(node)),
        }
    }

    /// Reads the same conditions, except the minimum severity, for findings that do not pass.
    fn exclude(&mut self, node: &Node) -> Exclude {
        let known = keys_of_section(Scope::Filter, "exclude");
        let fields = Fields::read(&mut self.collector, node, "`exclude`", &known, |_| None);
        Exclude {
            kinds: fields.get("kinds").map(|node| self.kinds(node)).unwrap_or_default(),
            qids: fields
                .get("qids")
                .map(|node| Ranges::of(self.entries(node, "qids", read_qids)))
                .unwrap_or_default(),
            statuses: fields.get("statuses").map(|node| self.statuses(node)).unwrap_or_default(),
            ip_ranges: fields
                .get("ip_ranges")
                .map(|node| AddressRanges::of(&self.entries(node, "ip_ranges", read_addresses)))
                .unwrap_or_default(),
        }
    }

    fn min_severity(&mut self, node: &Node) -> Option<Severity> {
        let text = self.text(node, "min_severity")?.text;
        let severity = Severity::from_text(&text);
        if severity.is_none() {
            self.invalid_item(
                &node.span,
                format!("`min_severity` must be between 1 and 5, found `{text}`"),
                None,
            );
        }
        severity
    }

    fn kinds(&mut self, node: &Node) -> Vec<FindingKind> {
        let words = FindingKind::ALL.map(FindingKind::word);
        let mut kinds = Vec::new();
        for (word, at) in self.items(node, "kinds") {
            match FindingKind::from_word(&word.to_lowercase()) {
                Some(kind) => kinds.push(kind),
                None => self.unknown_word(&at.span, "kind of finding", &word, &words),
            }
        }
        kinds
    }

    fn statuses(&mut self, node: &Node) -> Statuses {
        let mut statuses = Statuses::default();
        for (word, at) in self.items(node, "statuses") {
            if !statuses.insert(&word) {
                self.unknown_word(&at.span, "status", &word, &FindingStatus::ALL.map(FindingStatus::word));
            }
        }
        statuses
    }

    fn entries<T>(&mut self, node: &Node, key: &str, read: fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut entries = Vec::new();
        for (item, at) in self.items(node, key) {
            match read(&item) {
                Ok(entry) => entries.push(entry),
                Err(problem) => self.invalid_item(&at.span, format!("`{key}`: {problem}"), None),
            }
        }
        entries
    }

    fn unknown_word(&mut self, at: &Span, what: &str, word: &str, known: &[&str]) {
        let near = nearest(word, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        self.invalid_item(at, format!("unknown {what} `{word}`; expected one of {}", known.join(", ")), near);
    }

    fn invalid_item(&mut self, at: &Span, message: String, label: Option<String>) {
        self.collector.error("bad-value", at, message).label(label.unwrap_or_default());
    }
}
