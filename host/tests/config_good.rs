//! Valid pipeline files: effective configuration, plugin lists and JSON Schema.

mod config_catalogue;

use std::ffi::OsString;
use std::path::Path;

use config_catalogue::FakeCatalogue;
use scanbridge::cli::{self, DescribeFormat, Format, ListedPlugin, RefusedLibrary};
use scanbridge::config::{self, Catalogue, Environment, Pipeline};
use scanbridge_plugin_api::{CryptoModule, PluginKind};
use serde_json::{Value, json};

fn variable(name: &str) -> Option<OsString> {
    match name {
        "QUALYS_PASSWORD" => Some("hunter-env: #1".into()),
        "CREDENTIALS_DIRECTORY" => Some("tests/good-configs/credentials".into()),
        _ => None,
    }
}

fn check(path: &str) -> Pipeline {
    let document = config::read(Path::new(path)).expect("the file is valid YAML");
    config::check_in(&document, &FakeCatalogue::new(), Environment { variable: &variable })
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn options(yaml: &str) -> Value {
    let text = format!(
        "version: 1\ninputs: [{{ id: a, plugin: qualysguard, with: {{ username: u, password: p }} }}]\n\
         outputs:\n  - id: b\n    plugin: csv\n    with:\n      path: out.csv\n{yaml}"
    );
    let document = config::read_text(Path::new("test.yaml"), &text).expect("the text is valid YAML");
    let pipeline = config::check(&document, &FakeCatalogue::new()).unwrap_or_else(|p| panic!("{p}"));
    Value::Object(pipeline.outputs[0].instance.options.clone())
}

#[test]
fn full_pipeline_is_read() {
    let mut pipeline = check("tests/good-configs/full.yaml");
    // These files are readable by all, as a checkout is.
    pipeline.warnings.retain(|warning| warning.code != "open-permissions");
    assert_eq!(pipeline.warnings.len(), 1, "{:?}", pipeline.warnings);
    assert_eq!(pipeline.warnings[0].code, "deprecated");

    let api = &pipeline.inputs[0].instance;
    assert_eq!((api.id.as_str(), api.plugin.as_str()), ("qualys-eu", "QualysGuard"));
    // Options of the settings file, overridden by those of the pipeline file.
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
fn settings_file_of_the_2014_guide_is_accepted_unchanged() {
    let pipeline = check("tests/good-configs/old-guide.yaml");
    assert_eq!(pipeline.inputs[0].instance.options["username"], "dirk_g");
    // A trailing space is not part of a plain value; quotes keep special characters.
    assert_eq!(pipeline.inputs[0].instance.options["url"], "https://qualysapi.example.com");
    assert_eq!(pipeline.inputs[0].instance.options["password"], "p@ss: w#rd");
    assert_eq!(pipeline.inputs[0].instance.options["add_host"], true);
}

#[test]
fn same_path_in_two_outputs_is_rejected() {
    let check = |paths: [&str; 2]| {
        let [first, second] = paths;
        let text = format!(
            "version: 1\ninputs: [{{ id: a, plugin: qualysguard, with: {{ username: u, password: p }} }}]\noutputs:\n\
             - {{ id: b, plugin: csv, with: {{ path: {first} }} }}\n- {{ id: c, plugin: csv, with: {{ path: {second} }} }}"
        );
        let document = config::read_text(Path::new("test.yaml"), &text).expect("the text is valid YAML");
        config::check(&document, &FakeCatalogue::new()).map(|pipeline| pipeline.warnings)
    };
    // Placeholders give both outputs the same file names.
    for path in ["out.csv", "'out-{report}-{date}.csv'", "out.csv, if_exists: append"] {
        let problems = check([path, path]).unwrap_err();
        let [error] = &problems.list[..] else { panic!("one error: {problems}") };
        assert_eq!(error.message, "outputs `b` and `c` write to the same `path`");
        assert_eq!(
            error.location.excerpt.as_ref().map(|excerpt| (excerpt.line, excerpt.column)),
            Some((5, 39))
        );
    }
    for allowed in [["out.csv", "other.csv"], ["/dev/null", "/dev/null"]] {
        assert_eq!(check(allowed).unwrap(), [], "{allowed:?}");
    }
    let warnings = check(["'-'", "'-'"]).unwrap();
    assert_eq!(warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ["same-target"]);
}

#[test]
fn yaml_scalars_keep_their_text() {
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
fn value_that_contains_the_placeholder_is_accepted() {
    assert_eq!(options("      passphrase: my-REPLACE-ME-word\n")["passphrase"], "my-REPLACE-ME-word");
}

#[test]
fn lists_are_accepted_in_every_yaml_notation() {
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
fn yaml_aliases_are_expanded() {
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
fn config_show_has_origins_and_redacts_secrets() {
    let pipeline = check("tests/good-configs/full.yaml");
    let locations =
        cli::RunLocations { state: "state/full".into(), log: "standard error".into(), ..Default::default() };
    let text = cli::show_settings(&pipeline, &FakeCatalogue::new(), &locations, Format::Text, 110);
    insta::assert_snapshot!("show-settings", text);
    let json = cli::show_settings(&pipeline, &FakeCatalogue::new(), &locations, Format::Json, 110);
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
        .map(|(kind, name)| ListedPlugin {
            descriptor: catalogue.find(kind, name).unwrap(),
            file,
            note: "",
            crypto: CryptoModule::None,
        })
        .collect();
    let refused = [RefusedLibrary {
        file: Path::new("/usr/lib/scanbridge/plugins/libold.so"),
        reason: "/usr/lib/scanbridge/plugins/libold.so: old 0.9.0 was built for plugin ABI 1; this Scanbridge loads \
                 ABI 2: rebuild it with scanbridge-plugin-api 2",
    }];
    insta::assert_snapshot!("plugin-list", cli::list_plugins(&listed, &refused, Format::Text, 110));
    insta::assert_snapshot!("plugin-list-none", cli::list_plugins(&[], &[], Format::Text, 110));
    insta::assert_snapshot!("plugin-list-json", cli::list_plugins(&listed, &refused, Format::Json, 110));
    insta::assert_snapshot!(
        "plugin-describe",
        cli::describe_plugin(&listed[1], None, DescribeFormat::Text, 110)
    );
    insta::assert_snapshot!(
        "plugin-describe-narrow",
        cli::describe_plugin(&listed[0], None, DescribeFormat::Text, 60)
    );
    let json: Value =
        serde_json::from_str(&cli::describe_plugin(&listed[0], None, DescribeFormat::Json, 110)).unwrap();
    assert_eq!(json["options"][3]["kind"], json!({ "type": "integer", "min": 1, "max": 10_000 }));
}

#[test]
fn schema_contains_every_option() {
    let schema = config::schema(&FakeCatalogue::new());
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let csv = &schema["$defs"]["output.CSV"];
    assert_eq!(csv["additionalProperties"], false);
    let names: Vec<&String> = csv["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["cols", "columns", "fields", "format", "if_exists", "passphrase", "path", "ports", "rotate_bytes"]
    );
    assert_eq!(csv["properties"]["cols"]["deprecated"], true);
    assert_eq!(csv["properties"]["format"]["default"], "table");
    // Every `$ref` has a target.
    let text = schema.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(schema.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn schema_describes_every_key() {
    fn check(schema: &Value, path: &str) -> usize {
        let Some(properties) = schema["properties"].as_object() else { return 0 };
        let mut count = 0;
        for (key, value) in properties {
            // The description of the filter is at the target of its `$ref`.
            let description = value["description"].as_str().unwrap_or_default();
            let is_sentence = description.starts_with(char::is_uppercase) && description.ends_with('.');
            assert!(is_sentence || value.get("$ref").is_some(), "{path}{key}: `{description}`");
            assert!(description.len() <= 260, "{path}{key}: {} bytes", description.len());
            count += 1 + check(value, &format!("{path}{key}."));
        }
        count
    }
    let schema = config::schema(&FakeCatalogue::new());
    let filter = &schema["$defs"]["filter"];
    assert!(filter["description"].is_string());
    let counts =
        [&schema, &schema["$defs"]["input"], &schema["$defs"]["output"], filter].map(|part| check(part, ""));
    assert!(counts.iter().all(|count| *count >= 5), "{counts:?}");
}
