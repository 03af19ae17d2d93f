//! Released JSON forms never change. These tests compare a complete example of each with `golden/frames.json`, and remove
//! and add keys.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::frames::{Answer, StoredFrame};
use super::reports_table::Marked;
use super::status::Detail;
use crate::batch::{Column, ColumnType, Schema};
use crate::keeper::Share;
use crate::model::{Hints, Note, ReportDetail, ReportEnd, ReportSource, ReportStart};
use crate::{
    CheckReport, ConnectorIdentity, Cryptography, DescribedCrypto, Descriptor, EndpointPort, ErrorKind,
    ExcludedKeys, Fips, InputCapabilities, KeepsCheckpoint, Limits, LocalCheck, OpenFrame, OptionCondition,
    OptionDescriptor, OptionKind, OptionMaximum, Outcome, OutputCapabilities, PluginError, PluginKind,
    Purpose, ReadOnly, Rendered, ReportChoice, ReportEntry, ReportKey, ReportMarks, ReportPage, ReportQuery,
    Resume, Shares, StoredReport, Verdict,
};

/// A complete example of each JSON form. Its keys and types are frozen.
fn forms() -> Vec<(&'static str, Value)> {
    fn form<T: Serialize>(value: &T) -> Value {
        serde_json::to_value(value).unwrap()
    }
    let column = |name: &str, column_type, title: &str| Column {
        name: name.to_owned(),
        column_type,
        title: title.to_owned(),
    };
    let schema = Schema {
        assets: vec![column("address", ColumnType::Text, "")],
        definitions: vec![column("acme:fixes", ColumnType::List, "fixes")],
        findings: vec![column("acme:epss", ColumnType::Decimal, "EPSS score")],
    };
    let start = ReportStart {
        id: "scan/1".to_owned(),
        kind: "SCAN".to_owned(),
        title: "title".to_owned(),
        time: "2026-01-31T12:00:00Z".to_owned(),
        path: "a.xml".to_owned(),
        source: ReportSource {
            product_version: "1".to_owned(),
            scanner: "appliance".to_owned(),
            name: "name".to_owned(),
            ..ReportSource::new("Vendor", "Product", "scheme")
        },
        hints: Hints::default().with_flag("host-input.add_host", Some(true)),
        revision: "7-1760000000".to_owned(),
        schema: schema.clone(),
        status: "FINISHED".to_owned(),
        signature_version: "2.1".to_owned(),
        assets_alive: Some(2),
        assets_total: Some(3),
        duration_secs: Some(90),
        encryption: String::new(),
        details: vec![ReportDetail::new("option_profile", "all ports")],
    };
    let end = ReportEnd {
        complete: true,
        deliver: true,
        reason: "truncated".to_owned(),
        clean_assets: vec!["192.0.2.1-192.0.2.9".parse().expect("a range")],
        notes: vec![Note { text: "invalid bytes were replaced".to_owned(), count: 2 }],
        bytes: 7,
    };
    let list = OptionKind::List { of: Box::new(OptionKind::Choice { words: vec!["a".to_owned()] }) };
    let kinds = [
        OptionKind::Flag,
        OptionKind::Integer { min: -1, max: 1 },
        OptionKind::Size { min: 0, max: 1 },
        OptionKind::Text,
        OptionKind::Path,
        list,
        OptionKind::Duration { min_ms: 0, max_ms: 1 },
        OptionKind::Endpoint { port: EndpointPort::Optional },
        OptionKind::Url {
            schemes: vec!["https".to_owned()],
            default_scheme: Some("https".to_owned()),
            path: false,
        },
        OptionKind::Map { of: Box::new(OptionKind::Text) },
    ];
    let condition = || OptionCondition { option: "option".to_owned(), words: vec!["a".to_owned()] };
    let option = |kind: OptionKind| OptionDescriptor {
        name: "option".to_owned(),
        kind,
        default: Some(Value::from("x")),
        required: true,
        secret: true,
        help: "help".to_owned(),
        deprecated_names: vec!["old".to_owned()],
        resume_safe: true,
        requires: vec!["option".to_owned()],
        conflicts: vec!["option".to_owned()],
        only_with: Some(condition()),
        required_with: Some(condition()),
        max_with: Some(OptionMaximum { condition: condition(), max: 1 }),
        host_name_with: Vec::new(),
        excludes_keys: Vec::new(),
        known: Vec::new(),
        group: String::new(),
    };
    let map = OptionDescriptor {
        excludes_keys: vec![ExcludedKeys { conditions: vec![condition()], keys: vec!["key".to_owned()] }],
        ..option(OptionKind::Map { of: Box::new(OptionKind::Text) })
    };
    let known = OptionDescriptor {
        known: vec!["asset.address".to_owned()],
        ..option(OptionKind::List { of: Box::new(OptionKind::Text) })
    };
    let named = OptionDescriptor { host_name_with: vec![vec![condition()]], ..option(OptionKind::Text) };
    let grouped = OptionDescriptor { group: "records".to_owned(), ..option(OptionKind::Flag) };
    let descriptor = Descriptor {
        name: "Name".to_owned(),
        kind: PluginKind::Output,
        version: "1.2.3".to_owned(),
        summary: "summary".to_owned(),
        api: "2.0".to_owned(),
        tables: vec!["output/2".to_owned()],
        capabilities: form(&OutputCapabilities::NONE.resume(Resume::Exact)),
        options: kinds.into_iter().map(option).collect(),
        crypto: None,
    };
    let check = CheckReport::default()
        .step("a", Verdict::Ok, "detail")
        .step("b", Verdict::Warning, "detail")
        .step("c", Verdict::Failed, "detail")
        .failed_step("d", &PluginError::new(ErrorKind::Auth, "message"));
    let local = CheckReport::default()
        .warning_step("a", &PluginError::new(ErrorKind::NoInput, "message").with_option("path"))
        .effective("url", "https://example.com", "`platform`");
    let error = Detail {
        message: "message".to_owned(),
        hint: Some("hint".to_owned()),
        option: Some("option".to_owned()),
        line: Some(7),
    };
    let open = OpenFrame {
        api: "2.0".to_owned(),
        host: "Scanbridge 1.0.0".to_owned(),
        pipeline: "qualys".to_owned(),
        instance: "siem".to_owned(),
        run: 12,
        purpose: Purpose::Run,
        options: [("path".to_owned(), Value::from("a.csv"))].into_iter().collect(),
        state_folder: "/var/lib/scanbridge".into(),
        reports: Some(vec![ReportKey { input: "scans".to_owned(), ..ReportKey::default() }]),
        options_changed: vec!["path".to_owned()],
        ..OpenFrame::default()
    };
    let key = ReportKey {
        input: "files".to_owned(),
        id: "scan/1".to_owned(),
        path: "a.xml".to_owned(),
        time: "2026-01-31T12:00:00Z".to_owned(),
        revision: "7-1760000000".to_owned(),
    };
    let stored =
        StoredFrame { reports: vec![StoredReport { key, outcome: Outcome::Delivered, dead_letters: 2 }] };
    vec![
        ("open", form(&open)),
        ("answer", form(&Answer::of(Some(InputCapabilities::NONE), Some(schema.clone())))),
        ("stored", form(&stored)),
        ("input capabilities", form(&InputCapabilities::NONE)),
        ("schema", form(&schema)),
        ("report start", form(&start)),
        ("report end", form(&end)),
        ("descriptor", form(&descriptor)),
        ("check report", form(&check)),
        ("error", form(&error)),
        ("option", form(&named)),
        ("option with excluded keys", form(&map)),
        ("option with known items", form(&known)),
        (
            "output capabilities with a local check",
            form(&OutputCapabilities::NONE.local_check(LocalCheck::Yes)),
        ),
        ("check report with effective values", form(&local)),
        (
            "input capabilities with reading without effect",
            form(&InputCapabilities::NONE.read_only(ReadOnly::Yes)),
        ),
        ("answer with an effect", {
            let effect =
                PluginError::new(ErrorKind::Config, "message").with_hint("hint").with_option("option");
            let none = Answer::<InputCapabilities>::of(None, None);
            form(&Answer { effect: Some(Detail::from(effect)), ..none })
        }),
        ("rendered", form(&Rendered::new(7, "text"))),
        ("rendered without a record", form(&Rendered::omitted(8, "reason"))),
        ("option in a group", form(&grouped)),
        ("open in an endless run", form(&OpenFrame { endless: true, ..OpenFrame::default() })),
        ("cryptography", form(&Cryptography::NONE.describe())),
        ("encrypted report start", form(&start.clone().with_encryption("soc-emea/1"))),
        ("open with an identity and encrypted fields", {
            let connector = ConnectorIdentity::default()
                .with_name("emea")
                .with_location("Berlin")
                .with_comment("comment");
            let connector = connector.with_host("m1").with_address("192.0.2.7".parse().ok());
            let encrypted = vec!["asset.address".to_owned()];
            form(&OpenFrame { connector, encrypted, ..OpenFrame::default() })
        }),
        ("open in FIPS mode", form(&OpenFrame { fips: Fips::SuiteB192, ..OpenFrame::default() })),
        ("report query", {
            let query = ReportQuery::default().with_since("2026-01-31T12:00:00Z").with_text("weekly");
            form(&query.with_until("2026-02-28T12:00:00Z").with_limit(7).with_cursor("7"))
        }),
        ("report page", {
            let entry =
                ReportEntry::new("scan/1", "title").with_kind("SCAN").with_made("2026-01-31T12:00:00Z");
            let entry = entry.with_bytes(Some(7)).with_source_state("Finished").with_detail("owner", "name");
            form(&ReportPage { entries: vec![entry], cursor: "7".to_owned(), total: 8 })
        }),
        ("report choice", form(&ReportChoice::new(vec!["scan/1".to_owned()], true))),
        ("report marks", form(&ReportMarks::new(vec!["scan/1".to_owned()], true))),
        ("marked reports", form(&Marked { changed: 1 })),
        (
            "output capabilities with the checkpoint",
            form(&OutputCapabilities::NONE.keeps_checkpoint(KeepsCheckpoint::Yes)),
        ),
        ("input capabilities with sharing", form(&InputCapabilities::NONE.shares(Shares::Yes))),
        ("answer with a share", {
            let none = Answer::<OutputCapabilities>::of(None, None);
            form(&Answer { share: Some(Share::new(1, 2)), ..none })
        }),
        ("open of a share", form(&OpenFrame { share: Some(Share::new(1, 2)), ..OpenFrame::default() })),
    ]
}

#[test]
fn released_json_forms_are_unchanged() {
    let current: String = forms().iter().map(|(name, form)| format!("{name}: {form}\n")).collect();
    let golden = include_str!("golden/frames.json");
    assert!(
        current == golden,
        "a released JSON form changed; it may only gain keys. The forms now are:\n{current}"
    );
}

/// Adds a key to each object. Settings and hints have names of their own.
fn add_keys(form: &mut Value) {
    match form {
        Value::Object(entries) => {
            let nested = entries.iter_mut().filter(|(name, _)| *name != "hints");
            nested
                .filter(|(name, value)| *name != "options" || value.is_array())
                .for_each(|(_, value)| add_keys(value));
            entries.insert("later".to_owned(), Value::from("added"));
        }
        Value::Array(items) => items.iter_mut().for_each(add_keys),
        _ => {}
    }
}

/// A form of a later version has more keys; one of an earlier version has fewer.
#[test]
fn json_forms_can_grow() {
    fn read<T: DeserializeOwned>(form: &Value) -> Result<(), String> {
        serde_json::from_value::<T>(form.clone()).map(drop).map_err(|error| error.to_string())
    }
    for (name, mut form) in forms() {
        let parse = match name {
            "report start" | "encrypted report start" => read::<ReportStart>,
            open if open.starts_with("open") => read::<OpenFrame>,
            answer if answer.starts_with("answer") => read::<Answer<OutputCapabilities>>,
            "stored" => read::<StoredFrame>,
            input if input.starts_with("input capabilities") => read::<InputCapabilities>,
            "schema" => read::<Schema>,
            "report end" => read::<ReportEnd>,
            "descriptor" => read::<Descriptor>,
            "error" => read::<Detail>,
            option if option.starts_with("option") => read::<OptionDescriptor>,
            output if output.starts_with("output capabilities") => read::<OutputCapabilities>,
            "cryptography" => read::<DescribedCrypto>,
            "rendered" | "rendered without a record" => read::<Rendered>,
            "report query" => read::<ReportQuery>,
            "report page" => read::<ReportPage>,
            "report choice" => read::<ReportChoice>,
            "report marks" => read::<ReportMarks>,
            "marked reports" => read::<Marked>,
            _ => read::<CheckReport>,
        };
        add_keys(&mut form);
        assert_eq!(parse(&form), Ok(()), "{name} with one more key in each object");
        if name == "descriptor" {
            form = serde_json::json!({ "name": "Name", "kind": "input" });
        } else if name.starts_with("option") {
            form = serde_json::json!({ "name": "name", "kind": { "type": "flag" } });
        } else if !name.starts_with("check report") {
            form = serde_json::json!({});
        }
        assert_eq!(parse(&form), Ok(()), "{name} with its required keys only");
    }
}

/// The keys without which an object cannot be read. There are never more of them: a form of an earlier version has fewer
/// keys.
#[test]
fn required_keys_are_only_removed() {
    fn is_read<T: DeserializeOwned>(object: &Value) -> bool {
        serde_json::from_value::<T>(object.clone()).is_ok()
    }
    type Read = fn(&Value) -> bool;
    let forms = forms();
    let object = |form: &str, path: &str| {
        let (_, value) = forms.iter().find(|(name, _)| *name == form).expect("a form of this name");
        value.pointer(path).unwrap_or_else(|| panic!("{form} has no {path}")).clone()
    };
    let objects: [(&str, &str, Read, &[&str]); 23] = [
        ("open", "", is_read::<OpenFrame>, &[]),
        ("open", "/limits", is_read::<Limits>, &[]),
        ("open", "/reports/0", is_read::<ReportKey>, &[]),
        ("answer", "", is_read::<Answer<OutputCapabilities>>, &[]),
        ("stored", "", is_read::<StoredFrame>, &[]),
        ("stored", "/reports/0", is_read::<StoredReport>, &["key", "outcome"]),
        ("schema", "", is_read::<Schema>, &[]),
        ("schema", "/findings/0", is_read::<Column>, &["name", "type"]),
        ("report start", "", is_read::<ReportStart>, &[]),
        ("report start", "/source", is_read::<ReportSource>, &[]),
        ("report start", "/details/0", is_read::<ReportDetail>, &["name", "value"]),
        ("report end", "", is_read::<ReportEnd>, &[]),
        ("report end", "/notes/0", is_read::<Note>, &["text", "count"]),
        ("descriptor", "", is_read::<Descriptor>, &["name", "kind"]),
        ("cryptography", "", is_read::<DescribedCrypto>, &[]),
        ("error", "", is_read::<Detail>, &[]),
        ("option", "", is_read::<OptionDescriptor>, &["name", "kind"]),
        ("report query", "", is_read::<ReportQuery>, &[]),
        ("report page", "", is_read::<ReportPage>, &[]),
        ("report page", "/entries/0", is_read::<ReportEntry>, &[]),
        ("report choice", "", is_read::<ReportChoice>, &[]),
        ("report marks", "", is_read::<ReportMarks>, &[]),
        ("open of a share", "/share", is_read::<Share>, &[]),
    ];
    for (form, path, is_read, required) in objects {
        let complete = object(form, path);
        let keys: Vec<String> = complete.as_object().expect("an object").keys().cloned().collect();
        let is_needed = |key: &&String| {
            let mut shorter = complete.clone();
            shorter.as_object_mut().expect("an object").remove(*key);
            !is_read(&shorter)
        };
        let needed: Vec<&String> = keys.iter().filter(is_needed).collect();
        let added: Vec<_> = needed.iter().filter(|key| !required.contains(&key.as_str())).collect();
        assert!(added.is_empty(), "{form}{path} cannot be read without {added:?}");
    }
}
