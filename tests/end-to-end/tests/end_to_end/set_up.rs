//! `scanbridge init` in a pseudo-terminal, and without one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::installation;
use crate::pseudo_terminal::{DOWN, ENTER, ESCAPE, PATIENCE, Terminal};
use crate::sandbox::{Outcome, Sandbox};

const INTERRUPT: &str = "\u{3}";
/// The first question about the service.
const SERVICE: &str = "runs the pipeline by its schedule";

/// Waits until a question and the keys that it accepts are shown, and answers it. Keys that come earlier would be echoed.
#[track_caller]
pub(crate) fn answer(terminal: &mut Terminal, question: &str, keys: &str) -> String {
    let shown = terminal.wait_for(question);
    terminal.wait_for("Esc back");
    terminal.press(keys);
    shown
}

pub(crate) fn start(sandbox: &Sandbox, columns: usize, arguments: &str) -> Terminal {
    Terminal::start(sandbox, columns, "xterm", &format!("init {arguments} --state-dir state"))
}

pub(crate) fn host(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(sandbox.host(arguments).args(["--state-dir", "state"]).output().unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A directory with a report.
fn with_report() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::copy(installation::project_file("examples/reports/scan.xml"), sandbox.path("scan.xml")).unwrap();
    sandbox
}

/// Answers the first screen, which is returned, and chooses the input for files with its only required option. `then` is the
/// answer about further inputs.
#[track_caller]
pub(crate) fn choose_file_input(terminal: &mut Terminal, then: &str) -> String {
    let first = answer(terminal, "ready?", ENTER);
    answer(terminal, "name:", "nightly\r");
    answer(terminal, "Where findings are read from", "QualysGuardFile\r");
    answer(terminal, "Its name in logs", "scans\r");
    answer(terminal, "Input scans · path", "scan.xml\r");
    answer(terminal, "other options", ENTER);
    answer(terminal, "test the connection now", "continue\r");
    answer(terminal, "no more inputs", then);
    first
}

/// Chooses an output for CSV, no schedule, and arrives at the summary.
#[track_caller]
fn choose_csv_output(terminal: &mut Terminal) {
    answer(terminal, "Where findings are written to", "CSV:\r");
    answer(terminal, "Its name in logs", "sheet\r");
    answer(terminal, "Output sheet · path", "out.csv\r");
    answer(terminal, "other options", ENTER);
    answer(terminal, "test the connection now", ENTER);
    answer(terminal, "no more outputs", ENTER);
    answer(terminal, "Filter · min_severity", ENTER);
    answer(terminal, "Filter · kinds", ENTER);
    answer(terminal, "only on request", ENTER);
    answer(terminal, SERVICE, ENTER);
}

#[test]
fn first_set_up_gives_a_pipeline_that_delivers() {
    for columns in [60, 200] {
        let sandbox = with_report();
        let mut terminal = start(&sandbox, columns, "setup");
        let first = choose_file_input(&mut terminal, ENTER);
        assert!(first.contains("A client certificate with its password"), "{first}");
        for line in first.lines() {
            assert!(line.chars().count() <= columns, "{columns}: {line}");
        }
        choose_csv_output(&mut terminal);
        let summary = terminal.wait_for("write setup/nightly.yaml");
        assert!(
            summary.contains("plugin: QualysGuardFile") && summary.contains("path: out.csv"),
            "{summary}"
        );
        assert!(!sandbox.path("setup/nightly.yaml").exists(), "written before it was confirmed");
        // The preview of the report that is there.
        terminal.wait_for("Esc back");
        terminal.press("first findings\r");
        let preview = terminal.wait_for("findings read until then");
        assert!(preview.contains("sheet (CSV)"), "{preview}");
        answer(&mut terminal, "write setup/nightly.yaml", ENTER);
        let text = terminal.ends_with(0);
        assert!(text.contains("scanbridge check setup/nightly.yaml --probe"), "{text}");
        assert!(text.contains("scanbridge service install --pipelines /"), "{text}");
        assert_eq!(fs::read_dir(sandbox.path("setup")).unwrap().count(), 1, "only the pipeline is left");

        host(&sandbox, &["check", "setup/nightly.yaml", "--deny-warnings"]).expect_code(0);
        host(&sandbox, &["run", "setup/nightly.yaml"]).expect_code(0);
        assert!(sandbox.read("out.csv").lines().count() > 10);
    }
}

#[test]
fn wrong_answers_are_refused_and_each_question_leads_back() {
    let sandbox = with_report();
    let mut terminal = start(&sandbox, 100, "setup");
    answer(&mut terminal, "ready?", ENTER);
    answer(&mut terminal, "name:", "no/name\r");
    terminal.wait_for("must have 1 to 64 characters");
    terminal.press(&"\u{7f}".repeat(7));
    answer(&mut terminal, "name:", "nightly\r");
    answer(&mut terminal, "Where findings are read from", "QualysGuardFile\r");
    answer(&mut terminal, "Its name in logs", "scans\r");
    // Required, no control character, and a reference that exists.
    answer(&mut terminal, "Input scans · path", ENTER);
    terminal.wait_for("must not be empty");
    terminal.press("\u{202e}\r");
    terminal.wait_for("must not contain control characters");
    terminal.press("\u{7f}${env:SCANBRIDGE_NO_SUCH}\r");
    terminal.wait_for("`SCANBRIDGE_NO_SUCH` is not set");
    terminal.press(&"\u{7f}".repeat(26));
    // Back, over all questions, and forward again with the answers as defaults.
    terminal.press(ESCAPE);
    answer(&mut terminal, "Its name in logs", ESCAPE);
    answer(&mut terminal, "Where findings are read from", ESCAPE);
    answer(&mut terminal, "Name of the pipeline", ESCAPE);
    answer(&mut terminal, "ready?", ENTER);
    answer(&mut terminal, "name: (nightly)", ENTER);
    answer(&mut terminal, "Where findings are read from", ENTER);
    answer(&mut terminal, "id: (scans)", ENTER);
    answer(&mut terminal, "Input scans · path", "missing.xml\r");
    answer(&mut terminal, "other options", ENTER);
    // The plugin's own check names the option.
    let shown = terminal.wait_for("what now?");
    assert!(shown.contains("missing.xml"), "{shown}");
    answer(&mut terminal, "change `path`", ENTER);
    answer(&mut terminal, "path: (missing.xml)", "scan.xml\r");
    terminal.wait_for("test the connection now");
    // Esc at the first question leaves; what was answered is kept.
    for question in [
        "",
        "other options",
        "scans · path",
        "Its name in logs",
        "Where findings are read",
        "Name of the",
        "ready?",
    ] {
        answer(&mut terminal, question, ESCAPE);
    }
    terminal.ends_with(130);
    assert!(sandbox.read("setup/.init-answers.yaml").contains("scan.xml"));
    assert!(!sandbox.path("setup/nightly.yaml").exists());
}

#[test]
fn failed_connection_is_shown_and_can_be_kept() {
    let sandbox = with_report();
    let mut terminal = start(&sandbox, 200, "setup");
    choose_file_input(&mut terminal, ENTER);
    answer(&mut terminal, "Where findings are written to", "ArcSightCEF\r");
    answer(&mut terminal, "Its name in logs", "siem\r");
    answer(&mut terminal, "Output siem · transport", "tcp\r");
    answer(&mut terminal, "Output siem · address", "127.0.0.1:1\r");
    answer(&mut terminal, "other options", ENTER);
    answer(&mut terminal, "test the connection now", ENTER);
    let shown = terminal.wait_for("what now?");
    assert!(shown.to_lowercase().contains("refused"), "{shown}");
    answer(&mut terminal, "keep it as it is", "keep\r");
    answer(&mut terminal, "no more outputs", "\r");
    answer(&mut terminal, "Filter · min_severity", ENTER);
    answer(&mut terminal, "Filter · kinds", ENTER);
    answer(&mut terminal, "only on request", "interval\r");
    answer(&mut terminal, "every_minutes:", "0\r");
    terminal.wait_for("must be a whole number");
    terminal.press("\u{7f}15\r");
    answer(&mut terminal, SERVICE, ENTER);
    answer(&mut terminal, "write setup/nightly.yaml", ENTER);
    terminal.ends_with(0);
    let text = sandbox.read("setup/nightly.yaml");
    assert!(text.contains("every_minutes: 15") && text.contains("address: 127.0.0.1:1"), "{text}");
    host(&sandbox, &["check", "setup/nightly.yaml", "--offline"]).expect_code(0);
}

/// Ctrl-C, a killed process and a closed terminal: the set-up continues, and no secret was stored or shown.
#[test]
fn interrupted_set_up_continues_without_stored_secrets() {
    let sandbox = Sandbox::new();
    let secret = "Zaph0d-B33blebrox";
    let mut terminal = start(&sandbox, 100, "setup/emea.yaml");
    answer(&mut terminal, "ready?", ENTER);
    answer(&mut terminal, "Where findings are read from", "QualysGuard:\r");
    answer(&mut terminal, "Its name in logs", "qualys\r");
    answer(&mut terminal, "qualys · user_id", "dirk_g\r");
    answer(&mut terminal, "qualys · password", &format!("{secret}\r"));
    answer(&mut terminal, "qualys · source", INTERRUPT);
    let text = terminal.ends_with(130);
    assert!(!text.contains(secret) && text.contains("the answers are kept without secrets"), "{text}");
    let answers = "setup/.emea.init-answers.yaml";
    let stored = sandbox.read(answers);
    assert!(stored.contains("dirk_g") && !stored.contains(secret), "{stored}");
    assert_eq!(mode(&sandbox.path(answers)), 0o600);

    // The password is asked for again, and then the question that was not answered. Then the process is killed.
    let mut terminal = start(&sandbox, 100, "setup/emea.yaml");
    answer(&mut terminal, "qualys · password", &format!("{secret}\r"));
    answer(&mut terminal, "qualys · source", "scan-reports\r");
    terminal.wait_for("other options");
    let process = sandbox.read("pid").trim().to_owned();
    std::process::Command::new("kill").args(["-KILL", &process]).status().unwrap();
    terminal.ends_with(137);

    // Closing the terminal ends the process, which ignores SIGHUP at its start.
    let mut terminal = start(&sandbox, 100, "setup/emea.yaml");
    answer(&mut terminal, "qualys · password", &format!("{secret}\r"));
    terminal.wait_for("other options");
    let process = format!("/proc/{}/cmdline", sandbox.read("pid").trim());
    drop(terminal);
    let started = Instant::now();
    while fs::read(&process).is_ok_and(|line| !line.is_empty()) {
        assert!(started.elapsed() < PATIENCE, "it continues without a terminal");
        sleep(Duration::from_millis(20));
    }

    let mut terminal = start(&sandbox, 100, "setup/emea.yaml");
    answer(&mut terminal, "qualys · password", &format!("{secret}\r"));
    answer(&mut terminal, "other options", ENTER);
    answer(&mut terminal, "test the connection now", "continue\r");
    answer(&mut terminal, "no more inputs", ENTER);
    choose_csv_output(&mut terminal);
    answer(&mut terminal, "write setup/emea.yaml", ENTER);
    let text = terminal.ends_with(0);
    assert!(!text.contains(secret), "{text}");
    assert!(text.contains("scanbridge reports list setup/emea.yaml"), "{text}");

    assert!(!sandbox.path(answers).exists());
    let text = sandbox.read("setup/emea.yaml");
    assert!(text.contains("'${file:secrets/emea-qualys-password}'") && !text.contains(secret), "{text}");
    assert_eq!(sandbox.read("setup/secrets/emea-qualys-password"), secret);
    assert_eq!(mode(&sandbox.path("setup/secrets/emea-qualys-password")), 0o600);
    assert_eq!(mode(&sandbox.path("setup/secrets")), 0o700);
    host(&sandbox, &["check", "setup/emea.yaml", "--deny-warnings"]).expect_code(0);
}

#[test]
fn values_of_an_existing_file_are_the_defaults() {
    let sandbox = with_report();
    let old = "# ours\nversion: 1\nif_running: wait\ninputs:\n  - id: scans\n    plugin: QualysGuardFile\n    with: { path: [scan.xml] }\n\
               outputs:\n  - { id: sheet, plugin: CSV, required: no, with: { path: out.csv, if_exists: append } }\n";
    sandbox.write("p.yaml", old);
    let mut terminal = start(&sandbox, 100, "p.yaml");
    answer(&mut terminal, "write p.yaml", "change\r");
    answer(&mut terminal, "sheet · path: out.csv", "sheet · path\r");
    answer(&mut terminal, "path: (out.csv)", "new.csv\r");
    answer(&mut terminal, "write p.yaml", ENTER);
    terminal.ends_with(0);
    assert_eq!(sandbox.read("p.yaml.old"), old);
    let text = sandbox.read("p.yaml");
    for kept in [
        "# ours\nversion: 1",
        "if_running: wait",
        "- scan.xml",
        "required: no",
        "if_exists: append",
        "path: new.csv",
    ] {
        assert!(text.contains(kept), "{kept}:\n{text}");
    }
    host(&sandbox, &["run", "p.yaml"]).expect_code(0);
    assert!(sandbox.path("new.csv").exists());
}

/// The filter is asked for, shown in the summary, changed from there, and has its effect.
#[test]
fn filter_is_asked_for_and_can_be_changed_from_the_summary() {
    let sandbox = with_report();
    let mut terminal = start(&sandbox, 100, "setup");
    choose_file_input(&mut terminal, ENTER);
    answer(&mut terminal, "Where findings are written to", "CSV:\r");
    answer(&mut terminal, "Its name in logs", "sheet\r");
    answer(&mut terminal, "Output sheet · path", "out.csv\r");
    answer(&mut terminal, "other options", ENTER);
    answer(&mut terminal, "test the connection now", ENTER);
    answer(&mut terminal, "no more outputs", ENTER);
    answer(&mut terminal, "Minimum severity, 1 to 5", "severity 4\r");
    answer(&mut terminal, "Kinds of findings to deliver", &format!("vulnerability {DOWN}"));
    terminal.press("\r");
    answer(&mut terminal, "only on request", ENTER);
    answer(&mut terminal, SERVICE, ENTER);
    let summary = terminal.wait_for("write setup/nightly.yaml");
    assert!(summary.contains("filter:\n  min_severity: 4\n  kinds:\n    - vulnerability\n"), "{summary}");
    terminal.wait_for("Esc back");
    terminal.press("change\r");
    answer(&mut terminal, "filter · min_severity: 4", "min_severity\r");
    answer(&mut terminal, "Minimum severity, 1 to 5", "severity 2\r");
    answer(&mut terminal, "write setup/nightly.yaml", ENTER);
    terminal.ends_with(0);
    let text = sandbox.read("setup/nightly.yaml");
    assert!(text.contains("filter:\n  min_severity: 2\n  kinds:\n    - vulnerability\n"), "{text}");

    host(&sandbox, &["run", "setup/nightly.yaml"]).expect_code(0);
    let rows = sandbox.read("out.csv");
    let has = |kind: &str| rows.contains(&format!(",{kind},"));
    assert!(has("vulnerability") && !has("potential") && !has("information") && !has("service"), "{rows}");
}

#[test]
fn set_up_without_a_terminal_names_the_other_ways() {
    let sandbox = Sandbox::new();
    let outcome = host(&sandbox, &["init"]).expect_code(64);
    assert!(outcome.stderr.contains("init --answers FILE"), "{}", outcome.stderr);
    let text = Terminal::start(&sandbox, 80, "dumb", "init --state-dir state").ends_with(64);
    assert!(text.contains("needs a terminal"), "{text}");
    assert_eq!(sandbox.names(), ["pid"]);
}

#[test]
fn answers_from_a_file_need_no_terminal() {
    let sandbox = with_report();
    let answers = "version: 1\nname: weekly\nschedule: { every_minutes: 60 }\nfilter: { min_severity: 3, kinds: [service, potential], qids: [38170] }\ninputs:\n  - id: qualys\n    plugin: QualysGuard\n    \
                   with: { user_id: dirk_g, password: 'd0nt $${p}@nic', source: scan-reports }\n\
                   outputs:\n  - { id: sheet, plugin: CSV, with: { path: out.csv } }\n";
    sandbox.write("answers.yaml", answers);
    let printed = host(&sandbox, &["init", "setup", "--answers", "answers.yaml", "--print"]).expect_code(0);
    assert!(printed.stdout.contains("'${file:secrets/weekly-qualys-password}'"), "{}", printed.stdout);
    assert!(!sandbox.path("setup").exists());

    let outcome = host(&sandbox, &["init", "setup", "--answers", "answers.yaml"]).expect_code(0);
    assert!(outcome.stdout.contains("scanbridge check setup/weekly.yaml"), "{}", outcome.stdout);
    assert_eq!(sandbox.read("setup/weekly.yaml"), printed.stdout);
    let filter =
        "filter:\n  min_severity: 3\n  kinds:\n    - service\n    - potential\n  qids:\n    - 38170\n";
    assert!(printed.stdout.contains(filter), "{}", printed.stdout);
    assert_eq!(sandbox.read("setup/secrets/weekly-qualys-password"), "d0nt ${p}@nic");
    host(&sandbox, &["check", "setup/weekly.yaml", "--offline", "--deny-warnings"]).expect_code(0);

    // Nothing is replaced without a question.
    let again = host(&sandbox, &["init", "setup", "--answers", "answers.yaml"]).expect_code(73);
    assert!(again.stderr.contains("setup/weekly.yaml exists"), "{}", again.stderr);

    for (from, to, part) in [
        ("every_minutes: 60", "every_minutes: 0", "must be a whole number"),
        ("min_severity: 3", "min_severity: 6", "must be between 1 and 5"),
        ("[service, ", "[sevrice, ", "did you mean `service`"),
        ("user_id: dirk_g, ", "", "has no `user_id`"),
        ("user_id: dirk_g", "user_id: REPLACE-ME", "still has its placeholder"),
        ("plugin: CSV", "plugin: CVS", "did you mean `CSV`"),
    ] {
        sandbox.write("wrong.yaml", answers.replace(from, to));
        let outcome = host(&sandbox, &["init", "other", "--answers", "wrong.yaml"]).expect_code(78);
        assert!(
            outcome.stderr.contains(part) && outcome.stderr.contains("nothing was written"),
            "{}",
            outcome.stderr
        );
        assert!(!sandbox.path("other").exists());
    }
}

/// A directory that cannot be written, and a file in the place of the directory for secrets.
#[test]
fn files_that_cannot_be_written_exit_73() {
    let sandbox = with_report();
    sandbox.write(
        "answers.yaml",
        "version: 1\ninputs:\n  - { id: a, plugin: QualysGuardFile, with: { path: scan.xml } }\n\
                   outputs:\n  - { id: b, plugin: CSV, with: { path: out.csv } }\n",
    );
    sandbox.write("file", "");
    let outcome = host(&sandbox, &["init", "file/p.yaml", "--answers", "answers.yaml"]).expect_code(73);
    assert!(outcome.stderr.contains("cannot write"), "{}", outcome.stderr);
    // A link is not replaced, wherever it leads.
    symlink("absent.yaml", sandbox.path("link.yaml")).unwrap();
    host(&sandbox, &["init", "link.yaml", "--answers", "answers.yaml"]).expect_code(73);
    assert!(sandbox.path("link.yaml").is_symlink());
    // Commands for the shell quote what needs it; a directory behind a link stays one.
    fs::create_dir(sandbox.path("real dir")).unwrap();
    symlink("real dir", sandbox.path("the link")).unwrap();
    let outcome = host(&sandbox, &["init", "the link/it's.yaml", "--answers", "answers.yaml"]).expect_code(0);
    assert!(outcome.stdout.contains("  scanbridge run 'the link/it'\\''s.yaml'\n"), "{}", outcome.stdout);
    assert!(sandbox.path("real dir/it's.yaml").exists() && sandbox.path("the link").is_symlink());
}
