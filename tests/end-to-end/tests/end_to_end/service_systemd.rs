//! What the service sends to systemd and to monitoring, over sockets of the test.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};
use crate::service::{Service, control, http, sandbox_with_report, simple, write_pipeline};

/// Messages until one fulfills the condition, with their times.
fn read_until(socket: &UnixDatagram, is_last: impl Fn(&str) -> bool) -> Vec<(Instant, String)> {
    let mut messages = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error} after {messages:#?}"));
        let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
        messages.push((Instant::now(), message.clone()));
        if is_last(&message) {
            return messages;
        }
    }
}

fn has(messages: &[(Instant, String)], text: &str) -> bool {
    messages.iter().any(|(_, message)| message.lines().any(|line| line.starts_with(text)))
}

#[test]
fn systemd_gets_start_status_reload_watchdog_and_stop() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", "schedule: { cron: '0 0 29 2 *' }"));
    let path = sandbox.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let service = Service::start_with(&sandbox, |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000").env_remove("WATCHDOG_PID");
    });
    let first = read_until(&socket, |message| message.starts_with("STATUS="));
    assert!(has(&first, "READY=1"), "{first:#?}");
    assert!(has(&first, "STATUS=1 pipelines: 1 waiting"), "{first:#?}");

    let mut beats = Vec::new();
    while beats.len() < 4 {
        let messages = read_until(&socket, |message| message.contains("WATCHDOG=1"));
        beats.extend(messages.last().map(|(at, _)| *at));
    }
    // Half of the limit, and time for a busy machine.
    assert!(beats.windows(2).all(|pair| pair[1] - pair[0] < Duration::from_secs(5)), "{beats:?}");

    service.signal(Signal::HUP);
    let reload = read_until(&socket, |message| message.contains("READY=1"));
    let both = reload.iter().find(|(_, message)| message.contains("RELOADING=1")).unwrap();
    assert!(both.1.contains("\nMONOTONIC_USEC="), "both must be in one message: {both:?}");

    control(&sandbox, &["pause", "nightly"]).expect_code(0);
    read_until(&socket, |message| {
        message == "STATUS=1 pipelines: 1 paused\n" || message == "STATUS=1 pipelines: 1 paused"
    });
    service.signal(Signal::TERM);
    let stop = read_until(&socket, |message| message.contains("EXTEND_TIMEOUT_USEC="));
    assert!(has(&stop, "STOPPING=1"), "{stop:#?}");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn health_and_errors_over_the_socket() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    let service = Service::start(&sandbox);
    let mode = std::fs::metadata(sandbox.path("state/control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let ready = "{\"pipelines\":{\"manual\":1},\"status\":\"ok\"}";
    for (request, status, text) in [
        ("GET /health/live", "200", "{\"status\":\"ok\"}"),
        ("GET /health/ready", "200", ready),
        ("GET /api/v1/pipelines/nightly", "200", "\"state\":\"manual\""),
        ("GET /api/v1/log?pipeline=nightly", "200", "[]"),
        ("GET /api/v1/pipelines/..%2fservice", "404", "no pipeline"),
        ("GET /api/v1/log?pipeline=absent", "404", "\"exit_code\":64"),
        ("POST /api/v1/pipelines/nightly/explode", "404", "no route"),
        ("POST /api/v1/pipelines/nightly/resume", "409", "it is manual, not paused or held"),
        ("GET /api/v1/pipelines/nightly/run", "405", ""),
        ("GET /absent", "404", "no route /absent"),
    ] {
        let (found, body) = http(&sandbox, request, "");
        assert!(found == status && body.contains(text), "{request}: {found} {body}");
    }
    // A file with errors and a pipeline that failed make the service unready.
    write_pipeline(&sandbox, "bad", "version: 2\n");
    control(&sandbox, &["reload"]).expect_code(78);
    let (status, body) = http(&sandbox, "GET /health/ready", "");
    assert!(status == "503" && body.contains("\"invalid\":1"), "{status} {body}");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn units_are_printed_and_installed_below_a_root_directory() {
    let sandbox = Sandbox::new();
    let service = |arguments: &[&str]| {
        let mut all = vec!["service"];
        all.extend(arguments);
        Outcome::of(sandbox.program(installation::host(), &all).output().unwrap())
    };
    let printed = service(&["install", "--print", "--credential", "qualys=/etc/q"]).expect_code(0).stdout;
    assert!(printed.contains("# /etc/systemd/system/scanbridge.service\n"), "{printed}");
    assert!(printed.contains("ExecStart=/usr/bin/scanbridge serve\n"), "{printed}");
    assert!(printed.contains("LoadCredential=qualys:/etc/q\n"), "{printed}");
    service(&["install", "--root", "root"]).expect_code(0);
    let unit = std::fs::read_to_string(sandbox.path("root/etc/systemd/system/scanbridge.service")).unwrap();
    let shipped =
        std::fs::read_to_string(installation::project_file("dist/systemd/scanbridge.service")).unwrap();
    assert_eq!(unit, shipped);
    service(&["uninstall", "--root", "root"]).expect_code(0);
    assert!(!sandbox.path("root/etc/systemd/system/scanbridge.service").exists());
    service(&["install", "--credential", "no-path"]).expect_code(64);
}
