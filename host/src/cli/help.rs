//! The command line with what the definitions of the arguments do not contain: two examples for each command, and the
//! options of every command in one place.

use clap::{Args, Command, CommandFactory};

use super::arguments::{Arguments, CommonOptions};

/// The complete command line.
#[must_use]
pub fn command() -> Command {
    let hidden = |argument: clap::Arg| {
        let is_global = argument.is_global_set();
        argument.hide(is_global)
    };
    let command = Arguments::command().mut_args(hidden);
    let command =
        command.mut_subcommand("options", |options| options.override_help(options_of_every_command()));
    with_examples(command, "")
}

/// Help of the options of every command.
#[must_use]
pub fn options_of_every_command() -> String {
    let command = CommonOptions::augment_args(Command::new("scanbridge"));
    let command = command.disable_help_flag(true).term_width(80).help_template("{options}");
    let command = command.mut_args(|argument| argument.global(false));
    format!("Options of every command:\n{}", command.clone().render_long_help())
}

/// Adds the examples to a command and its subcommands. `path` has the names of the commands above it.
fn with_examples(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|child| child.get_name().to_owned()).collect();
    let mut command = command;
    for name in names {
        command = command.mut_subcommand(&name, |child| {
            let path = format!("{path} {name}");
            with_examples(child, path.trim_start())
        });
    }
    let Some((_, examples)) = EXAMPLES.iter().find(|(of, _)| *of == path) else { return command };
    let lines: String = examples.iter().map(|example| format!("\n  scanbridge {example}")).collect();
    let before = command.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
    let options = if path.is_empty() { "" } else { "Options of every command: scanbridge help options\n\n" };
    command.after_help(format!("{options}{before}Examples:{lines}"))
}

/// Two examples for each command.
pub(super) const EXAMPLES: &[(&str, [&str; 2])] = &[
    ("", ["check nightly.yaml", "run nightly.yaml"]),
    ("run", ["run nightly.yaml", "run /etc/scanbridge/pipelines/*.yaml --jobs 2 --summary json"]),
    (
        "init",
        ["init /etc/scanbridge/pipelines", "init nightly.yaml --from qualys-connector /opt/qualys_connector"],
    ),
    ("check", ["check nightly.yaml", "check /etc/scanbridge/pipelines --deny-warnings --format json"]),
    ("preview", ["preview nightly.yaml", "preview nightly.yaml -n 20 --output siem --format json"]),
    ("test", ["test nightly.test.yaml", "test tests/*.yaml --format json"]),
    ("graph", ["graph nightly.yaml", "graph nightly.yaml --format dot | dot -Tsvg > nightly.svg"]),
    (
        "encrypt new-secret",
        ["encrypt new-secret fpe.secret", "encrypt new-secret /etc/scanbridge/fpe.secret"],
    ),
    (
        "decrypt",
        [
            "decrypt nightly.yaml --output siem --format address 10.243.162.91",
            "decrypt nightly.yaml --output siem --map dst=address,dhost=name",
        ],
    ),
    (
        "state forget-encryption", // words: allow
        [
            "state forget-encryption nightly.yaml --output siem --yes", // words: allow
            "state forget-encryption p.yaml --output cef --yes --state-dir s", // words: allow
        ],
    ),
    ("completions", ["completions bash > /etc/bash_completion.d/scanbridge", "completions fish | source"]),
    ("plugin list", ["plugin list", "plugin list --plugin-dir ./plugins --format json"]),
    ("plugin describe", ["plugin describe QualysGuard", "plugin describe CSV columns"]),
    (
        "plugin new",
        [
            "plugin new acme-input --input --api ../scanbridge/plugin-api",
            "plugin new acme-output --output --api ../scanbridge/plugin-api",
        ],
    ),
    (
        "plugin test",
        ["plugin test target/release/libacme.so --config exam.yaml", "plugin test libacme.so --only O2"],
    ),
    ("config show", ["config show nightly.yaml", "config show nightly.yaml --format json"]),
    ("config schema", ["config schema > pipeline.schema.json", "config schema --plugin-dir ./plugins"]),
    (
        "config example",
        ["config example QualysGuardFile CSV > nightly.yaml", "config example QualysGuard ArcSightCEF --all"],
    ),
    (
        "config service",
        ["config service /etc/scanbridge/service.yaml", "config service service.yaml --format json"],
    ),
    ("state list", ["state list", "state list --state-dir /var/lib/scanbridge --format json"]),
    ("state discard", ["state discard nightly.yaml", "state discard nightly.yaml --state-dir /srv/state"]),
    (
        "reports list",
        ["reports list emea.yaml", "reports list emea.yaml --state all --match weekly --format json"],
    ),
    (
        "reports send",
        [
            "reports send emea.yaml --id scan/1790000000.00042",
            "reports send emea.yaml --all-new --summary json",
        ],
    ),
    (
        "reports skip",
        [
            "reports skip emea.yaml --before 2026-01-01",
            "reports skip emea.yaml --id scan/1790000000.00042 --undo",
        ],
    ),
    ("reports pick", ["reports pick emea.yaml", "reports pick emea.yaml --since 7d --again"]),
    ("serve", ["serve /etc/scanbridge/pipelines", "serve --check nightly.yaml"]),
    ("service", ["service status", "service run nightly --wait"]),
    ("tap", ["tap nightly", "tap nightly --output siem -n 5 --seconds 60"]),
    ("state show", ["state show nightly.yaml", "state show nightly.yaml --format json"]),
    (
        "state export",
        ["state export nightly.yaml > state.json", "state export nightly.yaml --state-dir /srv/state"],
    ),
    ("state reset", ["state reset nightly.yaml", "state reset nightly.yaml --instance scans"]),
    ("dead-letters list", ["dead-letters list nightly.yaml", "dead-letters list nightly.yaml --format json"]),
    (
        "dead-letters show",
        ["dead-letters show nightly.yaml", "dead-letters show nightly.yaml --output siem --format json"],
    ),
    (
        "dead-letters replay",
        [
            "dead-letters replay nightly.yaml",
            "dead-letters replay nightly.yaml --output siem --reason length",
        ],
    ),
    (
        "dead-letters purge",
        ["dead-letters purge nightly.yaml --output siem", "dead-letters purge nightly.yaml --older-than 90d"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;

    #[test]
    fn definitions_and_examples_are_valid() {
        command().debug_assert();
        for (path, examples) in EXAMPLES {
            for example in examples {
                assert!(example.starts_with(path), "{example}");
                let words = example.split(['|', '>']).next().unwrap_or_default().split_whitespace();
                let line = ["scanbridge"].into_iter().chain(words);
                assert!(parse(line).is_ok(), "{example}");
            }
        }
    }

    #[test]
    fn every_command_that_does_something_has_examples() {
        fn check(command: &Command, path: &str) {
            for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
                let path = format!("{path} {}", child.get_name());
                let path = path.trim_start();
                if child.has_subcommands() {
                    check(child, path);
                } else if path != "options" {
                    assert!(EXAMPLES.iter().any(|(of, _)| *of == path), "{path}");
                }
            }
        }
        check(&Arguments::command(), "");
    }
}
