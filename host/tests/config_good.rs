//! Good pipeline files, and what they amount to.

mod config_catalogue;

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory;
use config_catalogue::FakeCatalogue;
use scanbridge::cli::{self, Format, ListedPlugin, RefusedLibrary};
use scanbridge::config::{self, Catalogue, Environment, Pipeline};
use scanbridge_plugin_api::PluginKind;
use serde_json::{Value, json};

fn variable(name: &str) -> Option<OsString> {
    match name {
        "QUALYS_PASSWORD" => Some("hunter-env: #1".into()),
        "CREDENTIALS_DIRECTORY" => Some("tests/good-configs/credentials".into()),
        _ => None,
    }
}

fn check(path: &str) -> Pipeline {
    let document = config::read(Path::new(path)).expect("the file is good YAML");
    config::check_in(&document, &FakeCatalogue::new(), Environment { variable: &variable })
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn options(yaml: &str) -> Value {
    let text = format!(
        "version: 1\ninputs: [{{ id: a, plugin: qualysguard, with: {{ username: u, password: p }} }}]\n\
         outputs:\n  - id: b\n    plugin: csv\n    with:\n      path: out.csv\n{yaml}"
    );
    let document = config::read_text(Path::new("test.yaml"), &text).expect("the text is good YAML");
    let pipeline = config::check(&document, &FakeCatalogue::new()).unwrap_or_else(|p| panic!("{p}"));
    Value::Object(pipeline.outputs[0].instance.options.clone())
}

#[test]
fn a_full_pipeline_is_read() {
    let pipeline = check("tests/good-configs/full.yaml");
    assert_eq!(pipeline.warnings.len(), 1, "{:?}", pipeline.warnings);
    assert_eq!(pipeline.warnings[0].code, "deprecated");

    let api = &pipeline.inputs[0].instance;
    assert_eq!((api.id.as_str(), api.plugin.as_str()), ("qualys-eu", "QualysGuard"));
    // From the settings file, except what the pipeline itself says.
    assert_eq!(
        Value::Object(api.options.clone()),
        json!({
            "username": "acme_ab1",
            "password": "hunter-env: #1",
            "page_size": 500,
            "add_host": true,
            "pin": 4711,
        })
    );
    assert_eq!(api.origins["page_size"].line, 8);
    assert_eq!(api.origins["add_host"].file, Path::new("tests/good-configs/settings/qualys.yaml"));
    assert_eq!(api.origins["password"].references, ["${env:QUALYS_PASSWORD}"]);

    let [sheet, siem] = &pipeline.outputs[..] else { panic!("two outputs") };
    assert!(sheet.required && !siem.required);
    assert_eq!((sheet.filters.len(), siem.filters.len()), (1, 2));
    assert_eq!(sheet.instance.plugin, "CSV");
}

#[test]
fn the_settings_file_of_the_old_guide_is_taken_as_it_stands() {
    let pipeline = check("tests/good-configs/old-guide.yaml");
    assert_eq!(pipeline.inputs[0].instance.options["username"], "dirk_g");
    // A trailing blank is no part of a plain value; quotes keep everything else.
    assert_eq!(pipeline.inputs[0].instance.options["url"], "https://qualysapi.example.com");
    assert_eq!(pipeline.inputs[0].instance.options["password"], "p@ss: w#rd");
    assert_eq!(pipeline.inputs[0].instance.options["add_host"], true);
}

#[test]
fn an_output_that_was_copied_with_its_path_is_warned_of() {
    let warnings = |paths: [&str; 2]| {
        let [first, second] = paths;
        let text = format!(
            "version: 1\ninputs: [{{ id: a, plugin: qualysguard, with: {{ username: u, password: p }} }}]\noutputs:\n\
             - {{ id: b, plugin: csv, with: {{ path: {first} }} }}\n- {{ id: c, plugin: csv, with: {{ path: {second} }} }}"
        );
        let document = config::read_text(Path::new("test.yaml"), &text).expect("the text is good YAML");
        config::check(&document, &FakeCatalogue::new()).unwrap_or_else(|p| panic!("{p}")).warnings
    };
    let [warning] = &warnings(["out.csv", "out.csv"])[..] else { panic!("one warning") };
    assert_eq!(warning.message, "outputs `b` and `c` write to the same `path`");
    assert_eq!(warning.place.excerpt.as_ref().map(|excerpt| (excerpt.line, excerpt.column)), Some((5, 39)));
    assert!(warnings(["out.csv", "other.csv"]).is_empty());
    assert!(warnings(["/dev/null", "/dev/null"]).is_empty());
}

#[test]
fn values_stay_what_the_operator_typed() {
    let given = options(
        "      columns: [007, 1e3, yes, 0x1F, 1_000, '', \"a\\tb\", 2026-01-31, on]\n      passphrase: no\n",
    );
    assert_eq!(
        given["columns"],
        json!(["007", "1e3", "yes", "0x1F", "1_000", "", "a\tb", "2026-01-31", "on"])
    );
    assert_eq!(given["passphrase"], "no");
}

#[test]
fn a_list_is_a_list_in_every_notation() {
    for yaml in [
        "      ports: [80, 443]\n",
        "      ports: 80, 443\n",
        "      ports:\n        - 80\n        - 443\n",
        "      ports:\n      - '80'\n      - \"443\"\n",
    ] {
        assert_eq!(options(yaml)["ports"], json!([80, 443]), "{yaml}");
    }
}

#[test]
fn aliases_work_within_reason() {
    let given = options("      columns: &c [qid, title]\n      passphrase: &p hunter2\n");
    assert_eq!(given["columns"], json!(["qid", "title"]));
    let text = "version: 1\ninputs: [{ id: a, plugin: QualysGuardFile, with: &w { path: a.xml } },\n\
                \x20 { id: b, plugin: QualysGuardFile, with: *w }]\n\
                outputs: [{ id: c, plugin: CSV, with: { path: c.csv } }]\n";
    let document = config::read_text(Path::new("test.yaml"), text).unwrap();
    let pipeline = config::check(&document, &FakeCatalogue::new()).unwrap();
    assert_eq!(pipeline.inputs[0].instance.options, pipeline.inputs[1].instance.options);
}

#[test]
fn effective_settings_are_shown_with_their_origin_and_without_secrets() {
    let pipeline = check("tests/good-configs/full.yaml");
    let text = cli::show_settings(&pipeline, &FakeCatalogue::new(), Format::Text, 110);
    insta::assert_snapshot!("show-settings", text);
    let json = cli::show_settings(&pipeline, &FakeCatalogue::new(), Format::Json, 110);
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["inputs"][0]["options"]["page_size"]["value"], 500);
    assert_eq!(value["inputs"][0]["options"]["url"]["from"], "default");
    assert_eq!(value["inputs"][0]["options"]["password"]["value"], "[redacted]");
    assert_eq!(value["outputs"][1]["filters"][1]["ip_ranges"][0], "192.0.2.0-192.0.2.255");
    for shown in [text, json, format!("{pipeline:?}"), format!("{:?}", pipeline.warnings)] {
        assert!(!shown.contains("hunter") && !shown.contains("4711"), "{shown}");
    }
}

#[test]
fn plugins_are_listed_and_described() {
    let catalogue = FakeCatalogue::new();
    let file = Path::new("/usr/lib/scanbridge/plugins/libcsv.so");
    let listed: Vec<ListedPlugin<'_>> = [(PluginKind::Input, "QualysGuard"), (PluginKind::Output, "CSV")]
        .into_iter()
        .map(|(kind, name)| ListedPlugin { descriptor: catalogue.find(kind, name).unwrap(), file, note: "" })
        .collect();
    let refused = [RefusedLibrary {
        file: Path::new("/usr/lib/scanbridge/plugins/libold.so"),
        reason: "/usr/lib/scanbridge/plugins/libold.so: it was built for plugin ABI 0, this host takes 1: build it again",
    }];
    insta::assert_snapshot!("plugin-list", cli::list_plugins(&listed, &refused, Format::Text, 110));
    insta::assert_snapshot!("plugin-list-none", cli::list_plugins(&[], &[], Format::Text, 110));
    insta::assert_snapshot!("plugin-list-json", cli::list_plugins(&listed, &refused, Format::Json, 110));
    insta::assert_snapshot!("plugin-describe", cli::describe_plugin(&listed[1], Format::Text, 110));
    insta::assert_snapshot!("plugin-describe-narrow", cli::describe_plugin(&listed[0], Format::Text, 60));
    let json: Value = serde_json::from_str(&cli::describe_plugin(&listed[0], Format::Json, 110)).unwrap();
    assert_eq!(json["options"][3]["kind"], json!({ "type": "integer", "min": 1, "max": 10_000 }));
}

#[test]
fn help_texts_are_as_designed() {
    for (name, line) in [
        ("help", "scanbridge --help"),
        ("help-run", "scanbridge run --help"),
        ("help-check", "scanbridge check --help"),
        ("usage-error", "scanbridge run p.yaml --sumary json"),
    ] {
        // Of a fixed width, for clap otherwise asks the terminal that the tests happen to run in.
        let command = cli::Arguments::command().term_width(100);
        let usage = command.try_get_matches_from(line.split(' ')).unwrap_err().render();
        insta::assert_snapshot!(name, usage.to_string());
    }
}

#[test]
fn the_schema_knows_every_option() {
    let schema = config::schema(&FakeCatalogue::new());
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let csv = &schema["$defs"]["output.CSV"];
    assert_eq!(csv["additionalProperties"], false);
    let names: Vec<&String> = csv["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["cols", "columns", "format", "passphrase", "path", "ports", "rotate_bytes"]);
    assert_eq!(csv["properties"]["cols"]["deprecated"], true);
    assert_eq!(csv["properties"]["format"]["default"], "table");
    // Every `$ref` leads somewhere.
    let text = schema.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(schema.pointer(pointer).is_some(), "{pointer}");
    }
}
