//! Deliveries without faults.

use std::collections::BTreeSet;

use scanbridge_doubles::fake_defense_center::{Behavior, LineReader};
use scanbridge_plugin_api::model::ReportEnd;
use scanbridge_plugin_api::{Begin, Output};
use serde_json::json;

use crate::report::*;
use crate::setting_up::Registered;

fn two_assets() -> Vec<Asset> {
    vec![asset("192.0.2.10", &[(42, 443), (42, 8443), (7, 0)]), asset("2001:db8::1", &[(9, 22)])]
}

#[test]
fn report_equals_the_results_on_the_center() {
    let Some(registered) = Registered::new() else { return };
    let mut output = registered.open(&json!({})).unwrap();
    let written = deliver(&mut output, &two_assets(), &complete(&[])).unwrap();
    output.close().unwrap();
    assert_eq!(registered.results(), expected(&two_assets()));
    let bodies = registered.center.bodies();
    assert_eq!(written.bytes, bodies.iter().map(|body| body.len() as u64).sum::<u64>());
    assert!(written.rejected.is_empty());
    let map = registered.center.host_map();
    let asset = &map.assets[&("Global".to_owned(), "192.0.2.10".parse().unwrap())];
    assert!(asset.is_added);
    let result = asset.results.values().next().unwrap();
    assert_eq!(result.name, "Title of \"42\", e");
    assert_eq!(result.description, "Diagnosis, in two lines");
    assert_eq!(result.cves, ["2026-0042"]);
}

#[test]
fn client_certificate_is_sent() {
    let Some(registered) = Registered::new() else { return };
    let mut output = registered.open(&json!({})).unwrap();
    deliver(&mut output, &two_assets(), &complete(&[])).unwrap();
    let connections = registered.center.connections();
    assert_eq!(connections.len(), 1);
    assert!(connections[0].subject.contains("CN=127.0.0.1"), "{}", connections[0].subject);
    assert!(connections[0].subject.contains("Intrusion Management System"));
}

#[test]
fn each_message_has_the_header_and_ends_with_an_update() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| behavior.domains = vec!["Lab".to_owned()]);
    let assets: Vec<_> = (1..=9).map(|last| asset(&format!("192.0.2.{last}"), &[(1, 1), (2, 2)])).collect();
    let mut output = registered.open(&json!({ "domain": "Global\\Lab", "body_findings": 4 })).unwrap();
    deliver(&mut output, &assets, &complete(&["192.0.2.99"])).unwrap();
    output.close().unwrap();
    let bodies = registered.center.bodies();
    assert!(bodies.len() >= 5, "{}", bodies.len());
    for body in &bodies {
        let text = String::from_utf8(body.clone()).unwrap();
        assert!(text.starts_with("SetDomain,Global\\Lab\nSetSource,QualysGuard\n"), "{text}");
        assert!(text.ends_with("\nScanUpdate\n"), "{text}");
        assert!(text.matches("AddScanResult").count() <= 4);
    }
    assert_eq!(registered.results(), expected(&assets));
    let domains: BTreeSet<_> =
        registered.center.host_map().assets.into_keys().map(|(domain, _)| domain).collect();
    assert_eq!(domains, BTreeSet::from(["Lab".to_owned()]));
}

#[test]
fn second_report_replaces_only_covered_assets() {
    let Some(registered) = Registered::new() else { return };
    let mut output = registered.open(&json!({})).unwrap();
    let first = vec![
        asset("192.0.2.1", &[(1, 0), (2, 0)]),
        asset("192.0.2.2", &[(1, 0)]),
        asset("192.0.2.3", &[(1, 0)]),
        asset("192.0.2.4", &[(1, 0)]),
    ];
    deliver(&mut output, &first, &complete(&[])).unwrap();
    // .1 has other findings, .2 is in the report without findings, .3 is listed as clean, .4 is not covered.
    let second = vec![asset("192.0.2.1", &[(2, 0), (3, 80)]), asset("192.0.2.2", &[])];
    deliver(&mut output, &second, &complete(&["192.0.2.3"])).unwrap();
    output.close().unwrap();
    let now = vec![asset("192.0.2.1", &[(2, 0), (3, 80)]), asset("192.0.2.4", &[(1, 0)])];
    assert_eq!(registered.results(), expected(&now));
}

#[test]
fn truncated_report_deletes_no_results() {
    let Some(registered) = Registered::new() else { return };
    let mut output = registered.open(&json!({})).unwrap();
    let first =
        vec![asset("192.0.2.1", &[(1, 0)]), asset("192.0.2.2", &[(1, 0)]), asset("192.0.2.3", &[(1, 0)])];
    deliver(&mut output, &first, &complete(&[])).unwrap();
    let truncated = ReportEnd::default()
        .with_deliver(true)
        .with_clean_assets(vec!["192.0.2.3".parse().unwrap()])
        .with_reason("cut");
    deliver(&mut output, &[asset("192.0.2.2", &[]), asset("192.0.2.1", &[(2, 0)])], &truncated).unwrap();
    output.close().unwrap();
    // The last asset may be truncated: its new finding is added.
    let now = vec![
        asset("192.0.2.1", &[(1, 0), (2, 0)]),
        asset("192.0.2.2", &[(1, 0)]),
        asset("192.0.2.3", &[(1, 0)]),
    ];
    assert_eq!(registered.results(), expected(&now));
}

#[test]
fn replace_merge_adds_and_flush_replaces_results() {
    for (replace, clean_stays) in [("merge", true), ("flush", false), ("asset", false)] {
        let Some(registered) = Registered::new() else { return };
        let mut output = registered.open(&json!({ "replace": replace })).unwrap();
        let first = vec![asset("192.0.2.1", &[(1, 0), (2, 0)]), asset("192.0.2.2", &[(1, 0)])];
        deliver(&mut output, &first, &complete(&[])).unwrap();
        deliver(&mut output, &[asset("192.0.2.1", &[(2, 0), (3, 0)])], &complete(&["192.0.2.2"])).unwrap();
        output.close().unwrap();
        let mut now = vec![asset("192.0.2.1", &[(2, 0), (3, 0)])];
        if clean_stays {
            now.extend([asset("192.0.2.1", &[(1, 0)]), asset("192.0.2.2", &[(1, 0)])]);
        }
        assert_eq!(registered.results(), expected(&now), "{replace}");
    }
}

#[test]
fn results_of_other_scanners_are_kept() {
    let Some(registered) = Registered::new() else { return };
    for scanner in ["Another", "QualysGuard"] {
        let mut output = registered.open(&json!({ "scanner": scanner })).unwrap();
        deliver(&mut output, &[asset("192.0.2.1", &[(1, 0)])], &complete(&[])).unwrap();
    }
    assert_eq!(registered.results(), ["192.0.2.1: Another 1", "192.0.2.1: QualysGuard 1"]);
}

#[test]
fn set_os_sets_the_operating_system() {
    for set_os in [true, false] {
        let Some(registered) = Registered::new() else { return };
        let mut output = registered.open(&json!({ "set_os": set_os })).unwrap();
        deliver(&mut output, &[asset("192.0.2.1", &[(1, 0)])], &complete(&[])).unwrap();
        let os = registered.center.host_map().assets.into_values().next().unwrap().os;
        assert_eq!(os, set_os.then(|| ["", "Windows Server 2019", ""].map(str::to_owned)));
    }
}

#[test]
fn option_overrides_the_hint_of_the_report() {
    let Some(registered) = Registered::new() else { return };
    let mut output = registered.open(&json!({ "add_host": false })).unwrap();
    deliver(&mut output, &two_assets(), &complete(&[])).unwrap();
    output.close().unwrap();
    assert!(!registered.center.lines().iter().any(|line| line.starts_with("AddHost")));
    assert_eq!(registered.results(), expected(&two_assets()));
}

#[test]
fn tolerant_line_reader_gives_the_same_results() {
    let behavior = Behavior { line_reader: LineReader::Tolerant, ..Behavior::default() };
    let Some(registered) = Registered::on("127.0.0.1:0", behavior) else { return };
    let mut output = registered.open(&json!({})).unwrap();
    deliver(&mut output, &two_assets(), &complete(&[])).unwrap();
    assert_eq!(registered.results(), expected(&two_assets()));
}

#[test]
fn ipv6_connection_requires_ipv6_or_ip_fallback() {
    let Some(registered) = Registered::on("[::1]:0", Behavior::default()) else { return };
    for options in [json!({ "ipv6": true }), json!({ "ip_fallback": true })] {
        let mut output = registered.open(&options).unwrap();
        deliver(&mut output, &two_assets(), &complete(&[])).unwrap();
        assert_eq!(registered.results(), expected(&two_assets()), "{options}");
    }
    let mut output = registered.open(&json!({})).unwrap();
    let error = output.begin(&start(), Begin::NEW).unwrap_err();
    assert_eq!(error.message, "`::1` has no IPv4 address");
    let Some(registered) = Registered::new() else { return };
    let mut output = registered.open(&json!({ "ipv6": true })).unwrap();
    let error = output.begin(&start(), Begin::NEW).unwrap_err();
    assert_eq!(error.message, "`127.0.0.1` has no IPv6 address");
}

/// The source address selects the IP version, whatever `ipv6` says.
#[test]
fn defense_center_sees_the_source_address() {
    let Some(registered) = Registered::new() else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = std::thread::spawn(move || listener.accept().unwrap().1.ip().to_string());
    let options = json!({ "port": port, "source_address": "127.0.0.2", "ipv6": true });
    let mut output = registered.open(&options).unwrap();
    // The connection is closed before a greeting.
    output.begin(&start(), Begin::NEW).unwrap_err();
    assert_eq!(seen.join().unwrap(), "127.0.0.2");
}
