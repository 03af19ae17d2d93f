//! A CSV parser, written only from RFC 4180.

use std::collections::HashMap;

/// A table with a header.
pub(crate) struct Table {
    columns: HashMap<String, usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn parse(text: &str) -> Self {
        let mut records = records(text).into_iter();
        let header = records.next().expect("a header");
        let columns =
            header.into_iter().enumerate().map(|(index, name)| (name, index)).collect::<HashMap<_, _>>();
        let rows: Vec<Vec<String>> = records.collect();
        for row in &rows {
            assert_eq!(row.len(), columns.len(), "{row:?}");
        }
        Self { columns, rows }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The values of a column, from top to bottom.
    pub(crate) fn column(&self, name: &str) -> Vec<&str> {
        let index = *self.columns.get(name).unwrap_or_else(|| panic!("no column {name}: {:?}", self.columns));
        self.rows.iter().map(|row| row[index].as_str()).collect()
    }

    /// The number of rows with this value in this column.
    pub(crate) fn count(&self, column: &str, value: &str) -> u64 {
        self.column(column).iter().filter(|cell| **cell == value).count() as u64
    }
}

fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\r' if !quoted && characters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            other => field.push(other),
        }
    }
    assert!(!quoted && field.is_empty() && record.is_empty(), "the table ends inside a record");
    records
}

#[test]
fn csv_parser_reads_quotes_commas_and_line_breaks() {
    let table = Table::parse("a,b\r\n\"x,\r\n\"\"y\"\"\",2\r\n,\r\n");
    assert_eq!(table.column("a"), ["x,\r\n\"y\"", ""]);
    assert_eq!(table.column("b"), ["2", ""]);
}
