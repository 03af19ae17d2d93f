//! The host's side of one instance: the services that the plugin can call.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use scanbridge_plugin_api::{PluginError, ReportKey};

use super::call::Caller;
use super::metrics::Metrics;
use crate::pipeline::Stop;
use crate::state::InstanceKeys;

/// The host's side of one instance. Never freed, because a plugin's thread may call at any time.
#[derive(Debug)]
pub(crate) struct Context {
    pub(super) instance: String,
    caller: Caller,
    pub(super) stop: Arc<Stop>,
    /// The instance's own cancel level, in addition to that of the run.
    own_level: AtomicU32,
    started: Instant,
    /// End of the time in which the current call counts as active, in milliseconds since `started`.
    active_until: AtomicU64,
    /// Whether a call is in progress.
    calling: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
    phase: Mutex<String>,
    notes: Mutex<BTreeMap<(u32, String), u64>>,
    woken: AtomicBool,
    metrics: Metrics,
    /// Panics in threads of the plugin's own that the run does not know yet.
    panics: Mutex<Vec<PluginError>>,
    /// Where the plugin has moved the sources of reports that the log has not named yet.
    moved: Mutex<VecDeque<(ReportKey, String)>>,
    keys: Arc<InstanceKeys>,
}

/// Maximum number of different notes of one instance; further ones are counted in one common note.
const MAX_NOTES: usize = 200;

/// Maximum number of moved sources that are kept. Those of reports of an earlier run are never taken.
const MAX_MOVED: usize = 1_000;

impl Context {
    pub(crate) fn leaked(keys: InstanceKeys, caller: Caller, stop: &Arc<Stop>) -> &'static Self {
        Box::leak(Box::new(Self {
            instance: keys.instance().to_owned(),
            caller,
            stop: Arc::clone(stop),
            own_level: AtomicU32::new(0),
            started: stop.now(),
            active_until: AtomicU64::new(0),
            calling: AtomicBool::new(false),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            phase: Mutex::default(),
            notes: Mutex::default(),
            woken: AtomicBool::new(false),
            metrics: Metrics::default(),
            panics: Mutex::default(),
            moved: Mutex::default(),
            keys: Arc::new(keys),
        }))
    }

    /// The `id` of the instance.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// The caller that names the instance in messages.
    pub(crate) fn caller(&'static self) -> &'static Caller {
        &self.caller
    }

    /// The keys of the instance.
    pub(crate) fn keys(&self) -> &Arc<InstanceKeys> {
        &self.keys
    }

    /// What the plugin measures.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Bytes processed and total bytes; 0 of 0 while unknown.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// The cancel level of the instance: that of the run, or its own.
    pub(crate) fn level(&self) -> u32 {
        self.stop.level().max(self.own_level.load(Ordering::Relaxed))
    }

    /// Cancels the calls of this instance only.
    pub(crate) fn abort(&self) {
        self.own_level.store(crate::pipeline::ABORT, Ordering::Relaxed);
        self.stop.notify();
    }

    /// Time without progress in the current call.
    pub(crate) fn inactive_time(&self) -> Duration {
        let until = Duration::from_millis(self.active_until.load(Ordering::Relaxed));
        self.stop.since(self.started).saturating_sub(until)
    }

    /// Time without progress of the call in progress; zero without a call.
    pub(crate) fn stalled_for(&self) -> Duration {
        if self.calling.load(Ordering::Relaxed) { self.inactive_time() } else { Duration::ZERO }
    }

    pub(super) fn set_calling(&self, calling: bool) {
        self.calling.store(calling, Ordering::Relaxed);
    }

    /// The current activity as the plugin has named it; empty if unset.
    pub(crate) fn phase(&self) -> String {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Removes and returns the notes of the instance: level (2 warning, 3 information), text, count.
    pub(crate) fn take_notes(&self) -> Vec<(u32, String, u64)> {
        let notes = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        notes.into_iter().map(|((level, text), count)| (level, text, count)).collect()
    }

    /// Whether the plugin has called `wake` since the last time.
    pub(crate) fn take_wake(&self) -> bool {
        self.woken.swap(false, Ordering::Relaxed)
    }

    /// Records progress. The current call counts as active for this much longer.
    pub(crate) fn record_activity(&self, longer: Duration) {
        let until = self.stop.since(self.started).saturating_add(longer).as_millis();
        self.active_until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn set_progress(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.record_activity(Duration::ZERO);
    }

    pub(super) fn set_phase(&self, text: String) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = text;
        self.record_activity(Duration::ZERO);
    }

    pub(super) fn note(&self, level: u32, text: String, count: u64) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (level, text);
        let key = if notes.len() < MAX_NOTES || notes.contains_key(&key) {
            key
        } else {
            (3, "more notes".to_owned())
        };
        let total = notes.entry(key).or_default();
        *total = total.saturating_add(count);
    }

    /// Adds a panic in a thread of the plugin's own.
    pub(super) fn add_panic(&self, panic: PluginError) {
        self.panics.lock().unwrap_or_else(PoisonError::into_inner).push(panic);
    }

    /// The panics in threads of the plugin's own that were not taken yet.
    pub(crate) fn panics(&self) -> Vec<PluginError> {
        self.panics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes these panics.
    pub(crate) fn take_panics(&self) -> Vec<PluginError> {
        std::mem::take(&mut *self.panics.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add_moved(&self, report: ReportKey, to: String) {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.len() >= MAX_MOVED {
            moved.pop_front();
        }
        moved.push_back((report, to));
    }

    /// Takes where the plugin has moved the source of this report.
    pub(crate) fn take_moved(&self, report: &ReportKey) -> Option<String> {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let index = moved.iter().position(|(key, _)| key == report)?;
        moved.remove(index).map(|(_, to)| to)
    }

    pub(super) fn wake(&self) {
        self.woken.store(true, Ordering::Relaxed);
        self.stop.notify();
    }

    /// Waits until the cancel level is above `seen`. The instance counts as active meanwhile.
    pub(super) fn wait(&self, seen: u32, longest: Duration) -> u32 {
        self.record_activity(longest);
        let level = self.stop.wait_above(seen, longest, || self.own_level.load(Ordering::Relaxed));
        self.record_activity(Duration::ZERO);
        level
    }
}
