//! A receiver as configured.

use scanbridge_plugin_api::Endpoint;

/// A receiver as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receiver {
    /// Host name, or IP address without brackets.
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Endpoint::new(&*self.host, Some(self.port)).fmt(f)
    }
}
