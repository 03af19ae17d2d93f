//! The syslog header before an event: priority, time, host and program.

use std::time::{Duration, Instant};

use jiff::Zoned;
use jiff::tz::TimeZone;
use scanbridge_plugin_api::model::Severity;

/// The header formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderStyle {
    /// RFC 5424: `<134>1 2026-01-31T12:00:00.000Z host app - - - CEF:…`, without a byte order mark.
    Rfc5424,
    /// RFC 3164: `<134>Jan 31 12:00:00 host app: CEF:…`, in local time as that RFC requires.
    Rfc3164,
    /// As the CEF standard prints it: RFC 3164 without a program name, so that receivers treat `CEF` as the
    /// program.
    ArcSight,
    /// The event alone.
    None,
}

/// The parts of a header.
#[derive(Debug, Clone)]
pub(crate) struct HeaderSettings {
    pub style: HeaderStyle,
    /// 0 to 23, the index in [`FACILITIES`].
    pub facility: u8,
    /// The syslog severity (0 to 7) of findings without a severity, and with severities 1 to 5.
    pub severities: [u8; 6],
    pub host: String,
    pub app: String,
}

/// The header of the current second. It is cached, because rendering it costs more than an event.
#[derive(Debug)]
pub(crate) struct Header {
    settings: HeaderSettings,
    /// `<134>` and the like, for each severity.
    priorities: [Vec<u8>; 6],
    rest: Vec<u8>,
    rendered_at: Instant,
}

impl Header {
    pub(crate) fn new(settings: HeaderSettings) -> Self {
        let priorities = settings.severities.map(|severity| match settings.style {
            HeaderStyle::None => Vec::new(),
            _ => format!("<{}>", u16::from(settings.facility) * 8 + u16::from(severity)).into_bytes(),
        });
        let rest = render(&settings, &Zoned::now()).into_bytes();
        Self { settings, priorities, rest, rendered_at: Instant::now() }
    }

    /// A header with the same settings.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(self.settings.clone())
    }

    /// The priority of an event, and the rest of the header.
    pub(crate) fn parts(&mut self, severity: Option<Severity>) -> [&[u8]; 2] {
        if self.settings.style != HeaderStyle::None && self.rendered_at.elapsed() >= ONE_SECOND {
            self.rest = render(&self.settings, &Zoned::now()).into_bytes();
            self.rendered_at = Instant::now();
        }
        let index = severity.map_or(0, |severity| usize::from(severity.number()));
        [&self.priorities[index], &self.rest]
    }

    /// Maximum length of the header in bytes; times have a fixed width.
    pub(crate) fn max_bytes(&self) -> usize {
        self.priorities.iter().map(Vec::len).max().unwrap_or_default() + self.rest.len()
    }
}

fn render(settings: &HeaderSettings, now: &Zoned) -> String {
    let HeaderSettings { host, app, .. } = settings;
    match settings.style {
        HeaderStyle::Rfc5424 => {
            let now = now.with_time_zone(TimeZone::UTC);
            format!("1 {} {host} {app} - - - ", now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"))
        }
        HeaderStyle::Rfc3164 => format!("{} {host} {app}: ", now.strftime("%b %e %H:%M:%S")),
        HeaderStyle::ArcSight => format!("{} {host} ", now.strftime("%b %e %H:%M:%S")),
        HeaderStyle::None => String::new(),
    }
}

/// The facilities by number, as RFC 5424 lists them, with the short names of syslog.conf.
pub(crate) const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

const ONE_SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn settings(style: HeaderStyle) -> HeaderSettings {
        HeaderSettings {
            style,
            facility: 16,
            severities: [6, 6, 4, 3, 3, 2],
            host: "collector".to_owned(),
            app: "scanbridge".to_owned(),
        }
    }

    fn at(text: &str) -> Zoned {
        text.parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC)
    }

    #[test]
    fn each_style_follows_its_specification() {
        for (style, expected) in [
            (HeaderStyle::Rfc5424, "1 2026-02-03T04:05:06.070Z collector scanbridge - - - "),
            (HeaderStyle::Rfc3164, "Feb  3 04:05:06 collector scanbridge: "),
            (HeaderStyle::ArcSight, "Feb  3 04:05:06 collector "),
            (HeaderStyle::None, ""),
        ] {
            assert_eq!(render(&settings(style), &at("2026-02-03T04:05:06.070Z")), expected);
        }
    }

    #[test]
    fn rfc3164_times_are_local_and_rfc5424_times_are_utc() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now = at("2026-12-31T23:00:00Z").with_time_zone(zone);
        assert!(render(&settings(HeaderStyle::Rfc3164), &now).starts_with("Jan  1 01:00:00 "));
        assert!(render(&settings(HeaderStyle::Rfc5424), &now).starts_with("1 2026-12-31T23:00:00.000Z "));
    }

    #[test]
    fn the_priority_is_facility_and_severity() {
        let mut header = Header::new(settings(HeaderStyle::Rfc5424));
        for (severity, expected) in
            [(None, "<134>"), (Severity::new(1), "<134>"), (Severity::new(5), "<130>")]
        {
            assert_eq!(header.parts(severity)[0], expected.as_bytes());
        }
        assert!(header.max_bytes() >= header.parts(None).concat().len());
        let mut none = Header::new(settings(HeaderStyle::None));
        assert_eq!(none.parts(None).concat(), b"");
    }
}
