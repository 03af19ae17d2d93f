//! Handshakes of each policy with `openssl s_server` and `openssl s_client`, a TLS of other authors.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod peer;

use std::sync::Arc;

use peer::{Identity, Key, Server, connect, serve_one};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use scanbridge_doubles::certificates::installed;
use scanbridge_tls_policy::{Policy, is_fips_build};

fn client(policy: Policy, server: &Identity) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(server.authority.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(policy.provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    policy.restrict_client(&mut config);
    config
}

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

/// The outcome of a handshake with a server that has a certificate with this key: what was negotiated, or the error.
fn outcome(policy: Policy, key: Key, version: &str) -> Result<String, String> {
    let identity = Identity::new(key);
    let server = Server::start(&identity, &[version], None);
    connect(client(policy, &identity), server.port)
}

#[test]
fn policies_connect_to_the_peers_that_they_allow() {
    if !installed("openssl") {
        return;
    }
    for version in VERSIONS {
        for (policy, key, expected) in [
            (Policy::Off, Key::Rsa, "AES_256_GCM_SHA384"),
            (Policy::On, Key::Rsa, "AES_256_GCM_SHA384 secp"),
            (Policy::On, Key::P256, "AES_256_GCM_SHA384 secp"),
            (Policy::On, Key::P384, "AES_256_GCM_SHA384 secp"),
            (Policy::SuiteB128, Key::P256, "AES_128_GCM_SHA256 secp"),
            (Policy::SuiteB128, Key::P384, "AES_128_GCM_SHA256 secp"),
            (Policy::SuiteB192, Key::P384, "AES_256_GCM_SHA384 secp384r1"),
        ] {
            let negotiated = outcome(policy, key, version);
            let found = negotiated.unwrap_or_else(|error| panic!("{policy} {key:?} {version}: {error}"));
            assert!(found.contains(expected), "{policy} {key:?} {version}: {found}");
        }
    }
}

#[test]
fn suite_b_refuses_other_peers() {
    if !installed("openssl") {
        return;
    }
    for version in VERSIONS {
        for (policy, key) in
            [(Policy::SuiteB128, Key::Rsa), (Policy::SuiteB192, Key::Rsa), (Policy::SuiteB192, Key::P256)]
        {
            let error = outcome(policy, key, version).unwrap_err();
            assert!(error.contains("HandshakeFailure"), "{policy} {key:?} {version}: {error}");
        }
    }
}

#[test]
fn suite_b_192_has_no_other_suite_than_aes_256() {
    if !installed("openssl") {
        return;
    }
    let identity = Identity::new(Key::P384);
    let args = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"];
    let server = Server::start(&identity, &args, None);
    let error = connect(client(Policy::SuiteB192, &identity), server.port).unwrap_err();
    assert!(error.contains("HandshakeFailure"), "{error}");
    connect(client(Policy::SuiteB128, &identity), Server::start(&identity, &args, None).port).unwrap();
}

#[test]
fn chacha20_is_refused_in_fips_mode() {
    if !installed("openssl") {
        return;
    }
    let identity = Identity::new(Key::Rsa);
    let args = ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"];
    let server = Server::start(&identity, &args, None);
    let error = connect(client(Policy::On, &identity), server.port).unwrap_err();
    assert!(error.contains("HandshakeFailure"), "{error}");
}

#[test]
fn peer_without_extended_master_secret_is_refused_in_fips_mode() {
    if !installed("openssl") {
        return;
    }
    for policy in Policy::ALL {
        let identity = Identity::new(Key::P384);
        let server = Server::start(&identity, &["-tls1_2"], Some("Options = -ExtendedMasterSecret"));
        let outcome = connect(client(policy, &identity), server.port);
        match policy {
            Policy::Off => drop(outcome.unwrap()),
            _ => assert!(outcome.unwrap_err().contains("ExtendedMasterSecretExtensionRequired"), "{policy}"),
        }
    }
}

#[test]
fn listener_obeys_the_policy() {
    if !installed("openssl") {
        return;
    }
    for (policy, client_args, expected) in [
        (Policy::SuiteB192, &["-tls1_2"][..], Ok("ECDHE-ECDSA-AES256-GCM-SHA384")),
        (Policy::SuiteB192, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], Err(())),
        (Policy::SuiteB192, &["-tls1_3", "-groups", "P-256"], Err(())),
        (Policy::On, &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], Err(())),
        (Policy::On, &["-tls1_3"], Ok("TLS_AES_256_GCM_SHA384")),
    ] {
        let identity = Identity::new(Key::P384);
        let mut config = ServerConfig::builder_with_provider(Arc::new(policy.provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.leaf.clone()], identity.key_der())
            .unwrap();
        policy.restrict_server(&mut config);
        assert_eq!(policy.require_of_server(&config).is_ok(), is_fips_build());
        let seen = serve_one(config, client_args);
        match expected {
            Ok(cipher) => assert!(seen.contains(cipher), "{policy} {client_args:?}: {seen}"),
            Err(()) => assert!(
                !seen.contains("Cipher is TLS_A") && !seen.contains("Cipher is ECDHE"),
                "{policy} {client_args:?}: {seen}"
            ),
        }
    }
}

#[test]
fn only_the_fips_build_fulfils_a_policy() {
    let identity = Identity::new(Key::P384);
    for policy in Policy::ALL {
        let config = client(policy, &identity);
        let expected = policy.is_off() || is_fips_build();
        assert_eq!(policy.require_of_client(&config).is_ok(), expected, "{policy}");
        assert_eq!(config.require_ems, !policy.is_off());
    }
}

#[test]
fn words_of_policies_are_read_back() {
    for policy in Policy::ALL {
        assert_eq!(policy.to_string().parse(), Ok(policy));
    }
    assert!(Policy::ALL.is_sorted());
    let error = "cnsa".parse::<Policy>().unwrap_err().to_string();
    assert_eq!(error, "unknown FIPS mode `cnsa`; expected off, on, suite-b-128 or suite-b-192");
}
