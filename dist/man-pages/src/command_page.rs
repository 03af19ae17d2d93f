//! The page of a command: as `clap_mangen` makes it, but with the synopsis of the help, and with the text after the help
//! in sections of its own.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::{DATE, MANUAL, Page, SOURCE};

/// The page of a command that is built.
pub(crate) fn page(command: &Command) -> io::Result<Page> {
    let mut command = command.clone();
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone().override_usage(usage)).date(DATE).source(SOURCE).manual(MANUAL);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    sections_of(&after, &command).to_writer(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    Ok(Page { file: man.get_filename(), text: without_repeated_preamble(&text) })
}

/// The text after the help as sections, and where to read on.
fn sections_of(after: &str, command: &Command) -> Roff {
    let mut roff = Roff::new();
    let mut last = "";
    for paragraph in after.split("\n\n") {
        let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        let heading = match first.split(':').next() {
            Some("Exit codes") => "EXIT STATUS",
            Some("Examples" | "Example") => "EXAMPLES",
            // The options of every command have a page of their own.
            _ => continue,
        };
        if heading != last {
            roff.control("SH", [heading]);
            last = heading;
        }
        match first.split_once(": ") {
            Some((_, inline)) => {
                roff.text([roman(format!("{inline} {rest}").trim().to_owned())]);
            }
            None => {
                roff.control("nf", []);
                rest.lines().for_each(|line| {
                    roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
                });
                roff.control("fi", []);
            }
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    let name = command.get_display_name().unwrap_or_default();
    // The page of a command of the service has all its options.
    let is_complete = command.get_arguments().any(|argument| argument.get_help_heading().is_some());
    let mut others = vec!["scanbridge", "scanbridge-options", "scanbridge-pipeline"];
    others.retain(|other| *other != name && !(is_complete && *other == "scanbridge-options"));
    roff.text(references(&others));
    roff
}

/// The names of pages with their sections.
pub(crate) fn references(names: &[&str]) -> Vec<clap_mangen::roff::Inline> {
    let mut text = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let section = if name.ends_with("-pipeline") { 5 } else { 1 };
        text.push(bold(*name));
        let end = if number + 1 < names.len() { ", " } else { "" };
        text.push(roman(format!("({section}){end}")));
    }
    text
}

/// Each part of a page begins with the definition of the apostrophe. One is enough.
fn without_repeated_preamble(text: &str) -> String {
    let is_preamble = |line: &str| line.contains(".ds Aq ") || line.starts_with(".el .ds Aq");
    let preamble = text.lines().take_while(|line| is_preamble(line));
    let rest = text.lines().filter(|line| !is_preamble(line));
    preamble.chain(rest).map(|line| format!("{line}\n")).collect()
}
