//! Cells by the type of their column.

use serde::{Deserialize, Serialize};

use crate::model::list_items;

/// The form of the cells of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ColumnType {
    /// An integer with an optional `-`: `42`.
    Integer,
    /// A decimal number with a point and an optional `-`: `0.97`.
    Decimal,
    /// A time in UTC: `2026-01-31T12:00:00Z`, with an optional fraction of up to three digits.
    Time,
    /// `1` or `0`.
    Flag,
    /// Any number of items, separated by line feeds.
    List,
    /// Any text. Types of later versions are read as text.
    #[default]
    #[serde(other)]
    Text,
}

impl ColumnType {
    /// The types, in the order of the documentation.
    pub const ALL: [Self; 6] = [Self::Text, Self::Integer, Self::Decimal, Self::Time, Self::Flag, Self::List];

    /// The name in the schema.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Time => "time",
            Self::Flag => "flag",
            Self::List => "list",
        }
    }
}

/// The text of a cell, with its value for each type of column. A cell whose text is not of the form that its column
/// announces is odd: it is delivered, counted in the summary of the run, and has no value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cell<'a>(&'a str);

impl<'a> Cell<'a> {
    /// A cell with this text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The text; empty if the scanner did not report the value.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.0
    }

    /// The integer; `None` for an empty or odd cell.
    #[must_use]
    pub fn integer(self) -> Option<i64> {
        let digits = self.0.strip_prefix('-').unwrap_or(self.0);
        is_digits(digits).then(|| self.0.parse().ok()).flatten()
    }

    /// The decimal number; `None` for an empty or odd cell.
    #[must_use]
    pub fn decimal(self) -> Option<f64> {
        let digits = self.0.strip_prefix('-').unwrap_or(self.0);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        (is_digits(whole) && is_digits(fraction)).then(|| self.0.parse().ok()).flatten()
    }

    /// The time, in milliseconds since 1970-01-01T00:00:00Z; `None` for an empty or odd cell.
    #[must_use]
    pub fn time(self) -> Option<i64> {
        let (time, rest) = self.0.as_bytes().split_first_chunk::<19>()?;
        let [y1, y2, y3, y4, b'-', o1, o2, b'-', d1, d2, b'T', h1, h2, b':', m1, m2, b':', s1, s2] = *time
        else {
            return None;
        };
        let fraction = match *rest {
            [b'Z'] => 0,
            [b'.', tenths, b'Z'] => 100 * value_of([tenths])?,
            [b'.', f1, f2, b'Z'] => 10 * value_of([f1, f2])?,
            [b'.', f1, f2, f3, b'Z'] => value_of([f1, f2, f3])?,
            _ => return None,
        };
        let (year, month, day) = (value_of([y1, y2, y3, y4])?, value_of([o1, o2])?, value_of([d1, d2])?);
        let (hour, minute, second) = (value_of([h1, h2])?, value_of([m1, m2])?, value_of([s1, s2])?);
        // Second 60 is a leap second.
        if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
        Some(seconds * 1000 + fraction)
    }

    /// The flag; `None` for an empty or odd cell.
    #[must_use]
    pub fn flag(self) -> Option<bool> {
        match self.0 {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn items(self) -> impl Iterator<Item = &'a str> {
        list_items(self.0)
    }

    /// Whether the cell is empty or has the form of this type.
    #[must_use]
    pub fn has_type(self, column_type: ColumnType) -> bool {
        self.0.is_empty()
            || match column_type {
                ColumnType::Text | ColumnType::List => true,
                ColumnType::Integer => self.integer().is_some(),
                ColumnType::Decimal => self.decimal().is_some(),
                ColumnType::Time => self.time().is_some(),
                ColumnType::Flag => self.flag().is_some(),
            }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number that these digits are; `None` if one is not a digit.
fn value_of<const N: usize>(digits: [u8; N]) -> Option<i64> {
    let mut value = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(value)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have the leap day at their end.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let of_years = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    of_years + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_decimals() {
        let integer = |text| Cell::new(text).integer();
        assert_eq!(["0", "-7", "42"].map(integer), [Some(0), Some(-7), Some(42)]);
        assert_eq!(["", "+1", "1.0", " 1", "9223372036854775808", "-"].map(integer), [None; 6]);
        let decimal = |text| Cell::new(text).decimal();
        assert_eq!(["0.97", "-1.5", "3"].map(decimal), [Some(0.97), Some(-1.5), Some(3.0)]);
        assert_eq!(["", ".5", "5.", "1e3", "NaN", "1,5", "inf"].map(decimal), [None; 7]);
    }

    #[test]
    fn times_are_milliseconds_since_1970() {
        let time = |text| Cell::new(text).time();
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", -1_000),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("2026-01-31T12:00:00.5Z", 1_769_860_800_500),
            ("2026-01-31T12:00:00.123Z", 1_769_860_800_123),
        ] {
            assert_eq!(time(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00.1234Z",
            "2026-01-31T12:00:00+01:00",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn flags_and_lists() {
        assert_eq!(
            ["1", "0", "true", ""].map(|text| Cell::new(text).flag()),
            [Some(true), Some(false), None, None]
        );
        assert_eq!(Cell::new("a\nb").items().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn empty_cell_is_not_odd() {
        for column_type in ColumnType::ALL {
            assert!(Cell::new("").has_type(column_type));
            let is_text = matches!(column_type, ColumnType::Text | ColumnType::List);
            assert_eq!(Cell::new("a b").has_type(column_type), is_text, "{column_type:?}");
            assert_eq!(serde_json::to_value(column_type).unwrap(), column_type.word());
        }
    }
}
