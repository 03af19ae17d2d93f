//! Help texts of all commands at 80 columns, for the host and the service.

use clap::Command;
use clap::error::ErrorKind;

const COLUMNS: usize = 80;

/// The output of a command line that ends in help or a usage error.
pub(crate) fn usage(command: Command, line: &[String]) -> (ErrorKind, String) {
    // A fixed width: clap uses that of the terminal otherwise.
    let error = command.term_width(COLUMNS).try_get_matches_from(line).expect_err("help is an error");
    (error.kind(), error.render().to_string())
}

/// The help of a command and of all its subcommands, by the names of their snapshots. There must be no other snapshot.
pub(crate) fn help_texts(command: &Command) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    add(&mut texts, command, command, &[]);
    let snapshots = std::fs::read_dir("tests/snapshots").expect("the directory of the snapshots");
    let names = snapshots.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    for name in names.filter(|name| name.starts_with("help-") && name.ends_with(".snap")) {
        let is_known = texts.iter().any(|(known, _)| name == format!("{known}.snap"));
        assert!(is_known, "the snapshot {name} of a removed command must be deleted");
    }
    texts
}

fn add(texts: &mut Vec<(String, String)>, whole: &Command, command: &Command, parents: &[String]) {
    let path = [parents, &[command.get_name().to_owned()]].concat();
    let (kind, text) = usage(whole.clone(), &[&path[..], &["--help".to_owned()]].concat());
    assert_eq!(kind, ErrorKind::DisplayHelp, "{path:?}: {text}");
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{path:?}: {text}");
    texts.push((format!("help-{}", path.join("-")), text));
    command.get_subcommands().for_each(|child| add(texts, whole, child, &path));
}
