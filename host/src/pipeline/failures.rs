//! The failures of a run: which are kept for the summary, and whether a later run can resume after one.

use scanbridge_plugin_api::ErrorKind;

use super::summary::Failure;

/// Whether a later run can succeed after a failure of this kind, because the operator fixed something or time has
/// passed. After other kinds it would fail again at the same position.
pub(super) fn is_resumable_failure(kind: ErrorKind) -> bool {
    use ErrorKind::{Auth, Cancelled, CannotCreate, Displaced, Io, Unavailable};
    matches!(kind, Auth | Cancelled | CannotCreate | Displaced | Io | Unavailable)
}

/// The first failures, and the number of further ones: an input that watches a directory can have any number.
#[derive(Debug, Default)]
pub(super) struct Failures {
    list: Vec<Failure>,
    omitted: u64,
}

/// Maximum number of failures in the summary.
const MAX_SHOWN: usize = 100;

impl Failures {
    /// Adds a failure.
    pub(super) fn add(&mut self, failure: Failure) {
        // One failure of each exit code is always kept, because they determine the exit code of the run.
        let kind = (failure.exit_code, failure.of_report);
        let is_new_code = || self.list.iter().all(|listed| (listed.exit_code, listed.of_report) != kind);
        if self.list.len() < MAX_SHOWN || is_new_code() {
            self.list.push(failure);
        } else {
            self.omitted += 1;
        }
    }

    /// Adds a failure unless it is listed already. Returns whether it was added.
    pub(super) fn add_once(&mut self, failure: Failure) -> bool {
        let is_new = !self.list.contains(&failure);
        if is_new {
            self.add(failure);
        }
        is_new
    }

    /// The failures, and one for those that are only counted.
    pub(super) fn to_list(&self) -> Vec<Failure> {
        let mut list = self.list.clone();
        if let (Some(first), 1..) = (self.list.first(), self.omitted) {
            let message = format!("{} more failures; see the log", self.omitted);
            let more = Failure::of_command("run", &message, None, first.exit_code);
            list.push(Failure { of_report: first.of_report, ..more });
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::PluginError;

    use super::*;

    #[test]
    fn many_failures_are_counted_and_every_exit_code_is_kept() {
        let mut failures = Failures::default();
        for number in 0..1000 {
            failures.add(Failure::new("in", &PluginError::bad_data(number.to_string())));
        }
        failures.add(Failure::new("in", &PluginError::cancelled()));
        let list = failures.to_list();
        assert_eq!(list.len(), MAX_SHOWN + 2);
        assert_eq!(list[MAX_SHOWN].exit_code, 130);
        assert_eq!(list[MAX_SHOWN + 1].message, "900 more failures; see the log");
    }

    #[test]
    fn repeated_failure_is_recorded_once() {
        let mut failures = Failures::default();
        let failure = Failure::new("input", &PluginError::bug("damaged"));
        assert!(failures.add_once(failure.clone()) && !failures.add_once(failure));
    }
}
