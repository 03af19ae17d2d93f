//! Asks the host for what the service does not know itself: plugins, the ledger, dead letters.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::ask::{Answer, HostProgram, ask};
use crate::request::Reply;

/// Processes at one time; further requests wait.
const PROCESSES: usize = 4;

/// Commands of the host that print JSON.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    program: HostProgram,
    state: PathBuf,
    places: Arc<Semaphore>,
}

impl Host {
    pub(crate) fn new(program: HostProgram, state: PathBuf) -> Self {
        Self { program, state, places: Arc::new(Semaphore::new(PROCESSES)) }
    }

    /// A command about a pipeline or one of its instances, whose state is that of this service.
    pub(super) fn of_pipeline(
        &self,
        command: [&str; 2],
        (file, instance): (&str, Option<u32>),
    ) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = command.map(Into::into).to_vec();
        arguments.extend(["--state-dir".into(), self.state.clone().into_os_string(), file.into()]);
        arguments.extend(instance.map(|number| format!("--run-instance={number}").into()));
        arguments
    }

    /// What the command prints.
    ///
    /// # Errors
    /// The response for the client, when the command fails or prints something else.
    pub(super) async fn ask<T: DeserializeOwned>(&self, arguments: Vec<OsString>) -> Result<T, Reply> {
        let stdout = self.output(arguments).await?;
        serde_json::from_slice(&stdout).map_err(|error| failed(&error.to_string()))
    }

    /// What the command prints, one value of JSON on each line.
    ///
    /// # Errors
    /// As for [`Self::ask`].
    pub(super) async fn lines<T: DeserializeOwned>(&self, arguments: Vec<OsString>) -> Result<Vec<T>, Reply> {
        let stdout = self.output(arguments).await?;
        let values = serde_json::Deserializer::from_slice(&stdout).into_iter::<T>();
        values.collect::<Result<_, _>>().map_err(|error| failed(&error.to_string()))
    }

    async fn output(&self, arguments: Vec<OsString>) -> Result<Vec<u8>, Reply> {
        let _place = self.places.acquire().await;
        let mut command = self.program.command();
        command.args(arguments);
        let answer = tokio::task::spawn_blocking(move || ask(command)).await;
        let Answer { stdout, stderr, code } =
            answer.map_err(|error| failed(&error.to_string()))?.map_err(|error| failed(&error))?;
        if code != Some(0) {
            let mut reply = failed(stderr.lines().next().unwrap_or_default());
            reply.body["exit_code"] = code.into();
            return Err(reply);
        }
        Ok(stdout)
    }
}

fn failed(detail: &str) -> Reply {
    Reply::problem(502, "a command of the host failed", detail)
}
