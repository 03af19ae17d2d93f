//! Truncates the texts of an event until it fits the maximum message size.
//!
//! Receivers truncate, split or duplicate messages that are too long for them. An event that we truncate
//! stays well-formed and lists its truncated fields.

use crate::escape;
use crate::field::{Field, TruncatedFields};

/// Truncates the texts of a finished line until it has at most `budget` bytes including the field that lists
/// the truncated texts, and adds them to `truncated`. That field itself is appended later. The additional fields are
/// the last `additional` bytes of the line.
///
/// First it truncates each text in turn, no more than needed and to no less than [`FLOOR`] bytes; of the additional
/// fields it removes the last ones. If that is not enough, it removes texts in the same order, with their labels. The
/// identifying fields are never changed, so a line may remain too long; then it returns false.
pub(crate) fn shorten(
    line: &mut Vec<u8>,
    additional: usize,
    budget: usize,
    truncated: &mut TruncatedFields,
) -> bool {
    let Some(header) = header_end(line) else { return length(line, *truncated) <= budget };
    let mut additional = additional;
    for shorten_field in [truncate_text, remove] {
        for field in ORDER {
            if length(line, *truncated) <= budget {
                return true;
            }
            if field == Field::Additional {
                let start = line.len() - additional;
                while line.len() > start && length(line, *truncated) > budget {
                    remove_last_key(line, start, truncated);
                }
                additional = line.len() - start;
            } else if let Some(span) = find(line, header, field) {
                shorten_field(line, budget, truncated, &span);
            }
        }
    }
    length(line, *truncated) <= budget
}

/// Removes the last of the additional fields, which begin at `start`. Each ends with a space.
pub(crate) fn remove_last_key(line: &mut Vec<u8>, start: usize, truncated: &mut TruncatedFields) {
    truncated.insert(Field::Additional);
    // A key is the word before an `=` without a backslash before it.
    let keys = memchr::memrchr_iter(b'=', &line[start..]).map(|at| start + at);
    let mut keys = keys.filter(|equals| {
        line[start..*equals].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    });
    let end = keys.next().map_or(start, |equals| {
        line[start..equals].iter().rposition(|byte| *byte == b' ').map_or(start, |space| start + space + 1)
    });
    line.truncate(end);
}

/// Minimum length of a truncated text in bytes.
const FLOOR: usize = 64;

/// The order of truncation; exploit descriptions are under one of two keys.
const ORDER: [Field; 9] = [
    Field::Solution,
    Field::Consequence,
    Field::Diagnosis,
    Field::Additional,
    Field::DottedExploits,
    Field::CustomExploits,
    Field::Result,
    Field::Cves,
    Field::Message,
];

/// Position of a field in the line.
struct FieldSpan {
    field: Field,
    /// The first byte of its label or key.
    start: usize,
    value: usize,
    /// Offset after the last byte of the value.
    end: usize,
}

fn truncate_text(line: &mut Vec<u8>, budget: usize, truncated: &mut TruncatedFields, span: &FieldSpan) {
    let value_length = span.end - span.value;
    if value_length <= FLOOR {
        return;
    }
    truncated.insert(span.field);
    let excess = length(line, *truncated) - budget.min(length(line, *truncated));
    let keep = value_length.saturating_sub(excess).max(FLOOR);
    if keep == value_length {
        return; // The text fits; only the list of truncated fields grew.
    }
    let end = escape::truncation_end(line, span.value, keep);
    let mark = escape::TRUNCATION_MARK;
    line[end..end + mark.len()].copy_from_slice(mark);
    line.drain(end + mark.len()..span.end);
}

fn remove(line: &mut Vec<u8>, _budget: usize, truncated: &mut TruncatedFields, span: &FieldSpan) {
    truncated.insert(span.field);
    line.drain(span.start..(span.end + 1).min(line.len()));
}

/// The length including the list of truncated fields, without the space after the last field, which is
/// removed later.
fn length(line: &[u8], truncated: TruncatedFields) -> usize {
    line.len() + truncated.written_length() - usize::from(line.ends_with(b" ") || !truncated.is_empty())
}

/// Offset after the header, which ends with the seventh unescaped `|`.
fn header_end(line: &[u8]) -> Option<usize> {
    let mut separators = 0;
    let mut escaped = false;
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'|' => {
                separators += 1;
                if separators == 7 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Finds a field. Its key cannot occur inside a value, because each `=` in a value is escaped.
fn find(line: &[u8], header: usize, field: Field) -> Option<FieldSpan> {
    let opening = field.opening().as_bytes();
    let before_value = memchr::memmem::find_iter(&line[header..], opening)
        .map(|at| header + at)
        .find(|at| *at == header || line[at - 1] == b' ')?;
    let value = before_value + opening.len();
    Some(FieldSpan { field, start: before_value, value, end: value_end(line, value) })
}

/// End of a value: the space before the next key, or the end of the line.
fn value_end(line: &[u8], value: usize) -> usize {
    let mut from = value;
    while let Some(equals) = memchr::memchr(b'=', &line[from..]).map(|at| from + at) {
        let key = line[value..equals].iter().rposition(|byte| *byte == b' ').map(|at| value + at);
        let escaped = line[value..equals].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        match key {
            Some(space) if !escaped => return space,
            _ => from = equals + 1,
        }
    }
    line.len() - usize::from(line.ends_with(b" "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = r"CEF:0|Qualys|Qualys|1|Qualys\|VULN\|7|a cs5Label=Solution cs5=b|7|";

    /// A line as the encoder writes it, with these texts.
    fn line_of(texts: &[(Field, &str)]) -> Vec<u8> {
        let mut line = format!("{HEADER}rt=1 dst=192.0.2.1 ").into_bytes();
        for (field, text) in texts {
            crate::field::append(&mut line, &mut TruncatedFields::default(), *field, text);
        }
        line
    }

    fn shortened(texts: &[(Field, &str)], budget: usize) -> (String, bool) {
        let (mut line, mut truncated) = (line_of(texts), TruncatedFields::default());
        let fits = shorten(&mut line, 0, budget, &mut truncated);
        truncated.append_to(&mut line);
        if line.ends_with(b" ") {
            line.pop();
        }
        (String::from_utf8(line).unwrap(), fits)
    }

    #[test]
    fn line_within_the_budget_is_unchanged() {
        let complete = format!("{HEADER}rt=1 dst=192.0.2.1 cs5Label=Solution cs5=patch it");
        assert_eq!(shortened(&[(Field::Solution, "patch it")], complete.len()), (complete.clone(), true));
        assert_ne!(shortened(&[(Field::Solution, &"x".repeat(99))], complete.len()).0, complete);
    }

    #[test]
    fn solution_is_truncated_before_the_result() {
        let (result, solution) = ("r".repeat(300), "s".repeat(300));
        let texts = [(Field::Result, result.as_str()), (Field::Solution, &solution)];
        let (line, fits) = shortened(&texts, 700);
        assert!(fits && line.len() == 700, "{}", line.len());
        assert!(line.contains(&format!("cs1={result} ")) && line.ends_with("s... ScanbridgeTruncated=cs5"));
    }

    #[test]
    fn text_below_the_minimum_is_removed_with_its_label() {
        let (result, solution) = ("r".repeat(300), "s".repeat(300));
        let texts = [(Field::Result, result.as_str()), (Field::Solution, &solution)];
        let (line, fits) = shortened(&texts, 230);
        assert!(fits && line.len() <= 230);
        assert!(
            !line.contains("cs5Label=Solution cs5=s") && line.ends_with("ScanbridgeTruncated=cs1,cs5"),
            "{line}"
        );
        let (line, fits) = shortened(&texts, 90);
        assert!(!fits && line.contains("rt=1 dst=192.0.2.1 "), "{line}");
    }

    #[test]
    fn additional_fields_are_removed_from_the_end() {
        let keys = ["AssetOwner", "AssetComments", "FindingTicket"];
        let keys = keys.map(|key| format!("ad.{key}={} ", r"a\=b \\".repeat(20)));
        let additional = keys.concat();
        let texts = [
            (Field::Message, "title"),
            (Field::Result, &"r".repeat(200)),
            (Field::Diagnosis, &"d".repeat(64)),
        ];
        let mut complete = line_of(&texts);
        complete.extend_from_slice(additional.as_bytes());
        for kept in 0..3 {
            let (mut line, mut truncated) = (complete.clone(), TruncatedFields::default());
            // The key that lists the fields needs space too.
            let removed = keys[kept..].concat().len() - "ScanbridgeTruncated=additionalFields,".len();
            assert!(shorten(&mut line, additional.len(), complete.len() - removed, &mut truncated));
            truncated.append_to(&mut line);
            let line = String::from_utf8(line).unwrap();
            let end = format!(" {}ScanbridgeTruncated=additionalFields ", keys[..kept].concat());
            assert!(line.ends_with(&end), "{line}");
            assert!(line.contains(&"r".repeat(200)) && line.contains("msg=title "), "{line}");
        }
    }

    #[test]
    fn title_is_shortened_last() {
        let texts = [
            (Field::Message, "t".repeat(200)),
            (Field::Cves, "c".repeat(200)),
            (Field::Result, "r".repeat(200)),
        ];
        let texts = texts.each_ref().map(|(field, text)| (*field, text.as_str()));
        let (line, fits) = shortened(&texts, 490);
        assert!(fits && line.contains(&format!("msg={} ", "t".repeat(200))), "{line}");
        assert!(line.ends_with(" ScanbridgeTruncated=cs2,cs1"), "{line}");
        let (line, fits) = shortened(&texts, 250);
        assert!(fits && line.contains("t... ScanbridgeTruncated=msg,cs2,cs1"), "{line}");
    }

    proptest! {
        #[test]
        fn line_fits_the_budget_and_stays_well_formed(
            result in "[ -~é=|\\\\]{0,400}", solution in "[ =\\\\a𝄞]{0,400}", cves in "[A-Z,0-9-]{0,200}",
            budget in 160_usize..1500,
        ) {
            let texts = [(Field::Cves, cves.as_str()), (Field::Result, &result), (Field::Solution, &solution)];
            let (line, fits) = shortened(&texts, budget);
            prop_assert!(fits && line.len() <= budget, "{} of {}", line.len(), budget);
            // The header and the identifying fields are unchanged.
            let prefix = [HEADER, "rt=1 dst=192.0.2.1"].concat();
            prop_assert!(line.starts_with(&prefix));
            // No escape is split: a backslash is followed by one of three characters.
            let mut chars = line[HEADER.len()..].chars();
            let mut keys = Vec::new();
            let mut word = String::new();
            while let Some(char) = chars.next() {
                match char {
                    '\\' => prop_assert!(matches!(chars.next(), Some('\\' | '=' | 'n'))),
                    '=' => keys.push(std::mem::take(&mut word)),
                    ' ' => word.clear(),
                    other => word.push(other),
                }
            }
            let expected = ["rt", "dst", "cs2Label", "cs2", "cs1Label", "cs1", "cs5Label", "cs5", "ScanbridgeTruncated"];
            prop_assert!(keys.iter().all(|key| expected.contains(&key.as_str())), "{keys:?}");
            let distinct: std::collections::HashSet<_> = keys.iter().collect();
            prop_assert_eq!(distinct.len(), keys.len());
        }
    }
}
