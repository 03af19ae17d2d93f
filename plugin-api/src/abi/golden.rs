//! Released parts of the ABI never change. These tests compare the table layouts, the numbers and the words with the
//! files in `golden/`. Lines may be added to these files, never changed. The root module is not included: `abi_stable`
//! compares its layout whenever a library is loaded.

use std::fmt::Write;

use abi_stable::StableAbi;
use abi_stable::type_layout::TypeLayout;

use super::frames::begin;
use super::{
    AliveTable1, CancelTable1, HostTable2, LogTable1, MaskTable1, MetricsTable1, MovedTable1, NotesTable1,
    PanicTable1, StateTable1, WakeTable1,
};
use super::{BatchRef, DefinitionRef, RawBatch2, StepKind, TextRef};
use super::{Bytes, BytesRef, Owner, Words, WordsRef};
use super::{
    CommittedFrame, InputTable2, KeeperTable1, OutputTable2, RenderTable1, ReportsTable1, Status, StepFrame,
    WriteFrame, WrittenFrame,
};
use super::{delivered_frames, host_table, input_table, status, write_frame};
use crate::batch::ColumnType;
use crate::model::{AssetField, DefinitionField, Field, FindingField, FindingKind, FindingStatus, Protocol};
use crate::{
    Ends, ErrorKind, KeepsCheckpoint, LateAnswers, LocalCheck, Order, Outcome, Partial, Purpose, ReadOnly,
    Replaces, Rereads, Resume, Resumes, Shares,
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
        (super::REPORTS_1, <ReportsTable1 as StableAbi>::LAYOUT),
        (super::KEEPER_1, <KeeperTable1 as StableAbi>::LAYOUT),
    ];
    let dump: String = tables.into_iter().map(|(id, layout)| table(id, layout)).collect();
    let words = dump.split(|c: char| !c.is_alphanumeric() && c != '_');
    let foreign: Vec<&str> = words.filter(|word| FOREIGN.contains(word)).collect();
    assert!(foreign.is_empty(), "a table contains {foreign:?}:\n{dump}");
    let golden = include_str!("golden/tables.txt");
    assert!(
        dump == golden,
        "a released table changed; publish the change under a new ID, and only add it to golden/tables.txt. The tables now \
         are:\n{dump}"
    );
}

/// An optional function, types whose parameters the dump does not show, and types for which a bit pattern is invalid.
const FOREIGN: [&str; 18] = [
    "AFunctionPointer",
    "RVec",
    "RString",
    "RStr",
    "RSlice",
    "RSliceMut",
    "RBox",
    "RArc",
    "ROption",
    "RResult",
    "RHashMap",
    "RCow",
    "Option",
    "Vec",
    "Box",
    "String",
    "bool",
    "char",
];

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
    let mut numbers = |name: &str, numbers: &[(&str, u32)]| {
        let numbers: Vec<String> = numbers.iter().map(|(name, number)| format!("{name} {number}")).collect();
        let _ = writeln!(current, "{name}: {}", numbers.join(", "));
    };
    numbers(
        "flags of a status",
        &[
            ("retry", status::RETRY),
            ("operator", status::OPERATOR),
            ("peer", status::PEER),
            ("plugin", status::PLUGIN),
            ("has_wait", status::HAS_WAIT),
        ],
    );
    numbers(
        "flags of a step",
        &[
            ("has_position", input_table::HAS_POSITION),
            ("mark", input_table::MARK),
            ("wait_stored", input_table::WAIT_STORED),
            ("skippable", input_table::SKIPPABLE),
            ("has_wait", input_table::HAS_WAIT),
            ("continued", input_table::CONTINUED),
        ],
    );
    numbers(
        "flags of begin",
        &[("continued", begin::CONTINUED), ("partial", begin::PARTIAL), ("has_gap", begin::HAS_GAP)],
    );
    numbers(
        "flags of write",
        &[("all_assets", write_frame::ALL_ASSETS), ("all_findings", write_frame::ALL_FINDINGS)],
    );
    numbers("flags of commit", &[("between_reports", delivered_frames::BETWEEN_REPORTS)]);
    numbers("flags of committed", &[("has_receipt", delivered_frames::HAS_RECEIPT)]);
    numbers("flags of progress", &[("total_is_known", host_table::TOTAL_IS_KNOWN)]);
    numbers("kinds of metrics", &[("counter", host_table::COUNTER), ("gauge", host_table::GAUGE)]);
    numbers("cancel levels", &[("drain", crate::services::DRAIN), ("abort", crate::services::ABORT)]);
    let _ = writeln!(current, "tables {}", super::REPORTS_1);
    let words: Vec<&str> = KeepsCheckpoint::ALL.iter().map(|word| word.word()).collect();
    let _ = writeln!(current, "keeps_checkpoint {}", words.join(" "));
    let words: Vec<&str> = Shares::ALL.iter().map(|word| word.word()).collect();
    let _ = writeln!(current, "shares {}", words.join(" "));
    let _ = writeln!(current, "tables {}", super::KEEPER_1);
    let golden = include_str!("golden/words.txt");
    assert!(
        current == golden,
        "a released number or word changed; they may only be added. They now are:\n{current}"
    );
}
