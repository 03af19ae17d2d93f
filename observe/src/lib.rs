//! What a run and the service tell each other, and what is made of it: metrics and the report of a run. The host writes
//! [`RunEvent`]s; the service reads them and writes [`ServiceRequest`]s. Also the accepted form of a pipeline, and the
//! times of its schedule. This crate depends on no other crate of the workspace, so that the service links neither a
//! plugin nor the ABI.

mod bundle;
mod channel;
mod chart;
mod console;
mod counts;
mod cron;
mod durations;
mod event;
mod metrics;
mod name;
mod printable;
mod report;
mod request;
mod summary;
mod unit;
mod view;
mod wording;

pub use bundle::{
    Bundle, BundleResult, BundledFile, LogKeys, LogTarget, RestartKeys, ScheduleKeys, ServiceFile,
    ServiceKeys,
};
pub use channel::{FIPS_VARIABLE, LineError, LineReader, MAX_LINE, write_line};
pub use console::{ClientRole, ConsoleKeys, Role, TlsKeys};
pub use counts::{Counts, RunResult, Totals, UnixSeconds};
pub use cron::{Cron, CronError, fixed_delay, machine_id};
pub use durations::Durations;
pub use event::{
    FailureEvent, Hello, InputState, InputTick, OutputReference, OutputState, OutputTick, PluginReference,
    ReportEvent, RunEvent, Tick,
};
pub use metrics::{
    HttpMetrics, MetricsFormat, PipelineState, ServiceMetrics, metrics_of_run, metrics_of_service,
};
pub use name::{NAME_RULE, is_name};
pub use printable::{is_printable, printable_lines, without_controls};
pub use report::{REPORT_STYLE, RunContent, RunStatus, Sample, Samples, html_report};
pub use request::{ServiceRequest, StopAt};
pub use summary::{
    ComparedPart, DefinitionPart, FailurePart, InputPart, NotePart, OutputPart, ReportPart, RunSummary,
};
pub use unit::{UNIT_DESCRIPTION_RULE, UNIT_PATH_RULE, is_unit_description, is_unit_path};
pub use view::{CurrentRun, LastRun, PipelineView};
pub use wording::{grouped, show_bytes, show_elapsed};
