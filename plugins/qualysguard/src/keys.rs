//! Values that the instance keeps between runs, as JSON. The host stores them together with the position.

use scanbridge_plugin_api::{PluginError, Result, State, tracing};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value of a key; `None` if there is none, or another release wrote it.
pub(crate) fn read<T: DeserializeOwned>(state: &State, key: &str) -> Result<Option<T>> {
    let Some(bytes) = state.get(key)? else { return Ok(None) };
    let value = serde_json::from_slice(&bytes);
    Ok(value
        .inspect_err(|error| tracing::warn!("the saved value `{key}` is invalid and is ignored: {error}"))
        .ok())
}

/// Sets the value of a key.
pub(crate) fn write(state: &State, key: &str, value: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| PluginError::bug(format!("cannot serialize the state as JSON: {error}")))?;
    state.put(key, &bytes)
}
