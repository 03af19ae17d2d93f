//! The severity of a finding.

/// The scanner's severity, from 1 (lowest) to 5 (highest). Outputs map it to their own scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Severity(u8);

impl Severity {
    /// The severity with this number. `None` if it is not from 1 to 5.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (1..=5).contains(&number).then_some(Self(number))
    }

    /// Parses a cell: one digit from 1 to 5, otherwise `None`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [digit @ b'1'..=b'5'] => Some(Self(digit - b'0')),
            _ => None,
        }
    }

    /// Maps a value of a scale from `least` to `most`, for example 0.0 to 10.0, to five equal parts. Values outside
    /// the scale are clamped. `None` if the scale is empty or a number is not finite.
    ///
    /// ```
    /// use scanbridge_plugin_api::model::Severity;
    ///
    /// assert_eq!(Severity::of_scale(9.8, 0.0, 10.0), Severity::new(5));
    /// assert_eq!(Severity::of_scale(0.0, 0.0, 4.0), Severity::new(1));
    /// ```
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the part is between 0 and 5"
    )]
    pub fn of_scale(value: f64, least: f64, most: f64) -> Option<Self> {
        let is_scale = least.is_finite() && most.is_finite() && least < most && value.is_finite();
        let part = (value.clamp(least, most.max(least)) - least) / (most - least) * 5.0;
        is_scale.then(|| Self((part as u8 + 1).min(5)))
    }

    /// The number as text, `1` to `5`.
    #[must_use]
    pub fn word(self) -> &'static str {
        ["1", "2", "3", "4", "5"][usize::from(self.0) - 1]
    }

    /// 1 to 5.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Severity;

    #[test]
    fn scale_is_divided_into_five_parts() {
        let of = |value| Severity::of_scale(value, 0.0, 10.0).map(Severity::number);
        assert_eq!([-1.0, 0.0, 1.9, 2.0, 5.0, 8.0, 10.0, 11.0].map(of), [1, 1, 1, 2, 3, 5, 5, 5].map(Some));
        assert_eq!(Severity::of_scale(1.0, 5.0, 5.0), None);
        assert_eq!(Severity::of_scale(f64::NAN, 0.0, 1.0), None);
        assert_eq!(Severity::of_scale(1.0, 5.0, f64::INFINITY), None);
        assert_eq!(Severity::of_scale(1.0, 5.0, 1.0), None);
    }

    #[test]
    fn only_one_to_five_are_severities() {
        assert_eq!(Severity::from_text("5").map(Severity::number), Some(5));
        for text in ["", "0", "6", "05", "-", "3 "] {
            assert_eq!(Severity::from_text(text), None, "{text:?}");
        }
        assert_eq!(Severity::new(0), None);
    }
}
