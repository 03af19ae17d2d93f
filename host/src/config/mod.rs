//! Reads and checks the pipeline file and its settings files.
//!
//! A file is first parsed as YAML into a tree that stores the position of every value. Then `${…}` references
//! are resolved, in values only. Then every value is checked against the option table of its plugin. All
//! problems are reported at once. This module starts nothing, and messages never contain secrets.

mod bundle;
mod catalogue;
mod check;
mod checker;
mod collector;
mod delivery;
mod document;
mod exam_file;
mod failover;
mod fields;
mod filter;
mod filter_settings;
mod host_options;
mod option_schema;
mod origin;
mod pipeline;
mod problem;
mod ranges;
mod reference;
mod report;
mod same_path;
mod scalar_traps;
mod schedule;
mod schema;
mod service_file;
mod settings;
mod source;
mod suggestion;
mod syntax;
mod tree;

pub use bundle::{bundle, read_bundle};
pub use catalogue::Catalogue;
pub use check::{check, check_in};
pub use delivery::{
    CheckpointInterval, Delivery, IfRunning, OnFull, OnInvalid, QueueLimits, RetryPolicy, RunSettings,
};
pub use document::{Document, read, read_text};
pub(crate) use exam_file::{DeliveredRecords, ExamPlugin, read_exam};
pub use filter::{Filter, Statuses};
pub use host_options::HostSettings;
pub(crate) use host_options::{HostSetting, Scope};
pub use origin::Origin;
pub use pipeline::{InputInstance, Instance, OutputInstance, Pipeline};
pub use problem::{Excerpt, Problem, ProblemLevel, Problems, SourceLocation};
pub use ranges::{AddressRanges, Ranges};
pub use reference::Environment;
pub use report::{RenderStyle, problem_to_json, render_all};
pub use schema::schema;
pub use service_file::read_service_file;
pub(crate) use suggestion::nearest;
