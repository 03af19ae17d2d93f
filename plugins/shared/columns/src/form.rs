//! The form of the values of a column.

use scanbridge_plugin_api::batch::{Cell, Column, ColumnType};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, Field, FindingField};

use crate::table::Table;

/// The form of the values of a column. It is derived from the model, or from the schema of the report for a column that
/// the model does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellForm {
    /// Any text, also a time.
    Text,
    /// A whole number.
    Integer,
    /// A decimal number.
    Decimal,
    /// A decimal number in a column of text: some inputs leave a vector after it (`9.3 (AV:N/AC:M/…)`).
    Score,
    /// `1` or `0`.
    Flag,
    /// A list of texts.
    List,
    /// A list of objects with these parts, which are separated by tabs.
    Objects(&'static [&'static str]),
    /// A list of [`Fact`](scanbridge_plugin_api::model::Fact) lines.
    Facts,
}

impl CellForm {
    /// The form of a column of the schema.
    #[must_use]
    pub fn of(table: Table, column: &Column) -> Self {
        let name = column.name.as_str();
        let known = match table {
            Table::Asset => of_field::<AssetField>(name),
            Table::Definition => of_field::<DefinitionField>(name),
            Table::Finding => of_field::<FindingField>(name),
            Table::Report | Table::Connector => None,
        };
        known.unwrap_or_else(|| Self::of_type(column.column_type))
    }

    /// The form of a value of a finding that is a code.
    #[must_use]
    pub fn of_code(name: &str) -> Self {
        match name {
            "severity" | "port" => Self::Integer,
            "ssl" => Self::Flag,
            _ => Self::Text,
        }
    }

    fn of_type(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Integer => Self::Integer,
            ColumnType::Decimal => Self::Decimal,
            ColumnType::Flag => Self::Flag,
            ColumnType::List => Self::List,
            _ => Self::Text,
        }
    }

    /// The value in a cell: the cell itself, a number without what follows it and without leading zeros. Empty when a
    /// number or a flag was announced and the cell has none.
    #[must_use]
    pub fn value(self, cell: &str) -> &str {
        let is_valid = |text: &str| match self {
            Self::Integer => Cell::new(text).integer().is_some(),
            Self::Decimal | Self::Score => Cell::new(text).decimal().is_some(),
            Self::Flag => Cell::new(text).flag().is_some(),
            Self::Text | Self::List | Self::Objects(_) | Self::Facts => true,
        };
        match self {
            _ if cell.is_empty() => "",
            Self::Integer | Self::Decimal if is_valid(cell) => plain_number(cell),
            Self::Score => {
                let number = cell.split([' ', '(', '\t', '\n']).next().unwrap_or_default();
                if is_valid(number) { plain_number(number) } else { "" }
            }
            _ if is_valid(cell) => cell,
            _ => "",
        }
    }

    /// Whether the cell has one item per line.
    #[must_use]
    pub fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Objects(_) | Self::Facts)
    }
}

fn of_field<F: Field>(name: &str) -> Option<CellForm> {
    let field = F::ALL[F::NAMES.iter().position(|known| *known == name)?];
    Some(match (field.column_type(), field.parts()) {
        _ if SCORES.contains(&name) => CellForm::Score,
        (ColumnType::List, []) if name == FACTS => CellForm::Facts,
        (ColumnType::List, parts @ [_, ..]) => CellForm::Objects(parts),
        (column_type, _) => CellForm::of_type(column_type),
    })
}

/// Columns of text in the frozen model that hold decimal numbers.
const SCORES: [&str; 6] =
    ["cvss_base", "cvss_temporal", "cvss3_base", "cvss3_temporal", "cvss_final", "cvss3_final"];

/// The column of facts. Its items have parts that depend on the kind of fact.
const FACTS: &str = "facts";

/// The number without leading zeros, which JSON does not allow. Empty for a negative number that has them.
fn plain_number(number: &str) -> &str {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let whole = digits.split('.').next().unwrap_or_default();
    let zeros = whole.bytes().take(whole.len().saturating_sub(1)).take_while(|byte| *byte == b'0').count();
    match zeros {
        0 => number,
        _ if digits.len() < number.len() => "",
        _ => &digits[zeros..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_follow_the_model() {
        let form = |table, name: &str| CellForm::of(table, &Column::new(name, ColumnType::Text, ""));
        assert_eq!(form(Table::Definition, "cvss3_base"), CellForm::Score);
        assert_eq!(form(Table::Definition, "cvss4_base"), CellForm::Decimal);
        assert_eq!(
            form(Table::Definition, "compliance"),
            CellForm::Objects(&["type", "section", "description"])
        );
        assert_eq!(form(Table::Finding, "facts"), CellForm::Facts);
        assert_eq!(form(Table::Finding, "times_found"), CellForm::Integer);
        assert_eq!(form(Table::Asset, "tags"), CellForm::List);
        assert_eq!(form(Table::Asset, "last_scan"), CellForm::Text);
        let own = Column::new("acme:epss", ColumnType::Decimal, "");
        assert_eq!(CellForm::of(Table::Finding, &own), CellForm::Decimal);
    }

    #[test]
    fn value_that_is_not_of_the_form_is_empty() {
        use CellForm::{Decimal, Flag, Integer, Score, Text};
        for (form, cell, value) in [
            (Integer, "42", "42"),
            (Integer, "007", "7"),
            (Integer, "0", "0"),
            (Integer, "000", "0"),
            (Integer, "-7", "-7"),
            (Integer, "-07", ""),
            (Integer, "+7", ""),
            (Integer, "7.0", ""),
            (Integer, "9223372036854775808", ""),
            (Decimal, "00.50", "0.50"),
            (Decimal, "1e3", ""),
            (Decimal, "-", ""),
            (Decimal, "NaN", ""),
            (Score, "9.3 (AV:N/AC:M/Au:N/C:C/I:C/A:C)", "9.3"),
            (Score, "9.3(AV:N)", "9.3"),
            (Score, "09.3", "9.3"),
            (Score, "-", ""),
            (Score, "high", ""),
            (Flag, "1", "1"),
            (Flag, "yes", ""),
            (Text, "-", "-"),
        ] {
            assert_eq!(form.value(cell), value, "{form:?} {cell}");
        }
    }
}
