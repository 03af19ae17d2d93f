//! The manual pages: one for each command, with everything that the help says, and valid roff.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use scanbridge_man_pages::{Page, pages};

fn all() -> Vec<Page> {
    pages().unwrap()
}

/// The visible commands below this one, each with its options.
fn commands(command: &clap::Command, path: &str, found: &mut Vec<(String, Vec<String>)>) {
    for child in command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help")
    {
        let path = format!("{path}-{}", child.get_name());
        let shown = child.get_arguments().filter(|argument| !argument.is_hide_set());
        let options = shown.filter_map(|argument| argument.get_long().map(|long| format!("--{long}")));
        found.push((path.clone(), options.collect()));
        commands(child, &path, found);
    }
}

fn known() -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    commands(&scanbridge::cli::command(), "scanbridge", &mut found);
    // The host only passes these on; the service's own program defines their options.
    let is_of_service = |name: &str| {
        ["serve", "service", "tap"].iter().any(|of| name.starts_with(&format!("scanbridge-{of}")))
    };
    found.retain(|(name, _)| !is_of_service(name));
    let mut of_service = Vec::new();
    commands(&scanbridge_service::command(), "scanbridge", &mut of_service);
    found.extend(of_service.into_iter().filter(|(name, _)| is_of_service(name)));
    found
}

#[test]
fn every_command_has_a_page_and_no_other_page_exists() {
    let mut expected: BTreeSet<String> = known().into_iter().map(|(name, _)| format!("{name}.1")).collect();
    assert!(expected.len() > 35, "{expected:?}");
    expected.extend(
        ["scanbridge.1", "qualys_connector.1", "process_multiple.1", "scanbridge-pipeline.5"]
            .map(str::to_owned),
    );
    let files: Vec<String> = all().into_iter().map(|page| page.file).collect();
    assert_eq!(files.iter().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(files.len(), expected.len(), "a page twice: {files:?}");
}

#[test]
fn every_page_has_every_option_and_the_usual_sections() {
    let pages = all();
    let page = |name: &str| &pages.iter().find(|page| page.file == format!("{name}.1")).unwrap().text;
    for (name, options) in known() {
        let text = page(&name).replace("\\-", "-");
        for option in options {
            assert!(text.contains(&option), "{name} lacks {option}:\n{text}");
        }
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"] {
            assert!(
                text.contains(&format!(".SH {section}\n").replace("SEE ALSO", "\"SEE ALSO\"")),
                "{name}: {section}"
            );
        }
    }
    let first = page("scanbridge").replace("\\-", "-");
    for option in ["--state-dir", "--plugin-dir", "--log-format", "--log-level", "--color"] {
        assert!(first.contains(option), "{option} is an option of every command");
    }
}

#[test]
fn the_keys_of_pipeline_files_have_a_page() {
    let pages = all();
    let text = &pages.iter().find(|page| page.file == "scanbridge-pipeline.5").unwrap().text;
    for key in
        ["if_running", "checkpoint.secs", "schedule.cron", "retry.", "queue.", "min_severity", "exclude."]
    {
        assert!(text.contains(&format!("\\fB{key}")), "{key}:\n{text}");
    }
}

/// What `groff` prints for a page, and what it complains about.
fn formatted(page: &Page) -> Option<(String, String)> {
    let mut command = Command::new("groff");
    command.args(["-Kutf8", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=80n"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut groff = match command.spawn() {
        Ok(groff) => groff,
        Err(error) if std::env::var_os("CI").is_none() => {
            let _ = writeln!(
                std::io::stderr(),
                "skipped: cannot start groff (Debian package groff-base): {error}"
            );
            return None;
        }
        Err(error) => panic!("cannot start groff (Debian package groff-base): {error}"),
    };
    groff.stdin.take().unwrap().write_all(page.text.as_bytes()).unwrap();
    let output = groff.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&output.stdout), text(&output.stderr)))
}

#[test]
fn groff_has_nothing_to_complain_about() {
    for page in all() {
        let Some((text, complaints)) = formatted(&page) else { return };
        assert_eq!(complaints, "", "{}:\n{}", page.file, page.text);
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= 90, "{}: a line of {longest} columns\n{text}", page.file);
    }
}

#[test]
fn pages_as_a_reader_sees_them() {
    for page in all() {
        if ["scanbridge-dead-letters-purge.1", "scanbridge-service-reload.1", "process_multiple.1"]
            .contains(&page.file.as_str())
        {
            let Some((text, _)) = formatted(&page) else { return };
            let text = text.replace(env!("CARGO_PKG_VERSION"), "X.Y.Z");
            insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
                insta::assert_snapshot!(page.file.as_str(), text);
            });
        }
    }
}
