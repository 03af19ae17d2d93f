//! Reports that are chosen on a pipeline that a service runs: the service stores the choice and sends the reports between two
//! runs, each once, whatever interrupts it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use scanbridge_doubles::fake_qualys::{Population, Script, StoredScans};
use serde_json::{Value, json};

use crate::qualys_api::Bench;
use crate::reports::Scans;
use crate::sandbox::{Outcome, Sandbox};
use crate::service::{
    Service, control, http, log, sandbox_with_report, view, wait_for, wait_for_state, with_input,
    write_pipeline,
};
use crate::service_dead_letters::call;

/// A service with the pipeline `scans`, whose schedule and other keys these are.
pub(crate) fn start(scans: StoredScans, keys: &str) -> (Scans, Service) {
    let scans = Scans::new(scans);
    write(&scans, keys);
    let service = Service::start(&scans.bench.sandbox);
    (scans, service)
}

fn write(scans: &Scans, keys: &str) {
    let sandbox = &scans.bench.sandbox;
    let text = sandbox.read("pipeline.yaml");
    write_pipeline(sandbox, "scans", &format!("{keys}\nrestart: {{ initial_secs: 1, max_secs: 1 }}\n{text}"));
    // It contains a password.
    fs::set_permissions(sandbox.path("pipelines/scans.yaml"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn reports(sandbox: &Sandbox, verb: &str, more: &[&str]) -> Outcome {
    call(sandbox, &[&["reports", verb, "pipelines/scans.yaml"], more].concat())
}

fn id(number: u32) -> String {
    StoredScans::reference(number)
}

/// The job that `reports send` has printed.
fn job_of(outcome: &Outcome) -> String {
    let (_, rest) = outcome.stderr.split_once("job ").unwrap_or_else(|| panic!("{}", outcome.stderr));
    rest[..16].to_owned()
}

fn job(sandbox: &Sandbox, id: &str) -> Value {
    serde_json::from_str(&http(sandbox, &format!("GET /api/v1/jobs/{id}"), "").1).unwrap()
}

#[track_caller]
fn wait_for_job(sandbox: &Sandbox, id: &str) -> Value {
    let started = Instant::now();
    loop {
        let job = job(sandbox, id);
        if job["state"] == "ended" {
            return job;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{job:#}\n{}", log(sandbox));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn choice_is_sent_by_the_service_and_the_command_waits_if_it_is_asked_to() {
    let (scans, service) = start(StoredScans::of(40), "");
    let sandbox = &scans.bench.sandbox;
    let sent = reports(sandbox, "send", &["--id", &id(3), "--id", &id(1), "--wait", "--summary", "json"])
        .expect_code(0);
    let summary: Value = serde_json::from_str(&sent.stdout).unwrap();
    assert_eq!(
        (&summary["trigger"], &summary["run"], &summary["status"]),
        (&json!("choice"), &json!(1), &json!("ok"))
    );
    assert_eq!(scans.sent(), [3, 1]);
    assert_eq!(wait_for_state(sandbox, "scans", "manual")["choices"], json!([]));

    // Without waiting: the job has the result.
    let queued = reports(sandbox, "send", &["--id", &id(2), "--id", &id(3)]).expect_code(0);
    assert!(queued.stderr.contains("reports queued: 2, as job "), "{}", queued.stderr);
    let ended = wait_for_job(sandbox, &job_of(&queued));
    assert_eq!(
        (&ended["exit_code"], &ended["kind"], &ended["reports"]),
        (&json!(66), &json!("send"), &json!(2))
    );
    assert!(
        ended["summary"]["failures"][0]["message"].as_str().unwrap().contains("was sent on 20"),
        "{ended:#}"
    );
    assert_eq!(scans.sent(), [3, 1, 2]);
    let again = reports(sandbox, "send", &["--id", &id(1), "--again", "--wait"]).expect_code(0);
    assert_eq!(again.stdout, "run 3 ended with exit code 0\n");
    assert_eq!(scans.sent(), [3, 1, 2, 1]);
    reports(sandbox, "send", &["--all-new", "--wait", "--summary", "none"]).expect_code(0);
    let mut all = vec![3, 1, 2, 1];
    all.extend(4..=40);
    assert_eq!(scans.sent(), all);
    reports(sandbox, "send", &["--all-new", "--wait"]).expect_code(66);
    // What only the process of the command could do.
    let refused = reports(sandbox, "send", &["--id", &id(1), "--restart"]).expect_code(64);
    assert!(refused.stderr.contains("a service runs this pipeline as `scans`"), "{}", refused.stderr);
    assert!(log(sandbox).contains("an operator has chosen 2 reports (job "), "{}", log(sandbox));
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn choices_wait_their_turn_and_are_not_lost_or_sent_twice_over_kills() {
    let (scans, service) = start(StoredScans { delay: Duration::from_millis(30), ..StoredScans::of(60) }, "");
    let sandbox = &scans.bench.sandbox;
    control(sandbox, &["pause", "scans"]).expect_code(0);
    let first: Vec<String> = (11..=40).rev().map(id).collect();
    sandbox.write("ids.txt", first.join("\n"));
    let send = |more: &[&str]| reports(sandbox, "send", more).expect_code(0);
    let paused = send(&["--ids-from", "ids.txt"]);
    assert!(paused.stderr.contains("sent after `scanbridge service resume scans`"), "{}", paused.stderr);
    // The same once more, and in part: what is queued is not queued again.
    let same = send(&["--ids-from", "ids.txt"]);
    assert!(same.stderr.contains("all 30 are queued already"), "{}", same.stderr);
    assert_eq!(job_of(&same), job_of(&paused));
    let second = send(&["--id", &id(40), "--id", &id(5)]);
    assert!(second.stderr.contains("reports queued: 1,") && second.stderr.contains("queued before: 1"));
    assert_eq!(view(sandbox, "scans")["choices"].as_array().unwrap().len(), 2);
    let (first_job, second_job) = (job_of(&paused), job_of(&second));

    service.kill();
    let mut service = Service::start(sandbox);
    assert_eq!(job(sandbox, &first_job)["state"], "queued");
    control(sandbox, &["resume", "scans"]).expect_code(0);
    // Each kill hits the run inside the choice, or right after it.
    for fetched in [4, 15, 29] {
        let started = Instant::now();
        while scans.bench.count("GET /msp/scan_report.php") < fetched {
            assert!(started.elapsed() < Duration::from_secs(60), "{}", log(sandbox));
            std::thread::sleep(Duration::from_millis(2));
        }
        service.kill();
        service = Service::start(sandbox);
    }
    assert_eq!(wait_for_job(sandbox, &first_job)["exit_code"], 0);
    assert_eq!(wait_for_job(sandbox, &second_job)["exit_code"], 0);
    let expected: Vec<u32> = (11..=40).rev().chain([5]).collect();
    assert_eq!(scans.sent(), expected, "each once, in the order of the choices");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn run_that_reads_everything_ends_first_and_a_continuous_one_continues_afterwards() {
    for schedule in ["", "schedule: continuous"] {
        let (scans, service) =
            start(StoredScans { delay: Duration::from_millis(40), ..StoredScans::of(30) }, schedule);
        let sandbox = &scans.bench.sandbox;
        if schedule.is_empty() {
            control(sandbox, &["run", "scans"]).expect_code(0);
        }
        while scans.bench.count("GET /msp/scan_report.php") < 5 {
            std::thread::sleep(Duration::from_millis(2));
        }
        // One that was sent by the run in progress, and one that it would send last.
        let sent =
            reports(sandbox, "send", &["--id", &id(1), "--id", &id(30), "--again", "--wait"]).expect_code(0);
        assert!(sent.stdout.ends_with("ended with exit code 0\n"), "{}", sent.stdout);
        let expected = if schedule.is_empty() { 32 } else { 31 };
        let started = Instant::now();
        while scans.sent().len() < expected {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{schedule}: {:?}\n{}",
                scans.sent(),
                log(sandbox)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let all = scans.sent();
        let chosen = all.windows(2).position(|pair| pair == [1, 30]).unwrap_or_default();
        if schedule.is_empty() {
            assert_eq!(chosen, 30, "a run that ends by itself is not stopped: {all:?}");
        } else {
            assert!(chosen > 0 && chosen < 29, "{all:?}");
            // The reports that were left when it was stopped, each once.
            let rest: Vec<u32> = all[..chosen].iter().chain(&all[chosen + 2..]).copied().collect();
            assert_eq!(rest, (1..=29).collect::<Vec<_>>(), "{all:?}");
        }
        assert_eq!(service.stop(), Some(0));
    }
}

#[test]
fn run_that_waits_for_reports_makes_room_for_a_choice_and_continues() {
    let sandbox = sandbox_with_report();
    let input = "{ path: '*.xml', watch: true, settle_secs: 0, poll_secs: 1 }";
    let text =
        with_input("scans", input, "", "").replace("path: scans.csv", "path: scans.csv, if_exists: append");
    write_pipeline(&sandbox, "scans", &text);
    let service = Service::start(&sandbox);
    control(&sandbox, &["run", "scans"]).expect_code(0);
    wait_for(&sandbox, "scans", |view| view["run"]["inputs"][0]["state"] == "idle");
    reports(&sandbox, "send", &["--id", "scan.xml", "--again", "--wait"]).expect_code(0);
    // It watches again: a further report is sent by itself.
    let running = wait_for_state(&sandbox, "scans", "running");
    fs::copy(sandbox.path("scan.xml"), sandbox.path(".part")).unwrap();
    fs::rename(sandbox.path(".part"), sandbox.path("second.xml")).unwrap();
    wait_for(&sandbox, "scans", |view| view["run"]["reports"] == 1);
    let runs: Vec<&Value> = running["recent_runs"].as_array().unwrap().iter().collect();
    assert_eq!(runs.len(), 2, "{running:#}");
    assert!(runs.iter().all(|run| run["exit_code"] == 0), "{running:#}");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn reports_are_skipped_between_runs_but_not_while_they_are_chosen() {
    let (scans, service) = start(StoredScans::of(20), "");
    let sandbox = &scans.bench.sandbox;
    let skip = |more: &[&str]| reports(sandbox, "skip", more);
    let one = skip(&["--id", &id(1)]).expect_code(0);
    assert_eq!(one.stdout, "1 report now marked as sent\n", "{}", one.stderr);
    let both = skip(&["--id", &id(1), "--id", &id(2), "--format", "json"]).expect_code(0);
    assert_eq!(serde_json::from_str::<Value>(&both.stdout).unwrap(), json!({ "reports": 2, "changed": 1 }));
    let unknown = skip(&["--id", "scan/9.9"]).expect_code(66);
    assert!(unknown.stderr.contains("no report has the ID scan/9.9"), "{}", unknown.stderr);
    assert_eq!(skip(&["--id", &id(2), "--undo"]).expect_code(0).stdout, "1 report now marked as unsent\n");

    control(sandbox, &["pause", "scans"]).expect_code(0);
    let queued = reports(sandbox, "send", &["--id", &id(3)]).expect_code(0);
    let job_id = job_of(&queued);
    for selection in [&["--id", &id(3)][..], &["--all-new"], &["--before", "0s"]] {
        let refused = skip(selection).expect_code(75);
        let expected = format!("cancel that with `scanbridge service cancel {job_id}`");
        assert!(refused.stderr.contains(&expected), "{selection:?}: {}", refused.stderr);
    }
    // Another report is not concerned, also while the pipeline is paused.
    skip(&["--id", &id(4)]).expect_code(0);
    assert_eq!(view(sandbox, "scans")["state"], "paused");
    control(sandbox, &["cancel", &job_id]).expect_code(0);
    control(sandbox, &["cancel", &job_id]).expect_code(75);
    control(sandbox, &["cancel", "absent"]).expect_code(64);
    skip(&["--all-new"]).expect_code(0);
    control(sandbox, &["resume", "scans"]).expect_code(0);
    wait_for_state(sandbox, "scans", "manual");
    let list = reports(sandbox, "list", &[]).expect_code(0);
    assert!(list.stdout.contains("no unsent report; 20 were sent"), "{}", list.stdout);
    assert_eq!(scans.bench.count("GET /msp/scan_report.php"), 0, "a cancelled choice is not sent");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn choice_that_cannot_be_sent_ends_and_does_not_hold_the_pipeline() {
    let bench = Bench::new(Script::new().population(Population::of(3)));
    let sandbox = &bench.sandbox;
    write_pipeline(sandbox, "scans", &bench.pipeline("source: host-detections"));
    fs::set_permissions(sandbox.path("pipelines/scans.yaml"), fs::Permissions::from_mode(0o600)).unwrap();
    write_pipeline(sandbox, "rogue", &crate::service_dead_letters::rogue("behave", "behave", ""));
    let service = Service::start(sandbox);
    let refused = reports(sandbox, "send", &["--id", "1", "--wait"]).expect_code(78);
    assert!(refused.stdout.contains("this source has no reports to choose from"), "{}", refused.stdout);
    let view = wait_for(sandbox, "scans", |view| view["run"].is_null() && view["state"] == "manual");
    assert_eq!(view["choices"], json!([]));
    let post = |name: &str, verb: &str, body: &str| {
        http(sandbox, &format!("POST /api/v1/pipelines/{name}/reports/{verb}"), body)
    };
    for (name, verb, body, expected) in [
        ("rogue", "send", "{\"ids\":[\"1\"]}", "422"),
        ("absent", "send", "{\"ids\":[\"1\"]}", "404"),
        ("scans", "send", "{\"ids\":[]}", "400"),
        ("scans", "send", "{\"ids\":[\"\"]}", "400"),
        ("scans", "send", "{\"ids\":[\"a\\nb\"]}", "400"),
        ("scans", "send", "{\"ids\":[\"1\"],\"input\":\"absent\"}", "404"),
        ("scans", "send", "{\"ids\":[\"1\"],\"more\":1}", "422"),
        ("scans", "skip", "{}", "400"),
        ("rogue", "skip", "{\"all_new\":true}", "422"),
    ] {
        let (code, answer) = post(name, verb, body);
        assert_eq!(code, expected, "{name} {verb} {body}: {answer}");
        assert!(answer.contains("\"title\""), "{answer}");
    }
    assert_eq!(service.stop(), Some(0));
}
