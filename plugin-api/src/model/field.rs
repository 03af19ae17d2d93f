//! The columns of a table, as an enum.

use crate::batch::{Column, ColumnType, Schema};

/// The columns of one table of a batch, with their names.
pub trait Field: Copy + 'static {
    /// The contents of a row in addition to its cells: the codes of a finding, otherwise `()`.
    type Codes: Copy + Default + std::fmt::Debug;
    /// The names in column order.
    const NAMES: &'static [&'static str];
    /// The columns in their order.
    const ALL: &'static [Self];
    /// The column's position among [`Field::NAMES`].
    fn index(self) -> usize;
    /// The form of the column's cells.
    fn column_type(self) -> ColumnType;
    /// The names of the parts of an item, for a list of objects: the parts are separated by tabs, and empty parts at the
    /// end may be missing. Empty for every other column.
    fn parts(self) -> &'static [&'static str] {
        &[]
    }
    /// The columns of the table in a schema.
    fn columns(schema: &Schema) -> &Vec<Column>;
    /// As [`Field::columns`], to change them.
    fn columns_mut(schema: &mut Schema) -> &mut Vec<Column>;
}

/// Declares the columns of a table: the enum, their names and types, and their descriptions.
macro_rules! fields {
    ($(#[$about:meta])* $table:ident ($codes:ty) in $columns:ident {
        $($(#[$meaning:meta])* $field:ident = $name:literal $(as $type:ident $([$($part:literal),+])?)?,)*
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $table { $($(#[$meaning])* $field,)* }

        impl $crate::model::Field for $table {
            type Codes = $codes;
            const NAMES: &'static [&'static str] = &[$($name,)*];
            const ALL: &'static [Self] = &[$(Self::$field,)*];
            fn index(self) -> usize { self as usize }
            fn column_type(self) -> $crate::batch::ColumnType {
                match self { $(Self::$field => $crate::model::field::column_type!($($type)?),)* }
            }
            fn parts(self) -> &'static [&'static str] {
                match self { $(Self::$field => &[$($($($part),+)?)?],)* }
            }
            fn columns(schema: &$crate::batch::Schema) -> &Vec<$crate::batch::Column> { &schema.$columns }
            fn columns_mut(schema: &mut $crate::batch::Schema) -> &mut Vec<$crate::batch::Column> {
                &mut schema.$columns
            }
        }
    };
}
pub(crate) use fields;

/// The type of a column: text if the table does not say.
macro_rules! column_type {
    () => {
        $crate::batch::ColumnType::Text
    };
    ($type:ident) => {
        $crate::batch::ColumnType::$type
    };
}
pub(crate) use column_type;
