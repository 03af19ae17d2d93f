//! Requests to show samples of what the outputs write during a run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::clock::after;

/// Findings of one output that are shown in a second, at most.
const MAX_PER_SECOND: u32 = 100;
const SECOND: Duration = Duration::from_secs(1);

/// The requests, by the `id` of the output.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    /// Whether there is any. The threads of the outputs look at nothing else as long as there is none.
    is_any: AtomicBool,
    taps: Mutex<BTreeMap<String, Tap>>,
}

/// A request that is not fulfilled.
#[derive(Debug)]
struct Tap {
    /// Findings that are still to be shown.
    remaining: u32,
    until: Instant,
    /// When the current second began, and the findings that were shown in it.
    second: (Instant, u32),
}

impl Taps {
    /// Asks for this number of findings of an output, for this time. Requests for the same output share the findings.
    pub(crate) fn request(&self, output: String, count: u32, seconds: u32, now: Instant) {
        let mut taps = self.lock();
        let until = after(now, Duration::from_secs(seconds.into()));
        let tap = taps.entry(output).or_insert(Tap { remaining: 0, until, second: (now, 0) });
        tap.remaining = tap.remaining.max(count);
        tap.until = tap.until.max(until);
        self.is_any.store(true, Ordering::Relaxed);
    }

    /// Whether any output is to be shown.
    pub(super) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
    }

    /// How many of `available` findings of this output are to be shown now, and how many then remain.
    pub(super) fn take(&self, output: &str, available: usize, now: Instant) -> (usize, u32) {
        let mut taps = self.lock();
        taps.retain(|_, tap| now < tap.until && tap.remaining > 0);
        self.is_any.store(!taps.is_empty(), Ordering::Relaxed);
        let Some(tap) = taps.get_mut(output) else { return (0, 0) };
        if now.saturating_duration_since(tap.second.0) >= SECOND {
            tap.second = (now, 0);
        }
        let available = u32::try_from(available).unwrap_or(u32::MAX);
        let taken = available.min(tap.remaining).min(MAX_PER_SECOND - tap.second.1);
        tap.second.1 += taken;
        tap.remaining -= taken;
        (taken as usize, tap.remaining)
    }

    /// Ends the request for this output.
    pub(super) fn end(&self, output: &str) {
        self.lock().remove(output);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Tap>> {
        self.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This number of the rows, at equal distances.
pub(super) fn sample(rows: &[u32], count: usize) -> Vec<u32> {
    (0..count).map(|index| rows[index * rows.len() / count]).collect()
}

/// A record that fits into a line of the channel. Says how much is missing.
pub(super) fn shortened(mut text: String) -> String {
    if text.len() <= MAX_RECORD_BYTES {
        return text;
    }
    let mut end = MAX_RECORD_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let missing = text.len() - end;
    text.truncate(end);
    text.push_str(&format!(" [{missing} more bytes]"));
    text
}

/// In JSON, a character can need six bytes.
const MAX_RECORD_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ends_by_count_time_or_rate() {
        let (taps, start) = (Taps::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!taps.is_any());
        assert_eq!(taps.take("siem", 5, start), (0, 0));
        taps.request("siem".to_owned(), 250, 60, start);
        assert!(taps.is_any());
        assert_eq!(taps.take("sheet", 5, start), (0, 0), "of another output");
        assert_eq!(taps.take("siem", 80, start), (80, 170));
        assert_eq!(taps.take("siem", 80, at(900)), (20, 150), "100 in a second");
        assert_eq!(taps.take("siem", 80, at(999)), (0, 150));
        assert_eq!(taps.take("siem", 800, at(1000)), (100, 50));
        assert_eq!(taps.take("siem", 800, at(2500)), (50, 0));
        assert_eq!(taps.take("siem", 800, at(9000)), (0, 0));
        assert!(!taps.is_any(), "the request is fulfilled");
        taps.request("siem".to_owned(), 5, 1, at(10_000));
        assert_eq!(taps.take("siem", 1, at(10_999)), (1, 4));
        assert_eq!(taps.take("siem", 1, at(11_000)), (0, 0), "its time is over");
        assert!(!taps.is_any());
    }

    #[test]
    fn samples_are_spread_over_the_rows() {
        let rows: Vec<u32> = (10..20).collect();
        assert_eq!(sample(&rows, 3), [10, 13, 16]);
        assert_eq!(sample(&rows, 10), rows);
        assert_eq!(sample(&rows, 0), [0; 0]);
        assert_eq!(sample(&[], 0), [0; 0]);
    }

    #[test]
    fn long_record_is_cut_between_characters() {
        let text = shortened("é".repeat(MAX_RECORD_BYTES));
        assert!(text.ends_with("é [32768 more bytes]"), "{}", &text[text.len() - 40..]);
        assert_eq!(shortened("short".to_owned()), "short");
    }
}
