//! The pages of the commands of 2014.

use clap_mangen::roff::{Roff, bold, roman};
use scanbridge::legacy::OldCommand;

use crate::command_page::references;
use crate::{DATE, MANUAL, Page, SOURCE};

/// The page of a command of 2014.
pub(crate) fn page(command: &OldCommand) -> Page {
    let OldCommand { name, synopsis, options, notes } = command;
    let mut roff = Roff::new();
    roff.control("TH", [name, "1", DATE, SOURCE, MANUAL]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{name} - {ABOUT}"))]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(*name), roman(synopsis.strip_prefix(name).unwrap_or(synopsis))]);
    roff.control("SH", ["OPTIONS"]);
    for (option, help) in options {
        roff.control("TP", []);
        roff.text([bold(option.as_str())]);
        roff.text([roman(help.replace('\n', " "))]);
    }
    roff.control("SH", ["DESCRIPTION"]);
    for paragraph in notes.trim().split("\n\n") {
        roff.control("PP", []);
        roff.text([roman(paragraph.replace('\n', " "))]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text(references(&["scanbridge", "scanbridge-run"]));
    Page { file: format!("{name}.1"), text: roff.render() }
}

const ABOUT: &str = "transfer findings from Qualys to a Defense Center, with the command line of the Qualys Connector of 2014";
