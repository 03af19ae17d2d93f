//! Lines of JSON with a length limit, over any byte stream.

use std::io::{self, BufRead, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The environment variable with the FIPS mode that a process and those that it starts have at least.
pub const FIPS_VARIABLE: &str = "SCANBRIDGE_FIPS";

/// The longest line in bytes, without its line feed. Longer lines are skipped.
pub const MAX_LINE: usize = 256 * 1024;

/// Why a line could not be used. The stream can be read on, except after [`LineError::Io`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The line is longer than [`MAX_LINE`].
    #[error("a line of more than {MAX_LINE} bytes was skipped")]
    TooLong,
    /// The line is not of the expected form.
    #[error("invalid line: {0}")]
    Invalid(#[from] serde_json::Error),
    /// The stream cannot be read.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
}

/// Reads one object after the other from a stream. It keeps at most [`MAX_LINE`] bytes.
#[derive(Debug)]
pub struct LineReader<R> {
    stream: R,
    line: Vec<u8>,
}

impl<R: BufRead> LineReader<R> {
    /// A reader of this stream.
    pub fn new(stream: R) -> Self {
        Self { stream, line: Vec::new() }
    }

    /// The next object; `None` at the end of the stream. A last line without a line feed counts as truncated and is
    /// ignored.
    ///
    /// # Errors
    /// When the line is too long or not an object of this form, or the stream cannot be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator has one type of items, and no errors to go on after"
    )]
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LineError> {
        self.line.clear();
        let mut is_too_long = false;
        loop {
            let buffer = match self.stream.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if buffer.is_empty() {
                return Ok(None);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            is_too_long |= self.line.len() + part.len() > MAX_LINE;
            if !is_too_long {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.stream.consume(used);
            if end.is_some() {
                break;
            }
        }
        if is_too_long {
            return Err(LineError::TooLong);
        }
        Ok(Some(serde_json::from_slice(&self.line)?))
    }
}

/// Writes an object as one line, with one call of `write_all`.
///
/// # Errors
/// When the stream cannot be written.
pub fn write_line<T: Serialize>(stream: &mut impl Write, object: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(object)?;
    line.push(b'\n');
    stream.write_all(&line)
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;
    use crate::{RunEvent, ServiceRequest, StopAt, Tick};

    fn reader(text: impl Into<Vec<u8>>) -> LineReader<BufReader<Cursor<Vec<u8>>>> {
        LineReader::new(BufReader::with_capacity(16, Cursor::new(text.into())))
    }

    #[test]
    fn events_survive_the_channel() {
        let events = [
            RunEvent::Tick(Tick::default()),
            RunEvent::Checkpoint { at: "2026-11-30T05:00:00Z".to_owned() },
            RunEvent::Gauge { instance: "scans".to_owned(), name: "quota_limit".to_owned(), value: 300.0 },
        ];
        let mut bytes = Vec::new();
        events.iter().for_each(|event| write_line(&mut bytes, event).unwrap());
        let mut reader = reader(bytes);
        for event in events {
            assert_eq!(reader.next::<RunEvent>().unwrap(), Some(event));
        }
        assert!(reader.next::<RunEvent>().unwrap().is_none());
    }

    #[test]
    fn unknown_objects_and_fields_are_ignored() {
        let mut reader = reader(
            "{\"event\":\"later\",\"a\":1}\n{\"event\":\"checkpoint\",\"at\":\"x\",\"b\":[]}\n{\"event\":\"tick\"}\n",
        );
        assert_eq!(reader.next::<RunEvent>().unwrap(), Some(RunEvent::Unknown));
        assert_eq!(reader.next().unwrap(), Some(RunEvent::Checkpoint { at: "x".to_owned() }));
        assert_eq!(reader.next().unwrap(), Some(RunEvent::Tick(Tick::default())));
        let request =
            serde_json::from_str::<ServiceRequest>("{\"request\":\"stop\",\"at\":\"soon\"}").unwrap();
        assert_eq!(request, ServiceRequest::Stop { at: StopAt::Unknown });
    }

    #[test]
    fn long_invalid_and_truncated_lines_do_not_end_the_stream() {
        let mut text = vec![b'x'; MAX_LINE + 1];
        text.extend_from_slice(b"\nnot json\n{\"event\":\"tick\"}\n{\"event\":\"ti");
        let mut reader = reader(text);
        assert!(matches!(reader.next::<RunEvent>(), Err(LineError::TooLong)));
        assert!(matches!(reader.next::<RunEvent>(), Err(LineError::Invalid(_))));
        assert_eq!(reader.next().unwrap(), Some(RunEvent::Tick(Tick::default())));
        assert!(reader.next::<RunEvent>().unwrap().is_none(), "a truncated line is not an event");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            let mut reader = reader(bytes);
            let mut read = 0;
            loop {
                match reader.next::<RunEvent>() {
                    Ok(None) => break,
                    Ok(Some(_)) | Err(LineError::Invalid(_) | LineError::TooLong) => read += 1,
                    Err(LineError::Io(error)) => panic!("{error}"),
                }
            }
            proptest::prop_assert_eq!(read, lines);
        }
    }
}
