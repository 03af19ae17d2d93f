//! The shipped unit under a real systemd, which is process 1 of a container (`systemd/start`).

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};
use crate::service::with_input;

/// Nothing takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// `start` says that this machine does not allow a container.
const NOT_ALLOWED: i32 = 77;

/// A container with systemd as process 1. It ends with its first process.
struct Container {
    process: Child,
    /// Process 1, as this machine numbers it.
    first: String,
}

impl Container {
    /// Boots systemd with the files of the directory `payload`. The error says why the machine does not allow it.
    fn boot(sandbox: &Sandbox) -> Result<Self, String> {
        fs::create_dir(sandbox.path("work")).unwrap();
        let start = installation::project_file("tests/end-to-end/systemd/start");
        let log = fs::File::create(sandbox.path("start.log")).unwrap();
        let mut command = Command::new(start);
        command.args([sandbox.path("work"), sandbox.path("payload")]);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut container = Self { process, first: String::new() };
        let started = Instant::now();
        loop {
            if let Some(status) = container.process.try_wait().unwrap() {
                let why = sandbox.read("start.log");
                assert_eq!(status.code(), Some(NOT_ALLOWED), "the container ended: {why}");
                return Err(why);
            }
            let id = container.process.id();
            container.first =
                fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            container.first = container.first.trim().to_owned();
            let state = container.try_call(&["systemctl", "is-system-running"]);
            if matches!(state.stdout.trim(), "running" | "degraded") {
                return Ok(container);
            }
            assert!(started.elapsed() < PATIENCE, "systemd does not start: {}", sandbox.read("start.log"));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn try_call(&self, words: &[&str]) -> Outcome {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first, "-m", "-p", "-u", "-i", "-C", "-r", "-w"]).args(words);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        Outcome::of(command.output().unwrap())
    }

    /// The output of a command in the container, which must succeed.
    #[track_caller]
    fn call(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        self.try_call(&words).expect_code(0).stdout
    }

    /// Waits until the output of a command fulfills the condition.
    #[track_caller]
    fn wait(&self, line: &str, is_reached: impl Fn(&str) -> bool) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let started = Instant::now();
        loop {
            let outcome = self.try_call(&words);
            if is_reached(&outcome.stdout) {
                return outcome.stdout;
            }
            let waited = started.elapsed() < PATIENCE;
            let log = || self.try_call(&["journalctl", "-u", "scanbridge", "-n", "200", "-o", "cat"]).stdout;
            assert!(waited, "{line}: {} {}\n{}", outcome.stdout, outcome.stderr, log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// A property of the unit.
    fn property(&self, name: &str) -> String {
        self.call(&format!("systemctl show --value -p {name} scanbridge")).trim().to_owned()
    }

    /// The messages of the service that systemd got.
    fn has_notification(&self, text: &str) -> bool {
        let log = self.call("journalctl -o cat _PID=1");
        log.lines().any(|line| {
            line.contains("scanbridge.service: Got notification message from PID") && line.contains(text)
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Its control groups can be removed when its last process has gone.
        let started = Instant::now();
        let groups = ["", "systemd/", "unified/"]
            .map(|hierarchy| format!("/sys/fs/cgroup/{hierarchy}scanbridge-test-{}", self.process.id()));
        while groups.iter().any(|group| Path::new(group).exists()) && started.elapsed() < PATIENCE / 10 {
            let mut find = Command::new("find");
            find.args(&groups).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
            let _ = find.stderr(Stdio::null()).stdout(Stdio::null()).status();
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The files of an installation, with two pipelines.
fn payload(sandbox: &Sandbox) {
    let copy = |from: &Path, to: String| {
        let to = sandbox.path(&format!("payload/{to}"));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    let host = installation::host();
    for name in ["scanbridge", "scanbridge-service"] {
        copy(&host.with_file_name(name), format!("usr/bin/{name}"));
    }
    for plugin in ["scanbridge_qualysguard_file", "scanbridge_csv"] {
        let file = installation::library(plugin);
        copy(&host.with_file_name("plugins").join(&file), format!("usr/lib/scanbridge/plugins/{file}"));
    }
    copy(&installation::project_file("examples/reports/scan.xml"), "srv/scan.xml".to_owned());
    fs::create_dir_all(sandbox.path("payload/srv/inbox")).unwrap();
    fs::create_dir_all(sandbox.path("payload/etc/scanbridge/pipelines")).unwrap();
    let nightly = with_input("nightly", "{ path: /srv/scan.xml, settle_secs: 0 }", "", "");
    // The name of the output file is a credential of the unit.
    let nightly = nightly.replace("path: nightly.csv", "path: '${credential:target}'");
    sandbox.write("payload/etc/scanbridge/pipelines/nightly.yaml", nightly);
    let watch =
        with_input("watch", "{ path: /srv/inbox, watch: yes, settle_secs: 0 }", "", "schedule: continuous");
    sandbox.write("payload/etc/scanbridge/pipelines/watch.yaml", &watch);
    sandbox.write("payload/srv/later.yaml", watch.replace("watch.csv", "later.csv"));
    sandbox.write("payload/etc/target", "nightly.csv\n");
    sandbox.write("payload/etc/scanbridge/service.yaml", "service: 1\nlog: { to: journal }\n");
    fs::create_dir_all(sandbox.path("payload/etc/systemd/system/scanbridge.service.d")).unwrap();
    // Half of it is the rhythm of the watchdog.
    let short = "[Service]\nWatchdogSec=10\nRestartSec=1\n";
    sandbox.write("payload/etc/systemd/system/scanbridge.service.d/20-test.conf", short);
}

#[test]
fn systemd_starts_reloads_watches_and_stops_the_shipped_unit() {
    let sandbox = Sandbox::new();
    payload(&sandbox);
    let container = match Container::boot(&sandbox) {
        Ok(container) => container,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let done = container.call("scanbridge service install --enable --start --credential target=/etc/target");
    assert!(done.contains("systemctl restart scanbridge"), "{done}");
    assert_eq!(container.property("ActiveState"), "active");
    assert!(container.has_notification("(READY=1)"));
    container.wait("systemctl show --value -p StatusText scanbridge", |status| {
        status.trim() == "2 pipelines: 1 manual, 1 running"
    });

    // Plugins are loaded under MemoryDenyWriteExecute, runs start under the filter of system calls.
    container.call("scanbridge service run nightly --wait");
    let sheet = container.call("cat /var/lib/scanbridge/nightly.csv");
    assert!(sheet.contains("192.0.2.10,shop.example.com"), "{sheet}");
    let run = container.call("pgrep -u scanbridge -f supervised");
    let status = container.call(&format!("cat /proc/{}/status", run.trim()));
    for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"] {
        assert!(status.lines().any(|found| found == line), "{line}: {status}");
    }
    let maps = container.call(&format!("cat /proc/{}/maps", run.trim()));
    assert!(maps.contains("libscanbridge_csv"), "{maps}");
    assert!(!maps.contains("rwx"), "{maps}");
    assert_eq!(container.call("stat -c %U:%a /run/scanbridge/control.sock").trim(), "scanbridge:660");

    // The journal has fields.
    let entries = container.call(
        "journalctl -o json _SYSTEMD_UNIT=scanbridge.service SCANBRIDGE_PIPELINE=nightly SCANBRIDGE_EVENT=run_ended",
    );
    let entry: Value = serde_json::from_str(entries.lines().next().unwrap_or_default()).unwrap();
    assert_eq!((&entry["PRIORITY"], &entry["SCANBRIDGE_RUN"]), (&"6".into(), &"1".into()), "{entry:#}");
    assert!(entry["MESSAGE"].as_str().unwrap().starts_with("nightly#1 "), "{entry:#}");
    let place = container.call("scanbridge service status");
    assert!(place.contains("journalctl -t scanbridge"), "{place}");

    // Reload.
    container.call("cp /srv/later.yaml /etc/scanbridge/pipelines/later.yaml");
    container.call("systemctl reload scanbridge");
    container.wait("scanbridge service status later", |status| status.contains("running"));
    assert!(container.has_notification("RELOADING=1, MONOTONIC_USEC="));

    // A service that hangs is restarted, and its runs with it.
    container.wait("journalctl -o cat _PID=1", |log| log.contains("(WATCHDOG=1)"));
    let process = container.property("MainPID");
    container.call(&format!("kill -STOP {process}"));
    container.wait("systemctl show --value -p NRestarts scanbridge", |count| count.trim() == "1");
    container.wait("scanbridge service status later", |status| status.contains("running"));
    assert_ne!(container.property("MainPID"), process);

    container.call("systemctl stop scanbridge");
    assert!(container.has_notification("STOPPING=1"));
    assert_eq!(
        (container.property("ActiveState"), container.property("Result")),
        ("inactive".into(), "success".into())
    );
    assert_eq!(container.try_call(&["pgrep", "-u", "scanbridge"]).stdout, "");

    assert_eq!(container.try_call(&["scanbridge", "service", "uninstall", "--purge"]).code, Some(64));
    container.call("scanbridge service uninstall --purge --yes");
    assert_eq!(container.try_call(&["ls", "/var/lib/scanbridge", "/etc/scanbridge"]).stdout, "");
}
