//! Implementation of each command. [`cli`](crate::cli) formats the output.

mod check;
mod dead_letters;
mod new_plugin;
mod plugin;
mod preparation;
mod run;
mod settings;
mod state;
pub(crate) mod terminal;
mod version;

use scanbridge_plugin_api::PluginKind;

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{
    Arguments, ColorChoice, Command, CommonOptions, ConfigCommand, Format, GraphFormat, PluginCommand,
    options_of_every_command, show_graph,
};
use crate::exam;
use crate::plugins::guard::ExitGuard;
use crate::plugins::instance_thread::end_command;
use crate::plugins::signals;
use crate::session::RunOptions;
use crate::telemetry::{self, LogFormat};
use preparation::{checked, registry};
pub(crate) use run::{default_state_folder, stop_on_signal};
use terminal::{print_output, stderr_is_terminal};
pub use version::print_version;

/// Executes a command and returns the exit code.
#[must_use]
pub fn execute(arguments: &Arguments) -> u8 {
    let _guard = ExitGuard::arm();
    let common = &arguments.common;
    let format = match common.log_format {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
    };
    telemetry::choose_colors(match common.color {
        ColorChoice::Auto => None,
        ColorChoice::Always => Some(true),
        ColorChoice::Never => Some(false),
    });
    // A child of the exam prints nothing: what it prints comes from the plugin.
    if !matches!(arguments.command, Command::Plugin(PluginCommand::Examine { .. })) {
        telemetry::start(format, verbosity(common));
    }
    if !common.allow_core_dumps {
        signals::disable_core_dumps();
    }
    end_command(match &arguments.command {
        Command::Run { file, summary, no_progress, restart, wait } => {
            let options =
                RunOptions { bar: !no_progress && stderr_is_terminal(), restart: *restart, wait: *wait };
            run::run(file, *summary, options, common)
        }
        Command::Check { paths, depth, deny_warnings, format } => {
            let request = check::Request { depth: *depth, deny_warnings: *deny_warnings, format: *format };
            check::check(paths, request, common)
        }
        Command::Graph { file, format } => graph(file, *format, common),
        Command::Completions { shell } => completions(*shell),
        Command::Options => print_output(&options_of_every_command(), 0),
        Command::Plugin(PluginCommand::List { format }) => plugin::list(*format, &registry(common)),
        Command::Plugin(PluginCommand::Describe { name, format }) => {
            plugin::describe(name, *format, &registry(common))
        }
        Command::Plugin(PluginCommand::New { name, kind, api }) => {
            let kind = if kind.input { PluginKind::Input } else { PluginKind::Output };
            new_plugin::new(name, kind, api)
        }
        Command::Plugin(PluginCommand::Test { library, config, only, format }) => {
            let request = exam::Request {
                library: library.clone(),
                config: config.clone(),
                only: only.clone(),
                allow_world_writable: common.allow_world_writable_plugins,
            };
            plugin::test(&request, *format)
        }
        Command::Plugin(PluginCommand::Examine { job }) => exam::serve(job),
        Command::Config(ConfigCommand::Show { file, format, .. }) => settings::show(file, *format, common),
        Command::Config(ConfigCommand::Example { plugins, all }) => {
            settings::example(plugins, *all, &registry(common))
        }
        Command::Config(ConfigCommand::Schema) => settings::schema(&registry(common)),
        Command::State(command) => state::execute(command, common),
        Command::DeadLetters(command) => dead_letters::execute(command, common),
    })
}

fn graph(file: &Path, format: GraphFormat, common: &CommonOptions) -> u8 {
    match checked(file, &registry(common), "") {
        Ok(pipeline) => print_output(&show_graph(&pipeline, format), 0),
        Err(code) => code,
    }
}

fn completions(shell: Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "scanbridge", &mut script);
    print_output(&String::from_utf8_lossy(&script), 0)
}

fn verbosity(common: &CommonOptions) -> i8 {
    let count = |times: u8| i8::try_from(times).unwrap_or(i8::MAX);
    count(common.verbose) - count(common.quiet)
}
