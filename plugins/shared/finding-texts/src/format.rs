//! The formats.

/// The format of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// All columns, as the plugin JSON writes them.
    Json,
    /// A finding of the Open Cybersecurity Schema Framework.
    Ocsf,
    /// A document of the Elastic Common Schema.
    Ecs,
    /// An event of the Common Event Format.
    Cef,
}

impl TextFormat {
    /// All formats.
    pub const ALL: &[Self] = &[Self::Json, Self::Ocsf, Self::Ecs, Self::Cef];

    /// The word of options.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ocsf => "ocsf",
            Self::Ecs => "ecs",
            Self::Cef => "cef",
        }
    }

    /// The format with this word; `None` if there is none.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.word() == word)
    }
}
