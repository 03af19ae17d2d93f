//! How numbers are shown to people.

/// A number with separators between its thousands: `41,203`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in bytes with a unit, and with at most one decimal: `18.2 MiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, None);
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = Some(next);
    }
    unit.map_or_else(|| format!("{bytes} B"), |unit| format!("{value:.1} {unit}"))
}

/// How long something took: `0.03 s`, `96.4 s`, `12 min 5 s`, `3 h 12 min`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "at most two decimals are shown")]
pub fn show_elapsed(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..10 => format!("{:.2} s", milliseconds as f64 / 1000.0),
        10..120 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let shown = [0, 999, 1_000, 12_345, 41_203, 123_456, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "41,203", "123,456", "1,234,567"]);
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn elapsed_times_have_units() {
        let shown = [0, 40, 1_250, 10_000, 96_440, 120_000, 725_999, 7_200_000, 90_061_000].map(show_elapsed);
        assert_eq!(
            shown,
            [
                "0.00 s",
                "0.04 s",
                "1.25 s",
                "10.0 s",
                "96.4 s",
                "2 min 0 s",
                "12 min 5 s",
                "2 h 0 min",
                "25 h 1 min"
            ]
        );
    }

    #[test]
    fn sizes_have_units() {
        let shown = [0, 1023, 1024, 19_083_000, 3 << 40].map(show_bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "18.2 MiB", "3.0 TiB"]);
    }
}
