//! Client certificates that expire soon.

use jiff::Timestamp;
use scanbridge_plugin_api::{CheckReport, ErrorKind, PluginError, Result, Services, Verdict, tracing};

use crate::certificate::{Certificate, Validity};
use crate::identity::Identity;

/// From this many days before its end on, a client certificate gives a warning.
pub const SOON_DAYS: i64 = 30;

impl Certificate {
    /// Whether the certificate is valid at `now` and for more than [`SOON_DAYS`].
    ///
    /// # Errors
    /// As [`Certificate::require_valid`]; [`Auth`](ErrorKind::Auth) too for a warning, which is `Ok(Some(…))`.
    pub fn expiry(&self, now: Timestamp) -> Result<Option<PluginError>> {
        self.require_valid(now)?;
        let Validity::DaysLeft(days) = self.validity(now) else { return Ok(None) };
        let message = format!(
            "the client certificate of `{}` expires in {days} days, on {}",
            self.subject, self.not_after
        );
        let warning = PluginError::new(ErrorKind::Auth, message).with_hint("renew it before then");
        Ok((days <= SOON_DAYS).then_some(warning))
    }
}

impl Identity {
    /// Adds the step `client certificate`: whether it is valid, and for how long. `option` is the option with its file.
    #[must_use]
    pub fn check(&self, report: CheckReport, option: &str) -> CheckReport {
        match self.certificate().expiry(Timestamp::now()) {
            Err(error) => report.failed_step(STEP, &error.with_option(option)),
            Ok(Some(warning)) => report.warning_step(STEP, &warning.with_option(option)),
            Ok(None) => report.step(STEP, Verdict::Ok, self.certificate().to_string()),
        }
    }

    /// Logs a warning when the certificate expires soon, and measures when it expires. For `open` of a run.
    pub fn watch_expiry(&self, services: &Services) {
        let help = "when the client certificate expires, in seconds since 1970-01-01 UTC";
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a floating point number")]
        services.gauge("certificate_expires", help).set(self.certificate().not_after.as_second() as f64);
        if let Ok(Some(warning)) = self.certificate().expiry(Timestamp::now()) {
            tracing::warn!("{warning}: renew it before then");
        }
    }
}

const STEP: &str = "client certificate";
