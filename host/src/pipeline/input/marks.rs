//! When an input sets a barrier, and how it waits until one is stored or published.

use scanbridge_plugin_api::{CheckpointRequest, PluginError, Position};

use super::worker::{InputWorker, SinceMark, TICK};
use crate::config::CheckpointInterval;
use crate::pipeline::checkpoint::{EndedReport, NewMark};
use crate::pipeline::item::{Item, Mark};

impl InputWorker<'_> {
    /// Sets a checkpoint where the input requests one.
    pub(super) fn handle_checkpoint_request(
        &mut self,
        request: CheckpointRequest,
    ) -> Result<(), PluginError> {
        if request == CheckpointRequest::AtInterval {
            return Ok(());
        }
        self.add_mark();
        if request == CheckpointRequest::NowAndWait {
            self.wait_settled()?;
        }
        Ok(())
    }

    /// Adds a barrier here, if one is due.
    pub(super) fn add_mark_at_interval(&mut self) {
        let CheckpointInterval { bytes, time } = self.interval;
        if self.since_mark.bytes >= bytes || self.control.stop.since(self.since_mark.started) >= time {
            self.add_mark();
        }
    }

    /// Adds a barrier here, if the input and every output can resume here.
    pub(super) fn add_mark(&mut self) {
        let is_allowed = self.report.is_none() || self.checkpoints.allows_marks_in_reports();
        if self.resume_at.is_some() && self.since_mark.bytes > 0 && is_allowed {
            self.mark(self.resume_at.clone(), None);
        }
    }

    pub(super) fn mark(&mut self, position: Option<Position>, ended: Option<EndedReport>) {
        let (in_report, ends_report) = (self.report.is_some(), ended.is_some());
        self.since_mark = SinceMark::new(self.control.stop.now());
        self.last_mark = self.checkpoints.mark(NewMark { input: self.number, position, in_report, ended });
        self.send(&Item::Mark(Mark { number: self.last_mark, ends_report }));
    }

    /// Stores the first checkpoint before anything is delivered. Otherwise a crash after the first report would leave
    /// it delivered, but not recorded.
    pub(super) fn store_first_checkpoint(&mut self) -> Result<(), PluginError> {
        if self.resume_at.is_none() {
            return Ok(());
        }
        self.mark(self.resume_at.clone(), None);
        while !self.checkpoints.wait_stored(self.last_mark, TICK) && !self.control.has_failed() {
            if self.control.stop.is_requested() {
                return Err(PluginError::cancelled());
            }
        }
        Ok(())
    }

    /// Waits until the last barrier is stored and published, and informs the input.
    fn wait_settled(&mut self) -> Result<(), PluginError> {
        while !self.checkpoints.wait_settled(self.last_mark, TICK) && !self.control.has_failed() {
            if self.control.stop.is_requested() {
                return Err(PluginError::cancelled());
            }
        }
        self.notify_stored();
        Ok(())
    }

    /// Waits until the outputs have committed and published everything, and informs the input.
    pub(super) fn wait_for_delivery(&mut self) {
        while !self.checkpoints.wait_settled(self.last_mark, TICK) && !self.control.has_failed() {
            self.notify_stored();
        }
        self.notify_stored();
    }
}
