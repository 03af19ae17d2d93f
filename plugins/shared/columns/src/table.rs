//! The tables of a report.

/// A table of a report, or the report itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Assets.
    Asset,
    /// Definitions.
    Definition,
    /// Findings.
    Finding,
    /// The values of the report, the same in all rows.
    Report,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 4] = [Self::Asset, Self::Definition, Self::Finding, Self::Report];

    /// The first part of the names of its columns.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Definition => "definition",
            Self::Finding => "finding",
            Self::Report => "report",
        }
    }

    /// The table and the column in a name such as `finding.port`.
    #[must_use]
    pub fn split(name: &str) -> Option<(Self, &str)> {
        let (word, column) = name.split_once('.')?;
        Some((Self::ALL.into_iter().find(|table| table.word() == word)?, column))
    }
}
