//! Spans of time with a unit.

/// Units, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses a duration such as `30 s`, in milliseconds. The unit is required.
pub(super) fn parse_duration(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|sign: char| sign.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(word, _)| unit.trim_start().eq_ignore_ascii_case(word))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Formats a number of milliseconds in the largest unit without a remainder: `2 h`, `90 s`, `1500 ms`.
#[must_use]
pub fn show_duration(ms: u64) -> String {
    UNITS
        .iter()
        .find(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor))
        .map_or_else(|| format!("{ms} ms"), |(unit, factor)| format!("{} {unit}", ms / factor))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn duration_needs_a_number_and_a_unit() {
        for (text, ms) in [
            ("30 s", 30_000),
            ("500ms", 500),
            ("5 MIN", 300_000),
            ("2h", 7_200_000),
            ("1 d", 86_400_000),
            ("0 s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(ms), "{text}");
        }
        for text in ["", "30", "s", "-1 s", "1.5 h", "1 h 30 min", "30 sec", "300000000000 d", "+1 s", "1 s "]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn shown_duration_is_parsed_again(ms in any::<u64>(), small in 0_u64..100, (_, factor) in proptest::sample::select(UNITS.to_vec())) {
            prop_assert_eq!(parse_duration(&show_duration(ms)), Some(ms));
            prop_assert_eq!(parse_duration(&show_duration(small * factor)), Some(small * factor));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC*") {
            let _ = parse_duration(&text);
        }
    }
}
