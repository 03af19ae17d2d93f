//! When a pipeline runs next: pure functions of its schedule, the clock and what was stored before a restart.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scanbridge_observe::{Cron, CronError, ScheduleKeys, fixed_delay};

/// The time: of the wall clock, which people set and which jumps, and of the steady clock, which only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) wall: Timestamp,
    pub(crate) steady: Duration,
}

/// When a regular start is due. Intervals follow the steady clock, cron patterns the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Never,
    Steady(Duration),
    Wall(Timestamp),
}

impl Due {
    pub(crate) fn is_reached(self, clock: Clock) -> bool {
        match self {
            Self::Never => false,
            Self::Steady(at) => at <= clock.steady,
            Self::Wall(at) => at <= clock.wall,
        }
    }

    /// The time by the wall clock as it is set now.
    pub(crate) fn wall(self, clock: Clock) -> Option<Timestamp> {
        match self {
            Self::Never => None,
            Self::Steady(at) => clock.wall.checked_add(at.saturating_sub(clock.steady)).ok(),
            Self::Wall(at) => Some(at),
        }
    }

    /// How long to sleep until then, at most [`LONGEST_LOOK`].
    pub(crate) fn sleep(self, clock: Clock) -> Duration {
        let left = match self {
            Self::Never => LONGEST_LOOK,
            Self::Steady(at) => at.saturating_sub(clock.steady),
            Self::Wall(at) => Duration::try_from(at.duration_since(clock.wall)).unwrap_or_default(),
        };
        left.min(LONGEST_LOOK)
    }
}

/// The clock is looked at this often at least, because the wall clock may be set and the machine suspended.
pub(crate) const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// A wall clock that is set back further than this was wrong before.
const PLAUSIBLE_STEP: SignedDuration = SignedDuration::from_hours(24);

/// Without `catch_up`, a start that is late by more than this is left out.
const LATE: SignedDuration = SignedDuration::from_mins(5);

/// Starts of a cron pattern that tell its longest gap: more than a week of an hourly one.
const LOOKED_AT: usize = 200;

/// What is known about a pipeline from before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Start of the last run.
    pub(crate) started: Option<Timestamp>,
    /// The regular start that was planned, by the same schedule.
    pub(crate) next: Option<Timestamp>,
}

/// The schedule of one pipeline. Its jitter is fixed for the machine and the pipeline, so that the next start is known.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    keys: ScheduleKeys,
    cron: Option<Cron>,
    jitter: Duration,
}

impl Schedule {
    /// # Errors
    /// When the cron pattern or the time zone is not valid on this machine.
    pub(crate) fn new(keys: &ScheduleKeys, machine: &str, pipeline: &str) -> Result<Self, CronError> {
        let (cron, jitter_secs) = match keys {
            ScheduleKeys::Manual | ScheduleKeys::Continuous => (None, 0),
            ScheduleKeys::Every { jitter_secs, .. } => (None, *jitter_secs),
            ScheduleKeys::Cron { pattern, timezone, jitter_secs, .. } => {
                (Some(Cron::parse(pattern, timezone.as_deref())?), *jitter_secs)
            }
        };
        let jitter = fixed_delay(machine, pipeline, jitter_secs);
        Ok(Self { keys: keys.clone(), cron, jitter })
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.keys == ScheduleKeys::Manual
    }

    pub(crate) fn is_continuous(&self) -> bool {
        self.keys == ScheduleKeys::Continuous
    }

    /// The longest time between two of the next starts, in seconds; `None` without regular starts.
    pub(crate) fn longest_gap(&self, now: Timestamp) -> Option<f64> {
        match &self.keys {
            ScheduleKeys::Manual | ScheduleKeys::Continuous => None,
            ScheduleKeys::Every { minutes, .. } => Some(interval(*minutes).as_secs_f64()),
            ScheduleKeys::Cron { .. } => {
                let times: Vec<Timestamp> =
                    self.cron.as_ref()?.times(now).take(LOOKED_AT).map(|time| time.timestamp()).collect();
                let gaps = times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64());
                gaps.reduce(f64::max)
            }
        }
    }

    /// Whether the pipeline starts at times, so that each run must end.
    pub(crate) fn has_times(&self) -> bool {
        matches!(self.keys, ScheduleKeys::Every { .. } | ScheduleKeys::Cron { .. })
    }

    pub(crate) fn keys(&self) -> &ScheduleKeys {
        &self.keys
    }

    /// The first regular start after the pipeline was loaded.
    pub(crate) fn first(&self, clock: Clock, stored: Stored) -> Due {
        match &self.keys {
            ScheduleKeys::Manual => Due::Never,
            ScheduleKeys::Continuous => Due::Steady(clock.steady),
            ScheduleKeys::Every { minutes, .. } => {
                let interval = interval(*minutes);
                let left = stored.started.map_or(self.jitter, |started| {
                    let passed = Duration::try_from(clock.wall.duration_since(started)).unwrap_or_default();
                    interval.saturating_sub(passed)
                });
                Due::Steady(clock.steady + left)
            }
            ScheduleKeys::Cron { catch_up, .. } => {
                if *catch_up && stored.next.is_some_and(|next| next <= clock.wall) {
                    return Due::Steady(clock.steady);
                }
                // The clock was set back since the last start: its time is not repeated.
                let started = stored.started.filter(|started| {
                    let ahead = started.duration_since(clock.wall);
                    ahead.is_positive() && ahead < PLAUSIBLE_STEP
                });
                self.cron_after(started.unwrap_or(clock.wall))
            }
        }
    }

    /// The next regular start after one that is made or left out now.
    pub(crate) fn following(&self, clock: Clock) -> Due {
        match &self.keys {
            ScheduleKeys::Manual => Due::Never,
            ScheduleKeys::Continuous => Due::Steady(clock.steady),
            ScheduleKeys::Every { minutes, .. } => Due::Steady(clock.steady + interval(*minutes)),
            ScheduleKeys::Cron { .. } => self.cron_after(clock.wall),
        }
    }

    /// Plans again when the wall clock was far in the future before. Otherwise a clock that is set back repeats no start.
    pub(crate) fn corrected(&self, due: Due, before: Clock, clock: Clock) -> Due {
        let Due::Wall(_) = due else { return due };
        let passed = SignedDuration::try_from(clock.steady.saturating_sub(before.steady)).unwrap_or_default();
        let step = clock.wall.duration_since(before.wall).saturating_sub(passed);
        if step < -PLAUSIBLE_STEP { self.cron_after(clock.wall) } else { due }
    }

    /// Whether a start that is due is too late to be made: the machine was suspended, or the clock was set forward.
    pub(crate) fn is_too_late(&self, due: Due, clock: Clock) -> bool {
        let ScheduleKeys::Cron { catch_up: false, .. } = self.keys else { return false };
        matches!(due, Due::Wall(at) if clock.wall.duration_since(at) > LATE)
    }

    fn cron_after(&self, from: Timestamp) -> Due {
        let Some(cron) = &self.cron else { return Due::Never };
        let from = from.checked_sub(self.jitter).unwrap_or(from);
        let next = cron.after(from).and_then(|time| time.checked_add(self.jitter).ok());
        next.map_or(Due::Never, Due::Wall)
    }
}

fn interval(minutes: u64) -> Duration {
    Duration::from_secs(minutes.max(1).saturating_mul(60))
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.keys {
            ScheduleKeys::Manual => f.write_str("manual"),
            ScheduleKeys::Continuous => f.write_str("continuous"),
            ScheduleKeys::Every { minutes, .. } => write!(f, "every {minutes} min"),
            ScheduleKeys::Cron { pattern, timezone: Some(zone), .. } => write!(f, "{pattern} ({zone})"),
            ScheduleKeys::Cron { pattern, timezone: None, .. } => f.write_str(pattern),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::ToSpan;
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    use super::*;

    fn cron(pattern: &str, zone: &str, jitter_secs: u64, catch_up: bool) -> Schedule {
        let keys = ScheduleKeys::Cron {
            pattern: pattern.to_owned(),
            timezone: Some(zone.to_owned()),
            jitter_secs,
            catch_up,
        };
        Schedule::new(&keys, "machine", "nightly").unwrap()
    }

    pub(crate) fn every(minutes: u64, jitter_secs: u64) -> Schedule {
        Schedule::new(&ScheduleKeys::Every { minutes, jitter_secs }, "machine", "nightly").unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn clock(wall: &str) -> Clock {
        Clock { wall: time(wall), steady: Duration::from_secs(1000) }
    }

    /// Schedule, now, start of the last run, planned start, and the first start by the wall clock.
    #[test]
    fn first_start_after_a_restart() {
        let (now, none) = ("2026-11-30T12:00:00Z", None);
        let daily = || cron("0 5 * * *", "UTC", 0, true);
        let without = || cron("0 5 * * *", "UTC", 0, false);
        let next = "2026-12-01T05:00:00Z";
        for (schedule, started, planned, expected) in [
            (daily(), none, none, next),
            // Its time passed while the service was stopped, once or often: one start.
            (daily(), Some("2026-11-29T05:00:00Z"), Some("2026-11-30T05:00:00Z"), now),
            (daily(), Some("2026-10-01T05:00:00Z"), Some("2026-10-02T05:00:00Z"), now),
            (daily(), none, Some("2026-11-30T12:00:00Z"), now),
            (daily(), Some("2026-11-30T05:00:00Z"), Some(next), next),
            (without(), Some("2026-11-29T05:00:00Z"), Some("2026-11-30T05:00:00Z"), next),
            // The clock was set back: the start of 05:00 is not repeated, unless the clock was wrong by years.
            (daily(), Some("2026-12-01T05:00:00Z"), Some("2026-12-02T05:00:00Z"), "2026-12-02T05:00:00Z"),
            (daily(), Some("2031-12-01T05:00:00Z"), Some("2031-12-02T05:00:00Z"), next),
            (every(60, 0), none, none, now),
            (every(60, 0), Some("2026-11-30T11:30:00Z"), none, "2026-11-30T12:30:00Z"),
            (every(60, 0), Some("2026-11-30T11:00:00Z"), none, now),
            (every(60, 0), Some("2026-10-30T11:00:00Z"), none, now),
            (every(60, 0), Some("2031-11-30T11:30:00Z"), none, "2026-11-30T13:00:00Z"),
            (every(1, 0), Some("2026-11-30T11:59:59Z"), none, "2026-11-30T12:00:59Z"),
        ] {
            let stored = Stored { started: started.map(time), next: planned.map(time) };
            let due = schedule.first(clock(now), stored).wall(clock(now)).unwrap();
            assert_eq!(due, time(expected), "{schedule}, started {started:?}, planned {planned:?}");
        }
    }

    #[test]
    fn manual_never_and_continuous_at_once() {
        let at = clock("2026-11-30T12:00:00Z");
        let manual = Schedule::new(&ScheduleKeys::Manual, "m", "p").unwrap();
        assert_eq!((manual.first(at, Stored::default()), manual.following(at)), (Due::Never, Due::Never));
        let continuous = Schedule::new(&ScheduleKeys::Continuous, "m", "p").unwrap();
        assert!(continuous.first(at, Stored::default()).is_reached(at));
    }

    #[test]
    fn jitter_is_fixed_for_machine_and_pipeline_and_within_bounds() {
        let keys = ScheduleKeys::Cron {
            pattern: "0 5 * * *".to_owned(),
            timezone: Some("UTC".to_owned()),
            jitter_secs: 300,
            catch_up: true,
        };
        let at = clock("2026-11-30T12:00:00Z");
        let next = |machine: &str, pipeline: &str| {
            let schedule = Schedule::new(&keys, machine, pipeline).unwrap();
            schedule.first(at, Stored::default()).wall(at).unwrap()
        };
        assert_eq!(next("a", "p"), next("a", "p"));
        let all: Vec<Timestamp> = (0..100).map(|number| next("a", &format!("p{number}"))).collect();
        let base = time("2026-12-01T05:00:00Z");
        assert!(all.iter().all(|start| (0..=300).contains(&start.duration_since(base).as_secs())));
        let mut different = all.clone();
        different.sort();
        different.dedup();
        assert!(different.len() > 60, "only {} different delays", different.len());
        assert_ne!(next("a", "p"), next("b", "p"));
        // Between the time of the pattern and the delayed start, the start of this day is still to come.
        let schedule = Schedule::new(&keys, "a", "p").unwrap();
        let between = Clock { wall: next("a", "p") - 1.second(), ..at };
        assert_eq!(schedule.first(between, Stored::default()).wall(between).unwrap(), next("a", "p"));
    }

    #[test]
    fn clock_that_is_set_repeats_no_start() {
        let schedule = cron("0 5 * * *", "UTC", 0, true);
        let fired = clock("2026-11-30T05:00:00Z");
        let due = schedule.following(fired);
        for (wall, expected) in [
            ("2026-11-30T04:30:00Z", "2026-12-01T05:00:00Z"),
            ("2026-11-29T06:00:00Z", "2026-12-01T05:00:00Z"),
            ("2026-11-20T06:00:00Z", "2026-11-21T05:00:00Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T05:00:00Z"),
            ("2026-12-05T00:00:00Z", "2026-12-01T05:00:00Z"),
        ] {
            let now = Clock { wall: time(wall), steady: fired.steady + Duration::from_secs(30) };
            assert_eq!(schedule.corrected(due, fired, now), Due::Wall(time(expected)), "{wall}");
        }
        // Without `catch_up`, a start that was missed by a suspended machine is left out.
        let without = cron("0 5 * * *", "UTC", 0, false);
        assert!(without.is_too_late(due, clock("2026-12-01T09:00:00Z")));
        assert!(!without.is_too_late(due, clock("2026-12-01T05:01:00Z")));
        assert!(!schedule.is_too_late(due, clock("2026-12-01T09:00:00Z")));
    }

    /// All starts of a year, looked at each 30 seconds.
    fn starts_of_a_year(schedule: &Schedule) -> Vec<Timestamp> {
        let begin = time("2026-01-01T00:00:00Z");
        let mut clock = Clock { wall: begin, steady: Duration::from_secs(5) };
        let mut due = schedule.first(clock, Stored { started: Some(begin), next: None });
        let mut starts = Vec::new();
        for _ in 0..365 * 24 * 120 {
            let before = clock;
            clock.wall += LONGEST_LOOK;
            clock.steady += LONGEST_LOOK;
            due = schedule.corrected(due, before, clock);
            if due.is_reached(clock) {
                starts.push(clock.wall);
                due = schedule.following(clock);
            }
        }
        starts
    }

    #[test]
    fn no_start_of_a_year_is_missed_or_doubled() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let days: Vec<Timestamp> = date(2026, 1, 1)
            .series(1.day())
            .take(365)
            .filter(|day| {
                !matches!(day.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday)
            })
            .map(|day| day.at(5, 0, 0, 0).to_zoned(berlin.clone()).unwrap().timestamp())
            .collect();
        assert_eq!(days.len(), 261);
        assert_eq!(starts_of_a_year(&cron("0 5 * * MON-FRI", "Europe/Berlin", 0, true)), days);
        let jittered = cron("0 5 * * MON-FRI", "Europe/Berlin", 600, true);
        let starts = starts_of_a_year(&jittered);
        assert_eq!(starts.len(), 261);
        assert!(starts.iter().zip(&days).all(|(start, day)| {
            let late = start.duration_since(*day) - SignedDuration::try_from(jittered.jitter).unwrap();
            !late.is_negative() && late <= SignedDuration::from_secs(30)
        }));
        // Both passes of the repeated hour, and the hour that does not exist: the steady rhythm does not change.
        assert_eq!(starts_of_a_year(&cron("*/30 * * * *", "Europe/Berlin", 0, true)).len(), 365 * 48);
        let hourly = starts_of_a_year(&every(60, 0));
        assert_eq!(hourly.len(), 365 * 24);
        assert!(hourly.windows(2).all(|pair| pair[1].duration_since(pair[0]).as_secs() == 3600));
    }
}
