//! Preset `sentinel`.

use scanbridge_doubles::http_destination::{HttpDestination, Sentinel, Tokens};
use scanbridge_plugin_api::ErrorKind;
use serde_json::{Value, json};

use crate::case::{FOUND, batch, deliver, open, rejected, send};

fn start(life: u64) -> (HttpDestination<Sentinel>, Value) {
    let required = [
        "grant_type=client_credentials",
        "client_id=app",
        "client_secret=cl1ent-s3cret",
        "scope=https%3A%2F%2Fmonitor.azure.com%2F.default",
    ];
    let required = required.map(str::to_owned).to_vec();
    let tokens = Tokens { required, life, ..Tokens::default() };
    let server = HttpDestination::start(Sentinel { tokens, ..Sentinel::default() });
    let options = json!({
        "preset": "sentinel",
        "url": server.url(),
        "oauth_token_url": format!("{}/token", server.url()),
        "oauth_client_id": "app",
        "oauth_client_secret": "cl1ent-s3cret",
        "dcr": "dcr-0123",
        "stream": "Custom-Findings_CL",
    });
    (server, options)
}

#[test]
fn rows_have_time_id_and_our_columns() {
    let (server, options) = start(3600);
    send(&options, &["a", "b"]).unwrap();
    let (stream, row) = server.with(|sentinel| sentinel.rows[0].clone());
    assert_eq!(stream, "Custom-Findings_CL");
    assert_eq!(row["TimeGenerated"], FOUND.replace('Z', ".000Z"));
    assert_eq!(row["RecordId"].as_str().unwrap().len(), 32);
    assert_eq!(row["finding"]["result"], "a");
    let requests = server.requests();
    assert!(requests.last().unwrap().header("x-ms-client-request-id").is_some_and(|id| id.len() == 36));
    server.with(|sentinel| assert_eq!(sentinel.tokens.given, 1, "one token for all requests"));
}

#[test]
fn events_fill_the_columns_of_the_security_log() {
    let (server, mut options) = start(3600);
    options["format"] = "cef".into();
    options["stream"] = "Microsoft-CommonSecurityLog".into();
    send(&options, &["a=b|c"]).unwrap();
    let (_, row) = server.with(|sentinel| sentinel.rows[0].clone());
    for (column, value) in [
        ("DeviceVendor", "Qualys"),
        ("DeviceEventClassID", "Qualys:VULN:1000"),
        ("Activity", "title 0"),
        ("DestinationIP", "192.0.2.1"),
        ("DeviceCustomString1", "a=b|c"),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
    assert!(row["AdditionalExtensions"].as_str().unwrap().starts_with("RecordId="));
}

#[test]
fn long_value_is_truncated_and_named() {
    let (server, options) = start(3600);
    let long = "x".repeat(100_000);
    send(&options, &[&long]).unwrap();
    let (_, row) = server.with(|sentinel| sentinel.rows[0].clone());
    assert!(row["finding"].to_string().len() <= 60 << 10);
    assert_eq!(row["ScanbridgeTruncated"], "finding.result");
}

#[test]
fn expired_token_is_replaced_and_a_lost_one_once() {
    let (server, options) = start(1);
    let mut output = open(&options).unwrap();
    deliver(&mut output, &[batch(&["a"])]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(600));
    deliver(&mut output, &[batch(&["b"])]).unwrap();
    server.with(|sentinel| assert_eq!(sentinel.tokens.given, 2));

    let (server, options) = start(3600);
    let mut output = open(&options).unwrap();
    deliver(&mut output, &[batch(&["a"])]).unwrap();
    // The server forgets the token.
    server.with(|sentinel| sentinel.tokens.given += 1);
    deliver(&mut output, &[batch(&["b"])]).unwrap();
    server.with(|sentinel| assert_eq!((sentinel.tokens.given, sentinel.rows.len()), (3, 2)));
}

#[test]
fn life_of_a_token_does_not_depend_on_clocks() {
    let (server, options) = start(3600);
    server.with(|sentinel| sentinel.tokens.date = "Wed, 01 Jan 2020 00:00:00 GMT");
    let mut output = open(&options).unwrap();
    deliver(&mut output, &[batch(&["a"])]).unwrap();
    deliver(&mut output, &[batch(&["b"])]).unwrap();
    server.with(|sentinel| assert_eq!((sentinel.tokens.given, sentinel.rows.len()), (1, 2)));
}

#[test]
fn wrong_client_secret_is_not_repeated_and_not_shown() {
    let (server, mut options) = start(3600);
    options["oauth_client_secret"] = "an0ther-s3cret".into();
    let error = send(&options, &["a"]).unwrap_err();
    assert_eq!((error.kind, server.requests().len()), (ErrorKind::Auth, 1));
    assert!(!error.message.contains("s3cret"), "{error}");
}

#[test]
fn invalid_row_is_found_by_halving() {
    let (server, options) = start(3600);
    let committed = send(&options, &["a", "b", "REJECT", "d"]).unwrap();
    let rejected = rejected(&committed);
    assert_eq!(rejected[0].0, 2);
    assert!(rejected[0].1.contains("HTTP 400 (InvalidRow)"), "{rejected:?}");
    server.with(|sentinel| assert_eq!(sentinel.rows.len(), 3));
}

#[test]
fn requests_stay_below_the_limit() {
    let (server, options) = start(3600);
    let results: Vec<String> = (0..60).map(|number| format!("{number}{}", "x".repeat(40_000))).collect();
    let results: Vec<&str> = results.iter().map(String::as_str).collect();
    send(&options, &results).unwrap();
    server.with(|sentinel| assert_eq!(sentinel.rows.len(), 60));
    let largest = server.requests().iter().map(|request| request.body.len()).max().unwrap();
    assert!(largest > 700_000 && largest <= 900 << 10, "{largest}");
}
