//! Messages to systemd (sd_notify(3)). Without systemd they do nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// The connection to systemd, and what was reported last.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    status: String,
    watchdog: Option<Duration>,
    fed: Option<Duration>,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled().map(|limit| limit / 2), ..Self::default() }
    }

    /// The service has loaded its pipelines and listens, or has finished a reload.
    pub(crate) fn ready(&self) {
        send(&[NotifyState::Ready]);
    }

    /// A reload begins. Both fields must be in one message.
    pub(crate) fn reloading(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            send(&[NotifyState::Reloading, now]);
        }
    }

    pub(crate) fn stopping(&self) {
        send(&[NotifyState::Stopping]);
    }

    /// The service needs more time to stop.
    pub(crate) fn extend(&self, time: Duration) {
        send(&[NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))]);
    }

    /// Sends the status, if it has changed.
    pub(crate) fn status(&mut self, status: String) {
        if status != self.status {
            send(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// Sends a watchdog message when half of the limit has passed. Returns how long the caller may sleep.
    pub(crate) fn feed(&mut self, steady: Duration) -> Duration {
        let Some(interval) = self.watchdog else { return Duration::MAX };
        if self.fed.is_none_or(|fed| fed + interval <= steady) {
            send(&[NotifyState::Watchdog]);
            self.fed = Some(steady);
        }
        let next = self.fed.unwrap_or(steady) + interval;
        next.saturating_sub(steady)
    }
}

/// The socket is read from `NOTIFY_SOCKET`. systemd may be gone; the service goes on.
fn send(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
