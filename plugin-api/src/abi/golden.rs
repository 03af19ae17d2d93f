//! Released parts of the ABI never change. These tests compare the table layouts, the JSON forms, the numbers and the
//! words with the files in `golden/`. Lines may be added to these files, never changed. The root module is not
//! included: `abi_stable` compares its layout whenever a library is loaded.

use std::fmt::Write;

use abi_stable::StableAbi;
use abi_stable::type_layout::TypeLayout;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::StepKind;
use super::frames::{Answer, StoredFrame};
use super::status::Detail;
use super::{
    AliveTable1, CancelTable1, HostTable2, LogTable1, MaskTable1, MetricsTable1, MovedTable1, NotesTable1,
    PanicTable1, StateTable1, WakeTable1,
};
use super::{BatchRef, DefinitionRef, RawBatch2, TextRef};
use super::{Bytes, BytesRef, Owner, Words, WordsRef};
use super::{
    CommittedFrame, InputTable2, OutputTable2, RenderTable1, Status, StepFrame, WriteFrame, WrittenFrame,
};
use crate::batch::{Column, ColumnType, Schema};
use crate::model::{
    AssetField, DefinitionField, Field, FindingField, FindingKind, FindingStatus, Hints, Note, Protocol,
    ReportDetail, ReportEnd, ReportSource, ReportStart,
};
use crate::{
    CheckReport, Descriptor, EndpointPort, ErrorKind, ExcludedKeys, OptionCondition, OptionDescriptor,
    OptionKind, OptionMaximum, PluginError, PluginKind, Verdict,
};
use crate::{
    Ends, InputCapabilities, LateAnswers, LocalCheck, OpenFrame, Order, Outcome, OutputCapabilities, Partial,
    Purpose, ReadOnly, Rendered, Replaces, ReportKey, Rereads, Resume, Resumes, StoredReport,
};

#[test]
fn released_tables_are_unchanged() {
    let tables = [
        ("host/2", <HostTable2 as StableAbi>::LAYOUT),
        (super::LOG_1, <LogTable1 as StableAbi>::LAYOUT),
        (super::CANCEL_1, <CancelTable1 as StableAbi>::LAYOUT),
        (super::ALIVE_1, <AliveTable1 as StableAbi>::LAYOUT),
        (super::NOTES_1, <NotesTable1 as StableAbi>::LAYOUT),
        (super::WAKE_1, <WakeTable1 as StableAbi>::LAYOUT),
        (super::MASK_1, <MaskTable1 as StableAbi>::LAYOUT),
        (super::STATE_1, <StateTable1 as StableAbi>::LAYOUT),
        (super::METRICS_1, <MetricsTable1 as StableAbi>::LAYOUT),
        (super::PANIC_1, <PanicTable1 as StableAbi>::LAYOUT),
        ("input/2", <InputTable2 as StableAbi>::LAYOUT),
        ("input/2 step", <StepFrame as StableAbi>::LAYOUT),
        ("output/2", <OutputTable2 as StableAbi>::LAYOUT),
        ("output/2 write", <WriteFrame<'static> as StableAbi>::LAYOUT),
        ("output/2 written", <WrittenFrame as StableAbi>::LAYOUT),
        ("output/2 committed", <CommittedFrame as StableAbi>::LAYOUT),
        ("owner", <Owner as StableAbi>::LAYOUT),
        ("bytes", <Bytes as StableAbi>::LAYOUT),
        ("words", <Words as StableAbi>::LAYOUT),
        ("bytes reference", <BytesRef<'static> as StableAbi>::LAYOUT),
        ("words reference", <WordsRef<'static> as StableAbi>::LAYOUT),
        ("status", <Status as StableAbi>::LAYOUT),
        ("batch/2", <RawBatch2 as StableAbi>::LAYOUT),
        ("text reference", <TextRef<'static> as StableAbi>::LAYOUT),
        ("output/2 batch", <BatchRef<'static> as StableAbi>::LAYOUT),
        ("output/2 definition", <DefinitionRef<'static> as StableAbi>::LAYOUT),
        (super::RENDER_1, <RenderTable1 as StableAbi>::LAYOUT),
        (super::MOVED_1, <MovedTable1 as StableAbi>::LAYOUT),
    ];
    let dump: String = tables.into_iter().map(|(id, layout)| table(id, layout)).collect();
    assert!(
        !dump.contains("AFunctionPointer") && !dump.contains("RVec") && !dump.contains("bool"),
        "a table contains an optional function, a generic type or a bool:\n{dump}"
    );
    let golden = include_str!("golden/tables.txt");
    assert!(
        dump == golden,
        "a released table changed; publish the change under a new ID, and only add it to golden/tables.txt. The tables now \
         are:\n{dump}"
    );
}

fn table(id: &str, layout: &'static TypeLayout) -> String {
    let mut text = format!("{id}: {} bytes, aligned to {}\n", layout.size(), layout.alignment());
    let mut offset = 0;
    for field in layout.get_fields().into_iter().flatten() {
        let (size, alignment) = (field.layout().size(), field.layout().alignment());
        offset = usize::next_multiple_of(offset, alignment);
        let _ = write!(text, "  {offset:>3} {} ", field.name());
        if field.is_function() {
            for function in field.function_range().iter() {
                // Only the first line: the others list lifetimes, which do not cross the ABI.
                let _ = writeln!(text, "{}", function.to_string().lines().next().unwrap_or_default());
            }
        } else {
            let _ = writeln!(text, "{}", field.full_type());
        }
        offset += size;
    }
    text + "\n"
}

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

/// A form of a later version has more keys; one of an earlier version has fewer.
#[test]
fn json_forms_can_grow() {
    fn read<T: DeserializeOwned>(form: &Value) -> Result<(), String> {
        serde_json::from_value::<T>(form.clone()).map(drop).map_err(|error| error.to_string())
    }
    for (name, mut form) in forms() {
        let parse = match name {
            "open" | "open in an endless run" => read::<OpenFrame>,
            "answer" | "answer with an effect" => read::<Answer<OutputCapabilities>>,
            "stored" => read::<StoredFrame>,
            "input capabilities" | "input capabilities with reading without effect" => {
                read::<InputCapabilities>
            }
            "schema" => read::<Schema>,
            "report start" => read::<ReportStart>,
            "report end" => read::<ReportEnd>,
            "descriptor" => read::<Descriptor>,
            "error" => read::<Detail>,
            option if option.starts_with("option") => read::<OptionDescriptor>,
            "output capabilities with a local check" => read::<OutputCapabilities>,
            "rendered" | "rendered without a record" => read::<Rendered>,
            _ => read::<CheckReport>,
        };
        form["later"] = Value::from("added");
        assert_eq!(parse(&form), Ok(()), "{name} with one more key");
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

#[test]
fn released_numbers_and_words_are_unchanged() {
    let mut current = String::new();
    for kind in ErrorKind::ALL {
        let _ = writeln!(current, "error {} {kind:?} flags {}", kind as u32, super::status::flags(kind));
    }
    for kind in FindingKind::ALL {
        let _ = writeln!(current, "kind {} {}", kind.code(), kind.word());
    }
    for status in FindingStatus::ALL {
        let _ = writeln!(current, "status {} {}", status.code(), status.word());
    }
    for protocol in Protocol::NUMBERED.into_iter().chain([Protocol::Other("other")]) {
        let _ = writeln!(current, "protocol {} {}", protocol.code(), protocol.name());
    }
    let mut list = |name: &str, words: Vec<&'static str>| {
        let _ = writeln!(current, "{name} {}", words.join(" "));
    };
    list("purpose", Purpose::ALL.map(Purpose::word).to_vec());
    list("outcome", Outcome::ALL.map(Outcome::word).to_vec());
    list("resume", Resume::ALL.iter().map(|word| word.word()).collect());
    list("replaces", Replaces::ALL.iter().map(|word| word.word()).collect());
    list("partial", Partial::ALL.iter().map(|word| word.word()).collect());
    list("order", Order::ALL.iter().map(|word| word.word()).collect());
    list("late_answers", LateAnswers::ALL.iter().map(|word| word.word()).collect());
    list("resumes", Resumes::ALL.iter().map(|word| word.word()).collect());
    list("rereads", Rereads::ALL.iter().map(|word| word.word()).collect());
    list("ends", Ends::ALL.iter().map(|word| word.word()).collect());
    list("column types", ColumnType::ALL.map(ColumnType::word).to_vec());
    list("reserved", vec!["keeper/1", "transform/1", "keeps_checkpoint", "shares", "share"]);
    list("abilities", super::ABILITIES.to_vec());
    for kind in [
        StepKind::Batch,
        StepKind::ReportStart,
        StepKind::ReportEnd,
        StepKind::Refused,
        StepKind::Idle,
        StepKind::Finished,
        StepKind::Mark,
    ] {
        let _ = writeln!(current, "step {} {kind:?}", kind as u32);
    }
    for (table, names) in [
        ("asset", AssetField::NAMES),
        ("definition", DefinitionField::NAMES),
        ("finding", FindingField::NAMES),
    ] {
        let _ = writeln!(current, "{table} {}", names.join(" "));
    }
    // Later lists follow at the end.
    let words: Vec<&str> = LocalCheck::ALL.iter().map(|word| word.word()).collect();
    let _ = writeln!(current, "local_check {}", words.join(" "));
    let words: Vec<&str> = ReadOnly::ALL.iter().map(|word| word.word()).collect();
    let _ = writeln!(current, "read_only {}", words.join(" "));
    let _ = writeln!(current, "tables {}", [super::INPUT_2, super::OUTPUT_2, super::RENDER_1].join(" "));
    let golden = include_str!("golden/words.txt");
    assert!(
        current == golden,
        "a released number or word changed; they may only be added. They now are:\n{current}"
    );
}
