//! `config show`, `config example`, `graph` and `completions`.

use serde_json::Value;

use crate::sandbox::{CSV, Outcome, Sandbox, pipeline};

fn host(sandbox: &Sandbox, arguments: &[&str], code: i32) -> Outcome {
    Outcome::of(sandbox.host(arguments).output().unwrap()).expect_code(code)
}

fn qualys(options: &str) -> String {
    format!(
        "version: 1\ninputs:\n  - id: qualys\n    plugin: QualysGuard\n    with: {{ user_id: u, password: p, \
         source: scan-reports{options} }}\noutputs:\n  - {CSV}\n"
    )
}

/// the URLs of the scan calls without and with a client certificate.
#[test]
fn computed_defaults_are_shown_with_what_they_follow_from() {
    let sandbox = Sandbox::new();
    let shown = |options: &str| {
        sandbox.write("p.yaml", qualys(options));
        let output = host(&sandbox, &["config", "show", "p.yaml", "--format", "json"], 0).stdout;
        let output: Value = serde_json::from_str(&output).unwrap();
        ["scan_report_list_url", "scan_report_url"].map(|name| {
            let option = &output["inputs"][0]["options"][name];
            assert_eq!(option["from"], "computed", "{options}: {option}");
            let text = |key: &str| option[key].as_str().unwrap().to_owned();
            (text("value"), text("origin"))
        })
    };
    for (options, server, origin) in [
        ("", "https://qualysguard.qualys.com", "default"),
        (", tls_certificate: c.p12", "https://certs.qualysguard.qualys.com", "`tls_certificate`"),
        (", platform: eu1", "https://qualysapi.qualys.eu", "`platform`"),
        (", url: 'https://127.0.0.1:8443'", "https://127.0.0.1:8443", "`url`"),
    ] {
        let [list, report] = shown(options);
        let at = |file: &str| (format!("{server}/msp/{file}"), origin.to_owned());
        assert_eq!(list, at("scan_report_list.php"), "{options}");
        assert_eq!(report, at("scan_report.php"), "{options}");
    }
    let text = host(&sandbox, &["config", "show", "p.yaml", "--state-dir", "state"], 0).stdout;
    assert!(text.contains("\nstate directory: state/p\nlog: standard error\n"), "{text}");
}

#[test]
fn preset_of_a_receiver_and_default_of_a_variable_are_named_as_origin() {
    let sandbox = Sandbox::new();
    let siem = "{ id: siem, plugin: ArcSightCEF, with: { transport: tcp, address: 192.0.2.1, receiver: splunk, \
                framing: newline, app_name: '${env:NO_SUCH_NAME:-bridge}' } }";
    sandbox.write("p.yaml", pipeline("path: a.xml", &[siem]));
    let output = host(&sandbox, &["config", "show", "p.yaml", "--format", "json"], 0).stdout;
    let output: Value = serde_json::from_str(&output).unwrap();
    let option = |name: &str| output["outputs"][0]["options"][name].clone();
    let header = option("syslog_header");
    assert_eq!(
        (header["from"].as_str(), header["origin"].as_str()),
        (Some("computed"), Some("`receiver: splunk`"))
    );
    assert_eq!(option("framing")["from"], "file");
    let name = option("app_name");
    assert_eq!(
        (&name["value"], &name["references"][0]),
        (&"bridge".into(), &"default of ${env:NO_SUCH_NAME:-…}".into())
    );
}

/// All plugins: nothing is wrong with the example except its placeholders.
#[test]
fn example_passes_the_check_except_for_its_placeholders() {
    let sandbox = Sandbox::new();
    let names = ["QualysGuard", "QualysGuardFile", "CSV", "JSON", "ArcSightCEF", "Sourcefire"];
    for (plugins, all) in names.iter().map(|name| (vec![*name], false)).chain([(names.to_vec(), true)]) {
        let arguments = [&["config", "example"][..], &plugins, if all { &["--all"] } else { &[] }].concat();
        let example = host(&sandbox, &arguments, 0).stdout;
        sandbox.write("example.yaml", &example);
        let checked = host(&sandbox, &["check", "example.yaml", "--format", "json"], 78).stdout;
        let checked: Value = serde_json::from_str(&checked).unwrap();
        let problems = checked["files"][0]["problems"].as_array().unwrap();
        let placeholders = problems.iter().filter(|problem| problem["code"] == "placeholder").count();
        let others = problems.iter().filter(|problem| {
            !["placeholder", "open-permissions"].contains(&problem["code"].as_str().unwrap())
        });
        assert_eq!(others.count(), 0, "{plugins:?}: {problems:#?}");
        // Only a default list is longer than a line of help.
        assert!(example.lines().all(|line| line.chars().count() <= 700), "{example}");
        assert_eq!(placeholders, example.matches(": REPLACE-ME").count(), "{example}");
        assert_eq!(example.contains("# if_running: fail"), all);
    }
    let example = host(&sandbox, &["config", "example", "QualysGuardFile", "csv"], 0).stdout;
    insta::assert_snapshot!("config-example", example);
    let unknown = host(&sandbox, &["config", "example", "CVS"], 64);
    assert!(unknown.stderr.contains("did you mean `CSV`?"), "{}", unknown.stderr);
}

#[test]
fn pipeline_is_drawn_as_mermaid_and_dot() {
    let sandbox = Sandbox::new();
    let main = "{ id: siem, plugin: ArcSightCEF, failover: sheet, filter: { kinds: [vulnerability], exclude: { qids: \
                [1001] } }, with: { path: a.cef } }";
    let other = "{ id: other, plugin: JSON, required: no, with: { path: a.ndjson } }";
    sandbox.write("nightly.yaml", pipeline("path: a.xml", &[main, CSV, other]));
    let mermaid = host(&sandbox, &["graph", "nightly.yaml"], 0).stdout;
    let dot = host(&sandbox, &["graph", "nightly.yaml", "--format", "dot"], 0).stdout;
    insta::assert_snapshot!("graph", format!("{mermaid}\n{dot}"));
    host(&sandbox, &["graph", "none.yaml"], 78);
}

#[test]
fn completions_know_every_command() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = host(&sandbox, &["completions", shell], 0).stdout;
        for word in ["dead-letters", "deny-warnings", "graph"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    host(&sandbox, &["completions", "tcl"], 64);
}

#[test]
fn unknown_command_gets_a_suggestion() {
    let sandbox = Sandbox::new();
    for (word, meant) in [("rnu", "run"), ("valdate", "validate"), ("grpah", "graph")] {
        let outcome = host(&sandbox, &[word, "p.yaml"], 64);
        assert!(outcome.stderr.contains(&format!("'{meant}'")), "{}", outcome.stderr);
    }
}
