//! The service for many pipelines: it starts runs of `scanbridge run` by their schedules, supervises them and answers on
//! a control socket and, if asked to, over TCP. It loads no plugin and reads no pipeline file.
//!
//! ```text
//! http ─────────────┐
//! signals ─────────┼─► supervisor ─► fleet, machine, schedule (pure) ─► child (scanbridge run)
//! events of runs ──┘
//! ```

mod accepted;
mod api;
mod ask;
mod child;
mod choices;
mod cli;
mod client;
mod commands;
mod dead_letter_request;
mod fleet;
mod history;
mod http;
mod install;
mod job;
mod job_request;
mod jobs;
mod listeners;
mod log_sink;
mod machine;
mod main_loop;
mod message;
mod metrics;
mod notify;
mod owner;
mod process;
mod queued_choice;
mod reload;
mod request;
mod runs;
mod schedule;
mod send_request;
mod serve;
mod skip_request;
mod store;
mod supervisor;
mod table;
mod tap;
mod terminal;
mod uninstall;
mod unit_files;

use std::io::Write as _;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::cli::{Arguments, Command};

/// The command line of the service, for its manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the command of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(usage) => {
            let _ = usage.print();
            if usage.kind() == ErrorKind::DisplayVersion {
                let _ = writeln!(
                    std::io::stdout(),
                    "cryptography: {}",
                    scanbridge_tls_policy::module_with_self_test()
                );
            }
            let is_wanted = matches!(usage.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if is_wanted { 0 } else { 64 });
        }
    };
    ExitCode::from(match arguments.command {
        Command::Serve(options) => serve::serve(options, &arguments.common),
        Command::Owner { file } => owner::print_owner(file.as_deref(), &arguments.common),
        Command::Reports { verb, name, wait, summary } => {
            owner::reports((verb, &name), wait, summary, &arguments.common)
        }
        Command::DeadLetters { name, request } => owner::dead_letters(&name, &request, &arguments.common),
        Command::Service(command) => commands::execute(command, &arguments.common),
        Command::Tap { pipeline, output, count, seconds } => {
            let query = request::TapQuery { output, count, seconds };
            commands::tap(&pipeline, &query, &arguments.common)
        }
    })
}
