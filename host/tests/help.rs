//! Help texts of all commands at 80 columns.

use clap::error::ErrorKind;
use scanbridge::cli::command;

const COLUMNS: usize = 80;

/// The output of a command line that ends in help or a usage error.
fn usage(line: &[String]) -> (ErrorKind, String) {
    // A fixed width: clap uses that of the terminal otherwise.
    let command = command().term_width(COLUMNS);
    let error = command.try_get_matches_from(line).expect_err("help is an error");
    (error.kind(), error.render().to_string())
}

/// Checks the help of a command and of all its subcommands; returns the number of commands.
fn check_help(command: &clap::Command, parents: &[String]) -> usize {
    let mut path = parents.to_vec();
    path.push(command.get_name().to_owned());
    let (kind, text) = usage(&[path.clone(), vec!["--help".to_owned()]].concat());
    assert_eq!(kind, ErrorKind::DisplayHelp, "{path:?}: {text}");
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{path:?}: {text}");
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(format!("help-{}", path.join("-")), text);
    });
    1 + command.get_subcommands().map(|child| check_help(child, &path)).sum::<usize>()
}

#[test]
fn help_of_every_command() {
    let commands = check_help(&command(), &[]);
    let snapshots = std::fs::read_dir("tests/snapshots").unwrap();
    let names = snapshots.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let snapshots = names.filter(|name| name.starts_with("help-") && name.ends_with(".snap")).count();
    assert_eq!(snapshots, commands, "a snapshot of a removed command must be deleted");
}

#[test]
fn misspelled_option_gets_a_suggestion() {
    let line = "scanbridge run p.yaml --sumary json".split(' ').map(str::to_owned).collect::<Vec<_>>();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("usage-error", usage(&line).1);
    });
}
