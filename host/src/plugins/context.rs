//! The host's side of one instance: the services that the plugin can call.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use scanbridge_plugin_api::abi::HostTable2;

use super::guard::Caller;
use super::services;
use crate::pipeline::Stop;

/// The host's side of one instance. It lives as long as the process, because a plugin's thread may call at any time.
#[derive(Debug)]
pub(crate) struct Context {
    pub(super) instance: String,
    caller: Caller,
    pub(super) stop: Arc<Stop>,
    /// The instance's own cancel level, in addition to that of the run.
    own_level: AtomicU32,
    started: Instant,
    /// Until when the call in progress counts as alive, in milliseconds since `started`.
    alive_until: AtomicU64,
    done: AtomicU64,
    total: AtomicU64,
    phase: Mutex<String>,
    notes: Mutex<BTreeMap<(u32, String), u64>>,
    woken: AtomicBool,
    table: HostTable2,
}

/// Maximum number of different notes of one instance; further ones are counted together.
const MAX_NOTES: usize = 200;

impl Context {
    pub(crate) fn leaked(instance: &str, caller: Caller, stop: &Arc<Stop>) -> &'static Self {
        let context = Box::leak(Box::new(Self {
            instance: instance.to_owned(),
            caller,
            stop: Arc::clone(stop),
            own_level: AtomicU32::new(0),
            started: Instant::now(),
            alive_until: AtomicU64::new(0),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            phase: Mutex::default(),
            notes: Mutex::default(),
            woken: AtomicBool::new(false),
            table: services::table(std::ptr::null()),
        }));
        context.table = services::table(std::ptr::from_ref(context).cast());
        context
    }

    /// What the instance is opened with.
    pub(crate) fn table(&'static self) -> &'static HostTable2 {
        &self.table
    }

    /// The instance in messages about its calls.
    pub(crate) fn caller(&'static self) -> &'static Caller {
        &self.caller
    }

    /// Bytes done and bytes in all; 0 of 0 while nothing is known.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// The cancel level of the instance: that of the run, or its own.
    pub(crate) fn level(&self) -> u32 {
        self.stop.level().max(self.own_level.load(Ordering::Relaxed))
    }

    /// Cancels the calls of this instance alone.
    pub(crate) fn abort(&self) {
        self.own_level.store(crate::pipeline::ABORT, Ordering::Relaxed);
        self.stop.notify();
    }

    /// How long the call in progress has shown no sign of progress.
    pub(crate) fn quiet_time(&self) -> Duration {
        let until = Duration::from_millis(self.alive_until.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(until)
    }

    /// What the instance does now, in its own words; empty if it has not said.
    pub(crate) fn phase(&self) -> String {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The notes of the instance, with their number, and removes them. The level comes first: 2 warning, 3 information.
    pub(crate) fn take_notes(&self) -> Vec<(u32, String, u64)> {
        let notes = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        notes.into_iter().map(|((level, text), count)| (level, text, count)).collect()
    }

    /// Whether the plugin has called `wake` since the last time.
    pub(crate) fn take_wake(&self) -> bool {
        self.woken.swap(false, Ordering::Relaxed)
    }

    /// A sign of progress. The call in progress counts as alive for this much longer.
    pub(crate) fn sign_of_life(&self, longer: Duration) {
        let until = self.started.elapsed().saturating_add(longer).as_millis();
        self.alive_until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn set_progress(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.sign_of_life(Duration::ZERO);
    }

    pub(super) fn set_phase(&self, text: String) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = text;
        self.sign_of_life(Duration::ZERO);
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

    pub(super) fn wake(&self) {
        self.woken.store(true, Ordering::Relaxed);
        self.stop.notify();
    }

    /// Waits until the cancel level is above `seen`. Meanwhile the instance counts as alive.
    pub(super) fn wait(&self, seen: u32, longest: Duration) -> u32 {
        self.sign_of_life(longest);
        let level = self.stop.wait_above(seen, longest, || self.own_level.load(Ordering::Relaxed));
        self.sign_of_life(Duration::ZERO);
        level
    }
}
