//! A proxy with TLS, then Qualys: which of the two failed, and which of them receives the client certificate.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::fake_qualys::{FakeQualys, Reply, Script};
use scanbridge_doubles::http_proxy::{HttpProxy, ProxyBehavior};
use scanbridge_plugin_api::ErrorKind;
use serde_json::json;

use crate::drive::Bench;
use crate::template_reports::{complete_run, listed, template_report};

/// A proxy with this TLS version and a certificate of this authority.
fn tls_proxy(
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    client_required: bool,
) -> HttpProxy {
    let server = authority.issue(&Request::server(&["127.0.0.1"]));
    let tls = Some(authority.server_config_of(&[version], &server, client_required));
    HttpProxy::start(ProxyBehavior { tls, ..ProxyBehavior::default() })
}

/// Closes the connection after each response, so that the next call needs a new one.
fn closing_run() -> Script {
    let closing = |reply: Reply| reply.truncate_at(usize::MAX);
    Script::new()
        .on("action=launch", [closing(Reply::simple("New report launched", &[("ID", "77")]))])
        .on("action=list", [closing(listed("77", "Running")), closing(listed("77", "Finished"))])
        .on("action=fetch", [closing(Reply::xml(template_report()))])
        .on("action=delete", [closing(Reply::simple("Report deleted", &[]))])
}

#[test]
fn client_certificate_is_sent_to_qualys_and_never_to_the_proxy() {
    for version in [&TLS12, &TLS13] {
        let authority = Authority::new("Example Root CA");
        let server = authority.issue(&Request::server(&["127.0.0.1"]));
        let qualys = FakeQualys::start(authority.server_config_of(&[version], &server, true), closing_run());
        let client = authority.issue(&Request::client("scanner.example.com"));
        let proxy = tls_proxy(&authority, version, false);
        let requires_certificate = tls_proxy(&authority, version, true);
        let mut bench = Bench::of(qualys, authority);
        let (certificate, key) = client.write_pem(bench.folder.path(), "client");
        bench.set(
            json!({ "tls_certificate": certificate, "tls_key": key, "proxy": requires_certificate.url() }),
        );

        let error = bench.fails();
        assert_eq!(error.kind, ErrorKind::Auth, "{error}");
        assert!(error.message.contains(&requires_certificate.url().replace("https://", "")), "{error}");
        assert!(
            requires_certificate.tunnels().is_empty(),
            "the handshake fails without a client certificate"
        );
        assert!(bench.qualys.requests().is_empty());

        bench.set(json!({ "proxy": proxy.url() }));
        bench.run().unwrap().only_report();
        assert!(bench.qualys.requests().iter().all(|request| request.has_client_certificate));
        assert!(proxy.tunnels().len() > 1, "more than one connection was made");
    }
}

#[test]
fn tls_rules_for_qualys_do_not_apply_to_the_proxy() {
    let bench = Bench::new(complete_run());
    let other_authority = Authority::new("Other CA");
    let proxy = tls_proxy(&other_authority, &TLS13, false);
    let bench = bench.with(json!({ "proxy": proxy.url(), "tls_check_name": false }));
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.message.contains(&proxy.url().replace("https://", "")), "{error}");
    assert!(proxy.tunnels().is_empty());

    // The name of the proxy is checked, although that of Qualys is not.
    let elsewhere = bench.authority.issue(&Request::server(&["proxy.example.com"]));
    let tls = Some(bench.authority.server_config(&elsewhere, false));
    let proxy = HttpProxy::start(ProxyBehavior { tls, ..ProxyBehavior::default() });
    let bench = bench.with(json!({ "proxy": proxy.url() }));
    let error = bench.fails();
    assert!(error.message.contains(": the certificate is for proxy.example.com"), "{error}");
}

#[test]
fn error_names_the_failed_peer_proxy_or_qualys() {
    let proxy = HttpProxy::start(ProxyBehavior::default());
    let bench = Bench::new(complete_run()).with(json!({ "proxy": proxy.url() }));
    let other_authority = Authority::new("Other CA");
    let _ = other_authority.write_pem(bench.folder.path(), "ca.pem");
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.message.contains(&format!("127.0.0.1:{}", bench.qualys.port())), "{error}");
    assert_eq!(proxy.tunnels().len(), 1, "a TLS failure at Qualys is not diagnosed at the proxy");

    let bench = bench.with(json!({ "proxy": "http://no-such-proxy.invalid:3128" }));
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let words = "cannot resolve the name of the proxy no-such-proxy.invalid:3128: ";
    assert!(error.message.contains(words), "{error}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let bench = bench.with(json!({ "proxy": format!("http://{free}") }));
    let error = bench.fails();
    assert!(error.message.contains(&format!("connection refused by the proxy {free}")), "{error}");
}

#[test]
fn https_url_of_a_proxy_without_tls_names_the_right_value() {
    let proxy = HttpProxy::start(ProxyBehavior::default());
    let address = proxy.url().replace("http://", "");
    // One that answers in plain HTTP, one that closes the connection.
    let closing = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closing_address = closing.local_addr().unwrap().to_string();
    std::thread::spawn(move || closing.incoming().flatten().for_each(drop));
    for address in [address, closing_address] {
        let options = json!({ "proxy": format!("https://{address}"), "connect_timeout_secs": 1 });
        let bench = Bench::new(complete_run()).with(options);
        let error = bench.fails();
        assert!(matches!(error.kind, ErrorKind::Protocol | ErrorKind::Unavailable), "{error:?}");
        let hint = error.hint.as_deref().unwrap_or_default();
        assert!(hint.contains(&format!("`proxy: http://{address}`")), "{error:?}");
    }
    assert!(proxy.tunnels().is_empty(), "nothing is sent without encryption");
}

#[test]
fn closed_and_invalid_proxy_responses_are_distinguished() {
    let lost = "lost: connection closed without a response to CONNECT";
    for (answer, words) in [("", lost), ("220 ready\r\n", "invalid HTTP response from the proxy")] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 1024];
                let _ = std::io::Read::read(&mut stream, &mut request);
                let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
            }
        });
        let bench = Bench::new(complete_run()).with(json!({ "proxy": format!("http://{address}") }));
        let error = bench.fails();
        assert!(error.message.contains(words) && error.message.contains(&address.to_string()), "{error}");
    }
}

#[test]
fn proxy_read_timeout_names_the_proxy() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let options = json!({ "proxy": format!("http://{address}"), "connect_timeout_secs": 1 });
    let error = Bench::new(complete_run()).with(options).fails();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(
        error.message.contains(&format!("connection to the proxy {address} timed out after 1 s")),
        "{error}"
    );
}

#[test]
fn ipv6_address_with_a_proxy_is_rejected() {
    let proxy = HttpProxy::start(ProxyBehavior::default());
    let options = json!({ "url": "https://[2001:db8::1]", "proxy": proxy.url() });
    let error = Bench::new(complete_run()).with(options).fails();
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    assert!(error.hint.unwrap().contains("no_proxy"));
    assert!(proxy.tunnels().is_empty());
}
