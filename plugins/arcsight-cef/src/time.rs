//! Times, as the one form that every receiver reads the same way.

use jiff::Timestamp;

/// Milliseconds since 1970 of a UTC time such as `2026-01-31T12:00:00Z`. None for anything else and for times
/// before 1970: a missing time is better than a wrong one.
pub(crate) fn epoch_ms(text: &str) -> Option<i64> {
    let time: Timestamp = text.trim().parse().ok()?;
    Some(time.as_millisecond()).filter(|milliseconds| *milliseconds >= 0)
}

#[cfg(test)]
mod tests {
    use super::epoch_ms;

    #[test]
    fn only_whole_utc_times_count() {
        assert_eq!(epoch_ms("2026-01-31T12:00:00Z"), Some(1_769_860_800_000)); // date -d … +%s
        assert_eq!(epoch_ms("1970-01-01T00:00:00Z"), Some(0));
        for bad in
            ["", "N/A", "2026-01-31", "31/01/2026 12:00:00", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"]
        {
            assert_eq!(epoch_ms(bad), None, "{bad}");
        }
    }
}
