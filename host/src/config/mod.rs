//! The pipeline file and the settings files that it names: read, checked, explained.
//!
//! A file is first read as YAML, into a tree that remembers every position; then `${…}` references are resolved,
//! in values only; then every value is checked against the option table of its plugin. All problems are found at
//! once. Nothing here starts anything, and no secret leaves through a message.

mod check;
mod checker;
mod collector;
mod delivery;
mod delivery_settings;
mod document;
mod fields;
mod filter;
mod filter_settings;
mod pipeline;
mod problem;
mod ranges;
mod reference;
mod report;
mod same_path;
mod scalar_traps;
mod schema;
mod settings;
mod source;
mod suggestion;
mod syntax;
mod tree;

pub use check::{check, check_in};
pub use delivery::{CheckpointInterval, Delivery, IfRunning, OnFull, QueueLimits, RetryPolicy, RunSettings};
pub use document::{Document, read, read_text};
pub use filter::{Filter, Statuses};
pub use pipeline::{Catalogue, InputInstance, Instance, Origin, OutputInstance, Pipeline};
pub use problem::{Excerpt, Problem, ProblemLevel, Problems, SourceLocation};
pub use ranges::{AddressRanges, Ranges};
pub use reference::Environment;
pub use report::{RenderStyle, problem_to_json, render_all};
pub use schema::schema;
pub(crate) use suggestion::nearest;
