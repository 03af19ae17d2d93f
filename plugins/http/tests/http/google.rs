//! Preset `google-secops`. The signature of an assertion is checked by OpenSSL.

use std::fs;
use std::path::Path;
use std::process::Command;

use scanbridge_doubles::http_destination::{HttpDestination, SecOps, Tokens};
use scanbridge_plugin_api::ErrorKind;
use serde_json::{Value, json};

use crate::case::{rejected, send};

/// Runs `openssl`. None if this machine does not have it; CI does.
#[expect(clippy::print_stderr, reason = "says why the test was skipped")]
fn openssl(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = match Command::new("openssl").args(arguments).current_dir(folder).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "openssl: {error}");
            eprintln!("skipped: openssl is not installed");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A service account with a new key, and the instance that knows it.
fn start(folder: &Path) -> Option<(HttpDestination<SecOps>, Value)> {
    let tokens = Tokens { life: 3600, ..Tokens::default() };
    let server = HttpDestination::start(SecOps { tokens, ..SecOps::default() });
    let options = options(folder, &server.url())?;
    Some((server, options))
}

/// Options with a new service account in `folder`.
pub(crate) fn options(folder: &Path, url: &str) -> Option<Value> {
    openssl(
        folder,
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key.pem"],
    )?;
    openssl(folder, &["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"])?;
    let file = json!({
        "type": "service_account",
        "client_email": "scanbridge@example.iam.gserviceaccount.com",
        "private_key_id": "k1",
        "private_key": fs::read_to_string(folder.join("key.pem")).unwrap(),
        "token_uri": format!("{url}/token"),
    });
    fs::write(folder.join("account.json"), file.to_string()).unwrap();
    Some(json!({
        "preset": "google-secops",
        "url": url,
        "service_account_file": folder.join("account.json"),
        "project": "p1",
        "region": "eu",
        "instance": "i1",
    }))
}

fn base64_url(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

#[test]
fn logs_arrive_after_a_signed_assertion() {
    let folder = tempfile::tempdir().unwrap();
    let Some((server, options)) = start(folder.path()) else { return };
    send(&options, &["a", "b"]).unwrap();
    server.with(|secops| {
        assert_eq!(
            secops.paths,
            ["/v1alpha/projects/p1/locations/eu/instances/i1/logTypes/ARCSIGHT_CEF/logs:import"]
        );
        assert_eq!(secops.logs.len(), 2);
        let log = &secops.logs[1];
        assert!(base64(log["data"].as_str().unwrap()).starts_with("CEF:0|Qualys|Qualys|"));
        assert_eq!(log["logEntryTime"], "2026-01-31T12:00:00.000Z");
        assert_eq!(log["labels"]["record_id"]["value"].as_str().unwrap().len(), 32);
    });

    let form = server.with(|secops| secops.tokens.forms[0].clone());
    let assertion = form.split("assertion=").nth(1).unwrap();
    let parts: Vec<&str> = assertion.split('.').collect();
    let claims: Value = serde_json::from_slice(&base64_url(parts[1])).unwrap();
    assert_eq!(claims["iss"], "scanbridge@example.iam.gserviceaccount.com");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    fs::write(folder.path().join("signed"), format!("{}.{}", parts[0], parts[1])).unwrap();
    fs::write(folder.path().join("signature"), base64_url(parts[2])).unwrap();
    let arguments = ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "signed"];
    assert_eq!(openssl(folder.path(), &arguments).unwrap().trim(), "Verified OK");
}

#[test]
fn invalid_log_is_found_by_halving() {
    let folder = tempfile::tempdir().unwrap();
    let Some((server, mut options)) = start(folder.path()) else { return };
    options["format"] = "json".into();
    options["log_type"] = "SCANBRIDGE".into();
    options["forwarder"] = "projects/p1/forwarders/f1".into();
    send(&options, &["a", "b", "c"]).unwrap();
    assert!(
        server.requests()[1]
            .text()
            .starts_with(r#"{"inlineSource":{"forwarder":"projects/p1/forwarders/f1","logs":[{"#)
    );
    let second = server.with(|secops| secops.logs[1]["data"].as_str().unwrap().to_owned());
    server.with(|secops| {
        secops.logs.clear();
        secops.invalid.push(second);
    });
    let committed = send(&options, &["a", "b", "c"]).unwrap();
    assert_eq!(rejected(&committed).iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1]);
    server.with(|secops| assert_eq!(secops.logs.len(), 2));
}

#[test]
fn refused_assertion_names_the_difference_of_the_clocks() {
    let folder = tempfile::tempdir().unwrap();
    let Some((server, options)) = start(folder.path()) else { return };
    for (date, side) in
        [("Wed, 01 Jan 2020 00:00:00 GMT", "ahead of"), ("Fri, 01 Jan 2100 00:00:00 GMT", "behind")]
    {
        server.with(|secops| secops.tokens.date = date);
        let error = send(&options, &["a"]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Auth);
        assert!(error.message.contains("Invalid JWT") && error.message.contains(side), "{error}");
        assert!(error.hint.unwrap().contains("set the clock"), "{}", error.message);
    }
    // The right time, to a few seconds.
    server.with(|secops| secops.tokens.date = "");
    send(&options, &["a"]).unwrap();
}

#[test]
fn invalid_key_file_is_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("account.json");
    let options = json!({
        "preset": "google-secops",
        "service_account_file": path,
        "project": "p1",
        "region": "eu",
        "instance": "i1",
    });
    assert_eq!(send(&options, &[]).unwrap_err().kind, ErrorKind::NoInput);
    let broken =
        json!({ "client_email": "a@b", "private_key": "s3cret", "token_uri": "https://x" }).to_string();
    for text in ["{}", "s3cret", &broken] {
        fs::write(&path, text).unwrap();
        let error = send(&options, &[]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains("account.json") && !error.message.contains("s3cret"), "{error}");
    }
}
