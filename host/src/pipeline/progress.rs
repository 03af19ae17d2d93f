//! A progress bar on a terminal.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use scanbridge_observe::{RunEvent, Tick};

use super::watch::Watcher;

/// Draws a progress bar on standard error while an input reads a report of known size.
#[derive(Debug, Default)]
pub struct ProgressBars(Mutex<Option<ProgressBar>>);

impl Watcher for ProgressBars {
    fn on_event(&self, event: &RunEvent) {
        let mut bar = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            RunEvent::Tick(tick) => show(&mut bar, tick),
            RunEvent::Summary { .. } => remove(&mut bar),
            _ => {}
        }
    }
}

fn show(bar: &mut Option<ProgressBar>, tick: &Tick) {
    let (mut read, mut total) = (0_u64, 0_u64);
    for input in &tick.inputs {
        read = read.saturating_add(input.report_bytes);
        total = total.saturating_add(input.report_bytes_total);
    }
    // A bar of length 0 would look finished.
    if total == 0 {
        return remove(bar);
    }
    let bar = bar.get_or_insert_with(new_bar);
    bar.set_length(total.max(read));
    bar.set_position(read);
}

fn remove(bar: &mut Option<ProgressBar>) {
    if let Some(bar) = bar.take() {
        bar.finish_and_clear();
        crate::telemetry::keep_clear_of(None);
    }
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    crate::telemetry::keep_clear_of(Some(bar.clone()));
    bar
}
