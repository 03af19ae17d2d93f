//! The command line: argument definitions and output formatting. Free of side effects, except that a usage
//! error can print itself; the commands are carried out in `commands`.

mod arguments;
mod dead_letters_view;
mod encrypt_arguments;
mod example_view;
mod format;
mod graph_view;
mod help;
mod host_keys_view;
mod option_table;
mod option_words;
mod plugin_view;
mod preview_view;
mod reports_arguments;
mod reports_view;
mod run_arguments;
mod settings_view;
mod state_arguments;
mod state_findings_view;
mod state_list_view;
mod state_view;
mod table;
mod usage;

pub use arguments::{
    Arguments, CheckDepth, ColorChoice, Command, CommonOptions, ConfigCommand, GraphFormat, InitArguments,
    NewKind, PluginCommand, Zone,
};
pub use dead_letters_view::{
    GroupedLetters, export_dead_letters, instance_heading, list_dead_letters, no_dead_letters,
    show_dead_letter, show_missed_report,
};
pub use encrypt_arguments::{DecryptArguments, DecryptInput, EncryptCommand};
pub use example_view::show_example;
pub use format::{DescribeFormat, Format, ListFormat, SummaryFormat};
pub use graph_view::show_graph;
pub use help::{command, options_of_every_command};
pub use host_keys_view::{DescribedKey, host_keys};
#[cfg(test)]
pub(crate) use option_table::option_table;
pub(crate) use option_words::value_in_words;
pub use plugin_view::{ListedPlugin, NO_PLUGINS, RefusedLibrary, describe_plugin, list_plugins};
pub(crate) use preview_view::{preview_to_json, show_preview};
pub use reports_arguments::{
    PickArguments, ReportFilter, ReportsCommand, SelectedReports, SendArguments, StateFilter,
};
pub(crate) use reports_view::{ReportRow, ReportsView, list_reports};
pub(crate) use run_arguments::{common_arguments, run_arguments};
pub use settings_view::{RunLocations, show_settings};
pub use state_arguments::{
    DeadLettersCommand, LetterSelection, OneInstance, ServiceOptions, ShownInstances, StateCommand,
};
pub use state_list_view::{ListedState, export_states, list_states};
pub use state_view::{KnownState, export_instances, export_state, show_state};
pub use usage::{Usage, parse};
