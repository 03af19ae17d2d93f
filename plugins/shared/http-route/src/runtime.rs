//! Runs network operations and stops them if the host cancels the run.

use std::pin::pin;
use std::time::Duration;

use scanbridge_plugin_api::{PluginError, Result, Services};

/// The executor of one instance; it runs on the calling thread.
#[derive(Debug)]
pub struct Runtime {
    tokio: Option<tokio::runtime::Runtime>,
    services: Services,
}

/// Interval between two checks for cancellation.
const TICK: Duration = Duration::from_millis(200);

impl Runtime {
    /// Starts the executor.
    ///
    /// # Errors
    /// The system gives it no file descriptors.
    pub fn new(services: &Services) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| PluginError::bug(format!("cannot start the network runtime: {error}")))?;
        Ok(Self { tokio: Some(tokio), services: services.clone() })
    }

    /// Runs a future to its end.
    ///
    /// # Errors
    /// [`scanbridge_plugin_api::ErrorKind::Cancelled`] if the host stops the run; the future is dropped.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let tokio = self
            .tokio
            .as_ref()
            .ok_or_else(|| PluginError::bug("plugin bug: the network runtime was used after its end"))?;
        tokio.block_on(async {
            let mut work = pin!(work);
            loop {
                tokio::select! {
                    done = &mut work => return Ok(done),
                    () = tokio::time::sleep(TICK) => {
                        if self.services.is_cancelled() {
                            return Err(PluginError::cancelled());
                        }
                    }
                }
            }
        })
    }

    /// Runs a future for at most `limit`, even if the host stops the run: for the last request of an instance.
    pub fn run_briefly(&self, limit: Duration, work: impl Future<Output = ()>) {
        if let Some(tokio) = &self.tokio {
            let _ = tokio.block_on(async { tokio::time::timeout(limit, work).await });
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Does not wait for a DNS lookup that hangs.
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}
