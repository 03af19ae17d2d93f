//! What the host has of an instance under test: its thread, its frame, its keys.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scanbridge_plugin_api::abi::HostTable2;
use scanbridge_plugin_api::{ErrorKind, OpenFrame, PluginError};

use crate::exam::HANG;
use crate::exam::job::{Answer, Instance, Step};
use crate::fips;
use crate::pipeline::{Stop, new_frame};
use crate::plugins::call::Caller;
use crate::plugins::context::Context;
use crate::plugins::instance_thread::{CallLimits, InstanceThread};
use crate::plugins::services::leaked_table;
use crate::state::InstanceKeys;

/// An instance of a plugin, with the host's side of it.
pub(super) trait UnderTest {
    /// The instance as the plugin API represents it.
    type Handle: Send + 'static;

    fn side(&self) -> &Side<Self::Handle>;
    fn call(&mut self, index: usize, step: &Step) -> Result<Answer, PluginError>;
}

/// The host's side of an instance.
pub(super) struct Side<H> {
    pub(super) frame: Arc<OpenFrame>,
    pub(super) stop: Arc<Stop>,
    pub(super) context: &'static Context,
    /// The host table of the context.
    pub(super) host: &'static HostTable2,
    limits: CallLimits,
    thread: Option<InstanceThread<H>>,
}

impl<H: Send + 'static> Side<H> {
    pub(super) fn new(spec: &Instance) -> Self {
        let limits = CallLimits::of(HANG);
        let mut frame = new_frame("exam", "exam", spec.purpose, limits);
        frame.run = 1;
        // The parent has checked it.
        frame.fips = fips::minimum(None).unwrap_or_default();
        frame.options.clone_from(&spec.options);
        frame.state_folder.clone_from(&spec.state_folder);
        frame.reports.clone_from(&spec.reports);
        if let Some(bytes) = spec.batch_bytes {
            frame.limits.batch_bytes = bytes;
        }
        let stop = Arc::new(Stop::default());
        let keys = InstanceKeys::new("exam", None, spec.purpose);
        let caller = Caller::new("the examined plugin".to_owned(), None);
        let context = Context::leaked(keys, caller, &stop);
        let host = leaked_table(context);
        Self { frame: Arc::new(frame), stop, context, host, limits, thread: None }
    }

    pub(super) fn call<T: Send + 'static>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut Option<H>) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<T, PluginError> {
        let (context, limits) = (self.context, self.limits);
        self.thread.get_or_insert_with(|| InstanceThread::start("exam", context)).call(name, limits, work)
    }

    /// A call of an open instance.
    pub(super) fn with<T: Send + 'static>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut H) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<T, PluginError> {
        self.call(name, move |handle| work(handle.as_mut().ok_or_else(not_open)?))
    }

    /// Closes the instance and ends its thread.
    pub(super) fn close(&mut self, close: fn(H) -> Result<(), PluginError>) -> Result<Answer, PluginError> {
        self.call("close", move |handle| handle.take().map_or(Ok(()), close))?;
        self.thread = None;
        Ok(Answer::default())
    }

    /// Stores the keys of the instance together with this position or receipt, as the ledger does.
    pub(super) fn save_keys(&self, at: &[u8]) -> Result<(), PluginError> {
        let keys = self.context.keys();
        let mut stored = BTreeMap::new();
        for name in keys.list("")? {
            stored.insert(name.clone(), keys.get(&name)?);
        }
        let json = serde_json::to_vec(&stored).expect("keys can be serialized");
        // The exam can kill this process here, and a ledger stores all or nothing.
        let path = self.keys_at(at);
        let new = path.with_extension("new");
        fs::write(&new, json).and_then(|()| fs::rename(&new, &path)).map_err(|error| io_error(&error))
    }

    /// Restores the keys that were stored together with this position or receipt.
    pub(super) fn restore_keys(&self, at: &[u8]) -> Result<(), PluginError> {
        let path = self.keys_at(at);
        if !path.exists() {
            return Ok(());
        }
        let json = fs::read(path).map_err(|error| io_error(&error))?;
        let stored: BTreeMap<String, Option<Vec<u8>>> =
            serde_json::from_slice(&json).map_err(|error| PluginError::bug(error.to_string()))?;
        let keys = self.context.keys();
        for name in keys.list("")? {
            keys.change(&name, None)?;
        }
        stored.iter().try_for_each(|(name, value)| keys.change(name, value.as_deref()))
    }

    fn keys_at(&self, at: &[u8]) -> PathBuf {
        let folder = self.frame.state_folder.parent().unwrap_or(Path::new("."));
        folder.join(format!(".keys-{:032x}", xxhash_rust::xxh3::xxh3_128(at)))
    }

    pub(super) fn is_hung(&self) -> bool {
        self.thread.as_ref().is_some_and(InstanceThread::is_hung)
    }
}

fn io_error(error: &io::Error) -> PluginError {
    PluginError::new(ErrorKind::Io, format!("cannot store the keys: {error}"))
}

/// The error of a call that the instance does not have now.
pub(super) fn not_open() -> PluginError {
    PluginError::config("the exam called a function of an instance that is not open")
}
