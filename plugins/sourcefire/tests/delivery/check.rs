//! The probe: one verdict per step, with a hint.

use std::net::TcpListener;

use scanbridge_plugin_api::{CheckReport, Output, Verdict};
use serde_json::json;

use crate::setting_up::Registered;

fn steps(report: &CheckReport) -> Vec<(&str, Verdict)> {
    report.steps.iter().map(|step| (step.name.as_str(), step.verdict)).collect()
}

fn detail<'a>(report: &'a CheckReport, name: &str) -> &'a str {
    &report.steps.iter().find(|step| step.name == name).unwrap().detail
}

#[test]
fn every_step_is_reported() {
    let Some(registered) = Registered::new() else { return };
    let mut output = registered.open(&json!({ "domain": "Global\\Lab" })).unwrap();
    let report = output.check().unwrap();
    let expected = [
        "client certificate",
        "resolve",
        "TCP",
        "TLS",
        "Defense Center certificate",
        "protocol",
        "Defense Center settings",
    ];
    assert_eq!(steps(&report), expected.map(|name| (name, Verdict::Ok)));
    let client = detail(&report, "client certificate");
    for part in [
        "CN=127.0.0.1",
        "for domain e276abec-e0f2",
        "valid for 8",
        "commands are written to domain Global\\Lab",
    ] {
        assert!(client.contains(part), "{part}: {client}");
    }
    assert_eq!(detail(&report, "resolve"), "`127.0.0.1` resolves to 127.0.0.1");
    assert!(detail(&report, "TLS").starts_with("TLS 1.3, TLS13_"), "{}", detail(&report, "TLS"));
    assert!(detail(&report, "Defense Center certificate").contains("fingerprint "));
    assert_eq!(detail(&report, "protocol"), "version 1; maximum message size 524288 bytes");
    for part in
        ["identity type of the source is Scanner", "third-party vulnerability mapping", "host licenses"]
    {
        assert!(detail(&report, "Defense Center settings").contains(part), "{part}");
    }
    drop(output);
    assert!(registered.results().is_empty());
    assert_eq!(registered.center.message_count(), 0);
}

#[test]
fn failed_step_has_a_hint() {
    let Some(registered) = Registered::new() else { return };
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (more, step, part) in [
        (json!({ "server": "dc.invalid" }), "resolve", "check option `server`"),
        (json!({ "ipv6": true }), "resolve", "has no IPv6 address"),
        (json!({ "port": closed }), "TCP", "firewalls"),
        (json!({ "tls_check_name": true }), "TLS", "certificate name mismatch"),
    ] {
        let report = registered.open(&more).unwrap().check().unwrap();
        let failed = report.steps.iter().find(|step| step.verdict == Verdict::Failed).unwrap();
        assert_eq!(failed.name, step, "{report:?}");
        assert!(failed.detail.contains(part), "{}", failed.detail);
        assert_eq!(report.verdict(), Verdict::Failed);
    }
    registered.center.revoke_clients();
    let report = registered.open(&json!({})).unwrap().check().unwrap();
    assert!(
        detail(&report, "protocol").contains("client certificate revoked or client not registered"),
        "{report:?}"
    );
}
