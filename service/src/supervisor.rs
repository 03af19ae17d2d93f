//! The state of the service.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use scanbridge_observe::{ConsoleKeys, PipelineView, ServiceFile, ServiceKeys};
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use crate::accepted::Sources;
use crate::fleet::Fleet;
use crate::http::{Access, ListenerState, Requests};
use crate::job::{Job, JobView};
use crate::listeners::Listeners;
use crate::log_sink::Log;
use crate::message::Message;
use crate::notify::Notify;
use crate::process::{Live, Process};
use crate::request::{ReloadMode, Reply};
use crate::schedule::Clock;
use crate::store::{Record, Store};

/// A pipeline that the service knows.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The pipeline file.
    pub(crate) file: String,
    /// Number of this instance of a pipeline with several.
    pub(crate) instance: Option<u32>,
    /// Digest of the accepted version; empty if there is none.
    pub(crate) digest: String,
    pub(crate) keys: ServiceKeys,
    pub(crate) record: Record,
    pub(crate) process: Option<Process>,
    pub(crate) live: Live,
    pub(crate) job: Option<Job>,
    /// Clients that wait for samples of the run.
    pub(crate) listeners: Listeners,
    /// What its runs have reported, for metrics.
    pub(crate) view: PipelineView,
    /// Problems of the file as it is now; the accepted version stays in use.
    pub(crate) rejected: Vec<Value>,
    /// The inputs with stored reports to choose from.
    pub(crate) choosing: Vec<String>,
}

impl Entry {
    /// Takes over what is kept of the pipeline with this name.
    pub(crate) fn restore(&mut self, name: &str, records: &BTreeMap<String, Record>) {
        self.record = records.get(name).cloned().unwrap_or_default();
        self.view = PipelineView::new(name, self.record.totals.clone());
    }
}

/// What the service was started with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) sources: Sources,
    pub(crate) state: PathBuf,
    pub(crate) socket: PathBuf,
    /// Options for each run.
    pub(crate) run_arguments: Vec<std::ffi::OsString>,
    pub(crate) machine: String,
    pub(crate) web: Web,
}

/// What the main loop knows of HTTP.
#[derive(Debug)]
pub(crate) struct Web {
    pub(crate) access: Arc<Access>,
    /// The keys of the service file at the start.
    pub(crate) console: Option<ConsoleKeys>,
    pub(crate) listener: Option<Arc<ListenerState>>,
    /// Tells open pages that something has changed.
    pub(crate) changed: watch::Sender<()>,
}

/// The state of the service.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) settings: Settings,
    pub(crate) log: Arc<Log>,
    pub(crate) store: Store,
    pub(crate) records: BTreeMap<String, Record>,
    pub(crate) fleet: Fleet,
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) sender: SyncSender<Message>,
    pub(crate) notify: Notify,
    pub(crate) started: Timestamp,
    /// A reload that reads the files now, with those who wait for its result.
    pub(crate) reload: Option<(ReloadMode, Vec<oneshot::Sender<Reply>>)>,
    /// The reload that was asked for meanwhile.
    pub(crate) next_reload: Option<(ReloadMode, Vec<oneshot::Sender<Reply>>)>,
    pub(crate) last_reload: Option<(Timestamp, bool)>,
    /// When a reload, or the start, last accepted every file.
    pub(crate) last_success: Option<Timestamp>,
    pub(crate) processes: u64,
    begin: Instant,
    pub(crate) receiver: Receiver<Message>,
    /// Whether the file has all of `records`.
    pub(crate) is_stored: bool,
    /// The state could not be stored; reported once.
    pub(crate) is_store_faulty: bool,
    /// Requests that the control socket has answered.
    pub(crate) requests: Arc<Requests>,
    /// Jobs besides runs, newest first.
    pub(crate) jobs: VecDeque<JobView>,
    /// The summaries of the last choices of reports that were sent, newest first.
    pub(crate) summaries: VecDeque<(String, Value)>,
}

impl Supervisor {
    pub(crate) fn new(
        settings: Settings,
        log: Arc<Log>,
        store: Store,
        records: BTreeMap<String, Record>,
        (sender, receiver): (SyncSender<Message>, Receiver<Message>),
    ) -> Self {
        let begin = Instant::now();
        let clock = Clock { wall: Timestamp::now(), steady: Duration::ZERO };
        Self {
            settings,
            log,
            store,
            records,
            fleet: Fleet::new(ServiceFile::default().max_running, BTreeMap::new(), clock),
            entries: BTreeMap::new(),
            sender,
            notify: Notify::new(),
            started: clock.wall,
            reload: None,
            next_reload: None,
            last_reload: None,
            last_success: None,
            processes: 0,
            begin,
            receiver,
            is_stored: false,
            is_store_faulty: false,
            requests: Arc::default(),
            jobs: VecDeque::new(),
            summaries: VecDeque::new(),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock { wall: Timestamp::now(), steady: self.begin.elapsed() }
    }
}
