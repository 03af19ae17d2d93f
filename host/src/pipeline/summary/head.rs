//! The head of a summary: which run it is about.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::config::{Pipeline, default_name};

/// What started a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// The command line.
    #[default]
    Command,
    /// The schedule of the service.
    Schedule,
    /// A request to the service.
    Manual,
    /// A changed pipeline file that the service loaded.
    Reload,
    /// A choice of reports.
    Choice,
}

/// Which run a summary is about. Fields that are not known are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Head {
    /// Name of the pipeline.
    pub pipeline: String,
    /// The pipeline file, as it was named.
    pub file: String,
    /// Number of the run; `None` if it was not started, and for a replay.
    pub run: Option<u64>,
    /// When it started, in UTC.
    pub started: String,
    /// When it ended, in UTC.
    pub ended: String,
    /// Version of Scanbridge.
    pub version: String,
    /// Name of the machine.
    pub host: String,
    /// What the operator calls this installation (`connector.name`); empty without a name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub connector: String,
    /// Hash of what the pipeline delivers: plugins, options without secrets, filters.
    pub digest: String,
    /// What started the run.
    pub trigger: Trigger,
    /// Whether nothing was delivered on purpose.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl Head {
    /// Format version of the summary. It changes only if a field is removed or gets another meaning.
    pub const SCHEMA: u32 = 1;

    /// The head of a command for this pipeline file that starts now. The pipeline has its default name.
    #[must_use]
    pub fn starting(file: &std::path::Path, trigger: Trigger) -> Self {
        Self {
            pipeline: default_name(file),
            file: file.display().to_string(),
            started: crate::state::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            trigger,
            ..Self::default()
        }
    }

    /// The head of a run of this pipeline that starts now.
    #[must_use]
    pub fn of(pipeline: &Pipeline, trigger: Trigger) -> Self {
        let [connector, ..] = pipeline.connector.texts.clone();
        Self {
            pipeline: pipeline.state_name(),
            connector: connector.unwrap_or_default(),
            ..Self::starting(&pipeline.file, trigger)
        }
    }

    /// The run ends now.
    #[must_use]
    pub fn ended(self) -> Self {
        Self { ended: crate::state::now(), ..self }
    }
}
