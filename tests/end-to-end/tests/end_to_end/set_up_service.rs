//! `scanbridge init` with a service and several inputs: in a terminal, with answers from a file, and killed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::installation;
use crate::pseudo_terminal::{ENTER, ESCAPE, Terminal};
use crate::sandbox::{Outcome, Sandbox};
use crate::service::{Service, control, log, sandbox_with_report};
use crate::set_up::{answer, choose_file_input, host, start};

/// Answers the questions about an output for CSV, and all after it up to those about the service.
fn choose_output_and_schedule(terminal: &mut Terminal) {
    answer(terminal, "Where findings are written to", "CSV:\r");
    answer(terminal, "Its name in logs", "sheet\r");
    answer(terminal, "Output sheet · path", "out.csv\r");
    answer(terminal, "other options", ENTER);
    answer(terminal, "test the connection now", "continue\r");
    answer(terminal, "no more outputs", ENTER);
    answer(terminal, "Filter · min_severity", ENTER);
    answer(terminal, "Filter · kinds", ENTER);
    answer(terminal, "only on request", ENTER);
}

#[test]
fn service_with_console_and_two_inputs_is_set_up_in_a_terminal() {
    for columns in [60, 200] {
        let sandbox = sandbox_with_report();
        fs::copy(sandbox.path("scan.xml"), sandbox.path("other.xml")).unwrap();
        let mut terminal = start(&sandbox, columns, "setup");
        choose_file_input(&mut terminal, "add another\r");
        answer(&mut terminal, "Where findings are read from", "QualysGuardFile\r");
        answer(&mut terminal, "id: (qualysguardfile)", "more\r");
        answer(&mut terminal, "Input more · path", "other.xml\r");
        answer(&mut terminal, "other options", ENTER);
        answer(&mut terminal, "test the connection now", "continue\r");
        let list = answer(&mut terminal, "no more inputs", ENTER);
        assert!(list.contains("scans, more"), "{list}");
        choose_output_and_schedule(&mut terminal);
        answer(&mut terminal, "service:", "yes\r");
        answer(&mut terminal, "name of the unit:", "-x\r");
        terminal.wait_for("must have 1 to 64 characters");
        terminal.press("\u{7f}\u{7f}bridge\r");
        answer(&mut terminal, "description:", "\u{202e}x\r");
        terminal.wait_for("must not contain invisible");
        terminal.press("\u{7f}\u{7f}Our bridge\r");
        answer(&mut terminal, "start at boot:", ESCAPE);
        answer(&mut terminal, "description: (Our bridge)", ENTER);
        answer(&mut terminal, "start at boot:", ENTER);
        answer(&mut terminal, "console:", "yes\r");
        answer(&mut terminal, "listen: (127.0.0.1:9001)", "localhost:0\r");
        terminal.wait_for("a name is not possible");
        terminal.press(&"\u{7f}".repeat(11));
        terminal.press("127.0.0.1:0\r");
        let summary = terminal.wait_for("write setup/nightly.yaml");
        for part in [
            "setup/service.yaml:",
            "pipelines:\n  - nightly.yaml\n",
            "listen: 127.0.0.1:0\n",
            "--name bridge",
        ] {
            assert!(summary.contains(part), "{part} is missing in {summary}");
        }
        assert!(!sandbox.path("setup/service.yaml").exists(), "written before it was confirmed");
        terminal.wait_for("Esc back");
        terminal.press("change\r");
        answer(&mut terminal, "change:", "service · name\r");
        answer(&mut terminal, "name of the unit: (bridge)", "relay\r");
        answer(&mut terminal, "write setup/nightly.yaml", ENTER);
        let text = terminal.ends_with(0);
        assert!(text.contains("written  setup/service.yaml"), "{text}");

        // The command that was shown installs a unit that starts the service with this file.
        let install = text.lines().rfind(|line| line.starts_with("  scanbridge service install ")).unwrap();
        let install = install.split("      #").next().unwrap();
        let unit = printed_unit(install);
        let file = sandbox.path("setup/service.yaml");
        let start = format!("ExecStart=/usr/bin/scanbridge serve --config {}\n", file.display());
        assert!(unit.contains(&start) && unit.contains("Description=Our bridge\n"), "{unit}");
        assert!(unit.contains("# /etc/systemd/system/relay.service\n"), "{unit}");

        // The service runs with it, also if the directory is named: the service file does not count as a pipeline.
        host(&sandbox, &["check", "setup", "--deny-warnings"]).expect_code(0);
        for folder in [None, Some("setup")] {
            let service = Service::start_with(&sandbox, |command| {
                *command = sandbox.host(&["serve", "--config", "setup/service.yaml", "--state-dir", "state"]);
                command.args(folder).args(["--log-file", "service.log"]).env_remove("RUNTIME_DIRECTORY");
            });
            let status = control(&sandbox, &["status", "--format", "json"]).expect_code(0).stdout;
            let status: Value = serde_json::from_str(&status).unwrap();
            assert!(status["service"]["listener"]["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));
            assert_eq!(status["pipelines"].as_array().unwrap().len(), 1, "{status:#}\n{}", log(&sandbox));
            control(&sandbox, &["run", "nightly", "--wait"]).expect_code(0);
            assert_eq!(service.stop(), Some(0));
        }
    }
}

/// What the command prints with `--print`.
fn printed_unit(install: &str) -> String {
    let programs = installation::host().parent().unwrap();
    let output = Command::new("sh")
        .args(["-c", &format!("{install} --print")])
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .output()
        .unwrap();
    Outcome::of(output).expect_code(0).stdout
}

/// A file with answers; each of its secrets gets a file.
fn answers(service: &str) -> String {
    let input = |id: &str| {
        format!(
            "  - id: {id}\n    plugin: QualysGuard\n    with: {{ user_id: dirk_g, password: '{SECRET}{id}', source: scan-reports }}\n"
        )
    };
    let inputs: String = ["a", "b", "c"].map(input).concat();
    format!(
        "version: 1\nname: weekly\nx-init-service: {service}\ninputs:\n{inputs}outputs:\n  - {{ id: sheet, plugin: CSV, with: {{ path: out.csv }} }}\n"
    )
}

const SECRET: &str = "s3cret-";

#[test]
fn answers_about_the_service_come_from_a_file() {
    let sandbox = Sandbox::new();
    let init = ["init", "setup", "--answers", "answers.yaml"];
    let all = "{ name: bridge, description: Our bridge, start_at_boot: no, console: yes }";
    sandbox.write("answers.yaml", answers(all));
    let printed = host(&sandbox, &[&init[..], &["--print"]].concat()).expect_code(0).stdout;
    assert!(!sandbox.path("setup").exists());
    let outcome = host(&sandbox, &init).expect_code(0);
    assert!(
        outcome.stdout.contains("--name bridge --description 'Our bridge' --no-enable --start"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("scanbridge service login-link"), "{}", outcome.stdout);
    let [pipeline, service] = ["setup/weekly.yaml", "setup/service.yaml"].map(|file| sandbox.read(file));
    assert_eq!(printed, format!("{pipeline}---\n{service}"));
    assert!(!pipeline.contains("x-init"), "{pipeline}");
    let shown = host(&sandbox, &["config", "service", "setup/service.yaml"]).expect_code(0).stdout;
    assert!(
        shown.contains("pipelines: setup/weekly.yaml\n")
            && shown.contains("console.listen: 127.0.0.1:9001\n"),
        "{shown}"
    );

    // Without questions nothing is replaced; a file that is already right does not matter.
    fs::remove_file(sandbox.path("setup/weekly.yaml")).unwrap();
    host(&sandbox, &init).expect_code(0);
    fs::remove_file(sandbox.path("setup/weekly.yaml")).unwrap();
    sandbox.write("answers.yaml", answers("{ console: '[::1]:9009' }"));
    let refused = host(&sandbox, &init).expect_code(73).stderr;
    assert!(refused.contains("setup/service.yaml exists"), "{refused}");
    assert_eq!(sandbox.read("setup/service.yaml"), service);
    assert!(!sandbox.path("setup/weekly.yaml").exists());

    for (wrong, part) in [
        ("{ nmae: x }", "did you mean `name`"),
        ("{ name: a/b }", "`name` must have 1 to 64 characters"),
        ("{ name: -x }", "`name` must have 1 to 64 characters"),
        ("{ description: '' }", "`description` must be one line"),
        ("{ description: \"a\\nb\" }", "`description` must be one line"),
        ("{ start_at_boot: perhaps }", "`start_at_boot` must be"),
        ("{ console: localhost }", "write 127.0.0.1:9001"),
        ("perhaps", "`x-init-service` must be"),
        ("[a]", "`x-init-service` must be"),
    ] {
        sandbox.write("wrong.yaml", answers(wrong));
        let outcome = host(&sandbox, &["init", "other", "--answers", "wrong.yaml"]).expect_code(78);
        assert!(outcome.stderr.contains(part), "{wrong}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("nothing was written"), "{wrong}: {}", outcome.stderr);
        assert!(!sandbox.path("other").exists(), "{wrong}");
    }
    // A path that a unit cannot have, and the name of the service file.
    sandbox.write("answers.yaml", answers("yes"));
    for (target, part) in
        [("a b", "must be an absolute path without spaces"), ("new/service.yaml", "name of the service file")]
    {
        let outcome = host(&sandbox, &["init", target, "--answers", "answers.yaml"]).expect_code(78);
        assert!(outcome.stderr.contains(part), "{target}: {}", outcome.stderr);
        assert!(!sandbox.path(target).exists(), "{target}");
    }
}

/// All files below a directory by their paths, with modes and content.
fn files(folder: &Path) -> BTreeMap<String, (u32, String)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        let Ok(entries) = fs::read_dir(&at) else { continue };
        for entry in entries.map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.insert(name, (mode, fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// `kill -9` at any time: each file is complete or missing, no secret is readable by others, and a new set-up completes it.
#[test]
fn killed_set_up_leaves_whole_files_and_is_repeated() {
    let sandbox = Sandbox::new();
    sandbox.write("answers.yaml", answers("{ console: yes }"));
    host(&sandbox, &["init", "whole", "--answers", "answers.yaml"]).expect_code(0);
    let whole = files(&sandbox.path("whole"));
    assert_eq!(whole.len(), 5, "{:?}", whole.keys());
    let (mut between, mut complete) = (0, 0);
    for number in 0..400_u64 {
        if number >= 60 && between >= 10 && complete > 0 {
            break;
        }
        let name = format!("set-up-{number}");
        let folder = sandbox.path(&name);
        let init = ["init", &name, "--answers", "answers.yaml", "--state-dir", "state"];
        let mut child = sandbox.host(&init).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The directory is the first that is made.
        let started = Instant::now();
        while !folder.exists() && child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(60));
        }
        sleep(Duration::from_micros(number % 40 * 100));
        child.kill().unwrap();
        child.wait().unwrap();
        let left = files(&folder);
        for (file, (mode, text)) in &left {
            assert!(!text.contains(SECRET) || *mode == 0o600, "{file}: {mode:o}");
            match whole.get(file) {
                Some((_, expected)) => assert_eq!(text, expected, "{file}"),
                None => assert!(file.rsplit('/').next().unwrap().starts_with(".init-"), "{file}"),
            }
        }
        let is_complete = left.contains_key("weekly.yaml");
        assert!(!is_complete || whole.keys().all(|file| left.contains_key(file)), "{:?}", left.keys());
        complete += usize::from(is_complete);
        between += usize::from(!is_complete && !left.is_empty());
        host(&sandbox, &init[..4]).expect_code(if is_complete { 73 } else { 0 });
        if !is_complete {
            assert_eq!(files(&folder), whole, "the rest of the killed set-up is gone");
        }
    }
    assert!(between > 0, "no set-up was killed between two files");
}

/// 20 columns, long texts and Ctrl-C at every question: nothing is written, and nothing is left half answered.
#[test]
fn narrow_terminal_and_interruptions_at_each_question() {
    let sandbox = sandbox_with_report();
    let long = "x".repeat(300);
    let steps: [(&str, &str); 9] = [
        ("ready?", ENTER),
        ("name:", "nightly\r"),
        ("input:", "QualysGuardFile\r"),
        ("id:", "scans\r"),
        ("path:", "scan.xml\r"),
        ("options:", ENTER),
        ("scans:", "continue\r"),
        ("inputs:", ENTER),
        ("output:", "CSV:\r"),
    ];
    for interrupted in 0..steps.len() {
        let mut terminal = start(&sandbox, 20, &format!("set-up-{interrupted}"));
        for (question, keys) in &steps[..interrupted] {
            answer(&mut terminal, question, keys);
        }
        let question = steps[interrupted].0;
        answer(&mut terminal, question, "\u{3}");
        terminal.ends_with(130);
        let left = files(&sandbox.path(&format!("set-up-{interrupted}")));
        assert_eq!(left.keys().collect::<Vec<_>>(), [".init-answers.yaml"], "{question}");
    }
    let mut terminal = start(&sandbox, 20, "long");
    answer(&mut terminal, "ready?", ENTER);
    answer(&mut terminal, "name:", &format!("{long}\r"));
    terminal.wait_for("must have 1 to");
    terminal.press(&"\u{7f}".repeat(300));
    answer(&mut terminal, "name:", "a\u{7f}nightly\r");
    for (question, keys) in &steps[2..] {
        answer(&mut terminal, question, keys);
    }
    answer(&mut terminal, "id:", ESCAPE);
    answer(&mut terminal, "output:", "\u{3}");
    terminal.ends_with(130);
}
