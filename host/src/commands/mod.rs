//! Implementation of each command. [`cli`](crate::cli) formats the output.

mod check;
mod chosen_input;
mod dead_letters;
mod decrypt;
mod fips_report;
mod init;
mod new_plugin;
mod next_starts;
mod pick;
mod plugin;
mod preparation;
mod preview;
mod reports;
mod run;
mod run_files;
mod run_several;
mod saved_states;
mod service;
mod settings;
mod state;
mod summary;
pub(crate) mod terminal;
mod test;
mod version;

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use scanbridge_plugin_api::{ErrorKind, PluginKind};

use crate::cli::{
    Arguments, ColorChoice, Command, CommonOptions, ConfigCommand, GraphFormat, PluginCommand,
    options_of_every_command, run_arguments, show_graph,
};
use crate::config::Problems;
use crate::exam;
use crate::exit_code::exit_code;
use crate::fips::{self, NEEDS_FIPS_BUILD};
use crate::plugins::guard::ExitGuard;
use crate::plugins::instance_thread::end_command;
use crate::plugins::signals;
use crate::session::RunOptions;
use crate::telemetry::{self, LogOptions};
use preparation::{Source, checked, registry};
pub(crate) use run::{Asked, default_state_folder, on_signal};
use run::{Follow, RunTarget};
use run_several::Several;
pub use service::replaced_by_service;
use terminal::{print_error, print_output, stderr_is_terminal};
pub use version::print_version;

/// Executes a command and returns the exit code.
#[must_use]
pub fn execute(arguments: &Arguments) -> u8 {
    if matches!(arguments.command, Command::Serve(_) | Command::Service(_) | Command::Tap(_)) {
        return service::replace_process();
    }
    let _guard = ExitGuard::arm();
    let fips = match fips::minimum(arguments.common.fips) {
        Ok(fips) => fips,
        Err(problem) => {
            print_error(&format!("error: {problem}\n  = help: {NEEDS_FIPS_BUILD}\n"));
            return Problems::EXIT_CODE;
        }
    };
    let common = &CommonOptions { fips: Some(fips), ..arguments.common.clone() };
    telemetry::choose_colors(match common.color {
        ColorChoice::Auto => None,
        ColorChoice::Always => Some(true),
        ColorChoice::Never => Some(false),
    });
    // A child of the exam prints nothing: what it prints comes from the plugin.
    if !matches!(arguments.command, Command::Plugin(PluginCommand::Examine { .. }))
        && let Err(error) = telemetry::start(&log_options(&arguments.command, common))
    {
        let path = common.log_file.as_deref().unwrap_or(Path::new("the log")).display();
        print_error(&format!("error: cannot open the log file {path}: {error}\n"));
        return exit_code(ErrorKind::CannotCreate);
    }
    if !common.allow_core_dumps {
        signals::disable_core_dumps();
    }
    end_command(match &arguments.command {
        Command::Run {
            files,
            jobs,
            earlier,
            choice,
            summary,
            no_progress,
            dry_run,
            restart,
            wait,
            once,
            instance,
            trigger,
            service,
            report,
            metrics_file,
        } => {
            let options = RunOptions {
                restart: *restart,
                wait: *wait,
                once: *once,
                trigger: *trigger,
                instance: *instance,
            };
            let follow = Follow {
                bar: !no_progress && stderr_is_terminal(),
                supervised: service.supervised,
                report: report.as_deref(),
                metrics: metrics_file.as_deref(),
            };
            match files.as_slice() {
                [file] if *dry_run => {
                    preview::dry_run(&Source::of(file, service.bundle), *summary, follow, common)
                }
                [file] => {
                    let source = Source::of(file, service.bundle);
                    match choice.as_deref().map(run::read_choice).transpose() {
                        Ok(choice) => {
                            let earlier = earlier.as_deref();
                            let target = RunTarget { source, earlier, checked: None, choice };
                            run::run(target, *summary, options, follow, common)
                        }
                        Err(code) => code,
                    }
                }
                files => {
                    let arguments = run_arguments(common, options, *summary);
                    let several = Several { arguments, summary: *summary, dry_run: *dry_run, follow };
                    run_several::run(files, jobs.map(usize::from), &several)
                }
            }
        }
        Command::Init(arguments) => init::init(arguments, common),
        Command::Check { paths, depth, deny_warnings, format } => {
            let request = check::Request { depth: *depth, deny_warnings: *deny_warnings, format: *format };
            check::check(paths, request, common)
        }
        Command::Preview { file, count, output, format } => {
            let request = preview::Request { count: *count, output: output.as_deref(), format: *format };
            preview::preview(file, request, common)
        }
        Command::Test { files, format } => test::test(files, *format, common),
        Command::Graph { file, format } => graph(file, *format, common),
        Command::Completions { shell } => completions(*shell),
        Command::Options => print_output(&options_of_every_command(), 0),
        Command::Plugin(PluginCommand::List { format }) => plugin::list(*format, &registry(common)),
        Command::Plugin(PluginCommand::Describe { name, option, format }) => {
            plugin::describe(name, option.as_deref(), *format, &registry(common))
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
                fips,
            };
            plugin::test(&request, *format)
        }
        Command::Plugin(PluginCommand::Examine { job }) => exam::serve(job),
        Command::Config(ConfigCommand::Show { file, format, .. }) => settings::show(file, *format, common),
        Command::Config(ConfigCommand::Schema { summary: true }) => settings::schema_of_summary(),
        Command::Config(ConfigCommand::Schema { .. }) => settings::schema(&registry(common)),
        Command::Config(ConfigCommand::Example { plugins, all }) => {
            settings::example(plugins, *all, &registry(common))
        }
        Command::Config(ConfigCommand::Service { file, format }) => service::show_file(file, *format),
        Command::Config(ConfigCommand::Bundle { files }) => service::bundle(files, &registry(common)),
        Command::Serve(_) | Command::Service(_) | Command::Tap(_) => service::replace_process(),
        Command::State(command) => state::execute(command, common),
        Command::Encrypt(command) => decrypt::encrypt(command),
        Command::Decrypt(arguments) => decrypt::decrypt(arguments, common),
        Command::Reports(command) => reports::execute(command, common),
        Command::DeadLetters(command) => dead_letters::execute(command, common),
    })
}

/// The settings of the log. The runs of tests log warnings only, because their results are what counts.
fn log_options(command: &Command, common: &CommonOptions) -> LogOptions {
    let log = common.log();
    let less = i8::from(matches!(command, Command::Test { .. }));
    LogOptions { verbosity: log.verbosity.saturating_sub(less), ..log }
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
