//! The effect of each option.

use std::path::Path;

use scanbridge_arcsight_cef::ArcSightCef;
use scanbridge_plugin_api::ErrorKind;
use scanbridge_plugin_api::batch::RawBatch2;
use scanbridge_plugin_api::model::{AssetField as A, DefinitionField as D};
use serde_json::{Value, json};

use crate::case::{Filling, event_of, events_of, open, scan, text_of};

fn vulnerability() -> RawBatch2 {
    let definition = [(D::Id, "7"), (D::Category, "CGI"), (D::Exploits, "\t\tone\t")];
    let cells =
        [("kind", "vulnerability"), ("status", "Active"), ("facts", "port\t22\ttcp\t\t\nos\tLinux\t")];
    Filling::default().asset(&[(A::Address, "192.0.2.1")]).finding(&definition, &cells).done()
}

fn without_derived(mut options: Value) -> Value {
    options["derive"] = json!(false);
    options
}

#[test]
fn profile_sets_defaults_of_unset_options() {
    for (options, space, key) in [
        (json!({}), "|rt=", "ad.ExpltDescription"),
        (json!({ "profile": "rsyslog" }), "| rt=", "QualysQualysExpltDescription"),
        (json!({ "profile": "generic" }), "|rt=", "QualysQualysExpltDescription"),
        (json!({ "profile": "rsyslog", "additional_data": "ad" }), "| rt=", "ad.ExpltDescription"),
        (json!({ "additional_data": "custom" }), "|rt=", "QualysQualysExpltDescription"),
        (json!({ "extension_leading_space": "yes" }), "| rt=", "ad.ExpltDescription"),
        (
            json!({ "profile": "rsyslog", "extension_leading_space": "no" }),
            "|rt=",
            "QualysQualysExpltDescription",
        ),
    ] {
        let text = text_of(options.clone(), &scan(), &[vulnerability()]);
        assert!(text.lines().all(|line| line.contains(space)), "{options}: {text}");
        assert!(text.contains(&format!(" {key}=one")), "{options}: {text}");
    }
}

#[test]
fn derive_false_omits_derived_events() {
    assert_eq!(events_of(json!({}), vulnerability()).len(), 3);
    assert_eq!(events_of(without_derived(json!({})), vulnerability()).len(), 1);
    assert_eq!(events_of(json!({ "asset_events": true }), vulnerability()).len(), 4);
}

#[test]
fn category_technique_false_omits_the_field() {
    let events = events_of(json!({ "category_technique": false }), vulnerability());
    assert!(events.iter().all(|event| event.get("categoryTechnique").is_none()));
    assert_eq!(events[0].get("cat"), Some("CGI"));
}

#[test]
fn vendor_and_product_are_set_and_escaped() {
    let options = without_derived(json!({ "device_vendor": "A|B", "device_product": " c\\d " }));
    let text = text_of(options, &scan(), &[vulnerability()]);
    assert!(text.starts_with(r"CEF:0|A\|B|c\\d|12.7|Qualys\|VULN\|7|"), "{text}");
}

#[test]
fn aggregate_counts_equal_events_and_order_sorts() {
    let cells = [("kind", "information"), ("severity", "1"), ("result", "same")];
    let severity_5 = [("kind", "vulnerability"), ("severity", "5")];
    let filling = || {
        let asset = Filling::default().asset(&[(A::Address, "192.0.2.1")]);
        let twice = asset.finding(&[(D::Id, "1")], &cells).finding(&[(D::Id, "1")], &cells);
        twice.finding(&[(D::Id, "9")], &severity_5).done()
    };
    let events = events_of(json!({ "aggregate": true }), filling());
    assert_eq!(events.len(), 2);
    assert_eq!((events[0].get("cnt"), events[0].get("type")), (Some("2"), Some("1")));
    assert_eq!((events[1].get("cnt"), events[1].get("type")), (None, None));
    let events = events_of(json!({ "order": "severity" }), filling());
    let ids: Vec<_> = events.iter().map(|event| event.header[3].as_str()).collect();
    assert_eq!(ids, ["Qualys|VULN|9", "Qualys|INFOS|1", "Qualys|INFOS|1"]);
}

#[test]
fn time_offset_and_past_limit_change_rt() {
    // The time of the scan is 2026-01-31T12:00:00Z, which is 1769860800 (date -d … +%s).
    let rt = |options| {
        event_of(without_derived(options), vulnerability()).get("rt").unwrap().parse::<i64>().unwrap()
    };
    assert_eq!(rt(json!({})), 1_769_860_800_000);
    assert_eq!(rt(json!({ "time_offset_secs": -3600 })), 1_769_857_200_000);
    let now = || i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let before = now();
    let clamped = rt(json!({ "time_past_limit_secs": 60 }));
    assert!((before - 60_000..=now() - 60_000).contains(&clamped), "{clamped}");
}

#[test]
fn invalid_option_is_named_in_the_error() {
    for (options, words) in [
        (json!({ "mode": "0649" }), "option `mode`"),
        (json!({ "mode": "1777" }), "option `mode`"),
        (json!({ "mode": "0440" }), "option `mode`"),
        (json!({ "mode": "+640" }), "option `mode`"),
        (json!({ "device_vendor": " " }), "option `device_vendor` must not be empty"),
        (
            json!({ "device_product": "|".repeat(32) }),
            "option `device_product` must not be longer than 63 bytes",
        ),
        (
            json!({ "device_version": "x".repeat(32) }),
            "option `device_version` must not be longer than 31 bytes",
        ),
        (json!({ "cef_version": 2 }), "option `cef_version`"),
        (json!({ "extra_fields": ["msg"] }), "option `extra_fields`"),
        (json!({ "additional_fields": ["asset.nosuch"] }), "unknown column `asset.nosuch`"),
        (
            json!({ "additional_fields": ["asset.id", "asset.id"] }),
            "`asset.id` and `asset.id` have the same key",
        ),
        (
            json!({ "connector": { "name": "x".repeat(256) }, "connector_fields": "device" }),
            "`connector.name` is longer than 255 bytes after escaping",
        ),
        (
            json!({ "connector": { "comment": "=".repeat(512) } }),
            "`connector.comment` is longer than 1023 bytes after escaping",
        ),
        (
            json!({ "receiver": "rsyslog", "profile": "rsyslog" }),
            "`receiver` and `profile` cannot be combined",
        ),
        (json!({ "receiver": "generic" }), "option `receiver`"),
        (json!({ "transport": "syslog" }), "option `transport`"),
        (json!({ "rotate_bytes": 10 }), "option `rotate_bytes`"),
    ] {
        let error = open(Path::new("/tmp/out.cef"), options.clone()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config, "{options}");
        assert!(error.message.contains(words), "{options}: {error}");
    }
}

#[test]
fn wrong_values_are_found_without_opening_the_plugin() {
    scanbridge_plugin_contract::wrong_option_values_of_output::<ArcSightCef>(
        &[
            json!({ "path": "/nonexistent/a.cef" }),
            json!({ "transport": "udp", "address": ["127.0.0.1"] }),
            json!({ "transport": "tcp", "address": ["127.0.0.1"] }),
            json!({ "transport": "tls", "address": ["127.0.0.1"] }),
        ],
        &[
            ("path", "placeholders in a file name"),
            ("mode", "octal numbers are not an option kind"),
            ("syslog_severities", "exactly six items"),
            ("host_name", "a text of spaces"),
            ("source_address", "addresses of this machine"),
            ("app_name", "characters that RFC 5424 allows"),
            ("additional_fields", "names of columns"),
            ("device_vendor", "characters and length of a CEF header field"),
            ("device_product", "characters and length of a CEF header field"),
            ("device_version", "characters and length of a CEF header field"),
            ("tls_fingerprint", "digits of a fingerprint"),
        ],
    );
}
