//! Rate and concurrency limits of the Qualys API, and the waits for them.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, tracing};

use super::html_page::HtmlPage;
use crate::http::{number, seconds};

/// The limits reported by the last response.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// Earliest time of the next call, from the headers of the last response.
    not_before: Option<Instant>,
    /// Calls left and calls allowed in this period.
    pub(crate) left: Option<(u64, u64)>,
}

impl Limits {
    /// Updates the limits from the headers of a response, and measures them for monitoring.
    pub(crate) fn update(&mut self, headers: &HeaderMap, services: &Services) {
        let Some(left) = number(headers, "x-ratelimit-remaining") else { return };
        let most = number(headers, "x-ratelimit-limit");
        self.left = Some((left, most.unwrap_or(0)));
        measure(services, "quota_remaining", "calls left in this period of the Qualys API", left);
        if let Some(most) = most {
            measure(services, "quota_limit", "calls allowed in a period of the Qualys API", most);
        }
        let wait = seconds(headers, "x-ratelimit-towait-sec").filter(|wait| left == 0 && !wait.is_zero());
        self.not_before = wait.map(|wait| Instant::now() + wait);
    }

    /// Time to wait before the next call; `None` if it can be made now.
    pub(crate) fn due(&self) -> Option<Duration> {
        let due = self.not_before?.checked_duration_since(Instant::now())?;
        (!due.is_zero()).then_some(due)
    }
}

/// The host knows these names.
fn measure(services: &Services, name: &str, help: &str, calls: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a floating point number")]
    services.gauge(name, help).set(calls as f64);
}

/// Pause before a call that got an HTML page is repeated.
const REPEAT_PAUSE: Duration = Duration::from_secs(2);

/// Waits and repetitions within one call, with a limit on the sum of the waits.
#[derive(Debug)]
pub(crate) struct WaitBudget {
    limit: Duration,
    waited: Duration,
    /// Number of waits without a time requested by Qualys, and with one.
    busy: u32,
    requested: u32,
    /// The HTML page that the call got before it was repeated.
    pub(super) page: Option<HtmlPage>,
}

impl WaitBudget {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, waited: Duration::ZERO, busy: 0, requested: 0, page: None }
    }

    /// The next wait if Qualys requests a time: at least that time, and at least twice the previous minimum,
    /// up to 64 s. Otherwise repeated requests to wait 1 s would cause a call each second.
    pub(crate) fn requested_wait(&mut self, wait: Duration) -> Duration {
        let least = Duration::from_secs(1 << self.requested.min(6));
        self.requested += 1;
        wait.max(least)
    }

    /// The next wait if Qualys requests no time, mostly for other calls or reports to end: grows by a quarter
    /// of `first` each time, up to twice `first`.
    pub(crate) fn busy(&mut self, first: Duration) -> Duration {
        let wait = first + first / 4 * self.busy.min(4);
        self.busy += 1;
        wait
    }

    /// Waits shortly, so that a call which got an HTML page is repeated, once.
    ///
    /// # Errors
    /// `error` if the call was repeated and got such a page again; [`ErrorKind::Unavailable`] instead if it is another
    /// page, because the server changes. [`ErrorKind::Cancelled`].
    pub(crate) fn repeat(
        &mut self,
        page: Option<HtmlPage>,
        error: PluginError,
        services: &Services,
    ) -> Result<()> {
        let before = std::mem::replace(&mut self.page, page);
        let Some(before) = before else { return services.sleep(REPEAT_PAUSE) };
        let is_constant = self.page.as_ref().is_some_and(|page| page.is_same(&before));
        match error.kind {
            ErrorKind::Protocol if !is_constant => {
                Err(PluginError::new(ErrorKind::Unavailable, error.message)
                    .with_hint("the server returned different HTML pages; retried later"))
            }
            _ => Err(error),
        }
    }

    /// Logs the reason and waits; ends early if the host stops the run.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`]; [`ErrorKind::Unavailable`] if the sum of waits would exceed the limit.
    pub(crate) fn wait(&mut self, wait: Duration, why: &str, services: &Services) -> Result<()> {
        if self.waited + wait > self.limit {
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
        services.note(tracing::Level::INFO, "calls repeated after a wait for a limit of the Qualys API", 1);
        services.note(tracing::Level::INFO, "seconds waited for limits of the Qualys API", wait.as_secs());
        tracing::info!("waiting {shown} s: {why}");
        services.sleep(wait + jitter(wait))
    }
}

/// Random extra time, up to a tenth and at most 30 s, so that clients with the same wait do not retry at
/// once.
fn jitter(wait: Duration) -> Duration {
    (wait / 10).min(Duration::from_secs(30)).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_at_least_exponential() {
        let mut budget = WaitBudget::new(Duration::from_secs(3_600));
        let waits: Vec<u64> =
            (0..9).map(|_| budget.requested_wait(Duration::from_secs(2)).as_secs()).collect();
        assert_eq!(waits, [2, 2, 4, 8, 16, 32, 64, 64, 64]);
        let busy: Vec<u64> = (0..6).map(|_| budget.busy(Duration::from_secs(8)).as_secs()).collect();
        assert_eq!(busy, [8, 10, 12, 14, 16, 16]);
    }

    #[test]
    fn huge_wait_in_a_header_does_not_overflow() {
        let mut limits = Limits::default();
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("x-ratelimit-remaining", "0"), ("x-ratelimit-towait-sec", "18446744073709551615")]
        {
            headers.insert(name, value.parse().unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        let services = Services::without_host(folder.path());
        limits.update(&headers, &services);
        let due = limits.due().unwrap();
        assert!(due > Duration::from_secs(86_400), "{due:?}");
        let mut budget = WaitBudget { waited: Duration::from_secs(1), ..WaitBudget::new(due) };
        let error = budget.wait(due, "x", &services).unwrap_err();
        assert_eq!((error.kind, error.retry_after), (ErrorKind::Unavailable, Some(due)));
        assert!(limits.due().is_some(), "the wait is still due");
    }
}
