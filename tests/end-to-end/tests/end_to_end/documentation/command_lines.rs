//! The commands that a page names, in blocks and in code spans, compared with the help of the program.

use std::collections::BTreeMap;

use super::blocks::blocks;
use crate::sandbox::{Outcome, Sandbox};

/// The command lines that begin with `scanbridge`, with their lines in the page.
pub(super) fn named(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for block in blocks(page) {
        for (index, line) in block.lines.iter().enumerate() {
            found.extend(in_line(line).map(|command| (block.line + 1 + index, command)));
        }
    }
    let mut in_block = false;
    for (index, line) in page.lines().enumerate() {
        in_block ^= line.trim_start().starts_with("```");
        let spans = line.split('`').skip(1).step_by(2);
        let commands = spans.filter(|span| !in_block && span.starts_with("scanbridge "));
        found.extend(commands.map(|span| (index + 1, span.to_owned())));
    }
    found
}

/// The command in a line of a block: after a prompt, a path, the fields of a crontab or a pipe.
fn in_line(line: &str) -> Option<String> {
    let (at, name) = line.match_indices("scanbridge ").find(|(at, _)| {
        let before = line[..*at].trim_end_matches(|c: char| !c.is_whitespace());
        line[before.len()..*at].is_empty() || line[before.len()..*at].ends_with('/')
    })?;
    let rest = &line[at + name.len()..];
    let end = rest.find([';', '|', '>', '<', '#', '&', '`', '(', '"']).unwrap_or(rest.len());
    Some(format!("{name}{}", &rest[..end]).trim_end().trim_end_matches('\\').trim_end().to_owned())
}

/// The help of each command that was asked for.
pub(super) struct Commands {
    sandbox: Sandbox,
    help: BTreeMap<Vec<String>, Option<String>>,
    everywhere: String,
}

impl Commands {
    pub(super) fn new() -> Self {
        let sandbox = Sandbox::new();
        let everywhere =
            Outcome::of(sandbox.host(&["help", "options"]).output().unwrap()).expect_code(0).stdout;
        Self { sandbox, help: BTreeMap::new(), everywhere }
    }

    /// The help of a command, `None` if there is no such command.
    fn help(&mut self, words: &[&str]) -> Option<String> {
        let key: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        if let Some(known) = self.help.get(&key) {
            return known.clone();
        }
        let outcome = Outcome::of(self.sandbox.host(words).arg("--help").output().unwrap());
        let help = (outcome.code == Some(0)).then_some(outcome.stdout);
        self.help.insert(key, help.clone());
        help
    }

    /// What is wrong with a command line.
    pub(super) fn problem(&mut self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        if words.first() == Some(&"help") {
            return None;
        }
        let mut depth = 0;
        let mut help = self.help(&[])?;
        while help.contains("\nCommands:\n") {
            let Some(word) =
                words.get(depth).filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
            else {
                break;
            };
            depth += 1;
            match self.help(&words[..depth]) {
                Some(found) => help = found,
                None => return Some(format!("no command `{word}`")),
            }
        }
        let options = words[depth..].iter().filter_map(|word| word.strip_prefix("--")).map(|word| {
            let name = word.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default();
            format!("--{name}")
        });
        let known = |option: &str| {
            let listed = |help: &str| {
                help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == option)
            };
            option == "--" || listed(&help) || listed(&self.everywhere)
        };
        let mut unknown = options.filter(|option| !known(option));
        unknown.next().map(|option| format!("no option {option}"))
    }
}

#[test]
fn commands_are_found_in_blocks_and_spans() {
    let page = "Use `scanbridge check FILE` or\n\n```sh\n17 5 * * * u cd x && target/scanbridge run p.yaml --quiet >> log\nno-scanbridge x\n```\n";
    let lines: Vec<_> = named(page);
    assert_eq!(
        lines,
        [(4, "scanbridge run p.yaml --quiet".to_owned()), (1, "scanbridge check FILE".to_owned())]
    );
}
