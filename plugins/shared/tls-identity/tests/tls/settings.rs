//! The options that TLS plugins share.

use std::fs;

use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_plugin_api::{ErrorKind, Fips, OptionSpec, Options, Result};
use scanbridge_tls_identity::{TlsOptions, Trust, options};
use tempfile::tempdir;

use crate::loopback::{exchange_with, serve};

const TABLE: &[OptionSpec] = &[
    options::CERTIFICATE,
    options::KEY,
    options::PASSWORD,
    options::CA_FILE,
    options::FINGERPRINT,
    options::FIRST_USE_FILE,
    options::CHECK_NAME,
    options::MIN_VERSION,
];

fn read(json: &str) -> Result<TlsOptions> {
    TlsOptions::read(&Options::read(TABLE, json.as_bytes())?, Fips::Off)
}

#[test]
fn conflicting_options_are_rejected_before_opening_files() {
    let pin = "ab".repeat(32);
    for (json, part) in [
        (
            format!(r#"{{"tls_fingerprint": ["{pin}"], "tls_ca_file": "a"}}"#),
            "`tls_fingerprint` and `tls_ca_file` cannot be combined",
        ),
        (r#"{"tls_first_use_file": "a", "tls_ca_file": "b"}"#.to_owned(), "cannot be combined"),
        (r#"{"tls_key": "a"}"#.to_owned(), "`tls_key` requires `tls_certificate`"),
        (
            r#"{"tls_fingerprint": ["abcd"]}"#.to_owned(),
            "option `tls_fingerprint`: invalid SHA-256 fingerprint `abcd`",
        ),
    ] {
        let error = read(&json).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config, "{json}");
        assert!(error.message.contains(part), "{json}: {error}");
    }
}

#[test]
fn option_table_may_omit_options() {
    let none = Options::read(&[], b"{}").unwrap();
    assert!(TlsOptions::read(&none, Fips::Off).unwrap().identity().unwrap().is_none());
}

#[test]
fn client_is_created_from_the_options() {
    let folder = tempdir().unwrap();
    let authority = Authority::new("Example CA");
    let server = authority.issue(&Request::server(&["dc.example.com"]));
    let client = authority.issue(&Request::client("scanner"));
    let both = folder.path().join("client.pem");
    fs::write(&both, client.key_pem() + &client.certificate_pem()).unwrap();
    let ca = authority.write_pem(folder.path(), "ca.pem");
    let (both, ca) = (both.display(), ca.display());
    let options = read(&format!(
        r#"{{"tls_certificate": "{both}", "tls_ca_file": "{ca}", "tls_check_name": false, "tls_min_version": "1.3"}}"#
    ));
    let (address, seen) = serve(authority.server_config(&server, true));
    exchange_with(&options.unwrap().client(&address).unwrap(), &address, "127.0.0.1").unwrap();
    assert_eq!(seen.join().unwrap(), Ok(Some(client.der().to_vec())));
}

#[test]
fn default_trust_is_used_only_without_an_option() {
    let options = read(&format!(r#"{{"tls_fingerprint": ["{}"]}}"#, "ab".repeat(32))).unwrap();
    options.trust_or(|| panic!("asked")).unwrap();
    let authority = Authority::new("Example CA");
    let own = || Trust::certificates(&[authority.der()], "dc.pkcs12");
    let (address, _result) =
        serve(authority.server_config(&authority.issue(&Request::server(&["127.0.0.1"])), false));
    let trust = read("{}").unwrap().trust_or(own).unwrap();
    crate::loopback::connect_and_exchange(&address, "127.0.0.1", &trust, None).unwrap();
}
