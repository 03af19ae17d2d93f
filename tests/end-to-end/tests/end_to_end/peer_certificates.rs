//! The metric of when the certificate of a peer expires, for each plugin that uses TLS.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scanbridge_doubles::certificates::{Authority, Pkcs12, Request};
use scanbridge_doubles::fake_defense_center::FakeDefenseCenter;
use scanbridge_doubles::fake_qualys::{FakeQualys, Script};
use scanbridge_doubles::syslog_sink::{Framing, SinkBehavior, SyslogSink};

use crate::qualys_api::body;
use crate::sandbox::{CSV, Outcome, Sandbox, pipeline};
use crate::service::sandbox_with_report;

const DAY: Duration = Duration::from_secs(86_400);

/// An authority whose file is in the sandbox, a certificate of it for loopback, and when that one ends.
fn authority(sandbox: &Sandbox, days: u32) -> (Authority, Request, f64) {
    let authority = Authority::new("Example Root CA");
    let _ = authority.write_pem(&sandbox.path(""), "ca.pem");
    let now = SystemTime::now();
    let end = now + DAY * days;
    let request = Request::server(&["127.0.0.1"]).valid(now - DAY, end);
    // Certificates have whole seconds.
    (authority, request, end.duration_since(UNIX_EPOCH).unwrap().as_secs_f64().floor())
}

/// Runs a pipeline that is named `p`; returns the ends of certificates by instance and role.
fn ends(sandbox: &Sandbox, text: &str) -> Vec<(String, f64)> {
    sandbox.write("p.yaml", text);
    let arguments = ["run", "p.yaml", "--state-dir", "state", "--metrics-file", "m.prom"];
    Outcome::of(sandbox.host(&arguments).output().unwrap()).expect_code(0);
    let prefix = "scanbridge_certificate_expiry_timestamp_seconds{pipeline=\"p\",";
    let metrics = sandbox.read("m.prom");
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(prefix)?.split_once("} "));
    lines.map(|(labels, value)| (labels.to_owned(), value.trim().parse().unwrap())).collect()
}

fn sink(authority: &Authority, request: &Request) -> SyslogSink {
    let config = authority.server_config(&authority.issue(request), false);
    SyslogSink::tls(Framing::OctetCounted, SinkBehavior::default(), config)
}

fn cef(addresses: &str, trust: &str) -> String {
    let output = format!(
        "{{ id: siem, plugin: ArcSightCEF, with: {{ transport: tls, address: {addresses}, {trust} }} }}"
    );
    pipeline("path: scan.xml, settle_secs: 0", &[&output])
}

#[test]
fn receiver_of_events() {
    let sandbox = sandbox_with_report();
    let (authority, request, end) = authority(&sandbox, 20);
    let sink = sink(&authority, &request);
    let address = sink.address().to_string();
    let expected = vec![("instance=\"siem\",role=\"peer\"".to_owned(), end)];
    assert_eq!(ends(&sandbox, &cef(&address, "tls_ca_file: ca.pem")), expected);
    // The dates of a certificate that was seen first are not checked, so they are not measured.
    let _ = std::fs::remove_dir_all(sandbox.path("state"));
    assert_eq!(ends(&sandbox, &cef(&address, "tls_first_use_file: known")), []);
}

#[test]
fn qualys() {
    let sandbox = Sandbox::new();
    let (authority, request, end) = authority(&sandbox, 300);
    let script = Script::new()
        .on("/api/5.0/fo/asset/host/vm/detection/", [body("detections.xml")])
        .on("/api/4.0/fo/knowledge_base/vuln/", [body("knowledge-base.xml")]);
    let config: Arc<_> = authority.server_config(&authority.issue(&request), false);
    let qualys = FakeQualys::start(config, script);
    let text = format!(
        "version: 1\ninputs:\n  - {{ id: api, plugin: QualysGuard, with: {{ user_id: a, password: b, url: '{}', \
         tls_ca_file: ca.pem, source: host-detections }} }}\noutputs:\n  - {CSV}\n",
        qualys.url()
    );
    assert_eq!(ends(&sandbox, &text), [("instance=\"api\",role=\"peer\"".to_owned(), end)]);
}

#[test]
fn defense_center() {
    let (center, sandbox) = (FakeDefenseCenter::start(), sandbox_with_report());
    let Some(_) = center.client_file(&sandbox.path(""), "client.pkcs12", "t0w3L", Pkcs12::DefenseCenter)
    else {
        return;
    };
    let output = format!(
        "{{ id: center, plugin: Sourcefire, with: {{ server: 127.0.0.1, port: {}, password: t0w3L, add_host: y }} }}",
        center.port()
    );
    let found = ends(&sandbox, &pipeline("path: scan.xml, settle_secs: 0", &[&output]));
    let roles: Vec<&str> = found.iter().map(|(labels, _)| labels.as_str()).collect();
    assert_eq!(roles, ["instance=\"center\",role=\"client\"", "instance=\"center\",role=\"peer\""]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(found.iter().all(|(_, end)| *end > now), "{found:?}");
}
