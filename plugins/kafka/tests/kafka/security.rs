//! TLS, logins and permissions with Apache Kafka, and the errors when they are wrong.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::{ErrorKind, Output as _, PluginError, Verdict};
use serde_json::{Value, json};

use crate::case::{batch, deliver, input_for, input_with, output, output_for, read_to_end, scan, services};
use crate::cluster::Cluster;
use crate::topic;

/// The options with these brokers over TLS.
fn tls(cluster: &Cluster, more: Value) -> Value {
    let mut options = json!({ "security": "tls", "tls_ca_file": format!("{}/ca.crt", cluster.directory) });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

fn with(mut options: Value, more: Value) -> Value {
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options
}

/// Writes and reads with these options.
fn works(cluster: &Cluster, brokers: &str, name: &str, options: &Value) {
    topic::create(&cluster.brokers, name, 1, &[]);
    let mut output = output(brokers, &with(options.clone(), json!({ "topic": name }))).unwrap();
    deliver(&mut output, &scan("scan/1"), &[batch(&[("192.0.2.1", &[5])])]).unwrap();
    let more = json!({ "topics": [name], "group": name, "window": 200, "session_timeout": 6000 });
    let (mut input, columns) = input_with(brokers, &with(options.clone(), more), &services(), None).unwrap();
    assert_eq!(read_to_end(&mut input, &columns).unwrap().assets.len(), 1);
}

/// The error of output and input, which come without waiting for the timeout.
fn fails(brokers: &str, options: &Value) -> PluginError {
    let began = Instant::now();
    let error = output(brokers, &with(options.clone(), json!({ "topic": "s-x" }))).unwrap_err();
    let of_input =
        input_for("run", brokers, &with(options.clone(), json!({ "topics": ["s-x"] }))).err().unwrap();
    assert_eq!(of_input.kind, error.kind, "{of_input}");
    assert!(began.elapsed() < Duration::from_secs(20), "not retried until `connect_timeout`");
    // The probe says the same.
    let mut probe = output_for("probe", brokers, &with(options.clone(), json!({ "topic": "s-x" }))).unwrap();
    let step = probe.check().unwrap().steps.pop().unwrap();
    assert_eq!((step.verdict, step.kind), (Verdict::Failed, Some(error.kind)));
    error
}

#[test]
fn client_certificate() {
    let Some(cluster) = Cluster::shared() else { return };
    let file = |name: &str| format!("{}/{name}", cluster.directory);
    works(cluster, &cluster.tls, "s-mtls", &tls(cluster, json!({ "tls_certificate": file("client.pem") })));
    let pair = json!({ "tls_certificate": file("client.crt"), "tls_key": file("client.pk8") });
    works(cluster, &cluster.tls, "s-mtls-pair", &tls(cluster, pair));

    let error = fails(&cluster.tls, &tls(cluster, json!({})));
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    assert!(error.hint.as_deref().unwrap_or_default().contains("tls_certificate"), "{error:?}");
}

#[test]
fn certificate_of_the_broker() {
    let Some(cluster) = Cluster::shared() else { return };
    let login = json!({ "sasl": "plain", "username": "sb", "password": "secret" });
    let other = json!({ "tls_ca_file": format!("{}/other-ca.crt", cluster.directory) });
    let error = fails(&cluster.sasl, &tls(cluster, with(login.clone(), other)));
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    assert!(error.message.contains("certificate verify failed"), "{error}");
    assert!(error.hint.unwrap().contains("tls_ca_file"));

    // The certificate is for the address, not for the name.
    let by_name = cluster.sasl.replace("127.0.0.1", "localhost");
    let error = output(&by_name, &tls(cluster, with(login.clone(), json!({ "topic": "t" })))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    let unchecked = with(login, json!({ "tls_check_name": false, "topic": "s-none" }));
    let error = output(&by_name, &tls(cluster, unchecked)).unwrap_err();
    assert!(error.message.contains("s-none"), "the connection works: {error}");
}

#[test]
fn brokers_without_tls() {
    let Some(cluster) = Cluster::shared() else { return };
    let options = tls(cluster, json!({ "topic": "t", "connect_timeout": 3000 }));
    let error = output(&cluster.brokers, &options).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "a broker that is restarted looks the same: {error}");
    assert!(error.hint.unwrap().contains("security: plaintext"));
}

#[test]
fn passwords() {
    let Some(cluster) = Cluster::shared() else { return };
    for mechanism in ["plain", "scram-sha-256", "scram-sha-512"] {
        let login = |password| json!({ "sasl": mechanism, "username": "sb", "password": password });
        works(cluster, &cluster.sasl, &format!("s-{mechanism}"), &tls(cluster, login("secret")));
        let error = fails(&cluster.sasl, &tls(cluster, login("wr0ng")));
        assert_eq!(error.kind, ErrorKind::Auth, "{error}");
        assert!(!format!("{error:?}").contains("wr0ng"), "{error:?}");
    }
}

#[test]
fn tokens() {
    let Some(cluster) = Cluster::shared() else { return };
    let good = token_server("cl1ent-s3cret");
    let login = |secret: &str| {
        json!({ "sasl": "oauthbearer", "oauth_token_url": good, "oauth_client_id": "sb",
            "oauth_client_secret": secret, "oauth_scope": "kafka" })
    };
    works(cluster, &cluster.sasl, "s-oauth", &tls(cluster, login("cl1ent-s3cret")));
    let error = fails(&cluster.sasl, &tls(cluster, login("wr0ng")));
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.message.contains("HTTP 401") && !format!("{error:?}").contains("wr0ng"), "{error:?}");
}

#[test]
fn permissions() {
    let Some(cluster) = Cluster::shared() else { return };
    topic::create(&cluster.brokers, "s-acl", 1, &[]);
    let login = tls(cluster, json!({ "sasl": "scram-sha-512", "username": "guest", "password": "secret" }));
    let error = output(&cluster.sasl, &with(login.clone(), json!({ "topic": "s-acl" }))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    let hint = error.hint.unwrap();
    assert!(
        hint.contains("kafka-acls") && hint.contains("User:guest") && hint.contains("--topic s-acl"),
        "{hint}"
    );

    let error = input_for("run", &cluster.sasl, &with(login, json!({ "topics": ["s-acl"] }))).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.hint.unwrap().contains("--operation Read"));
}

/// A token server that knows one secret, and answers with tokens that the brokers of the tests accept.
fn token_server(secret: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !String::from_utf8_lossy(&request).contains("client_secret=") {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => request.extend_from_slice(&piece[..length]),
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let is_known =
                request.contains(&format!("client_secret={secret}")) && request.contains("scope=kafka");
            let (status, body) = match is_known {
                true => ("200 OK", json!({ "access_token": token(), "expires_in": 600 })),
                false => ("401 Unauthorized", json!({ "error": "invalid_client" })),
            };
            let body = body.to_string();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

/// An unsigned token of the user `sb`.
fn token() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "sub": "sb", "iat": now, "exp": now + 600, "scope": "kafka" });
    format!("{}.{}.", base64(r#"{"alg":"none"}"#), base64(&claims.to_string()))
}

/// Base64 for URLs, without padding.
fn base64(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut encoded = String::new();
    for piece in text.as_bytes().chunks(3) {
        let bits = piece.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - piece.len()));
        for index in 0..=piece.len() {
            encoded.push(char::from(DIGITS[(bits >> (18 - 6 * index) & 63) as usize]));
        }
    }
    encoded
}
