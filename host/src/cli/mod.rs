//! The command line: what may be typed, and how answers look. Pure: text in, text out; what the commands do is
//! elsewhere.

mod arguments;
mod plugin_view;
mod settings_view;
mod table;

pub use arguments::{
    Arguments, CheckDepth, Command, CommonOptions, ConfigCommand, Format, PluginCommand, Usage, parse,
};
pub use plugin_view::{ListedPlugin, RefusedLibrary, describe_plugin, list_plugins};
pub use settings_view::show_settings;
