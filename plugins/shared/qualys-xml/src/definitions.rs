//! Definitions, stored in a spool until their findings are read. They are found by QID.

use std::collections::HashMap;
use std::{fmt, io};

use scanbridge_plugin_api::batch::{BatchBuilder, DefinitionIndex, DefinitionRow};
use scanbridge_plugin_api::model::{FindingKind, Severity};

use crate::damage::Fault;

/// Storage for definitions, usually a temporary file. This crate does not open files.
pub trait Spool: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// When the bytes cannot be stored.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Reads bytes that were appended.
    ///
    /// # Errors
    /// The bytes cannot be read.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Discards everything.
    ///
    /// # Errors
    /// When the spool cannot be cleared.
    fn clear(&mut self) -> io::Result<()>;
}

/// The definitions of one glossary or knowledge base. Memory contains the QID, offset and severity of each. The texts
/// are read again for each batch that needs them: the kernel has them in its page cache.
pub struct Definitions {
    spool: Box<dyn Spool>,
    end: u64,
    index: ByQid<Entry>,
    scratch: Vec<u8>,
}

/// Read once or twice for each finding.
type ByQid<T> = HashMap<u32, T, foldhash::fast::RandomState>;

/// A definition in the spool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// The content key; 0 before the definition was sent.
    sent: u128,
    offset: u64,
    length: u32,
    /// Its severity, if it has one.
    pub(crate) severity: Option<Severity>,
    /// The kind of its findings, if it is known.
    pub(crate) kind: Option<FindingKind>,
}

/// More than five times the size of the knowledge base of 2026.
const MAX_DEFINITIONS: usize = 1_000_000;

impl Definitions {
    /// Stores definitions in `spool`.
    #[must_use]
    pub fn new(spool: Box<dyn Spool>) -> Self {
        Self { spool, end: 0, index: HashMap::default(), scratch: Vec::new() }
    }

    /// The number of definitions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are no definitions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether there is a definition of this QID.
    #[must_use]
    pub fn contains(&self, qid: u32) -> bool {
        self.index.contains_key(&qid)
    }

    /// Discards all definitions before the glossary of another report is read.
    ///
    /// # Errors
    /// When the spool cannot be cleared.
    pub fn clear(&mut self) -> io::Result<()> {
        self.end = 0;
        self.index.clear();
        self.spool.clear()
    }

    /// Adds a definition. It replaces an earlier one with the same QID.
    pub(crate) fn add(
        &mut self,
        qid: u32,
        severity: Option<Severity>,
        kind: Option<FindingKind>,
        row: &DefinitionRow,
    ) -> Result<(), Box<Fault>> {
        if self.index.len() >= MAX_DEFINITIONS && !self.index.contains_key(&qid) {
            return Err(Fault::TooManyDefinitions(MAX_DEFINITIONS).into());
        }
        self.scratch.clear();
        row.store(&mut self.scratch);
        self.spool.append(&self.scratch).map_err(failed)?;
        let length =
            u32::try_from(self.scratch.len()).expect("a definition is bounded by the limit on its texts");
        self.index.insert(qid, Entry { sent: 0, offset: self.end, length, severity, kind });
        self.end += u64::from(length);
        Ok(())
    }

    /// The definition of a QID, if it is known.
    pub(crate) fn find(&self, qid: u32) -> Option<Entry> {
        self.index.get(&qid).copied()
    }

    /// Adds the definition of a QID to a batch. A definition that is sent again goes from the spool into the batch as it
    /// is; otherwise it is read into `row`.
    pub(crate) fn push(
        &mut self,
        qid: u32,
        entry: Entry,
        row: &mut DefinitionRow,
        batch: &mut BatchBuilder,
    ) -> Result<DefinitionIndex, Box<Fault>> {
        let Self { spool, scratch, index, .. } = self;
        let length = entry.length as usize;
        if entry.sent != 0 {
            let sent = batch.push_stored(entry.sent, length, |into| spool.read_at(entry.offset, into));
            if let Some(sent) = sent.map_err(failed)? {
                return Ok(sent);
            }
        }
        scratch.resize(length, 0);
        spool.read_at(entry.offset, scratch).map_err(failed)?;
        if !row.restore(scratch) {
            return Err(Fault::Spool("its content has changed".to_owned()).into());
        }
        let pushed = batch.push_definition(row);
        if let Some(entry) = index.get_mut(&qid) {
            entry.sent = pushed.key();
        }
        Ok(pushed)
    }
}

impl fmt::Debug for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definitions").field("len", &self.len()).field("bytes", &self.end).finish()
    }
}

fn failed(error: io::Error) -> Box<Fault> {
    Box::new(Fault::Spool(error.to_string()))
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::batch::{AssetRow, Batch, Columns, FindingRow, Schema};
    use scanbridge_plugin_api::model::DefinitionField;

    use super::*;
    use crate::test_support::MemorySpool;

    fn text(qid: u32) -> String {
        format!("{qid} ").repeat(500)
    }

    fn definitions() -> Definitions {
        let mut definitions = Definitions::new(Box::<MemorySpool>::default());
        let mut row = DefinitionRow::default();
        for qid in 1..=40 {
            row.clear();
            row.set(DefinitionField::Compliance, "HIPAA\t1\tx");
            row.set(DefinitionField::Id, &qid.to_string());
            row.set(DefinitionField::Diagnosis, &text(qid));
            definitions.add(qid, Severity::new(if qid == 7 { 0 } else { 4 }), None, &row).unwrap();
        }
        definitions
    }

    #[test]
    fn definitions_are_the_same_however_often_they_are_sent() {
        let (mut definitions, mut row) = (definitions(), DefinitionRow::default());
        let columns = Columns::of(Schema::default());
        for _ in 0..3 {
            // Each of these builders sends all its definitions.
            let mut batch = BatchBuilder::default();
            let asset = batch.push_asset(&AssetRow::default(), false);
            let qids = [3, 40, 3, 1];
            for qid in qids {
                let entry = definitions.find(qid).unwrap();
                let definition = definitions.push(qid, entry, &mut row, &mut batch).unwrap();
                let mut finding = FindingRow::default();
                finding.set_kind(FindingKind::Information);
                batch.push_finding(asset, definition, &finding);
            }
            let raw = batch.finish();
            let sent = Batch::of(&raw, &columns).unwrap();
            assert_eq!(raw.keys.len(), 3 * 4);
            for (finding, qid) in sent.findings().zip(qids) {
                let definition = finding.definition();
                assert_eq!(definition.get(DefinitionField::Diagnosis), text(qid));
                assert_eq!(definition.get(DefinitionField::Compliance), "HIPAA\t1\tx");
                assert_eq!(definition.id(), qid.to_string());
            }
        }
    }

    #[test]
    fn later_definition_replaces_the_earlier_one() {
        let (mut definitions, mut row) = (definitions(), DefinitionRow::default());
        let first = definitions.find(3).unwrap();
        let first = definitions.push(3, first, &mut row, &mut BatchBuilder::default()).unwrap();
        row.set(DefinitionField::Title, "t");
        definitions.add(3, None, None, &row).unwrap();
        let second = definitions.find(3).unwrap();
        let second = definitions.push(3, second, &mut row, &mut BatchBuilder::default()).unwrap();
        assert_ne!(first.key(), second.key());
        assert_eq!(row.get(DefinitionField::Title), "t");
        assert_eq!(definitions.len(), 40);
    }

    #[test]
    fn severities_are_known_without_the_texts() {
        let definitions = definitions();
        let severity = |qid| definitions.find(qid).map(|entry| entry.severity);
        assert_eq!([3, 7, 41].map(severity), [Some(Severity::new(4)), Some(None), None]);
    }
}
