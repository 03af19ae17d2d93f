//! Measured values and their limits.

use std::fmt;

/// A measured value and its limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The measured quantity, for example `scan: processor time, host / bare loop`.
    pub quantity: String,
    /// The measured value.
    pub measured: f64,
    /// The limit of the value.
    pub limit: Limit,
    /// The unit, printed after both numbers: `x`, ` MiB`, ` %`.
    pub unit: &'static str,
}

/// A limit of a measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// The maximum.
    AtMost(f64),
    /// The minimum.
    AtLeast(f64),
}

impl Bound {
    /// Whether the value is within its limit; false if it is NaN.
    #[must_use]
    pub fn is_within_limit(&self) -> bool {
        match self.limit {
            Limit::AtMost(maximum) => self.measured <= maximum,
            Limit::AtLeast(minimum) => self.measured >= minimum,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_within_limit() { "kept  " } else { "MISSED" };
        let (relation, limit) = match self.limit {
            Limit::AtMost(maximum) => ("≤", maximum),
            Limit::AtLeast(minimum) => ("≥", minimum),
        };
        write!(
            f,
            "{verdict} {:<52} {:>8.2}{unit}  ({relation} {limit}{unit})",
            self.quantity,
            self.measured,
            unit = self.unit
        )
    }
}

/// The median. For an even number of values, the mean of the middle two; NaN without values.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count.is_multiple_of(2) => f64::midpoint(values[count / 2 - 1], values[count / 2]),
        count => values[count / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(measured: f64, limit: Limit) -> Bound {
        Bound { quantity: "speed".to_owned(), measured, limit, unit: "x" }
    }

    #[test]
    fn limit_is_inclusive() {
        assert!(bound(2.2, Limit::AtMost(2.2)).is_within_limit());
        assert!(!bound(2.21, Limit::AtMost(2.2)).is_within_limit());
        assert!(bound(9.0, Limit::AtLeast(9.0)).is_within_limit());
        assert!(!bound(8.99, Limit::AtLeast(9.0)).is_within_limit());
    }

    #[test]
    fn missing_measurement_exceeds_every_limit() {
        assert!(!bound(median([]), Limit::AtMost(1.0)).is_within_limit());
        assert!(!bound(median([]), Limit::AtLeast(1.0)).is_within_limit());
    }

    #[test]
    fn median_is_the_middle_value() {
        assert_eq!(median([9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 9.0]), 3.0);
    }
}
