//! Sessions and forms of the console against forgery, in raw bytes.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::service::{
    Service, control, log, sandbox_with_report, simple, view, wait_for, with_input, write_pipeline,
};

pub(crate) struct Response {
    pub(crate) code: u16,
    head: String,
    pub(crate) body: String,
}

pub(crate) fn send(url: &str, line: &str, headers: &str, body: &str) -> Response {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let form = "Content-Type: application/x-www-form-urlencoded";
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}");
    write!(stream, "{head}{form}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { code, head: head.to_owned(), body: body.to_owned() }
}

pub(crate) fn start(sandbox: &Sandbox, console: &str) -> (Service, String) {
    write_pipeline(sandbox, "nightly", &simple("nightly", ""));
    sandbox.write("service.yaml", format!("service: 1\nconsole: {{ listen: '127.0.0.1:0'{console} }}\n"));
    let service = Service::start_with(sandbox, |command| {
        command.args(["--config", "service.yaml"]);
    });
    let status: Value =
        serde_json::from_str(&control(sandbox, &["status", "--format", "json"]).stdout).unwrap();
    (service, status["service"]["listener"]["url"].as_str().unwrap().to_owned())
}

pub(crate) fn token(sandbox: &Sandbox, role: &str) -> String {
    control(sandbox, &["token", "add", role, "--role", role]).expect_code(0).stdout.trim_end().to_owned()
}

/// The header with the cookie, and what forms must contain.
pub(crate) fn log_in(url: &str, token: &str) -> (String, String) {
    let response = send(url, "POST /login", "", &format!("token={token}&next=%2F"));
    assert_eq!(response.code, 303, "{}", response.body);
    let cookie = response.head.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
    let cookie = format!("Cookie: other=1; {cookie}\r\n");
    let page = send(url, "GET /", &cookie, "").body;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    (cookie, csrf.to_owned())
}

#[test]
fn forged_forms_change_nothing() {
    let sandbox = sandbox_with_report();
    let (service, url) = start(&sandbox, "");
    let (cookie, csrf) = log_in(&url, &token(&sandbox, "operate"));
    let (reader, reader_csrf) = log_in(&url, &token(&sandbox, "read"));
    let run = "POST /pipelines/nightly/run";
    let site = |site: &str| format!("{cookie}Sec-Fetch-Site: {site}\r\n");
    let origin = |origin: &str| format!("{cookie}Origin: {origin}\r\n");
    let good = format!("csrf={csrf}");
    for (headers, body, expected) in [
        (String::new(), good.as_str(), 401),
        (cookie.clone(), "", 403),
        (cookie.clone(), "csrf=", 403),
        (cookie.clone(), &format!("csrf={reader_csrf}"), 403),
        (reader.clone(), &format!("csrf={reader_csrf}"), 403),
        (site("cross-site"), &good, 403),
        (site("same-site"), &good, 403),
        (origin("https://evil.example"), &good, 403),
        (origin("null"), &good, 403),
        (origin(&url.replace("127.0.0.1", "localhost")), &good, 403),
        (format!("Cookie: scanbridge-{}=guessed\r\n", url.rsplit(':').next().unwrap()), &good, 401),
        (cookie.clone(), "csrf=%ff%00&csrf[]=1&%", 403),
    ] {
        let response = send(&url, run, &headers, body);
        assert_eq!(response.code, expected, "{headers} {body}: {}", response.body);
    }
    // A cookie is not enough for the API, where there are no forms.
    assert_eq!(send(&url, "POST /api/v1/pipelines/nightly/run", &cookie, &good).code, 401);
    assert_eq!(send(&url, "GET /api/v1/pipelines", &cookie, "").code, 200);
    assert!(view(&sandbox, "nightly")["last_run"].is_null(), "{}", log(&sandbox));
    for headers in [site("same-origin"), origin(&url)] {
        assert_eq!(send(&url, run, &headers, &good).code, 303);
        wait_for(&sandbox, "nightly", |view| view["state"] == "manual" && !view["last_run"].is_null());
    }
    let log = log(&sandbox);
    assert!(log.contains("operate from 127.0.0.1: POST /pipelines/nightly/run: done (303)"), "{log}");
    assert!(log.contains("operate from 127.0.0.1: POST /pipelines/nightly/run: refused (403)"), "{log}");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn session_belongs_to_its_cookie_and_ends_with_logout_and_restart() {
    let sandbox = sandbox_with_report();
    let (service, url) = start(&sandbox, ", public_url: 'https://bridge.example.com'");
    let token = token(&sandbox, "operate");
    for (next, expected) in [
        ("%2Fhealth", "/health"),
        ("https%3A%2F%2Fevil.example", "/"),
        ("%2F%2Fevil.example", "/"),
        ("%2F%5Cevil.example", "/"),
        // Browsers discard tabs in URLs.
        ("%2F%09%2Fevil.example", "/"),
        ("%2F%7f", "/"),
        ("", "/"),
    ] {
        let response = send(&url, "POST /login", "", &format!("token={token}&next={next}"));
        assert!(response.head.contains(&format!("location: {expected}\r\n")), "{next}: {}", response.head);
        // Behind a proxy with TLS, browsers must accept the cookie from this host only.
        let cookie = response.head.split("set-cookie: ").nth(1).unwrap().lines().next().unwrap();
        assert!(cookie.starts_with("__Host-scanbridge-"), "{cookie}");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
        assert!(!cookie.contains(&token));
    }
    let (cookie, csrf) = log_in(&url, &token);
    // A logout that another page sends ends nothing.
    assert_eq!(send(&url, "POST /logout", &cookie, "csrf=other").code, 303);
    assert_eq!(send(&url, "GET /", &cookie, "").code, 200);
    assert_eq!(send(&url, "POST /logout", &cookie, &format!("csrf={csrf}")).code, 303);
    assert_eq!(send(&url, "GET /", &cookie, "").code, 303);
    let (cookie, _) = log_in(&url, &token);
    assert_eq!(service.stop(), Some(0));
    let (service, url) = start(&sandbox, "");
    assert_eq!(send(&url, "GET /", &cookie, "").code, 303);
    let codes: Vec<u16> = (0..7).map(|_| send(&url, "POST /login", "", "token=sbt_wrong").code).collect();
    assert_eq!(codes, [401, 401, 401, 401, 401, 429, 429]);
    assert_eq!(service.stop(), Some(0));
}

/// A page that is left has no place among the 16 any more.
#[test]
fn streams_of_events_end_with_their_connection() {
    let sandbox = sandbox_with_report();
    let (service, url) = start(&sandbox, "");
    let (cookie, _) = log_in(&url, &token(&sandbox, "read"));
    let host = url.strip_prefix("http://").unwrap();
    for number in 0..40 {
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n").unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK", "page {number}");
        drop(stream);
        // The service notices the end of the connection.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn assets_are_kept_by_browsers_and_paths_lead_nowhere_else() {
    let sandbox = sandbox_with_report();
    let (service, url) = start(&sandbox, "");
    let page = send(&url, "GET /login", "", "").body;
    let assets: Vec<&str> = page.split('"').filter(|text| text.starts_with("/assets/")).collect();
    assert_eq!(assets.len(), 4, "{page}");
    for asset in assets {
        let response = send(&url, &format!("GET {asset}"), "", "");
        assert_eq!(response.code, 200, "{asset}");
        assert!(
            response.head.contains("cache-control: public, max-age=31536000, immutable"),
            "{}",
            response.head
        );
    }
    for path in ["/assets/console.css", "/assets/..%2f..%2fCargo.toml", "/assets/", "/assets/live.js"] {
        assert_eq!(send(&url, &format!("GET {path}"), "", "").code, 404, "{path}");
    }
    // No markup of a path comes back.
    let absent = send(&url, "GET /pipelines/%3Cscript%3E", "", "");
    assert!(!absent.body.contains("<script>") && absent.code == 303, "{}", absent.body);
    let shown = send(&url, "GET /login?next=%22%3E%3Cscript%3E", "", "");
    assert!(!shown.body.contains("\"><script>"), "{}", shown.body);
    assert_eq!(service.stop(), Some(0));
}

/// Every page with every role. Statuses: without a session, with `read`, with `operate`.
#[test]
fn each_page_is_open_to_the_roles_that_it_is_for() {
    let sandbox = sandbox_with_report();
    write_pipeline(
        &sandbox,
        "watching",
        &with_input("watching", "{ path: scan.xml, watch: true, settle_secs: 0 }", "", "until: idle"),
    );
    let (service, url) = start(&sandbox, "");
    let sessions = ["read", "operate"].map(|role| log_in(&url, &token(&sandbox, role)));
    let none = String::new();
    let reports = "/pipelines/watching/reports";
    let list = format!("POST {reports}/list");
    let confirm = format!("POST {reports}/confirm");
    let act = format!("POST {reports}");
    let cancel = format!("POST {reports}/cancel");
    let reports = format!("GET {reports}");
    for (line, fields, expected) in [
        ("GET /", "", [303, 200, 200]),
        ("GET /health", "", [303, 200, 200]),
        ("GET /plugins", "", [303, 200, 200]),
        ("GET /login", "", [200, 200, 200]),
        ("GET /pipelines/nightly", "", [303, 200, 200]),
        ("GET /pipelines/absent", "", [303, 404, 404]),
        ("GET /pipelines/nightly/runs/1", "", [303, 404, 404]),
        ("GET /pipelines/nightly/runs/x", "", [303, 400, 400]),
        ("GET /pipelines/nightly/stop", "", [303, 200, 200]),
        ("GET /pipelines/nightly/dead-letters", "", [303, 403, 200]),
        ("GET /pipelines/nightly/dead-letters/purge?letters=x", "", [303, 400, 400]),
        ("GET /pipelines/nightly/reports", "", [303, 200, 200]),
        (&reports, "", [303, 200, 200]),
        (&list, "", [401, 303, 303]),
        (&confirm, "command=send&report=0", [401, 403, 409]),
        (&act, "command=send&report=0", [401, 403, 409]),
        (&cancel, "job=absent", [401, 403, 404]),
        ("POST /pipelines/nightly/run", "", [401, 403, 303]),
        ("POST /pipelines/nightly/odd", "", [401, 403, 404]),
        ("POST /pipelines/nightly/dead-letters", "command=odd", [401, 403, 400]),
        ("POST /reload", "", [401, 403, 303]),
        ("PUT /reload", "", [405, 405, 405]),
    ] {
        let callers = [(&none, &none), (&sessions[0].0, &sessions[0].1), (&sessions[1].0, &sessions[1].1)];
        let codes = callers.map(|(cookie, csrf)| {
            let body = if line.starts_with("POST") { format!("csrf={csrf}&{fields}") } else { String::new() };
            let response = send(&url, line, cookie, &body);
            let is_error = response.code >= 400;
            let is_html = response.head.contains("content-type: text/html");
            assert!(
                !is_error || is_html || response.head.contains("application/problem+json"),
                "{line}: {}",
                response.head
            );
            if line.ends_with("/run") && response.code == 303 {
                wait_for(&sandbox, "nightly", |view| view["state"] == "manual");
            }
            response.code
        });
        assert_eq!(codes, expected, "{line}");
    }
    let log = log(&sandbox);
    for line in [
        "operate from 127.0.0.1: POST /pipelines/watching/reports: refused (409)",
        "read from 127.0.0.1: POST /pipelines/watching/reports: refused (403)",
        "read from 127.0.0.1: POST /pipelines/watching/reports/list: done (303)",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert_eq!(service.stop(), Some(0));
}

/// Browsers send the cookies of all services on a host to each of these.
#[test]
fn two_services_on_one_host_keep_their_own_sessions() {
    let sandboxes = [sandbox_with_report(), sandbox_with_report()];
    let services = sandboxes.each_ref().map(|sandbox| start(sandbox, ""));
    let cookies = [0, 1].map(|at| log_in(&services[at].1, &token(&sandboxes[at], "operate")).0);
    let name =
        |cookie: &str| cookie.split("scanbridge-").nth(1).unwrap().split('=').next().unwrap().to_owned();
    assert_ne!(name(&cookies[0]), name(&cookies[1]));
    let both = format!("{}{}", cookies[0], cookies[1]);
    for (service, url) in services {
        assert_eq!(send(&url, "GET /", &both, "").code, 200);
        assert_eq!(service.stop(), Some(0));
    }
}
