//! What the host does for a plugin instance: its log, its stop signal, its directory, its progress.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::abi::HostHandle;
use crate::descriptor::PluginKind;
use crate::error::{ErrorKind, PluginError, Result};

/// The host's services for one instance. Cheap to clone and usable from any thread.
///
/// Logging needs no call here: [`tracing`](crate::tracing) events of the plugin reach the host's log, tagged
/// with the instance's id, from the thread that the host called and from any thread that the plugin started
/// with [`Services::enter`].
#[derive(Debug, Clone)]
pub struct Services {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    instance: String,
    state_folder: PathBuf,
    /// The cancel level at which calls of this instance end.
    ends_at: u32,
    host: Option<HostHandle>,
}

/// The cancel level at which outputs finish the call at hand and inputs end.
const DRAIN: u32 = 1;
/// The cancel level at which every call ends.
const ABORT: u32 = 2;

impl Services {
    /// How long an output waits for an unreachable peer once the run is draining.
    pub const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

    pub(crate) fn of_host(
        kind: PluginKind,
        instance: String,
        state_folder: PathBuf,
        host: HostHandle,
    ) -> Self {
        let ends_at = if kind == PluginKind::Input { DRAIN } else { ABORT };
        Self { shared: Arc::new(Shared { instance, state_folder, ends_at, host: Some(host) }) }
    }

    /// Services without a host, for a plugin's own tests: nothing is ever cancelled, progress goes nowhere.
    #[must_use]
    pub fn without_host(state_folder: &Path) -> Self {
        let shared = Shared {
            instance: "test".to_owned(),
            state_folder: state_folder.to_owned(),
            ends_at: ABORT,
            host: None,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The `id:` of this instance in the pipeline.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.shared.instance
    }

    /// Whether the current call must end with [`ErrorKind::Cancelled`]. To be asked at least once a second while busy.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.level() >= self.shared.ends_at
    }

    /// Whether the run is being stopped. An output then finishes the call at hand, but waits for an unreachable peer
    /// [`Services::DRAIN_PATIENCE`] at most.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.level() >= DRAIN
    }

    fn level(&self) -> u32 {
        self.shared.host.as_ref().map_or(0, HostHandle::cancel_level)
    }

    /// Waits. Returns at once when the call must end.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] when it must.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        let ends_at = self.shared.ends_at;
        match &self.shared.host {
            Some(host) if host.wait_cancelled(ends_at - 1, duration) >= ends_at => {
                Err(PluginError::cancelled())
            }
            Some(_) => Ok(()),
            None => {
                std::thread::sleep(duration);
                Ok(())
            }
        }
    }

    /// Tells the host that the instance works: an output that works on one call for minutes, with limits of its own on
    /// what it waits for, calls this now and then, so that it does not count as hanging (`hang_secs`).
    pub fn alive(&self) {
        if let Some(host) = &self.shared.host {
            host.alive();
        }
    }

    /// Tells how far the instance is: `done` of `total` bytes, if the total is known. Counts as [`Services::alive`].
    pub fn progress(&self, done: u64, total: Option<u64>) {
        if let Some(host) = &self.shared.host {
            host.progress(done, total);
        }
    }

    /// Names what the instance does now, for messages about slow calls: `waiting for the report`. Counts as
    /// [`Services::alive`].
    pub fn phase(&self, text: &str) {
        if let Some(host) = &self.shared.host {
            host.phase(text);
        }
    }

    /// Adds `count` to a note in the summary of the run. Notes with the same text are summed.
    pub fn note(&self, level: tracing::Level, text: &str, count: u64) {
        if let Some(host) = &self.shared.host {
            host.note(crate::abi::level_number(level), text, count);
        }
    }

    /// Ends the idle time of an input: there is something to read.
    pub fn wake(&self) {
        if let Some(host) = &self.shared.host {
            host.wake();
        }
    }

    /// Redacts a derived secret, for example a session token, in every later line of this run. The values of secret
    /// options are redacted without this call.
    pub fn mask(&self, text: &str) {
        if let Some(host) = &self.shared.host {
            host.mask(text);
        }
    }

    /// A directory of the instance's own, kept between runs, readable by its owner alone. It is created at the
    /// first call, so that a plugin that keeps nothing leaves nothing behind.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] when the directory cannot be created.
    pub fn state_folder(&self) -> Result<&Path> {
        let folder = &self.shared.state_folder;
        create_private(folder).map_err(|error| {
            PluginError::new(
                ErrorKind::CannotCreate,
                format!("cannot create the state directory {}: {error}", folder.display()),
            )
            .with_hint("set a writable directory with --state-dir")
        })?;
        Ok(folder)
    }

    /// Makes log events of the current thread this instance's until the guard is dropped. The host's calls do
    /// this by themselves; a thread that the plugin starts has to.
    #[must_use]
    pub fn enter(&self) -> impl Drop + use<> {
        crate::abi::log::enter(self.shared.host)
    }
}

fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
