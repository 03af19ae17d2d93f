//! The values of a finding under one name each, codes and cells alike, for outputs that print them.

use super::columns::Columns;
use super::schema::Column;
use super::view::FindingView;
use crate::model::FindingField;

/// One value of a finding: a code, or a column of the batch's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingColumn {
    /// The word of the kind.
    Kind,
    /// The severity, `1` to `5`.
    Severity,
    /// The port, `1` to `65535`.
    Port,
    /// The name of the transport protocol.
    Protocol,
    /// Whether the service was reached over TLS: `0` or `1`.
    Ssl,
    /// The word of the status.
    Status,
    /// The cell of this column.
    Cell(usize),
}

impl Columns {
    /// All values of a finding with their names, in the order in which they are printed: the codes, and the columns of
    /// the schema.
    #[must_use]
    pub fn finding_columns(&self) -> Vec<(&str, FindingColumn)> {
        let mut columns = vec![
            ("kind", FindingColumn::Kind),
            ("severity", FindingColumn::Severity),
            ("port", FindingColumn::Port),
        ];
        let add_codes = |columns: &mut Vec<_>, before: Option<usize>| {
            for (name, column, follower) in CODES {
                let is_due = before.is_none_or(|column| self.finding(follower) == Some(column));
                if is_due && columns.iter().all(|(known, _)| *known != name) {
                    columns.push((name, column));
                }
            }
        };
        for (index, Column { name, .. }) in self.schema().findings.iter().enumerate() {
            add_codes(&mut columns, Some(index));
            // The protocol is a code with a name in the cell, if it has no number.
            if self.finding(FindingField::Protocol) != Some(index) {
                columns.push((name, FindingColumn::Cell(index)));
            }
        }
        add_codes(&mut columns, None);
        columns
    }

    /// The value of a finding with this name; none when it is neither a code nor a column of the schema.
    #[must_use]
    pub fn finding_column(&self, name: &str) -> Option<FindingColumn> {
        self.finding_columns().into_iter().find(|(known, _)| *known == name).map(|(_, column)| column)
    }
}

/// Codes that are printed between columns, each with the column that follows it.
const CODES: [(&str, FindingColumn, FindingField); 3] = [
    ("protocol", FindingColumn::Protocol, FindingField::Protocol),
    ("ssl", FindingColumn::Ssl, FindingField::Instance),
    ("status", FindingColumn::Status, FindingField::FirstFound),
];

impl<'a> FindingView<'a> {
    /// The text of a value; empty if the scanner did not report it. `scratch` is used for numbers.
    #[must_use]
    #[inline]
    pub fn printed<'s>(&self, column: FindingColumn, scratch: &'s mut String) -> &'s str
    where
        'a: 's,
    {
        match column {
            FindingColumn::Kind => self.kind().word(),
            FindingColumn::Severity => self.severity().map_or("", |severity| severity.word()),
            FindingColumn::Port => match self.port() {
                Some(port) => digits(port, scratch),
                None => "",
            },
            FindingColumn::Protocol => self.protocol().map_or("", |protocol| protocol.name()),
            FindingColumn::Ssl => match self.ssl() {
                Some(true) => "1",
                Some(false) => "0",
                None => "",
            },
            FindingColumn::Status => self.status().map_or("", |status| status.word()),
            FindingColumn::Cell(column) => self.column(Some(column)),
        }
    }
}

/// Writes a number without the cost of the formatter: it is done for each finding.
fn digits(mut number: u16, scratch: &mut String) -> &str {
    let mut bytes = [0; 5];
    let mut start = bytes.len();
    while number > 0 || start == bytes.len() {
        start -= 1;
        bytes[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    scratch.clear();
    scratch.extend(bytes[start..].iter().map(|digit| char::from(*digit)));
    scratch
}
