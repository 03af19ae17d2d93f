//! The columns of a report under the names that the outputs CSV and JSON show (`finding.port`), and the forms of their
//! values. Both outputs write the same value for a cell, so a number in JSON is the same number in CSV.

mod connector;
mod form;
mod names;
mod report;
mod table;

pub use connector::{CONNECTOR_COLUMNS, connector_cell};
pub use form::CellForm;
pub use names::ALL_NAMES;
pub use report::{REPORT_COLUMNS, ReportColumn};
pub use table::Table;
