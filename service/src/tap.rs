//! Asks a run for samples of what its outputs write.

use std::collections::BTreeSet;

use scanbridge_observe::ServiceRequest;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use crate::request::{Reply, TapQuery};
use crate::supervisor::Supervisor;

impl Supervisor {
    /// Asks the run of a pipeline for samples. They go to `lines` until the run has sent all or the client has gone.
    pub(crate) fn tap(&mut self, name: &str, query: TapQuery, lines: UnboundedSender<Value>) -> Reply {
        let Some(entry) = self.entries.get_mut(name) else {
            let detail = "`scanbridge service status` lists them";
            return Reply::problem(404, &format!("no pipeline `{name}`"), detail);
        };
        let (Some(process), Some(current)) = (&mut entry.process, &entry.view.current) else {
            return Reply::problem(503, &format!("pipeline `{name}` is not running"), "");
        };
        let mut ids: BTreeSet<String> = current.outputs.iter().map(|output| output.id.clone()).collect();
        // The run has just started.
        if ids.is_empty() {
            ids.extend(entry.view.totals.outputs.keys().cloned());
        }
        let is_asked = |id: &&String| query.output.as_ref().is_none_or(|output| output == *id);
        let outputs: BTreeSet<String> = ids.iter().filter(is_asked).cloned().collect();
        if outputs.is_empty() {
            let known: Vec<String> = ids.into_iter().collect();
            let output = query.output.unwrap_or_default();
            let title = format!("pipeline `{name}` has no output `{output}`");
            return Reply::problem(404, &title, &format!("its outputs: {}", known.join(", ")));
        }
        for output in &outputs {
            let (output, count, seconds) = (output.clone(), query.count, query.seconds);
            process.run.send(&ServiceRequest::Tap { output, count, seconds });
        }
        entry.listeners.add(outputs, lines);
        Reply::ok(Value::Null)
    }
}
