//! Joins findings with their definitions by QID.

use std::collections::HashMap;

use scanbridge_plugin_api::batch::{BatchBuilder, DefinitionIndex};
use scanbridge_plugin_api::model::{DefinitionField, FindingKind};

use crate::batch_writer::{BatchWriter, add_facts, pause_when_overfull};
use crate::damage::Fault;
use crate::definitions::Definitions;
use crate::element_role::Code;
use crate::facts::reader_of;
use crate::forms::trim;
use crate::walk::{Flow, State};

/// Destination of a report whose definitions are separate from its findings.
pub(crate) struct Joined<'a> {
    pub(crate) batch: &'a mut BatchBuilder,
    pub(crate) definitions: Option<&'a mut Definitions>,
}

/// Content keys of the definitions that were already sent, in this batch or earlier. While the receiver has them, they
/// are neither loaded nor copied.
#[derive(Debug, Default)]
pub(crate) struct SentDefinitions {
    sent: HashMap<u32, u128, foldhash::fast::RandomState>,
}

impl SentDefinitions {
    /// Delivers the finding in the cells. `key` is its QID as a number, if it has one.
    pub(crate) fn deliver(
        &mut self,
        writer: &mut BatchWriter,
        key: Option<u32>,
        state: &mut State,
        sink: &mut Joined<'_>,
    ) -> Result<Flow, Box<Fault>> {
        state.cells.settle_lists();
        state.cells.settle_status();
        state.pass_on_now();
        let Some(asset) = writer.asset(&mut state.cells, sink.batch) else { return Ok(Flow::On) };
        if state.cells.finding.kind().is_none() {
            let known = key.zip(sink.definitions.as_ref()).and_then(|(key, all)| all.kind(key));
            let known = known.filter(|_| !state.cells.has(Code::Kind));
            match known {
                Some(_) => state.notes.kinds_of_definition += 1,
                None => state.notes.unknown_types += 1,
            }
            state.cells.finding.set_kind(known.unwrap_or(FindingKind::Information));
        }
        if let Some(reader) = reader_of(state.cells.definition.get(DefinitionField::Id)) {
            add_facts(&mut state.cells, reader)?;
        }
        if !state.cells.has(Code::Severity) {
            let known = key.zip(sink.definitions.as_ref()).and_then(|(key, all)| all.severity(key));
            state.cells.finding.set_severity(known);
        }
        let definition = self.definition(key, state, sink)?;
        sink.batch.push_finding(asset, definition, &state.cells.finding);
        Ok(pause_when_overfull(sink.batch))
    }

    fn definition(
        &mut self,
        key: Option<u32>,
        state: &mut State,
        sink: &mut Joined<'_>,
    ) -> Result<DefinitionIndex, Box<Fault>> {
        let known = match (key, &mut sink.definitions) {
            (_, None) => {
                state.notes.without_knowledge_base += 1;
                false
            }
            (Some(key), Some(definitions)) => {
                let sent = self.sent.get(&key).and_then(|content| sink.batch.push_known(*content));
                if let Some(definition) = sent {
                    return Ok(definition);
                }
                definitions.load(key, &mut state.cells.definition)?
            }
            (None, Some(_)) => false,
        };
        if !known && sink.definitions.is_some() {
            state.notes.missing_definitions += 1;
        }
        let definition = sink.batch.push_definition(&state.cells.definition);
        if known && let Some(key) = key {
            self.sent.insert(key, definition.key());
        }
        Ok(definition)
    }
}

/// The number in `qid_12345` or `12345`.
pub(crate) fn qid_number(text: &str) -> Option<u32> {
    let text = trim(text);
    text.strip_prefix("qid_").unwrap_or(text).parse().ok()
}
