//! Forms of cells: times, flags, numbers and scores, in the spelling of the model.

use std::fmt::Write;

use jiff::Timestamp;
use scanbridge_plugin_api::batch::{Cell, ColumnType};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field, FindingField};

/// The form of a cell that is not any text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// RFC 3339, or a date with or without a time in UTC.
    Time,
    /// `1` or `0`; also `true`, `yes`, `y` and their opposites.
    Flag,
    /// An integer in these bounds.
    Integer(u32, u32),
    /// A decimal number in these bounds.
    Decimal(u32, u32),
    /// A CVSS score from 0 to 10, which a vector in parentheses may follow.
    Score,
}

/// Fields whose cells have a form.
pub(crate) trait Formed: Field {
    /// The form of the field's cells; none for any text.
    fn form(self) -> Option<Form>;
}

impl Formed for AssetField {
    fn form(self) -> Option<Form> {
        match self {
            Self::RiskScore => Some(Form::Integer(0, 1000)),
            Self::Criticality => Some(Form::Integer(1, 5)),
            _ => form_of_type(self.column_type()),
        }
    }
}

impl Formed for DefinitionField {
    fn form(self) -> Option<Form> {
        use DefinitionField::{Cvss3Base, Cvss3Temporal, Cvss4Base, CvssBase, CvssTemporal, Severity};
        match self {
            CvssBase | CvssTemporal | Cvss3Base | Cvss3Temporal | Cvss4Base => Some(Form::Score),
            Severity => Some(Form::Integer(1, 5)),
            _ => form_of_type(self.column_type()),
        }
    }
}

impl Formed for FindingField {
    fn form(self) -> Option<Form> {
        match self {
            Self::CvssFinal | Self::Cvss3Final => Some(Form::Score),
            Self::DetectionScore => Some(Form::Integer(0, 100)),
            Self::Epss => Some(Form::Decimal(0, 1)),
            _ => form_of_type(self.column_type()),
        }
    }
}

#[inline]
fn form_of_type(column_type: ColumnType) -> Option<Form> {
    match column_type {
        ColumnType::Time => Some(Form::Time),
        ColumnType::Flag => Some(Form::Flag),
        ColumnType::Integer => Some(Form::Integer(0, u32::MAX)),
        ColumnType::Decimal => Some(Form::Decimal(0, u32::MAX)),
        _ => None,
    }
}

/// Whether the text means that there is no value.
pub(crate) fn is_placeholder(text: &str) -> bool {
    matches!(text.len(), 0 | 1 | 3) && matches!(text, "" | "-" | "N/A")
}

/// As [`str::trim`]. Nearly all texts begin and end with printable ASCII.
#[inline]
pub(crate) fn trim(text: &str) -> &str {
    let is_kept = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    let bytes = text.as_bytes();
    if is_kept(bytes.first()) && is_kept(bytes.last()) { text } else { text.trim() }
}

impl Form {
    /// The value in the spelling of the model: empty if the text means that there is none, `None` if it is not of this
    /// form. `scratch` is used if the spelling differs. A score is without its vector.
    pub(crate) fn of<'a>(self, text: &'a str, scratch: &'a mut String) -> Option<&'a str> {
        let text = trim(text);
        if is_placeholder(text) || text.eq_ignore_ascii_case("null") {
            return Some("");
        }
        match self {
            Self::Time => time(text, scratch),
            Self::Flag => flag(text).map(|flag| if flag { "1" } else { "0" }),
            Self::Integer(min, max) => {
                let number = integer(text).filter(|number| (min..=max).contains(number))?;
                if text.len() > 1 && text.starts_with('0') {
                    scratch.clear();
                    let _ = write!(scratch, "{number}");
                    return Some(scratch);
                }
                Some(text)
            }
            Self::Decimal(min, max) => decimal(text, min, max).then_some(text),
            Self::Score => {
                let (number, _) = split_score(text);
                is_score(number).then_some(number)
            }
        }
    }
}

/// The number and the vector of `9.3 (AV:N/AC:M/…)`.
pub(crate) fn split_score(text: &str) -> (&str, &str) {
    let text = trim(text);
    match text.split_once('(').map(|(number, rest)| (number.trim_end(), rest.strip_suffix(')'))) {
        Some((number, Some(vector))) => (number, vector.trim()),
        _ => (text, ""),
    }
}

/// Whether the text is a score as nearly all reports write it: `9.3`.
#[inline]
pub(crate) fn is_usual_score(text: &str) -> bool {
    matches!(text.as_bytes(), [b'0'..=b'9', b'.', b'0'..=b'9'])
}

/// Whether the text is a decimal number from 0 to 10.
pub(crate) fn is_score(number: &str) -> bool {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let has_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_in_range = match whole.trim_start_matches('0').as_bytes() {
        [] | [_] => true,
        b"10" => fraction.bytes().all(|byte| byte == b'0'),
        _ => false,
    };
    is_in_range && has_digits(whole) && has_digits(fraction)
}

/// 1, true, yes, y; 0, false, no, n. The case does not matter.
pub(crate) fn flag(text: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(["1", "true", "yes", "y"]) {
        Some(true)
    } else {
        is_one_of(["0", "false", "no", "n"]).then_some(false)
    }
}

/// Digits only: `parse` would accept a sign.
pub(crate) fn integer(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn decimal(text: &str, min: u32, max: u32) -> bool {
    let value = Cell::new(text).decimal();
    value.is_some_and(|value| (f64::from(min)..=f64::from(max)).contains(&value))
}

/// A number of seconds, written as such or as `hh:mm:ss`. Hours may have more than two digits.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let text = trim(text);
    if let Some(seconds) = integer(text) {
        return Some(seconds.into());
    }
    let (hours, rest) = text.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':')?;
    let part = |text: &str| integer(text).filter(|_| text.len() == 2).filter(|number| *number < 60);
    let hours = u64::from(integer(hours)?);
    Some(hours * 3600 + u64::from(part(minutes)?) * 60 + u64::from(part(seconds)?))
}

/// A time from 1970 to 9999, in UTC.
pub(crate) fn time<'a>(text: &'a str, scratch: &'a mut String) -> Option<&'a str> {
    if !text.is_empty() && Cell::new(text).has_type(ColumnType::Time) {
        return (text >= "1970").then_some(text);
    }
    other_time(text, scratch)
}

/// A time in another spelling. Qualys writes the usual one nearly everywhere.
#[cold]
fn other_time<'a>(text: &str, scratch: &'a mut String) -> Option<&'a str> {
    if !text.is_ascii() || text.len() < 10 {
        return None;
    }
    let (date, clock) = text.split_at(10);
    let clock = clock.trim_start_matches(['T', 't', ' ']);
    let clock = if clock.is_empty() { "00:00:00" } else { clock };
    let has_zone = clock.ends_with(['Z', 'z']) || clock.contains(['+', '-']);
    let zone = if has_zone { "" } else { "Z" };
    let time: Timestamp = format!("{date}T{clock}{zone}").parse().ok()?;
    if time < Timestamp::UNIX_EPOCH {
        return None;
    }
    scratch.clear();
    write!(scratch, "{}", time.strftime("%Y-%m-%dT%H:%M:%SZ")).ok()?;
    Some(scratch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(form: Form, text: &str) -> Option<String> {
        form.of(text, &mut String::new()).map(str::to_owned)
    }

    #[test]
    fn values_have_the_spelling_of_the_model() {
        let count = Form::Integer(0, u32::MAX);
        for (form, text, expected) in [
            (Form::Time, "2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            (Form::Time, " 2026-01-31 ", "2026-01-31T00:00:00Z"),
            (Form::Time, "2026-01-31 23:59:58", "2026-01-31T23:59:58Z"),
            (Form::Time, "2026-01-31T23:30:00-02:00", "2026-02-01T01:30:00Z"),
            (Form::Time, "2026-01-31t12:00:00z", "2026-01-31T12:00:00Z"),
            (Form::Time, "9999-12-31T00:00:00Z", "9999-12-31T00:00:00Z"),
            (Form::Time, "N/A", ""),
            (Form::Time, "null", ""),
            (Form::Flag, "TRUE", "1"),
            (Form::Flag, "n", "0"),
            (Form::Flag, "-", ""),
            (count, "007", "7"),
            (count, "0", "0"),
            (count, "4294967295", "4294967295"),
            (Form::Integer(1, 5), "5", "5"),
            (Form::Decimal(0, 1), "0.97", "0.97"),
            (Form::Decimal(0, 1), "1.0", "1.0"),
            (Form::Score, "-", ""),
            (Form::Score, "10.0", "10.0"),
            (Form::Score, "9.3 (AV:N/AC:M)", "9.3"),
            (Form::Score, "9.3(AV:N)", "9.3"),
        ] {
            assert_eq!(of(form, text).as_deref(), Some(expected), "{form:?} {text}");
        }
        for (form, text) in [
            (Form::Time, "1969-12-31T23:59:59Z"),
            (Form::Time, "2026-02-30"),
            (Form::Time, "yesterday"),
            (Form::Time, "2026-01-31T25:00:00Z"),
            (Form::Time, "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"),
            (Form::Flag, "2"),
            (Form::Flag, "maybe"),
            (count, "-1"),
            (count, "+1"),
            (count, "4294967296"),
            (Form::Integer(1, 5), "0"),
            (Form::Integer(1, 5), "6"),
            (Form::Decimal(0, 1), "1.1"),
            (Form::Decimal(0, 1), "1e-3"),
            (Form::Score, "10.1"),
            (Form::Score, "high"),
            (Form::Score, "(AV:N)"),
        ] {
            assert_eq!(of(form, text), None, "{form:?} {text}");
        }
    }

    #[test]
    fn scores_are_split_from_their_vectors() {
        assert_eq!(split_score("9.3 (AV:N/AC:M)"), ("9.3", "AV:N/AC:M"));
        assert_eq!(split_score(" 9.3 "), ("9.3", ""));
        assert_eq!(split_score("9.3 (AV:N"), ("9.3 (AV:N", ""));
    }

    #[test]
    fn durations_are_seconds() {
        for (text, expected) in [("00:01:30", Some(90)), ("123:00:01", Some(442_801)), ("90", Some(90))] {
            assert_eq!(seconds(text), expected);
        }
        for text in ["", "1:30", "00:60:00", "a:00:00", "-1:00:00", "00:1:00"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
