//! Which dead letters a command concerns.

use super::dead_letter::DeadLetter;

/// Conditions for dead letters; all that are set must be met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// A part of the rejection reason.
    pub reason: Option<String>,
    /// The ID of the definition, for example a QID.
    pub definition: Option<String>,
    /// The [`DeadLetter::id`].
    pub id: Option<String>,
    /// The last attempt was before this time, in UTC, in the format of the state.
    pub before: Option<String>,
}

impl LetterFilter {
    /// Whether no condition is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the dead letter with this number meets all conditions.
    #[must_use]
    pub fn matches(&self, number: u64, letter: &DeadLetter) -> bool {
        let Self { reason, definition, id, before } = self;
        reason.as_ref().is_none_or(|reason| letter.reason.contains(reason))
            && definition.as_ref().is_none_or(|id| letter.record.definition.get("id") == Some(id))
            && id.as_ref().is_none_or(|id| *id == letter.id(number))
            && before.as_ref().is_none_or(|before| letter.time < *before)
    }

    /// Like [`LetterFilter::matches`], for a dead letter as JSON. A corrupt one matches only if no condition is set.
    pub(super) fn matches_json(&self, number: u64, letter: &[u8]) -> bool {
        self.is_empty() || serde_json::from_slice(letter).is_ok_and(|letter| self.matches(number, &letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Record, ReportRecord, Stage};

    #[test]
    fn all_conditions_must_be_met() {
        let definition = [("id".to_owned(), "38170".to_owned())].into();
        let letter = DeadLetter {
            stage: Stage::Output { output: "siem".to_owned() },
            run: 1,
            first: String::new(),
            time: "2026-01-31T12:00:00Z".to_owned(),
            reason: "value of cs1 is too long".to_owned(),
            attempts: 1,
            report: ReportRecord::default(),
            encryption: String::new(),
            record: Record { definition, ..Record::default() },
        };
        let set = |text: &str| Some(text.to_owned());
        let none = LetterFilter::default();
        assert!(none.is_empty() && none.matches(1, &letter) && none.matches_json(1, b"corrupt"));
        for (filter, matches) in [
            (LetterFilter { reason: set("cs1"), ..none.clone() }, true),
            (LetterFilter { reason: set("cs2"), ..none.clone() }, false),
            (LetterFilter { definition: set("38170"), ..none.clone() }, true),
            (LetterFilter { definition: set("3817"), ..none.clone() }, false),
            (LetterFilter { id: Some(letter.id(1)), ..none.clone() }, true),
            (LetterFilter { id: set("1"), ..none.clone() }, false),
            (LetterFilter { before: set("2026-01-31T12:00:01Z"), ..none.clone() }, true),
            (LetterFilter { before: set("2026-01-31T12:00:00Z"), ..none.clone() }, false),
            (LetterFilter { reason: set("cs1"), definition: set("1"), ..none.clone() }, false),
        ] {
            assert_eq!(filter.matches(1, &letter), matches, "{filter:?}");
            assert_eq!(filter.matches_json(1, &letter.to_json()), matches, "{filter:?}");
            assert!(!filter.matches_json(1, b"corrupt"));
        }
    }
}
