//! `check`: several files, depths, exit codes, and the form of the JSON output.

use std::fs;

use serde_json::Value;

use crate::installation::{self, project_file};
use crate::sandbox::{CSV, Outcome, Sandbox, pipeline};

fn scan() -> String {
    format!("path: {:?}", project_file("examples/reports/scan.xml"))
}

fn check(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(sandbox.host(&[&["check"], arguments].concat()).output().unwrap())
}

fn json(sandbox: &Sandbox, arguments: &[&str]) -> (Value, Option<i32>) {
    let outcome = check(sandbox, &[arguments, &["--format", "json"]].concat());
    (serde_json::from_str(&outcome.stdout).unwrap(), outcome.code)
}

#[test]
fn several_files_and_directories_are_checked() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("pipelines")).unwrap();
    for name in ["a.yaml", "b.yml", "_draft.yaml", ".hidden.yaml", "notes.txt"] {
        let text =
            if name.len() == 6 || name == "b.yml" { pipeline(&scan(), &[CSV]) } else { "?".to_owned() };
        sandbox.write(&format!("pipelines/{name}"), text);
    }
    sandbox.write("bad.yaml", pipeline("pat: x, settle: 1", &[CSV]));
    let outcome = check(&sandbox, &["pipelines", "bad.yaml"]).expect_code(78);
    assert!(outcome.stdout.ends_with("\n3 files: 2 valid, 1 with 2 errors\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("pipelines/b.yml is valid (inputs: 1, outputs: 1)\n"));
    assert!(outcome.stderr.contains("\nbad.yaml: 2 errors\n"), "{}", outcome.stderr);
    let valid = check(&sandbox, &["pipelines"]).expect_code(0);
    assert!(valid.stdout.ends_with("\n2 files: 2 valid\n"), "{}", valid.stdout);
    // The same under its other name.
    let outcome = Outcome::of(sandbox.host(&["validate", "pipelines"]).output().unwrap()).expect_code(0);
    assert_eq!(outcome.stdout, valid.stdout);
}

#[test]
fn denied_warnings_exit_78() {
    let sandbox = Sandbox::new();
    let outputs = ["'-'", "'-'"].map(|path| format!("plugin: CSV, with: {{ path: {path} }} }}"));
    let outputs = [format!("{{ id: a, {}", outputs[0]), format!("{{ id: b, {}", outputs[1])];
    sandbox.write("p.yaml", pipeline(&scan(), &[&outputs[0], &outputs[1]]));
    let outcome = check(&sandbox, &["p.yaml", "--offline"]).expect_code(0);
    assert!(outcome.stdout.contains("p.yaml is valid"), "{}", outcome.stdout);
    let outcome = check(&sandbox, &["p.yaml", "--offline", "--deny-warnings"]).expect_code(78);
    assert!(outcome.stderr.ends_with("\n1 warning\n"), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "");
}

#[test]
fn json_has_one_form_for_all_problems() {
    let sandbox = Sandbox::new();
    let siem = "{ id: siem, plugin: ArcSightCEF, with: { path: a/b.cef, field_names: [x] } }";
    sandbox.write("typo.yaml", pipeline("pth: x", &[CSV]));
    sandbox.write(
        "opened.yaml",
        pipeline(&scan(), &["{ id: sheet, plugin: CSV, with: { path: a.csv, mode: '0888' } }"]),
    );
    sandbox.write("siem.yaml", pipeline(&scan(), &[siem]));
    let (output, code) = json(&sandbox, &["typo.yaml", "opened.yaml", "siem.yaml", "absent.yaml"]);
    assert_eq!((code, &output["ok"]), (Some(78), &Value::Bool(false)));
    let files = output["files"].as_array().unwrap();
    let names: Vec<&str> = files.iter().map(|file| file["file"].as_str().unwrap()).collect();
    assert_eq!(names, ["typo.yaml", "opened.yaml", "siem.yaml", "absent.yaml"]);
    for file in files {
        let problems = file["problems"].as_array().unwrap();
        assert!(!problems.is_empty(), "{file:#}");
        for problem in problems {
            let keys: Vec<&String> = problem.as_object().unwrap().keys().collect();
            let expected =
                ["code", "column", "file", "hint", "instance", "line", "message", "severity", "step"];
            assert_eq!(keys, expected);
        }
    }
    // What a plugin judges when it is opened has its place too.
    let problem = &files[1]["problems"][0];
    assert_eq!(files[1]["pipeline"], "opened");
    let place = ["file", "line", "column", "instance", "step", "code"].map(|key| problem[key].to_string());
    assert_eq!(place, ["\"opened.yaml\"", "5", "58", "\"sheet\"", "\"open\"", "\"plugin-option\""]);
}

#[test]
fn option_that_a_plugin_refuses_is_marked_in_the_file() {
    let sandbox = Sandbox::new();
    let output = "{ id: sheet, plugin: CSV, with: { path: a.csv, mode: '0888' } }";
    sandbox.write("p.yaml", pipeline(&scan(), &[output]));
    let outcome = check(&sandbox, &["p.yaml"]).expect_code(78);
    insta::assert_snapshot!("check-open-error", outcome.stderr);
}

#[test]
fn worst_code_of_several_files_wins() {
    let sandbox = Sandbox::new();
    sandbox.write("good.yaml", pipeline(&scan(), &[CSV]));
    sandbox.write("missing.yaml", pipeline("path: nowhere.xml", &[CSV]));
    let folder = "{ id: sheet, plugin: CSV, with: { path: no/such/a.csv } }";
    sandbox.write("folder.yaml", pipeline(&scan(), &[folder]));
    sandbox.write("broken.yaml", "version: [");
    for (files, code) in [
        (&["good.yaml", "missing.yaml"][..], 66),
        (&["missing.yaml", "folder.yaml"], 73),
        (&["missing.yaml", "folder.yaml", "broken.yaml"], 78),
    ] {
        check(&sandbox, &[files, &["--probe"]].concat()).expect_code(code);
    }
}

#[test]
fn settings_file_of_a_plugin_is_checked_as_such() {
    let sandbox = Sandbox::new();
    let file = project_file("InputPlugins/QualysGuard.yaml");
    let file = file.to_str().unwrap();
    let outcome = check(&sandbox, &[file]).expect_code(0);
    assert_eq!(outcome.stdout, format!("{file} is valid (settings of QualysGuard)\n"));
    sandbox.write("QualysGuard.yaml", "user_id: u\npassword: hunter2\npage_sise: 0\ntemplate_id: 1\n");
    let outcome = check(&sandbox, &["QualysGuard.yaml"]).expect_code(78);
    assert!(outcome.stderr.contains("did you mean `page_size`?"), "{}", outcome.stderr);
    // All users can read the file.
    assert!(outcome.stderr.ends_with("\n1 error and 1 warning\n"), "{}", outcome.stderr);
    // A run needs a pipeline.
    let outcome = Outcome::of(sandbox.host(&["run", "QualysGuard.yaml"]).output().unwrap()).expect_code(78);
    assert!(!outcome.stderr.contains("hunter2"));
    insta::assert_snapshot!("run-of-a-settings-file", outcome.stderr);
}

#[test]
fn settings_file_of_the_service_is_named_as_such() {
    let sandbox = Sandbox::new();
    sandbox.write("service.yaml", "service: 1\npipelines: [pipelines]\nmax_running: 4\n");
    let (output, code) = json(&sandbox, &["service.yaml"]);
    let problems = output["files"][0]["problems"].as_array().unwrap();
    assert_eq!((code, problems.len()), (Some(78), 1), "{output:#}");
    assert_eq!(problems[0]["code"], "service-file");
}

/// F-109: a library that is truncated or empty is named, also in the installed plugin directory.
#[test]
fn damaged_library_is_named_where_its_plugin_is_missing() {
    let sandbox = Sandbox::new();
    let installed = installation::host();
    for folder in ["bin", "lib/scanbridge/plugins"] {
        fs::create_dir_all(sandbox.path(folder)).unwrap();
    }
    let host = sandbox.path("bin/scanbridge");
    fs::hard_link(installed, &host).or_else(|_| fs::copy(installed, &host).map(drop)).unwrap();
    let library = fs::read(installed.with_file_name("plugins").join("libscanbridge_json.so")).unwrap();
    sandbox.write("lib/scanbridge/plugins/libscanbridge_other.so", &library[..2_000]);
    sandbox.write("lib/scanbridge/plugins/libscanbridge_empty.so", "");
    let run = |arguments: &[&str], code| {
        Outcome::of(sandbox.program(&host, arguments).output().unwrap()).expect_code(code)
    };
    let listed = run(&["plugin", "list"], 0);
    sandbox.write("p.yaml", pipeline(&scan(), &["{ id: o, plugin: Other, with: {} }"]));
    let checked = run(&["check", "p.yaml"], 78);
    for name in ["libscanbridge_other.so", "libscanbridge_empty.so"] {
        assert!(listed.stdout.contains(name), "{}", listed.stdout);
        let hint = checked.stderr.split("libraries that could not be loaded: ").nth(1).unwrap_or_default();
        assert!(hint.contains(name), "{}", checked.stderr);
        // In the log once.
        let lines = checked.stderr.lines().filter(|line| line.contains("WARN") && line.contains(name));
        assert_eq!(lines.count(), 1, "{}", checked.stderr);
    }
}

#[test]
fn unknown_column_is_an_error_offline_with_a_suggestion() {
    let sandbox = Sandbox::new();
    let output =
        "{ id: sheet, plugin: CSV, with: { path: a.csv, columns: [asset.adress, finding.acme:epss] } }";
    sandbox.write("p.yaml", pipeline(&scan(), &[output]));
    let outcome = check(&sandbox, &["p.yaml", "--offline"]).expect_code(78);
    insta::assert_snapshot!("check-unknown-column", outcome.stderr);
    let described =
        Outcome::of(sandbox.host(&["plugin", "describe", "CSV"]).output().unwrap()).expect_code(0);
    assert!(described.stdout.contains("Known items: asset.id,"), "{}", described.stdout);
}

/// F-150: the same parts as the filter, for findings that are not delivered.
#[test]
fn excluded_findings_are_not_delivered() {
    let sandbox = Sandbox::new();
    let json = "{ id: lines, plugin: JSON, with: { path: findings.ndjson } }";
    let run = |filter: &str| {
        let text = format!("{}filter: {filter}\n", pipeline(&format!("{}, settle_secs: 0", scan()), &[json]));
        sandbox.run(&text).expect_code(0);
        let lines = sandbox.read("findings.ndjson");
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let all = run("{}");
    let services = run("{ kinds: [service] }");
    assert!(!services.is_empty() && services.len() < all.len());
    let others = run("{ exclude: { kinds: [service] } }");
    assert_eq!(others.len(), all.len() - services.len());
    let address = |line: &Value| line["asset"]["address"].as_str().unwrap().to_owned();
    let asset = address(&all[0]);
    let of_asset = all.iter().filter(|line| address(line) == asset).count();
    assert!(of_asset > 0 && of_asset < all.len());
    assert_eq!(run(&format!("{{ exclude: {{ ip_ranges: [{asset}] }} }}")).len(), all.len() - of_asset);
}

#[test]
fn next_starts_of_a_schedule_are_shown() {
    let sandbox = Sandbox::new();
    let keys = "schedule: { cron: '0 0 29 2 *', timezone: Europe/Berlin, jitter_secs: 60 }";
    sandbox.write("leap.yaml", crate::service::simple("leap", keys));
    let shown = check(&sandbox, &["leap.yaml", "--offline"]).expect_code(0).stdout;
    let starts = shown.lines().find_map(|line| line.strip_prefix("  next starts by the service: ")).unwrap();
    assert_eq!(starts.matches("-02-29 00:0").count(), 3, "{shown}");
    assert!(starts.ends_with(" (Europe/Berlin)"), "{shown}");
    let (json, _) = json(&sandbox, &["leap.yaml", "--offline"]);
    let first = json["files"][0]["next_starts"][0].as_str().unwrap();
    assert!(first.contains("-02-29T00:0") && first.ends_with("+01:00"), "{json:#}");
}
