//! The command lines of 2014, with the file input instead of the API input.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use scanbridge_bench::generator::{Extent, Format, Shape};

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

/// A working directory as described in the guide of 2014, with settings for the file input.
fn laid_out() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("InputPlugins")).unwrap();
    let report = installation::project_file("examples/reports/scan.xml");
    sandbox.write("InputPlugins/QualysGuardFile.yaml", format!("path: {report:?}\nsettle_secs: 0\n"));
    sandbox
}

fn command(sandbox: &Sandbox, program: &str, arguments: &[&str]) -> Command {
    let mut command = sandbox.program(&installation::legacy(program), arguments);
    command.env("SCANBRIDGE_SYSLOG_SOCKET", sandbox.path("no-syslog"));
    command
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(command(sandbox, "qualys_connector", arguments).output().unwrap())
}

#[test]
fn version_and_usage_are_printed_without_arguments() {
    let sandbox = Sandbox::new();
    for program in ["qualys_connector", "process_multiple"] {
        let bare = Outcome::of(command(&sandbox, program, &[]).output().unwrap()).expect_code(64);
        let version =
            Outcome::of(command(&sandbox, program, &["--version"]).output().unwrap()).expect_code(0);
        let first = bare.stdout.lines().next().unwrap();
        assert!(first.starts_with(&format!("{program} Ver. ")), "{first}");
        assert_eq!(version.stdout, format!("{first}\n"));
        assert!(bare.stdout.contains("-plugininfo=FILE") && bare.stderr.is_empty());
    }
}

#[test]
fn all_spellings_of_the_options_write_the_same_commands() {
    let sandbox = laid_out();
    run(&sandbox, &["-csvfile=a.csv", "QualysGuardFile"]).expect_code(0);
    let expected = sandbox.read("a.csv");
    assert!(expected.starts_with("SetSource,"), "{expected}");
    assert!(expected.contains("AddScanResult,"), "{expected}");
    for (arguments, file) in [
        (&["-c=b.csv", "qualysguardfile"][..], "b.csv"),
        (&["-csv", "c.csv", "-pl=InputPlugins/QualysGuardFile.yaml", "QualysGuardFile"], "c.csv"),
        (&["QualysGuardFile", "--csvfile", "d.csv", "-le", "0", "-st"], "d.csv"),
    ] {
        run(&sandbox, arguments).expect_code(0);
        assert_eq!(sandbox.read(file), expected, "{arguments:?}");
    }
}

#[test]
fn server_is_ignored_with_csvfile() {
    let sandbox = laid_out();
    let outcome = run(&sandbox, &["-server=192.0.2.1", "-csvfile=a.csv", "QualysGuardFile"]).expect_code(0);
    assert_eq!(outcome.stdout.matches("-server is ignored").count(), 1, "{}", outcome.stdout);
    assert!(sandbox.path("a.csv").exists());
}

#[test]
fn log_goes_to_standard_output_standard_error_or_a_file() {
    let sandbox = laid_out();
    let plain = run(&sandbox, &["-c=a.csv", "QualysGuardFile"]).expect_code(0);
    assert!(plain.stdout.contains("all delivered") && plain.stderr.is_empty(), "{}", plain.stderr);
    let stderr = run(&sandbox, &["-c=a.csv", "-stderr", "QualysGuardFile"]).expect_code(0);
    assert!(stderr.stderr.contains("all delivered") && stderr.stdout.is_empty(), "{}", stderr.stdout);
    for times in 1..=2 {
        let file = run(&sandbox, &["-c=a.csv", "-logfile", "log", "QualysGuardFile"]).expect_code(0);
        assert!(file.stdout.is_empty() && file.stderr.is_empty());
        assert_eq!(sandbox.read("log").matches("all delivered").count(), times);
    }
    let missing_folder =
        run(&sandbox, &["-c=b.csv", "-logfile=no/such/log", "QualysGuardFile"]).expect_code(73);
    assert!(missing_folder.stderr.contains("no/such/log"), "{}", missing_folder.stderr);
    assert!(!sandbox.path("b.csv").exists());
    // A full disk is reported once, and the report is delivered anyway.
    let full = run(&sandbox, &["-c=b.csv", "-logfile=/dev/full", "QualysGuardFile"]).expect_code(0);
    assert_eq!(full.stderr.matches("cannot write the log file /dev/full: ").count(), 1, "{}", full.stderr);
    assert!(sandbox.path("b.csv").exists());
}

#[test]
fn syslog_and_log_file_get_the_same_lines() {
    let sandbox = laid_out();
    let socket = UnixDatagram::bind(sandbox.path("socket")).unwrap();
    let arguments = ["-c=a.csv", "-syslog", "-logfile=log", "QualysGuardFile"];
    let mut command = command(&sandbox, "qualys_connector", &arguments);
    command.env("SCANBRIDGE_SYSLOG_SOCKET", sandbox.path("socket"));
    let outcome = Outcome::of(command.output().unwrap()).expect_code(0);
    assert!(outcome.stdout.is_empty() && outcome.stderr.is_empty(), "{}{}", outcome.stdout, outcome.stderr);
    let log = sandbox.read("log");
    assert!(log.lines().count() > 1, "{log}");
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut message = [0; 8192];
    for line in log.lines() {
        let length = socket.recv(&mut message).unwrap();
        let received = std::str::from_utf8(&message[..length]).unwrap();
        // Facility user (1) times 8, plus the severity: RFC 5424, 6.2.1.
        let priority = if line.contains(" WARN ") { "<12>" } else { "<14>" };
        assert!(received.starts_with(priority), "{received}");
        let (_, text) = received.split_once("]: ").unwrap();
        assert!(line.ends_with(text), "{line:?}, {received:?}");
    }
}

#[test]
fn log_goes_to_standard_error_if_syslog_is_unavailable() {
    let sandbox = laid_out();
    let outcome = run(&sandbox, &["-c=a.csv", "-sy", "QualysGuardFile"]).expect_code(0);
    assert_eq!(outcome.stderr.matches("cannot connect to syslog").count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("all delivered") && outcome.stdout.is_empty());
}

#[test]
fn higher_level_logs_at_least_as_much() {
    let sandbox = laid_out();
    let lines = |level: &str| {
        let outcome =
            run(&sandbox, &["-se=x", "-c=a.csv", "-level", level, "QualysGuardFile"]).expect_code(0);
        outcome.stdout.lines().count()
    };
    let counts = ["0", "1", "2", "3"].map(lines);
    assert_eq!(counts[..2], [0, 1], "level 0: no error; level 1: the warning that -server is ignored");
    assert!(counts[1] < counts[2] && counts[2] <= counts[3], "{counts:?}");
    let default = run(&sandbox, &["-se=x", "-c=a.csv", "QualysGuardFile"]).expect_code(0);
    assert_eq!(default.stdout.lines().count(), counts[2]);
}

#[test]
fn default_log_does_not_grow_with_the_findings() {
    let lines = |assets: u64| {
        let sandbox = laid_out();
        let extent = Extent::Assets(assets);
        let shape = Shape {
            format: Format::Scan,
            extent,
            findings_per_asset: 10,
            qids: 50,
            own_texts: false,
            seed: 5,
        };
        shape.write(fs::File::create(sandbox.path("scan.xml")).unwrap()).unwrap();
        sandbox.write("own.yaml", "path: scan.xml\nsettle_secs: 0\n");
        run(&sandbox, &["-c=a.csv", "-pl=own.yaml", "QualysGuardFile"]).expect_code(0).stdout.lines().count()
    };
    // From some number of assets on, findings with the same ID, port and protocol are merged, which is noted once.
    assert_eq!(lines(100), lines(1_000));
}

#[test]
fn usage_error_exits_64_without_running() {
    let sandbox = laid_out();
    for (arguments, part) in [
        (&["-bogus", "-c=a.csv"][..], "unknown option `-bogus`"),
        (&["-p=1", "-c=a.csv"], "-port, -plugininfo, -pkcs12, -password"),
        (
            &["-le=4", "-c=a.csv"],
            "invalid `-level`: expected 0 (errors), 1 (warnings), 2 (info) or 3 (debug), found `4`",
        ),
        (&["QualysGuardFile"], "no destination"),
        (&["-multiinfo=1", "-c=a.csv"], "it is an option of process_multiple"),
    ] {
        let outcome = run(&sandbox, arguments).expect_code(64);
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
        assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    }
    assert_eq!(sandbox.names(), ["InputPlugins"]);
}

#[test]
fn missing_settings_and_unknown_plugins_exit_78() {
    let sandbox = Sandbox::new();
    let missing = run(&sandbox, &["-c=a.csv", "QualysGuardFile"]).expect_code(78);
    for part in ["InputPlugins/QualysGuardFile.yaml", "-plugininfo=FILE"] {
        assert!(missing.stderr.contains(part), "{}", missing.stderr);
    }
    let unknown = run(&sandbox, &["-c=a.csv", "Nope"]).expect_code(78);
    for part in ["unknown input plugin `Nope`", "QualysGuardFile"] {
        assert!(unknown.stderr.contains(part), "{}", unknown.stderr);
    }
    sandbox.write("bad.yaml", "path: a.xml\nsetle_secs: 0\n");
    let wrong = run(&sandbox, &["-c=a.csv", "-pl=bad.yaml", "QualysGuardFile"]).expect_code(78);
    assert!(
        wrong.stderr.contains("bad.yaml:2:1") && wrong.stderr.contains("settle_secs"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn all_missing_plugins_are_reported_together() {
    let sandbox = laid_out();
    let program = installation::legacy_in(&sandbox.path("."), "qualys_connector");
    let mut command = sandbox.program(&program, &["-server=192.0.2.1", "-logfile=log", "-password=t0w3L"]);
    let outcome = Outcome::of(command.output().unwrap()).expect_code(78);
    let log = sandbox.read("log");
    for part in ["unknown input plugin `QualysGuard`", "unknown output plugin `Sourcefire`"] {
        assert!(outcome.stderr.contains(part) && log.contains(part), "{}{log}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("t0w3L") && !log.contains("t0w3L"), "{}{log}", outcome.stderr);
}

#[test]
fn old_command_without_the_host_says_what_is_missing() {
    let sandbox = laid_out();
    let program = sandbox.path("qualys_connector");
    fs::hard_link(installation::legacy("qualys_connector"), &program).unwrap();
    let mut command = Command::new(&program);
    command.arg("-version").env_clear().env("PATH", sandbox.path("."));
    let outcome = Outcome::of(command.output().unwrap()).expect_code(69);
    let part = "install scanbridge in the directory of qualys_connector";
    assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    // A link to the host under the old name is enough.
    fs::remove_file(&program).unwrap();
    std::os::unix::fs::symlink(installation::host(), &program).unwrap();
    let linked = Outcome::of(Command::new(&program).arg("-version").output().unwrap()).expect_code(0);
    assert!(linked.stdout.starts_with("qualys_connector Ver. "), "{}", linked.stdout);
}

#[test]
fn failures_are_on_standard_error_with_any_log() {
    let sandbox = laid_out();
    sandbox.write("none.yaml", "path: no-such-report.xml\nsettle_secs: 0\n");
    for log in ["-level=2", "-level=0", "-logfile=log", "-stderr"] {
        let arguments = ["-c=a.csv", "-pl=none.yaml", log, "QualysGuardFile"];
        let outcome = run(&sandbox, &arguments).expect_code(66);
        assert!(
            outcome.stderr.contains("input: cannot open no-such-report.xml"),
            "{log}: {}",
            outcome.stderr
        );
        let has_log = outcome.stderr.contains("FAILED after");
        assert_eq!(has_log, log == "-stderr", "{}", outcome.stderr);
    }
    assert!(sandbox.read("log").contains("no-such-report.xml"));
    assert!(!sandbox.path("a.csv").exists());
}

#[test]
fn failed_template_does_not_stop_the_next_one() {
    let sandbox = laid_out();
    // There are no settings for this plugin, so each template fails.
    let arguments = ["-multiinfo", "424242,535353", "-csvfile=Output.csv"];
    let outcome =
        Outcome::of(command(&sandbox, "process_multiple", &arguments).output().unwrap()).expect_code(78);
    let (error, log) =
        ("settings file not found: InputPlugins/QualysGuard.yaml", "ERROR settings file not found: ");
    assert_eq!(outcome.stderr.matches(error).count(), 2, "{}", outcome.stderr);
    assert_eq!(outcome.stdout.matches(log).count(), 2, "{}", outcome.stdout);
    let named = "2 of 2 templates failed: 424242 (exit code 78), 535353 (exit code 78)";
    assert!(outcome.stderr.contains(named), "{}", outcome.stderr);
}

#[test]
fn runs_from_cron_with_explicit_paths() {
    let sandbox = laid_out();
    let path = |name: &str| sandbox.path(name).display().to_string();
    let (csv, settings) = (path("a.csv"), path("InputPlugins/QualysGuardFile.yaml"));
    // As in an unpacked archive, so that the state directory is found.
    fs::create_dir(sandbox.path("archive")).unwrap();
    fs::create_dir(sandbox.path("archive/InputPlugins")).unwrap();
    let program = installation::legacy_in(&sandbox.path("archive"), "qualys_connector");
    let plugins = installation::host().with_file_name("plugins");
    let mut command = Command::new(&program);
    command.args([
        format!("-csvfile={csv}"),
        format!("-plugininfo={settings}"),
        "QualysGuardFile".to_owned(),
    ]);
    command.env_clear().env("PATH", "/usr/bin").env("SCANBRIDGE_PLUGIN_DIR", plugins).current_dir("/");
    Outcome::of(command.output().unwrap()).expect_code(0);
    assert!(sandbox.read("a.csv").contains("AddScanResult,"));
}
