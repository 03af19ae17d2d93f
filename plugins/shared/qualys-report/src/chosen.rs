//! The reports that an operator has chosen for a run.

use scanbridge_plugin_api::model::Refusal;
use scanbridge_plugin_api::{ReportChoice, Step};

/// The chosen reports of a run, and how many of them are done.
#[derive(Debug)]
pub struct Chosen {
    choice: ReportChoice,
    done: usize,
    /// Whether a report was refused since the last position.
    is_unmarked: bool,
}

impl Chosen {
    /// The first `done` reports were delivered or refused before.
    #[must_use]
    pub fn new(choice: ReportChoice, done: usize) -> Self {
        Self { choice, done, is_unmarked: false }
    }

    /// The report that is delivered, or is next; `None` when all are done.
    #[must_use]
    pub fn current(&self) -> Option<&str> {
        self.choice.ids.get(self.done).map(String::as_str)
    }

    /// How many reports are done.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Whether reports that were sent before are sent again.
    #[must_use]
    pub fn again(&self) -> bool {
        self.choice.again
    }

    /// The current report was delivered to its end.
    pub fn deliver(&mut self) {
        self.done += 1;
    }

    /// The current report is refused.
    pub fn refuse(&mut self, refusal: Refusal) -> Step {
        self.done += 1;
        self.is_unmarked = true;
        Step::refused(refusal)
    }

    /// True once after a refusal: the number of reports that are done must be stored.
    pub fn needs_mark(&mut self) -> bool {
        std::mem::take(&mut self.is_unmarked)
    }
}
