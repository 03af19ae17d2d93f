//! The command line: argument definitions and output formatting. Free of side effects, except that a usage
//! error can print itself; the commands are carried out in `commands`.

mod arguments;
mod dead_letters_view;
mod plugin_view;
mod settings_view;
mod state_view;
mod table;
mod usage;

pub use arguments::{
    Arguments, CheckDepth, Command, CommonOptions, ConfigCommand, DeadLettersCommand, Format, NewKind,
    PluginCommand, StateCommand, Zone,
};
pub use dead_letters_view::{list_dead_letter_counts, no_dead_letters, show_dead_letter, show_missed_report};
#[cfg(test)]
pub(crate) use plugin_view::value_in_words;
pub use plugin_view::{ListedPlugin, NO_PLUGINS, RefusedLibrary, describe_plugin, list_plugins};
pub use settings_view::show_settings;
pub use state_view::{KnownState, export_state, show_state};
pub use usage::{Usage, parse};
