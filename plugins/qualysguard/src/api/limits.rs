//! What Qualys allows: how many calls in a time, and how many at once.

use std::time::{Duration, Instant, SystemTime};

use reqwest::header::HeaderMap;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, tracing};

use crate::http::{number, seconds};

/// What is known of the limits.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// Not before this time, by the headers of the last answer.
    not_before: Option<Instant>,
    /// Calls left and calls allowed, as the last answer said.
    pub(crate) left: Option<(u64, u64)>,
}

impl Limits {
    /// Takes the headers of an answer.
    pub(crate) fn note(&mut self, headers: &HeaderMap) {
        let Some(left) = number(headers, "x-ratelimit-remaining") else { return };
        self.left = Some((left, number(headers, "x-ratelimit-limit").unwrap_or(0)));
        let wait = seconds(headers, "x-ratelimit-towait-sec").filter(|wait| left == 0 && !wait.is_zero());
        self.not_before = wait.map(|wait| Instant::now() + wait);
    }

    /// How long to wait before the next call.
    pub(crate) fn due(&self) -> Option<Duration> {
        let due = self.not_before?.checked_duration_since(Instant::now())?;
        (!due.is_zero()).then_some(due)
    }
}

/// Waits within one call, with a limit on all of them.
#[derive(Debug)]
pub(crate) struct WaitBudget {
    most: Duration,
    waited: Duration,
    /// How often Qualys did not say how long, and how often it did.
    busy: u32,
    requested: u32,
}

impl WaitBudget {
    pub(crate) fn new(most: Duration) -> Self {
        Self { most, waited: Duration::ZERO, busy: 0, requested: 0 }
    }

    /// How long to wait when it is said: so long, and at least twice as long each time, for who is told over and over
    /// to come back in a second would else make a call each second.
    pub(crate) fn requested_wait(&mut self, wait: Duration) -> Duration {
        let least = Duration::from_secs(1 << self.requested.min(6));
        self.requested += 1;
        wait.max(least)
    }

    /// How long to wait when it is not said, mostly for other calls or reports to end: a little longer each time.
    pub(crate) fn busy(&mut self, first: Duration) -> Duration {
        let wait = first + first / 4 * self.busy.min(4);
        self.busy += 1;
        wait
    }

    /// Waits, tells why, and hears the host's wish to stop.
    ///
    /// # Errors
    /// Cancelled; unavailable when this would be more than is waited for.
    pub(crate) fn wait(&mut self, wait: Duration, why: &str, services: &Services) -> Result<()> {
        if self.waited + wait > self.most {
            let seconds = wait.as_secs();
            return Err(PluginError::new(
                ErrorKind::Unavailable,
                format!("{why}; the wait of another {seconds} s exceeds the limit"),
            )
            .with_hint("increase `max_wait_minutes` to wait longer")
            .with_retry_after(wait));
        }
        self.waited += wait;
        let shown = wait.as_millis().div_ceil(1_000);
        tracing::info!("waiting {shown} s: {why}");
        services.sleep(wait + jitter(wait))
    }
}

/// Up to a tenth more, so that those who were all told the same time do not come back all at once.
fn jitter(wait: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    (wait / 10).min(Duration::from_secs(30)).mul_f64(f64::from(nanos % 1_000_000) / 1_000_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_at_least_exponential() {
        let mut patience = WaitBudget::new(Duration::from_secs(3_600));
        let waits: Vec<u64> =
            (0..9).map(|_| patience.requested_wait(Duration::from_secs(2)).as_secs()).collect();
        assert_eq!(waits, [2, 2, 4, 8, 16, 32, 64, 64, 64]);
        let busy: Vec<u64> = (0..6).map(|_| patience.busy(Duration::from_secs(8)).as_secs()).collect();
        assert_eq!(busy, [8, 10, 12, 14, 16, 16]);
    }

    #[test]
    fn no_number_in_a_header_is_too_large() {
        let mut limits = Limits::default();
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("x-ratelimit-remaining", "0"), ("x-ratelimit-towait-sec", "18446744073709551615")]
        {
            headers.insert(name, value.parse().unwrap());
        }
        limits.note(&headers);
        let due = limits.due().unwrap();
        assert!(due > Duration::from_secs(86_400), "{due:?}");
        let folder = tempfile::tempdir().unwrap();
        let services = Services::without_host(folder.path());
        let mut patience = WaitBudget { waited: Duration::from_secs(1), ..WaitBudget::new(due) };
        let error = patience.wait(due, "x", &services).unwrap_err();
        assert_eq!((error.kind, error.retry_after), (ErrorKind::Unavailable, Some(due)));
        assert!(limits.due().is_some(), "what was not waited for is still due");
    }
}
