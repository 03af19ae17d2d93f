//! Errors before connecting, the trust options, and the README's table.

use std::fs;

use scanbridge_doubles::certificates::{Authority, Pkcs12, Request};
use scanbridge_plugin_api::{Begin, ErrorKind, Output};
use scanbridge_sourcefire::SourcefireOutput;
use serde_json::json;

use crate::report::*;
use crate::setting_up::Registered;

#[test]
fn identity_file_errors_are_distinguished() {
    let Some(registered) = Registered::new() else { return };
    let folder = registered.folder.path();
    let file =
        |name: &str, password: &str, shape| registered.center.client_file(folder, name, password, shape);
    for (name, password, shape) in [
        ("old.pkcs12", "", Pkcs12::DefenseCenter),
        ("old-password.pkcs12", "t0w3L", Pkcs12::DefenseCenter),
        ("new.pkcs12", "", Pkcs12::Modern),
        ("new-password.pkcs12", "t0w3L", Pkcs12::Modern),
    ] {
        let path = file(name, password, shape).unwrap();
        let mut options = json!({ "pkcs12": path });
        if !password.is_empty() {
            options["password"] = json!(password);
        }
        let mut output = registered.open(&options).unwrap();
        deliver(&mut output, &[asset("192.0.2.1", &[(1, 1)])], &complete(&[])).unwrap();
        assert!(!format!("{output:?}").contains("t0w3L"));
    }
    let protected = folder.join("old-password.pkcs12");
    let rare = file("rare.pkcs12", "", Pkcs12::Rare).unwrap();
    let broken = folder.join("broken.pkcs12");
    fs::write(&broken, &fs::read(&protected).unwrap()[..300]).unwrap();
    let mut messages = Vec::new();
    for (options, kind) in [
        (json!({ "pkcs12": protected, "password": "vogon" }), ErrorKind::Auth),
        (json!({ "pkcs12": protected }), ErrorKind::Auth),
        (json!({ "pkcs12": rare }), ErrorKind::BadData),
        (json!({ "pkcs12": broken }), ErrorKind::BadData),
        (json!({ "pkcs12": folder.join("nowhere.pkcs12") }), ErrorKind::NoInput),
    ] {
        let error = registered.open(&options).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(!format!("{error:?}").contains("vogon"));
        messages.push(error.message);
    }
    messages.sort();
    messages.dedup();
    assert_eq!(messages.len(), 5, "{messages:#?}");
}

#[test]
fn center_is_trusted_by_pkcs12_authority_or_tls_options() {
    let Some(registered) = Registered::new() else { return };
    let folder = registered.folder.path();
    let right = registered.center.authority().write_pem(folder, "right.pem");
    let wrong = Authority::new("Other authority").write_pem(folder, "wrong.pem");
    let probe = registered.open(&json!({})).unwrap().check().unwrap();
    let certificate =
        &probe.steps.iter().find(|step| step.name == "Defense Center certificate").unwrap().detail;
    let fingerprint = certificate.rsplit(' ').next().unwrap();
    for (options, trusted) in [
        (json!({}), true),
        (json!({ "tls_ca_file": right }), true),
        (json!({ "tls_ca_file": wrong }), false),
        (json!({ "tls_fingerprint": [fingerprint] }), true),
        (json!({ "tls_fingerprint": ["00".repeat(32)] }), false),
        (json!({ "tls_ca_file": right, "tls_check_name": true }), false),
    ] {
        let outcome = registered.open(&options).unwrap().begin(&start(), Begin::NEW);
        assert_eq!(
            outcome.as_ref().map_err(|error| error.kind),
            if trusted { Ok(&()) } else { Err(ErrorKind::Auth) }
        );
    }
}

#[test]
fn expired_client_certificate_fails_before_connecting() {
    let Some(registered) = Registered::new() else { return };
    let client = registered.center.authority().issue(&Request::host_input_client("192.0.2.1", "d").expired());
    let file = client.write_pkcs12(registered.folder.path(), "expired.pkcs12", "", Pkcs12::Modern).unwrap();
    let error = registered.open(&json!({ "pkcs12": file })).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("expired on"), "{error}");
    assert!(registered.center.connections().is_empty());
}

#[test]
fn invalid_option_is_named_in_the_error() {
    let Some(registered) = Registered::new() else { return };
    for (options, part) in [
        (json!({ "server": "dc:8307" }), "`server` must not contain a port"),
        (json!({ "source": "a,b" }), "`source`: may contain only letters, digits"),
        (json!({ "scanner": "42" }), "`scanner`: must not be a number"),
        (json!({ "domain": "a\"b" }), "`domain`: may contain only"),
        (json!({ "kinds": [] }), "`kinds` must have at least one"),
        (json!({ "port": 0 }), "port"),
        (json!({ "tls_fingerprint": ["abc"] }), "tls_fingerprint"),
    ] {
        let error = registered.open(&options).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config, "{error}");
        assert!(error.message.contains(part), "{error}");
    }
}

#[test]
fn kinds_and_severities_are_filtered() {
    let Some(registered) = Registered::new() else { return };
    for (options, sent) in [
        (json!({ "min_severity": 4 }), false),
        (json!({ "min_severity": 3 }), true),
        (json!({ "kinds": ["information"] }), false),
    ] {
        registered.center.reset();
        let mut output = registered.open(&options).unwrap();
        output.begin(&start(), Begin::NEW).unwrap();
        let written = write(&mut output, &[asset("192.0.2.1", &[(1, 1)])], false).unwrap();
        assert_eq!(written.left_out.is_empty(), sent, "{options}");
        output.end(&complete(&[])).unwrap();
        assert_eq!(registered.results().len(), usize::from(sent));
    }
}

#[test]
fn wrong_values_are_found_without_opening_the_plugin() {
    scanbridge_plugin_contract::wrong_option_values_of_output::<SourcefireOutput>(
        &[json!({ "server": "dc.example.com", "pkcs12": "/nonexistent/client.pkcs12" })],
        &[
            ("tls_fingerprint", "digits of a fingerprint"),
            ("source_address", "addresses of this machine"),
            ("source", "characters that a command may contain"),
            ("scanner", "characters that a command may contain"),
            ("domain", "UUIDs and names"),
            ("kinds", "at least one value"),
        ],
    );
}
