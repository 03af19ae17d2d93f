//! Servers that break off, answer late or answer something else. Nothing counts as delivered that was not acknowledged.

use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::http_destination::{Bulk, HttpDestination, Lines, Rude};
use scanbridge_plugin_api::ErrorKind;
use serde_json::{Value, json};

use crate::case::send;

fn options(url: &str) -> Value {
    json!({ "preset": "webhook", "url": url, "timeout": 5000 })
}

#[test]
fn broken_exchange_is_unavailable_and_delivers_when_it_is_repeated() {
    for (fault, kind) in [
        (Rude::Reset(0), ErrorKind::Unavailable),
        (Rude::Reset(20), ErrorKind::Unavailable),
        (Rude::Silent, ErrorKind::Unavailable),
        (Rude::Torn, ErrorKind::Unavailable),
        (Rude::Status(503, Some("7")), ErrorKind::Unavailable),
        (Rude::Status(429, None), ErrorKind::Unavailable),
        (Rude::Redirect, ErrorKind::Config),
        (Rude::Noise, ErrorKind::Protocol),
    ] {
        let webhook = HttpDestination::start(Lines::default());
        webhook.be_rude([fault]);
        let error = send(&options(&webhook.url()), &["a"]).unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?} {error}");
        assert_eq!(
            error.retry_after.map(|wait| wait.as_secs()),
            (fault == Rude::Status(503, Some("7"))).then_some(7)
        );
        if fault == Rude::Redirect {
            assert!(error.message.contains("https://login.example.com/"), "{error}");
        }
        send(&options(&webhook.url()), &["a"]).unwrap();
        webhook.with(|lines| assert!(!lines.received.is_empty()));
    }
}

#[test]
fn unusual_but_valid_responses_are_read() {
    for fault in [Rude::Chunked, Rude::Unbounded, Rude::Slow, Rude::Continue, Rude::Closed] {
        let cluster = HttpDestination::start(Bulk::default());
        // The second request finds a closed connection in the case of `Closed`.
        cluster.be_rude([fault]);
        let options = json!({ "preset": "elasticsearch", "url": cluster.url(), "batch_records": 1 });
        send(&options, &["a", "b"]).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        cluster.with(|bulk| assert_eq!(bulk.documents.len(), 2, "{fault:?}"));
    }
}

#[test]
fn web_page_is_a_protocol_error_where_a_body_is_expected() {
    let cluster = HttpDestination::start(Bulk::default());
    cluster.be_rude([Rude::Page]);
    let options = json!({ "preset": "elasticsearch", "url": cluster.url() });
    let error = send(&options, &["a"]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert!(error.message.contains("Welcome"), "{error}");
}

#[test]
fn refused_connection_is_unavailable() {
    let webhook = HttpDestination::start(Lines::default());
    let url = webhook.url();
    drop(webhook);
    let error = send(&options(&url), &["a"]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
}

#[test]
fn certificate_must_be_trusted() {
    let authority = Authority::new("Example Root CA");
    let tls = authority.server_config(&authority.issue(&Request::server(&["127.0.0.1"])), false);
    let webhook =
        HttpDestination::start_tls(Lines { login: "Bearer t0ken".to_owned(), ..Lines::default() }, tls);
    let mut options = options(&webhook.url());
    options["token"] = "t0ken".into();
    let error = send(&options, &["a"]).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Auth | ErrorKind::Config), "{error}");
    assert!(webhook.requests().is_empty());
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    options["tls_ca_file"] = ca.display().to_string().into();
    send(&options, &["a"]).unwrap();
    webhook.with(|lines| assert_eq!(lines.received.len(), 1));
}
