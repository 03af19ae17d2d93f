//! What a response means for the records of its request.

use std::time::Duration;

use jiff::{Timestamp, Zoned};
use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use scanbridge_plugin_api::{ErrorKind, PluginError, printable};

use crate::preset::Preset;
use crate::redact::Redactor;

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    /// `host:port`, for messages.
    pub(crate) address: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The destination does not work now. With the pause that it asks for.
    pub(crate) fn unavailable(&self, message: String) -> PluginError {
        let error = PluginError::unavailable(message);
        match retry_after(&self.headers, Timestamp::now()) {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }
}

impl Response {
    /// By how much our clock differs from that of the server, as a sentence; `None` for less than five minutes, or if the
    /// server does not tell its time.
    pub(crate) fn clock_difference(&self, now: Timestamp) -> Option<String> {
        const TOLERATED: i64 = 300;
        let theirs: Zoned = jiff::fmt::rfc2822::parse(self.headers.get(DATE)?.to_str().ok()?.trim()).ok()?;
        let seconds = now.as_second() - theirs.timestamp().as_second();
        let minutes = seconds.unsigned_abs().div_ceil(60);
        let side = if seconds > 0 { "ahead of" } else { "behind" };
        (seconds.abs() >= TOLERATED)
            .then(|| format!("the clock of this machine is {minutes} min {side} that of {}", self.address))
    }
}

/// What became of the records of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// All were delivered.
    Delivered(Delivered),
    /// One result for each record.
    Each(Vec<RecordVerdict>),
    /// The server names this record as invalid; what became of the others is not known.
    Names(usize, String),
    /// At least one record is invalid: a smaller request tells which.
    Invalid(String),
    /// The request is too large.
    TooLarge(String),
    /// The login is no longer valid.
    Login(PluginError),
    /// The destination does not work.
    Failed(PluginError),
}

/// About a request that was delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// The number by which the server acknowledges it later.
    pub(crate) ack: Option<u64>,
    /// The server is near its capacity.
    pub(crate) is_busy: bool,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordVerdict {
    Delivered,
    Rejected(String),
    /// Send it again.
    Retry(String),
}

impl Verdict {
    pub(crate) const DELIVERED: Self = Self::Delivered(Delivered { ack: None, is_busy: false });
}

/// Reads responses of a destination.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) preset: &'static Preset,
    /// Each event of Splunk is acknowledged.
    pub(crate) acks: bool,
    pub(crate) redactor: Redactor,
}

impl Judge {
    /// The meaning of a status without a body.
    pub(crate) fn by_status(&self, response: &Response) -> Verdict {
        let says = self.says(response);
        let error = |kind| PluginError::new(kind, says.clone());
        match response.status {
            400 | 422 => Verdict::Invalid(says),
            413 => Verdict::TooLarge(says),
            401 => Verdict::Login(
                error(ErrorKind::Auth).with_hint("check the login: the token, or user name and password"),
            ),
            403 => Verdict::Failed(error(ErrorKind::Auth).with_hint(self.preset.right)),
            407 => Verdict::Failed(
                error(ErrorKind::Auth).with_hint("check options `proxy_username` and `proxy_password`"),
            ),
            408 | 425 | 429 | 500..=599 => Verdict::Failed(response.unavailable(says)),
            300..=399 => {
                let to =
                    response.headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("no address");
                let message = format!("{says}; it redirects to {}", printable(to, 200));
                Verdict::Failed(
                    PluginError::config(message)
                        .with_option("url")
                        .with_hint("redirects are not followed: set `url` to the address of the destination"),
                )
            }
            404 | 405 | 406 | 410 | 415 => {
                Verdict::Failed(error(ErrorKind::Config).with_option("url").with_hint(self.preset.missing))
            }
            _ => Verdict::Failed(error(ErrorKind::Protocol).with_hint("check options `url` and `preset`")),
        }
    }

    /// `HTTP 400 from HOST:PORT: TEXT`.
    pub(crate) fn says(&self, response: &Response) -> String {
        let Response { address, status, body, headers } = response;
        let code = headers.get("x-ms-error-code").and_then(|code| code.to_str().ok());
        let code = code.map(|code| format!(" ({})", printable(code, 80))).unwrap_or_default();
        match self.redactor.shown(body).as_str() {
            "" => format!("HTTP {status}{code} from {address}"),
            text => format!("HTTP {status}{code} from {address}: {text}"),
        }
    }

    /// The response is not what the destination sends: something else answered.
    pub(crate) fn protocol(&self, response: &Response) -> PluginError {
        PluginError::new(ErrorKind::Protocol, format!("unexpected response: {}", self.says(response)))
            .with_hint(format!("check `url`: this is not a response of `preset: {}`", self.preset.name))
    }
}

/// The pause that the server asks for: seconds, or a date. At most a day.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(86_400);
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until: Zoned = jiff::fmt::rfc2822::parse(text).ok()?;
            Duration::try_from(until.timestamp().duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&'static str, &str)], body: &str) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value.parse().unwrap()));
        Response {
            address: "h:1".to_owned(),
            status,
            headers: headers.collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn judge(preset: &str) -> Judge {
        Judge { preset: Preset::of(preset).unwrap(), acks: false, redactor: Redactor::default() }
    }

    #[test]
    fn status_decides_the_kind_of_error() {
        for (status, kind) in [
            (403, ErrorKind::Auth),
            (407, ErrorKind::Auth),
            (302, ErrorKind::Config),
            (404, ErrorKind::Config),
            (405, ErrorKind::Config),
            (415, ErrorKind::Config),
            (408, ErrorKind::Unavailable),
            (429, ErrorKind::Unavailable),
            (500, ErrorKind::Unavailable),
            (503, ErrorKind::Unavailable),
            (418, ErrorKind::Protocol),
        ] {
            for preset in ["webhook", "elasticsearch", "sentinel", "google-secops"] {
                match judge(preset).verdict(&response(status, &[], "no"), &["a"]) {
                    Verdict::Failed(error) => {
                        assert_eq!(error.kind, kind, "{status} {preset}");
                        assert!(error.message.contains(&format!("HTTP {status} from h:1: no")), "{error}");
                    }
                    other => panic!("{status} {preset}: {other:?}"),
                }
            }
        }
        assert!(matches!(judge("webhook").verdict(&response(401, &[], ""), &[]), Verdict::Login(_)));
        assert!(matches!(judge("webhook").verdict(&response(422, &[], ""), &[]), Verdict::Invalid(_)));
        assert!(matches!(judge("webhook").verdict(&response(413, &[], ""), &[]), Verdict::TooLarge(_)));
    }

    #[test]
    fn success_is_decided_by_the_body_where_one_is_expected() {
        let html = "<html>Welcome</html>";
        for (preset, status, body, is_delivered) in [
            ("webhook", 200, html, true),
            ("webhook", 202, "", true),
            ("sentinel", 204, "", true),
            ("sentinel", 200, html, false),
            ("google-secops", 200, "", true),
            ("google-secops", 200, "{}\n", true),
            ("google-secops", 200, html, false),
            ("elasticsearch", 200, html, false),
            ("elasticsearch", 201, "", false),
            ("splunk-hec", 200, html, false),
        ] {
            let verdict = judge(preset).verdict(&response(status, &[], body), &["a"]);
            match verdict {
                Verdict::Failed(error) => {
                    assert_eq!((error.kind, is_delivered), (ErrorKind::Protocol, false), "{preset} {error}");
                }
                other => assert_eq!((other, is_delivered), (Verdict::DELIVERED, true), "{preset} {status}"),
            }
        }
    }

    #[test]
    fn pause_is_a_number_of_seconds_or_a_date() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("7", Some(7)),
            ("Sat, 31 Jan 2026 12:00:30 GMT", Some(30)),
            ("Sat, 31 Jan 2026 11:00:00 GMT", Some(0)),
            ("99999999", Some(86_400)),
            ("soon", None),
        ] {
            let headers = response(503, &[("retry-after", text)], "").headers;
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
