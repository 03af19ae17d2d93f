//! Errors of the opening of instances.

use scanbridge_plugin_api::keeper::Share;
use scanbridge_plugin_api::{ErrorKind, PluginError};

use super::summary::{Failure, message_with_line};
use crate::config::{InputInstance, Instance};

/// An instance that could not be opened.
#[derive(Debug)]
pub(crate) struct OpenError {
    /// For the summary.
    pub(crate) failure: Failure,
    /// The error of the plugin, with the option that it is about. `None` if the saved state cannot be used.
    pub(crate) cause: Option<Box<PluginError>>,
}

/// The error of an input that always reads everything, when the output has given this run only a part.
pub(super) fn cannot_share(input: &InputInstance, share: Share) -> PluginError {
    let Instance { id, plugin, .. } = &input.instance;
    let Share { number, of, .. } = share;
    PluginError::config(format!(
        "input {id} cannot read a part of its source (plugin {plugin}), and the output has given this run part {number} of {of}"
    ))
    .with_hint("let the output keep one checkpoint only (`slots: 1`), or choose another input")
}

/// The error of an input that each instance of a pipeline would read completely.
pub(super) fn delivered_repeatedly(input: &InputInstance, instances: u32) -> PluginError {
    let Instance { id, plugin, .. } = &input.instance;
    PluginError::config(format!(
        "`instances: {instances}` would deliver everything of input {id} {instances} times: its plugin {plugin} reads the \
         complete source in each instance"
    ))
    .with_hint(
        "remove `instances`, or choose an output that keeps the checkpoint of the pipeline, or an input that divides its \
         source among instances",
    )
}

/// The error of a replay into an output that would replace all findings of an asset by the rejected ones.
pub(super) fn partial_not_supported(id: &str) -> PluginError {
    PluginError::config(format!(
        "cannot replay dead letters into output `{id}`: it does not accept single findings of a report"
    ))
    .with_hint(
        "run the pipeline again to send whole reports, or remove the dead letters with `dead-letters purge`",
    )
}

/// Adds the option that the error is about and, for the summary, its location. It is the named one, otherwise the first
/// one in the message. The plugin's own checks concern several options, so only the plugin can make them.
pub(super) fn open_error(instance: &Instance, mut error: PluginError) -> OpenError {
    error.message = message_with_line(&error).into_owned();
    error.line = None;
    if error.kind == ErrorKind::Config && error.option.is_none() {
        let index = |name: &&String| error.message.find(&format!("`{name}`"));
        let named = instance.origins.keys().filter(|name| index(name).is_some()).min_by_key(index);
        error.option = named.cloned();
    }
    let mut located = error.clone();
    let origin = error.option.as_ref().and_then(|name| instance.origins.get(name));
    if let (ErrorKind::Config, Some(origin)) = (error.kind, origin) {
        located.message = format!("{} ({}, line {})", error.message, origin.file.display(), origin.line);
    }
    OpenError { failure: Failure::new(&instance.id, &located), cause: Some(Box::new(error)) }
}

pub(super) fn not_available(error: impl std::fmt::Display) -> PluginError {
    PluginError::config(error.to_string())
}
