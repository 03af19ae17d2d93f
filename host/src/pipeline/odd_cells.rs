//! Cells that are not of the form of their column: times, scores, CVE lists, and columns with a type of an input.

use std::collections::BTreeMap;
use std::fmt;

use scanbridge_plugin_api::batch::{Cell, Column, DefinitionView, FindingView};
use scanbridge_plugin_api::model::{DefinitionField, FindingField, list_items};
use serde::{Serialize, Serializer};

/// Cells that are not of the form of their column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OddCells {
    /// Columns of text whose cells must have a form, in the order of [`OddCells::COLUMNS`].
    texts: [u64; OddCells::COLUMNS.len()],
    /// Columns that have a type, by name.
    typed: BTreeMap<String, u64>,
}

impl OddCells {
    const COLUMNS: [&'static str; 8] = [
        "definition.cvss_base",
        "definition.cvss_temporal",
        "definition.cvss3_base",
        "definition.cvss3_temporal",
        "definition.cves",
        "finding.cvss_final",
        "finding.cvss3_final",
        "finding.cves",
    ];

    /// Checks texts of a definition.
    pub(super) fn of_definition(&mut self, definition: &DefinitionView<'_>) {
        use DefinitionField::{Cves, Cvss3Base, Cvss3Temporal, CvssBase, CvssTemporal};
        for (index, field) in [CvssBase, CvssTemporal, Cvss3Base, Cvss3Temporal].into_iter().enumerate() {
            self.check(index, definition.get(field), is_score);
        }
        self.check(4, definition.get(Cves), |list| list_items(list).all(is_cve));
    }

    /// Checks texts of a finding.
    pub(super) fn of_finding(&mut self, finding: &FindingView<'_>) {
        use FindingField::{Cves, Cvss3Final, CvssFinal};
        for (index, field) in (5..).zip([CvssFinal, Cvss3Final]) {
            self.check(index, finding.get(field), is_score);
        }
        self.check(7, finding.get(Cves), |list| list_items(list).all(is_cve));
    }

    fn check(&mut self, index: usize, text: &str, is_valid: impl Fn(&str) -> bool) {
        if !text.is_empty() && !is_valid(text) {
            self.texts[index] += 1;
        }
    }

    /// Checks the cells of the columns of a table that have a type: `columns` are these, with their positions.
    pub(super) fn check_typed<'a>(
        &mut self,
        table: &str,
        columns: &[(usize, &Column)],
        cell: impl Fn(Option<usize>) -> &'a str,
    ) {
        for (index, column) in columns {
            let cell = cell(Some(*index));
            if !cell.is_empty() && !Cell::new(cell).has_type(column.column_type) {
                match column.is_own() {
                    true => self.add_typed(&column.name, 1),
                    false => self.add_typed(&format!("{table}.{}", column.name), 1),
                }
            }
        }
    }

    fn add_typed(&mut self, name: &str, count: u64) {
        match self.typed.get_mut(name) {
            Some(sum) => *sum += count,
            None => drop(self.typed.insert(name.to_owned(), count)),
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (sum, count) in self.texts.iter_mut().zip(other.texts) {
            *sum += count;
        }
        for (name, count) in &other.typed {
            self.add_typed(name, *count);
        }
    }

    /// Number of such cells.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.texts.iter().chain(self.typed.values()).sum()
    }

    fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        let texts = Self::COLUMNS.into_iter().zip(self.texts).filter(|(_, count)| *count > 0);
        texts.chain(self.typed.iter().map(|(name, count)| (name.as_str(), *count)))
    }
}

impl fmt::Display for OddCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_counts(f, self.counts(), ", ")
    }
}

impl Serialize for OddCells {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.counts())
    }
}

/// A time in UTC: `2026-01-31T12:00:00Z`, with or without a fraction of up to three digits.
pub(crate) fn is_time(text: &str) -> bool {
    Cell::new(text).time().is_some()
}

/// A decimal number, which a vector in parentheses may follow: `9.3 (AV:N/AC:M/Au:N/C:C/I:C/A:C)`.
fn is_score(text: &str) -> bool {
    let (number, vector) = text.split_once(' ').map_or((text, ""), |(number, rest)| (number, rest.trim()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = [whole, fraction]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    is_number && (vector.is_empty() || vector.starts_with('(') && vector.ends_with(')'))
}

/// `CVE-2014-0160`: a year of four digits and a number of at least four.
fn is_cve(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.strip_prefix("CVE-").and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(year, number)| year.len() == 4 && number.len() >= 4 && digits(year) && digits(number))
}

/// Shows counts by name.
pub(super) fn fmt_counts<'a>(
    f: &mut fmt::Formatter<'_>,
    counts: impl Iterator<Item = (&'a str, u64)>,
    separator: &str,
) -> fmt::Result {
    for (index, (name, count)) in counts.enumerate() {
        let gap = if index == 0 { "" } else { separator };
        write!(f, "{gap}{name}: {count}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_cells() {
        for good in ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.1Z", "2026-01-31T12:00:00.123Z"] {
            assert!(is_time(good), "{good}");
        }
        for bad in ["2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00.Z", "é"]
        {
            assert!(!is_time(bad), "{bad}");
        }
        assert!(["9", "9.3", "10.0", "9.3 (AV:N/AC:M)"].into_iter().all(is_score));
        assert!(!["-", "9.", ".3", "9,3", "high", "9.3 x"].into_iter().any(is_score));
        assert!(is_cve("CVE-2014-0160") && is_cve("CVE-2021-44228"));
        assert!(!["cve-2014-0160", "CVE-2014-016", "2014-0160", "CVE-x014-0160"].into_iter().any(is_cve));
    }
}
