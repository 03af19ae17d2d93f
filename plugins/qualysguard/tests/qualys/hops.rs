//! A proxy and Qualys behind it: which of the two failed, and what each of them is shown.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::fake_qualys::{FakeQualys, Reply, Script};
use scanbridge_doubles::http_proxy::{HttpProxy, Manners};
use scanbridge_plugin_api::ErrorKind;
use serde_json::json;

use crate::drive::Bench;
use crate::template_reports::{listed, template_report, whole_story};

/// A proxy with this version of TLS, whose certificate is of this authority.
fn tls_proxy(
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    client_required: bool,
) -> HttpProxy {
    let server = authority.issue(&Request::server(&["127.0.0.1"]));
    let tls = Some(authority.server_config_of(&[version], &server, client_required));
    HttpProxy::start(Manners { tls, ..Manners::default() })
}

/// Closes the connection after each answer, so that the next call needs a new one.
fn closing_story() -> Script {
    let closing = |reply: Reply| reply.cut(usize::MAX);
    Script::new()
        .on("action=launch", [closing(Reply::simple("New report launched", &[("ID", "77")]))])
        .on("action=list", [closing(listed("77", "Running")), closing(listed("77", "Finished"))])
        .on("action=fetch", [closing(Reply::xml(template_report()))])
        .on("action=delete", [closing(Reply::simple("Report deleted", &[]))])
}

#[test]
fn a_client_certificate_is_shown_to_qualys_and_never_to_the_proxy() {
    for version in [&TLS12, &TLS13] {
        let authority = Authority::new("Example Root CA");
        let server = authority.issue(&Request::server(&["127.0.0.1"]));
        let qualys =
            FakeQualys::start(authority.server_config_of(&[version], &server, true), closing_story());
        let client = authority.issue(&Request::client("scanner.example.com"));
        let proxy = tls_proxy(&authority, version, false);
        let curious = tls_proxy(&authority, version, true);
        let mut bench = Bench::of(qualys, authority);
        let (certificate, key) = client.write_pem(bench.folder.path(), "client");
        bench.set(json!({ "tls_certificate": certificate, "tls_key": key, "proxy": curious.url() }));

        let error = bench.fails();
        assert_eq!(error.kind, ErrorKind::Auth, "{error}");
        assert!(error.message.contains(&curious.url().replace("https://", "")), "{error}");
        assert!(curious.tunnels().is_empty(), "the handshake ends for want of a certificate");
        assert!(bench.qualys.requests().is_empty());

        bench.set(json!({ "proxy": proxy.url() }));
        bench.run().unwrap().only_report();
        assert!(bench.qualys.requests().iter().all(|request| request.has_client_certificate));
        assert!(proxy.tunnels().len() > 1, "more than one connection was made");
    }
}

#[test]
fn what_is_expected_of_qualys_is_not_expected_of_the_proxy() {
    let bench = Bench::new(whole_story());
    let stranger = Authority::new("Stranger");
    let proxy = tls_proxy(&stranger, &TLS13, false);
    let bench = bench.with(json!({ "proxy": proxy.url(), "tls_check_name": false }));
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.message.contains(&proxy.url().replace("https://", "")), "{error}");
    assert!(proxy.tunnels().is_empty());

    // Its name is checked, although that of Qualys is not.
    let elsewhere = bench.authority.issue(&Request::server(&["proxy.example.com"]));
    let tls = Some(bench.authority.server_config(&elsewhere, false));
    let proxy = HttpProxy::start(Manners { tls, ..Manners::default() });
    let bench = bench.with(json!({ "proxy": proxy.url() }));
    let error = bench.fails();
    assert!(error.message.contains(": the certificate is for proxy.example.com"), "{error}");
}

#[test]
fn behind_a_proxy_each_failure_names_its_peer() {
    let proxy = HttpProxy::start(Manners::default());
    let bench = Bench::new(whole_story()).with(json!({ "proxy": proxy.url() }));
    let stranger = Authority::new("Stranger");
    let _ = stranger.write_pem(bench.folder.path(), "ca.pem");
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.message.contains(&format!("127.0.0.1:{}", bench.qualys.port())), "{error}");
    assert_eq!(proxy.tunnels().len(), 1, "nobody asks the proxy what Qualys did");

    let bench = bench.with(json!({ "proxy": "http://no-such-proxy.invalid:3128" }));
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let words = "the name of the proxy no-such-proxy.invalid:3128 cannot be resolved";
    assert!(error.message.contains(words), "{error}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let bench = bench.with(json!({ "proxy": format!("http://{free}") }));
    let error = bench.fails();
    assert!(error.message.contains(&format!("the proxy {free} refuses connections")), "{error}");
}

#[test]
fn a_proxy_that_answers_nothing_is_told_from_one_that_speaks_no_http() {
    for (answer, words) in [("", "connection to the proxy"), ("220 ready\r\n", "does not speak HTTP")] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut asked = [0; 1024];
                let _ = std::io::Read::read(&mut stream, &mut asked);
                let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
            }
        });
        let bench = Bench::new(whole_story()).with(json!({ "proxy": format!("http://{address}") }));
        let error = bench.fails();
        assert!(error.message.contains(words) && error.message.contains(&address.to_string()), "{error}");
    }
}

#[test]
fn proxy_read_timeout_names_the_proxy() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let options = json!({ "proxy": format!("http://{address}"), "connect_timeout_secs": 1 });
    let error = Bench::new(whole_story()).with(options).fails();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains(&format!("connection to the proxy {address} within 1 s")), "{error}");
}

#[test]
fn an_ipv6_address_behind_a_proxy_is_refused() {
    let proxy = HttpProxy::start(Manners::default());
    let options = json!({ "url": "https://[2001:db8::1]", "proxy": proxy.url() });
    let error = Bench::new(whole_story()).with(options).fails();
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    assert!(error.hint.unwrap().contains("no_proxy"));
    assert!(proxy.tunnels().is_empty());
}
