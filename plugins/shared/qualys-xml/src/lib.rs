//! Qualys XML, from bytes to the model of the plugin API.
//!
//! Three kinds of report are read: `SCAN`, `ASSET_DATA_REPORT` and `HOST_LIST_VM_DETECTION_OUTPUT`, the last
//! joined with a `KNOWLEDGE_BASE_VULN_LIST_OUTPUT`. The crate opens no file, follows no address and knows no
//! account: it takes anything that implements [`Read`](std::io::Read), and where texts have to wait for their
//! findings it puts them into a [`Spool`] that the caller brings.
//!
//! A caller goes through these steps:
//!
//! 1. [`Kind::of`] examines the first bytes and identifies the format; anything that is not a report is refused by
//!    name.
//! 2. [`tail::Ending`] examines the last bytes: whether the root is closed and nothing follows it.
//! 3. [`read_preface`] returns the head of the report. Of a template report everything except the assets is read,
//!    because its glossary comes after them.
//! 4. [`ReportReader::fill`] fills one batch after the other. Between two batches, [`ReportReader::mark`] returns
//!    where a later reader can resume with [`ReportReader::skip`].
//!
//! The small answers of the API are read in one piece: [`Reply`], [`read_reports`] and the other lists.
//!
//! Nothing is loaded from elsewhere, no entity except the five of XML is expanded, and every length is limited.

mod cells;
mod damage;
mod definitions;
mod detections;
mod element;
mod events;
mod facts;
mod feed;
mod gate;
mod glossary;
mod in_place;
mod join;
mod kind;
mod knowledge_base;
mod lists;
mod markup;
mod names;
mod notes;
mod page;
mod pass_over;
mod place;
mod preface;
mod reader;
mod reply;
mod sanitizer;
mod scan;
mod scan_preface;
pub mod tail;
mod template_report;
mod walk;

pub use damage::{Damage, Fault, line_at};
pub use definitions::{Definitions, Spool};
pub use events::Limits;
pub use kind::Kind;
pub use knowledge_base::index_knowledge_base;
pub use lists::{
    ListFault, StoredReport, StoredScan, read_asset_numbers, read_reports, read_scans, read_templates,
};
pub use page::{MORE_PAGES, Page};
pub use preface::{Preface, read_preface};
pub use reader::{Mark, Progress, ReportReader};
pub use reply::{Reply, clean};
pub use sanitizer::Sanitizer;
