//! Kinds of findings.

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A confirmed vulnerability.
    Vulnerability,
    /// A potential vulnerability (Qualys: *practice*).
    Potential,
    /// Gathered information; not a vulnerability.
    Information,
    /// A detected service.
    Service,
}

impl FindingKind {
    /// All kinds, in the order in which they are counted and printed.
    pub const ALL: [Self; 4] = [Self::Vulnerability, Self::Potential, Self::Information, Self::Service];

    /// The number in the row of a finding: 1 to 4.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The kind with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).wrapping_sub(1)).copied()
    }

    /// The word in filters, summaries and outputs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Vulnerability => "vulnerability",
            Self::Potential => "potential",
            Self::Information => "information",
            Self::Service => "service",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}
