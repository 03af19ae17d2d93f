//! Holds the events of one asset back, to merge equal ones and to put the worst first.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::ops::Range;

use scanbridge_plugin_api::Result;
use scanbridge_plugin_api::model::Severity;

use crate::encoder::Sink;

/// What is done with the events that are events_of back. With neither there is no need to buffer any.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AssetBufferSettings {
    /// Information and service events that are equal in every byte become one, with their count.
    pub merge: bool,
    /// The worst severity goes first; events of one severity keep their order.
    pub worst_first: bool,
}

impl AssetBufferSettings {
    /// Whether events are events_of back at all.
    pub(crate) fn is_on(self) -> bool {
        self.merge || self.worst_first
    }
}

/// The events of the asset under way, up to a fixed number of bytes and events; then they go as they are.
///
/// Never more than one asset: whatever is committed is then whole, and the result does not depend on where
/// commits and batches fall.
#[derive(Debug, Default)]
pub(crate) struct AssetBuffer {
    settings: AssetBufferSettings,
    bytes: Vec<u8>,
    events: Vec<BufferedEvent>,
    /// The first event with this hash.
    known: HashMap<u64, usize, foldhash::fast::RandomState>,
    line: Vec<u8>,
}

#[derive(Debug)]
struct BufferedEvent {
    bytes: Range<usize>,
    /// Where the extension begins in it.
    extension: usize,
    severity: Option<Severity>,
    count: u32,
}

impl AssetBuffer {
    pub(crate) fn new(settings: AssetBufferSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Takes an event whose extension begins at `extension`. `plain`: an information or service event, which may be
    /// merged.
    pub(crate) fn event(
        &mut self,
        line: &[u8],
        extension: usize,
        severity: Option<Severity>,
        plain: bool,
        sink: &mut impl Sink,
    ) -> Result<()> {
        if self.events.len() == MOST_EVENTS || self.bytes.len() > MOST_BYTES {
            self.flush(sink)?;
        }
        if plain && self.settings.merge && self.merge(line) {
            return Ok(());
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line);
        self.events.push(BufferedEvent { bytes: start..self.bytes.len(), extension, severity, count: 1 });
        Ok(())
    }

    /// Writes what is events_of back.
    pub(crate) fn flush(&mut self, sink: &mut impl Sink) -> Result<()> {
        if self.settings.worst_first {
            self.events.sort_by_key(|event| std::cmp::Reverse(event.severity));
        }
        for event in &self.events {
            let line = &self.bytes[event.bytes.clone()];
            if event.count == 1 {
                sink.event(line, event.severity)?;
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
            sink.event(&self.line, event.severity)?;
        }
        self.clear();
        Ok(())
    }

    /// Forgets what is events_of back.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.events.clear();
        self.known.clear();
    }

    /// Counts the line with an equal one; false when there is none.
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

/// What an event may grow by when others are merged with it: `cnt=4294967295 type=1 `.
pub(crate) const COUNT_BYTES: usize = 22;

const MOST_EVENTS: usize = 4096;
const MOST_BYTES: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    impl Sink for Vec<String> {
        fn event(&mut self, line: &[u8], _severity: Option<Severity>) -> Result<()> {
            self.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        }
    }

    fn events_of(settings: AssetBufferSettings, events: &[(&str, u8, bool)]) -> Vec<String> {
        let (mut buffer, mut lines) = (AssetBuffer::new(settings), Vec::new());
        for (line, severity, plain) in events {
            let extension = line.find('|').unwrap() + 1;
            buffer.event(line.as_bytes(), extension, Severity::new(*severity), *plain, &mut lines).unwrap();
        }
        buffer.flush(&mut lines).unwrap();
        buffer.flush(&mut lines).unwrap();
        lines
    }

    #[test]
    fn equal_events_become_one_with_their_count() {
        let settings = AssetBufferSettings { merge: true, worst_first: false };
        let events = [("a|x=1\n", 1, true), ("b|\n", 1, true), ("a|x=1\n", 1, true), ("b|\n", 1, true)];
        assert_eq!(events_of(settings, &events), ["a|cnt=2 type=1 x=1\n", "b|cnt=2 type=1\n"]);
        let events = [("a|x=1\n", 1, false), ("a|x=1\n", 1, false), ("a|x=2\n", 1, true)];
        assert_eq!(events_of(settings, &events), ["a|x=1\n", "a|x=1\n", "a|x=2\n"]);
    }

    #[test]
    fn the_worst_goes_first_and_equals_keep_their_order() {
        let settings = AssetBufferSettings { merge: false, worst_first: true };
        let events = [("a|\n", 0, true), ("b|\n", 3, true), ("c|\n", 5, false), ("d|\n", 3, true)];
        assert_eq!(events_of(settings, &events), ["c|\n", "b|\n", "d|\n", "a|\n"]);
    }

    #[test]
    fn no_more_is_held_than_the_bound() {
        let settings = AssetBufferSettings { merge: false, worst_first: true };
        let (mut buffer, mut lines) = (AssetBuffer::new(settings), Vec::new());
        for _ in 0..=MOST_EVENTS {
            buffer.event(b"a|\n", 2, None, false, &mut lines).unwrap();
        }
        assert_eq!((lines.len(), buffer.events.len()), (MOST_EVENTS, 1));
    }
}
