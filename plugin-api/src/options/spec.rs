//! Option tables as constants.

use serde_json::Value;

use super::endpoint::EndpointPort;

/// The type of an option's values, as a constant for a plugin's table.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ValueSpec {
    /// Yes or no. The words of YAML 1.1 are accepted too: `y`, `yes`, `on`, `true` and their opposites.
    Flag,
    /// A whole number within these inclusive bounds.
    Integer {
        /// Minimum.
        min: i64,
        /// Maximum.
        max: i64,
    },
    /// A number of bytes: `1048576`, `512 KiB`, `100MiB`, `2 GiB`, up to `PiB` (or `kB` to `PB` in powers of ten).
    Size {
        /// Minimum, in bytes.
        min: u64,
        /// Maximum, in bytes.
        max: u64,
    },
    /// A span of time: `500 ms`, `30 s`, `5 min`, `2 h`, `1 d`. The unit is required. For an option whose name ends in
    /// a unit (`timeout_secs`), use [`ValueSpec::Integer`].
    Duration {
        /// Minimum, in milliseconds.
        min_ms: u64,
        /// Maximum, in milliseconds.
        max_ms: u64,
    },
    /// Any text.
    Text,
    /// A path, relative to the working directory unless absolute.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// The address of a network service: `host:port`, an IPv6 address in brackets.
    Endpoint(EndpointPort),
    /// A URL without user name and password.
    Url {
        /// The schemes that are accepted, in lower case.
        schemes: &'static [&'static str],
        /// The scheme of a value without `://`; `None` if the scheme is required.
        default_scheme: Option<&'static str>,
        /// Whether a path, a query or a fragment may follow.
        path: bool,
    },
    /// Several of these: a YAML list, or one scalar with commas between the items.
    List(&'static ValueSpec),
    /// Several of these, each with a name: a YAML mapping, a list of `name=value`, or one scalar with commas between
    /// such pairs.
    Map(&'static ValueSpec),
}

/// One row of a plugin's option table.
///
/// ```
/// use scanbridge_plugin_api::OptionSpec;
///
/// const OPTIONS: &[OptionSpec] = &[
///     OptionSpec::path("path").required().help("where to write"),
///     OptionSpec::integer("page_size", 1, 10_000).default_integer(1_000).help("assets per page"),
///     OptionSpec::choice("format", &["table", "list"]).default_text("table").help("the layout"),
///     OptionSpec::text("token").secret().help("the login token"),
/// ];
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct OptionSpec {
    /// The key in YAML, in `snake_case`; a unit is at its end (`timeout_secs`).
    pub name: &'static str,
    /// The type of its values.
    pub value: ValueSpec,
    /// Whether the key is required. A required option has no default.
    pub required: bool,
    /// Whether the value is never shown.
    pub secret: bool,
    /// Help text, one or two sentences.
    pub help: &'static str,
    /// Old names that are still accepted, with a warning.
    pub deprecated_names: &'static [&'static str],
    /// Whether an interrupted run can be resumed after the value was changed.
    pub resume_safe: bool,
    /// Options that must be set when this one is set.
    pub requires: &'static [&'static str],
    /// Options that must not be set when this one is set.
    pub conflicts: &'static [&'static str],
    /// An option and those of its words with which this one can be set.
    pub only_with: Option<(&'static str, &'static [&'static str])>,
    /// An option and those of its words with which this one must be set.
    pub required_with: Option<(&'static str, &'static [&'static str])>,
    /// An option, some of its words, and the maximum of this one with them.
    pub max_with: Option<(&'static str, &'static [&'static str], u64)>,
    /// When this text must be a plain host name: if all conditions of one of these lists hold.
    pub host_name_with: &'static [&'static [(&'static str, &'static [&'static str])]],
    /// Keys that this map must not have: conditions, each an option and some of its words, and the keys that are refused
    /// when all of them hold.
    pub excludes_keys: &'static [ExcludedKeysSpec],
    /// The known items of a list of texts.
    pub known: &'static [&'static str],
    /// The heading under which the option is described; empty for none.
    pub group: &'static str,
    default: DefaultSpec,
}

/// An entry of [`OptionSpec::excludes_keys`].
pub type ExcludedKeysSpec = (&'static [(&'static str, &'static [&'static str])], &'static [&'static str]);

#[derive(Debug, Clone, Copy, PartialEq)]
enum DefaultSpec {
    None,
    Flag(bool),
    Integer(i64),
    Text(&'static str),
    List(&'static [&'static str]),
}

impl OptionSpec {
    /// The usual groups of options, in the order in which they are shown.
    pub const GROUPS: [&'static str; 7] =
        ["source", "account", "network", "TLS", "files", "records", "limits"];

    const fn new(name: &'static str, value: ValueSpec) -> Self {
        Self {
            name,
            value,
            required: false,
            secret: false,
            help: "",
            deprecated_names: &[],
            resume_safe: false,
            requires: &[],
            conflicts: &[],
            only_with: None,
            required_with: None,
            max_with: None,
            host_name_with: &[],
            excludes_keys: &[],
            known: &[],
            group: "",
            default: DefaultSpec::None,
        }
    }

    /// A yes/no option.
    #[must_use]
    pub const fn flag(name: &'static str) -> Self {
        Self::new(name, ValueSpec::Flag)
    }

    /// A whole number between `min` and `max`, inclusive.
    #[must_use]
    pub const fn integer(name: &'static str, min: i64, max: i64) -> Self {
        Self::new(name, ValueSpec::Integer { min, max })
    }

    /// A number of bytes between `min` and `max`, inclusive; its default is a number.
    #[must_use]
    pub const fn size(name: &'static str, min: u64, max: u64) -> Self {
        Self::new(name, ValueSpec::Size { min, max })
    }

    /// A span of time between `min_ms` and `max_ms`, inclusive; its default is a number of milliseconds.
    #[must_use]
    pub const fn duration(name: &'static str, min_ms: u64, max_ms: u64) -> Self {
        Self::new(name, ValueSpec::Duration { min_ms, max_ms })
    }

    /// The address of a network service.
    #[must_use]
    pub const fn endpoint(name: &'static str, port: EndpointPort) -> Self {
        Self::new(name, ValueSpec::Endpoint(port))
    }

    /// A URL with one of these schemes, which must be written.
    #[must_use]
    pub const fn url(name: &'static str, schemes: &'static [&'static str]) -> Self {
        Self::new(name, ValueSpec::Url { schemes, default_scheme: None, path: true })
    }

    /// Several values of this type, each with a name.
    #[must_use]
    pub const fn map(name: &'static str, of: &'static ValueSpec) -> Self {
        Self::new(name, ValueSpec::Map(of))
    }

    /// An option of any type.
    #[must_use]
    pub const fn of(name: &'static str, value: ValueSpec) -> Self {
        Self::new(name, value)
    }

    /// A text.
    #[must_use]
    pub const fn text(name: &'static str) -> Self {
        Self::new(name, ValueSpec::Text)
    }

    /// A path.
    #[must_use]
    pub const fn path(name: &'static str) -> Self {
        Self::new(name, ValueSpec::Path)
    }

    /// One of these words.
    #[must_use]
    pub const fn choice(name: &'static str, words: &'static [&'static str]) -> Self {
        Self::new(name, ValueSpec::Choice(words))
    }

    /// A list of these.
    #[must_use]
    pub const fn list(name: &'static str, of: &'static ValueSpec) -> Self {
        Self::new(name, ValueSpec::List(of))
    }

    /// Makes the key required.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Marks the value as secret: it is never shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Sets the help text.
    #[must_use]
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// Sets old names that are still accepted.
    #[must_use]
    pub const fn deprecated_names(mut self, names: &'static [&'static str]) -> Self {
        self.deprecated_names = names;
        self
    }

    /// Declares that an interrupted run can be resumed after the value was changed: the option decides how data is read
    /// or sent, and not which. [`OpenFrame::options_changed`](crate::OpenFrame::options_changed) names it.
    #[must_use]
    pub const fn resume_safe(mut self) -> Self {
        self.resume_safe = true;
        self
    }

    /// Sets the options that must be set when this one is set. Options with a default are set. An empty text or list
    /// and a flag that is `no` count as not set, here and in the other rules between options.
    ///
    /// The host checks these rules before it opens the plugin, and the plugin's [`Options`](super::Options) checks them
    /// again. All options that they name must be in the table.
    #[must_use]
    pub const fn requires(mut self, names: &'static [&'static str]) -> Self {
        self.requires = names;
        self
    }

    /// Sets the options that must not be set in the settings when this one is. Set it on one of the two.
    #[must_use]
    pub const fn conflicts(mut self, names: &'static [&'static str]) -> Self {
        self.conflicts = names;
        self
    }

    /// Allows this option only when `option`, a choice or a flag, has one of these words (`yes` and `no` for a flag).
    #[must_use]
    pub const fn only_with(mut self, option: &'static str, words: &'static [&'static str]) -> Self {
        self.only_with = Some((option, words));
        self
    }

    /// Requires this option when `option`, a choice or a flag, has one of these words.
    #[must_use]
    pub const fn required_with(mut self, option: &'static str, words: &'static [&'static str]) -> Self {
        self.required_with = Some((option, words));
        self
    }

    /// Sets a lower maximum of this number, size or duration for when `option`, a choice or a flag, has one of these
    /// words.
    #[must_use]
    pub const fn max_with(mut self, option: &'static str, words: &'static [&'static str], max: u64) -> Self {
        self.max_with = Some((option, words, max));
        self
    }

    /// Requires a plain host name: ASCII alphanumeric characters, `.`, `-` and `_`, of which the first is not `.` or `-`.
    /// It is required if all conditions of one of these lists hold; a condition is an option, a choice or a flag,
    /// and its words. A host of an older API does not know the rule; the plugin's [`Options`](super::Options) check it.
    #[must_use]
    pub const fn host_name_with(
        mut self,
        cases: &'static [&'static [(&'static str, &'static [&'static str])]],
    ) -> Self {
        self.host_name_with = cases;
        self
    }

    /// Refuses keys of this map, in any letter case. Each entry has conditions, which must all hold, and the keys. A
    /// condition is an option, a choice, a flag or a list of choices, and some of its words. Without conditions the keys
    /// are always refused.
    #[must_use]
    pub const fn excludes_keys(mut self, entries: &'static [ExcludedKeysSpec]) -> Self {
        self.excludes_keys = entries;
        self
    }

    /// Sets the known items of a list of texts, for suggestions and documentation. The host refuses another item, unless it
    /// continues a known one after a dot (`finding.other.NAME`) or contains a colon (`finding.acme:epss`). A host of an
    /// older API does not know the list, so the plugin checks the items too.
    #[must_use]
    pub const fn known(mut self, items: &'static [&'static str]) -> Self {
        self.known = items;
        self
    }

    /// Sets the heading under which `plugin describe` shows the option: one of the words of
    /// [`OptionSpec::GROUPS`], or a word of the plugin's own. A host of an older API does not know it.
    #[must_use]
    pub const fn group(mut self, group: &'static str) -> Self {
        self.group = group;
        self
    }

    /// Sets the default of a yes/no option.
    #[must_use]
    pub const fn default_flag(mut self, value: bool) -> Self {
        self.default = DefaultSpec::Flag(value);
        self
    }

    /// Sets the default of a number, a size in bytes or a duration in milliseconds.
    #[must_use]
    pub const fn default_integer(mut self, value: i64) -> Self {
        self.default = DefaultSpec::Integer(value);
        self
    }

    /// Sets the default of a text, path, choice, endpoint or URL.
    #[must_use]
    pub const fn default_text(mut self, value: &'static str) -> Self {
        self.default = DefaultSpec::Text(value);
        self
    }

    /// Sets the default of a list of texts.
    #[must_use]
    pub const fn default_list(mut self, values: &'static [&'static str]) -> Self {
        self.default = DefaultSpec::List(values);
        self
    }

    /// The default in its ABI form; `None` if the option has no default.
    #[must_use]
    pub fn default_value(&self) -> Option<Value> {
        match self.default {
            DefaultSpec::None => None,
            DefaultSpec::Flag(value) => Some(value.into()),
            DefaultSpec::Integer(value) => Some(value.into()),
            DefaultSpec::Text(value) => Some(value.into()),
            DefaultSpec::List(values) => Some(values.iter().map(|v| Value::from(*v)).collect()),
        }
    }
}
