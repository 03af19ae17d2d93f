//! The status of a finding: new, active, reopened, fixed.

/// The status that the scanner assigned. A finding without a status (information, a single scan) is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FindingStatus {
    /// Detected for the first time.
    New,
    /// Detected before and again.
    Active,
    /// Was fixed and is detected again.
    Reopened,
    /// Fixed.
    Fixed,
    /// Ignored on this asset by an operator of the scanner.
    Ignored,
    /// Its definition was disabled by an operator of the scanner.
    Disabled,
}

impl FindingStatus {
    /// All statuses, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::New, Self::Active, Self::Reopened, Self::Fixed, Self::Ignored, Self::Disabled];

    /// The number in the row of a finding: 1 to 6.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The status with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).wrapping_sub(1)).copied()
    }

    /// Whether the scanner still counts the finding: it is neither fixed nor ignored nor disabled.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::New | Self::Active | Self::Reopened)
    }

    /// The word that filters and outputs use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Active => "Active",
            Self::Reopened => "Re-Opened",
            Self::Fixed => "Fixed",
            Self::Ignored => "Ignored",
            Self::Disabled => "Disabled",
        }
    }

    /// The status with this word, case-insensitive. `Reopened` is also accepted.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|status| status.word().eq_ignore_ascii_case(word));
        known.or_else(|| word.eq_ignore_ascii_case("reopened").then_some(Self::Reopened))
    }
}

#[cfg(test)]
mod tests {
    use super::FindingStatus;

    #[test]
    fn codes_and_words_are_read_back() {
        for status in FindingStatus::ALL {
            assert_eq!(FindingStatus::from_code(status.code()), Some(status));
            assert_eq!(FindingStatus::from_word(&status.word().to_uppercase()), Some(status));
        }
        assert_eq!(FindingStatus::from_word("Reopened"), Some(FindingStatus::Reopened));
        assert_eq!([0, 7, 255].map(FindingStatus::from_code), [None; 3]);
        assert_eq!(FindingStatus::from_word(""), None);
    }
}
