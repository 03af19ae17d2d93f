//! Runs the commands of a block and compares what they print with what the page shows.

use std::process::Command;

use super::blocks::Block;
use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

/// Runs a block. In a `console` block each line with `$ ` is a command, and the lines after it are what it prints; any other
/// block is one script. The last command ends with this exit code, the others with 0.
///
/// # Errors
/// Another exit code, or a line of the page that was not printed.
pub(super) fn run(sandbox: &Sandbox, block: &Block, exit_code: i32) -> Result<(), String> {
    let steps = if block.language == "console" {
        steps(&block.lines)?
    } else {
        vec![(block.lines.join("\n"), Vec::new())]
    };
    let last = steps.len().checked_sub(1).ok_or("no command")?;
    for (index, (command, shown)) in steps.into_iter().enumerate() {
        let outcome = Outcome::of(shell(sandbox, &command).output().unwrap());
        let expected = if index == last { exit_code } else { 0 };
        let printed = format!("{}{}", outcome.stdout, outcome.stderr);
        if outcome.code != Some(expected) {
            return Err(format!("{command}: exit code {:?}\n{printed}", outcome.code));
        }
        if let Some(line) = first_missing(&shown, &printed) {
            return Err(format!(
                "{command}: this line is not printed, or not in this order: {line}\n{printed}"
            ));
        }
    }
    Ok(())
}

/// The commands with the lines that they print. A command continues after a backslash at the end of a line.
fn steps(lines: &[String]) -> Result<Vec<(String, Vec<&str>)>, String> {
    let mut steps: Vec<(String, Vec<&str>)> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((command.to_owned(), Vec::new())),
            (None, Some((command, _))) if command.ends_with('\\') => *command += &format!("\n{line}"),
            (None, Some((_, shown))) => shown.push(line),
            (None, None) => return Err(format!("a block must begin with `$` and a command: {line}")),
        }
    }
    Ok(steps)
}

/// The installed programs come first in the search path. Nothing of the machine's own state is used.
fn shell(sandbox: &Sandbox, script: &str) -> Command {
    let programs = installation::host().parent().unwrap().display().to_string();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(sandbox.path(""));
    command.env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()));
    command
        .env("HOME", sandbox.path(""))
        .env("XDG_STATE_HOME", sandbox.path("state"))
        .env("LC_ALL", "C.UTF-8");
    for name in
        ["STATE_DIRECTORY", "SCANBRIDGE_STATE_DIR", "SCANBRIDGE_PLUGIN_DIR", "RUNTIME_DIRECTORY", "RUST_LOG"]
    {
        command.env_remove(name);
    }
    command
}

/// The first shown line that was not printed. Lines come in the order of the page; between them others may be printed.
fn first_missing<'a>(shown: &[&'a str], printed: &str) -> Option<&'a str> {
    let mut rest = printed.lines();
    shown.iter().copied().filter(|line| !line.is_empty()).find(|line| !rest.any(|found| matches(line, found)))
}

/// Whether a printed line is as shown. `…` in the page is any text; times and durations may differ.
fn matches(shown: &str, printed: &str) -> bool {
    let (shown, printed) = (without_times(shown), without_times(printed));
    let mut parts = shown.split('…');
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((end, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(end)
}

/// Times and durations (`2026-12-01T05:13:52Z`, `after 0.03 s`) are replaced by `0`, and any space by one space.
fn without_times(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_time = |word: &str| {
        word.len() >= 20
            && word.starts_with("20")
            && word[2..].trim_end_matches('Z').chars().all(|c| c.is_ascii_digit() || "-:T.".contains(c))
    };
    let kept = words.iter().enumerate().map(|(index, word)| {
        let is_duration = words.get(index + 1) == Some(&"s") && word.parse::<f64>().is_ok();
        if is_duration || is_time(word) { "0" } else { *word }
    });
    kept.collect::<Vec<_>>().join(" ")
}

#[test]
fn ellipsis_and_times_are_any_text() {
    assert!(matches("a … c", "a b c") && matches("…", "x") && matches("a", "a "));
    assert!(!matches("a … c", "a b d") && !matches("a", "ab"));
    assert!(matches("saved 2026-12-01T05:13:52Z after 0.03 s", "saved 2027-01-01T00:00:00Z after 12.0 s"));
    assert_eq!(first_missing(&["b", "…d", "a"], "a\nb\nc d\n"), Some("a"));
}
