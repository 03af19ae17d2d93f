//! What a filter includes and what it excludes have in common: statuses, QIDs.

use scanbridge_plugin_api::batch::FindingView;
use scanbridge_plugin_api::model::FindingStatus;

/// The QID of a finding; `None` if its ID has another scheme.
pub(super) fn qid(finding: &FindingView<'_>) -> Option<u32> {
    finding.definition().qid()?.parse().ok()
}

/// A set of finding statuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statuses(u8);

impl Statuses {
    /// Statuses of findings that are no longer open.
    const CLOSED: [FindingStatus; 3] =
        [FindingStatus::Fixed, FindingStatus::Ignored, FindingStatus::Disabled];

    /// Adds a status by its word, ignoring case. Returns false when the status is unknown.
    pub fn insert(&mut self, word: &str) -> bool {
        let mut statuses = FindingStatus::ALL.into_iter();
        let status = statuses.find(|status| status.word().eq_ignore_ascii_case(word));
        self.0 |= status.map_or(0, Self::bit);
        status.is_some()
    }

    /// Whether a finding with this status passes. A finding without a status (information gathered, reports
    /// of single scans) is current: it passes unless all statuses in the set are of closed findings.
    #[must_use]
    pub fn admit(self, status: Option<FindingStatus>) -> bool {
        let closed = Self::CLOSED.into_iter().fold(0, |bits, status| bits | Self::bit(status));
        self.0 & status.map_or(!closed, Self::bit) != 0
    }

    /// The statuses in the set.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let statuses = FindingStatus::ALL.into_iter();
        statuses.filter(move |status| self.0 & Self::bit(*status) != 0).map(FindingStatus::word)
    }

    fn bit(status: FindingStatus) -> u8 {
        1 << status as u8
    }
}
