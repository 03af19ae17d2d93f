//! Waiting for the network while listening to the host's wish to stop.

use std::pin::pin;
use std::time::Duration;

use scanbridge_plugin_api::{PluginError, Result, Services};

/// The instance's own executor, on the thread that calls it.
pub(crate) struct Runtime {
    tokio: Option<tokio::runtime::Runtime>,
    services: Services,
}

/// How often the host is asked whether to stop.
const TICK: Duration = Duration::from_millis(200);

impl Runtime {
    pub(crate) fn new(services: &Services) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| PluginError::bug(format!("cannot start the network runtime: {error}")))?;
        Ok(Self { tokio: Some(tokio), services: services.clone() })
    }

    /// Runs this to its end.
    ///
    /// # Errors
    /// [`scanbridge_plugin_api::ErrorKind::Cancelled`] when the host wants to stop; the work is dropped.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let tokio = self.tokio.as_ref().ok_or_else(|| PluginError::bug("the network runtime has ended"))?;
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

    /// Runs this for at most so long, whatever the host wants: for a farewell.
    pub(crate) fn run_briefly(&self, limit: Duration, work: impl Future<Output = ()>) {
        if let Some(tokio) = &self.tokio {
            let _ = tokio.block_on(async { tokio::time::timeout(limit, work).await });
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // A look-up of a name that still hangs is left behind.
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}
