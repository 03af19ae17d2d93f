//! Formats rows into a buffer that is reused.

use memchr::{memchr, memchr_iter, memchr3};

use crate::plain::is_plain;

/// Formats rows according to RFC 4180, and keeps their bytes until the caller clears the buffer.
#[derive(Debug)]
pub(crate) struct RowBuffer {
    delimiter: u8,
    line_end: &'static [u8],
    quotes_all: bool,
    bytes: Vec<u8>,
    /// Where the current row begins.
    row: usize,
}

impl RowBuffer {
    pub(crate) fn new(delimiter: u8, crlf: bool) -> Self {
        let line_end: &[u8] = if crlf { b"\r\n" } else { b"\n" };
        Self { delimiter, line_end, quotes_all: false, bytes: Vec::with_capacity(KEPT), row: 0 }
    }

    /// Sets whether all cells are quoted.
    pub(crate) fn quote_all(&mut self, all: bool) {
        self.quotes_all = all;
    }

    /// Appends a cell that can be copied as it is, to a row of which no cell is quoted without need. `false` if it must be
    /// examined: nothing is appended.
    #[inline]
    pub(crate) fn plain_cell(&mut self, text: &str) -> bool {
        let is_plain = text.is_empty() || is_plain(text, self.delimiter);
        if is_plain {
            self.bytes.extend_from_slice(text.as_bytes());
        }
        is_plain
    }

    /// Appends a cell, quoted if necessary.
    pub(crate) fn cell(&mut self, text: &str) {
        let text = text.as_bytes();
        if !self.quotes_all && !self.needs_quotes(text) {
            self.bytes.extend_from_slice(text);
            return;
        }
        self.bytes.push(b'"');
        let mut copied = 0;
        for quote in memchr_iter(b'"', text) {
            self.bytes.extend_from_slice(&text[copied..=quote]);
            copied = quote;
        }
        self.bytes.extend_from_slice(&text[copied..]);
        self.bytes.push(b'"');
    }

    fn needs_quotes(&self, text: &[u8]) -> bool {
        memchr3(b'"', b'\n', b'\r', text).is_some() || memchr(self.delimiter, text).is_some()
    }

    /// Ends a cell that is not the last one of its row.
    #[inline]
    pub(crate) fn next_cell(&mut self) {
        self.bytes.push(self.delimiter);
    }

    /// Ends a row. One without a byte would be an empty line.
    pub(crate) fn end_row(&mut self) {
        if self.bytes.len() == self.row {
            self.bytes.extend_from_slice(b"\"\"");
        }
        self.bytes.extend_from_slice(self.line_end);
        self.row = self.bytes.len();
    }

    /// Appends bytes between two rows.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.row = self.bytes.len();
    }

    /// The rows in the buffer.
    pub(crate) fn rows(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the buffer is large enough for a separate write.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// Clears the buffer. The extra memory for a very large cell is released.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.row = 0;
        if self.bytes.capacity() > 4 * KEPT {
            self.bytes.shrink_to(KEPT);
        }
    }
}

/// Larger than the file's own buffer, so that the bytes are written directly to the kernel.
const FULL: usize = 192 * 1024;
const KEPT: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::RowBuffer;

    proptest! {
        /// The rows are those of the crate `csv`.
        #[test]
        fn rows_are_those_of_another_writer(
            rows in proptest::collection::vec(proptest::collection::vec("[a,;\"\n\r\t é]{0,5}", 1..4), 1..4),
            delimiter in "[,;\t]",
            crlf: bool,
            quotes_all: bool,
        ) {
            let delimiter = delimiter.as_bytes()[0];
            let mut buffer = RowBuffer::new(delimiter, crlf);
            buffer.quote_all(quotes_all);
            let mut other = csv::WriterBuilder::new();
            let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
            other.flexible(true).delimiter(delimiter).terminator(terminator);
            if quotes_all {
                other.quote_style(csv::QuoteStyle::Always);
            }
            let mut other = other.from_writer(Vec::new());
            for row in &rows {
                for (index, text) in row.iter().enumerate() {
                    if index > 0 {
                        buffer.next_cell();
                    }
                    buffer.cell(text);
                }
                buffer.end_row();
                other.write_record(row).unwrap();
            }
            let expected = String::from_utf8(other.into_inner().unwrap()).unwrap();
            prop_assert_eq!(std::str::from_utf8(buffer.rows()).unwrap(), expected);
        }
    }

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
        assert_eq!(rows.bytes.capacity(), super::KEPT);
    }

    #[test]
    fn row_with_one_empty_cell_is_not_an_empty_line() {
        let mut rows = RowBuffer::new(b',', false);
        rows.cell("");
        rows.end_row();
        assert_eq!(rows.rows(), b"\"\"\n");
    }
}
