//! Handshakes that succeed.

use scanbridge_doubles::certificates::{Authority, Issued, Request};
use scanbridge_plugin_api::Fips;
use scanbridge_tls_identity::{Certificate, Fingerprint, Identity, Trust};
use tempfile::tempdir;

use crate::loopback::{connect_and_exchange, serve};

fn trust(authority: &Authority) -> Trust {
    Trust::certificates(&[authority.der()], "the test's authority").unwrap()
}

#[test]
fn trusted_server_is_accepted_by_name_and_by_address() {
    let authority = Authority::new("Example CA");
    let server = authority.issue(&Request::server(&["dc.example.com", "127.0.0.1"]));
    for name in ["dc.example.com", "127.0.0.1"] {
        let (address, seen) = serve(authority.server_config(&server, false));
        connect_and_exchange(&address, name, &trust(&authority), None).unwrap();
        assert_eq!(seen.join().unwrap(), Ok(None));
    }
}

#[test]
fn client_certificate_is_sent_on_request() {
    let folder = tempdir().unwrap();
    let authority = Authority::new("Example CA");
    let server = authority.issue(&Request::server(&["dc.example.com"]));
    let client = authority.issue(&Request::client("scanner"));
    let (certificate, key) = client.write_pem(folder.path(), "client");
    let identity = Identity::open_pair(&certificate, &key, None, Fips::Off).unwrap();
    let (address, seen) = serve(authority.server_config(&server, true));
    connect_and_exchange(&address, "dc.example.com", &trust(&authority), Some(&identity)).unwrap();
    assert_eq!(seen.join().unwrap(), Ok(Some(client.der().to_vec())));
}

#[test]
fn certificate_chain_is_verified_without_name_check() {
    let authority = Authority::new("Example CA");
    let server = authority.issue(&Request::server(&["c0ffee00-0000-4000-8000-000000000000"]));
    let (address, _result) = serve(authority.server_config(&server, false));
    connect_and_exchange(&address, "127.0.0.1", &trust(&authority).without_name_check(), None).unwrap();

    let other_authority = Authority::new("Example CA");
    let (address, _result) = serve(authority.server_config(&server, false));
    let error =
        connect_and_exchange(&address, "127.0.0.1", &trust(&other_authority).without_name_check(), None)
            .unwrap_err();
    assert!(error.message.contains("not signed by `CN=Example CA` from the test's authority"), "{error}");
}

#[test]
fn pinned_certificate_skips_issuer_name_and_date_checks() {
    let server = Issued::self_signed(&Request::server(&["other.example.com"]).expired());
    let pin = Fingerprint::of(&server.der());
    let (address, _result) = serve(Authority::new("unused").server_config(&server, false));
    connect_and_exchange(&address, "127.0.0.1", &Trust::pinned(vec![pin]).unwrap(), None).unwrap();
}

#[test]
fn self_signed_server_in_the_authorities_file_is_trusted() {
    let folder = tempdir().unwrap();
    let server = Issued::self_signed(&Request::server(&["127.0.0.1"]));
    let (file, _key) = server.write_pem(folder.path(), "server");
    let (address, _result) = serve(Authority::new("unused").server_config(&server, false));
    connect_and_exchange(&address, "127.0.0.1", &Trust::ca_file(&file).unwrap(), None).unwrap();

    let expired = Issued::self_signed(&Request::server(&["127.0.0.1"]).expired());
    let (file, _key) = expired.write_pem(folder.path(), "expired");
    let (address, _result) = serve(Authority::new("unused").server_config(&expired, false));
    let error =
        connect_and_exchange(&address, "127.0.0.1", &Trust::ca_file(&file).unwrap(), None).unwrap_err();
    assert!(error.message.contains("certificate expired: 127.0.0.1"), "{error}");
}

#[test]
fn certificate_fields_are_read() {
    let authority = Authority::new("Example CA");
    let request = Request::host_input_client("192.0.2.7", "e276abec-e0f2-11e3-8169-6d9ed49b625f");
    let shown = Certificate::read(&authority.issue(&request.email("scan@example.com")).der()).unwrap();
    assert_eq!(shown.common_name.as_deref(), Some("192.0.2.7"));
    assert_eq!(shown.email.as_deref(), Some("scan@example.com"));
    assert_eq!(shown.names, ["192.0.2.7"]);
    assert_eq!(shown.domain.as_deref(), Some("e276abec-e0f2-11e3-8169-6d9ed49b625f"));
    assert_eq!(shown.issuer, "CN=Example CA");
    assert!(shown.subject.contains("O=Cisco Systems, Inc"), "{}", shown.subject);
}
