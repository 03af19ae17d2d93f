//! A source of findings: an input plugin, or dead letters.

use scanbridge_plugin_api::abi::InputHandle;
use scanbridge_plugin_api::batch::{RawBatch, Schema};
use scanbridge_plugin_api::{CheckReport, ErrorKind, Next, PluginError, Position};

use super::instance::{Context, InputOpener, too_long};
use super::letters::LetterSource;
use crate::plugins::guard;
use crate::state::LetterHistory;

/// One input of a run.
#[derive(Debug)]
pub(super) enum Source {
    Plugin(PluginSource),
    Letters(LetterSource),
}

/// An instance of an input plugin, which can be opened again.
#[derive(Debug)]
pub(super) struct PluginSource {
    opener: InputOpener,
    /// `None` while it is being opened again: there are never two instances.
    handle: Option<InputHandle>,
    schema: Schema,
    start: Position,
    /// Set until the first step after it was opened again.
    reopened: bool,
}

impl PluginSource {
    /// An instance that was opened at this position.
    pub(super) fn new(opener: InputOpener, handle: InputHandle, start: Position) -> Self {
        let schema = handle.schema().clone();
        Self { opener, handle: Some(handle), schema, start, reopened: false }
    }

    fn call<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut InputHandle) -> Result<T, PluginError>,
    ) -> Result<T, PluginError> {
        let caller = self.opener.context().caller();
        let closed = || PluginError::new(ErrorKind::Unavailable, "the input is closed");
        let handle = self.handle.as_mut().ok_or_else(closed)?;
        guard::during(caller, name, || work(handle))
    }

    fn close(&mut self) {
        let handle = self.handle.take();
        guard::during(self.opener.context().caller(), "close", || drop(handle));
    }
}

impl Drop for PluginSource {
    fn drop(&mut self) {
        self.close();
    }
}

impl Source {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Plugin(plugin) => plugin.opener.id(),
            Self::Letters(_) => LetterSource::ID,
        }
    }

    pub(super) fn plugin(&self) -> &str {
        match self {
            Self::Plugin(plugin) => plugin.opener.plugin(),
            Self::Letters(_) => LetterSource::ID,
        }
    }

    /// Whether the source is dead letters.
    pub(super) fn is_replay(&self) -> bool {
        matches!(self, Self::Letters(_))
    }

    /// History of the findings of the last batch, by row; empty for new findings.
    pub(super) fn take_history(&mut self) -> Vec<LetterHistory> {
        match self {
            Self::Plugin(_) => Vec::new(),
            Self::Letters(letters) => letters.take_history(),
        }
    }

    pub(super) fn schema(&self) -> &Schema {
        match self {
            Self::Plugin(plugin) => &plugin.schema,
            Self::Letters(letters) => letters.schema(),
        }
    }

    /// The host's side of the instance; dead letters have none.
    pub(super) fn context(&self) -> Option<&'static Context> {
        match self {
            Self::Plugin(plugin) => Some(plugin.opener.context()),
            Self::Letters(_) => None,
        }
    }

    /// Position at which the source would be opened again before its first step; `None` if it cannot be.
    pub(super) fn start(&self) -> Option<Position> {
        match self {
            Self::Plugin(plugin) => Some(plugin.start.clone()),
            Self::Letters(_) => None,
        }
    }

    pub(super) fn next(&mut self, recycled: RawBatch) -> Result<Next, PluginError> {
        match self {
            Self::Plugin(plugin) => {
                let next = plugin.call("next", |handle| handle.next(recycled))?;
                if let Next::Batch { position, .. } | Next::ReportEnd { position, .. } = &next
                    && position.0.len() > Position::MAX_BYTES
                {
                    return Err(too_long("input", "position", position.0.len(), Position::MAX_BYTES));
                }
                // A report may begin again only directly after the source was opened again.
                plugin.reopened &= matches!(next, Next::ReportStart(_));
                Ok(next)
            }
            Self::Letters(letters) => letters.next(recycled),
        }
    }

    /// Whether the last step is the first one after the source was opened again.
    pub(super) fn was_reopened(&mut self) -> bool {
        match self {
            Self::Plugin(plugin) => std::mem::take(&mut plugin.reopened),
            Self::Letters(_) => false,
        }
    }

    /// Opens the source again at this position.
    pub(super) fn reopen(&mut self, place: &Position) -> Result<(), PluginError> {
        let Self::Plugin(plugin) = self else {
            return Err(PluginError::bug("dead letters are read once"));
        };
        plugin.close();
        let handle = plugin.opener.open(&place.0)?;
        if *handle.schema() != plugin.schema {
            return Err(PluginError::bug("plugin bug: the input changed its columns when it was reopened"));
        }
        (plugin.handle, plugin.reopened) = (Some(handle), true);
        Ok(())
    }

    pub(super) fn check(&mut self) -> Result<CheckReport, PluginError> {
        match self {
            Self::Plugin(plugin) => plugin.call("check", InputHandle::check),
            Self::Letters(_) => Ok(CheckReport::default()),
        }
    }

    pub(super) fn committed(&mut self, position: &Position) -> Result<(), PluginError> {
        match self {
            Self::Plugin(plugin) => plugin.call("committed", |handle| handle.committed(position)),
            Self::Letters(_) => Ok(()),
        }
    }
}
