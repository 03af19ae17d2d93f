//! The log as a program reads it: every line of real runs is a JSON object of the published schema. `docs/log-fields.md`
//! is generated from the schema: set `UPDATE_DOCS=1` to write it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value, json};

use crate::installation::project_file;
use crate::sandbox::{CEF, CSV, Outcome, Sandbox, pipeline};

/// A line of the log.
pub(crate) type Line = Map<String, Value>;

pub(crate) fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(project_file("docs/log-schema.json")).unwrap()).unwrap()
}

/// What is wrong with a value by a JSON Schema. Knows only the keywords that our schema uses, and fails at others.
fn faults(value: &Value, schema: &Value, place: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        let is_right = match keyword.as_str() {
            "$schema" | "title" | "description" | "examples" | "patternProperties" | "then" => true,
            "type" => match rule.as_str().unwrap() {
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "boolean" => value.is_boolean(),
                "object" => value.is_object(),
                other => panic!("unknown type {other}"),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "required" => {
                rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    let member = value.get(name);
                    found.extend(
                        member.iter().flat_map(|member| faults(member, rule, &format!("{place}.{name}"))),
                    );
                }
                true
            }
            "additionalProperties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    let known = schema.get("properties").is_some_and(|known| known.get(name).is_some());
                    match rule {
                        _ if known || name.starts_with("fields.") => {}
                        Value::Bool(false) => found.push(format!("{place}: unknown field {name}")),
                        rule => found.extend(faults(member, rule, &format!("{place}.{name}"))),
                    }
                }
                true
            }
            "allOf" => {
                found.extend(rule.as_array().unwrap().iter().flat_map(|rule| faults(value, rule, place)));
                true
            }
            "if" => {
                if faults(value, rule, place).is_empty() {
                    found.extend(faults(value, &schema["then"], place));
                }
                true
            }
            other => panic!("unknown keyword {other}"),
        };
        if !is_right {
            found.push(format!("{place}: {value} does not fit {keyword} {rule}"));
        }
    }
    found
}

#[test]
fn schema_finds_wrong_lines() {
    let line = |fields: Value| {
        let mut line =
            json!({ "time": "2026-11-30T05:00:00.000Z", "level": "INFO", "message": "", "target": "a" });
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        faults(&line, &schema(), "line")
    };
    for (fields, fault) in [
        (json!({}), None),
        (json!({ "fields.any": [1] }), None),
        (json!({ "other": 1 }), Some("unknown field other")),
        (json!({ "run": "412" }), Some("line.run")),
        (json!({ "level": "info" }), Some("line.level")),
        (json!({ "event": "later" }), Some("line.event")),
        (json!({ "event": "retry", "instance": "siem", "attempt": 1 }), Some("required")),
        (json!({ "outputs": { "siem": "1" } }), Some("line.outputs.siem")),
    ] {
        let found = line(fields.clone());
        assert_eq!(
            found.first().map(|found| found.contains(fault.unwrap())),
            fault.map(|_| true),
            "{fields}: {found:?}"
        );
    }
}

/// The lines of a run; fails if one is not valid.
#[track_caller]
pub(crate) fn lines(stderr: &str) -> Vec<Line> {
    let schema = schema();
    let line = |line: &str| {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{stderr}"));
        let found = faults(&value, &schema, "line");
        assert!(found.is_empty(), "{found:#?}\n{line}");
        value.as_object().unwrap().clone()
    };
    stderr.lines().map(line).collect()
}

pub(crate) fn run_rogue(input: &str, output: &str, arguments: &[&str]) -> Outcome {
    let sandbox = Sandbox::new();
    sandbox.write_rogue_pipeline(input, output);
    let mut host = sandbox.host_with_rogue(&["run", "pipeline.yaml", "--log-format", "json"]);
    Outcome::of(host.args(arguments).output().unwrap())
}

pub(crate) fn scan() -> String {
    format!("path: {:?}, settle_secs: 0", project_file("examples/reports/scan.xml"))
}

#[test]
fn every_line_of_a_run_is_valid() {
    let mut events = BTreeSet::new();
    let mut add = |lines: Vec<Line>| {
        events.extend(lines.iter().filter_map(|line| Some(line.get("event")?.as_str()?.to_owned())));
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let siem = format!(
        "{{ id: siem, plugin: ArcSightCEF, retry: {{ initial_secs: 1, max_elapsed_secs: 2, breaker_failures: 1 }}, \
         with: {{ transport: tcp, address: '127.0.0.1:{port}' }} }}"
    );
    for (text, code) in [
        (pipeline(&scan(), &[CSV, CEF]), 0),
        (pipeline(&scan(), &[&siem]), 69),
        (pipeline("path: missing.xml", &[CSV]), 66),
        (pipeline("path: missing.xml, pth: 1", &[CSV]), 78),
        ("version: 1\n\tinputs: []\n".to_owned(), 78),
        (pipeline(&scan(), &["{ id: sheet, plugin: CSV, with: { path: nowhere/a.csv } }"]), 73),
        (pipeline(&scan(), &["{ id: lines, plugin: JSON, with: { path: '-' } }"]), 0),
    ] {
        let sandbox = Sandbox::new();
        let mut host = sandbox.host_running(&text);
        let outcome = Outcome::of(host.args(["--log-format", "json", "-vvv"]).output().unwrap());
        add(lines(&outcome.expect_code(code).stderr));
    }
    for (input, output) in [
        ("behave", "reject-all"),
        ("invalid-rows", "behave"),
        ("odd-cells", "behave"),
        ("panic-midway", "behave"),
        ("behave", "panic-in-drop"),
        ("panic-in-a-thread", "behave"),
        ("exit-in-next", "behave"),
        ("behave", "segfault-in-write"),
    ] {
        add(lines(&run_rogue(input, output, &["-vvv"]).stderr));
    }
    let usage =
        Sandbox::new().host(&["run", "a.yaml", "--sumary", "json", "--log-format=json"]).output().unwrap();
    add(lines(&Outcome::of(usage).expect_code(64).stderr));
    let unknown =
        Sandbox::new().host(&["plugin", "describe", "Nothing", "--log-format", "json"]).output().unwrap();
    add(lines(&String::from_utf8(unknown.stderr).unwrap()));
    let known = schema();
    let known = known["properties"]["event"]["enum"].as_array().unwrap().iter();
    let missing: Vec<&str> = known.filter_map(Value::as_str).filter(|word| !events.contains(*word)).collect();
    // The others need time, a signal or a bug of the host.
    assert_eq!(
        missing,
        ["progress", "statistics", "circuit_closed", "stop_requested", "idle", "queue_full", "panic"]
    );
}

#[test]
fn delivered_report_is_one_line_with_counts() {
    let sandbox = Sandbox::new();
    let mut host = sandbox.host_running(&pipeline(&scan(), &[CSV, CEF]));
    let outcome = Outcome::of(host.args(["--log-format", "json"]).output().unwrap()).expect_code(0);
    let (summary, lines) = (outcome.summary(), lines(&outcome.stderr));
    let delivered: Vec<_> =
        lines.iter().filter(|line| line.get("event") == Some(&json!("report_delivered"))).collect();
    let [line] = delivered[..] else { panic!("{}", outcome.stderr) };
    let findings = &summary["outputs"][0]["records"];
    assert_eq!(line["outputs"], json!({ "sheet": findings, "siem": findings }));
    assert_eq!(
        (&line["assets"], &line["bytes"]),
        (&summary["inputs"][0]["assets"], &summary["inputs"][0]["bytes"])
    );
    assert_eq!(
        (&line["pipeline"], &line["run"], &line["complete"]),
        (&json!("pipeline"), &json!(1), &json!(true))
    );
    assert_eq!((&line["title"], &line["report_kind"]), (&json!("Weekly scan of the shop"), &json!("SCAN")));
}

#[test]
fn line_of_a_delivered_report_names_where_the_input_moved_its_file() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("in/done")).unwrap();
    // The name is taken, so the file gets another one there.
    sandbox.write("in/done/one.xml", "an older report");
    for name in ["one.xml", "two.xml"] {
        fs::copy(project_file("examples/reports/scan.xml"), sandbox.path(&format!("in/{name}"))).unwrap();
    }
    let mut host = sandbox.host_running(&pipeline("path: in, settle_secs: 0, on_done: move", &[CSV]));
    let outcome = Outcome::of(host.args(["--log-format", "json"]).output().unwrap()).expect_code(0);
    let lines = lines(&outcome.stderr);
    let delivered = lines.iter().filter(|line| line.get("event") == Some(&json!("report_delivered")));
    let moved: Vec<(String, String)> = delivered
        .map(|line| {
            let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            (text("path"), text("moved_to"))
        })
        .collect();
    let folder = sandbox.path("in/done").canonicalize().unwrap();
    let expected = [("in/one.xml", "one.xml.1"), ("in/two.xml", "two.xml")]
        .map(|(path, to)| (path.to_owned(), folder.join(to).display().to_string()));
    assert_eq!(moved, expected, "{}", outcome.stderr);
    assert!(sandbox.path("in/done/one.xml.1").exists() && sandbox.path("in/done/two.xml").exists());
}

#[test]
fn fields_of_plugins_keep_their_type() {
    let outcome = run_rogue("panic-in-a-thread", "behave", &[]);
    let lines = lines(&outcome.stderr);
    let line = lines.iter().find(|line| line["message"] == "the thread has ended").expect(&outcome.stderr);
    assert_eq!((&line["fields.ended"], &line["fields.steps"]), (&json!(true), &json!(3)));
    assert_eq!(line["instance"], "source");
    assert!(line["target"].as_str().unwrap().contains("rogue"), "{line:?}");
}

#[test]
fn panic_in_a_thread_of_a_plugin_is_one_line_and_a_failure() {
    let text = "plugin bug: panic in its thread `worker` at ";
    let json = run_rogue("panic-in-a-thread", "behave", &["--summary", "json"]).expect_code(70);
    let failures: Vec<_> = lines(&json.stderr)
        .into_iter()
        .filter(|line| line["message"].as_str().unwrap().contains(text))
        .collect();
    let [failure] = &failures[..] else { panic!("{}", json.stderr) };
    assert_eq!((&failure["event"], &failure["exit_code"]), (&json!("failure"), &json!(70)));
    assert!(failure["message"].as_str().unwrap().ends_with(": requested \"in\" a thread"), "{failure:?}");
    assert_eq!(json.summary()["failures"][0]["instance"], failure["instance"]);

    let sandbox = Sandbox::new();
    sandbox.write_rogue_pipeline("panic-in-a-thread", "behave");
    let outcome =
        Outcome::of(sandbox.host_with_rogue(&["run", "pipeline.yaml"]).output().unwrap()).expect_code(70);
    let panic = outcome.stderr.lines().filter(|line| line.contains("panic"));
    assert_eq!(panic.count(), 1, "{}", outcome.stderr);
}

/// Text lines of a run, with everything that differs between runs replaced.
#[test]
fn text_lines_of_a_run() {
    let sandbox = Sandbox::new();
    fs::copy(project_file("examples/reports/scan.xml"), sandbox.path("scan.xml")).unwrap();
    sandbox.write("missing.yaml", pipeline("path: missing.xml", &[CSV]));
    sandbox.write("scan.yaml", pipeline("path: scan.xml, settle_secs: 0", &[CSV, CEF]));
    let mut text = String::new();
    for arguments in [&["run", "scan.yaml"][..], &["run", "scan.yaml", "-v"], &["run", "missing.yaml"]] {
        let outcome = Outcome::of(sandbox.host(arguments).env("JOURNAL_STREAM", "1:2").output().unwrap());
        let _ = writeln!(text, "$ scanbridge {}", arguments.join(" "));
        let mut shown: Vec<String> = outcome.stderr.lines().map(without_times).collect();
        if arguments.contains(&"-v") {
            // The threads of the outputs write in any order.
            shown.sort();
            shown.dedup();
        }
        let _ = writeln!(text, "{}", shown.join("\n"));
    }
    let folder = sandbox.path("").canonicalize().unwrap();
    insta::assert_snapshot!(text.replace(folder.to_str().unwrap().trim_end_matches('/'), "DIR"));
}

fn without_times(line: &str) -> String {
    let (time, rest) = line.split_at(line.find(' ').unwrap_or_default());
    let time = if time.len() == 24 && time.ends_with('Z') { "TIME" } else { time };
    let parts = rest.split(", ").map(|part| match part.split_once(" s") {
        Some((seconds, rest)) if seconds.parse::<f64>().is_ok() => format!("SECONDS s{rest}"),
        _ => part.to_owned(),
    });
    time.to_owned() + &parts.collect::<Vec<_>>().join(", ")
}

#[test]
fn lines_for_the_journal_have_a_priority() {
    use std::os::unix::fs::MetadataExt;
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", pipeline("path: missing.xml", &[CSV]));
    let log = fs::File::create(sandbox.path("journal")).unwrap();
    let found = log.metadata().unwrap();
    let stream = format!("{}:{}", found.dev(), found.ino());
    let mut host = sandbox.host(&["run", "pipeline.yaml"]);
    host.env("JOURNAL_STREAM", stream).stderr(log).status().unwrap();
    let text = sandbox.read("journal");
    assert!(text.lines().any(|line| line.starts_with("<6>2")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("<3>2") && line.contains("ERROR")), "{text}");
}

#[test]
fn log_file_gets_the_lines_and_levels_are_set_by_target() {
    let sandbox = Sandbox::new();
    sandbox.write("pipeline.yaml", pipeline(&scan(), &[CSV]));
    let arguments = ["run", "pipeline.yaml", "--log-file", "run.log", "--log-time", "local"];
    for _ in 0..2 {
        let outcome = Outcome::of(sandbox.host(&arguments).output().unwrap()).expect_code(0);
        assert_eq!(outcome.stderr, "");
    }
    let lines = sandbox.read("run.log");
    assert_eq!(lines.matches("delivered Weekly scan of the shop").count(), 2, "{lines}");

    let mut host = sandbox.host(&["run", "pipeline.yaml", "--log-level", "scanbridge=error"]);
    let outcome =
        Outcome::of(host.args(["--log-level", "scanbridge::pipeline::opener=debug"]).output().unwrap());
    let shown: Vec<&str> = outcome.stderr.lines().collect();
    assert!(shown.len() == 2 && shown.iter().all(|line| line.contains("opened")), "{}", outcome.stderr);
    let wrong = sandbox.host(&["run", "pipeline.yaml", "--log-level", "siem=loud"]).output().unwrap();
    assert!(Outcome::of(wrong).expect_code(64).stderr.contains("unknown level `loud`"));
    let nowhere = sandbox.host(&["run", "pipeline.yaml", "--log-file", "nowhere/run.log"]).output().unwrap();
    assert!(Outcome::of(nowhere).expect_code(73).stderr.contains("cannot open the log file nowhere/run.log"));
}

#[test]
fn page_of_the_fields_is_up_to_date() {
    let schema = schema();
    let mut page = include_str!("log_fields.head.md").to_owned();
    page += "\n## Events\n\n| Event | Level | When | Fields |\n|---|---|---|---|\n";
    for event in schema["allOf"].as_array().unwrap() {
        let (level, when) = event["description"].as_str().unwrap().split_once(": ").unwrap();
        let fields = event["then"]["required"].as_array().unwrap().iter().filter_map(Value::as_str);
        let fields: Vec<String> = fields.map(|name| format!("`{name}`")).collect();
        let name = event["title"].as_str().unwrap();
        let _ = writeln!(page, "| `{name}` | {level} | {when} | {} |", fields.join(", "));
    }
    page += "\n## Examples\n\nA line of each event:\n\n```json\n";
    for event in schema["allOf"].as_array().unwrap() {
        let _ = writeln!(page, "{}", event["examples"][0]);
    }
    page += "```\n\n## Fields\n\n| Field | Type | Meaning |\n|---|---|---|\n";
    let required = schema["required"].as_array().unwrap();
    for (name, field) in schema["properties"].as_object().unwrap() {
        let kind = field["type"].as_str().unwrap();
        let always = if required.contains(&json!(name)) { "; always there" } else { "" };
        let _ = writeln!(page, "| `{name}` | {kind} | {}{always} |", field["description"].as_str().unwrap());
    }
    let file = project_file("docs/log-fields.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &page).unwrap();
    }
    assert!(
        fs::read_to_string(&file).is_ok_and(|text| text == page),
        "docs/log-fields.md is not up to date: run this test with UPDATE_DOCS=1"
    );
}
