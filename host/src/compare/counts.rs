//! The result of a comparison.

use scanbridge_observe::grouped;
use serde::{Deserialize, Serialize};

/// Findings of a run, compared with those of the run before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The run before; `None` if there is none to compare with. Then the counts are 0.
    pub against_run: Option<u64>,
    /// Findings that the run before did not have.
    pub new: u64,
    /// Findings that only the run before has, although a complete report of this run has their asset.
    pub gone: u64,
    /// Findings that both runs have.
    pub same: u64,
}

impl Compared {
    /// The line of the text summary; `None` if there is no run to compare with.
    pub(crate) fn line(&self) -> Option<String> {
        let [new, gone, same] = [self.new, self.gone, self.same].map(grouped);
        self.against_run.map(|run| format!("compared with run {run}: {new} new, {gone} gone, {same} same\n"))
    }
}
