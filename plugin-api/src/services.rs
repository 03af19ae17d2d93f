//! Services of the host for a plugin instance: log, stop requests, directory, progress.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::abi::{COUNTER, GAUGE, HostHandle};
use crate::descriptor::PluginKind;
use crate::error::{ErrorKind, PluginError, Result};
use crate::fips::Fips;
use crate::report_key::ReportKey;
use crate::state::State;

/// The host's services for one instance. Cheap to clone and usable from any thread.
///
/// Logging needs no call here: the plugin's [`tracing`](crate::tracing) events reach the host's log, tagged with the
/// ID of the instance. This applies to the thread that the host called, and to threads that the plugin started with
/// [`Services::enter`].
#[derive(Debug, Clone)]
pub struct Services {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    instance: String,
    state_folder: PathBuf,
    is_read_only: bool,
    fips: Fips,
    /// The cancel level at which calls of this instance must end.
    cancel_threshold: u32,
    host: Option<HostHandle>,
    /// The notes of a plugin without a host.
    notes: Mutex<BTreeMap<String, u64>>,
}

/// The cancel level at which outputs finish the current call and inputs end.
pub(crate) const DRAIN: u32 = 1;
/// The cancel level at which every call must end.
pub(crate) const ABORT: u32 = 2;

impl Services {
    /// How long an output waits for an unreachable peer after a stop request.
    pub const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

    pub(crate) fn of_host(
        kind: PluginKind,
        instance: String,
        state_folder: PathBuf,
        is_read_only: bool,
        fips: Fips,
        host: HostHandle,
    ) -> Self {
        let cancel_threshold = if kind == PluginKind::Input { DRAIN } else { ABORT };
        Self {
            inner: Arc::new(Inner {
                instance,
                state_folder,
                is_read_only,
                fips,
                cancel_threshold,
                host: Some(host),
                notes: Mutex::default(),
            }),
        }
    }

    /// Services without a host, for a plugin's own tests: nothing is ever cancelled, progress is discarded,
    /// and [`Services::notes`] returns the notes.
    #[must_use]
    pub fn without_host(state_folder: &Path) -> Self {
        Self::without_host_in(Fips::Off, state_folder)
    }

    /// As [`Services::without_host`], in this FIPS mode.
    #[must_use]
    pub fn without_host_in(fips: Fips, state_folder: &Path) -> Self {
        let inner = Inner {
            instance: "test".to_owned(),
            state_folder: state_folder.to_owned(),
            is_read_only: false,
            fips,
            cancel_threshold: ABORT,
            host: None,
            notes: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The `id:` of this instance in the pipeline.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.inner.instance
    }

    /// Whether the instance must change nothing: no file, nothing at its source or destination
    /// ([`Purpose`](crate::Purpose)).
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.inner.is_read_only
    }

    /// Which algorithms this instance may use. A plugin with cryptography that protects data must obey it, or fail to open
    /// with [`ErrorKind::Config`].
    #[must_use]
    pub fn fips(&self) -> Fips {
        self.inner.fips
    }

    /// Whether the current call must end with [`ErrorKind::Cancelled`]. Poll it at least every second while busy.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.level() >= self.inner.cancel_threshold
    }

    /// Whether the run is stopping. An output then finishes the current call, but waits at most
    /// [`Services::DRAIN_PATIENCE`] for an unreachable peer.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.level() >= DRAIN
    }

    fn level(&self) -> u32 {
        self.inner.host.as_ref().map_or(0, HostHandle::cancel_level)
    }

    /// Waits for this time. Returns at once when the call must end.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] when the call must end.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        let cancel_threshold = self.inner.cancel_threshold;
        match &self.inner.host {
            Some(host) if host.wait_cancelled(cancel_threshold - 1, duration) >= cancel_threshold => {
                Err(PluginError::cancelled())
            }
            Some(_) => Ok(()),
            None => {
                std::thread::sleep(duration);
                Ok(())
            }
        }
    }

    /// Reports that the instance is working. An output that spends minutes on one call, with its own time limits,
    /// calls this regularly. Otherwise the call counts as hanging (`hang_secs`).
    pub fn alive(&self) {
        if let Some(host) = &self.inner.host {
            host.alive();
        }
    }

    /// Reports the progress: `done` of `total` bytes, if the total is known. Counts as [`Services::alive`].
    pub fn progress(&self, done: u64, total: Option<u64>) {
        if let Some(host) = &self.inner.host {
            host.progress(done, total);
        }
    }

    /// Names the current activity, for messages about slow calls: `waiting for the report`. Counts as
    /// [`Services::alive`].
    pub fn phase(&self, text: &str) {
        if let Some(host) = &self.inner.host {
            host.phase(text);
        }
    }

    /// Adds `count` to a note in the summary of the run. Counts of notes with the same text are added up.
    pub fn note(&self, level: tracing::Level, text: &str, count: u64) {
        match &self.inner.host {
            Some(host) => host.note(crate::abi::level_number(level), text, count),
            None => *self.lock_notes().entry(text.to_owned()).or_default() += count,
        }
    }

    /// The sums of the notes by text, for a plugin's own tests. Empty under a host, which keeps the notes itself.
    #[must_use]
    pub fn notes(&self) -> BTreeMap<String, u64> {
        self.lock_notes().clone()
    }

    fn lock_notes(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.inner.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A counter of this instance, for the summary of the run and for monitoring: `requests`. The name has 1 to 64 lower
    /// case letters, digits and `_`; an instance has at most 64 metrics. A counter that the host refuses counts nothing.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        Counter(Metric::of(self.inner.host, COUNTER, name, help))
    }

    /// A value of this instance that changes, for example `queue_bytes`. The rules of [`Services::counter`] apply.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        Gauge(Metric::of(self.inner.host, GAUGE, name, help))
    }

    /// Reports where an input has moved the source of a report, during [`Input::stored`](crate::Input::stored): the log
    /// line about the delivered report names it.
    pub fn moved(&self, report: &ReportKey, to: &Path) {
        if let Some(host) = &self.inner.host {
            let report = serde_json::to_string(report).expect("plain data can be serialized");
            host.moved(&report, &to.display().to_string());
        }
    }

    /// Ends the idle time of an input: new data is available.
    pub fn wake(&self) {
        if let Some(host) = &self.inner.host {
            host.wake();
        }
    }

    /// Redacts a derived secret, for example a session token, in all later lines of this run. The values of secret
    /// options are redacted without this call.
    pub fn mask(&self, text: &str) {
        if let Some(host) = &self.inner.host {
            host.mask(text);
        }
    }

    /// The instance's own keys, which the host stores together with positions and receipts.
    #[must_use]
    pub fn state(&self) -> State {
        match self.inner.host {
            Some(host) => State::of_host(host),
            None => State::in_memory(&self.inner.state_folder),
        }
    }

    /// The instance's own directory, for large files such as downloads. Small values belong to [`Services::state`],
    /// because a crash cannot separate those from the position. Kept between runs and readable by its owner only. It is created at the first
    /// call, so a plugin that stores nothing leaves no directory.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] when the directory cannot be created.
    pub fn state_folder(&self) -> Result<&Path> {
        let folder = &self.inner.state_folder;
        create_private(folder).map_err(|error| {
            PluginError::new(
                ErrorKind::CannotCreate,
                format!("cannot create the state directory {}: {error}", folder.display()),
            )
            .with_hint("set a writable directory with --state-dir")
        })?;
        Ok(folder)
    }

    /// Assigns log events of the current thread to this instance until the guard is dropped. The host's calls do this
    /// themselves; a thread that the plugin starts must call it.
    #[must_use]
    pub fn enter(&self) -> impl Drop + use<> {
        crate::abi::log::enter(self.inner.host)
    }
}

/// A metric that the host knows by its ID.
#[derive(Debug, Clone, Copy)]
struct Metric {
    host: Option<HostHandle>,
    id: u32,
}

impl Metric {
    fn of(host: Option<HostHandle>, kind: u32, name: &str, help: &str) -> Self {
        Self { host, id: host.map_or(0, |host| host.register_metric(kind, name, help)) }
    }
}

/// A sum that only rises ([`Services::counter`]).
#[derive(Debug, Clone, Copy)]
pub struct Counter(Metric);

impl Counter {
    /// Adds this count. Can be called from any thread.
    pub fn add(&self, count: u64) {
        if let Some(host) = &self.0.host {
            host.add_to_counter(self.0.id, count);
        }
    }
}

/// A value that changes ([`Services::gauge`]).
#[derive(Debug, Clone, Copy)]
pub struct Gauge(Metric);

impl Gauge {
    /// Sets the value. A value that is not finite is ignored. Can be called from any thread.
    pub fn set(&self, value: f64) {
        if let Some(host) = &self.0.host {
            host.set_gauge(self.0.id, value);
        }
    }
}

fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
