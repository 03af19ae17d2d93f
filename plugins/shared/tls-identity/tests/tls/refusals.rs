//! Handshakes that must fail, and the operator's message for each.

use std::net::TcpListener;

use scanbridge_doubles::certificates::{Authority, Issued, Request};
use scanbridge_plugin_api::{ErrorKind, Fips, PluginError};
use scanbridge_tls_identity::{ClientTls, Fingerprint, Identity, MinimumVersion, Trust};
use tempfile::tempdir;

use crate::loopback::{connect_and_exchange, exchange_with, serve, serve_raw};

fn trust(authority: &Authority) -> Trust {
    Trust::certificates(&[authority.der()], "ca.pem").unwrap()
}

/// The error of a client that trusts `trusted` and connects to a server with this certificate.
fn handshake_error(authority: &Authority, trusted: &Authority, server: &Issued) -> PluginError {
    let (address, _result) = serve(authority.server_config(server, false));
    connect_and_exchange(&address, "dc.example.com", &trust(trusted), None).unwrap_err()
}

fn assert_reports(error: &PluginError, kind: ErrorKind, parts: &[&str]) {
    let text = format!("{error}; {}", error.hint.as_deref().unwrap_or_default());
    assert_eq!(error.kind, kind, "{text}");
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[test]
fn unknown_issuer_error_contains_the_fingerprint() {
    let authority = Authority::new("Unknown CA");
    let server = authority.issue(&Request::server(&["dc.example.com"]));
    let error = handshake_error(&authority, &Authority::new("Example CA"), &server);
    let pin = format!("tls_fingerprint: {}", Fingerprint::of(&server.der()));
    assert_reports(
        &error,
        ErrorKind::Auth,
        &["CN=Unknown CA", "unknown issuer, not in ca.pem", &pin, "tls_ca_file"],
    );
}

#[test]
fn expired_and_not_yet_valid_certificates_are_reported() {
    let authority = Authority::new("Example CA");
    let expired = authority.issue(&Request::server(&["dc.example.com"]).expired());
    assert_reports(
        &handshake_error(&authority, &authority, &expired),
        ErrorKind::Auth,
        &["certificate expired: ", "valid until 20", "clock"],
    );
    let early = authority.issue(&Request::server(&["dc.example.com"]).not_yet_valid());
    assert_reports(
        &handshake_error(&authority, &authority, &early),
        ErrorKind::Auth,
        &["certificate not yet valid: ", "valid from 20", "clock"],
    );
}

#[test]
fn name_mismatch_lists_the_names_of_the_certificate() {
    let authority = Authority::new("Example CA");
    let names =
        ["a.example.com", "b.example.com", "192.0.2.1", "2001:db8::1", "c.example", "d.example", "e.example"];
    let server = authority.issue(&Request::server(&names));
    let parts = [
        "name mismatch for ",
        "the certificate is for a.example.com, b.example.com, 192.0.2.1, 2001:db8::1, c.example and 2 more",
        "tls_check_name",
    ];
    assert_reports(&handshake_error(&authority, &authority, &server), ErrorKind::Auth, &parts);
    let nameless = authority.issue(&Request::client("dc.example.com"));
    assert_reports(
        &handshake_error(&authority, &authority, &nameless),
        ErrorKind::Auth,
        &["only the common name `CN=dc.example.com`"],
    );
}

#[test]
fn fingerprint_mismatch_error_contains_both_fingerprints() {
    let authority = Authority::new("Example CA");
    let server = authority.issue(&Request::server(&["dc.example.com"]));
    let pin = Fingerprint::of(&authority.der());
    let (address, _result) = serve(authority.server_config(&server, false));
    let error = connect_and_exchange(&address, "dc.example.com", &Trust::pinned(vec![pin]).unwrap(), None)
        .unwrap_err();
    let shown = Fingerprint::of(&server.der()).to_string();
    assert_reports(&error, ErrorKind::Auth, &[&pin.to_string(), &shown, &address]);
}

#[test]
fn missing_client_certificate_is_reported_after_a_late_alert() {
    let authority = Authority::new("Example CA");
    let server = authority.issue(&Request::server(&["dc.example.com"]));
    for version in rustls::ALL_VERSIONS {
        let (address, seen) = serve(authority.server_config_of(&[version], &server, true));
        let error = connect_and_exchange(&address, "dc.example.com", &trust(&authority), None).unwrap_err();
        assert_reports(
            &error,
            ErrorKind::Auth,
            &["requires a client certificate and none was sent", &address],
        );
        assert!(seen.join().unwrap().is_err());
    }
}

#[test]
fn rejected_client_certificate_is_reported_for_both_versions() {
    let folder = tempdir().unwrap();
    let authority = Authority::new("Example CA");
    let server = authority.issue(&Request::server(&["dc.example.com"]));
    let other_authority = Authority::new("Other CA").issue(&Request::client("other_authority"));
    let (certificate, key) = other_authority.write_pem(folder.path(), "client");
    let identity = Identity::open_pair(&certificate, &key, None, Fips::Off).unwrap();
    let file = certificate.display().to_string();
    for version in rustls::ALL_VERSIONS {
        let (address, _result) = serve(authority.server_config_of(&[version], &server, true));
        let error = connect_and_exchange(&address, "dc.example.com", &trust(&authority), Some(&identity))
            .unwrap_err();
        assert_reports(&error, ErrorKind::Auth, &["client certificate rejected by", "CN=Other CA", &file]);
    }
}

#[test]
fn expired_client_certificate_is_rejected_before_connecting() {
    let folder = tempdir().unwrap();
    let authority = Authority::new("Example CA");
    let (certificate, key) =
        authority.issue(&Request::client("old").expired()).write_pem(folder.path(), "client");
    let identity = Identity::open_pair(&certificate, &key, None, Fips::Off).unwrap();
    let error =
        ClientTls::new("dc.example.com:8307", &trust(&authority), Some(&identity), Fips::Off).unwrap_err();
    assert_reports(&error, ErrorKind::Auth, &["the client certificate", "CN=old", "expired on 20"]);
}

#[test]
fn peer_without_tls_and_closed_connection_are_distinguished() {
    let trust = trust(&Authority::new("Example CA"));
    let address = serve_raw(b"220 mail.example.com ESMTP\r\n");
    let error = connect_and_exchange(&address, "dc.example.com", &trust, None).unwrap_err();
    assert_reports(&error, ErrorKind::Protocol, &["does not speak TLS", "port", &address]);
    let address = serve_raw(b"");
    let error = connect_and_exchange(&address, "dc.example.com", &trust, None).unwrap_err();
    assert_reports(&error, ErrorKind::Unavailable, &["closed during TLS", &address]);
}

#[test]
fn no_common_tls_version_is_a_protocol_error() {
    let trust = trust(&Authority::new("Example CA"));
    // A fatal alert `protocol_version`, as a server of TLS 1.0 sends it (RFC 5246, 7.2).
    let address = serve_raw(b"\x15\x03\x01\x00\x02\x02\x46");
    let error = connect_and_exchange(&address, "dc.example.com", &trust, None).unwrap_err();
    assert_reports(&error, ErrorKind::Protocol, &["no common TLS version", "TLS 1.2 and 1.3"]);
}

#[test]
fn tls_1_2_server_is_accepted_unless_the_minimum_is_1_3() {
    let authority = Authority::new("Example CA");
    let server = authority.issue(&Request::server(&["dc.example.com"]));
    for (minimum, taken) in [(MinimumVersion::Tls12, true), (MinimumVersion::Tls13, false)] {
        let tls12 = authority.server_config_of(&[&rustls::version::TLS12], &server, false);
        let (address, _result) = serve(tls12);
        let tls = ClientTls::with_minimum(&address, &trust(&authority), None, Fips::Off, minimum).unwrap();
        match exchange_with(&tls, &address, "dc.example.com") {
            Ok(()) => assert!(taken),
            Err(error) => {
                assert!(!taken, "{error}");
                assert_reports(&error, ErrorKind::Protocol, &["no common TLS version", "tls_min_version"]);
            }
        }
    }
}

#[test]
fn connection_refused_is_unavailable() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = connect_and_exchange(&address, "dc.example.com", &trust(&Authority::new("Example CA")), None)
        .unwrap_err();
    assert_reports(&error, ErrorKind::Unavailable, &["connection refused", &address]);
}

#[test]
fn file_without_ca_certificate_is_rejected() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "nothing here\n").unwrap();
    assert_reports(
        &Trust::ca_file(&file).unwrap_err(),
        ErrorKind::BadData,
        &["contains no CA certificate", "ca.pem"],
    );
    assert_reports(
        &Trust::ca_file(&folder.path().join("no.pem")).unwrap_err(),
        ErrorKind::NoInput,
        &["cannot open"],
    );
}
