//! The exam of a finished plugin library: `scanbridge plugin test`.
//!
//! The examiner never loads the library. It writes jobs (lists of calls) for child processes of the host, which run
//! them and journal each call. A child can be killed at any call. What arrives at the destination, or what an input
//! read, is then compared with an undisturbed run.

mod checks;
mod child;
mod job;
mod material;
mod peer;
mod process;
mod report;
mod run;
mod sinks;
mod subject;

use std::time::Duration;

pub(crate) use child::serve;
pub(crate) use run::{Refused, examine};
pub(crate) use subject::Request;

/// Time without progress after which a call counts as hanging.
const HANG: Duration = Duration::from_secs(8);
