//! Names, addresses and texts with which a service could be used wrongly.

use std::fs;

use crate::sandbox::Outcome;
use crate::service::{
    Service, control, http, log, sandbox_with_report, serve, simple, view, wait_for, wait_for_state,
    write_pipeline,
};

#[test]
fn names_that_a_service_cannot_use_are_reported_by_check() {
    let sandbox = sandbox_with_report();
    let long = "x".repeat(65);
    for (file, name, codes, expected) in [
        ("ok", "", [0, 0], ""),
        ("two words", "", [0, 78], "a service refuses the pipeline name `two words`"),
        ("größe", "", [0, 78], "a service refuses the pipeline name `größe`"),
        (long.as_str(), "", [0, 78], "at most 64 characters: letters, digits"),
        ("two words", "name: fine", [0, 0], ""),
        ("service", "", [78, 78], "the pipeline name `service` is that of a file of the service"),
        ("service.lock", "", [78, 78], "the pipeline name `service.lock` is that of a file of the service"),
        ("a", "name: control.sock", [78, 78], "a.yaml:2:7"),
        ("service", "name: other", [0, 0], ""),
    ] {
        let path = sandbox.write(&format!("{file}.yaml"), simple("out", name));
        for (options, code) in [(&[][..], codes[0]), (&["--deny-warnings"], codes[1])] {
            let mut command = sandbox.host(&["check", "--state-dir", "state"]);
            let outcome = Outcome::of(command.args(options).arg(&path).output().unwrap()).expect_code(code);
            let text = outcome.stdout + &outcome.stderr;
            assert!(text.contains(expected), "{file} {options:?}: {text}");
            assert_eq!(
                text.contains("service"),
                !expected.is_empty() || text.contains("service.yaml"),
                "{text}"
            );
        }
        fs::remove_file(path).unwrap();
    }
    // A run works as before.
    let path = sandbox.write("two words.yaml", simple("out", ""));
    let mut command = sandbox.host(&["run", "--state-dir", "state"]);
    let run = Outcome::of(command.arg(path).output().unwrap()).expect_code(0);
    assert!(!run.stderr.contains("refuses"), "{}", run.stderr);
    write_pipeline(&sandbox, "service", &simple("out", ""));
    let refused = Outcome::of(serve(&sandbox, &["--check"]).output().unwrap()).expect_code(78);
    assert!(
        refused.stdout.contains("is that of a file of the service; set another `name:`"),
        "{}",
        refused.stdout
    );
}

#[test]
fn name_instead_of_an_address_is_refused_with_what_to_type() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    for (listen, expected) in [
        ("localhost:9443", "write 127.0.0.1:9443 for this machine only"),
        ("9001", "0.0.0.0:9001 for all its addresses"),
        ("localhost", "127.0.0.1:9001"),
    ] {
        let refused = Outcome::of(serve(&sandbox, &["--listen", listen]).output().unwrap()).expect_code(64);
        assert!(refused.stderr.contains("must be an IP address and a port"), "{}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{listen}: {}", refused.stderr);
        sandbox.write("service.yaml", format!("service: 1\nconsole: {{ listen: '{listen}' }}\n"));
        let file = ["--config", "service.yaml"];
        let refused = Outcome::of(serve(&sandbox, &file).output().unwrap()).expect_code(78);
        assert!(refused.stderr.contains(expected), "{listen}: {}", refused.stderr);
    }
}

#[test]
fn invalid_token_is_named_and_the_service_does_not_start() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    let service = Service::start(&sandbox);
    control(&sandbox, &["token", "add", "good", "--role", "read"]).expect_code(0);
    control(&sandbox, &["token", "add", "ops", "--role", "operate"]).expect_code(0);
    assert_eq!(service.stop(), Some(0));
    let file = sandbox.path("state/service/tokens.json");
    let valid = fs::read_to_string(&file).unwrap();
    fs::write(&file, valid.replace("\"operate\"", "\"admin\"")).unwrap();
    let refused = Outcome::of(serve(&sandbox, &[]).output().unwrap()).expect_code(73);
    for part in [
        "tokens.json is invalid: entry 2 (`ops`): unknown variant `admin`",
        "remove this entry, or delete the file",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    fs::write(&file, valid).unwrap();
    assert_eq!(Service::start(&sandbox).stop(), Some(0));
}

#[test]
fn texts_of_several_lines_keep_their_lines() {
    let sandbox = sandbox_with_report();
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    sandbox.write("service.yaml", "service: 1\n");
    let service = Service::start_with(&sandbox, |command| {
        command.args(["--config", "service.yaml"]);
    });
    sandbox.write("service.yaml", "service: 1\nnonsense: 1\n");
    let reload = control(&sandbox, &["reload"]).expect_code(78);
    assert!(!reload.stderr.contains("\\n") && reload.stderr.lines().count() > 2, "{}", reload.stderr);
    let log = log(&sandbox);
    assert!(log.contains("the service file") && !log.contains("\\n"), "{log}");
    assert_eq!(service.stop(), Some(0));
}

/// A run that ended before it read anything has a page and a summary, as the link to it promises.
#[test]
fn run_that_failed_early_has_a_summary() {
    let sandbox = sandbox_with_report();
    let path = "path: nightly.csv";
    let wrong = simple("nightly", "").replace(path, &format!("{path}, headings: {{ asset.rack: Rack }}"));
    write_pipeline(&sandbox, "nightly", &wrong);
    let service = Service::start(&sandbox);
    control(&sandbox, &["run", "nightly"]).expect_code(0);
    wait_for_state(&sandbox, "nightly", "held");
    let number = view(&sandbox, "nightly")["recent_runs"][0]["run"].as_u64().unwrap();
    assert!(number > 0, "the page links it");
    let (code, body) = http(&sandbox, &format!("GET /api/v1/pipelines/nightly/runs/{number}"), "");
    assert_eq!(code, "200", "{body}");
    assert!(body.contains("\"exit_code\":78") && body.contains("rack"), "{body}");
    let (code, page) = http(&sandbox, &format!("GET /pipelines/nightly/runs/{number}"), "");
    assert_eq!(code, "200", "{page}");
    assert!(page.contains("exit code 78") && page.contains("rack"), "{page}");
    // The next run has the same number: the ledger's summary counts then.
    write_pipeline(&sandbox, "nightly", &simple("nightly", ""));
    control(&sandbox, &["reload"]).expect_code(0);
    control(&sandbox, &["run", "nightly", "--wait"]).expect_code(0);
    wait_for(&sandbox, "nightly", |view| view["state"] == "manual");
    let (_, body) = http(&sandbox, &format!("GET /api/v1/pipelines/nightly/runs/{number}"), "");
    assert!(body.contains("\"status\":\"ok\""), "{body}");
    let (code, _) = http(&sandbox, "GET /pipelines/nightly/runs/99", "");
    assert_eq!(code, "404");
    assert_eq!(service.stop(), Some(0));
}
