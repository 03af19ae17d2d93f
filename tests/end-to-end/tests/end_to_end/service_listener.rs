//! The TCP listener of the service: who may do what, and what a hostile client gets.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api_document::{document, routes};
use crate::sandbox::Sandbox;
use crate::service::{Service, control, log, sandbox_with_report, simple, wait_for_state, write_pipeline};

/// A service with this mapping `console` besides `listen`, on a free port.
pub(crate) fn start(sandbox: &Sandbox, console: &str) -> (Service, SocketAddr) {
    let listen = if console.contains("listen") { "" } else { "listen: '127.0.0.1:0', " };
    sandbox.write("service.yaml", format!("service: 1\nconsole: {{ {listen}{console} }}\n"));
    write_pipeline(sandbox, "nightly", &simple("nightly", ""));
    let service = Service::start_with(sandbox, |command| {
        command.args(["--config", "service.yaml"]);
    });
    let url = status(sandbox)["listener"]["url"].as_str().unwrap().to_owned();
    // For all addresses, the URL has the name of the machine, which need not be resolved here.
    let port = url.rsplit(':').next().unwrap();
    (service, format!("127.0.0.1:{port}").parse().unwrap())
}

pub(crate) fn status(sandbox: &Sandbox) -> Value {
    let status = control(sandbox, &["status", "--format", "json"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap_or_else(|_| panic!("{}", status.stderr));
    status["service"].clone()
}

pub(crate) fn token(sandbox: &Sandbox, name: &str, role: &str) -> String {
    let made = control(sandbox, &["token", "add", name, "--role", role]).expect_code(0);
    made.stdout.trim_end().to_owned()
}

/// Everything that the service sends until it closes the connection.
pub(crate) fn exchange(address: SocketAddr, text: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // A service that refuses what it reads may close before everything is sent.
    let _ = stream.write_all(text);
    read_all(&mut stream)
}

fn read_all(stream: &mut impl Read) -> String {
    let mut response = Vec::new();
    match stream.read_to_end(&mut response) {
        Err(error) if !matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => {
            panic!("{error}")
        }
        _ => String::from_utf8_lossy(&response).into_owned(),
    }
}

pub(crate) fn request(line: &str, token: &str, headers: &str) -> String {
    let authorization =
        if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let host = if headers.contains("Host:") { "" } else { "Host: localhost:9001\r\n" };
    format!("{line} HTTP/1.1\r\n{host}Connection: close\r\n{authorization}{headers}\r\n")
}

/// Status of the response.
fn answer(address: SocketAddr, line: &str, token: &str, headers: &str) -> u16 {
    code(&exchange(address, request(line, token, headers).as_bytes()))
}

#[track_caller]
pub(crate) fn code(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{response:?}"))
}

/// the sockets of the process, and all TCP sockets of the machine.
#[test]
fn tcp_socket_exists_only_with_the_key() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    let tcp_sockets = |service: &Service| {
        let process = format!("/proc/{}", service.id());
        let files = fs::read_dir(format!("{process}/fd")).unwrap();
        let targets = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
        let inodes: Vec<String> = targets
            .filter_map(|target| {
                Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
            })
            .collect();
        assert!(!inodes.is_empty(), "it has its control socket");
        let tables =
            ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("{process}/net/{table}")).unwrap());
        let of_process = |line: &&str| {
            line.split_whitespace().nth(9).is_some_and(|inode| inodes.iter().any(|own| own == inode))
        };
        tables.iter().flat_map(|table| table.lines()).filter(of_process).count()
    };
    let service = Service::start(&sandbox);
    assert_eq!(tcp_sockets(&service), 0);
    assert_eq!(service.stop(), Some(0));
    let (service, _) = start(&sandbox, "");
    assert_eq!(tcp_sockets(&service), 1);
    assert_eq!(service.stop(), Some(0));
}

/// Whether a request line is of this route: its parameters match any segment.
fn is_route(line: &str, route: &str) -> bool {
    let line = line.split('?').next().unwrap_or_default();
    let (segments, pattern): (Vec<_>, Vec<_>) = (line.split('/').collect(), route.split('/').collect());
    segments.len() == pattern.len()
        && segments.iter().zip(pattern).all(|(segment, part)| part.starts_with('{') || *segment == part)
}

/// Every route with every role. Statuses: without a token, with `read`, with `operate`.
#[test]
fn each_route_is_open_to_the_roles_that_it_is_for() {
    let sandbox = sandbox_with_report();
    let (service, address) = start(&sandbox, "");
    let (read, operate) = (token(&sandbox, "watcher", "read"), token(&sandbox, "ops", "operate"));
    let json = |body: &str| {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let purge = json("{\"command\":\"purge\",\"output\":\"sheet\"}");
    let new = json("{\"name\":\"more\",\"role\":\"operate\"}");
    let chosen = json("{\"ids\":[\"absent\"]}");
    let selected = json("{\"output\":\"sheet\"}");
    let none = "";
    let table = [
        ("GET /health/live", none, [200, 200, 200]),
        ("GET /health/ready", none, [200, 200, 200]),
        ("GET /metrics", none, [401, 200, 200]),
        ("GET /api/v1/service", none, [401, 200, 200]),
        ("GET /api/v1/pipelines", none, [401, 200, 200]),
        ("GET /api/v1/pipelines/nightly", none, [401, 200, 200]),
        ("GET /api/v1/pipelines/absent", none, [401, 404, 404]),
        ("GET /api/v1/pipelines/..%2f..%2fetc", none, [401, 404, 404]),
        ("GET /api/v1/log", none, [401, 200, 200]),
        ("GET /api/v1/plugins", none, [401, 200, 200]),
        ("GET /api/v1/plugins/CSV", none, [401, 200, 200]),
        ("GET /api/v1/plugins/Absent", none, [401, 404, 404]),
        ("GET /api/v1/pipelines/nightly/runs", none, [401, 200, 200]),
        ("GET /api/v1/pipelines/nightly/runs/99", none, [401, 404, 404]),
        ("GET /api/v1/pipelines/nightly/reports", none, [401, 200, 200]),
        ("POST /api/v1/pipelines/nightly/reports/send", chosen.as_str(), [401, 403, 202]),
        ("POST /api/v1/pipelines/nightly/reports/skip", chosen.as_str(), [401, 403, 202]),
        ("GET /api/v1/jobs/absent", none, [401, 404, 404]),
        ("DELETE /api/v1/jobs/absent", none, [401, 403, 404]),
        ("GET /api/v1/pipelines/nightly/dead-letters", none, [401, 200, 200]),
        ("GET /api/v1/pipelines/nightly/dead-letters/sheet", none, [401, 403, 200]),
        ("GET /api/v1/pipelines/nightly/dead-letters/replay", none, [401, 403, 404]),
        ("GET /api/v1/pipelines/nightly/dead-letters/purge", none, [401, 403, 404]),
        ("POST /api/v1/pipelines/nightly/dead-letters/replay", selected.as_str(), [401, 403, 202]),
        ("POST /api/v1/pipelines/nightly/dead-letters/purge", selected.as_str(), [401, 403, 202]),
        ("POST /api/v1/pipelines/nightly/pause", none, [401, 403, 202]),
        ("POST /api/v1/pipelines/nightly/resume", none, [401, 403, 202]),
        ("POST /api/v1/pipelines/nightly/stop", none, [401, 403, 409]),
        ("POST /api/v1/pipelines/nightly/dead-letters", purge.as_str(), [401, 403, 200]),
        ("POST /api/v1/pipelines/nightly/run", none, [401, 403, 202]),
        ("POST /api/v1/pipelines/absent/run", none, [401, 403, 404]),
        ("POST /api/v1/pipelines/nightly/tap?seconds=1", none, [401, 403, 503]),
        ("POST /api/v1/reload", none, [401, 403, 200]),
        ("POST /api/v1/statistics", none, [401, 403, 200]),
        // Only over the control socket.
        ("GET /api/v1/tokens", none, [401, 403, 403]),
        ("POST /api/v1/tokens", new.as_str(), [401, 403, 403]),
        ("DELETE /api/v1/tokens/watcher", none, [401, 403, 403]),
        ("POST /api/v1/login-links", none, [401, 403, 403]),
        ("GET /api/v1/absent", none, [404, 404, 404]),
        ("PUT /api/v1/reload", none, [405, 405, 405]),
    ];
    let mut wrong = Vec::new();
    for (line, rest, expected) in table {
        let codes = ["", &read, &operate].map(|token| {
            let code = answer(address, line, token, rest.strip_suffix("\r\n").unwrap_or(rest));
            // The next row finds the pipeline at rest.
            if code == 202 && !line.ends_with("/pause") {
                wait_for_state(&sandbox, "nightly", "manual");
            }
            code
        });
        if codes != expected {
            wrong.push(format!("{line}: {codes:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A unit test compares the document with the service.
    let documented =
        routes(&document()).into_iter().map(|(path, method)| format!("{} {path}", method.to_uppercase()));
    let missing: Vec<String> =
        documented.filter(|route| !table.iter().any(|(line, ..)| is_route(line, route))).collect();
    assert!(missing.is_empty(), "no row for {missing:#?}");
    let audit = log(&sandbox);
    for line in [
        "ops from 127.0.0.1: POST /api/v1/pipelines/nightly/pause: done (202)",
        "watcher from 127.0.0.1: POST /api/v1/pipelines/nightly/pause: refused (403)",
        "unknown client from 127.0.0.1: POST /api/v1/pipelines/nightly/pause: refused (401)",
        "ops from 127.0.0.1: POST /api/v1/tokens: refused (403)",
    ] {
        assert!(audit.contains(line), "{line}: {audit}");
    }
    for secret in [&read, &operate] {
        assert!(!audit.contains(secret.as_str()));
    }
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn token_is_listed_revoked_and_expires() {
    let sandbox = sandbox_with_report();
    let (service, address) = start(&sandbox, "");
    let watcher = token(&sandbox, "watcher", "read");
    assert_eq!(answer(address, "GET /metrics", &watcher, ""), 200);
    let again = control(&sandbox, &["token", "add", "watcher", "--role", "read"]).expect_code(75);
    assert!(again.stderr.contains("a token with the name `watcher` exists"), "{}", again.stderr);
    control(&sandbox, &["token", "add", "a b", "--role", "read"]).expect_code(64);
    control(&sandbox, &["token", "add", "a", "--role", "admin"]).expect_code(64);
    control(&sandbox, &["token", "add", "a", "--role", "read", "--expires", "soon"]).expect_code(64);
    let short =
        control(&sandbox, &["token", "add", "short", "--role", "read", "--expires", "1s"]).expect_code(0);
    let listed = control(&sandbox, &["token", "list"]).expect_code(0).stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("TOKEN    ROLE"), "{listed}");
    assert!(lines[1].starts_with("watcher  read") && lines[1].contains("never"), "{listed}");
    assert!(!listed.contains(&watcher), "{listed}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(answer(address, "GET /metrics", short.stdout.trim_end(), ""), 401);
    assert!(log(&sandbox).contains("login from 127.0.0.1 refused: the token `short` has expired"));
    // A restart keeps tokens; their file has no secret.
    assert_eq!(service.stop(), Some(0));
    let stored = fs::read_to_string(sandbox.path("state/service/tokens.json")).unwrap();
    assert!(!stored.contains(&watcher[4..]), "{stored}");
    let (service, address) = start(&sandbox, "");
    assert_eq!(answer(address, "GET /metrics", &watcher, ""), 200);
    control(&sandbox, &["token", "revoke", "watcher"]).expect_code(0);
    assert_eq!(answer(address, "GET /metrics", &watcher, ""), 401);
    control(&sandbox, &["token", "revoke", "watcher"]).expect_code(64);
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn hostile_requests_are_refused_and_cost_others_nothing() {
    let sandbox = sandbox_with_report();
    let (service, address) = start(&sandbox, "public_url: 'https://bridge.example.com:9443'");
    let operate = token(&sandbox, "ops", "operate");
    let get = "GET /api/v1/pipelines";
    // A web page of another site, whose name leads to this address (DNS rebinding).
    for (host, expected) in [
        ("evil.example:9001", 421),
        ("localhost.evil.example", 421),
        ("bridge.example.com", 200),
        ("127.0.0.1", 200),
        ("[::1]:9001", 200),
    ] {
        assert_eq!(answer(address, get, &operate, &format!("Host: {host}\r\n")), expected, "{host}");
    }
    for (text, expected) in [
        (format!("{get} HTTP/1.1\r\nConnection: close\r\n\r\n"), 421),
        (request(get, &operate, &format!("X: {}\r\n", "x".repeat(20 << 10))), 431),
        (request(get, &operate, "Content-Length: x\r\n"), 400),
        (request(get, "", "Authorization: Basic b3BzOm9wcw==\r\n"), 401),
        (request("GET /../../etc/passwd", &operate, ""), 404),
        ("\u{16}\u{3}\u{1}".to_owned(), 400),
        (
            request(
                "POST /api/v1/pipelines/nightly/dead-letters",
                &operate,
                &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", 70 << 10),
            ) + &"x".repeat(70 << 10),
            413,
        ),
        (
            request(
                "POST /api/v1/pipelines/nightly/dead-letters",
                &operate,
                "Content-Type: application/json\r\nContent-Length: 3\r\n",
            ) + "[[[",
            400,
        ),
    ] {
        let response = exchange(address, text.as_bytes());
        assert_eq!(code(&response), expected, "{text:.200}: {response}");
    }
    // A path with markup and control characters reaches neither the log nor the response as it is.
    let path = "POST /api/v1/%1b%5b31m<script>/run";
    assert!(matches!(answer(address, path, &operate, ""), 400 | 404));
    assert!(!log(&sandbox).contains('\u{1b}'));

    // Clients that send nothing or half a request.
    let idle: Vec<TcpStream> = (0..64)
        .map(|number| {
            let mut stream = TcpStream::connect(address).unwrap();
            if number % 2 == 0 {
                stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: loc").unwrap();
            }
            stream
        })
        .collect();
    // They occupy all places, for 10 s; the control socket has its own.
    let begun = Instant::now();
    let mut refused = TcpStream::connect(address).unwrap();
    assert_eq!(code(&read_all(&mut refused)), 503);
    control(&sandbox, &["status"]).expect_code(0);
    let mut slow = &idle[0];
    slow.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let end = read_all(&mut slow);
    assert!(end.is_empty() || code(&end) == 408, "{end}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    drop(idle);
    let started = Instant::now();
    while answer(address, get, &operate, "") != 200 {
        assert!(started.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(service.stop(), Some(0));
}

/// Clients that send requests and read no response must not keep their places.
#[test]
fn clients_that_read_nothing_lose_their_connection() {
    let sandbox = sandbox_with_report();
    let (service, address) = start(&sandbox, "");
    let request = request("GET /login", "", "").replace("Connection: close\r\n", "").repeat(200);
    let clients: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
            // Until the buffers of both sides are full.
            while stream.write_all(request.as_bytes()).is_ok() {}
            stream
        })
        .collect();
    let started = Instant::now();
    while exchange(address, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .starts_with("HTTP/1.1 503")
    {
        assert!(started.elapsed() < Duration::from_secs(40), "all places are still occupied");
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(clients);
    assert_eq!(service.stop(), Some(0));
}

/// The log does not grow with requests of unknown clients.
#[test]
fn unknown_clients_cannot_fill_the_log() {
    let sandbox = sandbox_with_report();
    let (service, address) = start(&sandbox, "");
    let path = format!("POST /{}", "a".repeat(10_000));
    // Requests that change nothing have no line, and leave those of others their places.
    for _ in 0..100 {
        assert_eq!(answer(address, "GET /health/live", "", ""), 200);
    }
    for _ in 0..100 {
        assert_eq!(answer(address, &path, "", ""), 404);
    }
    let log = log(&sandbox);
    let lines = log.matches("unknown client from").count();
    assert!((60..=62).contains(&lines), "{lines}");
    assert!(log.len() < 60_000, "{} bytes", log.len());
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn too_many_wrong_tokens_are_refused_at_once_and_right_ones_still_accepted() {
    let sandbox = sandbox_with_report();
    let (service, address) = start(&sandbox, "");
    let watcher = token(&sandbox, "watcher", "read");
    let codes: Vec<u16> = (0..8).map(|_| answer(address, "GET /metrics", "sbt_wrong", "")).collect();
    assert_eq!(codes, [401, 401, 401, 401, 401, 429, 429, 429]);
    assert_eq!(answer(address, "GET /metrics", &watcher, ""), 200);
    let log = log(&sandbox);
    assert_eq!(log.matches("login from 127.0.0.1 refused: the token is unknown").count(), 5, "{log}");
    assert!(!log.contains("sbt_wrong"), "{log}");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn every_response_has_the_headers_that_browsers_need() {
    let sandbox = sandbox_with_report();
    let (service, address) = start(&sandbox, "anonymous_metrics: yes");
    for (line, expected) in [("GET /metrics", 200), ("GET /api/v1/pipelines", 401), ("GET /absent", 404)] {
        let response = exchange(address, request(line, "", "").as_bytes()).to_lowercase();
        assert_eq!(code(&response), expected);
        for header in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: same-origin",
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-store",
        ] {
            assert!(response.contains(header), "{line}: {header}: {response}");
        }
    }
    assert_eq!(service.stop(), Some(0));
}
