//! Buffers the events of one asset, to merge equal events and to sort by severity.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::ops::Range;

use scanbridge_plugin_api::model::Severity;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::sink::{self, Outcome, Sink};

/// Processing of buffered events. With neither option, events are not buffered.
#[derive(Debug, Clone, Copy, Default)]
pub struct AssetBufferSettings {
    /// Merge information and service events that are equal in every byte into one with a count.
    pub merge: bool,
    /// Sort by severity, highest first; events of equal severity keep their order.
    pub highest_severity_first: bool,
}

impl AssetBufferSettings {
    /// Whether events are buffered.
    pub(crate) fn is_on(self) -> bool {
        self.merge || self.highest_severity_first
    }
}

/// The events of the current asset, limited to [`MAX_EVENTS`] and [`MAX_BYTES`]; a full buffer is flushed.
///
/// Never more than one asset, so that each commit contains complete assets and the result does not depend on
/// commit and batch boundaries.
#[derive(Debug, Default)]
pub(crate) struct AssetBuffer {
    settings: AssetBufferSettings,
    bytes: Vec<u8>,
    events: Vec<BufferedEvent>,
    /// Index of the first event with this hash.
    known: HashMap<u64, usize, foldhash::fast::RandomState>,
    line: Vec<u8>,
}

#[derive(Debug)]
struct BufferedEvent {
    bytes: Range<usize>,
    /// Offset of the extension in the event.
    extension: usize,
    severity: Option<Severity>,
    count: u32,
}

impl AssetBuffer {
    pub(crate) fn new(settings: AssetBufferSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Adds an event whose extension begins at offset `extension`. `is_mergeable`: an information or service event,
    /// which may be merged.
    pub(crate) fn event(
        &mut self,
        line: &[u8],
        extension: usize,
        severity: Option<Severity>,
        is_mergeable: bool,
        sink: &mut impl Sink,
    ) -> Result<()> {
        if self.events.len() == MAX_EVENTS || self.bytes.len() > MAX_BYTES {
            self.flush(sink)?;
        }
        if is_mergeable && self.settings.merge && self.merge(line) {
            return Ok(());
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line);
        self.events.push(BufferedEvent { bytes: start..self.bytes.len(), extension, severity, count: 1 });
        Ok(())
    }

    /// Writes the buffered events.
    pub(crate) fn flush(&mut self, sink: &mut impl Sink) -> Result<()> {
        if self.settings.highest_severity_first {
            self.events.sort_by_key(|event| std::cmp::Reverse(event.severity));
        }
        for event in &self.events {
            let line = &self.bytes[event.bytes.clone()];
            if event.count == 1 {
                accepted(sink.event(line, event.severity)?)?;
                continue;
            }
            let (header, extension) = line.split_at(event.extension);
            self.line.clear();
            self.line.extend_from_slice(header);
            self.line.extend_from_slice(b"cnt=");
            self.line.extend_from_slice(itoa::Buffer::new().format(event.count).as_bytes());
            self.line.extend_from_slice(b" type=1");
            self.line.extend_from_slice(if extension == b"\n" { b"" } else { b" " });
            self.line.extend_from_slice(extension);
            accepted(sink.event(&self.line, event.severity)?)?;
        }
        self.clear();
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Discards the buffered events.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.events.clear();
        self.known.clear();
    }

    /// Counts the line as a repeat of an equal event. Returns false if there is none.
    fn merge(&mut self, line: &[u8]) -> bool {
        let hash = self.known.hasher().hash_one(line);
        match self.known.get(&hash).map(|index| &mut self.events[*index]) {
            Some(event) if self.bytes[event.bytes.clone()] == *line => {
                event.count += 1;
                true
            }
            Some(_) => false,
            None => {
                self.known.insert(hash, self.events.len());
                false
            }
        }
    }
}

/// Fails if the destination refuses a buffered event: its finding may belong to an earlier batch, so it cannot be
/// rejected alone.
fn accepted(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Refused { bytes } => Err(PluginError::new(ErrorKind::Rejected, sink::refusal(bytes))
            .with_hint("without `aggregate` and `order`, only such findings are rejected")),
        Outcome::Accepted | Outcome::OverBudget => Ok(()),
    }
}

/// Bytes by which an event grows when others are merged into it: `cnt=4294967295 type=1 `.
pub(crate) const COUNT_BYTES: usize = 22;

const MAX_EVENTS: usize = 4096;
const MAX_BYTES: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    impl Sink for Vec<String> {
        fn event(&mut self, line: &[u8], _severity: Option<Severity>) -> Result<Outcome> {
            self.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(Outcome::Accepted)
        }
    }

    fn events_of(settings: AssetBufferSettings, events: &[(&str, u8, bool)]) -> Vec<String> {
        let (mut buffer, mut lines) = (AssetBuffer::new(settings), Vec::new());
        for (line, severity, is_mergeable) in events {
            let extension = line.find('|').unwrap() + 1;
            buffer
                .event(line.as_bytes(), extension, Severity::new(*severity), *is_mergeable, &mut lines)
                .unwrap();
        }
        buffer.flush(&mut lines).unwrap();
        buffer.flush(&mut lines).unwrap();
        lines
    }

    #[test]
    fn equal_events_are_merged_and_counted() {
        let settings = AssetBufferSettings { merge: true, highest_severity_first: false };
        let events = [("a|x=1\n", 1, true), ("b|\n", 1, true), ("a|x=1\n", 1, true), ("b|\n", 1, true)];
        assert_eq!(events_of(settings, &events), ["a|cnt=2 type=1 x=1\n", "b|cnt=2 type=1\n"]);
        let events = [("a|x=1\n", 1, false), ("a|x=1\n", 1, false), ("a|x=2\n", 1, true)];
        assert_eq!(events_of(settings, &events), ["a|x=1\n", "a|x=1\n", "a|x=2\n"]);
    }

    #[test]
    fn highest_severity_is_first_and_sorting_is_stable() {
        let settings = AssetBufferSettings { merge: false, highest_severity_first: true };
        let events = [("a|\n", 0, true), ("b|\n", 3, true), ("c|\n", 5, false), ("d|\n", 3, true)];
        assert_eq!(events_of(settings, &events), ["c|\n", "b|\n", "d|\n", "a|\n"]);
    }

    #[test]
    fn buffer_size_is_limited() {
        let settings = AssetBufferSettings { merge: false, highest_severity_first: true };
        let (mut buffer, mut lines) = (AssetBuffer::new(settings), Vec::new());
        for _ in 0..=MAX_EVENTS {
            buffer.event(b"a|\n", 2, None, false, &mut lines).unwrap();
        }
        assert_eq!((lines.len(), buffer.events.len()), (MAX_EVENTS, 1));
    }
}
