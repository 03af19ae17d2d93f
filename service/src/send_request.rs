//! The request to send stored reports.

use serde::Deserialize;

/// What a client asks to be sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendRequest {
    /// The `id` of the input; needed if several have stored reports.
    #[serde(default)]
    pub(crate) input: Option<String>,
    pub(crate) ids: Vec<String>,
    #[serde(default)]
    pub(crate) again: bool,
}
