//! The API input with the built host: reports of earlier runs, pages of other servers, contradictions in its settings.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_doubles::fake_qualys::{ReceivedRequest, Reply, Script};
use scanbridge_fixtures::good;
use serde_json::Value;

use crate::qualys_api::Bench;
use crate::sandbox::Outcome;

/// Launches the reports 77, 78 …; they are finished when `finished` is set.
fn launching(finished: Arc<AtomicBool>, log: Arc<Mutex<Vec<String>>>) -> impl Fn(&ReceivedRequest) -> Reply {
    let report = std::fs::read(good("template-report.xml")).unwrap();
    let next = AtomicU32::new(77);
    move |request| {
        let (action, id) =
            (request.field("action").unwrap_or_default(), request.field("id").unwrap_or_default());
        log.lock().unwrap().push(format!("{action} {id}"));
        match action {
            "launch" => {
                let id = next.fetch_add(1, Ordering::SeqCst).to_string();
                Reply::simple("New report launched", &[("ID", &id)])
            }
            "fetch" => Reply::xml(report.clone()),
            "delete" => Reply::simple("Report deleted", &[]),
            _ => {
                let state = if finished.load(Ordering::SeqCst) { "Finished" } else { "Running" };
                Reply::xml(format!(
                    "<REPORT_LIST_OUTPUT><RESPONSE><REPORT_LIST><REPORT><ID>{id}</ID><STATUS><STATE>{state}</STATE>\
                     </STATUS></REPORT></REPORT_LIST></RESPONSE></REPORT_LIST_OUTPUT>"
                ))
            }
        }
    }
}

/// A run is killed while it waits for report 77; then the report is finished, and another run follows.
fn after_a_kill(arguments: &[&str]) -> (Outcome, Vec<String>) {
    let (finished, log) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let bench = Bench::new(launching(Arc::clone(&finished), Arc::clone(&log)));
    let text = bench.pipeline("template_id: 424242");
    let mut host =
        bench.sandbox.host_running(&text).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !log.lock().unwrap().contains(&"list 77".to_owned()) {
        assert!(started.elapsed() < Duration::from_secs(60), "the report is not launched");
        sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&host), Signal::KILL).unwrap();
    host.wait().unwrap();
    finished.store(true, Ordering::SeqCst);
    log.lock().unwrap().clear();
    let mut host = bench.sandbox.host_running(&text);
    let outcome = Outcome::of(host.args(arguments).output().unwrap()).expect_code(0);
    let requests = log.lock().unwrap().clone();
    (outcome, requests)
}

#[test]
fn report_of_a_killed_run_is_adopted_and_named_in_the_summary() {
    let (outcome, requests) = after_a_kill(&[]);
    assert_eq!(requests, ["list 77", "fetch 77", "delete 77"]);
    let notes = &outcome.summary()["inputs"][0]["notes"];
    let text = notes[0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("report 77 was launched by an earlier run, ") && text.ends_with(" s ago"),
        "{text}"
    );
    assert_eq!((&notes[0]["warning"], &notes[0]["count"]), (&Value::from(true), &Value::from(1)));
    assert!(outcome.stderr.contains("report 77 was launched by an earlier run"), "{}", outcome.stderr);
}

#[test]
fn run_from_the_beginning_launches_its_own_report() {
    let (outcome, requests) = after_a_kill(&["--restart"]);
    assert_eq!(requests, ["delete 77", "launch ", "list 78", "fetch 78", "delete 78"]);
    assert!(outcome.summary()["inputs"][0].get("notes").is_none(), "{}", outcome.stdout);
}

#[test]
fn html_page_of_another_server_ends_the_run_after_one_repetition() {
    let sign_in = "<html><title>Login</title><input type=password></html>";
    for (page, code) in [(sign_in, 77), ("<html><title>Welcome</title>It works!</html>", 76)] {
        let bench = Bench::new(Script::new().on("", [Reply::new(200, "text/html", page)]));
        let outcome = bench.sandbox.run(&bench.pipeline("source: host-detections")).expect_code(code);
        assert_eq!(bench.requests(), 2);
        assert!(outcome.stderr.contains("single sign-on"), "{}", outcome.stderr);
    }
}

#[test]
fn parameter_that_another_option_sets_is_found_offline() {
    let bench = Bench::new(Script::new());
    for (settings, words) in [
        (
            "source: host-detections, extra_parameters: { show_tags: 1 }",
            Some("option `extra_parameters` must not contain `show_tags`, which `details: tags` sets"),
        ),
        (
            "source: host-detections, ignored: yes, extra_parameters: [include_ignored=1]",
            Some("option `extra_parameters` must not contain `include_ignored`, which `ignored: yes` sets"),
        ),
        (
            "source: host-detections, extra_parameters: { Truncation_Limit: 5 }",
            Some(
                "option `extra_parameters` must not contain `Truncation_Limit`, which the plugin sets itself",
            ),
        ),
        ("source: host-detections, details: [scores], extra_parameters: { show_tags: 1 }", None),
        ("template_id: 1, extra_parameters: { show_tags: 1 }", None),
    ] {
        let file = bench.sandbox.write("pipeline.yaml", bench.pipeline(settings));
        let mut check = bench.sandbox.host(&["check", "--offline", file.to_str().unwrap()]);
        let outcome = Outcome::of(check.output().unwrap());
        let outcome = outcome.expect_code(if words.is_some() { 78 } else { 0 });
        if let Some(words) = words {
            assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
            assert!(outcome.stderr.contains("remove `"), "{}", outcome.stderr);
        }
    }
    assert_eq!(bench.requests(), 0);
}
