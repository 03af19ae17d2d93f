//! Formats rows into a buffer that is reused.

use csv_core::{QuoteStyle, Terminator, WriteResult, Writer, WriterBuilder};

use crate::plain::is_plain;

/// Formats rows according to RFC 4180, and keeps their bytes until the caller clears the buffer.
#[derive(Debug)]
pub(crate) struct RowBuffer {
    builder: WriterBuilder,
    delimiter: u8,
    writer: Writer,
    /// Always filled to its length, because the formatter writes into a slice. Only `used` bytes are valid.
    bytes: Vec<u8>,
    used: usize,
}

impl RowBuffer {
    pub(crate) fn new(delimiter: u8, crlf: bool) -> Self {
        let terminator = if crlf { Terminator::CRLF } else { Terminator::Any(b'\n') };
        let mut builder = WriterBuilder::new();
        builder.delimiter(delimiter).terminator(terminator);
        Self { writer: builder.build(), builder, delimiter, bytes: vec![0; KEPT], used: 0 }
    }

    /// Sets whether all cells are quoted, between two rows.
    pub(crate) fn quote_all(&mut self, all: bool) {
        self.builder.quote_style(if all { QuoteStyle::Always } else { QuoteStyle::Necessary });
        self.writer = self.builder.build();
    }

    /// Appends a cell that can be copied as it is, to a row of several cells of which none is quoted without need.
    /// `false` if it must be examined: nothing is appended.
    pub(crate) fn plain_cell(&mut self, text: &str) -> bool {
        let is_plain = text.is_empty() || is_plain(text, self.delimiter);
        if is_plain {
            self.raw(text.as_bytes());
        }
        is_plain
    }

    /// Appends a cell, quoted if necessary.
    pub(crate) fn cell(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        loop {
            let (result, read, written) = self.writer.field(rest, &mut self.bytes[self.used..]);
            self.used += written;
            rest = &rest[read..];
            match result {
                WriteResult::InputEmpty => return,
                WriteResult::OutputFull => self.grow(),
            }
        }
    }

    /// Ends a cell that is not the last one of its row.
    pub(crate) fn next_cell(&mut self) {
        self.make_room();
        let (_, written) = self.writer.delimiter(&mut self.bytes[self.used..]);
        self.used += written;
    }

    /// Ends a row.
    pub(crate) fn end_row(&mut self) {
        self.make_room();
        let (_, written) = self.writer.terminator(&mut self.bytes[self.used..]);
        self.used += written;
    }

    /// Appends bytes without a change.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        while self.bytes.len() - self.used < bytes.len() {
            self.grow();
        }
        self.bytes[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    /// The rows in the buffer.
    pub(crate) fn rows(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// Whether the buffer is large enough for a separate write.
    pub(crate) fn is_full(&self) -> bool {
        self.used >= FULL
    }

    /// Clears the buffer. The extra memory for a very large cell is released.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
        if self.bytes.len() > 4 * KEPT {
            self.bytes = vec![0; KEPT];
        }
    }

    /// The formatter writes a closing quote and the end of a row in one piece, which takes a few bytes.
    fn make_room(&mut self) {
        if self.bytes.len() - self.used < 16 {
            self.grow();
        }
    }

    fn grow(&mut self) {
        self.bytes.resize(2 * self.bytes.len(), 0);
    }
}

/// Larger than the file's own buffer, so that the bytes are written directly to the kernel.
const FULL: usize = 192 * 1024;
const KEPT: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::RowBuffer;

    #[test]
    fn cells_are_quoted_only_when_they_must() {
        let mut rows = RowBuffer::new(b';', true);
        for text in ["a,b", "c;d", "say \"x\"", "l1\nl2", "", "é"] {
            rows.cell(text);
            rows.next_cell();
        }
        rows.cell("");
        rows.end_row();
        assert_eq!(
            std::str::from_utf8(rows.rows()).unwrap(),
            "a,b;\"c;d\";\"say \"\"x\"\"\";\"l1\nl2\";;é;\r\n"
        );
    }

    #[test]
    fn huge_cell_is_complete_and_its_memory_is_released() {
        let mut rows = RowBuffer::new(b',', false);
        let mut expected = Vec::new();
        for size in [250_000, 12_140, 3, 1, 0, 2, 4_000_000] {
            let text = "\"".repeat(size);
            rows.cell(&text);
            rows.next_cell();
            rows.cell("");
            rows.end_row();
            let quotes = if size == 0 { 0 } else { 2 * size + 2 };
            expected.extend(std::iter::repeat_n(b'"', quotes));
            expected.extend(b",\n");
        }
        assert!(rows.rows() == expected);
        rows.clear();
        assert_eq!(rows.bytes.len(), super::KEPT);
    }

    #[test]
    fn row_with_one_empty_cell_is_not_an_empty_line() {
        let mut rows = RowBuffer::new(b',', false);
        rows.cell("");
        rows.end_row();
        assert_eq!(rows.rows(), b"\"\"\n");
    }
}
