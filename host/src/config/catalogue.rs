//! The plugins that a pipeline can use.

use scanbridge_plugin_api::{Descriptor, Fips, PluginKind};

use super::suggestion::sounds_secret;
use crate::fips;

/// The available plugins.
pub trait Catalogue {
    /// The plugin with this name, ignoring case.
    fn find(&self, kind: PluginKind, name: &str) -> Option<&Descriptor>;
    /// Reason why an installed plugin with this name cannot be used: a sentence for the operator.
    fn refusal(&self, kind: PluginKind, name: &str) -> Option<String> {
        let _ = (kind, name);
        None
    }
    /// The FIPS mode that every instance has at least.
    fn fips(&self) -> Fips {
        Fips::Off
    }
    /// Whether FIPS mode can be on in this build.
    fn is_fips_build(&self) -> bool {
        fips::IS_FIPS_BUILD
    }
    /// Reason why an instance in FIPS mode cannot use the plugin with this name: a sentence for the operator. Does not load
    /// its library.
    fn refusal_in_fips_mode(&self, kind: PluginKind, name: &str) -> Option<String> {
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

/// No plugin: for files that have no options of plugins.
pub(super) struct NoPlugins;

impl Catalogue for NoPlugins {
    fn find(&self, _: PluginKind, _: &str) -> Option<&Descriptor> {
        None
    }

    fn names(&self, _: PluginKind) -> Vec<String> {
        Vec::new()
    }
}

/// Whether a key sounds secret, or is a secret option of a plugin.
pub(super) fn may_be_secret(catalogue: &dyn Catalogue, key: &str) -> bool {
    let is_option = |kind: PluginKind| {
        let plugins = catalogue.names(kind);
        let mut options = plugins.iter().filter_map(|name| catalogue.find(kind, name)?.option(key));
        options.any(|option| option.secret)
    };
    sounds_secret(key) || [PluginKind::Input, PluginKind::Output].into_iter().any(is_option)
}
