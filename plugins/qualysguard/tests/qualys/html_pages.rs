//! HTML pages with status 200 instead of responses of the API.

use scanbridge_doubles::fake_qualys::{ReceivedRequest, Reply, Script};
use scanbridge_plugin_api::ErrorKind;
use serde_json::json;

use crate::drive::Bench;
use crate::template_reports::template_report;

fn page(html: &str) -> Reply {
    Reply::new(200, "text/html; charset=utf-8", html)
}

const SIGN_IN: &str = "<!DOCTYPE html><html><head><title>Qualys Login</title></head><body>\
    <form method=\"post\" action=\"/fo/login.php\"><input name=\"UserLogin\">\
    <input type=\"password\" name=\"UserPasswd\"></form></body></html>";
const SINGLE_SIGN_ON: &str = "<html><head><title>Working...</title></head><body onload=\"document.forms[0].submit()\">\
    <form action=\"https://sso.example.com/saml2\"><input type=\"hidden\" name=\"SAMLRequest\" value=\"NONCE\"></form></body></html>";
const BLOCKED: &str =
    "<html><head><title>Access blocked</title></head><body>Category: security. Incident NONCE</body></html>";
const MAINTENANCE: &str = "<html><head><title>Qualys</title></head><body><h1>Scheduled maintenance</h1>We will be back soon.</body></html>";

/// The page, with a value that differs in each response.
fn changing(html: &'static str) -> impl Fn(&ReceivedRequest) -> Reply {
    let count = std::sync::atomic::AtomicU32::new(0);
    move |_| {
        let count = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        page(&html.replace("NONCE", &format!("5f{count}a-{}", 77 * count)))
    }
}

#[test]
fn sign_in_page_and_constant_page_end_after_one_repetition() {
    for (html, kind, words) in [
        (SIGN_IN, ErrorKind::Auth, "the response is a sign-in page (HTML) titled `Qualys Login`"),
        (SINGLE_SIGN_ON, ErrorKind::Auth, "the response is a sign-in page (HTML) titled `Working...`"),
        (BLOCKED, ErrorKind::Protocol, "the response is an HTML page titled `Access blocked`"),
        ("<html><body>It works!</body></html>", ErrorKind::Protocol, "the response is an HTML page, not"),
    ] {
        for options in [
            json!({}),
            json!({ "report_id": 7 }),
            json!({ "source": "host-detections" }),
            json!({ "auth": "session", "report_id": 7 }),
        ] {
            let bench = Bench::new(changing(html)).with(options.clone());
            let error = bench.fails();
            assert_eq!(error.kind, kind, "{options}: {error}");
            assert!(error.message.contains(words), "{options}: {error}");
            let hint = error.hint.unwrap();
            assert!(hint.contains("option `url`") && hint.contains("single sign-on"), "{hint}");
            assert_eq!(bench.qualys.requests().len(), 2, "{options}: {html}");
        }
    }
}

#[test]
fn maintenance_page_is_retried_by_the_host() {
    for html in [
        MAINTENANCE,
        "<html><title>Error</title><h1>503 Service Unavailable</h1></html>",
        "<html>The Qualys Cloud Platform is temporarily unavailable. Please try again later.</html>",
    ] {
        let bench = Bench::new(Script::new().on("", [page(html)])).with(json!({ "report_id": 7 }));
        let error = bench.fails();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(error.message.contains("a maintenance page (HTML)"), "{error}");
        assert_eq!(bench.qualys.requests().len(), 1);
    }
    // Another status says more than the page.
    for (status, kind) in
        [(503, ErrorKind::Unavailable), (500, ErrorKind::Unavailable), (403, ErrorKind::Auth)]
    {
        let bench = Bench::new(Script::new().on("", [Reply::new(status, "text/html", SIGN_IN)]));
        assert_eq!(bench.with(json!({ "report_id": 7 })).fails().kind, kind, "{status}");
    }
}

#[test]
fn page_that_disappears_or_changes_is_not_final() {
    let report = || Reply::xml(template_report());
    for html in [SIGN_IN, BLOCKED] {
        let bench = Bench::new(Script::new().on("", [page(html), report()])).with(json!({ "report_id": 7 }));
        bench.run().unwrap().only_report();
        assert_eq!(bench.qualys.requests().len(), 2);
    }
    for (second, kind) in [
        (page("<html><body>Another page</body></html>"), ErrorKind::Unavailable),
        (page(MAINTENANCE), ErrorKind::Unavailable),
        (page(SIGN_IN), ErrorKind::Auth),
        (Reply::html(503), ErrorKind::Unavailable),
        (Reply::code(401, 2000, "Bad Login/Password"), ErrorKind::Auth),
    ] {
        let bench = Bench::new(Script::new().on("", [page(BLOCKED), second])).with(json!({ "report_id": 7 }));
        let error = bench.fails();
        assert_eq!((error.kind, bench.qualys.requests().len()), (kind, 2), "{error}");
    }
}

#[test]
fn html_from_version_1_means_that_the_call_is_gone_unless_it_asks_for_a_login() {
    for (html, kind, calls) in [
        (SIGN_IN, ErrorKind::Auth, 2),
        (MAINTENANCE, ErrorKind::Unavailable, 1),
        (BLOCKED, ErrorKind::Config, 1),
    ] {
        let bench = Bench::new(Script::new().on("", [page(html)])).with(json!({ "source": "scan-reports" }));
        let error = bench.fails();
        assert_eq!((error.kind, bench.qualys.requests().len()), (kind, calls), "{error}");
    }
}
