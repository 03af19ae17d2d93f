//! `--version -v`, and colors on standard error.

use std::process::Command;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

#[test]
fn version_with_details_of_the_build_and_the_plugins() {
    let sandbox = Sandbox::new();
    let version =
        |arguments: &[&str]| Outcome::of(sandbox.host(arguments).output().unwrap()).expect_code(0).stdout;
    let short = version(&["--version"]);
    let first = format!("scanbridge {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(short.lines().next(), Some(first.as_str()));
    for arguments in [["--version", "-v"], ["-v", "--version"], ["--version", "--verbose"]] {
        let long = version(&arguments);
        let mut lines = long.lines();
        assert!(short.lines().eq(lines.by_ref().take(2)), "{long}");
        for label in ["commit: ", "plugin ABI: 2 (API 2.", "target: ", "compiler: rustc "] {
            let line = lines.next().unwrap();
            assert!(line.len() > label.len() && line.starts_with(label), "{label}: {long}");
        }
        let plugins: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).collect();
        for plugin in [["input", "QualysGuard"], ["input", "QualysGuardFile"], ["output", "CSV"]] {
            let found = plugins.iter().find(|found| found[..2] == plugin);
            let version = found.unwrap_or_else(|| panic!("{plugin:?}: {long}"))[2];
            assert!(version.split('.').count() == 3, "{long}");
        }
    }
}

/// An invalid pipeline, with these arguments and variables. Whether the errors have colors.
fn is_colored(sandbox: &Sandbox, arguments: &[&str], variables: &[(&str, &str)], terminal: bool) -> bool {
    let mut command = if terminal {
        let host = installation::host().display();
        let line = format!("{host} check pipeline.yaml --offline {}", arguments.join(" "));
        let mut script = sandbox.program("script".as_ref(), &["--quiet", "--command", &line, "typescript"]);
        script.env("TERM", "xterm");
        script
    } else {
        sandbox.host(&[&["check", "pipeline.yaml", "--offline"], arguments].concat())
    };
    command.env_remove("NO_COLOR").envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("unknown key"), "{text}");
    text.contains("\u{1b}[")
}

#[test]
fn colors_are_chosen_by_the_option_and_by_the_terminal() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", "versoin: 1\n");
    let no_color = [("NO_COLOR", "1")];
    for (arguments, variables, expected) in [
        (&[][..], &[][..], false),
        (&["--color", "auto"], &[], false),
        (&["--color", "never"], &[], false),
        (&["--color", "always"], &[], true),
        // What the operator chooses on the command line is more than a variable.
        (&["--color", "always"], &no_color, true),
    ] {
        assert_eq!(is_colored(&sandbox, arguments, variables, false), expected, "{arguments:?}");
    }
    if !Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "the command `script` is missing");
        eprintln!("skipped: the command `script` is missing, which provides a terminal");
        return;
    }
    for (arguments, variables, expected) in [
        (&[][..], &[][..], true),
        (&["--color", "auto"], &[], true),
        (&["--color", "never"], &[], false),
        (&[], &no_color, false),
        (&[], &[("NO_COLOR", "")], true),
        (&[], &[("TERM", "dumb")], false),
        (&["--color", "always"], &[("TERM", "dumb")], true),
    ] {
        let colored = is_colored(&sandbox, arguments, variables, true);
        assert_eq!(colored, expected, "on a terminal: {arguments:?} {variables:?}");
    }
}
