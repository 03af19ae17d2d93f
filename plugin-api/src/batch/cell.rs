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
        is_digits(digits.as_bytes()).then(|| self.0.parse().ok()).flatten()
    }

    /// The decimal number; `None` for an empty or odd cell.
    #[must_use]
    pub fn decimal(self) -> Option<f64> {
        let digits = self.0.strip_prefix('-').unwrap_or(self.0);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = [whole, fraction].iter().all(|part| is_digits(part.as_bytes()));
        is_number.then(|| self.0.parse().ok()).flatten()
    }

    /// The time, in milliseconds since 1970-01-01T00:00:00Z; `None` for an empty or odd cell.
    #[must_use]
    pub fn time(self) -> Option<i64> {
        let Time { year, month, day, hour, minute, second, millis } = Time::parse(self.0.as_bytes())?;
        let seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
        Some(seconds * 1000 + millis)
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
                ColumnType::Time => Time::parse(self.0.as_bytes()).is_some(),
                ColumnType::Flag => self.flag().is_some(),
            }
    }
}

fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// A valid time in UTC.
struct Time {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    millis: i64,
}

impl Time {
    /// Parses a time.
    fn parse(text: &[u8]) -> Option<Self> {
        const MONTH: Form = Form::new(b"0000-00-");
        const MINUTE: Form = Form::new(b"00T00:00");
        let (month, rest) = text.split_first_chunk()?;
        let (minute, rest) = rest.split_first_chunk()?;
        let (month, minute) = (MONTH.pairs(month)?, MINUTE.pairs(minute)?);
        let [b':', tens @ b'0'..=b'6', ones @ b'0'..=b'9', fraction @ ..] = rest else { return None };
        let millis = match *fraction {
            [b'Z'] => 0,
            [b'.', ref digits @ .., b'Z'] if matches!(digits.len(), 1..=3) && is_digits(digits) => {
                digits.iter().zip([100, 10, 1]).map(|(digit, weight)| weight * i64::from(digit - b'0')).sum()
            }
            _ => return None,
        };
        let (year, month, day) =
            (100 * i64::from(month[0]) + i64::from(month[2]), i64::from(month[5]), i64::from(minute[0]));
        let (hour, minute) = (i64::from(minute[3]), i64::from(minute[6]));
        let second = 10 * i64::from(tens - b'0') + i64::from(ones - b'0');
        // Second 60 is a leap second.
        let is_valid = (1..=12).contains(&month)
            && day >= 1
            && (day <= 28 || day <= days_in(year, month))
            && hour <= 23
            && minute <= 59
            && second <= 60;
        is_valid.then_some(Self { year, month, day, hour, minute, second, millis })
    }
}

/// Eight bytes of a form, which has a `0` for each digit. All of them are compared at once, because inputs, the host and
/// outputs do this for each finding.
struct Form {
    bytes: u64,
    /// `0x0F` for each digit.
    digits: u64,
}

impl Form {
    const fn new(form: &[u8; 8]) -> Self {
        let (mut digits, mut at) = ([0; 8], 0);
        while at < form.len() {
            digits[at] = if form[at] == b'0' { 0x0F } else { 0 };
            at += 1;
        }
        Self { bytes: u64::from_le_bytes(*form), digits: u64::from_le_bytes(digits) }
    }

    /// The number that the digits at each position and at the next one make; `None` for a text of another form.
    fn pairs(&self, text: &[u8; 8]) -> Option<[u8; 8]> {
        // 0 to 9 for each digit, 0 for each of the other bytes.
        let values = u64::from_le_bytes(*text) ^ self.bytes;
        // A value above 9 becomes larger than 0x0F by adding 6.
        let above_nine = values.wrapping_add(self.digits & 0x0606_0606_0606_0606) & (self.digits << 4);
        if (values & !self.digits) | above_nine != 0 {
            return None;
        }
        Some((10 * values + (values >> 8)).to_le_bytes())
    }
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

    /// One wrong byte at each position makes a time invalid, whatever the byte is.
    #[test]
    fn each_byte_of_a_time_has_its_form() {
        let valid = b"2011-11-11T11:11:11Z";
        for (at, byte) in (0..valid.len()).flat_map(|at| (0..=0x7F_u8).map(move |byte| (at, byte))) {
            let mut text = *valid;
            text[at] = byte;
            let is_digit = valid[at].is_ascii_digit() && byte.is_ascii_digit();
            let is_time = text == *valid || is_digit && !is_too_large(at, byte);
            let text = std::str::from_utf8(&text).unwrap();
            assert_eq!(Cell::new(text).time().is_some(), is_time, "{text}");
        }
    }

    /// Whether this digit at this position makes a month, day, hour, minute or second too large.
    fn is_too_large(at: usize, digit: u8) -> bool {
        match at {
            5 => digit > b'1',
            6 | 8 | 11 => digit > b'2',
            14 | 17 => digit > b'5',
            _ => false,
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
