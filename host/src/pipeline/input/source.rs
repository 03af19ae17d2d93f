//! A source of findings: an input plugin, or dead letters.

use std::collections::BTreeMap;

use scanbridge_plugin_api::abi::InputHandle;
use scanbridge_plugin_api::batch::{RawBatch2, Schema};
use scanbridge_plugin_api::{
    CheckReport, Ends, ErrorKind, Event, Fips, InputCapabilities, LocalCheck, PluginError, Position,
    ReadOnly, ReportMarks, ReportPage, ReportQuery, Resumes, Shares, Step, Stored,
};

use super::dead_letter_source::DeadLetterSource;
use crate::pipeline::opener::{InputOpener, too_long};
use crate::plugins::context::Context;
use crate::plugins::instance_thread::InstanceThread;
use crate::state::DeadLetterEnd;

/// One input of a run.
#[derive(Debug)]
pub(in crate::pipeline) enum Source {
    Plugin(Box<PluginSource>),
    DeadLetters(Box<DeadLetterSource>),
}

/// An instance of an input plugin that can be reopened.
#[derive(Debug)]
pub(in crate::pipeline) struct PluginSource {
    opener: InputOpener,
    thread: InstanceThread<InputHandle>,
    schema: Schema,
    capabilities: InputCapabilities,
    start: Position,
    /// What reading would change at the source.
    effect: Option<PluginError>,
    /// Set until the first step after reopening.
    reopened: bool,
}

impl PluginSource {
    /// Opens an instance at this position; an empty one is the beginning.
    pub(in crate::pipeline) fn open(opener: InputOpener, start: Position) -> Result<Self, PluginError> {
        let mut thread = opener.thread();
        let (schema, capabilities, effect) = opener.open(&mut thread, &start)?;
        Ok(Self { opener, thread, schema, capabilities, start, effect, reopened: false })
    }

    /// Whether it can read a part of its source.
    pub(in crate::pipeline) fn shares(&self) -> bool {
        self.capabilities.shares == Shares::Yes
    }

    fn call<T: Send + 'static>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut InputHandle) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<T, PluginError> {
        let closed = || PluginError::new(ErrorKind::Unavailable, "the input is closed");
        let limits = self.opener.limits();
        self.thread.call(name, limits, move |handle| work(handle.as_mut().ok_or_else(closed)?))
    }

    /// Closes the instance, if it is open.
    fn close(&mut self) -> Result<(), PluginError> {
        if self.thread.is_hung() {
            return Ok(());
        }
        let limits = self.opener.limits();
        self.thread.call("close", limits, |handle| handle.take().map_or(Ok(()), InputHandle::close))
    }

    fn next(&mut self, recycled: RawBatch2) -> Result<Step, PluginError> {
        let mut step = self.call("next", move |handle| handle.next(recycled))?;
        if let Some(position) = &step.position {
            if position.0.len() > Position::MAX_BYTES {
                return Err(too_long("input", "position", position.0.len(), Position::MAX_BYTES));
            }
            if position.0.is_empty() {
                return Err(PluginError::bug("plugin bug: `next` returned an empty position"));
            }
        }
        let is_usable = match self.capabilities.resumes {
            Resumes::None => false,
            Resumes::Report => !matches!(step.event, Event::Batch(_)),
            _ => true,
        };
        step.position = step.position.filter(|_| is_usable);
        if step.position.is_some() || matches!(step.event, Event::Finished) {
            self.opener.context().keys().reached();
        }
        // A report may begin again only directly after the source was reopened.
        self.reopened &= matches!(step.event, Event::ReportStart { .. });
        Ok(step)
    }
}

impl Drop for PluginSource {
    fn drop(&mut self) {
        // Its errors were reported when the input ended.
        let _ = self.close();
    }
}

impl Source {
    pub(in crate::pipeline) fn id(&self) -> &str {
        match self {
            Self::Plugin(plugin) => plugin.opener.id(),
            Self::DeadLetters(_) => DeadLetterSource::ID,
        }
    }

    /// Whether the source divides its content among all instances that read it.
    pub(in crate::pipeline) fn is_divided(&self) -> bool {
        matches!(self, Self::Plugin(plugin) if plugin.capabilities.shares == Shares::Group)
    }

    /// The FIPS mode of the input; dead letters are read by the host itself.
    pub(in crate::pipeline) fn fips(&self) -> Fips {
        match self {
            Self::Plugin(plugin) => plugin.opener.fips(),
            Self::DeadLetters(_) => Fips::Off,
        }
    }

    pub(in crate::pipeline) fn plugin(&self) -> &str {
        match self {
            Self::Plugin(plugin) => plugin.opener.plugin(),
            Self::DeadLetters(_) => DeadLetterSource::ID,
        }
    }

    /// Whether the source is dead letters.
    pub(super) fn is_replay(&self) -> bool {
        matches!(self, Self::DeadLetters(_))
    }

    /// Whether the source gets reports about what is stored.
    pub(super) fn is_informed(&self) -> bool {
        match self {
            Self::Plugin(plugin) => plugin.opener.is_informed(),
            Self::DeadLetters(_) => true,
        }
    }

    /// What reading would change at the source, or why that is not known.
    pub(in crate::pipeline) fn effect(&self) -> Option<PluginError> {
        let Self::Plugin(plugin) = self else { return None };
        let is_declared = plugin.opener.declared().read_only == ReadOnly::Yes;
        let unknown = || {
            let name = plugin.opener.plugin();
            PluginError::config(format!("plugin {name} does not say whether reading changes its source"))
                .with_hint("ask the author of the plugin for a version that declares `read_only`")
        };
        if is_declared { plugin.effect.clone() } else { Some(unknown()) }
    }

    pub(in crate::pipeline) fn schema(&self) -> &Schema {
        match self {
            Self::Plugin(plugin) => &plugin.schema,
            Self::DeadLetters(dead_letters) => dead_letters.schema(),
        }
    }

    /// The host's side of the instance; dead letters have none.
    pub(in crate::pipeline) fn context(&self) -> Option<&'static Context> {
        match self {
            Self::Plugin(plugin) => Some(plugin.opener.context()),
            Self::DeadLetters(_) => None,
        }
    }

    /// Position at which the source would be reopened before its first step; `None` if it cannot be reopened.
    pub(super) fn start(&self) -> Option<Position> {
        match self {
            Self::Plugin(plugin) if plugin.capabilities.resumes == Resumes::None => None,
            Self::Plugin(plugin) => Some(plugin.start.clone()),
            Self::DeadLetters(_) => None,
        }
    }

    pub(in crate::pipeline) fn next(&mut self, recycled: RawBatch2) -> Result<Step, PluginError> {
        match self {
            Self::Plugin(plugin) => plugin.next(recycled),
            Self::DeadLetters(dead_letters) => dead_letters.next(recycled),
        }
    }

    /// Whether the last step is the first one after reopening.
    pub(super) fn was_reopened(&mut self) -> bool {
        match self {
            Self::Plugin(plugin) => std::mem::take(&mut plugin.reopened),
            Self::DeadLetters(_) => false,
        }
    }

    /// Reopens the source at this position.
    pub(super) fn reopen(&mut self, position: &Position) -> Result<(), PluginError> {
        let Self::Plugin(plugin) = self else {
            return Err(PluginError::bug("dead letters are read once"));
        };
        // It has failed already; a second error is of no interest.
        let _ = plugin.close();
        plugin.opener.context().keys().roll_back();
        let (schema, ..) = plugin.opener.open(&mut plugin.thread, position)?;
        if schema != plugin.schema {
            return Err(PluginError::bug("plugin bug: the input changed its columns when it was reopened"));
        }
        plugin.reopened = true;
        Ok(())
    }

    /// Whether the source waits for new reports instead of ending.
    pub(in crate::pipeline) fn is_endless(&self) -> bool {
        matches!(self, Self::Plugin(plugin) if plugin.capabilities.ends == Ends::No)
    }

    /// Whether `check` can be called without contacting a peer.
    pub(in crate::pipeline) fn local_check(&self) -> bool {
        match self {
            Self::Plugin(plugin) => plugin.opener.declared().local_check == LocalCheck::Yes,
            Self::DeadLetters(_) => false,
        }
    }

    pub(in crate::pipeline) fn check(&mut self) -> Result<CheckReport, PluginError> {
        match self {
            Self::Plugin(plugin) => plugin.call("check", InputHandle::check),
            Self::DeadLetters(_) => Ok(CheckReport::default()),
        }
    }

    /// A part of the list of stored reports.
    pub(in crate::pipeline) fn list_reports(
        &mut self,
        query: ReportQuery,
    ) -> Result<ReportPage, PluginError> {
        match self {
            Self::Plugin(plugin) => plugin.call("list", move |handle| handle.list_reports(&query)),
            Self::DeadLetters(_) => Err(PluginError::no_reports()),
        }
    }

    /// Changes what counts as delivered. Returns the number of changes; the keys are not stored yet.
    pub(in crate::pipeline) fn mark_reports(&mut self, marks: ReportMarks) -> Result<u64, PluginError> {
        match self {
            Self::Plugin(plugin) => plugin.call("mark", move |handle| handle.mark_reports(&marks)),
            Self::DeadLetters(_) => Err(PluginError::no_reports()),
        }
    }

    /// Informs the input about what is stored. `ends`: the last dead letter of each output.
    pub(super) fn stored(
        &mut self,
        stored: Stored,
        ends: &BTreeMap<String, DeadLetterEnd>,
    ) -> Result<(), PluginError> {
        match self {
            Self::Plugin(plugin) => {
                let keys = plugin.opener.context().keys();
                keys.set_in_stored(true);
                let informed = plugin.call("stored", move |handle| handle.stored(&stored));
                keys.set_in_stored(false);
                informed
            }
            Self::DeadLetters(dead_letters) => dead_letters.stored(&stored, ends),
        }
    }

    /// Closes the source.
    pub(in crate::pipeline) fn close(&mut self) -> Result<(), PluginError> {
        match self {
            Self::Plugin(plugin) => plugin.close(),
            Self::DeadLetters(_) => Ok(()),
        }
    }
}
