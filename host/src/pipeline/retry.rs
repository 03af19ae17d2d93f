//! When to retry something that is unavailable.

use std::time::{Duration, Instant};

use scanbridge_plugin_api::{ErrorKind, PluginError};

use crate::config::RetryPolicy;

/// One outage: from the first failure until the next successful delivery.
#[derive(Debug)]
pub(super) struct Outage {
    policy: RetryPolicy,
    started: Instant,
    failures: u32,
}

impl Outage {
    pub(super) fn new(policy: RetryPolicy, now: Instant) -> Self {
        Self { policy, started: now, failures: 0 }
    }

    /// Records a failure at this time. Returns the pause before the next attempt, or `None` when `max_elapsed` is over.
    ///
    /// The pause doubles each time. Half of it is random, so that several clients of one peer do not retry at the
    /// same time. If the peer requests a longer pause, that pause is used.
    pub(super) fn failed(&mut self, error: &PluginError, now: Instant) -> Option<Duration> {
        self.failures += 1;
        let spent = now.saturating_duration_since(self.started);
        if spent >= self.policy.max_elapsed {
            return None;
        }
        let doubled = self.policy.initial.saturating_mul(1 << (self.failures - 1).min(20));
        let max_pause = doubled.min(self.policy.longest);
        let pause = max_pause / 2 + (max_pause / 2).mul_f64(fastrand::f64());
        let pause = error.retry_after.map_or(pause, |requested| requested.max(pause));
        // The last attempt is made when the time is over, even if the pause would end later.
        Some(pause.min(self.policy.max_elapsed - spent))
    }

    /// Ends the retries now, regardless of the policy.
    pub(super) fn expire(&mut self) {
        self.policy.max_elapsed = Duration::ZERO;
    }

    /// The number of failures at which the circuit breaker opens.
    pub(super) fn breaker_failures(&self) -> u32 {
        self.policy.breaker_failures
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the circuit breaker is open: the peer is only probed.
    pub(super) fn breaker_is_open(&self) -> bool {
        self.failures >= self.policy.breaker_failures
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }
}

/// A pause in milliseconds, for the log.
pub(super) fn milliseconds(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a retry makes sense after this error.
pub(super) fn is_retryable(error: &PluginError) -> bool {
    error.kind == ErrorKind::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            initial: Duration::from_secs(2),
            longest: Duration::from_secs(30),
            max_elapsed: Duration::from_secs(600),
            breaker_failures: 3,
        }
    }

    fn unavailable() -> PluginError {
        PluginError::new(ErrorKind::Unavailable, "refused")
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_random() {
        let now = Instant::now();
        let (mut one, mut other) = (Outage::new(policy(), now), Outage::new(policy(), now));
        let mut differ = false;
        for max_pause in [2, 4, 8, 16, 30, 30, 30] {
            let (pause, second) =
                (one.failed(&unavailable(), now).unwrap(), other.failed(&unavailable(), now).unwrap());
            let max_pause = Duration::from_secs(max_pause);
            assert!((max_pause / 2..=max_pause).contains(&pause), "{pause:?} for {max_pause:?}");
            differ |= pause != second;
        }
        assert!(differ);
        assert!(one.breaker_is_open());
    }

    #[test]
    fn longer_pause_of_the_peer_is_used_until_max_elapsed() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut outage = Outage::new(policy(), now);
        let with_pause = unavailable().with_retry_after(Duration::from_secs(120));
        assert_eq!(outage.failed(&with_pause, now), Some(Duration::from_secs(120)));
        assert_eq!(outage.failed(&with_pause, after(599)), Some(Duration::from_secs(1)));
        assert_eq!(outage.failed(&with_pause, after(600)), None);
        let no_retries = RetryPolicy { max_elapsed: Duration::ZERO, ..policy() };
        assert_eq!(Outage::new(no_retries, now).failed(&unavailable(), now), None);
    }

    #[test]
    fn only_an_unavailable_peer_is_retried() {
        use ErrorKind::{
            Auth, BadData, Bug, Cancelled, CannotCreate, Config, Io, NoInput, Protocol, Rejected, Unavailable,
        };
        for kind in [
            Auth,
            BadData,
            Bug,
            Cancelled,
            CannotCreate,
            Config,
            Io,
            NoInput,
            Protocol,
            Rejected,
            Unavailable,
        ] {
            assert_eq!(is_retryable(&PluginError::new(kind, "")), kind == Unavailable, "{kind:?}");
        }
    }
}
