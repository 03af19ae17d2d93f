//! Joins findings with their definitions by QID.

use scanbridge_plugin_api::batch::{BatchBuilder, DefinitionIndex};
use scanbridge_plugin_api::model::{DefinitionField, FindingKind};

use crate::batch_writer::{BatchWriter, add_facts, pause_when_overfull};
use crate::damage::Fault;
use crate::definitions::{Definitions, Entry};
use crate::element_role::Code;
use crate::facts::reader_of;
use crate::forms::trim;
use crate::walk::{Flow, State};

/// Destination of a report whose definitions are separate from its findings.
pub(crate) struct Joined<'a> {
    pub(crate) batch: &'a mut BatchBuilder,
    pub(crate) definitions: Option<&'a mut Definitions>,
}

/// Delivers the finding in the cells. `key` is its QID as a number, if it has one.
pub(crate) fn deliver(
    writer: &mut BatchWriter,
    key: Option<u32>,
    state: &mut State,
    sink: &mut Joined<'_>,
) -> Result<Flow, Box<Fault>> {
    state.cells.settle_lists();
    state.cells.settle_status();
    state.pass_on_now();
    let Some(asset) = writer.asset(&mut state.cells, sink.batch) else { return Ok(Flow::On) };
    let known = match (key, &sink.definitions) {
        (Some(key), Some(all)) => all.find(key).map(|entry| (key, entry)),
        _ => None,
    };
    if state.cells.finding.kind().is_none() {
        let kind = known.and_then(|(_, entry)| entry.kind).filter(|_| !state.cells.has(Code::Kind));
        match kind {
            Some(_) => state.notes.kinds_of_definition += 1,
            None => state.notes.unknown_types += 1,
        }
        state.cells.finding.set_kind(kind.unwrap_or(FindingKind::Information));
    }
    if let Some(reader) = reader_of(state.cells.definition.get(DefinitionField::Id)) {
        add_facts(&mut state.cells, reader)?;
    }
    if !state.cells.has(Code::Severity) {
        state.cells.finding.set_severity(known.and_then(|(_, entry)| entry.severity));
    }
    let definition = definition(known, state, sink)?;
    sink.batch.push_finding(asset, definition, &state.cells.finding);
    Ok(pause_when_overfull(sink.batch))
}

fn definition(
    known: Option<(u32, Entry)>,
    state: &mut State,
    sink: &mut Joined<'_>,
) -> Result<DefinitionIndex, Box<Fault>> {
    match (known, &mut sink.definitions) {
        (Some((key, entry)), Some(all)) => {
            return all.push(key, entry, &mut state.cells.definition, sink.batch);
        }
        (None, Some(_)) => state.notes.missing_definitions += 1,
        (_, None) => state.notes.without_knowledge_base += 1,
    }
    Ok(sink.batch.push_definition(&state.cells.definition))
}

/// The number in `qid_12345` or `12345`.
pub(crate) fn qid_number(text: &str) -> Option<u32> {
    let text = trim(text);
    text.strip_prefix("qid_").unwrap_or(text).parse().ok()
}
