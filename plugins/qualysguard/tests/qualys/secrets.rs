//! No secret appears in a log, an error, a file of the state directory or a file name.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use scanbridge_doubles::fake_qualys::{Reply, Script};
use scanbridge_doubles::http_proxy::{HttpProxy, ProxyBehavior};
use serde_json::json;

use crate::drive::{Bench, PASSWORD};
use crate::template_reports::complete_run;

/// Parts of secrets, in plain and encoded forms.
const FORBIDDEN: [&str; 8] = [
    PASSWORD,
    "p%40ss",
    "p@ss",
    "ZGlya19nOnBAc3M6IHcjcmQmKyU", // Basic
    "t0w3L-secret",
    "abc123-cookie",
    "eyJ-token",
    "echo-login",
];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Checks and runs the input; returns everything logged, reported and stored.
fn all_of(bench: &Bench) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let outcome = tracing::subscriber::with_default(subscriber, || {
        let check = bench.open(None).and_then(|mut input| scanbridge_plugin_api::Input::check(&mut input));
        format!("{check:?} {:?}", bench.run())
    });
    let mut all = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    all += &outcome;
    kept(&bench.state(), &mut all);
    all
}

fn kept(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        *all += &entry.path().display().to_string();
        match entry.path().is_dir() {
            true => kept(&entry.path(), all),
            false => *all += &String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()),
        }
    }
}

#[test]
fn no_secret_is_logged_or_stored() {
    let login =
        Reply::simple("Logged in", &[]).header("Set-Cookie", "QualysSession=abc123-cookie; path=/api");
    let mut is_logged = false;
    for (auth, script) in [
        ("basic", complete_run()),
        (
            "session",
            Script::new().on("action=login", [login]).on("", [Reply::code(409, 2003, "Accept first")]),
        ),
        (
            "jwt",
            Script::new()
                .on("/auth", [Reply::new(201, "text/plain", "eyJ-token")])
                .on("", [Reply::html(500)]),
        ),
        ("basic", Script::new().on("", [Reply::code(401, 2000, "Bad Login/Password")])),
        ("basic", Script::new().on("", [Reply::no_response()])),
    ] {
        let bench = Bench::new(script);
        let url = bench.qualys.url();
        let bench = bench.with(json!({
            "auth": auth, "gateway_url": url, "no_proxy": ["127.0.0.1"],
            "proxy": "http://127.0.0.1:1", "proxy_username": "zaphod", "proxy_password": "t0w3L-secret",
        }));
        let all = all_of(&bench);
        is_logged |= all.contains("QualysGuard Report Processing Complete");
        for secret in FORBIDDEN {
            assert!(!all.contains(secret), "{auth}: `{secret}` in {all}");
        }
    }
    assert!(is_logged, "the log was captured");
}

#[test]
fn no_secret_is_logged_when_a_proxy_fails() {
    let behavior = [
        ProxyBehavior { login: Some("Basic of another user".to_owned()), ..ProxyBehavior::default() },
        ProxyBehavior { refusal: Some("403 Forbidden".to_owned()), ..ProxyBehavior::default() },
        ProxyBehavior::default(),
    ];
    for (index, behavior) in behavior.into_iter().enumerate() {
        let proxy = HttpProxy::start(behavior);
        let url = proxy.url();
        // The last proxy is stopped before the run.
        let proxy = (index < 2).then_some(proxy);
        let bench = Bench::new(complete_run()).with(json!({
            "proxy": url, "proxy_username": "zaphod", "proxy_password": "t0w3L-secret",
        }));
        let all = all_of(&bench);
        assert!(all.contains("the proxy 127.0.0.1:"), "{all}");
        for secret in FORBIDDEN.into_iter().chain(["emFwaG9kOnQwdzNMLXNlY3JldA"]) {
            assert!(!all.contains(secret), "`{secret}` in {all}");
        }
        assert_eq!(proxy.map_or(0, |proxy| proxy.tunnels().len()) > 0, index < 2);
    }
}
