//! The plugins that a pipeline can use.

use scanbridge_plugin_api::{Descriptor, PluginKind};

/// The available plugins.
pub trait Catalogue {
    /// The plugin with this name, ignoring case.
    fn find(&self, kind: PluginKind, name: &str) -> Option<&Descriptor>;
    /// Reason why an installed plugin with this name cannot be used: a sentence for the operator.
    fn refusal(&self, kind: PluginKind, name: &str) -> Option<String> {
        let _ = (kind, name);
        None
    }
    /// Libraries in plugin directories that cannot be loaded, each with its reason.
    fn refused(&self) -> Vec<String> {
        Vec::new()
    }
    /// Names of all plugins of a kind, in display order.
    fn names(&self, kind: PluginKind) -> Vec<String>;
}
