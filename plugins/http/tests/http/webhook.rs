//! Preset `webhook`.

use scanbridge_doubles::http_destination::{HttpDestination, Lines};
use scanbridge_plugin_api::ErrorKind;
use serde_json::{Value, json};

use crate::case::{batch, deliver, open, rejected, send};

fn results(webhook: &HttpDestination<Lines>) -> Vec<String> {
    let result = |record: &Value| record["finding"]["result"].as_str().unwrap_or_default().to_owned();
    webhook.with(|lines| lines.received.iter().map(result).collect())
}

fn options(webhook: &HttpDestination<Lines>) -> Value {
    json!({ "preset": "webhook", "url": format!("{}/findings", webhook.url()) })
}

#[test]
fn records_arrive_in_order_with_their_ids_in_both_forms() {
    for (body, content_type) in [("ndjson", "application/x-ndjson"), ("array", "application/json")] {
        for compression in ["none", "gzip"] {
            let webhook = HttpDestination::start(Lines::default());
            let mut options = options(&webhook);
            options["body"] = body.into();
            options["compression"] = compression.into();
            options["batch_records"] = 2.into();
            let committed = send(&options, &["a", "b", "c"]).unwrap();
            assert_eq!(results(&webhook), ["a", "b", "c"], "{body} {compression}");
            let requests = webhook.requests();
            assert_eq!(requests.len(), 2);
            assert!(requests.iter().all(|request| request.header("content-type") == Some(content_type)));
            assert_eq!(requests[0].header("content-encoding").is_some(), compression == "gzip");
            assert!(requests[0].header("webhook-id").unwrap().starts_with("msg_"));
            assert!(requests[0].header("webhook-signature").is_none());
            let ids: Vec<String> = webhook.with(|lines| {
                lines.received.iter().map(|record| record["record_id"].as_str().unwrap().to_owned()).collect()
            });
            assert!(ids.iter().all(|id| id.len() == 32) && ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
            assert_eq!(committed.receipt.unwrap().0, br#"{"records":3}"#);
        }
    }
}

#[test]
fn equal_records_have_equal_ids_and_equal_requests_equal_message_ids() {
    let webhook = HttpDestination::start(Lines::default());
    for _ in 0..2 {
        send(&options(&webhook), &["a", "b"]).unwrap();
    }
    let ids: Vec<Value> =
        webhook.with(|lines| lines.received.iter().map(|record| record["record_id"].clone()).collect());
    assert_eq!(ids[..2], ids[2..]);
    let requests = webhook.requests();
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
}

#[test]
fn response_rejects_and_delays_single_records() {
    let webhook = HttpDestination::start(Lines { retry: Some("later"), ..Lines::default() });
    let committed = send(&options(&webhook), &["a", "REJECT", "later", "b"]).unwrap();
    assert_eq!(results(&webhook), ["a", "b", "later"]);
    let rejected = rejected(&committed);
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].0, 1);
    assert!(rejected[0].1.ends_with(": a value is not allowed"), "{rejected:?}");
}

#[test]
fn refused_request_is_halved_until_the_bad_record_is_alone() {
    let login = "Bearer s3cret-t0ken";
    let webhook = HttpDestination::start(Lines { refusal: 400, login: login.to_owned(), ..Lines::default() });
    let mut options = options(&webhook);
    options["token"] = "s3cret-t0ken".into();
    let mut output = open(&options).unwrap();
    let committed =
        deliver(&mut output, &[batch(&["0", "1", "2", "REJECT", "4"]), batch(&["5", "REJECT"])]).unwrap();
    assert_eq!(results(&webhook), ["0", "1", "2", "4", "5"]);
    let rows: Vec<u32> = rejected(&committed).into_iter().map(|(row, _)| row).collect();
    assert_eq!(rows, [3, 1]);
    let reason = &committed.late_rejected[0].1;
    assert!(reason.contains("HTTP 400") && reason.contains("a value is not allowed"), "{reason}");
    assert!(!reason.contains("s3cret"), "{reason}");
}

#[test]
fn three_refused_records_at_the_beginning_are_a_wrong_request() {
    let webhook = HttpDestination::start(Lines { refusal: 422, ..Lines::default() });
    let error = send(&options(&webhook), &["REJECT", "REJECT", "REJECT", "REJECT"]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    // After a delivered record, it is the records.
    let results = ["good", "REJECT", "REJECT", "REJECT", "REJECT"];
    assert_eq!(send(&options(&webhook), &results).unwrap().late_rejected.len(), 4);
}

#[test]
fn request_that_is_too_large_is_halved_and_stays_small() {
    let webhook = HttpDestination::start(Lines { max_records: 2, ..Lines::default() });
    let mut output = open(&options(&webhook)).unwrap();
    deliver(&mut output, &[batch(&["a", "b", "c", "d", "e"])]).unwrap();
    let first = webhook.requests().len();
    deliver(&mut output, &[batch(&["f", "g", "h", "i"])]).unwrap();
    assert_eq!(results(&webhook).concat(), "abcdefghi");
    assert_eq!(webhook.requests().len() - first, 2, "no request is refused again");
}

#[test]
fn wrong_login_is_not_repeated() {
    let webhook = HttpDestination::start(Lines { login: "Bearer right".to_owned(), ..Lines::default() });
    let mut options = options(&webhook);
    options["token"] = "wr0ng-token".into();
    let error = send(&options, &["a"]).unwrap_err();
    assert_eq!((error.kind, webhook.requests().len()), (ErrorKind::Auth, 1));
    assert!(!error.message.contains("wr0ng"), "{error}");
}

#[test]
fn basic_login_and_own_headers_are_sent() {
    let webhook = HttpDestination::start(Lines { login: "Basic dTpw".to_owned(), ..Lines::default() });
    let mut options = options(&webhook);
    options["username"] = "u".into();
    options["password"] = "p".into();
    options["headers"] = json!({ "X-Api-Key": "k1234", "Content-Type": "application/x-ndjson; v=2" });
    send(&options, &["a"]).unwrap();
    let request = &webhook.requests()[0];
    assert_eq!(request.header("x-api-key"), Some("k1234"));
    assert_eq!(request.header("content-type"), Some("application/x-ndjson; v=2"));
}

#[test]
fn undelivered_report_sends_nothing_more() {
    use scanbridge_plugin_api::batch::{Batch, Columns};
    use scanbridge_plugin_api::model::ReportEnd;
    use scanbridge_plugin_api::{Begin, CommitPoint, Output};

    let webhook = HttpDestination::start(Lines::default());
    let mut output = open(&options(&webhook)).unwrap();
    let (report, raw) = (crate::case::scan(), batch(&["a"]));
    output.begin(&report, Begin::NEW).unwrap();
    output.write(Batch::of(&raw, &Columns::of_report(&report)).unwrap()).unwrap();
    output.end(&ReportEnd::default()).unwrap();
    output.commit(CommitPoint::BetweenReports).unwrap();
    assert!(webhook.requests().is_empty());
}

#[test]
fn formats_have_their_content() {
    for (format, pointer, value) in [
        ("json", "/finding/result", json!("a")),
        ("ocsf", "/class_uid", json!(2002)),
        ("ecs", "/event/module", json!("scanbridge")),
    ] {
        let webhook = HttpDestination::start(Lines::default());
        let mut options = options(&webhook);
        options["format"] = format.into();
        send(&options, &["a"]).unwrap();
        webhook.with(|lines| assert_eq!(lines.received[0].pointer(pointer), Some(&value), "{format}"));
    }
    let webhook = HttpDestination::start(Lines::default());
    let mut options = options(&webhook);
    options["format"] = "cef".into();
    send(&options, &["a"]).unwrap();
    let event = webhook.with(|lines| lines.received[0]["cef"].as_str().unwrap().to_owned());
    assert!(event.starts_with("CEF:0|Qualys|Qualys|unknown|Qualys:VULN:1000|title 0|8|"), "{event}");
}
