//! The host's own keys of a pipeline: one table, from which checks, defaults, the JSON Schema and `config show` are
//! made. The table in `docs/operating.md` is compared with it.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use scanbridge_plugin_api::{OptionDescriptor, OptionSpec, ValueSpec};
use serde_json::{Map, Value, json};

use super::checker::Checker;
use super::fields::Fields;
use super::option_schema::describe;
use super::origin::Origin;
use super::tree::{Content, Node};

/// The mapping of a pipeline in which a key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The top level.
    Run,
    /// An entry of `inputs:`.
    Input,
    /// An entry of `outputs:`.
    Output,
    /// A `filter:`.
    Filter,
}

const RUN: &[Scope] = &[Scope::Run];
const INPUT: &[Scope] = &[Scope::Input];
const OUTPUT: &[Scope] = &[Scope::Output];
const BOTH: &[Scope] = &[Scope::Input, Scope::Output];
const FILTER: &[Scope] = &[Scope::Filter];

const DAY: i64 = 86_400;
const MAX_FINDINGS: i64 = 1_000_000_000;

/// The keys. `section.key` is written as `key` in the mapping `section`. Paths in help texts are dotted, too.
const TABLE: &[(&[Scope], OptionSpec)] = &[
    (
        RUN,
        OptionSpec::text("name")
            .help("Name of the pipeline's state directory. Default: the file name without its extension."),
    ),
    (
        RUN,
        OptionSpec::choice("if_running", &["fail", "wait"]).default_text("fail").help(
            "When the pipeline is already running: `fail` ends with exit code 75; `wait` waits for that run.",
        ),
    ),
    (
        RUN,
        OptionSpec::choice("until", &["stopped", "idle"]).default_text("stopped").help(
            "When a run with an input that waits for new reports ends: `stopped` by a signal; `idle` as soon as \
             each input has read what is there (like `run --once`).",
        ),
    ),
    (
        RUN,
        OptionSpec::size("checkpoint.bytes", 1 << 10, 64 << 20).default_integer(4 << 20).help(
            "Amount of finding data between two checkpoints. Checkpoints are made at the end of an asset.",
        ),
    ),
    (
        RUN,
        OptionSpec::integer("checkpoint.secs", 1, DAY)
            .default_integer(5)
            .help("Time between two checkpoints, in seconds."),
    ),
    (
        RUN,
        OptionSpec::size("dead_letter_bytes", 64 << 10, 1 << 40).default_integer(256 << 20).help(
            "Maximum size of the dead letters of one output or input. Further rejected findings are counted \
             but not stored.",
        ),
    ),
    (
        RUN,
        OptionSpec::flag("compare").default_flag(true).help(
            "Count the findings that are new, gone or the same since the last run, for the summary and the report of the \
             run. Stores 16 bytes per finding in the state directory.",
        ),
    ),
    (
        RUN,
        OptionSpec::choice("schedule", &["manual", "continuous"]).default_text("manual").help(
            "When the service runs the pipeline: `manual` only on request, `continuous` always, or a mapping with \
             `every_minutes` or `cron`. Only for the service.",
        ),
    ),
    (
        RUN,
        OptionSpec::text("schedule.cron").help(
            "Start times as a cron pattern of five fields, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.",
        ),
    ),
    (
        RUN,
        OptionSpec::text("schedule.timezone").help(
            "Time zone of `schedule.cron`, for example Europe/Berlin. Default: that of the machine.",
        ),
    ),
    (
        RUN,
        OptionSpec::flag("schedule.catch_up").default_flag(true).help(
            "Start once if a time of `schedule.cron` passed while the service was stopped.",
        ),
    ),
    (
        RUN,
        OptionSpec::integer("schedule.every_minutes", 1, 366 * 1440).help(
            "Interval between starts, in minutes, counted from the start of the last run.",
        ),
    ),
    (
        RUN,
        OptionSpec::integer("schedule.jitter_secs", 0, DAY).default_integer(0).help(
            "Maximum delay of a start, in seconds. The delay is fixed for each machine and pipeline.",
        ),
    ),
    (
        RUN,
        OptionSpec::integer("restart.initial_secs", 1, DAY).default_integer(30).help(
            "First pause before the service repeats a failed run, in seconds. Doubles up to `restart.max_secs`; half \
             of each pause is random.",
        ),
    ),
    (
        RUN,
        OptionSpec::integer("restart.max_secs", 1, DAY)
            .default_integer(900)
            .help("Longest pause before the service repeats a failed run, in seconds."),
    ),
    (
        RUN,
        OptionSpec::integer("restart.give_up_after", 0, 1000).default_integer(0).help(
            "Consecutive failed runs after which the pipeline is held until an operator resumes it. With 0, it never is.",
        ),
    ),
    (
        RUN,
        OptionSpec::text("group").help(
            "Group of pipelines that share the number of simultaneous runs that the service file sets for it. \
             Default: none.",
        ),
    ),
    (
        RUN,
        OptionSpec::text("connector.name")
            .help("Name of this installation, shown in events, at most 255 bytes. Default: none."),
    ),
    (
        RUN,
        OptionSpec::text("connector.location")
            .help("Location of this installation, shown in events, at most 1,023 bytes. Default: none."),
    ),
    (
        RUN,
        OptionSpec::text("connector.comment")
            .help("Comment on this installation, shown in events, at most 1,023 bytes. Default: none."),
    ),
    (
        RUN,
        OptionSpec::choice("connector.preferred_ip_version", &["ipv4", "ipv6"]).default_text("ipv4").help(
            "IP version of the address that events show for this machine, if it has both. If set, also the default of the \
             plugins' `preferred_ip_version`.",
        ),
    ),
    (
        INPUT,
        OptionSpec::choice("on_invalid", &["reject", "fail"]).default_text("reject").help(
            "When the plugin sends an invalid row, for example one with an unknown kind: `reject` makes a dead \
             letter of it and delivers the rest of the report as incomplete (exit code 65); `fail` delivers \
             nothing of the report and ends the run.",
        ),
    ),
    (
        OUTPUT,
        OptionSpec::flag("required").default_flag(true).help(
            "Fail the run when this output fails. With `no`, the run continues without it and ends as \
             `partial`; findings it misses are counted as undelivered and not kept as dead letters.",
        ),
    ),
    (
        OUTPUT,
        OptionSpec::choice("on_full", &["block", "drop"]).default_text("block").help(
            "When the queue is full: `block` makes the input wait; `drop` drops findings for this output, \
             counts them and ends the run with exit code 69.",
        ),
    ),
    (
        OUTPUT,
        OptionSpec::size("queue.bytes", 64 << 10, 1 << 30)
            .default_integer(2 << 20)
            .help("Maximum queue size of this output."),
    ),
    (
        OUTPUT,
        OptionSpec::integer("queue.findings", 1, MAX_FINDINGS)
            .default_integer(50_000)
            .help("Maximum number of queued findings of this output."),
    ),
    (
        BOTH,
        OptionSpec::integer("retry.initial_secs", 1, DAY).default_integer(1).help(
            "First pause between retries, in seconds. Doubles up to `retry.max_secs`; half of each pause is \
             random.",
        ),
    ),
    (
        BOTH,
        OptionSpec::integer("retry.max_secs", 1, DAY)
            .default_integer(60)
            .help("Longest pause between retries, in seconds."),
    ),
    (
        BOTH,
        OptionSpec::integer("retry.max_elapsed_secs", 0, 30 * DAY)
            .default_integer(300)
            .help(
                "Total time for retries, in seconds. With 0, nothing is retried. Default in a run that waits for new \
                 reports: no limit.",
            ),
    ),
    (
        BOTH,
        OptionSpec::integer("retry.breaker_failures", 1, 1000)
            .default_integer(5)
            .help("Consecutive failures that open the circuit breaker and activate `failover`."),
    ),
    (
        OUTPUT,
        OptionSpec::text("failover")
            .help("Id of the output that receives findings while this output is unavailable."),
    ),
    (
        OUTPUT,
        OptionSpec::integer("max_findings_per_sec", 1, MAX_FINDINGS)
            .help("Rate limit in findings per second. Default: none."),
    ),
    (
        BOTH,
        OptionSpec::integer("hang_secs", 1, DAY).default_integer(600).help(
            "Timeout of one plugin call without progress, in seconds. The input or output is then abandoned \
             (exit code 70).",
        ),
    ),
    (
        FILTER,
        OptionSpec::integer("min_severity", 1, 5)
            .help("Minimum severity, 1 to 5. Findings without a severity always pass."),
    ),
    (
        FILTER,
        OptionSpec::list(
            "kinds",
            &ValueSpec::Choice(KINDS),
        )
        .help("Kinds of findings to deliver."),
    ),
    (
        FILTER,
        OptionSpec::list("qids", &ValueSpec::Text)
            .help("QIDs or QID ranges to deliver, for example 38170 or 38170-38175."),
    ),
    (
        FILTER,
        OptionSpec::list(
            "statuses",
            &ValueSpec::Choice(STATUSES),
        )
        .help(
            "Finding statuses to deliver. Findings without a status count as current: they pass unless only \
             `Fixed`, `Ignored` or `Disabled` are listed.",
        ),
    ),
    (
        FILTER,
        OptionSpec::list("ip_ranges", &ValueSpec::Text)
            .help("IP networks, ranges or addresses to deliver, for example 192.0.2.0/24."),
    ),
    (
        FILTER,
        OptionSpec::list("exclude.kinds", &ValueSpec::Choice(KINDS)).help("Kinds of findings not to deliver."),
    ),
    (
        FILTER,
        OptionSpec::list("exclude.qids", &ValueSpec::Text)
            .help("QIDs or QID ranges not to deliver, for example 38170 or 38170-38175."),
    ),
    (
        FILTER,
        OptionSpec::list("exclude.statuses", &ValueSpec::Choice(STATUSES))
            .help("Finding statuses not to deliver. Findings without a status pass."),
    ),
    (
        FILTER,
        OptionSpec::list("exclude.ip_ranges", &ValueSpec::Text)
            .help("IP networks, ranges or addresses not to deliver. Assets without an address pass."),
    ),
];

/// Words of `kinds`.
const KINDS: &[&str] = &["vulnerability", "potential", "information", "service"];
/// Words of `statuses`.
const STATUSES: &[&str] = &["New", "Active", "Re-Opened", "Fixed", "Ignored", "Disabled"];

/// Keys that contain other keys.
const SECTIONS: [(&str, &str); 7] = [
    (
        "checkpoint",
        "Interval between checkpoints, from which an interrupted run resumes. A checkpoint is made when \
         either limit is reached.",
    ),
    (
        "connector",
        "What this installation is called in events. Outputs show it where their format has a place for it.",
    ),
    ("exclude", "Findings that match any of these conditions are not delivered."),
    ("queue", "Limits of this output's queue. One batch is always accepted."),
    ("retry", "Retries when the source or destination is unavailable."),
    ("schedule", "Start times of the pipeline in the service. Either `cron` or `every_minutes`."),
    ("restart", "Pauses before the service repeats a failed run."),
];

static DESCRIPTORS: LazyLock<Vec<(&[Scope], OptionDescriptor)>> =
    LazyLock::new(|| TABLE.iter().map(|(scopes, spec)| (*scopes, spec.into())).collect());

/// The keys of a scope, in display order.
fn in_scope(scope: Scope) -> impl Iterator<Item = &'static OptionDescriptor> {
    DESCRIPTORS.iter().filter(move |(scopes, _)| scopes.contains(&scope)).map(|(_, option)| option)
}

/// The keys of a scope, in display order, for an example.
pub(crate) fn host_options(scope: Scope) -> impl Iterator<Item = &'static OptionDescriptor> {
    in_scope(scope)
}

/// Section and key of a name; the section is empty for a key of its own.
fn path(option: &OptionDescriptor) -> (&str, &str) {
    option.name.split_once('.').unwrap_or(("", &option.name))
}

/// The keys that the mapping of a scope may contain.
pub(super) fn keys(scope: Scope) -> Vec<&'static str> {
    let mut keys: Vec<&str> = in_scope(scope)
        .map(|option| match path(option) {
            ("", key) => key,
            (section, _) => section,
        })
        .collect();
    keys.dedup();
    keys
}

/// The keys of a section.
pub(super) fn keys_of_section(scope: Scope, section: &str) -> Vec<&'static str> {
    in_scope(scope).map(path).filter(|(of, _)| *of == section).map(|(_, key)| key).collect()
}

/// The JSON Schema of the keys of a scope.
pub(super) fn properties(scope: Scope) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut sections = Map::new();
    for option in in_scope(scope) {
        match path(option) {
            ("", key) => {
                properties.insert(key.to_owned(), describe(option));
            }
            (section, key) => {
                let entry = sections.entry(section).or_insert_with(|| {
                    let description = SECTIONS.iter().find(|(name, _)| *name == section);
                    json!({
                        "type": ["object", "null"],
                        "description": description.map(|(_, text)| text),
                        "additionalProperties": false,
                        "properties": {},
                    })
                });
                entry["properties"][key] = describe(option);
            }
        }
    }
    for (name, section) in sections {
        // A key with two forms: one word, or a mapping.
        let section = match properties.remove(&name) {
            Some(word) => {
                let description = word["description"].clone();
                json!({ "anyOf": [word, section], "description": description })
            }
            None => section,
        };
        properties.insert(name, section);
    }
    properties
}

/// The values of the host's keys in one mapping of a pipeline. Keys that are not set have their defaults.
#[derive(Debug, Clone, Default)]
pub struct HostSettings(BTreeMap<&'static str, (Value, Origin)>);

/// One key with its effective value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostSetting<'a> {
    /// The key.
    pub(crate) option: &'static OptionDescriptor,
    /// The value; `None` if the key is not set and has no default.
    pub(crate) value: Option<&'a Value>,
    /// Where it is set; `None` for a default.
    pub(crate) origin: Option<&'a Origin>,
}

impl HostSettings {
    /// All keys of a scope.
    pub(crate) fn iter(&self, scope: Scope) -> impl Iterator<Item = HostSetting<'_>> {
        in_scope(scope).map(|option| {
            let set = self.0.get(option.name.as_str());
            HostSetting {
                option,
                value: set.map(|(value, _)| value).or(option.default.as_ref()),
                origin: set.map(|(_, origin)| origin),
            }
        })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    /// The value of a key and where it is set; `None` if it is not set.
    pub(super) fn set(&self, name: &str) -> Option<&(Value, Origin)> {
        self.0.get(name)
    }

    /// Whether a key is set, as opposed to its default.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.set(name).is_some()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.value(name).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn optional_number(&self, name: &str) -> Option<u64> {
        self.value(name)?.as_u64()
    }

    /// A number with a default.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.optional_number(name).expect("the key has a default")
    }

    pub(super) fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.number(name))
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let (_, option) =
            DESCRIPTORS.iter().find(|(_, option)| option.name == name).expect("a key of the table");
        self.0.get(name).map(|(value, _)| value).or(option.default.as_ref())
    }
}

impl Checker<'_> {
    /// Reads the host's keys in one mapping. Invalid values are reported and have their defaults.
    pub(super) fn host_settings(&mut self, fields: &Fields<'_>, scope: Scope) -> HostSettings {
        let mut sections = Vec::new();
        for (section, _) in SECTIONS {
            if let Some(node) = fields.get(section).filter(|node| !is_word(section, node)) {
                let known = keys_of_section(scope, section);
                let owner = format!("`{section}`");
                sections.push((section, Fields::read(&mut self.collector, node, &owner, &known, |_| None)));
            }
        }
        let mut settings = HostSettings::default();
        for option in in_scope(scope) {
            let node = match path(option) {
                ("", key) => fields.get(key).filter(|node| !is_section(key) || is_word(key, node)),
                (section, key) => {
                    sections.iter().find(|(name, _)| *name == section).and_then(|(_, fields)| fields.get(key))
                }
            };
            let Some(node) = node else { continue };
            let Some(resolved) = self.text(node, &option.name) else { continue };
            match option.kind.parse(&resolved.text) {
                Ok(value) => {
                    let origin = Origin { references: resolved.references, ..Origin::of(&node.span) };
                    settings.0.insert(&option.name, (value, origin));
                }
                Err(problem) => {
                    self.collector.error("bad-value", &node.span, format!("`{}` {problem}", option.name));
                }
            }
        }
        settings
    }
}

fn is_section(key: &str) -> bool {
    SECTIONS.iter().any(|(section, _)| *section == key)
}

/// Whether the value of a section is its short form, one word.
fn is_word(section: &str, node: &Node) -> bool {
    let has_short_form = DESCRIPTORS.iter().any(|(_, option)| option.name == section);
    has_short_form && matches!(node.content, Content::Scalar(_))
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::OptionKind;
    use scanbridge_plugin_api::model::{FindingKind, FindingStatus};

    use super::*;
    use crate::cli::value_in_words;

    #[test]
    fn table_is_valid() {
        for (index, (_, option)) in DESCRIPTORS.iter().enumerate() {
            assert!(
                DESCRIPTORS[..index].iter().all(|(_, other)| other.name != option.name),
                "{}",
                option.name
            );
            assert!(option.default.as_ref().is_none_or(|default| option.kind.accepts(default)));
            let (section, _) = path(option);
            assert!(section.is_empty() || SECTIONS.iter().any(|(name, _)| *name == section));
        }
    }

    #[test]
    fn words_of_the_filter_are_those_of_the_model() {
        let words = |name: &str| {
            let option = in_scope(Scope::Filter).find(|option| option.name == name).unwrap();
            let OptionKind::List { of } = &option.kind else { panic!("{name}") };
            let OptionKind::Choice { words } = &**of else { panic!("{name}") };
            words.clone()
        };
        assert_eq!(words("kinds"), FindingKind::ALL.map(FindingKind::word));
        assert_eq!(words("statuses"), FindingStatus::ALL.map(FindingStatus::word));
    }

    /// The keys of the documentation, `section.key`, with the defaults as in `config show`.
    #[test]
    fn documentation_lists_every_key_with_its_default() {
        let docs = include_str!("../../../docs/operating.md");
        for scope in [Scope::Run, Scope::Input, Scope::Output] {
            for option in in_scope(scope) {
                let default = option.default.as_ref().map(|value| value_in_words(&option.kind, value));
                let row = format!("| `{}` | {} |", option.name, default.as_deref().unwrap_or("–"));
                assert!(docs.contains(&row), "docs/operating.md has no row {row}");
            }
        }
    }
}
