//! Proxies, certificates, IPv6.

use jiff::{SignedDuration, Timestamp};
use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::fake_qualys::{FakeQualys, Population, Reply, Script};
use scanbridge_doubles::http_proxy::{HttpProxy, ProxyBehavior};
use scanbridge_plugin_api::{ErrorKind, Input, Verdict};
use serde_json::json;

use crate::drive::Bench;
use crate::template_reports::complete_run;

/// `zaphod:t0w3L` as the value of a Proxy-Authorization header.
const ZAPHOD: &str = "Basic emFwaG9kOnQwdzNM";

#[test]
fn proxy_is_never_bypassed() {
    for (tls, login) in [(false, false), (false, true), (true, false), (true, true)] {
        let bench = Bench::new(complete_run());
        let server = bench.authority.issue(&Request::server(&["127.0.0.1"]));
        let proxy = HttpProxy::start(ProxyBehavior {
            login: login.then(|| ZAPHOD.to_owned()),
            refusal: None,
            tls: tls.then(|| bench.authority.server_config(&server, false)),
        });
        let mut bench = bench.with(json!({ "proxy": proxy.url() }));
        if login {
            bench.set(json!({ "proxy_username": "zaphod", "proxy_password": "t0w3L" }));
        }
        bench.run().unwrap().only_report();
        let tunnels = proxy.tunnels();
        assert!(!tunnels.is_empty());
        for tunnel in tunnels {
            assert_eq!(tunnel.target, format!("127.0.0.1:{}", bench.qualys.port()));
            assert_eq!(tunnel.login.as_deref(), login.then_some(ZAPHOD));
        }
    }
}

#[test]
fn rejecting_proxy_is_named_and_never_bypassed() {
    let refusing = |login: Option<&str>, refusal: Option<&str>| {
        HttpProxy::start(ProxyBehavior {
            login: login.map(str::to_owned),
            refusal: refusal.map(str::to_owned),
            tls: None,
        })
    };
    let bench = Bench::new(complete_run());

    let proxy = refusing(Some(ZAPHOD), None);
    let mut bench = bench.with(json!({ "proxy": proxy.url() }));
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("requires authentication (HTTP 407)"), "{error}");
    assert!(error.hint.unwrap().contains("proxy_username"));

    bench.set(json!({ "proxy_username": "zaphod", "proxy_password": "wrong-w0rd" }));
    let error = bench.fails();
    assert!(
        error.message.contains("rejected the login (HTTP 407)") && !error.message.contains("w0rd"),
        "{error}"
    );
    assert_eq!(proxy.tunnels().len(), 2, "one attempt each");

    let proxy = refusing(None, Some("403 Forbidden"));
    bench.set(json!({ "proxy": proxy.url() }));
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("rejected CONNECT: 403 Forbidden"), "{error}");

    let url = proxy.url();
    drop(proxy);
    bench.set(json!({ "proxy": url }));
    let error = bench.fails();
    assert!(error.message.contains("the proxy 127.0.0.1:"), "{error}");
    assert!(bench.qualys.requests().is_empty(), "no request bypassed the proxy");

    bench.set(json!({ "no_proxy": ["localhost", "127.0.0.0/8"] }));
    bench.run().unwrap().only_report();
}

#[test]
fn client_certificate_is_sent_if_the_server_requires_it() {
    let authority = Authority::new("Example Root CA");
    let server = authority.issue(&Request::server(&["127.0.0.1"]));
    let qualys = FakeQualys::start(authority.server_config(&server, true), complete_run());
    let client = authority.issue(&Request::client("scanner.example.com").email("scan@example.com"));
    let mut bench = Bench::of(qualys, authority);
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.message.contains("client certificate"), "{error}");

    let (certificate, key) = client.write_pem(bench.folder.path(), "client");
    bench.set(json!({ "tls_certificate": certificate, "tls_key": key }));
    bench.run().unwrap().only_report();
    assert!(bench.qualys.requests().iter().all(|request| request.has_client_certificate));
}

#[test]
fn probe_compares_the_clock_with_the_date_of_the_response() {
    let none = "<?xml version=\"1.0\"?>\n<REPORT_LIST_OUTPUT><RESPONSE></RESPONSE></REPORT_LIST_OUTPUT>";
    for (ahead, verdict, words) in [
        (0, Verdict::Ok, "differs from that of Qualys by at most"),
        (300, Verdict::Warning, "the clock of this machine is 30"),
        (-300, Verdict::Warning, "s ahead of the clock of this machine; set it by NTP"),
    ] {
        let date = Timestamp::now() - SignedDuration::from_secs(ahead);
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let answer = Reply::xml(none).header("Date", &date);
        let bench = Bench::new(Script::new().on("POST /api/2.0/fo/report/ action=list", [answer]));
        let report = bench.open(None).unwrap().check().unwrap();
        let step = report.steps.iter().find(|step| step.name == "clock").unwrap();
        assert!(step.verdict == verdict && step.detail.contains(words), "{ahead}: {step:?}");
    }
    for (header, value) in [("Date", "soon"), ("Age", "400")] {
        let answer = Reply::xml(none).header(header, value);
        let bench = Bench::new(Script::new().on("POST /api/2.0/fo/report/ action=list", [answer]));
        let report = bench.open(None).unwrap().check().unwrap();
        assert!(report.steps.iter().all(|step| step.name != "clock"), "{header}: {report:?}");
    }
}

#[test]
fn probe_shows_login_quota_and_certificate() {
    let none = "<?xml version=\"1.0\"?>\n<REPORT_LIST_OUTPUT><RESPONSE></RESPONSE></REPORT_LIST_OUTPUT>";
    let answer = Reply::xml(none).header("X-RateLimit-Limit", "300").header("X-RateLimit-Remaining", "271");
    let bench = Bench::new(Script::new().on("POST /api/2.0/fo/report/ action=list state=Canceled", [answer]));
    let client = bench.authority.issue(&Request::client("scanner.example.com").email("scan@example.com"));
    let (certificate, key) = client.write_pem(bench.folder.path(), "client");
    let mut bench = bench.with(json!({ "tls_certificate": certificate, "tls_key": key }));
    let report = bench.open(None).unwrap().check().unwrap();
    assert_eq!(report.verdict(), Verdict::Ok, "{report:?}");
    let shown = format!("{report:?}");
    for words in [
        "scanner.example.com",
        "scan@example.com",
        "Example Root CA",
        "certificate valid for 89 days",
        "dirk_g",
        "271 of 300 calls left in this period",
    ] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    assert!(!shown.contains("clock"), "no step without a date: {shown}");
    assert_eq!(bench.qualys.requests().len(), 1, "the cheapest call, once");
    assert!(!bench.state().exists() || std::fs::read_dir(bench.state()).unwrap().count() == 0);

    let old = bench.authority.issue(&Request::client("old.example.com").expired());
    let (certificate, key) = old.write_pem(bench.folder.path(), "old");
    bench.set(json!({ "tls_certificate": certificate, "tls_key": key }));
    let report = bench.open(None).unwrap().check().unwrap();
    assert_eq!(report.verdict(), Verdict::Failed);
    assert!(format!("{report:?}").contains("expired on"));
    assert_eq!(bench.qualys.requests().len(), 1, "an expired certificate is reported without a request");
}

#[test]
fn ipv6_connection() {
    let authority = Authority::new("Example Root CA");
    let server = authority.issue(&Request::server(&["::1"]));
    let qualys = FakeQualys::start_v6(authority.server_config(&server, false), complete_run());
    let bench = Bench::of(qualys, authority);
    assert!(bench.qualys.url().starts_with("https://[::1]:"));
    bench.run().unwrap().only_report();
}

#[test]
fn probe_makes_a_call_of_the_configured_source() {
    for source in ["host-detections", "scan-reports"] {
        let bench = Bench::new(Script::new().population(Population::of(1))).with(json!({ "source": source }));
        let report = bench.open(None).unwrap().check().unwrap();
        assert_eq!(report.verdict(), Verdict::Ok, "{report:?}");
        assert_eq!(bench.qualys.requests().len(), 1);
    }
    let bench = Bench::new(Script::new().on("", [Reply::code(401, 2000, "Bad Login/Password")]));
    let report = bench.open(None).unwrap().check().unwrap();
    assert_eq!(report.verdict(), Verdict::Failed);
    assert!(format!("{report:?}").contains("Bad Login/Password"));
    assert_eq!(bench.qualys.requests().len(), 1);
}

/// A listener that closes each connection, and the addresses that connected.
fn recording() -> (std::net::SocketAddr, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let peers = std::sync::Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            peers.lock().unwrap().push(stream.peer_addr().unwrap().ip().to_string());
        }
    });
    (address, seen)
}

#[test]
fn qualys_and_proxy_see_the_source_address() {
    for through_proxy in [false, true] {
        let (address, seen) = recording();
        let target = match through_proxy {
            false => json!({ "url": format!("https://{address}") }),
            true => json!({ "proxy": format!("http://{address}") }),
        };
        let mut bench = Bench::new(complete_run()).with(target);
        bench.set(json!({ "source_address": "127.0.0.2" }));
        bench.fails();
        let seen = seen.lock().unwrap();
        // With a proxy, the second connection is the one that finds the reason of the failure.
        assert!(!seen.is_empty() && seen.iter().all(|peer| peer == "127.0.0.2"), "{through_proxy}: {seen:?}");
    }
    let bench = Bench::new(complete_run()).with(json!({ "source_address": "127.0.0.2" }));
    bench.run().unwrap().only_report();
}

#[test]
fn source_address_of_another_ip_version_is_a_config_error() {
    for (url, proxy, named) in [
        ("https://[2001:db8::1]", None, "[2001:db8::1]"),
        ("https://127.0.0.1", Some("http://[2001:db8::2]:3128"), "2001:db8::2"),
    ] {
        let mut bench = Bench::new(complete_run()).with(json!({ "url": url, "source_address": "127.0.0.2" }));
        if let Some(proxy) = proxy {
            bench.set(json!({ "proxy": proxy }));
        }
        let error = bench.fails();
        assert_eq!(error.kind, ErrorKind::Config);
        let words = format!("127.0.0.2 is an IPv4 address, and {named} has only IPv6 addresses");
        assert!(error.message.contains(&words), "{error}");
    }
}
