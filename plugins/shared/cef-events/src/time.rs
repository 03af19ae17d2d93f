//! Event times in milliseconds since 1970, the format without time zone or locale.

use jiff::Timestamp;
use scanbridge_plugin_api::batch::Cell;

/// Milliseconds since 1970 of a UTC time such as `2026-01-31T12:00:00Z`. `None` for other formats and for
/// times before 1970: a missing time is better than a wrong one.
pub(crate) fn epoch_ms(text: &str) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    // Nearly all times have the form of the model, which is faster to read than all forms.
    let of_any_form = || text.trim().parse().ok().map(Timestamp::as_millisecond);
    let time = Cell::new(text).time().or_else(of_any_form)?;
    Some(time).filter(|milliseconds| *milliseconds >= 0)
}

/// Correction of event times before they are sent; none by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeCorrection {
    /// Added to each time, in milliseconds.
    pub offset: i64,
    /// Maximum age of a time, in milliseconds.
    pub max_past: Option<i64>,
    /// How far a time may be in the future, in milliseconds.
    pub max_future: Option<i64>,
}

impl TimeCorrection {
    /// The time to send, and whether it was clamped to one of the limits around `now`.
    pub(crate) fn apply(self, time: i64, now: i64) -> (i64, bool) {
        let shifted = time.saturating_add(self.offset).max(0);
        let earliest = self.max_past.map_or(0, |past| now.saturating_sub(past).max(0));
        let latest = self.max_future.map_or(i64::MAX, |future| now.saturating_add(future));
        let clamped = shifted.clamp(earliest, latest.max(earliest));
        (clamped, clamped != shifted)
    }
}

/// The current time in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_or_non_utc_times_are_rejected() {
        assert_eq!(epoch_ms("2026-01-31T12:00:00Z"), Some(1_769_860_800_000)); // date -d … +%s
        assert_eq!(epoch_ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(epoch_ms(" 2026-01-31T14:00:00+02:00 "), Some(1_769_860_800_000));
        for invalid in
            ["", "N/A", "2026-01-31", "31/01/2026 12:00:00", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"]
        {
            assert_eq!(epoch_ms(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn times_are_shifted_and_clamped_as_configured() {
        let none = TimeCorrection::default();
        assert_eq!(none.apply(5, 1_000_000), (5, false));
        let offset = TimeCorrection { offset: -3_600_000, ..none };
        assert_eq!(offset.apply(3_600_005, 0), (5, false));
        assert_eq!(offset.apply(5, 0), (0, false), "never before 1970");
        let bounds = TimeCorrection { max_past: Some(100), max_future: Some(10), ..none };
        for (time, expected) in
            [(899, (900, true)), (900, (900, false)), (1010, (1010, false)), (1011, (1010, true))]
        {
            assert_eq!(bounds.apply(time, 1000), expected);
        }
    }
}
