//! Times of a cron pattern in a time zone. The host checks patterns with it, the service starts runs by it.

use std::time::Duration;
use std::{fmt, fs};

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use xxhash_rust::xxh3::xxh3_64;

/// A valid cron pattern with its time zone. It has at least one time.
#[derive(Clone)]
pub struct Cron {
    pattern: croner::Cron,
    zone: TimeZone,
    text: String,
}

/// Why a pattern or a time zone is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronError {
    /// What is wrong: a sentence in lower case without a full stop.
    pub message: String,
    /// What the operator can do; may be empty.
    pub help: String,
    /// Whether the time zone is wrong and not the pattern.
    pub is_zone: bool,
}

/// Words that stand for a pattern.
const WORDS: [(&str, &str); 5] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * SUN"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
];

impl Cron {
    /// Reads a pattern of five fields, or one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. `zone` is an IANA
    /// name; without it the time zone of the machine applies.
    ///
    /// # Errors
    /// When the pattern or the time zone is invalid, or the pattern has no time, such as 30 February.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, CronError> {
        let zone = match zone {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name).map_err(|_| CronError {
                message: format!("unknown time zone `{name}`"),
                help: "use an IANA name such as `Europe/Berlin` or `UTC`".to_owned(),
                is_zone: true,
            })?,
        };
        let refuse =
            |message: String, help: &str| CronError { message, help: help.to_owned(), is_zone: false };
        let fields = text.split_whitespace().count();
        let pattern = match WORDS.iter().find(|(word, _)| text.trim().eq_ignore_ascii_case(word)) {
            Some((_, pattern)) => pattern,
            None if text.contains('@') => {
                let words = WORDS.map(|(word, _)| word).join(", ");
                return Err(refuse(
                    format!("unsupported word in the cron pattern `{text}`"),
                    &format!("use five fields or one of {words}"),
                ));
            }
            None if fields != 5 => {
                return Err(refuse(
                    format!("a cron pattern has five fields, found {fields} in `{text}`"),
                    "the fields are minute, hour, day of the month, month and day of the week; seconds and years are not supported",
                ));
            }
            None => text,
        };
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = parser.parse(pattern).map_err(|error| {
            let is_step = pattern.split_whitespace().any(|field| {
                field.split(',').any(|part| {
                    part.split_once('/').is_some_and(|(from, _)| from != "*" && !from.contains('-'))
                })
            });
            let help = if is_step {
                "write a step as `*/5` or `0-59/5`"
            } else {
                "example: `0 5 * * MON-FRI` for 05:00 on weekdays"
            };
            refuse(format!("invalid cron pattern `{text}`: {error}"), help)
        })?;
        let cron = Self { pattern: parsed, zone, text: text.trim().to_owned() };
        // A year with 29 February comes within eight years.
        if cron.after(Timestamp::UNIX_EPOCH).is_none() {
            return Err(refuse(
                format!("the cron pattern `{text}` has no time in any year"),
                "does the month have this day?",
            ));
        }
        Ok(cron)
    }

    /// The first time after `from`; `None` past the year 5000.
    #[must_use]
    pub fn after(&self, from: Timestamp) -> Option<Timestamp> {
        self.after_in(from, &self.zone)
    }

    /// The times of the pattern after `from`, in order.
    pub fn times(&self, from: Timestamp) -> impl Iterator<Item = Zoned> {
        std::iter::successors(self.after(from), |last| self.after(*last))
            .map(|time| time.to_zoned(self.zone.clone()))
    }

    fn after_in(&self, from: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let from = from.to_zoned(zone.clone());
        self.pattern.find_next_occurrence(&from, false).ok().map(|time| time.timestamp())
    }

    /// What the clock changes of the year after `from` do to the pattern, one sentence each.
    #[must_use]
    pub fn clock_changes(&self, from: Timestamp) -> Vec<String> {
        let year = from.saturating_add(SignedDuration::from_hours(366 * 24)).unwrap_or(Timestamp::MAX);
        let changes = self.zone.following(from).take_while(|change| change.timestamp() < year);
        changes.filter_map(|change| self.clock_change(change.timestamp())).collect()
    }

    /// What one clock change does. The times of a clock that does not change are the measure.
    fn clock_change(&self, at: Timestamp) -> Option<String> {
        let hours = |hours: i64| SignedDuration::from_hours(hours);
        let (before, after) =
            (self.zone.to_offset(at - SignedDuration::from_secs(1)), self.zone.to_offset(at));
        let moved = SignedDuration::from_secs(i64::from(after.seconds()) - i64::from(before.seconds()));
        let unchanged = TimeZone::fixed(before);
        let day = at.to_zoned(unchanged.clone()).date();
        // The search is exclusive.
        let just_before = at - SignedDuration::from_secs(1);
        let is_within = |zone: &TimeZone, start: Timestamp, length: SignedDuration| {
            self.after_in(start, zone).is_some_and(|time| time < at + length)
        };
        if moved.is_positive() {
            let is_skipped =
                is_within(&unchanged, just_before, moved) && !is_within(&self.zone, just_before, moved);
            return is_skipped
                .then(|| format!("`{}` has no run in the hour that the clock skips on {day}", self.text));
        }
        let usual = self.shortest_gap(at - hours(72), at - hours(24), &unchanged)?;
        let doubled = self.shortest_gap(at + moved - SignedDuration::from_secs(1), at - moved, &self.zone)?;
        (doubled < usual)
            .then(|| format!("`{}` runs twice in the hour that the clock repeats on {day}", self.text))
    }

    /// The shortest time between two times in this range.
    fn shortest_gap(&self, from: Timestamp, to: Timestamp, zone: &TimeZone) -> Option<SignedDuration> {
        let times: Vec<Timestamp> =
            std::iter::successors(self.after_in(from, zone), |last| self.after_in(*last, zone))
                .take_while(|time| *time < to)
                .collect();
        times.windows(2).map(|pair| pair[1].duration_since(pair[0])).min()
    }
}

/// The delay of every start of a pipeline: fixed for the machine and the pipeline, so that each start is known, and that the
/// machines and pipelines of a site do not all start at once.
#[must_use]
pub fn fixed_delay(machine: &str, pipeline: &str, jitter_secs: u64) -> Duration {
    let hash = xxh3_64(format!("{machine}\0{pipeline}").as_bytes());
    Duration::from_secs(hash % jitter_secs.saturating_add(1))
}

/// What identifies this machine.
#[must_use]
pub fn machine_id() -> String {
    ["/etc/machine-id", "/etc/hostname"]
        .iter()
        .find_map(|file| fs::read_to_string(file).ok())
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({} in {})", self.text, self.zone.iana_name().unwrap_or("local time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: &str = "Europe/Berlin";

    /// Pattern, zone, from, and the next times.
    const TABLE: &[(&str, &str, &str, &[&str])] = &[
        ("0 5 * * *", "UTC", "2026-01-01T04:59:59Z", &["2026-01-01T05:00:00Z", "2026-01-02T05:00:00Z"]),
        ("0 5 * * *", "UTC", "2026-01-01T05:00:00Z", &["2026-01-02T05:00:00Z"]),
        ("0 5 * * *", BERLIN, "2026-01-01T00:00:00Z", &["2026-01-01T04:00:00Z"]),
        ("0 5 * * *", BERLIN, "2026-07-01T00:00:00Z", &["2026-07-01T03:00:00Z"]),
        ("0 5 * * MON-FRI", "UTC", "2026-11-27T06:00:00Z", &["2026-11-30T05:00:00Z"]),
        ("0 5 * * 1-5", "UTC", "2026-11-27T06:00:00Z", &["2026-11-30T05:00:00Z"]),
        ("0 5 * * SUN", "UTC", "2026-11-30T00:00:00Z", &["2026-12-06T05:00:00Z"]),
        ("0 5 * * 0", "UTC", "2026-11-30T00:00:00Z", &["2026-12-06T05:00:00Z"]),
        ("0 5 * * 7", "UTC", "2026-11-30T00:00:00Z", &["2026-12-06T05:00:00Z"]),
        ("*/15 * * * *", "UTC", "2026-01-01T00:00:00Z", &["2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"]),
        ("0,30 8-9 * * *", "UTC", "2026-01-01T09:30:00Z", &["2026-01-02T08:00:00Z", "2026-01-02T08:30:00Z"]),
        ("@hourly", "UTC", "2026-01-01T23:10:00Z", &["2026-01-02T00:00:00Z"]),
        ("@daily", "UTC", "2026-12-31T10:00:00Z", &["2027-01-01T00:00:00Z"]),
        ("@weekly", "UTC", "2026-11-30T00:00:00Z", &["2026-12-06T00:00:00Z"]),
        ("@monthly", "UTC", "2026-12-02T00:00:00Z", &["2027-01-01T00:00:00Z"]),
        ("@yearly", "UTC", "2026-01-01T00:00:00Z", &["2027-01-01T00:00:00Z"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", &["2104-02-29T00:00:00Z"]),
        ("0 0 31 * *", "UTC", "2026-03-31T00:00:00Z", &["2026-05-31T00:00:00Z"]),
        ("0 0 L * *", "UTC", "2028-02-01T00:00:00Z", &["2028-02-29T00:00:00Z"]),
        ("0 0 1 1 MON", "UTC", "2026-01-02T00:00:00Z", &["2026-01-05T00:00:00Z"]),
        // 29 March 2026: 02:00 to 03:00 does not exist in Berlin.
        ("30 2 * * *", BERLIN, "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
        ("*/15 2 * * *", BERLIN, "2026-03-28T12:00:00Z", &["2026-03-30T00:00:00Z"]),
        ("*/30 * * * *", BERLIN, "2026-03-29T00:30:00Z", &["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]),
        ("0 3 * * *", BERLIN, "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z"]),
        // 25 October 2026: 02:00 to 03:00 exists twice in Berlin.
        ("30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        (
            "*/30 * * * *",
            BERLIN,
            "2026-10-24T23:45:00Z",
            &[
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:00:00Z",
            ],
        ),
        (
            "0 */2 * * *",
            BERLIN,
            "2026-10-24T23:00:00Z",
            &["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T03:00:00Z"],
        ),
        ("0 3 * * *", BERLIN, "2026-10-24T12:00:00Z", &["2026-10-25T02:00:00Z"]),
        (
            "0 5 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            &["2026-04-04T18:30:00Z", "2026-04-05T18:30:00Z"],
        ),
        ("0 5 * * *", "America/New_York", "2026-03-07T12:00:00Z", &["2026-03-08T09:00:00Z"]),
        ("0 5 * * *", "Asia/Kathmandu", "2026-01-01T00:00:00Z", &["2026-01-01T23:15:00Z"]),
    ];

    #[test]
    fn table_of_times() {
        for (pattern, zone, from, expected) in TABLE {
            let cron = Cron::parse(pattern, Some(zone)).unwrap();
            let times = cron.times(from.parse().unwrap()).map(|time| time.timestamp().to_string());
            assert_eq!(
                times.take(expected.len()).collect::<Vec<_>>(),
                *expected,
                "{pattern} in {zone} after {from}"
            );
        }
    }

    #[test]
    fn invalid_patterns_are_refused_with_a_hint() {
        for (pattern, message, help) in [
            ("0 5 * * * *", "five fields, found 6", "seconds and years"),
            ("0 0 5 * * * 2026", "five fields, found 7", "seconds and years"),
            ("", "five fields, found 0", "minute"),
            ("@reboot", "unsupported word", "@hourly, @daily"),
            ("0/5 * * * *", "invalid cron pattern", "`*/5`"),
            ("61 * * * *", "invalid cron pattern", "example"),
            ("0 0 30 2 *", "no time in any year", "this day"),
            ("0 5 * * MAN", "invalid cron pattern", "example"),
        ] {
            let error = Cron::parse(pattern, Some("UTC")).unwrap_err();
            assert!(error.message.contains(message) && error.help.contains(help), "{pattern}: {error:?}");
            assert!(!error.is_zone);
        }
        let error = Cron::parse("0 5 * * *", Some("Mars/Olympus")).unwrap_err();
        assert!(error.is_zone && error.message == "unknown time zone `Mars/Olympus`");
    }

    #[test]
    fn clock_changes_that_skip_or_repeat_a_run_are_reported() {
        let from = "2026-01-01T00:00:00Z".parse().unwrap();
        for (pattern, zone, words) in [
            ("*/15 2 * * *", BERLIN, &["skips on 2026-03-29"][..]),
            ("0 */2 * * *", BERLIN, &["skips on 2026-03-29", "repeats on 2026-10-25"]),
            ("30 2 * * *", BERLIN, &[]),
            ("*/30 * * * *", BERLIN, &[]),
            ("0 5 * * MON-FRI", BERLIN, &[]),
            ("*/15 2 * * *", "UTC", &[]),
        ] {
            let found = Cron::parse(pattern, Some(zone)).unwrap().clock_changes(from);
            assert_eq!(found.len(), words.len(), "{pattern}: {found:?}");
            assert!(found.iter().zip(words).all(|(text, word)| text.contains(word)), "{pattern}: {found:?}");
        }
    }
}
