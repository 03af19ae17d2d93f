//! The rate limit of an output.

use std::time::{Duration, Instant};

use super::stop::Stop;

/// Limits findings per second.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    /// No findings may pass before this time.
    next: Option<Instant>,
}

impl RateLimit {
    /// Waits until the rate limit allows the next findings.
    pub(super) fn wait_for(&mut self, findings: u64, max_per_sec: u64, stop: &Stop) {
        let now = stop.now();
        let next = self.next.filter(|next| *next > now);
        if let Some(next) = next {
            let _ = stop.wait(next - now);
        }
        #[expect(clippy::cast_precision_loss, reason = "a pause need not be exact")]
        let cost = Duration::from_secs_f64(findings as f64 / max_per_sec as f64);
        self.next = Some(next.unwrap_or(now) + cost);
    }
}
