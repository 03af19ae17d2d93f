//! What the model has no field for: unknown elements and attributes, and texts that do not have the form of their field.
//! They are passed on with their row, or with the details of the report, within limits.

use scanbridge_plugin_api::batch::Row;
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field, FindingField};

/// The row, or the report, that a text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Asset,
    Definition,
    Finding,
    Report,
}

/// A text that is passed on.
#[derive(Debug)]
pub(crate) struct Extra {
    pub(crate) table: Table,
    pub(crate) place: Place,
    pub(crate) text: String,
    /// The field whose form the text does not have; none for an unknown element or attribute.
    pub(crate) field: Option<&'static str>,
    /// Whether the text is passed on without being counted: a second value for a cell.
    pub(crate) is_second: bool,
}

/// The path of a text, relative to the element of its row.
#[derive(Debug)]
pub(crate) enum Place {
    /// The complete path.
    At(String),
    /// An attribute of the element that was just opened.
    Attribute(String),
    /// The element that was just closed, and something after its name.
    Closed(&'static str),
    /// The element around the one that was just opened.
    Around,
}

/// Maximum number of items of a row.
pub(crate) const MAX_ITEMS: usize = 64;
/// Maximum length of a value, in bytes.
const MAX_VALUE: usize = 4 << 10;
/// Maximum length of a path, in bytes.
const MAX_PATH: usize = 128;
/// Maximum number of elements of a path.
const MAX_DEPTH: usize = 8;
/// Maximum length of all items of a row, in bytes.
const MAX_BYTES: usize = 16 << 10;

/// What a row has received.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Budget {
    items: usize,
    bytes: usize,
}

impl Budget {
    /// Appends an item to the column. Returns false if the limits of the row do not allow it.
    pub(crate) fn add<F: Field>(&mut self, row: &mut Row<F>, column: F, path: &str, text: &str) -> bool {
        let Some((path, value)) = within_limits(path, text) else { return false };
        let bytes = path.len() + value.len() + 2;
        if self.items >= MAX_ITEMS || self.bytes + bytes > MAX_BYTES {
            return false;
        }
        self.items += 1;
        self.bytes += bytes;
        row.append_item(column, path);
        row.append(column, "\t");
        row.append(column, &value);
        true
    }
}

/// Path and value of an item, if the path is within the limits. The value is on one line and truncated.
pub(crate) fn within_limits<'a>(path: &'a str, text: &str) -> Option<(&'a str, String)> {
    if path.len() > MAX_PATH || path.split('/').count() > MAX_DEPTH {
        return None;
    }
    let mut value = String::new();
    for word in text.split_whitespace() {
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str(word);
        if value.len() > MAX_VALUE {
            break;
        }
    }
    if value.len() > MAX_VALUE {
        value.truncate(value.floor_char_boundary(MAX_VALUE - CUT.len()));
        value.push_str(CUT);
    }
    Some((path, value))
}

/// The end of a value that was truncated.
const CUT: &str = "...";

/// The column of a table.
pub(crate) const ASSET: AssetField = AssetField::Other;
pub(crate) const DEFINITION: DefinitionField = DefinitionField::Other;
pub(crate) const FINDING: FindingField = FindingField::Other;

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::batch::FindingRow;
    use scanbridge_plugin_api::model::list_items;

    use super::*;

    #[test]
    fn limits_of_a_row() {
        let mut row = FindingRow::default();
        let mut budget = Budget::default();
        assert!(budget.add(&mut row, FINDING, "A/B@c", " x\ty\n z "));
        assert!(!budget.add(&mut row, FINDING, &"A".repeat(129), "x"));
        assert!(!budget.add(&mut row, FINDING, "A/B/C/D/E/F/G/H/I", "x"));
        assert!(budget.add(&mut row, FINDING, "A", &"\u{e9}".repeat(5_000)));
        let items: Vec<&str> = list_items(row.get(FINDING)).collect();
        assert_eq!(items[0], "A/B@c\tx y z");
        assert!(items[1].ends_with("\u{e9}...") && items[1].len() <= MAX_VALUE + 2, "{}", items[1].len());
        while budget.add(&mut row, FINDING, "B", "x") {}
        assert_eq!(list_items(row.get(FINDING)).count(), MAX_ITEMS);
        let mut budget = Budget::default();
        let mut row = FindingRow::default();
        while budget.add(&mut row, FINDING, "B", &"x".repeat(4_000)) {}
        assert!(row.cell_len(FINDING) <= MAX_BYTES, "{}", row.cell_len(FINDING));
    }
}
