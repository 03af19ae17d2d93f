//! What the operator decides, and the options in which an output takes it.

use scanbridge_plugin_api::model::FindingKind;
use scanbridge_plugin_api::{OptionSpec, Options, PluginError, Result, ValueSpec};

use crate::names::{BadName, Domain, Name};

/// What the operator decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name that `SetSource` gives.
    pub source: Name,
    /// The name of the scanner whose results are replaced.
    pub scanner: Name,
    /// The domain to write to, for a Defense Center that has several.
    pub domain: Option<Domain>,
    /// Whether unknown assets are created; `None` leaves it to the report's hint, and without one they are not.
    pub add_host: Option<bool>,
    /// Which findings are sent.
    pub kinds: Vec<FindingKind>,
    /// Which texts make up the description, in this order.
    pub description: Vec<DescriptionPart>,
    /// How long the description may be, in letters.
    pub description_length: usize,
    /// When the block of an asset is handed on in parts.
    pub limits: BlockLimits,
}

/// A text of which the description is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptionPart {
    /// What the weakness is.
    Diagnosis,
    /// What it can lead to.
    Consequence,
    /// What to do against it.
    Solution,
    /// What the scanner saw on this asset.
    Result,
}

/// When the block of an asset is handed on in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLimits {
    /// The most bytes a part may have, with room left for a `ScanUpdate` line. Only a single line that is
    /// longer than this makes a longer part.
    pub bytes: usize,
    /// The most findings in a part.
    pub findings: u64,
}

impl Default for BlockLimits {
    /// 1 MiB and any number of findings: what bounds memory and nothing else.
    fn default() -> Self {
        Self { bytes: 1 << 20, findings: u64::MAX }
    }
}

/// The options that every output of commands has; an output lists them in its own table.
pub mod options {
    use super::{DESCRIPTION_WORDS, KIND_WORDS, OptionSpec, ValueSpec};

    /// The name that `SetSource` gives.
    pub const SOURCE: OptionSpec = OptionSpec::text("source")
        .default_text("QualysGuard")
        .help("commands: the source that the Defense Center shows for what is imported");
    /// The scanner's name.
    pub const SCANNER: OptionSpec = OptionSpec::text("scanner").default_text("QualysGuard").help(
        "commands: the scanner whose results on an asset are replaced; after a change the old one's results stay",
    );
    /// The domain.
    pub const DOMAIN: OptionSpec = OptionSpec::text("domain").help(
        "commands: the domain to write to, for a Defense Center that has several: a UUID, or names joined by `\\`",
    );
    /// Whether unknown assets are created.
    pub const ADD_HOST: OptionSpec = OptionSpec::flag("add_host").help(
        "commands: whether assets with findings that the Defense Center does not know are created; each takes one \
         licence; not set: the input's `add_host` decides, else no",
    );
    /// Which findings are sent.
    pub const KINDS: OptionSpec = OptionSpec::list("kinds", &ValueSpec::Choice(KIND_WORDS))
        .default_list(&["vulnerability", "potential"])
        .help("commands: which findings to send; the others are left out and not counted as rejected");
    /// Which texts make up the description.
    pub const DESCRIPTION: OptionSpec =
        OptionSpec::list("description", &ValueSpec::Choice(DESCRIPTION_WORDS))
            .default_list(&["diagnosis"])
            .help("commands: which texts make up the description, in this order, without their HTML");
    /// How long the description may be.
    pub const DESCRIPTION_LENGTH: OptionSpec = OptionSpec::integer("description_length", 16, 30_000)
        .default_integer(1000)
        .help("commands: how many letters the description may have; a longer one ends in `...`");
}

/// All of [`options`].
pub const OPTIONS: &[OptionSpec] = &[
    options::SOURCE,
    options::SCANNER,
    options::DOMAIN,
    options::ADD_HOST,
    options::KINDS,
    options::DESCRIPTION,
    options::DESCRIPTION_LENGTH,
];

const KIND_WORDS: &[&str] = &["vulnerability", "potential", "information", "service"];
const DESCRIPTION_WORDS: &[&str] = &["diagnosis", "consequence", "solution", "result"];

impl Settings {
    /// Reads the options; the limits are the caller's own.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](scanbridge_plugin_api::ErrorKind::Config) for a name that the Defense Center may
    /// misread.
    pub fn read(options: &Options, limits: BlockLimits) -> Result<Self> {
        let bad = |option: &'static str| {
            move |problem: BadName| PluginError::config(format!("option `{option}` {problem}"))
        };
        let name = |option: &'static str| -> Result<Name> {
            Name::new(options.text(option)?.unwrap_or_default()).map_err(bad(option))
        };
        let domain = options.text("domain")?.map(Domain::new).transpose().map_err(bad("domain"))?;
        let kinds: Vec<_> = options.list("kinds")?.into_iter().filter_map(FindingKind::from_word).collect();
        if kinds.is_empty() {
            return Err(PluginError::config("option `kinds` must name at least one kind"));
        }
        let description = options.list("description")?.into_iter().filter_map(DescriptionPart::from_word);
        Ok(Self {
            source: name("source")?,
            scanner: name("scanner")?,
            domain,
            add_host: options.optional_flag("add_host")?,
            kinds,
            description: description.collect(),
            description_length: options.integer("description_length")?.unwrap_or(1000),
            limits,
        })
    }

    /// Whether the description differs between findings of one definition.
    pub(crate) fn describes_findings(&self) -> bool {
        self.description.contains(&DescriptionPart::Result)
    }
}

impl DescriptionPart {
    const ALL: [Self; 4] = [Self::Diagnosis, Self::Consequence, Self::Solution, Self::Result];

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().zip(DESCRIPTION_WORDS).find(|(_, name)| **name == word).map(|(part, _)| part)
    }

    /// What stands before the text when there are several.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Diagnosis => "Diagnosis: ",
            Self::Consequence => "Consequence: ",
            Self::Solution => "Solution: ",
            Self::Result => "Result: ",
        }
    }
}
