//! The metrics of a running service, and runs of a watched directory on a schedule.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::installation::project_file;
use crate::sandbox::Sandbox;
use crate::service::{Service, sandbox_with_report, simple, wait_for, with_input, write_pipeline};

/// The response to `GET /metrics` on the control socket, with raw bytes.
fn scrape(sandbox: &Sandbox, accept: &str) -> String {
    let mut stream = UnixStream::connect(sandbox.path("state/control.sock")).unwrap();
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[track_caller]
fn assert_has(metrics: &str, line: &str) {
    assert!(metrics.lines().any(|found| found.trim_end() == line), "{line}\n{metrics}");
}

/// The value of a series.
#[track_caller]
fn value(metrics: &str, series: &str) -> f64 {
    let found = metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{series} is missing in\n{metrics}"))
}

/// Whether the failing pipeline was started again: its run, which cannot open its output, has no number.
fn repeated(sandbox: &Sandbox) -> bool {
    value(&scrape(sandbox, ""), "scanbridge_pipeline_restarts_total{pipeline=\"failing\"}") >= 1.0
}

#[test]
fn metrics_of_runs_and_states_survive_a_restart_of_the_service() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "hourly", &simple("hourly", "schedule: { every_minutes: 60 }"));
    write_pipeline(&sandbox, "broken", "version: 1\n");
    let failing =
        simple("failing", "schedule: { every_minutes: 60 }\nrestart: { initial_secs: 1, max_secs: 1 }");
    write_pipeline(&sandbox, "failing", &failing.replace("path: failing.csv", "path: missing/failing.csv"));
    let service = Service::start(&sandbox);
    wait_for(&sandbox, "hourly", |view| view["last_run"]["status"] == "ok");
    wait_for(&sandbox, "failing", |_| repeated(&sandbox));
    let response = scrape(&sandbox, "text/plain");
    assert!(response.contains("text/plain; version=0.0.4"), "{response}");
    for line in [
        "scanbridge_pipeline_state{pipeline=\"hourly\",state=\"waiting\"} 1.0",
        "scanbridge_pipeline_state{pipeline=\"broken\",state=\"invalid\"} 1.0",
        "scanbridge_pipeline_runs_total{pipeline=\"hourly\",status=\"ok\"} 1.0",
        "scanbridge_output_findings_total{pipeline=\"hourly\",output=\"sheet\",result=\"delivered\"} 16.0",
        "scanbridge_output_findings_total{pipeline=\"hourly\",output=\"sheet\",result=\"rejected\"} 0.0",
        "scanbridge_pipeline_schedule_interval_seconds{pipeline=\"hourly\"} 3600.0",
        "scanbridge_dead_letters{pipeline=\"hourly\",output=\"sheet\"} 0.0",
        "scanbridge_config_last_reload_successful 0.0",
    ] {
        assert_has(&response, line);
    }
    let write = "scanbridge_output_write_duration_seconds";
    let labels = "{pipeline=\"hourly\",output=\"sheet\"";
    assert!(value(&response, &format!("{write}_count{labels}}}")) >= 1.0, "{response}");
    assert!(value(&response, &format!("{write}_bucket{labels},le=\"+Inf\"}}")) >= 1.0, "{response}");
    assert!(
        value(&response, &format!("scanbridge_output_commit_duration_seconds_sum{labels}}}")) > 0.0,
        "{response}"
    );
    let cpu = value(&response, "scanbridge_run_cpu_seconds_total{pipeline=\"failing\"}");
    let restarts = value(&response, "scanbridge_pipeline_restarts_total{pipeline=\"failing\"}");
    assert!(cpu > 0.0 && restarts >= 1.0, "{cpu} {restarts} {response}");
    let response = scrape(&sandbox, "application/openmetrics-text;version=1.0.0");
    let labels = "{route=\"/metrics\",method=\"GET\",code=\"200\"}";
    assert!(value(&response, &format!("scanbridge_http_requests_total{labels}")) >= 1.0, "{response}");
    let count = "scanbridge_http_request_duration_seconds_count{route=\"/api/v1/pipelines/{name}\"}";
    assert!(value(&response, count) >= 1.0, "{response}");
    assert!(response.contains("application/openmetrics-text") && response.contains("# EOF"), "{response}");
    assert_eq!(service.stop(), Some(0));
    let _service = Service::start(&sandbox);
    let response = scrape(&sandbox, "");
    for (name, before) in [("run_cpu_seconds_total", cpu), ("pipeline_restarts_total", restarts)] {
        let now = value(&response, &format!("scanbridge_{name}{{pipeline=\"failing\"}}"));
        assert!(now >= before, "{name} {before} {now}");
    }
    assert!(value(&response, &format!("{write}_count{{pipeline=\"hourly\",output=\"sheet\"}}")) >= 1.0);
    assert_has(&response, "scanbridge_pipeline_runs_total{pipeline=\"hourly\",status=\"ok\"} 1.0");
    assert_has(
        &response,
        "scanbridge_output_findings_total{pipeline=\"hourly\",output=\"sheet\",result=\"delivered\"} 16.0",
    );
}

#[test]
fn run_of_a_watched_directory_on_a_schedule_ends() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("in")).unwrap();
    std::fs::copy(project_file("examples/reports/scan.xml"), sandbox.path("in/scan.xml")).unwrap();
    let text = with_input(
        "folder",
        "{ path: in, watch: yes, settle_secs: 0 }",
        "",
        "schedule: { every_minutes: 60 }",
    );
    write_pipeline(&sandbox, "folder", &text);
    let _service = Service::start(&sandbox);
    let view = wait_for(&sandbox, "folder", |view| view["last_run"]["status"] == "ok");
    assert_eq!(view["last_run"]["findings"], 16, "{view:#}");
}
