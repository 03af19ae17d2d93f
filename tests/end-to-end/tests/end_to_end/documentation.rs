//! The code of the documentation: YAML blocks are valid, commands run and print what the page shows, and every command that a
//! page names has the options that it uses.
//!
//! A block that cannot run has a comment in the line before it: `<!-- not run: REASON -->`. The names of its commands and
//! options are checked nevertheless. `<!-- exit code: N -->` is the exit code of the last command of a block, and
//! `<!-- needs: PROGRAM -->` names a program without which it does not run.

mod blocks;
mod command_lines;
mod fixtures;
mod shell;

use std::fs;

use crate::installation::project_file;
use crate::sandbox::{Outcome, Sandbox};

pub(crate) use blocks::blocks;
use blocks::{Block, Treatment};

/// The pages, with their names relative to the repository.
fn pages() -> Vec<(String, String)> {
    let root = project_file(".");
    let names = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut found: Vec<String> =
        ["README.md", "CONTRIBUTING.md", "plugin-api/README.md", "examples/third-party-plugin/README.md"]
            .map(str::to_owned)
            .into();
    found
        .extend(names("docs").iter().filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")));
    found.extend(names("plugins").iter().map(|name| format!("plugins/{name}/README.md")));
    found.retain(|name| root.join(name).exists());
    found.sort();
    let text = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    found.into_iter().map(|name| (text(&name), name)).map(|(text, name)| (name, text)).collect()
}

/// Runs the blocks of a page in one directory: first the files, then the commands, in their order. Returns how many it ran, and
/// what is wrong.
fn run_page(name: &str, text: &str) -> (usize, Vec<String>) {
    let sandbox = Sandbox::new();
    std::os::unix::fs::symlink(project_file("examples"), sandbox.path("examples")).unwrap();
    fs::create_dir(sandbox.path("out")).unwrap();
    let mut blocks = blocks(text);
    blocks.sort_by_key(|block| block.language != "yaml");
    let (mut count, mut problems) = (0, Vec::new());
    for block in blocks {
        let Treatment::Run { exit_code } = block.treatment() else { continue };
        let result = match &*block.language {
            "yaml" => check_yaml(&sandbox, &block),
            "sh" | "console" => shell::run(&sandbox, &block, exit_code),
            "json" => check_json(&block),
            _ => continue,
        };
        count += 1;
        problems.extend(result.err().map(|problem| format!("{name}:{}: {problem}", block.line)));
    }
    (count, problems)
}

/// A pipeline (or a part of one), a service file or the test of a pipeline.
fn check_yaml(sandbox: &Sandbox, block: &Block) -> Result<(), String> {
    let file = fixtures::write_yaml(sandbox, block);
    let arguments: &[&str] = match file.kind {
        fixtures::Kind::Pipeline => &["check", "--offline"],
        fixtures::Kind::Service => &["config", "service"],
        fixtures::Kind::Test => &["test"],
    };
    let mut command = sandbox.host(arguments);
    command.arg(&file.name).envs(file.environment);
    let outcome = Outcome::of(command.output().unwrap());
    if outcome.code == Some(0) { Ok(()) } else { Err(format!("{}{}", outcome.stdout, outcome.stderr)) }
}

fn check_json(block: &Block) -> Result<(), String> {
    let lines = block.lines.iter().filter(|line| !line.is_empty());
    for line in lines {
        serde_json::from_str::<serde_json::Value>(line).map_err(|error| format!("{error}: {line}"))?;
    }
    Ok(())
}

#[test]
fn code_of_the_documentation_runs() {
    let (mut count, mut problems) = (0, Vec::new());
    for (name, text) in pages() {
        let (ran, found) = run_page(&name, &text);
        count += ran;
        problems.extend(found);
    }
    assert!(problems.is_empty(), "{} blocks:\n{}", problems.len(), problems.join("\n"));
    assert!(count > 50, "only {count} blocks ran");
}

#[test]
fn commands_that_pages_name_exist_with_their_options() {
    let mut commands = command_lines::Commands::new();
    let (mut checked, mut wrong) = (0, Vec::new());
    for (name, text) in pages() {
        for (line, command) in command_lines::named(&text) {
            checked += 1;
            wrong.extend(commands.problem(&command).map(|why| format!("{name}:{line}: `{command}`: {why}")));
        }
    }
    assert!(checked > 150, "only {checked} commands were checked");
    assert!(wrong.is_empty(), "{} commands:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_block_that_does_not_run_has_a_reason() {
    for (name, text) in pages() {
        for block in blocks(&text) {
            if let Treatment::NotRun { reason } = block.treatment() {
                assert!(
                    reason.split_whitespace().count() >= 3,
                    "{name}:{}: the reason is missing",
                    block.line
                );
            }
        }
    }
}
