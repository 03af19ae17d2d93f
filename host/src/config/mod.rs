//! Reads and checks the pipeline file and its settings files.
//!
//! A file is first parsed as YAML into a tree that stores the position of every value. Then `${…}` references
//! are resolved, in values only. Then every value is checked against the option table of its plugin. All
//! problems are reported at once. This module starts nothing, and messages never contain secrets.

mod broken_line;
mod bundle;
mod catalogue;
mod check;
mod checker;
mod codes;
mod collector;
mod comments;
mod conditions;
mod connector;
mod delivery;
mod document;
mod encrypt;
mod exam_file;
mod excerpt;
mod exclude;
mod failover;
mod fields;
mod filter;
mod filter_settings;
mod fips_mode;
mod host_options;
mod host_table;
mod odd_character;
mod option_reports;
mod option_schema;
mod origin;
mod other_file;
mod permissions;
mod pipeline;
mod plugin_name;
mod preferred_ip_version;
mod problem;
mod ranges;
mod read_value;
mod reference;
mod report;
mod same_path;
mod scalar_traps;
mod schedule;
mod schema;
mod service_console;
mod service_file;
mod service_log;
mod service_plan;
mod settings;
mod source;
mod suggestion;
mod syntax;
mod test_file;
mod tree;
mod typed_option;
mod written;

pub use bundle::{bundle, read_bundle};
pub use catalogue::Catalogue;
pub(crate) use check::{RESERVED, check_unfinished};
pub use check::{check, check_in};
pub use codes::CODES;
pub(crate) use comments::{Commented, keep_comments};
pub use conditions::Statuses;
pub use connector::Connector;
pub use delivery::{
    CheckpointInterval, Delivery, IfRunning, OnFull, OnInvalid, QueueLimits, RetryPolicy, RunSettings,
};
pub use document::{Document, read, read_for, read_text, read_text_for};
pub(crate) use exam_file::{DeliveredRecords, ExamPlugin, read_exam};
pub use exclude::Exclude;
pub use filter::Filter;
pub use host_options::HostSettings;
pub(crate) use host_options::{HostSetting, host_options};
pub(crate) use host_table::{MAX_INSTANCES, Scope};
pub use origin::Origin;
pub(crate) use other_file::{CheckedDocument, check_any, is_service_file};
pub use pipeline::{InputInstance, Instance, OutputInstance, Pipeline};
pub(crate) use pipeline::{Judgement, PATH, default_name};
pub use problem::{Excerpt, Problem, ProblemLevel, Problems, SourceLocation};
pub use ranges::{AddressRanges, Ranges};
pub use reference::Environment;
pub(crate) use reference::{escaped, is_bare_reference, literal};
pub(crate) use report::counted;
pub use report::{RenderStyle, problem_to_json, render_all};
pub(crate) use same_path::same_files;
pub use schema::schema;
pub use service_file::read_service_file;
pub(crate) use service_file::read_service_text;
pub(crate) use service_plan::{SERVICE_PLAN, ServicePlan};
pub(crate) use settings::PLACEHOLDER;
pub(crate) use suggestion::{nearest, sounds_secret};
pub(crate) use test_file::{Expectation, PipelineTest, TestFile, TestInput, read_tests, writes_file};
pub(crate) use typed_option::typed_option;
pub(crate) use written::{Written, WrittenEntry};
