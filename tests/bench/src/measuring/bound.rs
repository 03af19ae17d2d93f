//! What a figure is held against.

use std::fmt;

/// A figure and its limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// What was measured, for example `scan: processor time, host / bare loop`.
    pub what: String,
    /// What came out.
    pub measured: f64,
    /// What it may be.
    pub limit: Limit,
    /// The unit after the figures: `x`, ` MiB`, ` %`.
    pub unit: &'static str,
}

/// What a figure may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Bound {
    /// Whether the figure is within its limit; never for a figure that is not a number.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        match self.limit {
            Limit::AtMost(most) => self.measured <= most,
            Limit::AtLeast(least) => self.measured >= least,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_kept() { "kept  " } else { "MISSED" };
        let (sign, limit) = match self.limit {
            Limit::AtMost(most) => ("≤", most),
            Limit::AtLeast(least) => ("≥", least),
        };
        write!(
            f,
            "{verdict} {:<52} {:>8.2}{unit}  ({sign} {limit}{unit})",
            self.what,
            self.measured,
            unit = self.unit
        )
    }
}

/// The middle value; the mean of the middle two of an even number.
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
        Bound { what: "speed".to_owned(), measured, limit, unit: "x" }
    }

    #[test]
    fn a_limit_is_kept_up_to_its_very_value() {
        assert!(bound(2.2, Limit::AtMost(2.2)).is_kept());
        assert!(!bound(2.21, Limit::AtMost(2.2)).is_kept());
        assert!(bound(9.0, Limit::AtLeast(9.0)).is_kept());
        assert!(!bound(8.99, Limit::AtLeast(9.0)).is_kept());
    }

    #[test]
    fn nothing_measured_keeps_no_limit() {
        assert!(!bound(median([]), Limit::AtMost(1.0)).is_kept());
        assert!(!bound(median([]), Limit::AtLeast(1.0)).is_kept());
    }

    #[test]
    fn median_is_the_middle_value() {
        assert_eq!(median([9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 9.0]), 3.0);
    }
}
