//! Informs an input about what is stored, and repeats a call that failed.

use std::collections::BTreeMap;
use std::time::Duration;

use scanbridge_observe::RunEvent;

use super::worker::InputWorker;

/// Time after which a failed `stored` is repeated.
const CONFIRM_RETRY: Duration = Duration::from_secs(60);

impl InputWorker<'_> {
    /// Informs the input about what is stored. A failed call is repeated later, and by the next run.
    pub(super) fn notify_stored(&mut self) {
        // Before the call, which may move the sources of these reports.
        let delivered = self.checkpoints.take_delivered(&self.summary.id);
        if self.source.is_informed() {
            self.call_stored();
        }
        for (key, mut report) in delivered {
            report.moved_to = self.source.context().and_then(|context| context.take_moved(&key));
            self.control.watchers.notify(&RunEvent::Report(report));
        }
    }

    fn call_stored(&mut self) {
        if let Some(notification) = self.checkpoints.take_notification(self.number) {
            self.unconfirmed = Some(match self.unconfirmed.take() {
                Some((mut unconfirmed, next)) => {
                    unconfirmed.position = notification.position;
                    unconfirmed.reports.extend(notification.reports);
                    (unconfirmed, next)
                }
                None => (notification, self.control.stop.now()),
            });
        }
        let Some((stored, next)) = self.unconfirmed.take() else { return };
        if self.control.stop.now() < next {
            self.unconfirmed = Some((stored, next));
            return;
        }
        let ends =
            if self.source.is_replay() { self.checkpoints.dead_letter_ends() } else { BTreeMap::new() };
        match self.source.stored(stored.clone(), &ends) {
            Ok(()) => self.checkpoints.confirmed(self.number, &stored.reports),
            Err(error) => {
                self.control.input_failed(&self.summary.id, &error);
                self.unconfirmed = Some((stored, self.control.stop.now() + CONFIRM_RETRY));
            }
        }
    }
}
