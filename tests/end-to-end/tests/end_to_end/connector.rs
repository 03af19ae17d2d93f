//! The identity of the connector (`connector:`) in each output, and the IP version that it sets for all plugins.

use serde_json::Value;

use crate::cef;
use crate::csv::Table;
use crate::installation;
use crate::sandbox::{CEF, Outcome, Sandbox, pipeline};

const CONNECTOR: &str = "connector: { name: \"emea = 1\", location: Berlin, comment: run by the SOC, preferred_ip_version: ipv6 }\n";

fn report() -> String {
    format!("path: {:?}, settle_secs: 0", installation::project_file("examples/reports/scan.xml"))
}

/// CEF in both forms, CSV, JSON in each format, and the summary.
#[test]
fn every_output_shows_the_connector() {
    let sandbox = Sandbox::new();
    let outputs = [
        CEF,
        "{ id: device, plugin: ArcSightCEF, with: { path: device.cef, connector_fields: device } }",
        "{ id: none, plugin: ArcSightCEF, with: { path: none.cef, connector_fields: none } }",
        "{ id: wazuh, plugin: ArcSightCEF, with: { path: wazuh.cef, receiver: wazuh } }",
        "{ id: lines, plugin: JSON, with: { path: lines.json, leave_out: [connector.comment] } }",
        "{ id: ecs, plugin: JSON, with: { path: ecs.json, format: ecs } }",
        "{ id: sheet, plugin: CSV, with: { path: sheet.csv, columns: [finding.kind, connector.name, connector.host] } }",
    ];
    let outcome = sandbox.run(&format!("{}{CONNECTOR}", pipeline(&report(), &outputs))).expect_code(0);
    assert_eq!(outcome.summary()["connector"], "emea = 1");
    let host = outcome.summary()["host"].as_str().unwrap().to_owned();
    let texts = [Some("emea = 1"), Some("Berlin"), Some("run by the SOC")];
    let expect = |file: &str, keys: [&str; 3], expected: [Option<&str>; 3]| {
        let events = cef::events(&sandbox.read(file));
        assert!(!events.is_empty());
        for event in &events {
            assert_eq!(keys.map(|key| event.get(key)), expected, "{file}: {event:?}");
        }
    };
    let ad = ["ad.ConnectorName", "ad.ConnectorLocation", "ad.ConnectorComment"];
    let device = ["deviceExternalId", "deviceFacility", "deviceProcessName"];
    expect("findings.cef", ad, texts);
    expect("findings.cef", device, [None; 3]);
    expect("device.cef", ad, [None; 3]);
    expect("device.cef", device, [texts[0], texts[1], Some("scanbridge")]);
    expect("device.cef", ["dvchost"; 3], [Some(&host); 3]);
    expect("none.cef", [ad[0], device[0], "dvchost"], [None; 3]);
    let custom = ["ScanbridgeConnectorName", "ScanbridgeConnectorLocation", "ScanbridgeConnectorComment"];
    expect("wazuh.cef", custom, texts);
    for line in sandbox.read("lines.json").lines() {
        let connector = &serde_json::from_str::<Value>(line).unwrap()["connector"];
        assert_eq!((&connector["name"], &connector["location"]), (&"emea = 1".into(), &"Berlin".into()));
        assert_eq!((&connector["host"], connector.get("comment")), (&host.as_str().into(), None));
    }
    for line in sandbox.read("ecs.json").lines() {
        let line = serde_json::from_str::<Value>(line).unwrap();
        assert_eq!(line["scanbridge"]["connector"]["comment"], "run by the SOC");
    }
    let sheet = Table::parse(&sandbox.read("sheet.csv"));
    assert!(sheet.len() > 0);
    assert_eq!(sheet.count("connector.name", "emea = 1"), sheet.len() as u64);
    assert_eq!(sheet.count("connector.host", &host), sheet.len() as u64);
}

/// Without the key, no output has anything of it.
#[test]
fn without_an_identity_nothing_is_shown() {
    let sandbox = Sandbox::new();
    let lines = "{ id: lines, plugin: JSON, with: { path: lines.json } }";
    let device = "{ id: device, plugin: ArcSightCEF, with: { path: device.cef, connector_fields: device } }";
    let pipeline = pipeline(&report(), &[CEF, lines, device]);
    let outcome =
        sandbox.run(&format!("{pipeline}connector: {{ preferred_ip_version: ipv4 }}\n")).expect_code(0);
    assert_eq!(outcome.summary().get("connector"), None);
    for file in ["findings.cef", "lines.json", "device.cef"] {
        let text = sandbox.read(file);
        assert!(!text.is_empty() && !text.to_lowercase().contains("connector") && !text.contains("dvchost"));
    }
}

/// one key for all plugins; the option of a plugin wins.
#[test]
fn preferred_ip_version_of_the_pipeline_is_the_default_of_its_plugins() {
    let sandbox = Sandbox::new();
    let remote = |id: &str, more: &str| {
        format!(
            "{{ id: {id}, plugin: ArcSightCEF, with: {{ transport: tcp, address: \"siem.example.com:514\"{more} }} }}"
        )
    };
    let text = pipeline(&report(), &[&remote("default", ""), &remote("own", ", preferred_ip_version: any")]);
    sandbox.write("pipeline.yaml", format!("{text}{CONNECTOR}"));
    let shown = sandbox.host(&["config", "show", "pipeline.yaml", "--format", "json"]).output().unwrap();
    let shown: Value = serde_json::from_str(&Outcome::of(shown).expect_code(0).stdout).unwrap();
    let option = |index: usize| &shown["outputs"][index]["options"]["preferred_ip_version"];
    assert_eq!((&option(0)["value"], &option(1)["value"]), (&"ipv6".into(), &"any".into()), "{shown:#}");
}

/// What cannot be shown is refused before a run, with the place.
#[test]
fn invalid_identity_and_old_options_are_refused_with_the_way_out() {
    for (connector, more, words) in [
        (
            format!("name: {:?}", "x".repeat(256)),
            "",
            "`connector.name` has 256 bytes; at most 255 are allowed",
        ),
        ("comment: \" \"".to_owned(), "", "`connector.comment` is empty"),
        (
            "location: \"a\\u202eb\"".to_owned(),
            "",
            "`connector.location` is empty or has characters that cannot be printed",
        ),
        ("preferred_ip_version: ipv5".to_owned(), "", "`connector.preferred_ip_version`"),
        ("nick: x".to_owned(), "", "unknown key `nick`"),
        (
            "name: x".to_owned(),
            "connector_name: x, ",
            "belongs to the top level of the pipeline, as `connector.name`",
        ),
    ] {
        let sandbox = Sandbox::new();
        let output = CEF.replace("path:", &format!("{more}path:"));
        let text = format!("{}connector: {{ {connector} }}\n", pipeline(&report(), &[&output]));
        let outcome = sandbox.run(&text).expect_code(78);
        assert!(outcome.stderr.contains(words), "{words}:\n{}", outcome.stderr);
    }
    // A text that fits into the pipeline, but not into a field of the destination.
    let sandbox = Sandbox::new();
    let text = format!("{}connector: {{ comment: \"{}\" }}\n", pipeline(&report(), &[CEF]), "=".repeat(600));
    let outcome = sandbox.run(&text).expect_code(78);
    assert!(
        outcome.stderr.contains("`connector.comment` is longer than 1023 bytes after escaping"),
        "{}",
        outcome.stderr
    );
}
