//! Sessions and tokens: obtained before the first call, renewed after they expired, logged out at the end.

use scanbridge_doubles::fake_qualys::{Population, Reply, Script};
use scanbridge_plugin_api::ErrorKind;
use serde_json::json;

use crate::drive::{Bench, PASSWORD};
use crate::template_reports::{listed, template_report};

#[test]
fn sessions_are_logged_out_and_tokens_are_sent() {
    let login = Reply::simple("Logged in", &[])
        .header("Set-Cookie", "QualysSession=abc123; path=/api; secure")
        .header("Set-Cookie", "DWRSESSIONID=xyz; path=/");
    let script = Script::new()
        .on("/api/2.0/fo/session/ action=login", [login])
        .on("/api/2.0/fo/session/ action=logout", [Reply::simple("Logged out", &[])])
        // The first session has expired.
        .on(
            "action=launch",
            [Reply::new(401, "text/plain", ""), Reply::simple("New report launched", &[("ID", "77")])],
        )
        .on("action=list", [listed("77", "Finished")])
        .on("action=fetch", [Reply::xml(template_report())])
        .on("action=delete", [Reply::simple("Report deleted", &[])]);
    let bench = Bench::new(script).with(json!({ "auth": "session" }));
    bench.run().unwrap().only_report();
    let requests = bench.qualys.requests();
    assert_eq!(requests.iter().filter(|request| request.field("action") == Some("login")).count(), 2);
    assert_eq!(requests[0].field("password"), Some(PASSWORD));
    assert_eq!(requests.last().unwrap().field("action"), Some("logout"));
    for request in requests.iter().filter(|request| !request.path.contains("session")) {
        assert_eq!(request.header("cookie"), Some("QualysSession=abc123; DWRSESSIONID=xyz"));
        assert_eq!(request.header("authorization"), None);
    }

    let script = Script::new()
        .on("POST /auth token=true username=dirk_g", [Reply::new(201, "text/plain", "eyJ.a-b_c.d\n")]);
    let script = script.on("", [Reply::xml(template_report())]);
    let bench = Bench::new(script);
    let url = bench.qualys.url();
    let bench = bench.with(json!({ "auth": "jwt", "gateway_url": url, "report_id": 5 }));
    bench.run().unwrap().only_report();
    assert_eq!(bench.qualys.requests()[1].header("authorization"), Some("Bearer eyJ.a-b_c.d"));
}

fn session() -> Reply {
    Reply::simple("Logged in", &[]).header("Set-Cookie", "QualysSession=abc123; path=/api; secure")
}

#[test]
fn session_is_logged_out_after_a_failed_run() {
    for reply in [
        Reply::html(503),
        Reply::code(403, 2012, "Not allowed"),
        Reply::no_response(),
        Reply::xml("<SCAN>").until_close(),
        Reply::code(409, 1965, "Too many calls"),
    ] {
        let script = Script::new()
            .on("action=login", [session()])
            .on("action=logout", [Reply::simple("Logged out", &[])])
            .on("", [reply]);
        let bench =
            Bench::new(script).with(json!({ "auth": "session", "report_id": 5, "max_wait_minutes": 0 }));
        bench.fails();
        assert_eq!((bench.qualys.count("action=login"), bench.qualys.count("action=logout")), (1, 1));
        assert_eq!(bench.qualys.requests().last().unwrap().field("action"), Some("logout"));
    }
}

#[test]
fn expired_login_is_renewed_once() {
    const PAGE: &str = "/api/5.0/fo/asset/host/vm/detection/";
    let expired = || Reply::code(401, 2000, "Bad Login/Password");
    for (auth, login, reply) in [
        ("session", "action=login", session()),
        ("jwt", "token=true", Reply::new(201, "text/plain", "eyJ.x")),
    ] {
        let script = || {
            Script::new().on(login, [reply.clone()]).on("action=logout", [Reply::simple("Logged out", &[])])
        };
        let pull = json!({ "source": "host-detections", "page_size": 5, "auth": auth });
        let bench = Bench::new(
            script()
                .on(&format!("{PAGE} id_min=1006"), [expired(), Reply::html(503)])
                .population(Population::of(15)),
        );
        let url = bench.qualys.url();
        let bench = bench.with(pull.clone()).with(json!({ "gateway_url": url }));
        assert_eq!(bench.fails().kind, ErrorKind::Unavailable, "the second response for the page counts");
        assert_eq!((bench.qualys.count(login), bench.qualys.count(&format!("{PAGE} id_min=1006"))), (2, 2));

        // If the call is rejected with a new login too, the account has no permission.
        let bench = Bench::new(
            script().on(&format!("{PAGE} id_min=1006"), [expired()]).population(Population::of(15)),
        );
        let url = bench.qualys.url();
        let bench = bench.with(pull).with(json!({ "gateway_url": url }));
        assert_eq!(bench.fails().kind, ErrorKind::Auth);
        assert_eq!((bench.qualys.count(login), bench.qualys.count(&format!("{PAGE} id_min=1006"))), (2, 2));
    }
}
