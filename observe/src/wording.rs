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
    fn sizes_have_units() {
        let shown = [0, 1023, 1024, 19_083_000, 3 << 40].map(show_bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "18.2 MiB", "3.0 TiB"]);
    }
}
