//! Who may use the control socket: its permissions decide who may connect, and the user of the other process decides what
//! it may do.

use std::env;
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::installation;
use crate::sandbox::Outcome;
use crate::service::{Service, sandbox_with_report, simple, view, write_pipeline};

/// `nobody` in most systems; it owns nothing.
const OTHER: u32 = 65_534;
const SOCKET: &str = "SCANBRIDGE_TEST_SOCKET";

/// The command as the other user. `None` if that user may not execute it.
fn as_other_user(mut command: Command) -> Option<Outcome> {
    match command.uid(OTHER).gid(OTHER).current_dir("/").output() {
        Ok(output) => Some(Outcome::of(output)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
        Err(error) => panic!("{error}"),
    }
}

/// Not a test by itself: the process of the other user, which sends requests and prints the status of each response.
#[test]
fn client_of_another_user() {
    let Ok(socket) = env::var(SOCKET) else { return };
    for request in [
        "GET /health/live",
        "GET /api/v1/pipelines",
        "POST /api/v1/pipelines/nightly/run",
        "POST /api/v1/pipelines/nightly/dead-letters",
        "POST /api/v1/reload",
        "POST /api/v1/statistics",
    ] {
        let body = "{\"command\":\"purge\"}";
        let mut stream = UnixStream::connect(&socket).unwrap();
        let head = "Host: localhost\r\nConnection: close\r\nContent-Type: application/json";
        let length = body.len();
        let text = format!("{request} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(text.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        println!("{request}: {}", response.split(' ').nth(1).unwrap());
    }
}

#[test]
fn other_users_may_not_connect_and_members_of_the_group_may_only_read() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can start processes of another user");
        return;
    }
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    let service = Service::start(&sandbox);
    for folder in [".", "state"] {
        fs::set_permissions(sandbox.path(folder), Permissions::from_mode(0o711)).unwrap();
    }
    let socket = sandbox.path("state/control.sock");
    let control = |arguments: &[&str]| {
        let mut command = Command::new(installation::host());
        command.arg("service").args(arguments).arg("--socket").arg(&socket);
        as_other_user(command)
    };
    // The file permissions: 0660.
    let Some(refused) = control(&["status"]) else {
        eprintln!("skipped: another user may not execute {}", installation::host().display());
        return;
    };
    let refused = refused.expect_code(77);
    assert!(refused.stderr.contains("permission denied for "), "{}", refused.stderr);
    assert!(refused.stderr.contains("run as root or as the user of the service"), "{}", refused.stderr);

    // Someone whom the permissions let in, as a member of the group, may read.
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    let status = control(&["status"]).unwrap().expect_code(0);
    assert!(status.stdout.contains("nightly"), "{}", status.stdout);
    for arguments in [&["run", "nightly"][..], &["pause", "nightly"], &["reload"], &["statistics"]] {
        let refused = control(arguments).unwrap().expect_code(77);
        let expected = "permission denied: only root and the user of the service may do this";
        assert!(refused.stderr.contains(expected), "{arguments:?}: {}", refused.stderr);
    }
    let mut client = Command::new(env::current_exe().unwrap());
    client.args(["--exact", "service_users::client_of_another_user", "--nocapture"]).env(SOCKET, &socket);
    if let Some(client) = as_other_user(client) {
        let responses = client.expect_code(0).stdout;
        for expected in [
            "GET /health/live: 200",
            "GET /api/v1/pipelines: 200",
            "POST /api/v1/pipelines/nightly/run: 403",
            "POST /api/v1/pipelines/nightly/dead-letters: 403",
            "POST /api/v1/reload: 403",
            "POST /api/v1/statistics: 403",
        ] {
            assert!(responses.contains(expected), "{expected}: {responses}");
        }
    } else {
        eprintln!("skipped in part: another user may not execute this test");
    }
    let view = view(&sandbox, "nightly");
    assert!(view["state"] == "manual" && view["last_run"].is_null(), "{view:#}");
    assert_eq!(service.stop(), Some(0));
}
