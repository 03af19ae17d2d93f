//! The tables of a report.

/// A table of a report, the report itself, or the connector that delivers it.
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
    /// The identity of the connector, the same in all rows.
    Connector,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 5] = [Self::Asset, Self::Definition, Self::Finding, Self::Report, Self::Connector];

    /// The first part of the names of its columns.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Definition => "definition",
            Self::Finding => "finding",
            Self::Report => "report",
            Self::Connector => "connector",
        }
    }

    /// The table and the column in a name such as `finding.port`.
    #[must_use]
    pub fn split(name: &str) -> Option<(Self, &str)> {
        let (word, column) = name.split_once('.')?;
        Some((Self::ALL.into_iter().find(|table| table.word() == word)?, column))
    }
}
