//! What Qualys allows: how many calls in a time, and how many at once.

use std::time::{Duration, Instant, SystemTime};

use reqwest::header::HeaderMap;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, tracing};

use crate::http::number;

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
        let wait = number(headers, "x-ratelimit-towait-sec").filter(|wait| left == 0 && *wait > 0);
        self.not_before = wait.map(|wait| Instant::now() + Duration::from_secs(wait));
    }

    /// How long to wait before the next call.
    pub(crate) fn due(&mut self) -> Option<Duration> {
        let due = self.not_before.take()?.checked_duration_since(Instant::now())?;
        (!due.is_zero()).then_some(due)
    }
}

/// Waits within one call, with a limit on all of them.
#[derive(Debug)]
pub(crate) struct Patience {
    most: Duration,
    waited: Duration,
    busy: u32,
}

impl Patience {
    pub(crate) fn new(most: Duration) -> Self {
        Self { most, waited: Duration::ZERO, busy: 0 }
    }

    /// How long to wait for other calls or reports to end: a little longer each time.
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
                format!("{why}, and would have to be waited for another {seconds} s"),
            )
            .with_hint("option `max_wait_minutes` is how long to wait")
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
