//! The options of the input.

use std::path::PathBuf;
use std::time::Duration;

use scanbridge_plugin_api::{OptionSpec, Options, PluginError, Result, ValueSpec};
use scanbridge_qualys_report::Reading;
use scanbridge_qualys_xml::{Kind, Limits};

use crate::done::OnDone;

/// The options, as written under `with:` or in the settings file.
pub(crate) const TABLE: &[OptionSpec] = &[
    OptionSpec::list("path", &ValueSpec::Path).required().group("source").help(
        "Reports to read: files, directories, patterns such as `scans/*.xml`, or `-` for standard input. \
         A list is read in this order; files of a directory or pattern are sorted by name.",
    ),
    OptionSpec::list("pattern", &ValueSpec::Text).default_list(&["*.xml", "*.xml.gz"]).group("source").help(
        "File name patterns for the files of a directory. Hidden files (leading dot) are always skipped.",
    ),
    OptionSpec::list("ignore_kinds", &ValueSpec::Text).group("source").help(
        "Root elements of XML files to skip, for example `WAS_SCAN_REPORT` or `MAP`. Such a file does not fail the run; it is \
         counted and named in the log.",
    ),
    OptionSpec::path("knowledge_base").group("source").help(
        "Knowledge base file (KNOWLEDGE_BASE_VULN_LIST_OUTPUT), plain or gzip. Needed for detection \
         reports, which contain only QIDs: adds titles, texts, CVE IDs and CVSS scores.",
    ),
    OptionSpec::flag("add_host").group("records").help(
        "Tell outputs to create assets that the destination does not know. An output's own option takes \
         precedence. Default: the output decides.",
    ),
    OptionSpec::flag("deliver_incomplete").default_flag(false).group("records").help(
        "Deliver the readable part of a truncated or damaged report. It still counts as incomplete, and \
         outputs clear nothing because of it.",
    ),
    OptionSpec::integer("settle_secs", 0, 86_400)
        .resume_safe()
        .default_integer(10).group("source")
        .help("Time an incomplete file must stay unchanged before it is treated as truncated, in seconds."),
    OptionSpec::flag("watch").default_flag(false).group("source").help(
        "Keep running and deliver new reports as they arrive. The list of delivered files is kept across \
         runs.",
    ),
    OptionSpec::integer("poll_secs", 1, 86_400)
        .resume_safe()
        .default_integer(10).group("source")
        .help("Interval between two checks for new files, in seconds. Only with `watch: yes`."),
    OptionSpec::choice("on_done", &["keep", "move", "delete"]).resume_safe().default_text("keep").group("files").help(
        "Action after a report has been delivered completely: keep the file, move it to `done_folder`, or \
         delete it. Other files are not changed.",
    ),
    OptionSpec::path("done_folder").resume_safe().group("files").help(
        "Directory for delivered files; created if missing. Only with `on_done: move`. Default: the \
         directory `done` next to each file.",
    ),
    OptionSpec::size("max_text_bytes", 64 << 10, 1 << 30)
        .default_integer(16 << 20).group("limits")
        .help("Maximum text size of one asset, definition or finding. A larger one is treated as damage."),
    OptionSpec::size("max_unpacked_bytes", 1 << 20, 1 << 50).default_integer(64 << 30).group("limits").help(
        "Maximum size of decompressed gzip data or of standard input, which are stored in a temporary \
         file in the state directory.",
    ),
];

/// The validated options of one instance.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) paths: Vec<String>,
    pub(crate) patterns: Vec<glob::Pattern>,
    /// Root elements of files that are skipped.
    pub(crate) ignored_kinds: Vec<String>,
    pub(crate) knowledge_base: Option<PathBuf>,
    pub(crate) reading: Reading,
    pub(crate) settle: Duration,
    /// Interval between two scans; `None` if there is only one scan.
    pub(crate) poll: Option<Duration>,
    pub(crate) on_done: OnDone,
    pub(crate) max_unpacked_bytes: u64,
}

impl Settings {
    pub(crate) fn read(options: &Options) -> Result<Self> {
        let paths: Vec<String> = options.list("path")?.into_iter().map(str::to_owned).collect();
        if paths.iter().all(|path| path.trim().is_empty()) {
            return Err(
                PluginError::config("option `path` is empty").with_hint("set it to a file or directory")
            );
        }
        let poll = Duration::from_secs(options.integer("poll_secs")?.unwrap_or(10));
        let poll = options.flag("watch")?.then_some(poll);
        if poll.is_some() && paths.iter().any(|path| path == "-") {
            return Err(PluginError::config("option `watch` cannot be used with standard input")
                .with_hint("standard input can be read only once; set `path` to a directory"));
        }
        let text_bytes = options.size("max_text_bytes")?.unwrap_or(16 << 20);
        Ok(Self {
            paths,
            patterns: options.list("pattern")?.into_iter().map(pattern).collect::<Result<_>>()?,
            ignored_kinds: options.list("ignore_kinds")?.into_iter().map(kind).collect::<Result<_>>()?,
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

impl Settings {
    /// The root element of a file of this kind, if such files are skipped.
    pub(crate) fn ignores<'k>(&self, kind: &'k Kind) -> Option<&'k str> {
        kind.root_element().filter(|root| self.ignored_kinds.iter().any(|ignored| ignored == root))
    }

    /// Limits them to these files, which are read once and kept.
    pub(crate) fn read_only<'a>(&mut self, paths: impl Iterator<Item = &'a str>) {
        self.paths = paths.map(str::to_owned).collect();
        (self.poll, self.on_done) = (None, OnDone::Keep);
    }
}

fn on_done(options: &Options) -> Result<OnDone> {
    let folder = options.path("done_folder")?;
    match (options.text("on_done")?, folder) {
        (Some("move"), folder) => Ok(OnDone::Move(folder)),
        (_, Some(_)) => Err(PluginError::config("option `done_folder` is set, but files are not moved")
            .with_hint("set `on_done: move`, or remove `done_folder`")),
        (Some("delete"), None) => Ok(OnDone::Delete),
        (_, None) => Ok(OnDone::Keep),
    }
}

/// A root element whose files may be skipped. A response of the API in the place of a report is a failed download.
fn kind(name: &str) -> Result<String> {
    let is_name = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || "<>/&\"'=".contains(c));
    let bad = |problem: &str, hint: &str| {
        let error = PluginError::config(format!("option `ignore_kinds`: `{name}` {problem}"));
        Err(error.with_option("ignore_kinds").with_hint(hint))
    };
    if !is_name {
        return bad("is not the name of an XML element", "write the name without < and >, for example MAP");
    }
    if Kind::of(format!("<{name}>").as_bytes()).is_reply() {
        return bad("is an API response, such as an error", "remove it: such a file is a failed download");
    }
    Ok(name.to_owned())
}

fn pattern(text: &str) -> Result<glob::Pattern> {
    glob::Pattern::new(text).map_err(|error| {
        PluginError::config(format!("invalid pattern `{text}` in option `pattern`: {}", error.msg))
            .with_hint("example: *.xml; [ and ] enclose a set of characters")
    })
}
