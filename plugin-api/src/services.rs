//! What the host does for a plugin instance: its log, its stop signal, its folder, its progress.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::abi::HostHandle;
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
    host: Option<HostHandle>,
}

impl Services {
    pub(crate) fn of_host(instance: String, state_folder: PathBuf, host: HostHandle) -> Self {
        Self { shared: Arc::new(Shared { instance, state_folder, host: Some(host) }) }
    }

    /// Services without a host, for a plugin's own tests: nothing is ever cancelled, progress goes nowhere.
    #[must_use]
    pub fn without_host(state_folder: &Path) -> Self {
        let shared =
            Shared { instance: "test".to_owned(), state_folder: state_folder.to_owned(), host: None };
        Self { shared: Arc::new(shared) }
    }

    /// The `id:` of this instance in the pipeline.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.shared.instance
    }

    /// Whether the host wants the instance to come to an end. To be asked at least once a second while busy.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.host.as_ref().is_some_and(HostHandle::is_cancelled)
    }

    /// Waits, and wakes at once when the host asks to stop.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] when it does.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        match &self.shared.host {
            Some(host) if host.wait_cancelled(duration) => Err(PluginError::cancelled()),
            Some(_) => Ok(()),
            None => {
                std::thread::sleep(duration);
                Ok(())
            }
        }
    }

    /// Tells how far the instance is: `done` of `total` bytes; a total of 0 means that it is not known.
    ///
    /// To the host each call is a sign of life. An output that works on one call for minutes, with limits of its own on
    /// what it waits for, tells it now and then, so that it is not taken for one that hangs (`hang_secs`).
    pub fn progress(&self, done: u64, total: u64) {
        if let Some(host) = &self.shared.host {
            host.progress(done, total);
        }
    }

    /// A folder of the instance's own, kept between runs, readable by its owner alone. It is made at the
    /// first call, so that a plugin which keeps nothing leaves nothing behind.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] when the folder cannot be made.
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
