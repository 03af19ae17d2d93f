//! Converts Qualys XML to the model of the plugin API.
//!
//! Three kinds of report are supported: `SCAN`, `ASSET_DATA_REPORT` and `HOST_LIST_VM_DETECTION_OUTPUT`, the last
//! joined with a `KNOWLEDGE_BASE_VULN_LIST_OUTPUT`. The crate does not open files or connections. It reads from any
//! [`Read`](std::io::Read), and stores texts that are needed later in a [`Spool`] of the caller.
//!
//! A caller follows these steps:
//!
//! 1. [`Kind::of`] examines the first bytes and identifies the format. A file that is not a report is refused with a
//!    description.
//! 2. [`tail::Ending`] examines the last bytes: whether the root is closed, and whether other content follows it.
//! 3. [`read_preface`] returns the head of the report. A template report is read except for its assets, because its
//!    glossary follows them.
//! 4. [`ReportReader::fill`] fills one batch after the other. Between two batches, [`ReportReader::mark`] returns
//!    where a later reader can resume with [`ReportReader::resume`], without reading the part before it again.
//!
//! Small API responses are read as one unit: [`Reply`], [`read_reports`] and the other lists.
//!
//! External content is not loaded, only the five predefined entities of XML are expanded, and every length is
//! limited.

mod address;
mod batch_writer;
mod cells;
mod cloud;
mod codes;
mod damage;
mod definitions;
mod details;
mod detections;
mod element;
mod element_role;
mod element_stack;
mod events;
mod facts;
mod forms;
mod glossary;
mod in_place;
mod items;
mod join;
mod kind;
mod knowledge_base;
mod lists;
mod mark;
mod markup;
mod names;
mod notes;
mod other;
mod page;
mod preface;
mod preface_reader;
mod reader;
mod repeats;
mod reply;
mod sanitizer;
mod scan;
mod scan_preface;
mod skip_element;
pub mod tail;
mod template_report;
#[doc(hidden)]
pub mod test_support;
mod walk;

pub use damage::{Damage, Fault, line_at};
pub use definitions::{Definitions, Spool};
pub use events::Limits;
pub use kind::Kind;
pub use knowledge_base::{Extent, IndexedKnowledgeBase, index_knowledge_base};
pub use lists::{
    AssetList, ListFault, StoredReport, StoredScan, read_asset_numbers, read_assets, read_reports,
    read_scans, read_templates,
};
pub use mark::Mark;
pub use page::{MORE_PAGES, Page};
pub use preface::Preface;
pub use preface_reader::{read_preface, resume_preface};
pub use reader::{Progress, ReportReader};
pub use reply::{Reply, clean};
pub use sanitizer::Sanitizer;
