//! Reads and checks the host's own settings of runs, inputs and outputs.

use std::time::Duration;

use scanbridge_plugin_api::{OptionKind, PluginKind};
use serde_json::{Value, json};

use super::checker::Checker;
use super::delivery::{
    CheckpointInterval, Delivery, IfRunning, OnFull, QueueLimits, RetryPolicy, RunSettings,
};
use super::fields::Fields;
use super::pipeline::OutputInstance;
use super::suggestion::nearest;
use super::tree::Node;

/// Delivery keys of an input.
pub(super) const INPUT_KEYS: [&str; 2] = ["retry", "hang_secs"];
/// Delivery keys of an output.
pub(super) const OUTPUT_KEYS: [&str; 6] =
    ["on_full", "queue", "retry", "failover", "max_findings_per_sec", "hang_secs"];
/// Run settings at the top level of the pipeline.
pub(super) const RUN_KEYS: [&str; 4] = ["name", "if_running", "checkpoint", "dead_letter_bytes"];

const DAY: i64 = 86_400;
const MAX_FINDINGS: i64 = 1_000_000_000;

impl Checker<'_> {
    pub(super) fn run_settings(&mut self, fields: &Fields<'_>) -> RunSettings {
        let default = RunSettings::default();
        let if_running =
            fields.get("if_running").and_then(|node| self.word(node, "if_running", &["fail", "wait"]));
        let dead_letter_bytes = fields
            .get("dead_letter_bytes")
            .and_then(|node| self.size(node, "dead_letter_bytes", 64 << 10, 1 << 40));
        RunSettings {
            if_running: match if_running.as_deref() {
                Some("wait") => IfRunning::Wait,
                _ => default.if_running,
            },
            checkpoint: fields
                .get("checkpoint")
                .map_or(default.checkpoint, |node| self.checkpoint(node, default.checkpoint)),
            dead_letter_bytes: dead_letter_bytes.unwrap_or(default.dead_letter_bytes),
        }
    }

    pub(super) fn delivery(&mut self, fields: &Fields<'_>) -> Delivery {
        let default = Delivery::default();
        let on_full = fields.get("on_full").and_then(|node| self.word(node, "on_full", &["block", "drop"]));
        Delivery {
            queue: fields.get("queue").map_or(default.queue, |node| self.queue(node, default.queue)),
            on_full: match on_full.as_deref() {
                Some("drop") => OnFull::Drop,
                _ => default.on_full,
            },
            retry: self.retry(fields),
            failover: fields.get("failover").and_then(|node| Some(self.text(node, "failover")?.text)),
            max_findings_per_sec: fields
                .get("max_findings_per_sec")
                .and_then(|node| self.number(node, "max_findings_per_sec", 1, MAX_FINDINGS)),
            hang: self.hang(fields),
        }
    }

    pub(super) fn hang(&mut self, fields: &Fields<'_>) -> Duration {
        self.secs(fields, "hang_secs", 1, DAY).unwrap_or(Delivery::default().hang)
    }

    pub(super) fn retry(&mut self, fields: &Fields<'_>) -> RetryPolicy {
        let default = RetryPolicy::default();
        let Some(node) = fields.get("retry") else { return default };
        const KEYS: [&str; 4] = ["initial_secs", "max_secs", "max_elapsed_secs", "breaker_failures"];
        let fields = Fields::read(&mut self.collector, node, "`retry`", &KEYS, |_| None);
        let initial = self.secs(&fields, "initial_secs", 1, DAY).unwrap_or(default.initial);
        RetryPolicy {
            initial,
            longest: self.secs(&fields, "max_secs", 1, DAY).unwrap_or(default.longest).max(initial),
            max_elapsed: self.secs(&fields, "max_elapsed_secs", 0, 30 * DAY).unwrap_or(default.max_elapsed),
            breaker_failures: fields
                .get("breaker_failures")
                .and_then(|node| self.number(node, "breaker_failures", 1, 1000))
                .map_or(default.breaker_failures, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        }
    }

    /// Checks every `failover`: it must be another output, must not have a `failover` itself, and must not be
    /// the failover of a second output.
    pub(super) fn failovers(&mut self, outputs: &[OutputInstance], nodes: &[(usize, &Node)]) {
        let mut used: Vec<&str> = Vec::new();
        for output in outputs {
            let Some(failover) = &output.delivery.failover else { continue };
            let known = || outputs.iter().map(|output| output.instance.id.as_str());
            let named = outputs.iter().find(|other| other.instance.id == *failover);
            let problem = match named {
                None => "is not an output of this pipeline",
                Some(other) if other.instance.id == output.instance.id => "must not be the output itself",
                Some(other) if other.delivery.failover.is_some() => "already has a failover of its own",
                Some(_) if used.contains(&failover.as_str()) => "is already the failover of another output",
                Some(other) => {
                    used.push(&other.instance.id);
                    continue;
                }
            };
            let near = nearest(failover, known()).filter(|_| named.is_none());
            let location = nodes.iter().find_map(|(_, node)| failover_of(node, failover));
            let Some(location) = location else { continue };
            self.collector
                .error("bad-value", &location.span, format!("`failover`: `{failover}` {problem}"))
                .label(near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default())
                .help(
                    "set `failover` to the `id` of another output; that output receives findings only while \
                     this one is unavailable",
                );
        }
    }

    fn checkpoint(&mut self, node: &Node, default: CheckpointInterval) -> CheckpointInterval {
        let fields = Fields::read(&mut self.collector, node, "`checkpoint`", &["bytes", "secs"], |_| None);
        let bytes =
            fields.get("bytes").and_then(|node| self.size(node, "checkpoint.bytes", 1 << 10, 64 << 20));
        CheckpointInterval {
            bytes: bytes.unwrap_or(default.bytes),
            time: self.secs(&fields, "secs", 1, DAY).unwrap_or(default.time),
        }
    }

    fn queue(&mut self, node: &Node, default: QueueLimits) -> QueueLimits {
        let fields = Fields::read(&mut self.collector, node, "`queue`", &["bytes", "findings"], |_| None);
        let bytes = fields.get("bytes").and_then(|node| self.size(node, "queue.bytes", 64 << 10, 1 << 30));
        let findings =
            fields.get("findings").and_then(|node| self.number(node, "queue.findings", 1, MAX_FINDINGS));
        QueueLimits { bytes: bytes.unwrap_or(default.bytes), findings: findings.unwrap_or(default.findings) }
    }

    fn secs(&mut self, fields: &Fields<'_>, key: &str, min: i64, max: i64) -> Option<Duration> {
        fields.get(key).and_then(|node| self.number(node, key, min, max)).map(Duration::from_secs)
    }

    fn number(&mut self, node: &Node, key: &str, min: i64, max: i64) -> Option<u64> {
        self.host_value(node, key, &OptionKind::Integer { min, max })?.as_u64()
    }

    fn size(&mut self, node: &Node, key: &str, min: u64, max: u64) -> Option<u64> {
        self.host_value(node, key, &OptionKind::Size { min, max })?.as_u64()
    }

    fn word(&mut self, node: &Node, key: &str, words: &[&str]) -> Option<String> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.host_value(node, key, &OptionKind::Choice { words })?.as_str().map(str::to_owned)
    }

    /// The value of a host key, parsed like an option of this kind.
    pub(super) fn host_value(&mut self, node: &Node, key: &str, kind: &OptionKind) -> Option<Value> {
        let text = self.text(node, key)?.text;
        match kind.parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.collector.error("bad-value", &node.span, format!("`{key}` {problem}"));
                None
            }
        }
    }
}

fn failover_of<'n>(output: &'n Node, id: &str) -> Option<&'n Node> {
    let node = output.entry("failover")?;
    (node.text()? == id).then_some(node)
}

/// Adds the delivery keys of an input or output to its JSON Schema.
pub(super) fn add_to_schema(properties: &mut Value, kind: PluginKind) {
    properties["retry"] = retry_schema();
    properties["hang_secs"] = described(
        number_schema(1),
        "Timeout of one plugin call without progress, in seconds. Default: 600. The input or output is then \
         abandoned (exit code 70).",
    );
    if kind == PluginKind::Output {
        properties["failover"] = described(
            json!({ "type": "string" }),
            "Id of the output that receives findings while this output is unavailable.",
        );
        properties["queue"] = mapping_schema(
            "Limits of this output's queue. One batch is always accepted.",
            &[
                ("bytes", described(size_schema(), "Maximum queue size of this output. Default: 2 MiB.")),
                (
                    "findings",
                    described(
                        number_schema(1),
                        "Maximum number of queued findings of this output. Default: 50000.",
                    ),
                ),
            ],
        );
        properties["on_full"] = described(
            json!({ "enum": ["block", "drop"] }),
            "When the queue is full: `block` (default) makes the input wait; `drop` drops findings for this \
             output, counts them and ends the run with exit code 69.",
        );
        properties["max_findings_per_sec"] =
            described(number_schema(1), "Rate limit in findings per second. Default: none.");
    }
}

/// Adds the run settings to the JSON Schema of the pipeline.
pub(super) fn add_run_to_schema(properties: &mut Value) {
    properties["name"] = described(
        json!({ "type": "string" }),
        "Name of the pipeline's state directory. Default: the file name without its extension.",
    );
    properties["if_running"] = described(
        json!({ "enum": ["fail", "wait"] }),
        "When the pipeline is already running: `fail` (default) ends with exit code 75; `wait` waits for \
         that run.",
    );
    properties["checkpoint"] = mapping_schema(
        "Interval between checkpoints, from which an interrupted run resumes. A checkpoint is made when \
         either limit is reached.",
        &[
            (
                "bytes",
                described(
                    size_schema(),
                    "Amount of finding data between two checkpoints. Default: 4 MiB. Checkpoints are made \
                     at the end of an asset.",
                ),
            ),
            ("secs", described(number_schema(1), "Time between two checkpoints, in seconds. Default: 5.")),
        ],
    );
    properties["dead_letter_bytes"] = described(
        size_schema(),
        "Maximum size of an output's dead letter file. Default: 256 MiB. Further rejected findings are \
         counted but not stored.",
    );
}

fn retry_schema() -> Value {
    mapping_schema(
        "Retries when the source or destination is unavailable.",
        &[
            (
                "initial_secs",
                described(
                    number_schema(1),
                    "First pause between retries, in seconds. Default: 1. Doubles up to `max_secs`; half of \
                     each pause is random.",
                ),
            ),
            (
                "max_secs",
                described(number_schema(1), "Longest pause between retries, in seconds. Default: 60."),
            ),
            (
                "max_elapsed_secs",
                described(
                    number_schema(0),
                    "Total time for retries, in seconds. Default: 300. With 0, nothing is retried.",
                ),
            ),
            (
                "breaker_failures",
                described(
                    number_schema(1),
                    "Consecutive failures that open the circuit breaker and activate `failover`. Default: 5.",
                ),
            ),
        ],
    )
}

fn mapping_schema(description: &str, keys: &[(&str, Value)]) -> Value {
    let properties: serde_json::Map<String, Value> =
        keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    described(
        json!({ "type": ["object", "null"], "additionalProperties": false, "properties": properties }),
        description,
    )
}

/// Adds a description, which editors show, to a schema.
pub(super) fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

fn number_schema(min: u64) -> Value {
    json!({ "type": "integer", "minimum": min })
}

fn size_schema() -> Value {
    json!({ "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "string", "pattern": "^[0-9]+ *([KkMmGg][Ii]?)?[Bb]$" },
    ] })
}
