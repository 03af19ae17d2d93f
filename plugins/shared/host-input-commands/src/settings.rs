//! The settings of the commands, and the options that set them.

use scanbridge_plugin_api::batch::FindingView;
use scanbridge_plugin_api::model::FindingKind;
use scanbridge_plugin_api::{OptionSpec, Options, PluginError, Result, ValueSpec};

use crate::block::BlockLimits;
use crate::names::{BadName, Domain, Name};

/// The settings of the commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name that `SetSource` gives. `None`: the name of the report's scanner.
    pub source: Option<Name>,
    /// The name of the scanner whose results are replaced. `None`: the name of the report's scanner.
    pub scanner: Option<Name>,
    /// The domain to write to, for a Defense Center that has several.
    pub domain: Option<Domain>,
    /// Whether unknown assets are created. `None`: as the report's hint says, otherwise no.
    pub add_host: Option<bool>,
    /// Replacement of an asset's old results.
    pub replace: Replace,
    /// Whether the operating system of assets with findings is also set.
    pub set_os: bool,
    /// The kinds of findings that are sent.
    pub kinds: Vec<FindingKind>,
    /// The minimum severity, 1 to 5. Findings without a severity are always sent.
    pub min_severity: u8,
    /// The texts that form the description, in this order.
    pub description: Vec<DescriptionPart>,
    /// Maximum length of the description, in characters.
    pub description_length: usize,
    /// The limits on what is passed on at once.
    pub limits: BlockLimits,
}

/// Replacement of an asset's old results of this scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// They are deleted, asset by asset, in the step that adds the new ones.
    Asset,
    /// `ScanFlush` replaces them. It is not known whether this also removes results of other scanners.
    Flush,
    /// They are kept, and the new ones are added; nothing is ever deleted.
    Merge,
}

/// A text that is part of the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescriptionPart {
    /// Description of the vulnerability.
    Diagnosis,
    /// Its possible impact.
    Consequence,
    /// Its fix.
    Solution,
    /// The scanner's result on this asset.
    Result,
}

/// Defines the options of commands in a module. `$scope` ends each help text.
macro_rules! command_options {
    ($(#[$doc:meta])* $module:ident, $scope:literal) => {
        $(#[$doc])*
        pub mod $module {
            use super::{DESCRIPTION_WORDS, KIND_WORDS, OptionSpec, REPLACE_WORDS, ValueSpec};

            /// The name that `SetSource` sends.
            pub const SOURCE: OptionSpec = OptionSpec::text("source").group("records").help(concat!(
                "Source name shown by the Defense Center for imported results (SetSource). Letters, digits, space, \
                 `.`, `_`, `-`; not a number. Default: the name of the report's scanner, for example `QualysGuard`.",
                $scope
            ));
            /// The scanner's name.
            pub const SCANNER: OptionSpec = OptionSpec::text("scanner").group("records").help(concat!(
                "Scanner name whose results on an asset are replaced. After a change, results under the old name stay \
                 on the Defense Center. Default: the name of the report's scanner, for example `QualysGuard`.",
                $scope
            ));
            /// The domain.
            pub const DOMAIN: OptionSpec = OptionSpec::text("domain").group("records").help(concat!(
                "Domain to write to, on a Defense Center with several domains: UUID, or names joined by `\\`. \
                 Default: none (no SetDomain command is sent).",
                $scope
            ));
            /// Whether unknown assets are created.
            pub const ADD_HOST: OptionSpec = OptionSpec::flag("add_host").group("records").help(concat!(
                "Create assets that the Defense Center does not know, if they have findings. Each created asset uses \
                 one host license. Default: the input's `add_host`, otherwise no.",
                $scope
            ));
            /// Replacement of old results.
            pub const REPLACE: OptionSpec =
                OptionSpec::choice("replace", REPLACE_WORDS).default_text("asset").group("records").help(concat!(
                    "Replacement of an asset's old results: `asset` deletes them and adds the new ones in one step; \
                     `flush` uses ScanFlush; `merge` only adds.",
                    $scope
                ));
            /// Whether the operating system is set.
            pub const SET_OS: OptionSpec = OptionSpec::flag("set_os").default_flag(false).group("records").help(concat!(
                "Set the operating system reported by the scanner on assets with findings.",
                $scope
            ));
            /// The minimum severity.
            pub const MIN_SEVERITY: OptionSpec =
                OptionSpec::integer("min_severity", 1, 5).default_integer(1).group("records").help(concat!(
                    "Minimum severity of findings to send, 1 to 5. Findings without a severity are always sent.",
                    $scope
                ));
            /// The kinds of findings that are sent.
            pub const KINDS: OptionSpec = OptionSpec::list("kinds", &ValueSpec::Choice(KIND_WORDS))
                .default_list(&["vulnerability", "potential"]).group("records")
                .help(concat!(
                    "Kinds of findings to send. Other kinds are skipped and not counted as rejected.",
                    $scope
                ));
            /// The texts of the description.
            pub const DESCRIPTION: OptionSpec =
                OptionSpec::list("description", &ValueSpec::Choice(DESCRIPTION_WORDS))
                    .default_list(&["diagnosis"]).group("records")
                    .help(concat!(
                        "Texts that form the description of a finding, in this order; HTML is removed.",
                        $scope
                    ));
            /// The maximum length of the description.
            pub const DESCRIPTION_LENGTH: OptionSpec =
                OptionSpec::integer("description_length", 16, 30_000).default_integer(1000).group("records").help(concat!(
                    "Maximum length of the description, in characters. Longer texts are truncated and end in `...`.",
                    $scope
                ));
        }
    };
}

command_options! {
    /// The options of an output that only writes commands; it lists them in its own table.
    options, ""
}
command_options! {
    /// The same options for an output that also has other formats: each help text names the format.
    format_options, " Only with `format: host-input`."
}

/// All of [`options`].
pub const OPTIONS: &[OptionSpec] = &[
    options::SOURCE,
    options::SCANNER,
    options::DOMAIN,
    options::ADD_HOST,
    options::REPLACE,
    options::SET_OS,
    options::KINDS,
    options::MIN_SEVERITY,
    options::DESCRIPTION,
    options::DESCRIPTION_LENGTH,
];

const REPLACE_WORDS: &[&str] = &["asset", "flush", "merge"];
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
            move |problem: BadName| PluginError::config(format!("invalid option `{option}`: {problem}"))
        };
        let name = |option: &'static str| -> Result<Option<Name>> {
            options.text(option)?.map(Name::new).transpose().map_err(bad(option))
        };
        let domain = options.text("domain")?.map(Domain::new).transpose().map_err(bad("domain"))?;
        let kinds: Vec<_> = options.choices("kinds", FindingKind::from_word)?;
        if kinds.is_empty() {
            return Err(PluginError::config("option `kinds` must have at least one value"));
        }
        let description = options.list("description")?.into_iter().filter_map(DescriptionPart::from_word);
        Ok(Self {
            source: name("source")?,
            scanner: name("scanner")?,
            domain,
            add_host: options.optional_flag("add_host")?,
            replace: match options.text("replace")? {
                Some("flush") => Replace::Flush,
                Some("merge") => Replace::Merge,
                _ => Replace::Asset,
            },
            set_os: options.optional_flag("set_os")?.unwrap_or(false),
            kinds,
            min_severity: options.integer("min_severity")?.unwrap_or(1),
            description: description.collect(),
            description_length: options.integer("description_length")?.unwrap_or(1000),
            limits,
        })
    }

    /// Whether this finding is sent.
    pub(crate) fn sends(&self, finding: &FindingView<'_>) -> bool {
        let enough = finding.severity().is_none_or(|severity| severity.number() >= self.min_severity);
        enough && self.kinds.contains(&finding.kind())
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

    /// The label before the text when there are several.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Diagnosis => "Diagnosis: ",
            Self::Consequence => "Consequence: ",
            Self::Solution => "Solution: ",
            Self::Result => "Result: ",
        }
    }
}
