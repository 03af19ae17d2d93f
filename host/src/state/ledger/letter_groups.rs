//! Dead letters by rejection reason.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::state::dead_letter::DeadLetter;

/// The dead letters with one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LetterGroup {
    /// The reason.
    pub reason: String,
    /// Number of dead letters.
    pub letters: u64,
    /// When one of them was rejected first, in UTC.
    pub first: String,
    /// When the last attempt of one of them failed, in UTC.
    pub last: String,
    /// The most attempts of one of them.
    pub attempts: u32,
}

/// Dead letters by reason. Memory is bounded: reasons can contain values, so their number is not.
#[derive(Debug, Default)]
pub struct LetterGroups {
    groups: BTreeMap<String, LetterGroup>,
    /// Those with any further reason.
    others: LetterGroup,
}

/// Maximum number of different reasons.
const MAX_REASONS: usize = 1_000;

impl LetterGroups {
    /// Adds a dead letter to the group of its reason.
    pub fn add(&mut self, letter: &DeadLetter) {
        let has_room = self.groups.len() < MAX_REASONS || self.groups.contains_key(&letter.reason);
        let group =
            if has_room { self.groups.entry(letter.reason.clone()).or_default() } else { &mut self.others };
        group.letters += 1;
        group.attempts = group.attempts.max(letter.attempts);
        if group.first.is_empty() || letter.first() < group.first.as_str() {
            letter.first().clone_into(&mut group.first);
        }
        if letter.time > group.last {
            letter.time.clone_into(&mut group.last);
        }
    }

    /// The groups, the largest first. The last one may be that of all further reasons.
    #[must_use]
    pub fn finish(self) -> Vec<LetterGroup> {
        let named = self.groups.into_iter().map(|(reason, group)| LetterGroup { reason, ..group });
        let mut groups: Vec<LetterGroup> = named.collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.letters));
        if self.others.letters > 0 {
            groups.push(LetterGroup { reason: "other reasons".to_owned(), ..self.others });
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Record, ReportRecord, Stage};

    #[test]
    fn number_of_groups_is_bounded_and_no_letter_is_left_out() {
        let letter = |number: usize, reason: String| DeadLetter {
            stage: Stage::Output { output: "siem".to_owned() },
            run: 1,
            first: format!("2026-01-{:02}", 1 + number % 28),
            time: format!("2026-02-{:02}", 1 + number % 28),
            reason,
            attempts: 1 + number as u32 % 7,
            report: ReportRecord::default(),
            encryption: String::new(),
            record: Record::default(),
        };
        let mut groups = LetterGroups::default();
        for number in 0..2 * MAX_REASONS {
            groups.add(&letter(number, format!("value {number} is too long")));
            groups.add(&letter(number, "rejected".to_owned()));
        }
        let groups = groups.finish();
        assert_eq!(groups.len(), MAX_REASONS + 1);
        assert_eq!(groups.iter().map(|group| group.letters).sum::<u64>(), 4 * MAX_REASONS as u64);
        let first = &groups[0];
        assert_eq!((first.reason.as_str(), first.attempts), ("rejected", 7));
        assert_eq!((first.first.as_str(), first.last.as_str()), ("2026-01-01", "2026-02-28"));
        assert_eq!(groups.last().unwrap().reason, "other reasons");
    }
}
