//! Definitions, stored in a spool until their findings are read. They are found by QID; recently used ones are
//! cached.

use std::collections::HashMap;
use std::{fmt, io};

use scanbridge_plugin_api::batch::DefinitionRow;
use scanbridge_plugin_api::model::{DefinitionField, Field, FindingKind, Severity};

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

/// The definitions of one glossary or knowledge base. Memory contains the QID, offset and severity of each, and a
/// bounded cache of recently used texts.
pub struct Definitions {
    spool: Box<dyn Spool>,
    end: u64,
    index: ByQid<Entry>,
    scratch: Vec<u8>,
    /// Two generations. When the young one is full it replaces the old one, which discards entries that were not used
    /// since the last replacement.
    young: ByQid<Box<[u8]>>,
    old: ByQid<Box<[u8]>>,
    young_bytes: usize,
}

/// Read once or twice for each finding.
type ByQid<T> = HashMap<u32, T, foldhash::fast::RandomState>;

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: u64,
    length: u32,
    severity: Option<Severity>,
    kind: Option<FindingKind>,
}

/// More than five times the size of the knowledge base of 2026.
const MAX_DEFINITIONS: usize = 1_000_000;
/// Half of the cache.
const GENERATION_BYTES: usize = 3 << 20;

impl Definitions {
    /// Stores definitions in `spool`.
    #[must_use]
    pub fn new(spool: Box<dyn Spool>) -> Self {
        Self {
            spool,
            end: 0,
            index: HashMap::default(),
            scratch: Vec::new(),
            young: HashMap::default(),
            old: HashMap::default(),
            young_bytes: 0,
        }
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
        self.young_bytes = 0;
        self.index.clear();
        self.young.clear();
        self.old.clear();
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
        for (number, field) in (0_u8..).zip(DefinitionField::ALL) {
            // Most cells are empty.
            if row.cell_len(*field) > 0 {
                let text = row.get(*field).as_bytes();
                self.scratch.push(number);
                self.scratch.extend_from_slice(&length_of(text).to_le_bytes());
                self.scratch.extend_from_slice(text);
            }
        }
        self.spool.append(&self.scratch).map_err(failed)?;
        let entry = Entry { offset: self.end, length: length_of(&self.scratch), severity, kind };
        self.end += self.scratch.len() as u64;
        if self.index.insert(qid, entry).is_some() {
            self.young.remove(&qid);
            self.old.remove(&qid);
        }
        Ok(())
    }

    /// The severity of a QID; none when it has none or the QID is not known.
    pub(crate) fn severity(&self, qid: u32) -> Option<Severity> {
        self.index.get(&qid).and_then(|entry| entry.severity)
    }

    /// The kind of the findings of a QID; none when it is not known.
    pub(crate) fn kind(&self, qid: u32) -> Option<FindingKind> {
        self.index.get(&qid).and_then(|entry| entry.kind)
    }

    /// Fills `row` with the definition of a QID. Returns `false` if the QID is unknown.
    pub(crate) fn load(&mut self, qid: u32, row: &mut DefinitionRow) -> Result<bool, Box<Fault>> {
        let Some(entry) = self.index.get(&qid).copied() else { return Ok(false) };
        if let Some(bytes) = self.young.get(&qid) {
            decode(bytes, row);
            return Ok(true);
        }
        let bytes = match self.old.remove(&qid) {
            Some(bytes) => bytes,
            None => {
                let mut bytes = vec![0; entry.length as usize].into_boxed_slice();
                self.spool.read_at(entry.offset, &mut bytes).map_err(failed)?;
                bytes
            }
        };
        decode(&bytes, row);
        self.cache(qid, bytes);
        Ok(true)
    }

    fn cache(&mut self, qid: u32, bytes: Box<[u8]>) {
        if bytes.len() > GENERATION_BYTES / 8 {
            return; // One very large entry would evict all others.
        }
        if self.young_bytes + bytes.len() > GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes.len();
        self.young.insert(qid, bytes);
    }
}

impl fmt::Debug for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definitions").field("len", &self.len()).field("bytes", &self.end).finish()
    }
}

fn decode(bytes: &[u8], row: &mut DefinitionRow) {
    row.clear();
    let mut rest = bytes;
    while let Some(((number, length), after)) = split_cell(rest) {
        let Some((text, after)) = after.split_at_checked(length) else { return };
        rest = after;
        if let Some(field) = DefinitionField::ALL.get(usize::from(number)) {
            row.set(*field, simdutf8::basic::from_utf8(text).unwrap_or_default());
        }
    }
}

/// The number of the next cell's field, and the length of its text.
fn split_cell(bytes: &[u8]) -> Option<((u8, usize), &[u8])> {
    let (number, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    Some(((*number, u32::from_le_bytes(*length) as usize), rest))
}

fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a definition is bounded by the limit on its texts")
}

fn failed(error: io::Error) -> Box<Fault> {
    Box::new(Fault::Spool(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MemorySpool;

    #[test]
    fn definitions_are_loaded_and_cache_size_is_limited() {
        let mut definitions = Definitions::new(Box::<MemorySpool>::default());
        let mut row = DefinitionRow::default();
        let text = |qid: u32| format!("{qid} ").repeat(5_000);
        for qid in 1..=400 {
            row.clear();
            row.set(DefinitionField::Compliance, "HIPAA\t1\tx");
            row.set(DefinitionField::Id, &qid.to_string());
            row.set(DefinitionField::Diagnosis, &text(qid));
            definitions.add(qid, Severity::new(if qid == 7 { 0 } else { 4 }), None, &row).unwrap();
        }
        for qid in (1..=400).chain([3, 400, 3]) {
            assert!(definitions.load(qid, &mut row).unwrap());
            assert_eq!(row.get(DefinitionField::Diagnosis), text(qid));
            assert_eq!(row.get(DefinitionField::Compliance), "HIPAA\t1\tx");
            let cached: usize =
                definitions.young.values().chain(definitions.old.values()).map(|bytes| bytes.len()).sum();
            assert!(cached <= 2 * GENERATION_BYTES, "{cached}");
        }
        assert!(!definitions.load(401, &mut row).unwrap());
        assert_eq!([3, 7, 401].map(|qid| definitions.severity(qid)), [Severity::new(4), None, None]);
    }
}
