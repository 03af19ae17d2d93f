//! The command line: argument definitions and output formatting. Free of side effects, except that a usage
//! error can print itself; the commands are carried out in `commands`.

mod arguments;
mod dead_letters_view;
mod format;
mod plugin_view;
mod settings_view;
mod state_arguments;
mod state_list_view;
mod state_view;
mod table;

pub use arguments::{
    Arguments, CheckDepth, Command, CommonOptions, ConfigCommand, NewKind, PluginCommand, Usage, parse,
};
pub use dead_letters_view::{
    GroupedLetters, list_dead_letters, no_dead_letters, show_dead_letter, show_missed_report,
};
pub use format::{Format, SummaryFormat};
#[cfg(test)]
pub(crate) use plugin_view::value_in_words;
pub use plugin_view::{ListedPlugin, NO_PLUGINS, RefusedLibrary, describe_plugin, list_plugins};
pub use settings_view::show_settings;
pub use state_arguments::{DeadLettersCommand, LetterSelection, StateCommand};
pub use state_list_view::{ListedState, export_states, list_states};
pub use state_view::{KnownState, export_state, show_state};
