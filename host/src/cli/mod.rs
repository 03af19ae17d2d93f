//! The command line: what may be typed, and how answers look. Pure: text in, text out; what the commands do is
//! elsewhere.

mod arguments;
mod letters_view;
mod plugin_view;
mod settings_view;
mod state_view;
mod table;

pub use arguments::{
    Arguments, CheckDepth, Command, CommonOptions, ConfigCommand, DeadLettersCommand, Format, PluginCommand,
    StateCommand, Usage, parse,
};
pub use letters_view::{LetterCount, list_letter_counts, no_letters, show_letter};
pub use plugin_view::{ListedPlugin, NO_PLUGINS, RefusedLibrary, describe_plugin, list_plugins};
pub use settings_view::show_settings;
pub use state_view::{KnownState, export_state, show_state};
