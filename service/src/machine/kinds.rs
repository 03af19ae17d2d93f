//! States, events and actions.

use std::time::Duration;

use scanbridge_observe::{RestartKeys, StopAt};
use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;

/// What a pipeline does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Until its next regular start.
    Waiting,
    /// Due, but `max_running` or its group has no place.
    Queued,
    /// The process was started and has not reported yet.
    Starting,
    Running,
    /// The run was asked to stop.
    Stopping,
    /// Its run failed and is repeated later.
    Retrying,
    /// Another process runs it; the start is repeated later.
    Blocked,
    /// A person must act.
    Held,
    /// By a person; kept over restarts.
    Paused,
    /// It has no schedule and runs on request.
    Manual,
    /// No version of its file was ever valid.
    Invalid,
}

impl State {
    /// The words of all states.
    pub(crate) const WORDS: [&str; 11] = [
        "waiting", "queued", "starting", "running", "stopping", "retrying", "blocked", "held", "paused",
        "manual", "invalid",
    ];

    pub(crate) fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Whether a process of this pipeline exists.
    pub(crate) fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

/// What the accepted version of a pipeline says about its runs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) schedule: Schedule,
    pub(crate) restart: RestartKeys,
    pub(crate) group: Option<String>,
    /// A run that reports nothing for this long, and a minute more, hangs.
    pub(crate) hang: Duration,
}

/// Regular starts that started no run, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// The last run was still in progress.
    pub(crate) still_running: u64,
    /// Another process ran the pipeline.
    pub(crate) blocked: u64,
    /// The last start still waited for a place of `max_running` or its group.
    pub(crate) limit: u64,
}

impl Skipped {
    /// The numbers with the words for their reasons.
    pub(crate) fn by_reason(self) -> Vec<(&'static str, u64)> {
        vec![("still_running", self.still_running), ("blocked", self.blocked), ("limit", self.limit)]
    }

    pub(crate) fn total(self) -> u64 {
        self.still_running + self.blocked + self.limit
    }
}

/// What a pipeline did when the service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Before {
    /// Its last run, if any, ended by itself.
    Rest,
    Paused {
        /// Its last run did not end by itself: `resume` repeats it.
        is_interrupted: bool,
    },
    Held(String),
    /// Its last run was interrupted, or failed and was to be repeated.
    Interrupted,
}

/// Why a run is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trigger {
    Schedule,
    Manual,
    Retry,
    Reload,
    /// An earlier run was interrupted.
    Resume,
    /// An operator has chosen reports.
    Choice,
}

impl Trigger {
    /// The word for `scanbridge run --trigger`: what the summary of the run names as its start.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Schedule | Self::Retry | Self::Resume => "schedule",
            Self::Manual => "manual",
            Self::Reload => "reload",
            Self::Choice => "choice",
        }
    }
}

/// What a person can ask of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Run,
    Pause,
    Resume,
    Stop,
}

impl Request {
    /// The request with this name in paths; `None` for other words.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        [Self::Run, Self::Pause, Self::Resume, Self::Stop].into_iter().find(|request| request.word() == word)
    }

    /// What is asked, as a verb.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
        }
    }
}

/// What the supervisor must do with the process of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Start {
        trigger: Trigger,
        restart: bool,
    },
    /// Start the job of this pipeline.
    StartJob,
    Stop(StopAt),
    Terminate,
    Kill,
    /// The pipeline was removed, and its process has ended.
    Forget,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Exit code; `None` if a signal ended it, or it could not be started.
    pub(crate) code: Option<u8>,
    /// Whether the run had begun: no other process ran the pipeline.
    pub(crate) has_begun: bool,
    /// The message of the run's failure, or of the failed start.
    pub(crate) reason: String,
}

/// What follows when the run has stopped as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It was stopped by a person.
    Stop,
    Pause,
    /// A changed pipeline starts again.
    Again,
    /// It continues: at once, or after a job.
    Continue,
    Removal,
    /// The service ends.
    Drain,
}

/// The job of a pipeline.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// It waits for the end of the run.
    Wanted,
    /// It is queued or in progress.
    Active(Then),
}

/// What follows a job.
#[derive(Debug, Clone)]
pub(super) struct Then {
    pub(super) state: State,
    pub(super) reason: String,
}
