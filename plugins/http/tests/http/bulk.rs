//! Presets `elasticsearch` and `opensearch`.

use scanbridge_doubles::http_destination::{Bulk, HttpDestination};
use scanbridge_plugin_api::ErrorKind;
use serde_json::{Value, json};

use crate::case::{FOUND, rejected, send};

fn options(cluster: &HttpDestination<Bulk>) -> Value {
    json!({ "preset": "elasticsearch", "url": cluster.url(), "token": "key" })
}

#[test]
fn documents_are_created_once_with_their_ids() {
    let cluster = HttpDestination::start(Bulk::default());
    for _ in 0..2 {
        send(&options(&cluster), &["a", "b", "c"]).unwrap();
    }
    cluster.with(|bulk| {
        assert_eq!((bulk.documents.len(), bulk.written.len()), (3, 3));
        assert!(bulk.documents.values().all(|document| document["@timestamp"] == FOUND));
    });
    let request = &cluster.requests()[0];
    assert_eq!(request.header("authorization"), Some("ApiKey key"));
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert!(request.query.contains("filter_path=errors,items.*.status"), "{}", request.query);
    assert!(request.text().starts_with(r#"{"create":{"_index":"logs-scanbridge.finding-default","_id":""#));
}

#[test]
fn index_keeps_the_newest_state_of_a_finding() {
    let cluster = HttpDestination::start(Bulk::default());
    let mut options = options(&cluster);
    options["preset"] = "opensearch".into();
    options["index"] = "findings".into();
    options["record_id"] = "finding".into();
    options["format"] = "json".into();
    options["pipeline"] = "enrich".into();
    for result in ["old", "new"] {
        send(&options, &[result]).unwrap();
    }
    cluster.with(|bulk| {
        assert_eq!((bulk.documents.len(), bulk.written.len()), (1, 2));
        let document = bulk.documents.values().next().unwrap();
        assert_eq!(document["finding"]["result"], "new");
    });
    let request = &cluster.requests()[0];
    assert_eq!(request.header("authorization"), Some("Bearer key"));
    assert!(
        request.query.ends_with("&pipeline=enrich")
            && request.text().contains(r#"{"index":{"_index":"findings""#)
    );
}

#[test]
fn refused_document_is_rejected_with_its_reason_and_busy_ones_are_sent_again() {
    let cluster = HttpDestination::start(Bulk { busy_items: 1, ..Bulk::default() });
    let committed = send(&options(&cluster), &["a", "REJECT", "c"]).unwrap();
    let expected = (1, "document_parsing_exception: failed to parse field [x]".to_owned());
    assert_eq!(rejected(&committed), [expected]);
    cluster.with(|bulk| assert_eq!(bulk.written.len(), 2));
}

#[test]
fn cluster_that_stays_busy_is_unavailable() {
    let cluster = HttpDestination::start(Bulk { busy_items: 100, ..Bulk::default() });
    let error = send(&options(&cluster), &["a"]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("queue is full"), "{error}");
}

#[test]
fn missing_result_is_a_broken_protocol() {
    let cluster = HttpDestination::start(Bulk { missing_items: 1, ..Bulk::default() });
    let error = send(&options(&cluster), &["a", "b"]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
}

#[test]
fn body_that_is_too_large_is_sent_in_smaller_ones() {
    let cluster = HttpDestination::start(Bulk { max_bytes: 4096, ..Bulk::default() });
    let results: Vec<String> = (0..10).map(|number| format!("{number}{}", "x".repeat(500))).collect();
    let results: Vec<&str> = results.iter().map(String::as_str).collect();
    send(&options(&cluster), &results).unwrap();
    cluster.with(|bulk| assert_eq!(bulk.documents.len(), 10));
}
