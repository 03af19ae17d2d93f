//! The log of the service: a file that rotates, that is opened again, and that a reload changes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::sandbox::{Outcome, Sandbox};
use crate::service::{Service, control, sandbox_with_report, simple, write_pipeline};

/// `scanbridge serve` with a service file; the log goes where that says.
fn serve(sandbox: &Sandbox, log: &str) -> Command {
    sandbox.write("service.yaml", format!("service: 1\npipelines: [pipelines]\nlog: {{ {log} }}\n"));
    let mut command = sandbox.host_with_rogue(&["serve", "--config", "service.yaml"]);
    command.env_remove("NOTIFY_SOCKET").env_remove("RUNTIME_DIRECTORY");
    command
}

fn start(sandbox: &Sandbox, log: &str) -> Service {
    let command = serve(sandbox, log);
    Service::start_with(sandbox, |default| *default = command)
}

#[track_caller]
fn wait_until(what: &str, is_reached: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_reached() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn log_file_rotates_is_opened_again_and_changes_with_a_reload() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "daily", &simple("daily", ""));
    let service = start(&sandbox, "to: file, file: s.log, rotate_bytes: 400 B, keep: 2");
    let status = control(&sandbox, &["status"]).expect_code(0).stdout;
    assert!(status.contains("s.log"), "{status}");
    for _ in 0..4 {
        control(&sandbox, &["run", "daily", "--wait"]).expect_code(0);
    }
    wait_until("rotation", || sandbox.path("s.log.2").exists());
    assert!(!sandbox.path("s.log.3").exists());
    for name in ["s.log", "s.log.1", "s.log.2"] {
        let metadata = fs::metadata(sandbox.path(name)).unwrap();
        assert!(metadata.len() <= 400 && metadata.permissions().mode() & 0o137 == 0, "{name}: {metadata:?}");
    }
    // Another program moves the file away.
    fs::rename(sandbox.path("s.log"), sandbox.path("moved.log")).unwrap();
    service.signal(Signal::HUP);
    wait_until("log file opened again", || sandbox.path("s.log").exists());

    serve(&sandbox, "to: file, file: other.log");
    control(&sandbox, &["reload"]).expect_code(0);
    control(&sandbox, &["run", "daily", "--wait"]).expect_code(0);
    wait_until("line in the other file", || sandbox.path("other.log").exists());
    // A file that cannot be used changes nothing.
    serve(&sandbox, "to: file, file: missing/s.log");
    control(&sandbox, &["reload"]).expect_code(0);
    let text = || sandbox.read("other.log");
    wait_until("error in the earlier file", || {
        text().contains("cannot open the log file, the earlier log stays in use: ")
    });
    assert_eq!(service.stop(), Some(0));
    assert!(text().ends_with(" INFO the service has stopped\n"), "{}", text());
}

#[test]
fn log_that_cannot_be_opened_refuses_the_start() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "daily", &simple("daily", ""));
    let ends = |mut command: Command| Outcome::of(command.stdin(Stdio::null()).output().unwrap());
    let refused = ends(serve(&sandbox, "to: file, file: missing/s.log")).expect_code(73);
    assert!(
        refused.stderr.contains("cannot open the log file: missing/s.log: No such file"),
        "{}",
        refused.stderr
    );
    let mut both = serve(&sandbox, "to: stderr");
    both.args(["--log-file", "s.log", "--log-format", "journal"]);
    assert!(ends(both).expect_code(64).stderr.contains("exclude each other"));
    if rustix::process::geteuid().is_root() {
        symlink("service.yaml", sandbox.path("s.log")).unwrap();
        std::os::unix::fs::lchown(sandbox.path("s.log"), Some(12345), None).unwrap();
        let refused = ends(serve(&sandbox, "to: file, file: s.log")).expect_code(73);
        assert!(refused.stderr.contains("symbolic link of another user"), "{}", refused.stderr);
    }
}
