//! Presets `splunk-hec` and `splunk-hec-raw`.

use scanbridge_doubles::http_destination::{HttpDestination, Splunk};
use scanbridge_plugin_api::{ErrorKind, Services};
use serde_json::{Value, json};

use crate::case::{FOUND_MS, batch, deliver, open_with, rejected, send};

fn start(splunk: Splunk) -> (HttpDestination<Splunk>, Value) {
    let server = HttpDestination::start(Splunk { token: "hec-t0ken".to_owned(), ..splunk });
    let options = json!({ "preset": "splunk-hec", "url": server.url(), "token": "hec-t0ken" });
    (server, options)
}

fn results(server: &HttpDestination<Splunk>) -> Vec<String> {
    let result = |event: &Value| event["event"]["finding"]["result"].as_str().unwrap_or_default().to_owned();
    server.with(|splunk| splunk.events.iter().map(result).collect())
}

#[test]
fn event_has_the_fields_of_the_collector() {
    let (server, mut options) = start(Splunk::default());
    options["index"] = "vuln".into();
    send(&options, &["a", "b"]).unwrap();
    let event = server.with(|splunk| splunk.events[0].clone());
    assert_eq!(event["time"].as_f64().unwrap() * 1000.0, FOUND_MS as f64);
    for (name, value) in [
        ("host", "192.0.2.1"),
        ("source", "scanbridge"),
        ("sourcetype", "scanbridge:finding"),
        ("index", "vuln"),
    ] {
        assert_eq!(event[name], value);
    }
    assert_eq!(event["fields"]["id"].as_str().unwrap().len(), 32);
    options["host_field"] = "dns".into();
    send(&options, &["c"]).unwrap();
    server.with(|splunk| assert_eq!(splunk.events[2]["host"], "www.example.com"));
}

#[test]
fn raw_lines_are_cef_events_with_a_channel() {
    let (server, mut options) = start(Splunk::default());
    options["preset"] = "splunk-hec-raw".into();
    send(&options, &["a", "b"]).unwrap();
    server.with(|splunk| {
        assert_eq!(splunk.events.len(), 2);
        assert!(splunk.events[1].as_str().unwrap().starts_with("CEF:0|Qualys|"));
    });
    let query = server.requests()[0].query.clone();
    assert!(query.starts_with("channel=") && query.contains("&sourcetype=cef"), "{query}");
}

#[test]
fn options_decide_what_is_in_an_event() {
    let (server, mut options) = start(Splunk::default());
    options["preset"] = "splunk-hec-raw".into();
    for (option, value) in [
        ("severity_style", Value::from("word")),
        ("class_id_separator", "pipe".into()),
        ("device_vendor", "Acme".into()),
        ("additional_fields", vec!["finding.severity"].into()),
        ("extra_fields", vec!["none"].into()),
    ] {
        options[option] = value;
    }
    send(&options, &["a"]).unwrap();
    let event = server.with(|splunk| splunk.events[0].as_str().unwrap().to_owned());
    assert!(event.starts_with("CEF:0|Acme|") && event.contains(r"|Qualys\|VULN\|1000|title 0|"), "{event}");
    assert!(event.contains("FindingSeverity=") && !event.contains("externalId="), "{event}");
}

#[test]
fn invalid_event_is_rejected_and_all_others_arrive() {
    for (keeps_earlier, counts_from_one) in [(false, false), (true, false), (false, true), (true, true)] {
        let (server, options) = start(Splunk { keeps_earlier, counts_from_one, ..Splunk::default() });
        let committed = send(&options, &["a", "b", "REJECT", "d", "e"]).unwrap();
        let rejected = rejected(&committed);
        assert_eq!(rejected.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [2]);
        assert!(rejected[0].1.contains("code 6"), "{rejected:?}");
        let arrived = results(&server);
        for result in ["a", "b", "d", "e"] {
            assert!(arrived.iter().any(|arrived| arrived == result), "{result} {arrived:?}");
        }
    }
}

#[test]
fn acknowledgement_of_the_indexer_is_awaited() {
    let (server, mut options) = start(Splunk { ack_delay: Some(2), ..Splunk::default() });
    options["ack"] = true.into();
    options["batch_records"] = 1.into();
    send(&options, &["a", "b"]).unwrap();
    let requests = server.requests();
    let acks = requests.iter().filter(|request| request.path.ends_with("/ack")).count();
    assert!((3..=4).contains(&acks), "{acks}");
    let channels: Vec<_> =
        requests.iter().map(|request| request.header("x-splunk-request-channel")).collect();
    assert!(channels.iter().all(|channel| channel.is_some() && *channel == channels[0]), "{channels:?}");
}

#[test]
fn acknowledgement_that_never_comes_is_unavailable() {
    let (_server, mut options) = start(Splunk { ack_delay: Some(usize::MAX), ..Splunk::default() });
    options["ack"] = true.into();
    options["ack_timeout"] = 1000.into();
    let error = send(&options, &["a"]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
}

#[test]
fn token_without_acknowledgements_is_a_wrong_setting() {
    let (_server, mut options) = start(Splunk::default());
    options["ack"] = true.into();
    let error = send(&options, &["a"]).unwrap_err();
    assert_eq!((error.kind, error.option.as_deref()), (ErrorKind::Config, Some("ack")));
}

#[test]
fn channel_stays_the_same_between_instances() {
    let (server, mut options) = start(Splunk::default());
    options["preset"] = "splunk-hec-raw".into();
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let services = Services::without_host(folder.path());
        deliver(&mut open_with(&options, &services).unwrap(), &[batch(&["a"])]).unwrap();
    }
    let requests = server.requests();
    assert_eq!(requests[0].query, requests[1].query);
}

#[test]
fn codes_decide_and_not_the_status() {
    for (status, code, kind) in [
        (403, 4, ErrorKind::Auth),
        (400, 7, ErrorKind::Config),
        (503, 9, ErrorKind::Unavailable),
        (429, 26, ErrorKind::Unavailable),
        (400, 21, ErrorKind::Auth),
    ] {
        let (_server, options) = start(Splunk { codes: vec![(status, code)], ..Splunk::default() });
        assert_eq!(send(&options, &["a"]).unwrap_err().kind, kind, "code {code}");
    }
}
