//! The manual pages of Scanbridge, made from the definitions of its command lines and its keys. A tool for packages: the
//! programs do not contain the pages.
//!
//! ```text
//! host: commands, old commands, keys ──┐
//! service: commands ───────────────────┴─► pages (roff)
//! ```

mod command_page;
mod old_command_page;
mod pipeline_page;

use std::io;

use clap::Command;

/// A manual page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Name of the file: name and section.
    pub file: String,
    /// Its content, in roff.
    pub text: String,
}

/// All pages: one for each command that is not hidden, one for each of the old commands, and one for pipeline files.
///
/// # Errors
/// Never in practice: writing to a text cannot fail.
pub fn pages() -> io::Result<Vec<Page>> {
    let mut pages = Vec::new();
    // The options of every command are on the first page only.
    let root = built(scanbridge::cli::command().mut_args(|argument| argument.hide(false)));
    pages.push(command_page::page(&root)?);
    let host = built(scanbridge::cli::command());
    let is_of_service = |command: &&Command| OF_SERVICE.contains(&command.get_name());
    for command in host.get_subcommands().filter(|command| !is_of_service(command)) {
        add(command, &mut pages)?;
    }
    let service = built(scanbridge_service::command());
    for command in service.get_subcommands().filter(is_of_service) {
        add(command, &mut pages)?;
    }
    pages.extend(scanbridge::legacy::old_commands().iter().map(old_command_page::page));
    pages.push(pipeline_page::page());
    Ok(pages)
}

/// The commands that the service's own program defines.
const OF_SERVICE: [&str; 3] = ["serve", "service", "tap"];

/// The command with all names, and without the command `help`, which has no page.
fn built(command: Command) -> Command {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    command
}

/// Adds the pages of a command and its subcommands.
fn add(command: &Command, pages: &mut Vec<Page>) -> io::Result<()> {
    if command.is_hide_set() {
        return Ok(());
    }
    pages.push(command_page::page(command)?);
    command.get_subcommands().try_for_each(|child| add(child, pages))
}

/// No date, so that the pages are the same in each build. An empty one would be left out, and shift what follows.
const DATE: &str = " ";
/// Name and version in the footer of each page.
const SOURCE: &str = concat!("Scanbridge ", env!("CARGO_PKG_VERSION"));
/// The header of each page.
const MANUAL: &str = "Scanbridge";
