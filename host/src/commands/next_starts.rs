//! When the service will start a pipeline, for `scanbridge check`.

use std::time::Duration;

use jiff::{Timestamp, Zoned};
use scanbridge_observe::{Cron, ScheduleKeys, fixed_delay, machine_id};

/// Starts that are shown.
const SHOWN: usize = 3;

/// The next starts by a cron pattern, with the fixed delay of this machine. Empty for another schedule: the starts of
/// `every_minutes` depend on the last run.
pub(super) fn next_starts(pipeline: &str, schedule: &ScheduleKeys) -> Vec<Zoned> {
    starts_after(Timestamp::now(), &machine_id(), pipeline, schedule)
}

fn starts_after(now: Timestamp, machine: &str, pipeline: &str, schedule: &ScheduleKeys) -> Vec<Zoned> {
    let ScheduleKeys::Cron { pattern, timezone, jitter_secs, .. } = schedule else { return Vec::new() };
    let Ok(cron) = Cron::parse(pattern, timezone.as_deref()) else { return Vec::new() };
    let delay = fixed_delay(machine, pipeline, *jitter_secs);
    // A time whose delay has not passed yet is still to come.
    let from = now.saturating_sub(delay).unwrap_or(now);
    cron.times(from).take(SHOWN).map(|time| delayed(&time, delay)).collect()
}

fn delayed(time: &Zoned, delay: Duration) -> Zoned {
    time.saturating_add(delay)
}

/// One line for people; empty without starts.
pub(super) fn in_words(starts: &[Zoned]) -> String {
    let Some(first) = starts.first() else { return String::new() };
    let zone = first.time_zone().iana_name().map_or_else(String::new, |name| format!(" ({name})"));
    let times: Vec<String> =
        starts.iter().map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string()).collect();
    format!("  next starts by the service: {}{zone}\n", times.join(", "))
}

/// A start in RFC 3339.
pub(super) fn in_rfc_3339(start: &Zoned) -> String {
    start.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(pattern: &str, jitter_secs: u64) -> ScheduleKeys {
        let (pattern, timezone) = (pattern.to_owned(), Some("Europe/Berlin".to_owned()));
        ScheduleKeys::Cron { pattern, timezone, jitter_secs, catch_up: true }
    }

    #[test]
    fn three_starts_in_their_time_zone_over_a_clock_change() {
        let now = "2026-03-27T12:00:00Z".parse().unwrap();
        let starts = starts_after(now, "m", "emea", &cron("30 2 * * *", 0));
        let expected = "  next starts by the service: 2026-03-28 02:30:00, 2026-03-29 03:00:00, 2026-03-30 02:30:00 \
                        (Europe/Berlin)\n";
        assert_eq!(in_words(&starts), expected);
        assert_eq!(in_rfc_3339(&starts[1]), "2026-03-29T03:00:00+02:00");
        for schedule in [ScheduleKeys::Manual, ScheduleKeys::Every { minutes: 5, jitter_secs: 0 }] {
            assert_eq!(in_words(&starts_after(now, "m", "emea", &schedule)), "");
        }
    }

    #[test]
    fn start_whose_delay_has_not_passed_is_the_next() {
        let delay = fixed_delay("m", "emea", 3000);
        assert!(delay > Duration::from_secs(60), "{delay:?}");
        let at: Timestamp = "2026-03-27T04:00:00Z".parse().unwrap();
        for (now, expected) in [
            (at + Duration::from_secs(30), at + delay),
            (at + delay, at + delay + Duration::from_secs(86_400)),
        ] {
            let starts = starts_after(now, "m", "emea", &cron("0 5 * * *", 3000));
            assert_eq!((starts.len(), starts[0].timestamp()), (3, expected));
        }
    }
}
