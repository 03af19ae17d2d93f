//! Durations of calls as a histogram. Its buckets are counts, so that they are carried and summed like all counts.

use std::collections::BTreeMap;
use std::time::Duration;

/// How many calls took how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// Calls by bucket; the last one has what took longer than all limits.
    buckets: [u64; LIMITS.len() + 1],
    micros: u64,
}

/// The upper limits of the buckets in seconds, with their names as counts.
const LIMITS: [(f64, &str); 9] = [
    (0.001, "0.001"),
    (0.005, "0.005"),
    (0.02, "0.02"),
    (0.1, "0.1"),
    (0.5, "0.5"),
    (1.0, "1"),
    (5.0, "5"),
    (20.0, "20"),
    (60.0, "60"),
];
const LONGER: &str = "longer";
const MICROS: &str = "micros";

/// The calls of outputs whose durations are counted, by the first part of the counts' names.
pub(crate) const CALLS: [&str; 2] = ["write_seconds", "commit_seconds"];

impl Durations {
    /// Counts a call.
    pub fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = LIMITS.iter().position(|(limit, _)| seconds <= *limit).unwrap_or(LIMITS.len());
        self.buckets[bucket] += 1;
        self.micros = self.micros.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The counts of an output, without zeros: `write_seconds.0.02`, and the sum as `write_seconds.micros`.
    #[must_use]
    pub fn of_output(write: Self, commit: Self) -> BTreeMap<String, u64> {
        CALLS.into_iter().zip([write, commit]).flat_map(|(call, durations)| durations.counts(call)).collect()
    }

    fn counts(self, call: &str) -> BTreeMap<String, u64> {
        let names = LIMITS.iter().map(|(_, name)| *name).chain([LONGER, MICROS]);
        let counts = self.buckets.into_iter().chain([self.micros]);
        let all = names.zip(counts).filter(|(_, count)| *count > 0);
        all.map(|(name, count)| (format!("{call}.{name}"), count)).collect()
    }

    /// The durations of a call of [`CALLS`].
    pub(crate) fn of_counts(counts: &BTreeMap<String, u64>, call: &str) -> Self {
        let count = |name: &str| counts.get(&format!("{call}.{name}")).copied().unwrap_or_default();
        let mut durations = Self { micros: count(MICROS), ..Self::default() };
        let names = LIMITS.iter().map(|(_, name)| *name).chain([LONGER]);
        durations.buckets.iter_mut().zip(names).for_each(|(bucket, name)| *bucket = count(name));
        durations
    }

    /// Sum in seconds, number of calls, and calls by the upper limit of their bucket.
    pub(crate) fn histogram(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let limits = LIMITS.iter().map(|(limit, _)| *limit).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = limits.zip(self.buckets).collect();
        let calls = self.buckets.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        (Duration::from_micros(self.micros).as_secs_f64(), calls, buckets)
    }
}

/// Whether this is the name of a count of durations.
pub(crate) fn is_count(name: &str) -> bool {
    name.split_once('.').is_some_and(|(call, part)| {
        let is_limit = || LIMITS.iter().any(|(_, name)| *name == part);
        CALLS.contains(&call) && (matches!(part, LONGER | MICROS) || is_limit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_in_buckets_and_survive_as_counts() {
        let mut write = Durations::default();
        for millis in [0, 1, 2, 5, 500, 501, 59_999, 60_001] {
            write.add(Duration::from_millis(millis));
        }
        let counts = Durations::of_output(write, Durations::default());
        assert!(counts.keys().all(|name| is_count(name)), "{counts:?}");
        assert_eq!(counts["write_seconds.0.001"], 2);
        assert_eq!(counts["write_seconds.longer"], 1);
        assert!(!counts.contains_key("write_seconds.0.1"), "{counts:?}");
        assert_eq!(Durations::of_counts(&counts, CALLS[0]), write);
        assert_eq!(Durations::of_counts(&counts, CALLS[1]), Durations::default());
        let (sum, calls, buckets) = write.histogram();
        assert_eq!((sum, calls), (121.009, 8));
        let counts: Vec<u64> = buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 2, 0, 0, 1, 1, 0, 0, 1, 1]);
        for name in ["write_seconds", "write_seconds.0.3", "other.0.02", "write_seconds.0.02.x"] {
            assert!(!is_count(name), "{name}");
        }
    }
}
