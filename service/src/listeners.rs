//! The clients that wait for samples of what a run writes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

/// The clients of one run. None of them can hold up the service: at most 100 findings of each output wait for a client.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Vec<Listener>);

#[derive(Debug)]
struct Listener {
    /// The outputs that have not sent everything.
    outputs: BTreeSet<String>,
    lines: UnboundedSender<Value>,
}

impl Listeners {
    /// Adds a client that waits for samples of these outputs.
    pub(crate) fn add(&mut self, outputs: BTreeSet<String>, lines: UnboundedSender<Value>) {
        self.0.push(Listener { outputs, lines });
    }

    /// Passes on a record of an output, or the reason why there is none. `remaining`: findings that the run will still send.
    pub(crate) fn pass_on(&mut self, output: &str, rendered: &str, omitted: &str, remaining: u32) {
        self.0.retain_mut(|listener| {
            if !listener.outputs.contains(output) {
                return !listener.lines.is_closed();
            }
            let line = if omitted.is_empty() {
                json!({ "output": output, "rendered": rendered })
            } else {
                json!({ "output": output, "omitted": omitted })
            };
            if remaining == 0 {
                listener.outputs.remove(output);
            }
            listener.lines.send(line).is_ok() && !listener.outputs.is_empty()
        });
    }

    /// The run has ended: no more samples come.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[test]
    fn client_is_kept_until_each_of_its_outputs_has_sent_all() {
        let outputs = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let mut listeners = Listeners::default();
        let (both, mut of_both) = unbounded_channel();
        let (siem, mut of_siem) = unbounded_channel();
        let (gone, of_gone) = unbounded_channel();
        listeners.add(outputs(&["siem", "sheet"]), both);
        listeners.add(outputs(&["siem"]), siem);
        listeners.add(outputs(&["sheet"]), gone);
        drop(of_gone);
        listeners.pass_on("siem", "a", "", 1);
        listeners.pass_on("siem", "", "closed", 0);
        assert_eq!(listeners.0.len(), 1, "one has everything, one has gone");
        listeners.pass_on("siem", "late", "", 5);
        listeners.pass_on("sheet", "b", "", 0);
        assert!(listeners.0.is_empty());
        let mut all = Vec::new();
        while let Some(line) = of_both.blocking_recv() {
            all.push(line);
        }
        let first = json!({ "output": "siem", "rendered": "a" });
        let second = json!({ "output": "siem", "omitted": "closed" });
        assert_eq!(all, [first.clone(), second.clone(), json!({ "output": "sheet", "rendered": "b" })]);
        assert_eq!((of_siem.blocking_recv(), of_siem.blocking_recv()), (Some(first), Some(second)));
        assert_eq!(of_siem.blocking_recv(), None);
    }
}
