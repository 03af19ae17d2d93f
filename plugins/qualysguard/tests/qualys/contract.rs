//! The plugin contract, cancellation, and the sample settings of the 2014 guide.

use std::time::{Duration, Instant};

use scanbridge_doubles::fake_qualys::{Population, Reply, Script};
use scanbridge_fixtures::good;
use scanbridge_plugin_api::abi::{InputHandle, input_table};
use scanbridge_plugin_api::{ErrorKind, Input, Options};
use scanbridge_plugin_contract::ExamHost;
use scanbridge_qualysguard::QualysGuard;
use serde_json::json;

use crate::drive::Bench;
use crate::template_reports::template_report;

#[test]
fn input_contract() {
    let detections = Bench::new(Script::new().population(Population::of(12)))
        .with(json!({ "source": "host-detections", "page_size": 5 }));
    scanbridge_plugin_contract::input::<QualysGuard>(&detections.options);
    let scans = Bench::new(crate::scan_reports::some_scans())
        .with(json!({ "source": "scan-reports", "template_id": null }));
    scanbridge_plugin_contract::input::<QualysGuard>(&scans.options);
    // Pages with warnings.
    let page = std::fs::read(good("detections.xml")).unwrap();
    let knowledge_base = std::fs::read(good("knowledge-base.xml")).unwrap();
    let script = Script::new().on("/api/5.0/fo/asset/host/vm/detection/", [Reply::xml(page)]);
    let notes = Bench::new(script.on("/api/4.0/fo/knowledge_base/vuln/", [Reply::xml(knowledge_base)]))
        .with(json!({ "source": "host-detections" }));
    scanbridge_plugin_contract::input::<QualysGuard>(&notes.options);
    let report =
        Bench::new(Script::new().on("", [Reply::xml(template_report())])).with(json!({ "report_id": 5 }));
    scanbridge_plugin_contract::input::<QualysGuard>(&report.options);
}

#[test]
fn cancellation_ends_a_wait_at_once() {
    let slow = Reply::xml(template_report()).delay(Duration::from_secs(20));
    let limit = Reply::code_with(409, 1965, "Too many calls", &[("SECONDS_TO_WAIT", "600")]);
    let slow_body = Reply::xml(template_report()).in_pieces(10, Duration::from_millis(100));
    for reply in [slow, limit, slow_body] {
        let bench = Bench::new(Script::new().on("", [reply]))
            .with(json!({ "report_id": 5, "read_timeout_secs": 60 }));
        let host = ExamHost::new();
        let frame = scanbridge_plugin_contract::frame(&bench.options, &bench.state());
        let opened = InputHandle::open(input_table::<QualysGuard>(), &frame, None, host.table());
        let mut input = opened.unwrap();
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500));
            host.cancel();
            Instant::now()
        });
        let error = input.next(Default::default()).unwrap_err();
        let ended = Instant::now();
        let cancelled = stopper.join().unwrap();
        assert_eq!(error.kind, ErrorKind::Cancelled, "{error}");
        assert!(ended.duration_since(cancelled) < Duration::from_secs(2));
    }
}

#[test]
fn sample_settings_of_the_2014_guide_are_accepted() {
    // As the host reads them: trailing spaces are removed, lists are split at commas.
    let options = json!({
        "user_id": "dirk_g",
        "password": "d0ntp@n1c",
        "template_id": ["424242"],
        "add_host": true,
        "ip_ranges": ["192.168.1.0/24", "10.1.2.3-10.1.2.10", "42.4.2.1"],
        "proxy": "https://192.168.1.100:443",
        "proxy_username": "zaphod",
        "proxy_password": "t0w3L",
    });
    let options = Options::read(QualysGuard::OPTIONS, options.to_string().as_bytes()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let services = scanbridge_plugin_api::Services::without_host(folder.path());
    let frame = scanbridge_plugin_api::OpenFrame::default();
    let open = scanbridge_plugin_api::Open::new(&options, &services, &frame);
    QualysGuard::open(&open, None).unwrap();
    assert_eq!(options.url("url").unwrap().unwrap().to_string(), "https://qualysapi.qualys.com");
}

#[test]
fn wrong_values_are_found_without_opening_the_plugin() {
    let account = |more: serde_json::Value| {
        let mut options = json!({ "user_id": "acme_ab1", "password": "x" });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options
    };
    scanbridge_plugin_contract::wrong_option_values_of_input::<QualysGuard>(
        &[
            account(json!({ "template_id": ["1"] })),
            account(json!({ "source": "host-detections", "proxy": "http://127.0.0.1:3128" })),
            account(
                json!({ "source": "scan-reports", "proxy": "http://127.0.0.1:3128", "proxy_username": "u" }),
            ),
        ],
        &[
            ("user_id", "no colon"),
            ("template_id", "IDs and URLs of templates; whether one is needed depends on three options"),
            ("url", "host names that international rules refuse"),
            ("gateway_url", "host names that international rules refuse"),
            ("scan_report_list_url", "host names that international rules refuse"),
            ("scan_report_url", "host names that international rules refuse"),
            ("ip_ranges", "address ranges are not an option kind"),
            ("scans_since", "dates are not an option kind"),
            ("detections_version", "version numbers are not an option kind"),
            ("knowledge_base_version", "version numbers are not an option kind"),
            ("report_version", "version numbers are not an option kind"),
            ("source_address", "addresses of this machine"),
            ("tls_fingerprint", "digits of a fingerprint"),
        ],
    );
}
