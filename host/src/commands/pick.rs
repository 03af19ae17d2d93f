//! `scanbridge reports pick`: choose stored reports in the terminal and send them.

use std::fmt::{self, Display, Formatter};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::{env, io};

use inquire::error::InquireError;
use inquire::{Confirm, MultiSelect};
use signal_hook::consts::SIGINT;

use super::chosen_input::ChosenInput;
use super::preparation::Source;
use super::terminal::{end_with_terminal, error_style, has_prompts, print_error, print_text};
use crate::cli::{CommonOptions, PickArguments, ReportRow, ReportsView, common_arguments};
use crate::columns::{cut, fitted};
use crate::exit_code::{INTERRUPTED, USAGE, worst};
use crate::pipeline::show_bytes;
use crate::reports::OfferedReport;

/// `EX_SOFTWARE`: the prompts failed, or a process that sends reports was killed.
const BUG: u8 = 70;
/// Number of reports on one page of the list.
const PAGE: usize = 15;

/// Offers the unsent reports until the operator leaves. Returns the exit code of the worst run that sent some.
pub(super) fn pick(arguments: &PickArguments, common: &CommonOptions) -> u8 {
    if !has_prompts() {
        print_error("error: reports pick needs a terminal; use reports list and reports send\n");
        return USAGE;
    }
    if let Err(error) = end_with_terminal() {
        print_error(&format!("error: cannot install a signal handler: {error}\n"));
        return BUG;
    }
    let input = (arguments.filter.input.as_deref(), arguments.filter.chosen);
    let context = match ChosenInput::open(Source::File(&arguments.file), input, common) {
        Ok(context) => context,
        Err(refused) => return refused.print(),
    };
    let outputs: Vec<&str> =
        context.pipeline.outputs.iter().map(|output| output.instance.id.as_str()).collect();
    let outputs = outputs.join(", ");
    let mut codes = Vec::new();
    loop {
        let chosen = context.list(&arguments.filter).map(|all| {
            let (pipeline, input) = (&context.pipeline.name, &context.input().instance.id);
            let view = ReportsView { pipeline, input, all: &all, shown: Vec::new(), omitted: 0 };
            choose(&view, arguments.again, &outputs)
        });
        match chosen {
            Err(refused) => return worst(codes.into_iter().chain([refused.print()])),
            Ok(Choosing::Left) => return worst(codes),
            Ok(Choosing::Failed(code)) => return worst(codes.into_iter().chain([code])),
            Ok(Choosing::Again) => {}
            Ok(Choosing::Send(ids)) => match send(&ids, arguments, context.owner.is_some(), common) {
                Ok(code) => codes.push(code),
                Err(error) => {
                    print_error(&format!("error: cannot start the run: {error}\n"));
                    codes.push(BUG);
                }
            },
        }
        if codes.last() == Some(&INTERRUPTED) {
            return worst(codes);
        }
    }
}

/// What the operator has decided.
enum Choosing {
    /// To leave.
    Left,
    /// To look at the list again.
    Again,
    /// To send these reports, oldest first.
    Send(Vec<String>),
    /// Nothing, because the prompt failed or was interrupted.
    Failed(u8),
}

fn choose(view: &ReportsView<'_>, again: bool, outputs: &str) -> Choosing {
    let style = error_style();
    let is_offered = |report: &&OfferedReport| {
        report.state.is_unsent() || (again && report.state == crate::reports::ReportState::Sent)
    };
    let lines = lines(view.all.iter().filter(is_offered), style.width);
    let title = format!("reports of {} (input {}): {}", view.pipeline, view.input, view.counts());
    if lines.is_empty() {
        print_text(&format!("{title}\nnothing to choose; --again offers reports that were sent before\n"));
        return Choosing::Left;
    }
    let (title, help) = if style.width >= MIN_WIDE {
        (title, "space mark, → all, ← none, type to search, Enter send, Esc leave")
    } else {
        (view.counts(), "space, → all, ← none, type, Enter, Esc")
    };
    let prompt = MultiSelect::new(&title, lines).with_page_size(PAGE).with_help_message(help);
    let prompt = prompt.with_formatter(&|chosen| match chosen.len() {
        1 => "1 report".to_owned(),
        count => format!("{count} reports"),
    });
    let chosen = match prompt.prompt_skippable() {
        Ok(Some(chosen)) if chosen.is_empty() => return Choosing::Again,
        Ok(Some(chosen)) => chosen,
        Ok(None) => return Choosing::Left,
        Err(error) => return failed(&error),
    };
    let question = question(&chosen, outputs);
    match Confirm::new(&question).with_default(true).prompt_skippable() {
        // The list is newest first.
        Ok(Some(true)) => Choosing::Send(chosen.into_iter().rev().map(|line| line.id).collect()),
        Ok(Some(false) | None) => Choosing::Again,
        Err(error) => failed(&error),
    }
}

fn failed(error: &InquireError) -> Choosing {
    if matches!(error, InquireError::OperationInterrupted) {
        return Choosing::Failed(INTERRUPTED);
    }
    print_error(&format!("error: the list cannot be shown: {error}\n"));
    Choosing::Failed(BUG)
}

/// `Send 3 reports (18.2 MiB) to siem, sheet?`
fn question(chosen: &[Line], outputs: &str) -> String {
    let plural = if chosen.len() == 1 { "" } else { "s" };
    let bytes: Option<u64> = chosen.iter().map(|line| line.bytes).sum();
    let size = bytes.map(|bytes| format!(" ({})", show_bytes(bytes))).unwrap_or_default();
    format!("Send {} report{plural}{size} to {outputs}?", chosen.len())
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    id: String,
    bytes: Option<u64>,
    text: String,
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Columns of the terminal below which the kind and the size are left out.
const MIN_WIDE: usize = 80;
/// Columns that the prompt puts before a line.
const MARGIN: usize = 6;
/// Columns of `2026-11-27 22:10  `.
const MADE: usize = 18;
/// Columns of the kind, the size and the state, with the spaces after them.
const DETAILS: usize = 16 + 12 + 10;

/// Lines that fit into this many columns: a longer one would be wrapped, and the list would be hard to read.
fn lines<'a>(reports: impl Iterator<Item = &'a OfferedReport>, width: usize) -> Vec<Line> {
    let is_wide = width >= MIN_WIDE;
    let line = |report: &OfferedReport| {
        let row = ReportRow::of(report);
        let state = report.state.word();
        let text = if is_wide {
            let title = fitted(&row.title, width.saturating_sub(MARGIN + MADE + DETAILS + 2));
            format!("{:<16}  {title}  {:<14}  {:>10}  {state}", row.made, cut(&row.kind, 14), row.size)
        } else {
            let title = fitted(&row.title, width.saturating_sub(MARGIN + MADE + 9));
            format!("{:<16}  {title}  {state}", row.made)
        };
        Line { id: report.entry.id.clone(), bytes: report.entry.bytes, text }
    };
    reports.map(line).collect()
}

/// Sends the reports in a process of its own, so that its signals and plugins are those of one run.
fn send(ids: &[String], arguments: &PickArguments, is_owned: bool, common: &CommonOptions) -> io::Result<u8> {
    // Ctrl-C reaches both processes: this one waits for the end of the run.
    let interrupted = Arc::new(AtomicBool::new(false));
    let handler = signal_hook::flag::register(SIGINT, interrupted)?;
    let code = run(ids, arguments, is_owned, common);
    signal_hook::low_level::unregister(handler);
    code
}

fn run(ids: &[String], arguments: &PickArguments, is_owned: bool, common: &CommonOptions) -> io::Result<u8> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["reports", "send"]).args(common_arguments(common));
    if arguments.again {
        command.arg("--again");
    }
    if let Some(input) = &arguments.filter.input {
        command.args(["--input", input]);
    }
    let file: &Path = &arguments.file;
    if is_owned {
        // The list then shows the new states.
        command.arg("--wait");
    }
    let mut child = command.args(["--ids-from", "-", "--"]).arg(file).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all((ids.join("\n") + "\n").as_bytes())?;
    }
    Ok(child.wait()?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(BUG))
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::ReportEntry;

    use super::*;
    use crate::reports::ReportState;

    fn reports() -> Vec<OfferedReport> {
        let titles = [
            "Weekly EMEA",
            "Wöchentlicher Scan aller Standorte in Europa, im Nahen Osten und in Afrika, mit Anmeldung an den Systemen",
            "週次スキャン 週次スキャン 週次スキャン 週次スキャン 週次スキャン 週次スキャン",
            "with \u{1b}[31mcolors\u{1b}[0m and \u{202e}direction",
        ];
        let report = |(number, title): (usize, &&str)| OfferedReport {
            entry: ReportEntry::new(format!("scan/{number}"), *title)
                .with_kind("SCAN")
                .with_made(format!("2026-11-2{number}T22:10:00Z"))
                .with_bytes((number == 0).then_some(19_083_264)),
            state: ReportState::New,
            sent: String::new(),
            run: None,
            reason: String::new(),
        };
        titles.iter().enumerate().map(report).collect()
    }

    #[test]
    fn lines_fit_into_the_terminal() {
        for width in [40, 60, 79, 80, 100, 200] {
            for line in lines(reports().iter(), width) {
                let columns = MARGIN + textwrap::core::display_width(&line.text);
                assert!(columns <= width, "{columns} > {width}: {}", line.text);
                assert!(!line.text.contains(char::is_control) && !line.text.contains('\u{202e}'));
            }
        }
        let wide = lines(reports().iter(), 200);
        assert!(wide[0].text.contains("18.2 MiB") && wide[0].text.contains("SCAN"), "{}", wide[0]);
        let narrow = lines(reports().iter(), 60);
        assert!(!narrow[0].text.contains("MiB") && narrow[1].text.contains('…'), "{}", narrow[0]);
    }

    #[test]
    fn question_has_the_size_only_if_all_are_known() {
        let lines = lines(reports().iter(), 100);
        assert_eq!(question(&lines[..1], "siem, sheet"), "Send 1 report (18.2 MiB) to siem, sheet?");
        assert_eq!(question(&lines[..2], "siem"), "Send 2 reports to siem?");
    }
}
