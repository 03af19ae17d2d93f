//! Records that wait to be sent.

use std::ops::Range;
use std::time::Instant;

use scanbridge_plugin_api::LateRow;

/// A record.
#[derive(Debug)]
pub(crate) struct Record {
    /// The finding that it is about.
    pub(crate) row: LateRow,
    pub(crate) id: Box<str>,
    bytes: Range<usize>,
}

/// Records in the order in which they are sent, encoded one after the other.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    records: Vec<Record>,
    bytes: Vec<u8>,
    oldest: Option<Instant>,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The size of all records, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// When the first of the records was added.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.oldest
    }

    /// Appends a record.
    pub(crate) fn push(&mut self, row: LateRow, id: &str, record: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.records.push(Record { row, id: id.into(), bytes: start..self.bytes.len() });
        self.oldest.get_or_insert_with(Instant::now);
    }

    pub(crate) fn record(&self, number: usize) -> &Record {
        &self.records[number]
    }

    /// The bytes of a record.
    pub(crate) fn encoded(&self, number: usize) -> &[u8] {
        &self.bytes[self.records[number].bytes.clone()]
    }

    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        // One record can be many times larger than the others.
        self.bytes.shrink_to(KEPT_BYTES);
        self.oldest = None;
    }
}

/// The memory that an empty queue keeps.
const KEPT_BYTES: usize = 8 << 20;
