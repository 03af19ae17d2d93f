//! API errors, limits, and failures of the connection.

use std::time::{Duration, Instant};

use scanbridge_doubles::fake_qualys::{ReceivedRequest, Reply, Script};
use scanbridge_plugin_api::{ErrorKind, Services};
use serde_json::json;

use crate::drive::Bench;
use crate::template_reports::{complete_run, listed, template_report};

/// A bench where every call gets this reply.
fn always(reply: Reply) -> Bench {
    Bench::new(Script::new().on("", [reply]))
}

/// Status, code, and kind of the error.
const CODES: &[(u16, u32, ErrorKind)] = &[
    (401, 2000, ErrorKind::Auth),
    (403, 2002, ErrorKind::Auth),
    (409, 2003, ErrorKind::Auth),
    (200, 2001, ErrorKind::Auth),
    (200, 2007, ErrorKind::Auth),
    (403, 2012, ErrorKind::Auth),
    (200, 2010, ErrorKind::Auth),
    (409, 2011, ErrorKind::Auth),
    (401, 2099, ErrorKind::Auth),
    (400, 999, ErrorKind::Unavailable),
    (501, 999, ErrorKind::Unavailable),
    (400, 1901, ErrorKind::Config),
    (400, 1903, ErrorKind::Config),
    (400, 1904, ErrorKind::Config),
    (400, 1905, ErrorKind::Config),
    (400, 1907, ErrorKind::Config),
    (400, 1922, ErrorKind::Config),
    (200, 5000, ErrorKind::Config),
    (400, 1908, ErrorKind::Bug),
    (503, 1999, ErrorKind::Unavailable),
    (409, 4711, ErrorKind::Unavailable),
];

#[test]
fn error_codes_are_classified_and_not_retried() {
    for (status, code, kind) in CODES {
        for reply in [
            Reply::code(*status, *code, "The words of Qualys"),
            Reply::generic(*code, "The words of Qualys").status(*status),
        ] {
            let bench = always(reply);
            let error = bench.fails();
            assert_eq!(error.kind, *kind, "{code}: {error}");
            assert!(error.message.contains(&code.to_string()), "{error}");
            assert!(error.message.contains("The words of Qualys"), "{error}");
            assert_eq!(bench.qualys.requests().len(), 1, "{code}");
            assert!(!error.message.contains("echo-login"), "{error}");
        }
    }
}

#[test]
fn statuses_and_bodies_are_classified() {
    for (reply, kind, words) in [
        (Reply::new(401, "text/plain", ""), ErrorKind::Auth, "401"),
        (Reply::new(403, "text/plain", "no"), ErrorKind::Auth, "403"),
        (Reply::html(404), ErrorKind::Config, "this platform does not offer"),
        (Reply::html(410), ErrorKind::Config, "this platform does not offer"),
        (Reply::html(200), ErrorKind::Protocol, "an HTML page titled `x`"),
        (Reply::html(500), ErrorKind::Unavailable, "HTTP 500"),
        (Reply::html(502), ErrorKind::Unavailable, "HTTP 502"),
        (Reply::html(503).header("Retry-After", "120"), ErrorKind::Unavailable, "HTTP 503"),
        (Reply::html(504), ErrorKind::Unavailable, "HTTP 504"),
        (Reply::html(520), ErrorKind::Unavailable, "HTTP 520"),
        (Reply::new(200, "application/json", "{}"), ErrorKind::Protocol, "JSON"),
        (Reply::xml(""), ErrorKind::Unavailable, "is empty"),
        (Reply::xml("<MAP/>"), ErrorKind::Protocol, "MAP"),
        (Reply::html(414), ErrorKind::Rejected, "HTTP 414"),
    ] {
        let error = always(reply).fails();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(words), "{error}");
    }
    let error = always(Reply::html(503).header("Retry-After", "120")).fails();
    assert_eq!(error.retry_after, Some(Duration::from_secs(120)));
}

#[test]
fn redirects_are_not_followed() {
    for to in ["https://evil.example.com/x?p=1", "http://127.0.0.1/api/2.0/fo/report/"] {
        let bench = always(Reply::html(301).header("Location", to));
        let error = bench.fails();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains(to.split('?').next().unwrap()), "{error}");
        assert_eq!(bench.qualys.requests().len(), 1);
    }
}

#[test]
fn wrong_password_is_tried_once_and_explained() {
    let bench = always(Reply::code(200, 2010, "Bad Login/Password"));
    let error = bench.fails();
    assert_eq!((error.kind, bench.qualys.requests().len()), (ErrorKind::Auth, 1));
    assert!(error.message.contains("2010") && error.message.contains("Bad Login/Password"), "{error}");
    assert!(error.message.contains("2026-04-01T00:00:00Z"), "{error}");
    let hint = error.hint.unwrap();
    assert!(hint.contains("case-sensitive") && hint.contains("single quotes"), "{hint}");
    // The user name belongs to another platform than the fake one.
    assert!(hint.contains("qualysapi.qualys.com"), "{hint}");
    for auth in ["session", "jwt"] {
        let bench = always(Reply::code(401, 2000, "Bad Login/Password"));
        let url = bench.qualys.url();
        let bench = bench.with(json!({ "auth": auth, "gateway_url": url }));
        assert_eq!((bench.fails().kind, bench.qualys.requests().len()), (ErrorKind::Auth, 1));
    }
}

#[test]
fn invalid_template_is_reported_with_the_reply_of_qualys() {
    let items = [("Incident Signature", "Tried to launch invalid report.")];
    let bench = always(Reply::code_with(400, 999, "Internal error.", &items));
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Rejected);
    for words in ["999", "Incident Signature", "Tried to launch invalid report.", "424242"] {
        assert!(error.message.contains(words), "{error}");
    }
}

#[test]
fn rate_and_concurrency_limits_are_waited_for() {
    let failures = |replies: Vec<Reply>| {
        let mut replies = replies;
        replies.push(Reply::simple("New report launched", &[("ID", "77")]));
        Script::new()
            .on("action=launch", replies)
            .on("action=list", [listed("77", "Finished")])
            .on("action=fetch", [Reply::xml(template_report())])
            .on("action=delete", [Reply::simple("Report deleted", &[])])
    };
    let rate = Reply::code_with(409, 1965, "Too many calls", &[("SECONDS_TO_WAIT", "1")])
        .header("x-ratelimit-ToWait-sec", "2");
    let busy = Reply::code_with(409, 1960, "Too many at once", &[("CALLS_TO_FINISH", "1")]);
    let full = Reply::simple("Max number of allowed reports already running. Please try again later.", &[]);
    let unclear = Reply::code(409, 1920, "Not now");
    let printed = Reply::code_with(400, 1965, "Too many calls", &[("SECONDS_TO_WAIT", "1")]);
    let began = Instant::now();
    let bench =
        Bench::new(failures(vec![rate, busy, full, Reply::html(429), Reply::html(202), unclear, printed]));
    let services = Services::without_host(&bench.state());
    bench.run_with(&services).unwrap().only_report();
    assert_eq!(bench.qualys.count("action=launch"), 8);
    let notes = services.notes();
    assert_eq!(notes["calls repeated after a wait for a limit of the Qualys API"], 7, "{notes:?}");
    assert!(notes["seconds waited for limits of the Qualys API"] >= 6, "{notes:?}");
    assert!(began.elapsed() >= Duration::from_secs(6), "{:?}", began.elapsed());

    // The headers of a successful response are obeyed, too.
    let began = Instant::now();
    let left = Reply::simple("New report launched", &[("ID", "77")])
        .header("X-RateLimit-Limit", "300")
        .header("X-RateLimit-Remaining", "0")
        .header("X-RateLimit-ToWait-Sec", "2");
    let bench = Bench::new(Script::new().on("action=launch", [left]).on("", finished_list()));
    let _ = bench.run();
    assert!(began.elapsed() >= Duration::from_secs(2));

    let bench = Bench::new(failures(vec![Reply::code_with(
        409,
        1965,
        "Too many calls",
        &[("SECONDS_TO_WAIT", "68928")],
    )]));
    let error = bench.fails();
    assert_eq!((error.kind, error.retry_after), (ErrorKind::Unavailable, Some(Duration::from_secs(68_928))));
}

fn finished_list() -> [Reply; 1] {
    [listed("77", "Finished")]
}

#[test]
fn truncated_body_is_never_delivered() {
    let body = template_report();
    for part in 0..20 {
        let length = body.len() * part / 20;
        for (index, reply) in [
            Reply::xml(body.clone()).truncate_at(length),
            Reply::xml(body.clone()).chunked().truncate_at(length),
            Reply::xml(body[..length].to_vec()).until_close(),
            Reply::xml(body.clone()).content_length(length as u64),
        ]
        .into_iter()
        .enumerate()
        {
            if length == 0 && index > 1 {
                continue; // An empty body is tested elsewhere.
            }
            let bench = Bench::new(Script::new().on("action=fetch", [reply]).on("", finished_list()))
                .with(json!({ "report_id": 77 }));
            let error = bench.fails();
            assert_eq!(
                error.kind,
                ErrorKind::Unavailable,
                "truncated at byte {length}, variant {index}: {error}"
            );
        }
    }
    let bench = Bench::new(
        Script::new()
            .on("", [Reply::xml(body.clone()).content_length(body.len() as u64 + 9).truncate_at(body.len())]),
    )
    .with(json!({ "report_id": 77 }));
    assert_eq!(bench.fails().kind, ErrorKind::Unavailable, "Content-Length is larger than the body");
}

#[test]
fn compressed_slow_and_chunked_bodies_are_complete() {
    let body = template_report();
    let gzipped = Reply::xml(body.clone()).gzip();
    for reply in [
        gzipped.clone(),
        gzipped.clone().chunked(),
        Reply::xml(body.clone()).chunked(),
        Reply::xml(body.clone()).until_close(),
        Reply::xml(body.clone()).in_pieces(400, Duration::from_millis(20)),
    ] {
        let bench = Bench::new(Script::new().on("", [reply])).with(json!({ "report_id": 77 }));
        assert_eq!(bench.run().unwrap().only_report().findings.len(), 8);
    }
    let bench = Bench::new(Script::new().on("", [gzipped.truncate_at(500)])).with(json!({ "report_id": 77 }));
    assert_eq!(bench.fails().kind, ErrorKind::Unavailable);
}

#[test]
fn connection_closed_between_calls_is_replaced() {
    // The fake closes the connection after each response, without `Connection: close`.
    let closing = |reply: Reply| reply.truncate_at(usize::MAX);
    let script = Script::new()
        .on("action=launch", [closing(Reply::simple("New report launched", &[("ID", "77")]))])
        .on("action=list", [closing(listed("77", "Running")), closing(listed("77", "Finished"))])
        .on("action=fetch", [closing(Reply::xml(template_report()))])
        .on("action=delete", [closing(Reply::simple("Report deleted", &[]))]);
    Bench::new(script).run().unwrap().only_report();
}

#[test]
fn read_timeout() {
    let began = Instant::now();
    let bench =
        always(Reply::xml("<x/>").delay(Duration::from_secs(30))).with(json!({ "read_timeout_secs": 1 }));
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("timed out after 1 s"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(always(Reply::no_response()).fails().kind, ErrorKind::Unavailable);
}

#[test]
fn connection_error_names_proxy_or_host() {
    let bench = Bench::new(complete_run()).with(json!({ "url": "https://no-such-name.invalid" }));
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("cannot resolve the name of no-such-name.invalid:443: "), "{error}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Bench::new(complete_run()).with(json!({ "url": format!("https://{free}") })).fails();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains(&format!("connection refused by {free}")), "{error}");

    // This authority did not issue the server's certificate.
    let other_authority = scanbridge_doubles::certificates::Authority::new("Other CA");
    let bench = Bench::new(complete_run());
    let _ = other_authority.write_pem(bench.folder.path(), "ca.pem");
    let error = bench.fails();
    assert!(
        error.message.contains("TLS: ") && error.message.contains("is not trusted: unknown issuer"),
        "{error}"
    );
    assert!(bench.qualys.requests().is_empty());
}

#[test]
fn error_text_of_qualys_is_shown() {
    // The error text contains a value of the request.
    let bench = Bench::new(|request: &ReceivedRequest| {
        Reply::code(400, 1905, &format!("bad value in {}", request.field("template_id").unwrap_or("?")))
    });
    let error = bench.fails();
    assert!(error.message.contains("bad value in 424242"), "{error}");
}
