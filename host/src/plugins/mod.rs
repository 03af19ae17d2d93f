//! Finding and loading plugins: the files of all plugins are read, but only those that a pipeline uses are
//! loaded.

pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod guard;
mod identity;
pub(crate) mod inherited;
pub(crate) mod instance_thread;
mod last_line;
mod library;
mod metrics;
#[cfg(unix)]
pub(crate) mod ownership;
mod recorder;
mod registry;
mod search;
pub(crate) mod services;
pub(crate) mod signals;

pub use identity::Refusal;
pub use library::Library;
pub use metrics::{Metric, MetricKind};
pub use recorder::{CallRecorder, InterruptedCall};
pub use registry::{Claim, Registry, Unavailable};
pub use search::{FilePermissionCheck, Folder, folders};
