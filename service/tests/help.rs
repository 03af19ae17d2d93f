//! Help texts of all commands of the service at 80 columns.

use clap::Command;
use clap::error::ErrorKind;

const COLUMNS: usize = 80;

/// Checks the help of a command and of all its subcommands; returns the number of commands.
fn check_help(command: &Command, parents: &[String]) -> usize {
    let mut path = parents.to_vec();
    path.push(command.get_name().to_owned());
    let line = [path.clone(), vec!["--help".to_owned()]].concat();
    // A fixed width: clap uses that of the terminal otherwise.
    let whole = scanbridge_service::command().term_width(COLUMNS);
    let help = whole.try_get_matches_from(line).expect_err("help is an error");
    assert_eq!(help.kind(), ErrorKind::DisplayHelp, "{path:?}: {help}");
    let text = help.render().to_string();
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{path:?}: {text}");
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(format!("help-{}", path.join("-")), text);
    });
    1 + command.get_subcommands().map(|child| check_help(child, &path)).sum::<usize>()
}

#[test]
fn help_of_every_command() {
    let commands = check_help(&scanbridge_service::command(), &[]);
    let snapshots = std::fs::read_dir("tests/snapshots").expect("the directory of the snapshots");
    let names = snapshots.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let snapshots = names.filter(|name| name.starts_with("help-") && name.ends_with(".snap")).count();
    assert_eq!(snapshots, commands, "a snapshot of a removed command must be deleted");
}
