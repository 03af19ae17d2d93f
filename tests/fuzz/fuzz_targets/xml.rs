//! Reads any bytes as a report: no panic, valid batches, bounded memory, the same result for any split of the bytes,
//! and no control characters in messages, which could forge a log line.
//!
//! The first byte selects the kind of report, or that the rest is expanded first ([`REPEATED`]).
#![no_main]

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use scanbridge_plugin_api::batch::{Batch, BatchBuilder, Columns, RawBatch2, Schema};
use scanbridge_qualys_xml::tail::{self, Ending};
use scanbridge_qualys_xml::test_support::{MemorySpool, Pieces};
use scanbridge_qualys_xml::{
    Damage, Definitions, Kind, Limits, Progress, Reply, ReportReader, index_knowledge_base, line_at,
    read_preface,
};

/// A small limit, so that inputs of a few hundred KiB exceed it.
const LIMITS: Limits = Limits { text_bytes: 128 << 10 };

/// Maximum size of a batch. A batch is full at its target size. It can exceed that by one definition, one finding, and
/// one asset before and after its late texts, each within the limit. Buffers grow by doubling; tables have the same bound.
const MAX_BATCH_BYTES: usize = 2 * (2 * BatchBuilder::TARGET_BYTES + 4 * LIMITS.text_bytes);

/// With this first byte, the rest is expanded by [`repeat_parts`].
const REPEATED: u8 = b'@';
/// Inputs are too short to fill a batch. So `LONG` is replaced by a long text, and the text between two `MANY` is
/// repeated many times. These bytes do not occur in UTF-8.
const LONG: u8 = 0xFE;
const MANY: u8 = 0xFD;
const LONG_BYTES: usize = 16 << 10;
const MANY_TIMES: usize = 50_000;
/// Maximum size after expansion.
const MAX_BYTES: usize = 640 << 10;

static COLUMNS: LazyLock<Columns> = LazyLock::new(|| Columns::of(Schema::default()));

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((first, rest)) = input.split_first() else { return Corpus::Reject };
    let bytes = if *first != REPEATED { Cow::Borrowed(rest) } else { Cow::Owned(repeat_parts(rest)) };
    let kind = match first % 8 {
        1 => Kind::Scan,
        2 => Kind::TemplateReport,
        3 | 4 => Kind::Detections,
        5 => Kind::KnowledgeBase,
        6 => Kind::Reply(["SIMPLE_RETURN", "GENERIC_RETURN", "BATCH_RETURN"][rest.len() % 3].to_owned()),
        _ => Kind::of(&bytes[..bytes.len().min(Kind::WINDOW)]),
    };
    check_message(&kind.describe().0);
    match &kind {
        Kind::Reply(_) => check_message(&Reply::read(&bytes[..]).to_string()),
        Kind::KnowledgeBase => read_knowledge_base(&bytes),
        kind if kind.is_report() => read_report(kind, &bytes, first % 8 == 4),
        _ => {}
    }
    Corpus::Keep
});

fn repeat_parts(bytes: &[u8]) -> Vec<u8> {
    let filling = b"long text &amp; more\n".repeat(LONG_BYTES / 21);
    let mut repeated = Vec::new();
    for (index, part) in bytes.split(|byte| *byte == MANY).enumerate() {
        let mut pieces = part.split(|byte| *byte == LONG);
        let mut part = pieces.next().unwrap_or_default().to_vec();
        for piece in pieces {
            let allowed = MAX_BYTES.saturating_sub(repeated.len() + part.len());
            part.extend_from_slice(&filling[..filling.len().min(allowed)]);
            part.extend_from_slice(piece);
        }
        let allowed = MAX_BYTES.saturating_sub(repeated.len()) / part.len().max(1);
        let times = if index % 2 == 0 { 1 } else { MANY_TIMES.min(allowed) };
        repeated.extend(part.repeat(times));
    }
    repeated
}

fn read_knowledge_base(bytes: &[u8]) {
    let mut definitions = Definitions::new(Box::<MemorySpool>::default());
    match index_knowledge_base(bytes, LIMITS, &mut definitions) {
        Ok(indexed) => indexed.notes.iter().for_each(|note| check_message(&note.text)),
        Err(damage) => check_damage(&damage, bytes),
    }
}

fn read_report(kind: &Kind, bytes: &[u8], with_knowledge_base: bool) {
    let root = kind.root().expect("a report has a root");
    let window = &bytes[bytes.len().saturating_sub(tail::WINDOW)..];
    let ending = Ending::of(window, root, window.len() == bytes.len());
    let at_once = Outcome::of(kind, bytes, usize::MAX, with_knowledge_base);
    // A limit is checked per block, so its exact position depends on the blocks. Long inputs are not compared.
    if bytes.len() < LIMITS.text_bytes {
        let pieces =
            Outcome::of(kind, bytes, 1 + bytes.len() % 61 * (1 + bytes.len() / 512), with_knowledge_base);
        assert!(at_once == pieces, "in one piece {at_once:?}\nin several pieces {pieces:?}");
    }
    if ending == Ending::Truncated && !has_odd_ending(window, root) {
        assert!(at_once.damage.is_some(), "a truncated report was read as complete");
    }
}

/// The result of reading a report, in a form that can be compared.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// Hash of all texts, in order.
    digest: u64,
    findings: usize,
    assets: u64,
    notes: Vec<String>,
    damage: Option<String>,
}

impl Outcome {
    /// Reads a report with the same steps as the file input. The source provides pieces of `piece` bytes.
    fn of(kind: &Kind, bytes: &[u8], piece: usize, with_knowledge_base: bool) -> Self {
        let mut definitions = Definitions::new(Box::<MemorySpool>::default());
        if *kind == Kind::Detections {
            index_knowledge_base(KNOWLEDGE_BASE, LIMITS, &mut definitions).expect("the constant is valid");
        }
        let pieces = [piece];
        let source = || Pieces::new(bytes, &pieces);
        let (mut preface, damage) = read_preface(kind, source(), LIMITS, &mut definitions);
        preface.error.iter().for_each(|error| check_message(error));
        if let Some(damage) = &damage {
            check_damage(damage, bytes);
        }
        let mut reader = ReportReader::new(kind, source(), LIMITS, &mut preface);
        let mut store = (*kind != Kind::Detections || with_knowledge_base).then_some(&mut definitions);
        let (mut sum, mut recycled) = (Sum::default(), RawBatch2::default());
        let end = loop {
            let mut batch = BatchBuilder::recycle(COLUMNS.schema(), recycled);
            let progress = reader.fill(&mut batch, store.as_deref_mut());
            recycled = sum.add(batch.finish());
            match progress {
                Ok(Progress::Full) => {}
                Ok(Progress::Ended) => break damage,
                Err(late) => {
                    check_damage(&late, bytes);
                    break Some(late);
                }
            }
        };
        let mut notes = reader.notes();
        notes.iter().for_each(|note| check_message(&note.text));
        // Invalid bytes are replaced ahead of the parser, so the number of replaced bytes after the damage can vary.
        notes.retain(|note| end.is_none() || !note.text.starts_with("invalid bytes replaced"));
        Self {
            digest: sum.hasher.finish(),
            findings: sum.findings,
            assets: reader.assets(),
            notes: notes.into_iter().map(|note| format!("{} {}", note.text, note.count)).collect(),
            damage: end.map(|damage| damage.to_string()),
        }
    }
}

/// Reads every cell of every batch.
#[derive(Default)]
struct Sum {
    hasher: DefaultHasher,
    findings: usize,
}

impl Sum {
    fn add(&mut self, raw: RawBatch2) -> RawBatch2 {
        assert!(raw.capacity_bytes() <= MAX_BATCH_BYTES, "a batch has {} bytes", raw.capacity_bytes());
        let batch = Batch::of(&raw, &COLUMNS).expect("the reader makes valid batches");
        let schema = COLUMNS.schema();
        for asset in batch.assets() {
            asset.is_continued().hash(&mut self.hasher);
            (0..schema.assets.len()).for_each(|cell| asset.column(Some(cell)).hash(&mut self.hasher));
        }
        for finding in batch.findings() {
            let (asset, definition) = (finding.asset(), finding.definition());
            (asset.row(), finding.kind(), finding.port()).hash(&mut self.hasher);
            finding.facts().for_each(|fact| fact.to_string().hash(&mut self.hasher));
            (0..schema.definitions.len())
                .for_each(|cell| definition.column(Some(cell)).hash(&mut self.hasher));
            (0..schema.findings.len()).for_each(|cell| finding.column(Some(cell)).hash(&mut self.hasher));
        }
        self.findings += batch.finding_count();
        raw
    }
}

fn check_damage(damage: &Damage, bytes: &[u8]) {
    check_message(&damage.to_string());
    let line = line_at(bytes, damage.offset).expect("memory can be read");
    assert!(line >= 1 && line <= bytes.len() as u64 + 1, "line {line}");
}

/// Checks that a message is one line of bounded length.
fn check_message(message: &str) {
    assert!(message.len() <= 4096, "a message of {} bytes", message.len());
    assert!(!message.chars().any(char::is_control), "a control character in {message:?}");
}

/// Whether the report ends with a comment or processing instruction that contains its own opening mark, or with a tag
/// that contains `<`. The last bytes alone cannot distinguish such a report from a truncated one.
fn has_odd_ending(tail: &[u8], root: &str) -> bool {
    let text = String::from_utf8_lossy(tail);
    let at = text.rfind(&format!("</{root}")).or_else(|| text.rfind(&format!("<{root}")));
    at.is_none_or(|at| text[at + 1..].contains('<') || text[at..].contains('\u{FFFD}'))
}

const KNOWLEDGE_BASE: &[u8] = b"<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE><VULN_LIST>\
    <VULN><QID>38170</QID><SEVERITY_LEVEL>2</SEVERITY_LEVEL><TITLE>One</TITLE><CATEGORY>CGI</CATEGORY>\
    <DIAGNOSIS>d</DIAGNOSIS><CVE_LIST><CVE><ID>CVE-2026-0001</ID></CVE></CVE_LIST></VULN>\
    <VULN><QID>45017</QID><SEVERITY_LEVEL>1</SEVERITY_LEVEL><TITLE>Two</TITLE></VULN>\
    <VULN><QID>1</QID><TITLE>Three</TITLE></VULN>\
    </VULN_LIST></RESPONSE></KNOWLEDGE_BASE_VULN_LIST_OUTPUT>";
