//! What an operator can set.

use std::path::PathBuf;
use std::time::Duration;

use scanbridge_plugin_api::{OptionSpec, Options, PluginError, Result, ValueSpec};
use scanbridge_qualys_report::Reading;
use scanbridge_qualys_xml::Limits;

use crate::done::OnDone;

/// The options, as they stand under `with:` or in the settings file.
pub(crate) const TABLE: &[OptionSpec] = &[
    OptionSpec::list("path", &ValueSpec::Path).required().help(
        "Where the reports are: files, folders, patterns such as scans/*.xml, or - for standard input. \
         Several as a list; they are read in this order, those of a folder or pattern sorted by name.",
    ),
    OptionSpec::list("pattern", &ValueSpec::Text)
        .default_list(&["*.xml", "*.xml.gz"])
        .help("Which files of a folder are reports. Files whose name begins with a dot never are."),
    OptionSpec::path("knowledge_base").help(
        "A KNOWLEDGE_BASE_VULN_LIST_OUTPUT file, plain or gzip. Detections name their QIDs only; titles, \
         texts, CVEs and CVSS come from here.",
    ),
    OptionSpec::flag("add_host").help(
        "Whether the destination shall create assets that it does not know. Unset, the output decides.",
    ),
    OptionSpec::flag("deliver_incomplete").default_flag(false).help(
        "Whether to deliver what can be read of a report that is cut or damaged. It still counts as \
         incomplete, and outputs clear nothing because of it.",
    ),
    OptionSpec::integer("settle_secs", 0, 86_400).default_integer(10).help(
        "A file that ends too early is taken for unfinished, and waited for, until it has not changed for \
         this many seconds.",
    ),
    OptionSpec::flag("watch").default_flag(false).help(
        "Whether to go on looking for new reports until the run is stopped. What was delivered is remembered \
         across runs.",
    ),
    OptionSpec::integer("poll_secs", 1, 86_400)
        .default_integer(10)
        .help("How many seconds pass between two looks for new reports when `watch` is on."),
    OptionSpec::choice("on_done", &["keep", "move", "delete"]).default_text("keep").help(
        "What becomes of a file whose report was delivered complete. Any other file stays where it is.",
    ),
    OptionSpec::path("done_folder").help(
        "Where files are moved to; made if it is not there. Unset, it is the folder `done` beside each file.",
    ),
    OptionSpec::size("max_text_bytes", 64 << 10, 1 << 30)
        .default_integer(16 << 20)
        .help("The most text that one asset, definition or finding may have. More is damage."),
    OptionSpec::size("max_unpacked_bytes", 1 << 20, 1 << 50)
        .default_integer(64 << 30)
        .help("The most that a gzip file or standard input may unpack to in the temporary folder."),
];

/// The options of one instance; from here on none can be wrong.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) paths: Vec<String>,
    pub(crate) patterns: Vec<glob::Pattern>,
    pub(crate) knowledge_base: Option<PathBuf>,
    pub(crate) reading: Reading,
    pub(crate) settle: Duration,
    /// How long to wait between two looks; none when there is only one.
    pub(crate) poll: Option<Duration>,
    pub(crate) on_done: OnDone,
    pub(crate) max_unpacked_bytes: u64,
}

impl Settings {
    pub(crate) fn read(options: &Options) -> Result<Self> {
        let paths: Vec<String> = options.list("path")?.into_iter().map(str::to_owned).collect();
        if paths.iter().all(|path| path.trim().is_empty()) {
            return Err(PluginError::config("option `path` names no file").with_hint("name a file or folder"));
        }
        let poll = Duration::from_secs(options.integer("poll_secs")?.unwrap_or(10));
        let poll = options.flag("watch")?.then_some(poll);
        if poll.is_some() && paths.iter().any(|path| path == "-") {
            return Err(PluginError::config("option `watch` cannot be on for standard input")
                .with_hint("it can be read only once; name a folder"));
        }
        let text_bytes = options.size("max_text_bytes")?.unwrap_or(16 << 20);
        Ok(Self {
            paths,
            patterns: options.list("pattern")?.into_iter().map(pattern).collect::<Result<_>>()?,
            knowledge_base: options.path("knowledge_base")?,
            reading: Reading {
                limits: Limits { text_bytes: usize::try_from(text_bytes).unwrap_or(usize::MAX) },
                deliver_incomplete: options.flag("deliver_incomplete")?,
                add_host: options.optional_flag("add_host")?,
            },
            poll,
            on_done: on_done(options)?,
            settle: Duration::from_secs(options.integer("settle_secs")?.unwrap_or(10)),
            max_unpacked_bytes: options.size("max_unpacked_bytes")?.unwrap_or(64 << 30),
        })
    }
}

fn on_done(options: &Options) -> Result<OnDone> {
    let folder = options.path("done_folder")?;
    match (options.text("on_done")?, folder) {
        (Some("move"), folder) => Ok(OnDone::Move(folder)),
        (_, Some(_)) => Err(PluginError::config("option `done_folder` is set, but nothing is moved there")
            .with_hint("set `on_done: move`, or leave `done_folder` out")),
        (Some("delete"), None) => Ok(OnDone::Delete),
        (_, None) => Ok(OnDone::Keep),
    }
}

fn pattern(text: &str) -> Result<glob::Pattern> {
    glob::Pattern::new(text).map_err(|error| {
        PluginError::config(format!("option `pattern` holds `{text}`, which is no pattern: {}", error.msg))
            .with_hint("patterns look like *.xml; [ and ] enclose a choice of letters")
    })
}
