//! The first event of a run: what is run.

use scanbridge_observe::{Hello, OutputReference, PluginReference, RunEvent, Totals};

use crate::config::{InputInstance, Instance, OutputInstance, Pipeline};
use crate::pipeline::{Head, Summary, Trigger, Watchers};
use crate::state::{Choice, Ledger};

/// What is run, for the watchers.
pub(crate) fn hello(pipeline: &Pipeline, run: u64, totals: Totals, choice: Option<&Choice>) -> RunEvent {
    let names = |instance: &Instance| (instance.id.clone(), instance.plugin.clone());
    let input = |input: &InputInstance| {
        let (id, plugin) = names(&input.instance);
        PluginReference { id, plugin }
    };
    let output = |output: &OutputInstance| {
        let (id, plugin) = names(&output.instance);
        OutputReference { id, plugin, required: output.required }
    };
    RunEvent::Hello(Hello {
        protocol: Hello::PROTOCOL,
        pipeline: pipeline.state_name(),
        run,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        digest: pipeline.digest.clone(),
        inputs: pipeline.inputs.iter().map(input).collect(),
        outputs: pipeline.outputs.iter().map(output).collect(),
        totals,
        choice: choice.map(|choice| choice.request.clone()).unwrap_or_default(),
    })
}

/// The summary for a choice that an earlier run has delivered to its end: nothing is left to do.
pub(crate) fn done_before(
    pipeline: &Pipeline,
    run: u64,
    ledger: &Ledger,
    choice: Option<Choice>,
    watchers: &Watchers,
) -> Summary {
    tracing::info!("run {run} has sent the chosen reports already");
    let totals = ledger.totals().unwrap_or_default();
    watchers.notify(&hello(pipeline, run, totals, choice.as_ref()));
    let head = Head { run: Some(run), ..Head::of(pipeline, Trigger::Choice).ended() };
    let summary = Summary::without_instances(head, Vec::new());
    watchers.notify(&summary.event());
    summary
}
