//! Trust on first use.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use scanbridge_doubles::certificates::{Authority, Issued, Request};
use scanbridge_plugin_api::{ErrorKind, Fips};
use scanbridge_tls_identity::{ClientTls, Fingerprint, Trust};
use tempfile::tempdir;

use crate::loopback::{connect_and_exchange, serve};

#[test]
fn first_certificate_is_stored_and_others_are_rejected() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("peers");
    let trust = Trust::first_use(&file);
    let server = Issued::self_signed(&Request::server(&["whatever"]));
    let authority = Authority::new("unused");
    let (address, seen) = serve(authority.server_config(&server, false));
    connect_and_exchange(&address, "127.0.0.1", &trust, None).unwrap();
    seen.join().unwrap().unwrap();

    let first = Fingerprint::of(&server.der());
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{address} {first}\n"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // The same address with another certificate. The test writes the file itself.
    let other = Issued::self_signed(&Request::server(&["whatever"]));
    let (address, _result) = serve(authority.server_config(&other, false));
    fs::write(&file, format!("192.0.2.1:8307 {first}\n{address} {first}")).unwrap();
    let error = connect_and_exchange(&address, "127.0.0.1", &trust, None).unwrap_err();
    let second = Fingerprint::of(&other.der());
    assert_eq!(error.kind, ErrorKind::Auth);
    for part in [first.to_string(), second.to_string(), file.display().to_string()] {
        assert!(error.message.contains(&part), "{error}");
    }

    // A third peer is added; the others stay.
    let (address, _result) = serve(authority.server_config(&other, false));
    connect_and_exchange(&address, "127.0.0.1", &trust, None).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.ends_with(&format!("{address} {second}\n")), "{text}");
}

#[test]
fn peer_without_the_key_is_not_stored() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("peers");
    let trust = Trust::first_use(&file);
    let address = crate::loopback::serve_raw(b"");
    connect_and_exchange(&address, "127.0.0.1", &trust, None).unwrap_err();
    assert!(!file.exists());
}

#[test]
fn corrupt_first_use_file_is_not_treated_as_empty() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("peers");
    let server = Issued::self_signed(&Request::server(&["whatever"]));
    let (address, _result) = serve(Authority::new("unused").server_config(&server, false));
    fs::write(&file, format!("{address} AB:CD\n")).unwrap();
    let error = connect_and_exchange(&address, "127.0.0.1", &Trust::first_use(&file), None).unwrap_err();
    assert!(error.message.contains("invalid line for "), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{address} AB:CD\n"));
}

#[test]
fn unwritable_first_use_file_ends_the_connection() {
    let folder = tempdir().unwrap();
    let server = Issued::self_signed(&Request::server(&["whatever"]));
    let (address, _result) = serve(Authority::new("unused").server_config(&server, false));
    let trust = Trust::first_use(folder.path().join("no/such/folder/peers"));
    let error = connect_and_exchange(&address, "127.0.0.1", &trust, None).unwrap_err();
    assert_eq!(error.kind, ErrorKind::CannotCreate, "{error}");
}

#[test]
fn addresses_with_a_common_prefix_are_distinguished() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("peers");
    let server = Issued::self_signed(&Request::server(&["whatever"]));
    let (address, _result) = serve(Authority::new("unused").server_config(&server, false));
    let other = Fingerprint::of(&Authority::new("other").der());
    fs::write(&file, format!("{address}0 {other}\n")).unwrap();
    connect_and_exchange(&address, "127.0.0.1", &Trust::first_use(&file), None).unwrap();
    let _ = ClientTls::new(&address, &Trust::first_use(&file), None, Fips::Off).unwrap();
}
