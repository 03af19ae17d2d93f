//! Commands on a pipeline that a service runs: they use its state directory, and a replay or purge of dead letters runs
//! between two of its runs.

use std::fs;
use std::io::BufWriter;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_bench::generator::{Extent, Format, Shape};
use serde_json::{Value, json};

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};
use crate::service::{
    Service, control, log, sandbox_with_report, simple, view, wait_for, wait_for_state, write_pipeline,
};

/// The host as the user of the service calls it, without `--state-dir`: it finds the socket as in a unit.
pub(crate) fn host(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.host(arguments);
    command.arg("--plugin-dir").arg(installation::rogue_plugins());
    command.env("RUNTIME_DIRECTORY", sandbox.path("state"));
    command
}

pub(crate) fn call(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(host(sandbox, arguments).output().unwrap())
}

fn letters(sandbox: &Sandbox, verb: &str, name: &str, more: &[&str]) -> Outcome {
    let file = format!("pipelines/{name}.yaml");
    call(sandbox, &[&["dead-letters", verb, &file], more].concat())
}

/// The number of dead letters, and the attempts of the first.
fn shown(sandbox: &Sandbox, name: &str) -> (usize, u64) {
    let shown = letters(sandbox, "show", name, &["--format", "json"]).expect_code(0).stdout;
    let first = shown.lines().next().map(|line| serde_json::from_str::<Value>(line).unwrap());
    (shown.lines().count(), first.map_or(0, |letter| letter["attempts"].as_u64().unwrap()))
}

const RESTART: &str = "restart: { initial_secs: 1, max_secs: 1 }";

/// A pipeline of the plugin `Rogue` that reads nine findings, and treats them like this.
pub(crate) fn rogue(input: &str, output: &str, keys: &str) -> String {
    format!(
        "version: 1\n{keys}\n{RESTART}\ninputs: [{{ id: source, plugin: Rogue, with: {{ act: {input} }} }}]\n\
         outputs: [{{ id: bad, plugin: Rogue, with: {{ act: {output} }} }}]\n"
    )
}

#[test]
fn state_of_the_service_is_found_by_the_real_path_of_the_pipeline_file() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", "name: daily"));
    let service = Service::start(&sandbox);
    control(&sandbox, &["run", "daily", "--wait"]).expect_code(0);
    symlink(sandbox.path("pipelines/nightly.yaml"), sandbox.path("link.yaml")).unwrap();
    fs::copy(sandbox.path("pipelines/nightly.yaml"), sandbox.path("copy.yaml")).unwrap();
    for (file, options, code) in [
        ("pipelines/nightly.yaml", &[][..], 0),
        ("link.yaml", &[], 0),
        ("copy.yaml", &[], 66),
        ("link.yaml", &["--state-dir", "other"], 66),
    ] {
        let shown = call(&sandbox, &[&["state", "show", file], options].concat()).expect_code(code);
        let folder = if code == 0 { "/state/daily" } else { "/daily" };
        assert!((shown.stdout + &shown.stderr).contains(folder), "{file} {options:?}");
        let listed = call(&sandbox, &[&["dead-letters", "list", file], options].concat());
        listed.expect_code(code);
    }
    // The variable comes after the service.
    let mut command = host(&sandbox, &["state", "show", "link.yaml"]);
    let other = Outcome::of(command.env("SCANBRIDGE_STATE_DIR", sandbox.path("other")).output().unwrap());
    other.expect_code(0);
    // A command that needs the lock says who has it.
    write_pipeline(
        &sandbox,
        "nightly",
        &rogue("wait-forever", "behave", "name: daily\nschedule: continuous"),
    );
    control(&sandbox, &["reload"]);
    wait_for_state(&sandbox, "daily", "running");
    let discard = call(&sandbox, &["state", "discard", "link.yaml"]).expect_code(75);
    assert!(discard.stderr.contains("`scanbridge service pause daily`"), "{}", discard.stderr);
    assert_eq!(service.stop(), Some(0));
    let started = Instant::now();
    let none = call(&sandbox, &["state", "show", "link.yaml"]).expect_code(66);
    assert!(none.stderr.contains("set the directory with --state-dir"), "{}", none.stderr);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// A replay and a purge run in every state, and the pipeline then does what it did before.
#[test]
fn replay_and_purge_leave_the_state_of_the_pipeline() {
    let sandbox = Sandbox::new();
    for (name, keys) in [
        ("manual", ""),
        ("hourly", "schedule: { every_minutes: 60 }"),
        ("later", "schedule: { cron: '0 0 29 2 *' }"),
        ("paused", ""),
    ] {
        write_pipeline(&sandbox, name, &rogue("behave", "reject-all", keys));
    }
    let _service = Service::start(&sandbox);
    for name in ["manual", "later", "paused"] {
        control(&sandbox, &["run", name, "--wait"]).expect_code(65);
    }
    control(&sandbox, &["pause", "paused"]).expect_code(0);
    wait_for(&sandbox, "hourly", |view| view["last_run"]["status"] == "partial");
    for (name, state) in
        [("manual", "manual"), ("hourly", "waiting"), ("later", "waiting"), ("paused", "paused")]
    {
        let before = wait_for_state(&sandbox, name, state);
        assert_eq!(shown(&sandbox, name), (9, 1), "{name}");
        let replayed = letters(&sandbox, "replay", name, &["--summary", "json"]).expect_code(65);
        assert_eq!(replayed.summary()["outputs"][0]["rejected"], 9, "{name}");
        assert!(replayed.stderr.contains("rejected"), "the log of the replay: {}", replayed.stderr);
        assert_eq!(shown(&sandbox, name), (9, 2), "{name}");
        let after = view(&sandbox, name);
        for field in ["state", "reason", "next_run", "last_run", "run"] {
            if field != "next_run" || name != "hourly" {
                assert_eq!(after[field], before[field], "{name}: {field}");
            }
        }
        let part = letters(&sandbox, "purge", name, &["--reason=--state-dir"]).expect_code(0);
        assert!(part.stdout.starts_with("no dead letters in "), "{}", part.stdout);
        let purged = letters(&sandbox, "purge", name, &[]).expect_code(0).stdout;
        assert!(purged.contains("bad: removed 9 dead letters from") && purged.contains(name), "{purged}");
        assert_eq!(view(&sandbox, name)["state"], state);
        let none = letters(&sandbox, "replay", name, &[]).expect_code(0).stdout;
        assert!(none.starts_with("nothing to replay in "), "{none}");
    }
    let unknown = letters(&sandbox, "replay", "manual", &["--output", "absent"]).expect_code(64);
    assert!(unknown.stderr.contains("unknown output `absent`"), "{}", unknown.stderr);
}

/// Writes a report of about this size into the watched directory.
fn write_report(sandbox: &Sandbox, name: &str, bytes: u64, seed: u64) {
    let extent = Extent::Bytes(bytes);
    let shape =
        Shape { format: Format::Scan, extent, findings_per_asset: 30, qids: 200, own_texts: false, seed };
    let part = sandbox.path("part");
    shape.write(BufWriter::new(fs::File::create(&part).unwrap())).unwrap();
    fs::rename(part, sandbox.path(&format!("inbox/{name}.xml"))).unwrap();
}

/// A pipeline that watches a directory, writes to one file slowly, and has a second output.
fn watching(limit: u32, act: &str) -> String {
    format!(
        "version: 1\nschedule: continuous\n{RESTART}\ncheckpoint: {{ bytes: 64 KiB }}\n\
         inputs: [{{ id: reports, plugin: QualysGuardFile, with: {{ path: inbox, watch: yes, poll_secs: 1, \
         settle_secs: 0 }} }}]\n\
         outputs:\n  - {{ id: sheet, plugin: CSV, max_findings_per_sec: {limit}, with: {{ path: sheet.csv, \
         if_exists: append }} }}\n  - {{ id: bad, plugin: Rogue, with: {{ act: {act} }} }}\n"
    )
}

fn records(view: &Value) -> u64 {
    view["run"]["outputs"][0]["counts"]["records"].as_u64().unwrap_or(0)
}

/// Rows of the sheet, sorted.
fn rows(sandbox: &Sandbox) -> Vec<String> {
    let text = sandbox.read("sheet.csv");
    let mut rows: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
    rows.sort();
    rows
}

/// The run ends at the end of the report, the replay runs, and the next run continues with the next report.
#[test]
fn replay_in_a_running_pipeline_waits_for_the_end_of_the_report() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("inbox")).unwrap();
    write_pipeline(&sandbox, "watch", &watching(1_000_000, "reject-all"));
    let service = Service::start(&sandbox);
    write_report(&sandbox, "first", 60_000, 1);
    let first = wait_for(&sandbox, "watch", |view| view["run"]["reports"] == 1);
    let (rejected, attempts) = shown(&sandbox, "watch");
    assert!(rejected > 10 && attempts == 1, "{rejected} {attempts}");
    // Idle: the replay runs at once, and the run continues.
    let replayed = letters(&sandbox, "replay", "watch", &["--summary", "json"]).expect_code(65).summary();
    assert_eq!(replayed["outputs"][0]["rejected"], rejected, "{replayed:#}");
    let second = wait_for_state(&sandbox, "watch", "running");
    assert_ne!(second["run"]["pid"], first["run"]["pid"]);
    assert_eq!(shown(&sandbox, "watch").1, 2);

    // Inside a report, with a further one to come.
    write_pipeline(&sandbox, "watch", &watching(100, "behave"));
    control(&sandbox, &["reload", "--wait"]).expect_code(0);
    write_report(&sandbox, "second", 2_000_000, 2);
    wait_for(&sandbox, "watch", |view| view["state"] == "running" && records(view) > 50);
    write_report(&sandbox, "third", 60_000, 3);
    let replayed = letters(&sandbox, "replay", "watch", &["--summary", "json"]).expect_code(0).summary();
    assert_eq!(replayed["outputs"][0]["records"], rejected, "{replayed:#}");
    assert_eq!(shown(&sandbox, "watch"), (0, 0));
    wait_for(&sandbox, "watch", |view| {
        view["state"] == "running" && view["run"]["inputs"][0]["state"] == "idle"
    });
    let after = rows(&sandbox);
    assert_eq!(service.stop(), Some(0));
    let text = log(&sandbox);
    let at = |word: &str| text.rfind(word).unwrap_or_else(|| panic!("{word}: {text}"));
    let order = ["second.xml", "replay of dead letters ended: exit code 0", "third.xml"].map(at);
    assert!(order.is_sorted(), "{text}");

    // Each finding is in the file once: as in one undisturbed run of all reports.
    let whole = watching(1_000_000, "behave").replace("sheet.csv", "whole.csv");
    sandbox.write("whole.yaml", whole);
    let mut undisturbed = sandbox.host_with_rogue(&["run", "whole.yaml", "--once"]);
    Outcome::of(undisturbed.output().unwrap()).expect_code(0);
    let whole = sandbox.read("whole.csv");
    let mut whole: Vec<String> = whole.lines().skip(1).map(str::to_owned).collect();
    whole.sort();
    assert_eq!(after, whole);
}

/// The process of a replay, a child of the service with this command.
fn child_of(service: &Service, word: &str) -> Option<Pid> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_right = |pid: &i32| {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let stat = read("stat");
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1).map(str::to_owned));
        parent == Some(service.id().to_string()) && read("cmdline").split('\0').any(|part| part == word)
    };
    pids.into_iter().find(is_right).and_then(Pid::from_raw)
}

fn wait_for_child(service: &Service, word: &str) -> Pid {
    let started = Instant::now();
    loop {
        if let Some(pid) = child_of(service, word) {
            return pid;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "no process with {word}");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn pipeline_continues_after_a_replay_that_is_killed_or_abandoned() {
    let sandbox = Sandbox::new();
    for name in ["idle", "always"] {
        write_pipeline(&sandbox, name, &rogue("behave", "reject-all", ""));
    }
    let service = Service::start(&sandbox);
    for name in ["idle", "always"] {
        control(&sandbox, &["run", name, "--wait"]).expect_code(65);
    }
    write_pipeline(&sandbox, "idle", &rogue("behave", "hang-in-begin", ""));
    fs::create_dir(sandbox.path("inbox")).unwrap();
    let always = rogue("behave", "hang-in-begin", "schedule: continuous").replace(
        "plugin: Rogue, with: { act: behave }",
        "plugin: QualysGuardFile, with: { path: inbox, watch: yes, poll_secs: 1, settle_secs: 0 }",
    );
    write_pipeline(&sandbox, "always", &always);
    control(&sandbox, &["reload"]).expect_code(0);
    wait_for_state(&sandbox, "always", "running");
    for (name, state) in [("idle", "manual"), ("always", "running")] {
        let replay = |sandbox: &Sandbox| {
            let file = format!("pipelines/{name}.yaml");
            let mut command = host(sandbox, &["dead-letters", "replay", &file]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let client = replay(&sandbox);
        let process = wait_for_child(&service, "dead-letters");
        let second = letters(&sandbox, "purge", name, &[]).expect_code(75);
        assert!(second.stderr.contains("another replay or purge is in progress"), "{}", second.stderr);
        kill_process(process, Signal::KILL).unwrap();
        Outcome::of(client.wait_with_output().unwrap()).expect_code(70);
        wait_for(&sandbox, name, |view| {
            view["state"] == state && (view["run"].is_null() == (state == "manual"))
        });
        assert_eq!(shown(&sandbox, name), (9, 1));

        let mut client = replay(&sandbox);
        wait_for_child(&service, "dead-letters");
        client.kill().unwrap();
        client.wait().unwrap();
        wait_for(&sandbox, name, |view| {
            view["state"] == state && (view["run"].is_null() == (state == "manual"))
        });
        assert_eq!(shown(&sandbox, name), (9, 1));
    }
    let text = log(&sandbox);
    assert!(text.contains("idle the client of the replay or purge of dead letters has gone"), "{text}");
    assert!(text.contains("idle replay of dead letters ended: killed by signal 9"), "{text}");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn request_for_dead_letters_is_checked() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    write_pipeline(&sandbox, "bad", "version: 2\n");
    let _service = Service::start(&sandbox);
    for (name, body, status, text) in [
        ("absent", json!({ "command": "purge" }), "404", "no pipeline `absent`"),
        ("bad", json!({ "command": "purge" }), "409", "it is invalid"),
        ("nightly", json!({ "command": "list" }), "422", "unknown variant"),
        ("nightly", json!({ "command": "purge", "--state-dir": "x" }), "422", "unknown field"),
        // Nothing was ever rejected, and nothing ran.
        ("nightly", json!({ "command": "purge" }), "200", "\"exit_code\":66"),
    ] {
        let path = format!("POST /api/v1/pipelines/{name}/dead-letters");
        let (found, answer) = crate::service::http(&sandbox, &path, &body.to_string());
        assert!(found == status && answer.contains(text), "{name} {body}: {found} {answer}");
    }
}
