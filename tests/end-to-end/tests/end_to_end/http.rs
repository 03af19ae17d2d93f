//! Output `HTTP` through the built host: each destination gets each finding, with nothing secret left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use scanbridge_doubles::http_destination::{
    Bulk, DefectDojo, Destination, HttpDestination, Lines, Request, Rude, SecOps, Sentinel, Splunk, Tokens,
};
use serde_json::Value;

use crate::installation::project_file;
use crate::sandbox::{Outcome, Sandbox, pipeline};

/// The secrets of all pipelines here, and the tokens that the token servers give.
const SECRETS: [&str; 7] = [
    "hec-t0ken-7f",
    "cl1ent-s3cret-7f",
    "ap1-key-7f",
    "pa55word-7f",
    "header-s3cret-7f",
    "t0ken-1",
    "d0jo-key-7f",
];

/// Fake destinations with the logins of [`SECRETS`].
pub(crate) fn splunk() -> Splunk {
    Splunk { token: SECRETS[0].to_owned(), ..Splunk::default() }
}

pub(crate) fn sentinel() -> Sentinel {
    let required = vec![format!("client_secret={}", SECRETS[1])];
    Sentinel { tokens: Tokens { required, life: 3600, ..Tokens::default() }, ..Sentinel::default() }
}

pub(crate) fn webhook() -> Lines {
    // `u` and the password, in Base64.
    Lines { login: "Basic dTpwYTU1d29yZC03Zg==".to_owned(), ..Lines::default() }
}

pub(crate) fn secops() -> SecOps {
    SecOps { tokens: Tokens { life: 3600, ..Tokens::default() }, ..SecOps::default() }
}

pub(crate) fn defectdojo() -> DefectDojo {
    DefectDojo { token: SECRETS[6].to_owned(), ..DefectDojo::default() }
}

/// The options for each of them.
pub(crate) fn splunk_options(url: &str) -> String {
    format!("preset: splunk-hec, url: {url:?}, token: {}", SECRETS[0])
}

pub(crate) fn sentinel_options(url: &str) -> String {
    format!(
        "preset: sentinel, url: {url:?}, oauth_token_url: \"{url}/token\", oauth_client_id: app, \
         oauth_client_secret: {}, dcr: dcr-1, stream: Custom-Findings_CL",
        SECRETS[1]
    )
}

pub(crate) fn bulk_options(url: &str) -> String {
    format!("preset: elasticsearch, url: {url:?}, token: {}", SECRETS[2])
}

pub(crate) fn defectdojo_options(url: &str) -> String {
    format!("preset: defectdojo, url: {url:?}, token: {}, product_name: Network", SECRETS[6])
}

pub(crate) fn webhook_options(url: &str) -> String {
    format!(
        "preset: webhook, url: {url:?}, username: u, password: {}, headers: {{ X-Key: {} }}",
        SECRETS[3], SECRETS[4]
    )
}

/// The options for Google SecOps, with a new service account in `folder`. `None` without OpenSSL; CI has it.
#[expect(clippy::print_stderr, reason = "says why the test was skipped")]
pub(crate) fn secops_options(url: &str, folder: &Path) -> Option<String> {
    let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let key = match Command::new("openssl").args(arguments).output() {
        Ok(output) => String::from_utf8(output.stdout).unwrap(),
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "openssl: {error}");
            eprintln!("skipped: openssl is not installed");
            return None;
        }
    };
    let file = folder.join("account.json");
    let token_url = format!("{url}/token");
    let account = serde_json::json!({ "client_email": "a@b", "private_key": key, "token_uri": token_url });
    fs::write(&file, account.to_string()).unwrap();
    Some(format!(
        "preset: google-secops, url: {url:?}, service_account_file: {file:?}, project: p, region: eu, instance: i"
    ))
}

/// The summary of one delivery of the example report, in which one title may be another one.
fn deliver(sandbox: &Sandbox, options: &str, title: Option<&str>, code: i32) -> Outcome {
    let report = fs::read_to_string(project_file("examples/reports/scan.xml")).unwrap();
    let title = title.unwrap_or("Readable SNMP community");
    sandbox.write("scan.xml", report.replace("Readable SNMP community", title));
    let output = format!("{{ id: dest, plugin: HTTP, with: {{ {options} }} }}");
    sandbox.write("pipeline.yaml", pipeline("path: scan.xml, settle_secs: 0", &[&output]));
    let arguments =
        ["run", "pipeline.yaml", "--summary", "json", "--no-progress", "--state-dir", "state", "-vv"];
    Outcome::of(sandbox.host(&arguments).output().unwrap()).expect_code(code)
}

/// All findings of the example report.
const FINDINGS: usize = 16;

/// No secret is in any file but the pipeline, or in what was printed.
fn assert_nothing_secret(sandbox: &Sandbox, outcome: &Outcome) {
    let base64 = "dTpwYTU1d29yZC03Zg==";
    let found = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        SECRETS.iter().chain([&base64]).find(|secret| text.contains(**secret)).copied()
    };
    for text in [&outcome.stdout, &outcome.stderr] {
        assert_eq!(found(text.as_bytes()), None, "{text}");
    }
    let mut folders = vec![sandbox.path("")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("pipeline.yaml") && !path.ends_with("account.json") {
                files += 1;
                assert_eq!(found(&fs::read(&path).unwrap()), None, "{}", path.display());
            }
        }
    }
    assert!(files > 1, "the state directory was looked at");
}

#[track_caller]
fn assert_delivered(outcome: &Outcome, records: usize) {
    let summary = outcome.summary();
    assert_eq!(summary["outputs"][0]["records"], records, "{summary:#}");
}

#[test]
fn webhook_gets_all_findings_and_names_a_rejected_one() {
    let sandbox = Sandbox::new();
    let server = HttpDestination::start(webhook());
    let outcome = deliver(&sandbox, &webhook_options(&server.url()), Some("REJECT"), 65);
    assert_delivered(&outcome, FINDINGS - 1);
    server.with(|lines| assert_eq!(lines.received.len(), FINDINGS - 1));
    assert!(server.requests().iter().all(|request| request.header("x-key") == Some(SECRETS[4])));
    let arguments = ["dead-letters", "list", "pipeline.yaml", "--state-dir", "state"];
    let listed = Outcome::of(sandbox.host(&arguments).output().unwrap()).expect_code(0);
    assert!(listed.stdout.contains("a value is not allowed"), "{}", listed.stdout);
    assert_nothing_secret(&sandbox, &outcome);
}

#[test]
fn refused_request_leaves_no_secret_in_its_dead_letter() {
    let sandbox = Sandbox::new();
    // The server repeats the login in its response.
    let server = HttpDestination::start(Lines { refusal: 400, ..webhook() });
    let outcome = deliver(&sandbox, &webhook_options(&server.url()), Some("REJECT"), 65);
    server.with(|lines| assert_eq!(lines.received.len(), FINDINGS - 1));
    assert_nothing_secret(&sandbox, &outcome);
}

#[test]
fn elasticsearch_gets_each_finding_once_also_in_a_second_run() {
    let sandbox = Sandbox::new();
    let server = HttpDestination::start(Bulk::default());
    for _ in 0..2 {
        let outcome = deliver(&sandbox, &bulk_options(&server.url()), None, 0);
        assert_delivered(&outcome, FINDINGS);
        assert_nothing_secret(&sandbox, &outcome);
    }
    server.with(|bulk| assert_eq!((bulk.documents.len(), bulk.written.len()), (FINDINGS, FINDINGS)));
}

#[test]
fn splunk_gets_all_findings_with_acknowledgements() {
    let sandbox = Sandbox::new();
    let server = HttpDestination::start(Splunk { ack_delay: Some(1), ..splunk() });
    let options = format!("{}, ack: yes", splunk_options(&server.url()));
    let outcome = deliver(&sandbox, &options, Some("REJECT"), 65);
    assert_delivered(&outcome, FINDINGS - 1);
    let ids: BTreeSet<String> =
        server.with(|splunk| splunk.events.iter().map(|event| event["fields"]["id"].to_string()).collect());
    assert_eq!(ids.len(), FINDINGS - 1);
    assert_nothing_secret(&sandbox, &outcome);
}

#[test]
fn sentinel_gets_all_findings_with_a_token() {
    let sandbox = Sandbox::new();
    let server = HttpDestination::start(sentinel());
    let outcome = deliver(&sandbox, &sentinel_options(&server.url()), Some("REJECT"), 65);
    assert_delivered(&outcome, FINDINGS - 1);
    server.with(|sentinel| assert_eq!((sentinel.rows.len(), sentinel.tokens.given), (FINDINGS - 1, 1)));
    assert_nothing_secret(&sandbox, &outcome);
}

#[test]
fn events_for_sentinel_are_as_the_options_of_cef_say() {
    let sandbox = Sandbox::new();
    let server = HttpDestination::start(sentinel());
    let of_cef =
        "severity_style: word, device_vendor: Acme, additional_fields: [report.id, finding.severity]";
    let options = sentinel_options(&server.url())
        .replace("Custom-Findings_CL", "Microsoft-CommonSecurityLog, format: cef, ")
        + of_cef;
    assert_delivered(&deliver(&sandbox, &options, None, 0), FINDINGS);
    server.with(|sentinel| {
        for (_, row) in &sentinel.rows {
            assert_eq!(row["DeviceVendor"], "Acme");
            assert!(["Low", "Medium", "High", "Very-High"].contains(&row["LogSeverity"].as_str().unwrap()));
            let additional = row["AdditionalExtensions"].as_str().unwrap();
            assert!(
                additional.contains("ReportId=") && additional.contains("FindingSeverity="),
                "{additional}"
            );
        }
    });
    let rows = sentinel_options(&server.url()) + ", " + of_cef;
    let refused = deliver(&sandbox, &rows, None, 78);
    let text = refused.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("has no effect: no record has the format `cef`"), "{text}");
    assert!(text.contains("remove it, or set the format `cef`"), "{text}");
}

#[test]
fn google_secops_gets_all_findings_with_a_signed_assertion() {
    let sandbox = Sandbox::new();
    let server = HttpDestination::start(secops());
    let Some(options) = secops_options(&server.url(), &sandbox.path("")) else { return };
    let outcome = deliver(&sandbox, &options, None, 0);
    assert_delivered(&outcome, FINDINGS);
    server.with(|secops| assert_eq!(secops.logs.len(), FINDINGS));
    assert_nothing_secret(&sandbox, &outcome);
}

#[test]
fn rude_server_gets_all_findings_in_the_end() {
    let sandbox = Sandbox::new();
    let server = HttpDestination::start(Bulk::default());
    server.be_rude([
        Rude::Reset(0),
        Rude::Reset(100),
        Rude::Silent,
        Rude::Torn,
        Rude::Status(503, Some("0")),
        Rude::Status(429, None),
        Rude::Slow,
    ]);
    let options = format!("{}, batch_records: 8", bulk_options(&server.url()));
    let output = format!(
        "{{ id: dest, plugin: HTTP, retry: {{ initial_secs: 1, max_secs: 1 }}, with: {{ {options} }} }}"
    );
    let report = project_file("examples/reports/scan.xml");
    let outcome =
        sandbox.run(&pipeline(&format!("path: {report:?}, settle_secs: 0"), &[&output])).expect_code(0);
    assert_delivered(&outcome, FINDINGS);
    server.with(|bulk| assert_eq!((bulk.documents.len(), bulk.written.len()), (FINDINGS, FINDINGS)));
}

#[test]
fn defectdojo_gets_a_whole_report_and_a_refused_finding_sets_the_exit_code() {
    let sandbox = Sandbox::new();
    let server = HttpDestination::start(defectdojo());
    let options = defectdojo_options(&server.url());
    let outcome = deliver(&sandbox, &options, None, 0);
    assert_delivered(&outcome, FINDINGS);
    assert_nothing_secret(&sandbox, &outcome);
    server.with(|dojo| assert_eq!(dojo.active().len(), FINDINGS));
    assert_eq!(server.requests().len(), 1);
    assert_form_is_read_by_python(&sandbox, &server.requests()[0]);

    let outcome = deliver(&sandbox, &options, Some("REJECT"), 65);
    let said = "1 findings were refused by DefectDojo";
    assert!(
        outcome.stderr.contains(said) && outcome.stderr.contains("defectdojo-refused.ndjson"),
        "{}",
        outcome.stderr
    );
    assert_nothing_secret(&sandbox, &outcome);
    server.with(|dojo| assert_eq!(dojo.active().len(), FINDINGS, "nothing is closed"));
    let arguments = ["check", "pipeline.yaml", "--probe", "--state-dir", "state"];
    let checked = Outcome::of(sandbox.host(&arguments).output().unwrap()).expect_code(0);
    assert!(checked.stdout.contains("unique_id_from_tool"), "{}", checked.stdout);
}

/// Python's own parser of multipart bodies, which knows nothing of ours.
#[expect(clippy::print_stderr, reason = "says why the test was skipped")]
fn assert_form_is_read_by_python(sandbox: &Sandbox, request: &Request) {
    let mut message =
        format!("Content-Type: {}\r\n\r\n", request.header("content-type").unwrap()).into_bytes();
    message.extend_from_slice(&request.body);
    sandbox.write("form", &message);
    let script = "import email, email.policy, json
form = email.message_from_binary_file(open('form', 'rb'), policy=email.policy.HTTP)
assert form.is_multipart() and not form.defects, form.defects
parts = {part.get_param('name', header='content-disposition'): part for part in form.iter_parts()}
assert not any(part.defects for part in parts.values())
findings = json.loads(parts['file'].get_payload(decode=True))['findings']
print(json.dumps([len(findings), parts['file'].get_filename(), parts['product_name'].get_payload().strip()]))";
    let python = match Command::new("python3").current_dir(sandbox.path("")).args(["-c", script]).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "python3: {error}");
            return eprintln!("skipped: python3 is not installed");
        }
    };
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let read: Value = serde_json::from_slice(&python.stdout).unwrap();
    assert_eq!(read, serde_json::json!([FINDINGS, "findings.json", "Network"]));
}

#[test]
fn wrong_answers_end_the_run_with_their_exit_codes() {
    for (fault, code) in [
        (Rude::Page, 76),
        (Rude::Noise, 76),
        (Rude::Redirect, 78),
        (Rude::Status(401, None), 77),
        (Rude::Status(403, None), 77),
        (Rude::Status(404, None), 78),
    ] {
        let sandbox = Sandbox::new();
        let server = HttpDestination::start(Bulk::default());
        server.be_rude([fault]);
        let outcome = deliver(&sandbox, &bulk_options(&server.url()), None, code);
        server.with(|bulk| assert!(bulk.documents.is_empty(), "{fault:?}"));
        assert_nothing_secret(&sandbox, &outcome);
    }
}

#[test]
fn check_and_preview_send_nothing() {
    fn requests<D: Destination>(server: &HttpDestination<D>) -> usize {
        server.requests().iter().filter(|request| !request.body.is_empty()).count()
    }
    let sandbox = Sandbox::new();
    let server = HttpDestination::start(webhook());
    deliver(&sandbox, &webhook_options(&server.url()), None, 0);
    let sent = requests(&server);
    let host = |arguments: &[&str]| Outcome::of(sandbox.host(arguments).output().unwrap()).expect_code(0);
    let shown = host(&["preview", "pipeline.yaml", "--state-dir", "state"]);
    assert!(shown.stdout.contains("record_id"), "{}", shown.stdout);
    host(&["check", "pipeline.yaml", "--probe", "--state-dir", "state"]);
    assert_eq!(requests(&server), sent);
    let checked = host(&["config", "show", "pipeline.yaml"]);
    assert!(SECRETS.iter().all(|secret| !checked.stdout.contains(secret)), "{}", checked.stdout);
}

/// The record IDs of what a destination has, in the order in which it came.
pub(crate) fn ids_of(records: &[Value], pointer: &str) -> Vec<String> {
    records.iter().map(|record| record.pointer(pointer).and_then(Value::as_str).unwrap().to_owned()).collect()
}
