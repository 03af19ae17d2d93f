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

#[test]
fn metrics_of_runs_and_states_survive_a_restart_of_the_service() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "hourly", &simple("hourly", "schedule: { every_minutes: 60 }"));
    write_pipeline(&sandbox, "broken", "version: 1\n");
    let service = Service::start(&sandbox);
    wait_for(&sandbox, "hourly", |view| view["last_run"]["status"] == "ok");
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
    let response = scrape(&sandbox, "application/openmetrics-text;version=1.0.0");
    assert!(response.contains("application/openmetrics-text") && response.contains("# EOF"), "{response}");
    assert_eq!(service.stop(), Some(0));
    let _service = Service::start(&sandbox);
    let response = scrape(&sandbox, "");
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
