//! Shows progress: a bar on a terminal, otherwise a log line at intervals.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::build::OpenInput;
use super::stop::Stop;
use super::summary::show_bytes;
use crate::plugins::context::Context;

/// Interval of the log lines without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(100);
/// The first tick is short, so that a short run is not delayed by a full tick.
const FIRST_TICK: Duration = Duration::from_millis(1);

pub(super) struct Progress {
    inputs: Vec<&'static Context>,
    /// Whether a bar is drawn instead of log lines.
    draws: bool,
    /// `None` until the size is known: a bar of length 0 would look finished.
    bar: Option<ProgressBar>,
    next_line: Instant,
    stop: Arc<Stop>,
}

impl Progress {
    pub(super) fn of(inputs: &[OpenInput], draws: bool, stop: &Arc<Stop>) -> Self {
        let inputs = inputs.iter().filter_map(|input| input.source.context()).collect();
        Self { inputs, draws, bar: None, next_line: stop.now() + LINE_EVERY, stop: Arc::clone(stop) }
    }

    /// Shows the progress until `done` returns true.
    pub(super) fn until(&mut self, mut done: impl FnMut() -> bool) {
        let mut tick = FIRST_TICK;
        while !done() {
            thread::park_timeout(tick);
            tick = (tick * 2).min(TICK);
            self.show();
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            crate::telemetry::keep_clear_of(None);
        }
    }

    fn show(&mut self) {
        let sums = self.inputs.iter().map(|input| input.progress());
        let (read, total) =
            sums.fold((0_u64, 0_u64), |sum, one| (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1)));
        if self.draws && total > 0 {
            let bar = self.bar.get_or_insert_with(new_bar);
            bar.set_length(total.max(read));
            bar.set_position(read);
        } else if read > 0 && self.stop.now() >= self.next_line {
            self.next_line = self.stop.now() + LINE_EVERY;
            tracing::info!("{}", progress_line(read, total));
        }
    }
}

/// The total is unknown for standard input, pipes and some downloads.
fn progress_line(read: u64, total: u64) -> String {
    match total {
        0 => format!("{} read", show_bytes(read)),
        total => format!("{} of {} read", show_bytes(read), show_bytes(total.max(read))),
    }
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    crate::telemetry::keep_clear_of(Some(bar.clone()));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_units_and_no_unknown_total() {
        assert_eq!(progress_line(700_000, 3_000_000), "683.6 KiB of 2.9 MiB read");
        assert_eq!(progress_line(700_000, 0), "683.6 KiB read");
        assert_eq!(progress_line(2048, 1024), "2.0 KiB of 2.0 KiB read");
    }
}
