//! Options `details`, `ignored` and `disabled`: the parameters of the detection call.

use scanbridge_doubles::fake_qualys::{Population, Reply, Script};
use scanbridge_plugin_api::{ErrorKind, Services};
use serde_json::{Value, json};

use crate::drive::Bench;

const PAGE: &str = "/fo/asset/host/vm/detection/";

fn bench(script: Script, options: Value) -> Bench {
    Bench::new(script.population(Population::of(3)))
        .with(json!({ "source": "host-detections", "template_id": null }))
        .with(options)
}

/// The parameters of each detection call, except those that other tests look at.
fn optional(bench: &Bench) -> Vec<Vec<String>> {
    let others = ["action", "output_format", "truncation_limit", "status", "id_min"];
    let calls = bench.qualys.requests().into_iter().filter(|request| request.path.ends_with(PAGE));
    calls
        .map(|call| {
            let fields = call.fields.into_iter().filter(|(name, _)| !others.contains(&name.as_str()));
            fields.map(|(name, value)| format!("{name}={value}")).collect()
        })
        .collect()
}

const BY_DEFAULT: [&str; 6] = [
    "show_asset_id=1",
    "show_tags=1",
    "show_qds=1",
    "show_qds_factors=1",
    "show_reopened_info=1",
    "mitre_attack_details=1",
];
const ALL: [&str; 7] = ["asset-id", "tags", "scores", "reopened", "attack", "cloud", "running"];

#[test]
fn options_set_the_parameters() {
    let with = |more: &[&'static str]| [&BY_DEFAULT[..], more].concat();
    for (options, expected) in [
        (json!({}), with(&[])),
        (json!({ "ignored": true }), [&["include_ignored=1"], &BY_DEFAULT[..]].concat()),
        (json!({ "disabled": true }), [&["include_disabled=1"], &BY_DEFAULT[..]].concat()),
        (json!({ "details": [] }), vec![]),
        (json!({ "details": ["scores"] }), vec!["show_qds=1", "show_qds_factors=1"]),
        (json!({ "details": ALL }), with(&["host_metadata=all", "show_cloud_tags=1", "show_arf_data=1"])),
        (json!({ "detections_version": "4.0" }), with(&[])),
        (json!({ "detections_version": "3.0" }), BY_DEFAULT[..5].to_vec()),
        (json!({ "extra_parameters": { "include_ignored": "1" } }), with(&["include_ignored=1"])),
        (
            json!({ "details": ["tags"], "extra_parameters": { "show_qds": "1" } }),
            vec!["show_tags=1", "show_qds=1"],
        ),
    ] {
        let bench = bench(Script::new(), options.clone());
        bench.run().unwrap().only_report();
        assert_eq!(optional(&bench), [expected], "{options}");
    }
}

/// Only the text of Qualys names the parameter.
#[test]
fn refused_parameter_is_omitted_with_one_warning() {
    for (pattern, code, text, missing, calls) in [
        ("show_tags=1", 1905, "show_tags: bad value", "tags", 2),
        ("show_qds_factors=1", 1901, "Unrecognized parameter(s): SHOW_QDS_FACTORS", "scores", 2),
        ("show_qds=1", 1907, "The parameters show_qds and status cannot be combined", "scores", 2),
        (
            "mitre_attack_details=1",
            1901,
            "Unrecognized parameter(s): mitre_attack_details, show_reopened_info",
            "reopened`, `attack",
            2,
        ),
        ("show_asset_id=1", 1905, "Bad value", "asset-id`, `tags`, `scores`, `reopened`, `attack", 2),
    ] {
        let script = Script::new().on(&format!("{pattern} action=list"), [Reply::code(400, code, text)]);
        let bench = bench(script, json!({ "page_size": 1 }));
        let services = Services::without_host(&bench.state());
        let outcome = bench.run_with(&services).unwrap();
        assert_eq!(outcome.only_report().assets.len(), 3);
        let refused: Vec<(String, u64)> =
            services.notes().into_iter().filter(|(note, _)| note.contains("refuses")).collect();
        let note = format!("details `{missing}` are missing: Qualys refuses their parameters");
        assert_eq!(refused, [(note, 1)], "{text}");
        // The other pages are requested without the detail at once.
        assert_eq!(optional(&bench).len(), 2 + calls, "{text}");
        assert_eq!(bench.qualys.count(pattern), 1, "{text}");
    }
}

#[test]
fn two_refused_parameters_are_omitted_one_after_the_other() {
    let script = Script::new()
        .on("show_tags=1", [Reply::code(400, 1905, "show_tags: bad value")])
        .on("show_qds=1", [Reply::code(400, 1901, "show_qds: unknown")]);
    let bench = bench(script, json!({}));
    let services = Services::without_host(&bench.state());
    bench.run_with(&services).unwrap().only_report();
    assert_eq!(services.notes().keys().filter(|note| note.contains("refuses")).count(), 2);
    assert_eq!(optional(&bench).len(), 3);
}

#[test]
fn refusal_of_another_parameter_or_another_code_is_an_error() {
    for (code, text) in [
        (1905, "severities: bad value"),
        (1905, "include_ignored: bad value"),
        (1903, "show_tags is missing"),
        (1922, "show_tags"),
    ] {
        let script = Script::new().on("action=list", [Reply::code(400, code, text)]);
        let bench = bench(script, json!({ "severities": ["5"], "ignored": true }));
        assert_eq!(bench.fails().kind, ErrorKind::Config, "{text}");
        assert_eq!(bench.qualys.requests().len(), 1, "{text}");
    }
    // Without details nothing is left to omit.
    let script = Script::new().on("action=list", [Reply::code(400, 1905, "bad value")]);
    let bench = bench(script, json!({}));
    assert_eq!(bench.fails().kind, ErrorKind::Config);
    assert_eq!(bench.qualys.requests().len(), 2);
}

#[test]
fn changed_details_start_a_full_pull() {
    let mut bench = bench(Script::new(), json!({ "incremental": true }));
    bench.run().unwrap();
    bench.run().unwrap();
    for changed in [json!({ "details": ["tags"] }), json!({ "ignored": true }), json!({ "disabled": true })] {
        bench.set(changed);
        let before = bench.qualys.count("vm_processed_after=2026-03-31T23:00:01Z");
        bench.run().unwrap();
        assert_eq!(bench.qualys.count("vm_processed_after=2026-03-31T23:00:01Z"), before);
    }
}
