//! The limits of a process: it must report something, and it must stop when it is asked to.

use std::time::Duration;

use scanbridge_observe::StopAt;

use super::kinds::Action;
use super::{Machine, Run};
use crate::schedule::Clock;

const HANG_GRACE: Duration = Duration::from_secs(60);
const STOP_GRACE: Duration = Duration::from_secs(60);
/// After a request to stop at once.
const NOW_GRACE: Duration = Duration::from_secs(10);
const KILL_GRACE: Duration = Duration::from_secs(10);

impl Machine {
    /// Ends a run that hangs, or does not stop.
    pub(super) fn watch(&mut self, clock: Clock) -> Vec<Action> {
        let Some(run) = &self.run else { return Vec::new() };
        if self.next_deadline(run) > clock.steady {
            return Vec::new();
        }
        let hang = self.hang();
        let Some(run) = &mut self.run else { return Vec::new() };
        match (run.terminated, run.stop) {
            (Some(_), _) if run.is_killed => Vec::new(),
            (Some(_), _) => {
                run.is_killed = true;
                vec![Action::Kill]
            }
            (None, Some((StopAt::Asset, asked))) if asked + STOP_GRACE <= clock.steady => {
                run.stop = Some((StopAt::Now, clock.steady));
                vec![Action::Stop(StopAt::Now)]
            }
            _ => {
                if run.sign + hang + HANG_GRACE <= clock.steady {
                    run.is_hung = true;
                }
                run.terminated = Some(clock.steady);
                vec![Action::Terminate]
            }
        }
    }

    /// When [`watch`](Self::watch) must look at the run.
    pub(super) fn next_deadline(&self, run: &Run) -> Duration {
        if run.is_killed {
            return Duration::MAX;
        }
        if let Some(terminated) = run.terminated {
            return terminated + KILL_GRACE;
        }
        let hang = run.sign + self.hang() + HANG_GRACE;
        match run.stop {
            Some((StopAt::Asset, asked)) => hang.min(asked + STOP_GRACE),
            Some((StopAt::Now, asked)) => hang.min(asked + NOW_GRACE),
            _ => hang,
        }
    }

    fn hang(&self) -> Duration {
        self.settings.as_ref().map_or(Duration::from_secs(600), |settings| settings.hang)
    }
}
