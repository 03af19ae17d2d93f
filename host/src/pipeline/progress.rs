//! Shows how far a run is: a bar on a terminal, otherwise a line now and then.

use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::instance::{Context, OpenInput};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(100);
/// A run that is over at once needs no ticks of its length.
const FIRST_TICK: Duration = Duration::from_millis(1);

pub(super) struct Progress {
    inputs: Vec<&'static Context>,
    bar: Option<ProgressBar>,
    next_line: Instant,
}

impl Progress {
    pub(super) fn of(inputs: &[OpenInput], bar: bool) -> Self {
        let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        let bar = bar
            .then(|| ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())));
        Self {
            inputs: inputs.iter().map(|input| input.context).collect(),
            bar,
            next_line: Instant::now() + LINE_EVERY,
        }
    }

    /// Shows the progress until `done` says that there is no more.
    pub(super) fn until(&mut self, done: impl Fn() -> bool) {
        let mut tick = FIRST_TICK;
        while !done() {
            thread::sleep(tick);
            tick = (tick * 2).min(TICK);
            self.show();
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self) {
        let sums = self.inputs.iter().map(|input| input.progress());
        let (read, total) = sums.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        if let Some(bar) = &self.bar {
            bar.set_length(total.max(read));
            bar.set_position(read);
        } else if Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_EVERY;
            tracing::info!("{} of {} MiB read", read >> 20, total.max(read) >> 20);
        }
    }
}
