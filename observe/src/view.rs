//! What is known about a pipeline from the events of its runs. Pure: the caller gives events and times.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::counts::{Counts, RunResult, Totals, UnixSeconds, is_count};
use crate::event::{InputTick, OutputTick, RunEvent};

/// The last run that ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// Its number.
    pub run: u64,
    /// Its exit code; that of the process if there was no summary.
    pub exit_code: u8,
    /// Its result.
    pub result: RunResult,
    /// When it ended.
    pub ended: UnixSeconds,
    /// Its duration in seconds.
    pub seconds: f64,
}

/// The run that is in progress.
#[derive(Debug, Clone, PartialEq)]
pub struct CurrentRun {
    /// Its number.
    pub run: u64,
    /// When its first event arrived.
    pub started: UnixSeconds,
    /// When its last event arrived.
    pub last_event: UnixSeconds,
    /// The last state of its inputs.
    pub inputs: Vec<InputTick>,
    /// The last state of its outputs.
    pub outputs: Vec<OutputTick>,
}

/// What is known about a pipeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PipelineView {
    /// Its name.
    pub name: String,
    /// The sums over all runs, with the run in progress.
    pub totals: Totals,
    /// The last run that ended.
    pub last_run: Option<LastRun>,
    /// When a checkpoint was last stored.
    pub last_checkpoint: Option<UnixSeconds>,
    /// Findings of the last run that are new, gone, or the same as in the run before.
    pub compared: Counts,
    /// The values that plugins measured: instance, name, value.
    pub gauges: BTreeMap<(String, String), f64>,
    /// Those that were measured in the run in progress.
    pub measured: BTreeSet<(String, String)>,
    /// The run in progress.
    pub current: Option<CurrentRun>,
    /// The counts of the run in progress that `totals` contains already.
    counted: Totals,
}

impl PipelineView {
    /// A pipeline with these sums of earlier runs.
    #[must_use]
    pub fn new(name: &str, totals: Totals) -> Self {
        Self { name: name.to_owned(), totals, ..Self::default() }
    }

    /// Takes over an event of the run in progress.
    pub fn apply(&mut self, event: &RunEvent, now: UnixSeconds) {
        if let Some(current) = &mut self.current {
            current.last_event = now;
        }
        match event {
            RunEvent::Hello(hello) => {
                self.counted = Totals::default();
                self.measured.clear();
                self.name.clone_from(&hello.pipeline);
                if self.totals == Totals::default() {
                    self.totals.clone_from(&hello.totals);
                }
                for input in &hello.inputs {
                    self.totals.inputs.entry(input.id.clone()).or_default();
                }
                for output in &hello.outputs {
                    self.totals.outputs.entry(output.id.clone()).or_default();
                }
                let (inputs, outputs) = (Vec::new(), Vec::new());
                self.current =
                    Some(CurrentRun { run: hello.run, started: now, last_event: now, inputs, outputs });
            }
            RunEvent::Tick(tick) => {
                for input in &tick.inputs {
                    add(&mut self.totals.inputs, &mut self.counted.inputs, &input.id, &input.counts);
                }
                for output in &tick.outputs {
                    add(&mut self.totals.outputs, &mut self.counted.outputs, &output.id, &output.counts);
                }
                if let Some(current) = &mut self.current {
                    current.inputs.clone_from(&tick.inputs);
                    current.outputs.clone_from(&tick.outputs);
                }
            }
            RunEvent::Checkpoint { .. } => self.last_checkpoint = Some(now),
            RunEvent::Gauge { instance, name, value } => {
                self.gauges.insert((instance.clone(), name.clone()), *value);
                if self.current.is_some() {
                    self.measured.insert((instance.clone(), name.clone()));
                }
            }
            RunEvent::Summary { summary } => self.end(summary, now),
            _ => {}
        }
    }

    /// The process of the run ended. Without a summary, the run counts as failed with this exit code.
    pub fn process_ended(&mut self, exit_code: u8, now: UnixSeconds) {
        if self.current.is_some() {
            self.ended(exit_code, RunResult::Failed, now, true);
        }
    }

    fn end(&mut self, summary: &Value, now: UnixSeconds) {
        let instances = |list: &str| summary[list].as_array().cloned().unwrap_or_default();
        for input in instances("inputs") {
            if let Some(id) = input["id"].as_str() {
                add(&mut self.totals.inputs, &mut self.counted.inputs, id, &counts_of(&input));
            }
        }
        for output in instances("outputs") {
            if let Some(id) = output["id"].as_str() {
                add(&mut self.totals.outputs, &mut self.counted.outputs, id, &counts_of(&output));
            }
        }
        let is_compared = summary["compared"]["against_run"].is_u64();
        self.compared = if is_compared { counts_of(&summary["compared"]) } else { Counts::new() };
        // A run that was not started has no number, and is in no history: it must not count here either.
        let is_counted = summary["run"].is_u64();
        let exit_code = summary["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok());
        self.ended(exit_code.unwrap_or(u8::MAX), RunResult::of_summary(summary), now, is_counted);
        if let (Some(last), Some(elapsed)) = (&mut self.last_run, summary["elapsed_ms"].as_f64()) {
            last.seconds = elapsed / 1000.0;
        }
    }

    fn ended(&mut self, exit_code: u8, result: RunResult, now: UnixSeconds, is_counted: bool) {
        let current = self.current.take();
        let (run, started) = current.map_or((0, now), |current| (current.run, current.started));
        if is_counted {
            *self.totals.runs.entry(result).or_default() += 1;
        }
        self.last_run = Some(LastRun { run, exit_code, result, ended: now, seconds: now - started });
        if matches!(result, RunResult::Ok | RunResult::Partial) {
            self.totals.last_success = Some(now);
        }
        self.counted = Totals::default();
        self.measured.clear();
    }
}

/// Adds the growth of these counts since the last call. A count that fell is a lie of the other side and adds nothing.
fn add(
    totals: &mut BTreeMap<String, Counts>,
    counted: &mut BTreeMap<String, Counts>,
    id: &str,
    counts: &Counts,
) {
    // Only instances that the first event named: what else a run tells must not make more and more labels.
    let Some(totals) = totals.get_mut(id) else { return };
    let counted = counted.entry(id.to_owned()).or_default();
    for (name, count) in counts.iter().filter(|(name, _)| is_count(name)) {
        let known = counted.entry(name.clone()).or_default();
        let total = totals.entry(name.clone()).or_default();
        *total = total.saturating_add(count.saturating_sub(*known));
        *known = (*known).max(*count);
    }
}

/// The numbers of an object, those of inner objects under `outer.inner`.
fn counts_of(object: &Value) -> Counts {
    fn collect(prefix: &str, value: &Value, counts: &mut Counts) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    collect(&name, value, counts);
                }
            }
            value => {
                if let Some(number) = value.as_u64() {
                    counts.insert(prefix.to_owned(), number);
                }
            }
        }
    }
    let mut counts = Counts::new();
    collect("", object, &mut counts);
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::event::{Hello, OutputReference, PluginReference, Tick};

    fn hello(run: u64) -> RunEvent {
        let inputs = vec![PluginReference { id: "scans".to_owned(), plugin: "Files".to_owned() }];
        let outputs =
            vec![OutputReference { id: "siem".to_owned(), plugin: "CEF".to_owned(), required: true }];
        RunEvent::Hello(Hello { pipeline: "emea".to_owned(), run, inputs, outputs, ..Hello::default() })
    }

    fn tick(records: u64) -> RunEvent {
        let counts = Counts::from([("records".to_owned(), records)]);
        let output = OutputTick { id: "siem".to_owned(), counts, ..OutputTick::default() };
        RunEvent::Tick(Tick { inputs: Vec::new(), outputs: vec![output] })
    }

    fn summary(records: u64) -> RunEvent {
        let outputs = json!([{"id": "siem", "records": records, "records_by_kind": {"service": 1}}]);
        let inputs = json!([{"id": "scans", "reports": 1, "findings_by_severity": {"service": {"0": 1}}}]);
        RunEvent::Summary {
            summary: json!({"run": 1, "status": "ok", "exit_code": 0, "elapsed_ms": 1500, "inputs": inputs,
                "outputs": outputs, "compared": {"against_run": 1, "new": 3}}),
        }
    }

    #[test]
    fn a_run_is_counted_once_by_ticks_and_summary() {
        let mut view = PipelineView::new("emea", Totals::default());
        for (run, start) in [(1, 0.0), (2, 100.0)] {
            view.apply(&hello(run), start);
            view.apply(&tick(5), start + 1.0);
            view.apply(&tick(7), start + 2.0);
            view.apply(&summary(9), start + 3.0);
            view.process_ended(0, start + 4.0);
        }
        assert_eq!(view.totals.outputs["siem"]["records"], 18);
        assert_eq!(view.totals.inputs["scans"]["findings_by_severity.service.0"], 2);
        assert_eq!(view.totals.runs[&RunResult::Ok], 2);
        let last = view.last_run.unwrap();
        assert_eq!((last.run, last.exit_code, last.seconds), (2, 0, 1.5));
        assert_eq!(view.totals.last_success, Some(103.0));
        assert_eq!(view.compared["new"], 3);
    }

    #[test]
    fn a_run_without_a_summary_failed() {
        let mut view = PipelineView::new("emea", Totals::default());
        view.apply(&hello(1), 0.0);
        view.apply(&tick(5), 1.0);
        view.process_ended(137, 2.0);
        assert_eq!(view.last_run.unwrap().result, RunResult::Failed);
        assert_eq!(view.totals.outputs["siem"]["records"], 5);
        view.apply(&hello(2), 3.0);
        view.apply(&tick(5), 4.0);
        assert_eq!(view.totals.outputs["siem"]["records"], 10);
    }

    #[test]
    fn a_run_that_could_not_start_is_not_counted() {
        let mut view = PipelineView::new("emea", Totals::default());
        view.apply(&hello(1), 0.0);
        let summary = json!({"run": null, "status": "failed", "exit_code": 69});
        view.apply(&RunEvent::Summary { summary }, 1.0);
        assert_eq!(view.last_run.unwrap().exit_code, 69);
        assert_eq!(view.totals.runs, BTreeMap::new());
    }

    #[test]
    fn unknown_instances_and_counts_make_no_labels() {
        let mut view = PipelineView::new("emea", Totals::default());
        view.apply(&hello(1), 0.0);
        let counts = Counts::from([("invented".to_owned(), 1)]);
        let stranger = OutputTick { id: "stranger".to_owned(), ..OutputTick::default() };
        let siem = OutputTick { id: "siem".to_owned(), counts, ..OutputTick::default() };
        view.apply(&RunEvent::Tick(Tick { inputs: Vec::new(), outputs: vec![stranger, siem] }), 1.0);
        assert_eq!(view.totals.outputs, BTreeMap::from([("siem".to_owned(), Counts::new())]));
    }

    proptest! {
        #[test]
        fn totals_never_fall(ticks in proptest::collection::vec((any::<bool>(), any::<u64>()), 1..50)) {
            let mut view = PipelineView::new("emea", Totals::default());
            view.apply(&hello(1), 0.0);
            let mut last = 0;
            for (is_new_run, records) in ticks {
                view.apply(&if is_new_run { hello(2) } else { tick(records) }, 1.0);
                let total = view.totals.outputs["siem"].get("records").copied().unwrap_or_default();
                prop_assert!(total >= last);
                last = total;
            }
        }
    }
}
