//! What the service says: refusals, results of commands, and the lines of its log, as an operator sees them.

use std::fmt::Write as _;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};
use crate::service::{Service, log, sandbox_with_report, simple, wait_for_state, write_pipeline};
use crate::service_dead_letters::{call, rogue};

/// A command with what it prints and its exit code; paths, times and process IDs are replaced.
fn printed(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let mut command = sandbox.program(installation::host(), arguments);
    command.args(["--state-dir", "state"]).env_remove("RUNTIME_DIRECTORY");
    shown(sandbox, arguments, &Outcome::of(command.output().unwrap()))
}

fn shown(sandbox: &Sandbox, arguments: &[&str], outcome: &Outcome) -> String {
    let Outcome { code, stdout, stderr, .. } = outcome;
    let code = code.map_or("signal".to_owned(), |code| format!("exit code {code}"));
    let text = format!("$ scanbridge {}\n{stdout}{stderr}{code}\n\n", arguments.join(" "));
    plain(sandbox, &text)
}

/// The text without what differs between two runs of the test.
fn plain(sandbox: &Sandbox, text: &str) -> String {
    let folder = sandbox.path("").canonicalize().unwrap();
    let text = text.replace(folder.to_str().unwrap().trim_end_matches('/'), "DIR");
    let program = installation::host().parent().unwrap().display().to_string();
    text.replace(&program, "BIN").lines().map(|line| without_times(line) + "\n").collect()
}

/// Times, process IDs and user IDs become words.
fn without_times(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_time =
            core.len() >= 8 && core.contains(':') && core.bytes().all(|b| b"0123456789-:.TZ".contains(&b));
        let is_date = core.len() == 10 && core.matches('-').count() == 2;
        let replaced = if is_time || is_date { "TIME" } else { core };
        word.replace(core, replaced)
    });
    let mut words: Vec<String> = words.collect();
    for number in 1..words.len() {
        match words[number - 1].as_str() {
            "process" => words[number] = "PID,".to_owned(),
            "uid" => words[number] = "UID".to_owned(),
            _ => {}
        }
    }
    words.join(" ")
}

/// A pipeline with an error that only its output finds: its runs end with 78, and it is held.
fn wrong(name: &str) -> String {
    let path = format!("path: {name}.csv");
    simple(name, "").replace(&path, &format!("{path}, headings: {{ asset.rack: Rack }}"))
}

#[test]
fn refusals_of_a_service_that_does_not_start() {
    let sandbox = sandbox_with_report();
    let mut text = printed(&sandbox, &["service", "status"]);
    text += &printed(&sandbox, &["tap", "nightly"]);
    text += &printed(&sandbox, &["service"]).lines().take(3).collect::<Vec<_>>().join("\n");
    text += "\n…\n\n";
    text += &printed(&sandbox, &["serve", "absent"]);
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    text += &printed(&sandbox, &["serve", "empty"]);
    text += &printed(&sandbox, &["serve", "empty", "--check"]);
    write_pipeline(&sandbox, "broken", "version: 1\n");
    text += &printed(&sandbox, &["serve", "pipelines"]);
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    text += &printed(&sandbox, &["serve", "pipelines", "--check"]);
    text += &printed(&sandbox, &["serve", "pipelines", "--strict"]);
    text += &printed(&sandbox, &["serve", "pipelines", "--log-file", "a.log", "--log-format", "journal"]);
    text += &printed(&sandbox, &["serve", "pipelines", "--log-file", "absent/a.log"]);
    text += &printed(&sandbox, &["serve", "pipelines", "--socket", "absent/control.sock"]);
    sandbox.write("service.yaml", "service: 1\nmax_runing: 2\n");
    text += &printed(&sandbox, &["serve", "--config", "service.yaml"]);
    let service = Service::start(&sandbox);
    text += &printed(&sandbox, &["serve", "pipelines"]);
    assert_eq!(service.stop(), Some(0));
    insta::assert_snapshot!(text);
}

#[test]
fn results_and_refusals_of_commands() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    write_pipeline(&sandbox, "watch", &rogue("wait-forever", "behave", "schedule: continuous"));
    write_pipeline(&sandbox, "wrong", &wrong("wrong"));
    write_pipeline(&sandbox, "broken", "version: 1\n");
    let service = Service::start(&sandbox);
    wait_for_state(&sandbox, "watch", "running");
    let mut text = String::new();
    let mut say = |arguments: &[&str]| text += &printed(&sandbox, arguments);
    for command in [
        &["run", "weekly"][..],
        &["pause", "weekly"],
        &["log", "weekly"],
        &["run", "nightly", "--wait"],
        &["resume", "nightly"],
        &["stop", "nightly"],
        &["run", "watch"],
        &["run", "broken"],
        &["pause", "nightly"],
        &["pause", "nightly"],
        &["run", "nightly"],
        &["resume", "nightly"],
        &["run", "wrong", "--wait"],
        &["run", "wrong"],
        &["log", "wrong"],
        &["token", "list"],
        &["token", "revoke", "absent"],
        &["token", "add", "a b", "--role", "read"],
        &["token", "add", "ci", "--role", "admin"],
    ] {
        say(&[&["service"], command].concat());
    }
    say(&["tap", "weekly"]);
    say(&["tap", "nightly"]);
    say(&["tap", "watch", "--output", "siem"]);
    write_pipeline(&sandbox, "nightly", "version: 1\ninputs: []\n");
    std::fs::remove_file(sandbox.path("pipelines/wrong.yaml")).unwrap();
    write_pipeline(&sandbox, "new", &simple("new", ""));
    say(&["service", "reload", "--all-or-nothing"]);
    say(&["service", "reload"]);
    say(&["service", "status", "nightly"]);
    let arguments = ["dead-letters", "purge", "pipelines/broken.yaml"];
    text += &shown(&sandbox, &arguments, &call(&sandbox, &arguments));
    let arguments = ["state", "reset", "pipelines/watch.yaml"];
    text += &shown(&sandbox, &arguments, &call(&sandbox, &arguments));
    assert_eq!(service.stop(), Some(0));
    insta::assert_snapshot!(text);
}

#[test]
fn log_of_the_service() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    let service = Service::start(&sandbox);
    let control = |arguments: &[&str]| {
        crate::service::control(&sandbox, arguments);
    };
    control(&["run", "nightly", "--wait"]);
    control(&["pause", "nightly"]);
    control(&["resume", "nightly"]);
    control(&["statistics"]);
    write_pipeline(&sandbox, "nightly", &simple("nightly", "schedule: { every_minutes: 0 }"));
    control(&["reload"]);
    write_pipeline(&sandbox, "nightly", &simple("nightly", "schedule: { cron: '0 5 1 1 *' }"));
    control(&["reload"]);
    write_pipeline(&sandbox, "other", &wrong("other"));
    std::fs::remove_file(sandbox.path("pipelines/nightly.yaml")).unwrap();
    control(&["reload"]);
    control(&["run", "other", "--wait"]);
    assert_eq!(service.stop(), Some(0));
    let shown = plain(&sandbox, &log(&sandbox));
    // Another thread writes who has sent a request.
    let (audit, others): (Vec<&str>, Vec<&str>) =
        shown.lines().partition(|line| line.contains(" from control socket: "));
    let mut text = String::new();
    for line in others.into_iter().chain(audit) {
        // Durations differ.
        let _ = writeln!(text, "{}", line.split(", 0.").next().unwrap_or_default());
    }
    insta::assert_snapshot!(text);
}

/// Into a directory instead of the system: no program of systemd is called.
#[test]
fn install_and_uninstall() {
    let sandbox = Sandbox::new();
    let mut text = String::new();
    for refused in [&["--name", "a b"][..], &["--credential", "password"], &["--path-write", "out"]] {
        text += &printed(&sandbox, &[&["service", "install", "--root", "root"], refused].concat());
    }
    text += &printed(&sandbox, &["service", "install", "--root", "root"]);
    let unit = sandbox.read("root/etc/systemd/system/scanbridge.service");
    sandbox.write("root/etc/systemd/system/scanbridge.service", unit + "# changed by hand\n");
    text += &printed(&sandbox, &["service", "install", "--root", "root"]);
    text += &printed(&sandbox, &["service", "uninstall", "--root", "root", "--name", "absent"]);
    text += &printed(&sandbox, &["service", "uninstall", "--root", "root", "--purge"]);
    text += &printed(&sandbox, &["service", "uninstall", "--root", "root"]);
    text += &printed(&sandbox, &["service", "install", "--root", "root"]);
    text += &printed(&sandbox, &["service", "uninstall", "--root", "root", "--purge", "--yes"]);
    insta::assert_snapshot!(text);
}
