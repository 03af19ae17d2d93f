//! The host's own keys of a pipeline, as a table. `host_options` makes checks, defaults, the JSON Schema and `config show`
//! of it; the tables in `docs/pipelines.md` are generated from it.

use scanbridge_plugin_api::{Fips, OptionSpec, ValueSpec};

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
const ALL_BUT_FILTER: &[Scope] = &[Scope::Run, Scope::Input, Scope::Output];

const DAY: i64 = 86_400;
const MAX_FINDINGS: i64 = 1_000_000_000;
/// The largest number of instances of a pipeline.
pub(crate) const MAX_INSTANCES: i64 = 16;

/// The keys. `section.key` is written as `key` in the mapping `section`. Paths in help texts are dotted, too.
pub(super) const TABLE: &[(&[Scope], OptionSpec)] = &[
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
        OptionSpec::integer("instances", 1, MAX_INSTANCES).default_integer(1).help(
            "Number of runs that the service keeps in progress, each with a saved state of its own (`NAME.1`, `NAME.2` …). \
             For an output that shares the work of several instances.",
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
        ALL_BUT_FILTER,
        OptionSpec::choice("fips", Fips::WORDS).help(
            "FIPS mode. The strictest of the service, the command line, the environment, the pipeline and the input or \
             output applies. Needs the FIPS build. Default: off.",
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
        OptionSpec::list("encrypt.fields", &ValueSpec::Text).help(
            "Fields to encrypt, for example asset.address; `recommended` for those that identify a machine.",
        ),
    ),
    (
        OUTPUT,
        OptionSpec::map("encrypt.formats", &ValueSpec::Text).help(
            "Formats that differ from the default, by field, for example `finding.result: mentions`.",
        ),
    ),
    (
        OUTPUT,
        OptionSpec::text("encrypt.identity")
            .help("Name of the key. Shown in records as `report.encryption`. Required with `encrypt`."),
    ),
    (
        OUTPUT,
        OptionSpec::integer("encrypt.version", 1, MAX_FINDINGS)
            .default_integer(1)
            .help("Version of the key. Raise it when the secret changes."),
    ),
    (
        OUTPUT,
        OptionSpec::text("encrypt.secret").secret().help(
            "Random secret of at least 16 bytes, from which the key is derived. Must be a reference: ${env:NAME}, \
             ${file:PATH} or ${credential:NAME}.",
        ),
    ),
    (
        OUTPUT,
        OptionSpec::list("encrypt.secret_command", &ValueSpec::Text).help(
            "Program and arguments that print the secret, instead of `encrypt.secret`. Run at the start, without a shell; \
             stopped after 10 s.",
        ),
    ),
    (
        OUTPUT,
        OptionSpec::text("encrypt.tweak").help(
            "Text that makes equal values of outputs with the same key different. Default: none.",
        ),
    ),
    (
        OUTPUT,
        OptionSpec::choice("encrypt.short_values", &["token", "refuse"]).default_text("token").help(
            "For a value that is too short to be encrypted, or has characters outside its format: `token` replaces it by a \
             code that cannot be decrypted; `refuse` rejects the finding.",
        ),
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
pub(super) const SECTIONS: [(&str, &str); 8] = [
    (
        "checkpoint",
        "Interval between checkpoints, from which an interrupted run resumes. A checkpoint is made when \
         either limit is reached.",
    ),
    (
        "connector",
        "What this installation is called in events. Outputs show it where their format has a place for it.",
    ),
    (
        "encrypt",
        "Encryption of chosen fields, which keeps the format of their values. Everything that the output gets is encrypted. \
         Once used, it cannot be changed or removed without `state forget-encryption`.",
    ),
    ("exclude", "Findings that match any of these conditions are not delivered."),
    ("queue", "Limits of this output's queue. One batch is always accepted."),
    ("retry", "Retries when the source or destination is unavailable."),
    ("schedule", "Start times of the pipeline in the service. Either `cron` or `every_minutes`."),
    ("restart", "Pauses before the service repeats a failed run."),
];
