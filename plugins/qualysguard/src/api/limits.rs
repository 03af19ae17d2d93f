//! Rate and concurrency limits of the Qualys API, and the waits for them.

use std::collections::HashMap;
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
    /// How many clients share the limits; 0 and 1: none.
    slots: u32,
    /// This client's part of each period, by the path of the call: each has a limit of its own.
    parts: HashMap<String, Part>,
}

/// The calls of a period that one of several clients may make.
#[derive(Debug)]
struct Part {
    left: u64,
    ends: Instant,
}

impl Limits {
    /// Sets how many clients share the limits: each uses its part of the calls that are left in a period.
    pub(crate) fn set_slots(&mut self, slots: u32) {
        self.slots = slots;
    }

    /// Updates the limits from the headers of a response, and measures them for monitoring.
    pub(crate) fn update(&mut self, path: &str, headers: &HeaderMap, services: &Services) {
        let Some(left) = number(headers, "x-ratelimit-remaining") else { return };
        let most = number(headers, "x-ratelimit-limit");
        self.left = Some((left, most.unwrap_or(0)));
        measure(services, "quota_remaining", "calls left in this period of the Qualys API", left);
        if let Some(most) = most {
            measure(services, "quota_limit", "calls allowed in a period of the Qualys API", most);
        }
        let wait = seconds(headers, "x-ratelimit-towait-sec").filter(|wait| left == 0 && !wait.is_zero());
        self.not_before = wait.map(|wait| Instant::now() + wait);
        if self.slots > 1 {
            self.update_part(path, left, seconds(headers, "x-ratelimit-window-sec"));
        }
    }

    fn update_part(&mut self, path: &str, left: u64, window: Option<Duration>) {
        let now = Instant::now();
        match self.parts.get_mut(path).filter(|part| part.ends > now) {
            Some(part) => part.left = part.left.saturating_sub(1).min(left),
            None => {
                let Some(window) = window.filter(|window| !window.is_zero()) else { return };
                let part = Part { left: left / u64::from(self.slots), ends: now + window };
                self.parts.insert(path.to_owned(), part);
            }
        }
    }

    /// Time to wait before the next call of this path; `None` if it can be made now.
    pub(crate) fn due(&self, path: &str) -> Option<Duration> {
        let used_up = self.parts.get(path).filter(|part| part.left == 0).map(|part| part.ends);
        let due = self.not_before.max(used_up)?.checked_duration_since(Instant::now())?;
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
        limits.update("/a", &headers, &services);
        let due = limits.due("/a").unwrap();
        assert!(due > Duration::from_secs(86_400), "{due:?}");
        let mut budget = WaitBudget { waited: Duration::from_secs(1), ..WaitBudget::new(due) };
        let error = budget.wait(due, "x", &services).unwrap_err();
        assert_eq!((error.kind, error.retry_after), (ErrorKind::Unavailable, Some(due)));
        assert!(limits.due("/a").is_some(), "the wait is still due");
    }

    #[test]
    fn each_of_several_clients_uses_its_part_of_a_period() {
        let headers = |left: &str, window: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-remaining", left.parse().unwrap());
            headers.insert("x-ratelimit-window-sec", window.parse().unwrap());
            headers
        };
        let folder = tempfile::tempdir().unwrap();
        let services = Services::without_host(folder.path());
        let mut limits = Limits::default();
        limits.set_slots(3);
        // Seven calls are left: two for each.
        limits.update("/a", &headers("7", "3600"), &services);
        assert_eq!(limits.due("/a"), None);
        limits.update("/a", &headers("4", "3600"), &services);
        assert_eq!(limits.due("/a"), None);
        limits.update("/a", &headers("3", "3600"), &services);
        assert!(limits.due("/a").is_some_and(|due| due > Duration::from_secs(3_500)));
        assert_eq!(limits.due("/b"), None, "another call has a limit of its own");
        // A period that has ended begins again.
        limits.update("/b", &headers("3", "1"), &services);
        limits.update("/b", &headers("2", "1"), &services);
        assert!(limits.due("/b").is_some());
        std::thread::sleep(Duration::from_millis(1_050));
        assert_eq!(limits.due("/b"), None);
        let mut alone = Limits::default();
        alone.update("/a", &headers("0", "3600"), &services);
        assert_eq!(alone.due("/a"), None, "as before");
    }
}
