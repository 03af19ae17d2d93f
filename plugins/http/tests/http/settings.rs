//! Wrong settings, the README and the check.

use scanbridge_doubles::http_destination::{Bulk, HttpDestination, Lines, Splunk};
use scanbridge_http::Http;
use scanbridge_plugin_api::{ErrorKind, Open, OpenFrame, Options, Output, Purpose, Services, Verdict};
use serde_json::{Value, json};

use crate::case::open;

#[test]
fn wrong_settings_name_the_option() {
    let splunk = json!({ "preset": "splunk-hec", "url": "https://h:8088", "token": "t" });
    let sentinel = json!({
        "preset": "sentinel", "url": "https://h", "oauth_token_url": "https://h/t", "oauth_client_id": "a",
        "oauth_client_secret": "b", "dcr": "dcr-1", "stream": "Custom-A_CL",
    });
    let secops =
        json!({ "preset": "google-secops", "project": "p", "region": "eu", "instance": "i", "token": "t" });
    for (base, option, value) in [
        (&splunk, "url", Value::Null),
        (&splunk, "url", json!("http://splunk.example.com:8088")),
        (&splunk, "token", Value::Null),
        (&splunk, "token", json!("a\nb")),
        (&sentinel, "format", json!("ecs")),
        (&sentinel, "stream", json!("Microsoft-CommonSecurityLog")),
        (&sentinel, "oauth_token_url", json!("http://h/t")),
        (&secops, "log_type", Value::Null),
    ] {
        let mut options = base.clone();
        options[option] = value.clone();
        if option == "log_type" {
            options["format"] = "json".into();
        }
        let options = without_nulls(options);
        let error = open(&options).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config, "{option} {value}: {error}");
        assert_eq!(error.option.as_deref(), Some(option), "{error}");
        open(&without_nulls(base.clone())).unwrap();
    }
}

/// Options for CEF events need the format `cef`, which may be the default of the preset.
#[test]
fn option_without_its_format_is_refused_by_name() {
    let splunk = json!({ "preset": "splunk-hec", "url": "https://h:8088", "token": "t" });
    let dojo = json!({ "preset": "defectdojo", "url": "https://h", "token": "t", "product_name": "p" });
    for (base, format, option, value, message) in [
        (&splunk, Value::Null, "severity_style", json!("word"), "no record has the format `cef`"),
        (
            &splunk,
            json!("ecs"),
            "additional_fields",
            json!(["asset.owner"]),
            "no record has the format `cef`",
        ),
        (&splunk, json!("cef"), "leave_out", json!(["asset.owner"]), "no record has the format `json`"),
        (&dojo, Value::Null, "severity_style", json!("word"), "with `preset: defectdojo`"),
        (&dojo, Value::Null, "leave_out", json!(["asset.owner"]), "with `preset: defectdojo`"),
    ] {
        let mut options = base.clone();
        options["format"] = format;
        options[option] = value;
        let error = open(&without_nulls(options)).unwrap_err();
        assert_eq!((error.kind, error.option.as_deref()), (ErrorKind::Config, Some(option)), "{error}");
        assert!(error.message.starts_with(&format!("option `{option}` has no effect")), "{error}");
        assert!(error.message.contains(message) && error.hint.is_some(), "{error}");
    }
    let mut raw = splunk.clone();
    raw["preset"] = "splunk-hec-raw".into();
    raw["severity_style"] = "word".into();
    open(&raw).unwrap();
    for absent in ["derive", "asset_events", "aggregate", "order", "assets"] {
        assert!(Http::OPTIONS.iter().all(|option| option.name != absent), "{absent}");
    }
}

fn without_nulls(options: Value) -> Value {
    let Value::Object(mut options) = options else { return options };
    options.retain(|_, value| !value.is_null());
    Value::Object(options)
}

fn check(options: &Value, purpose: Purpose) -> Vec<(String, Verdict, String)> {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::read(Http::OPTIONS, options.to_string().as_bytes()).unwrap();
    let mut frame = OpenFrame::default();
    frame.purpose = purpose;
    let services = Services::without_host(folder.path());
    let mut output = Http::open(&Open::new(&options, &services, &frame), None).unwrap().plugin;
    let report = output.check().unwrap();
    report.steps.into_iter().map(|step| (step.name, step.verdict, step.detail)).collect()
}

#[test]
fn probe_sends_no_record_and_tells_what_is_wrong() {
    let webhook = HttpDestination::start(Lines::default());
    let options = json!({ "preset": "webhook", "url": webhook.url() });
    assert!(check(&options, Purpose::Check).is_empty() && webhook.requests().is_empty());
    assert_eq!(check(&options, Purpose::Probe)[0].1, Verdict::Ok);

    let splunk = HttpDestination::start(Splunk { token: "right".to_owned(), ..Splunk::default() });
    let options = |token: &str| json!({ "preset": "splunk-hec", "url": splunk.url(), "token": token });
    let verdicts = |token: &str| -> Vec<Verdict> {
        check(&options(token), Purpose::Probe).into_iter().map(|(_, verdict, _)| verdict).collect()
    };
    assert_eq!(verdicts("right"), [Verdict::Ok, Verdict::Ok, Verdict::Ok]);
    assert_eq!(verdicts("wrong"), [Verdict::Ok, Verdict::Ok, Verdict::Failed]);
    splunk.with(|splunk| assert!(splunk.events.is_empty()));

    let cluster = HttpDestination::start(Bulk::default());
    let steps = check(&json!({ "preset": "elasticsearch", "url": cluster.url() }), Purpose::Probe);
    assert_eq!(steps[0].2.split(" at ").next(), Some("double 9.9.9"));
    assert_eq!(steps[1].1, Verdict::Warning, "{steps:?}");
}

#[test]
fn damaged_receipt_is_a_wrong_setting() {
    let folder = tempfile::tempdir().unwrap();
    let options = json!({ "preset": "webhook", "url": "https://h" }).to_string();
    let options = Options::read(Http::OPTIONS, options.as_bytes()).unwrap();
    let (services, frame) = (Services::without_host(folder.path()), OpenFrame::default());
    for text in ["", "{", "{}", r#"{"records":-1}"#] {
        let receipt = scanbridge_plugin_api::Receipt(text.as_bytes().to_vec());
        let error = Http::open(&Open::new(&options, &services, &frame), Some(&receipt)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.hint.is_some());
    }
}
