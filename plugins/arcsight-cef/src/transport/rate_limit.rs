//! The rate of datagrams.

use std::time::{Duration, Instant};

/// Limits the rate: [`BURST`] datagrams at once, then none until their share of a second has passed.
///
/// Nothing slows the sender of datagrams down: the kernel of the receiver drops what its socket buffer cannot contain.
/// The default buffer of Linux (212,992 bytes) contains 92 datagrams of 1,400 bytes, because the kernel needs 2,304
/// bytes for each.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// The time between two bursts.
    interval: Duration,
    /// When the next burst may begin.
    next: Option<Instant>,
    /// Datagrams of this burst that are not sent yet.
    left: u32,
}

impl RateLimit {
    /// At most this number of datagrams per second; at least 1.
    pub(super) fn new(per_sec: u32) -> Self {
        Self { interval: Duration::from_secs(1) * BURST / per_sec.max(1), next: None, left: 0 }
    }

    /// How long to wait before the next datagram is sent.
    pub(super) fn delay(&mut self, now: impl Fn() -> Instant) -> Duration {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return Duration::ZERO;
        }
        let now = now();
        let start = self.next.map_or(now, |next| next.max(now));
        (self.next, self.left) = (Some(start + self.interval), BURST - 1);
        start - now
    }
}

const BURST: u32 = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the pauses between the events, no more than two bursts are sent within one interval, and the
        /// rate is the limit.
        #[test]
        fn rate_is_limited(
            pauses in prop::collection::vec(prop_oneof![Just(0), 0..20_000_u64], 1..400), per_sec in 1_u32..100_000,
        ) {
            let (mut rate_limit, mut now, mut sent) = (RateLimit::new(per_sec), Instant::now(), Vec::new());
            for pause in pauses {
                now += Duration::from_micros(pause);
                now += rate_limit.delay(|| now);
                sent.push(now);
            }
            for window in sent.windows(2 * BURST as usize + 1) {
                let (first, last) = (window[0], window[window.len() - 1]);
                prop_assert!(last - first >= rate_limit.interval);
            }
        }
    }

    #[test]
    fn burst_is_sent_at_once_and_the_next_one_after_the_interval() {
        let (mut rate_limit, start) = (RateLimit::new(2500), Instant::now());
        let delays: Vec<_> = (0..2 * BURST).map(|_| rate_limit.delay(|| start)).collect();
        assert_eq!(delays.iter().sum::<Duration>(), Duration::from_micros(6_400));
        assert_eq!(delays[BURST as usize], Duration::from_micros(6_400));
    }
}
