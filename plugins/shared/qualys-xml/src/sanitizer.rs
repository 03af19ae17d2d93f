//! The stream that the parser reads: valid UTF-8, without control characters forbidden in XML, with normalized line
//! ends.

use std::io::{self, BufRead, Read};

/// Sanitizes bytes block by block. Invalid UTF-8 and characters forbidden in XML become U+FFFD and are counted; CR LF
/// and a lone CR become LF. A clean block is checked once and never copied.
#[derive(Debug)]
pub struct Sanitizer<R> {
    source: R,
    /// The current block, sanitized. Its type is text, so that its users need not validate it again.
    block: String,
    start: usize,
    /// Bytes that the next block begins with: the first bytes of a character, a CR, or bytes not yet consumed.
    carry_over: Vec<u8>,
    /// The bytes of the current block before they were sanitized; empty if the block is unchanged.
    original: Vec<u8>,
    /// Number of blocks so far.
    blocks: u64,
    /// Number of bytes read from the source.
    read: u64,
    replaced: u64,
    ended: bool,
    since_event: usize,
    limit: usize,
}

impl<R: Read> Sanitizer<R> {
    /// Number of bytes read at a time, small enough to stay in the CPU cache until it is parsed.
    pub const BLOCK: usize = 64 * 1024;

    /// Sanitizes the bytes of `source`.
    pub fn new(source: R) -> Self {
        Self {
            source,
            block: String::new(),
            start: 0,
            carry_over: Vec::new(),
            original: Vec::new(),
            blocks: 0,
            read: 0,
            replaced: 0,
            ended: false,
            since_event: 0,
            limit: usize::MAX,
        }
    }

    /// Number of bytes replaced so far.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Sets a limit: reading fails after this number of bytes, rounded up to a block, since
    /// [`Sanitizer::begin_event`].
    pub(crate) fn limit_events_to(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    #[inline]
    pub(crate) fn begin_event(&mut self) {
        self.since_event = 0;
    }

    /// Whether reading failed because of the limit.
    pub(crate) fn is_over_limit(&self) -> bool {
        self.since_event > self.limit
    }

    /// Whether the source has ended and all bytes were consumed.
    pub(crate) fn is_at_end(&self) -> bool {
        self.ended && self.start == self.block.len()
    }

    /// The bytes of the current block that are not consumed yet. May be empty although more bytes follow.
    #[inline]
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.block.as_bytes()[self.start..]
    }

    /// The last `length` bytes that were consumed. They must be complete characters of the current block.
    #[inline]
    pub(crate) fn consumed(&self, length: usize) -> &str {
        &self.block[self.start - length..self.start]
    }

    /// The current position in its block.
    #[inline]
    pub(crate) fn block_position(&self) -> BlockPosition {
        BlockPosition { block: self.blocks, offset: self.start }
    }

    /// The bytes that were consumed since a position, if it is in the current block.
    pub(crate) fn since(&self, position: BlockPosition) -> Option<&[u8]> {
        let is_current = position.block == self.blocks;
        self.block.as_bytes().get(position.offset..self.start).filter(|_| is_current)
    }

    /// The number of bytes of the source before the current position, and how many of them were replaced. Only directly
    /// after a `>`.
    pub(crate) fn source_position(&self) -> SourcePosition {
        let end = self.read - self.carry_over.len() as u64;
        if self.original.is_empty() {
            return SourcePosition { offset: end - self.buffered().len() as u64, replaced: self.replaced };
        }
        // Sanitizing keeps every `>`, so that the same number of them follows in the source.
        let following = memchr::memchr_iter(b'>', self.buffered()).count();
        let at = memchr::memrchr_iter(b'>', &self.original).nth(following);
        let rest = &self.original[at.map_or(0, |at| at + 1)..];
        let mut scratch = String::with_capacity(rest.len());
        let replaced: u64 = rest
            .utf8_chunks()
            .map(|chunk| sanitize_text(chunk.valid(), &mut scratch) + chunk.invalid().len() as u64)
            .sum();
        SourcePosition { offset: end - rest.len() as u64, replaced: self.replaced - replaced }
    }

    /// Reads more bytes and appends them to the buffered ones, which should be few and complete characters. `false`
    /// at the end of the source.
    pub(crate) fn read_more(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        // The bytes in `carry_over`, a CR or part of a character, come after the buffered ones.
        self.carry_over.splice(0..0, self.block.bytes().skip(self.start));
        self.refill()?;
        Ok(true)
    }

    fn refill(&mut self) -> io::Result<()> {
        self.blocks += 1;
        let mut bytes = std::mem::take(&mut self.block).into_bytes();
        self.start = 0;
        while self.block.is_empty() && !self.ended {
            let length = self.read_block(&mut bytes)?;
            let usable = if self.ended { length } else { complete_characters(&bytes[..length]) };
            self.carry_over.extend_from_slice(&bytes[usable..length]);
            bytes.truncate(usable);
            self.block = self.clean(std::mem::take(&mut bytes));
        }
        self.since_event += self.block.len();
        if self.is_over_limit() {
            return Err(io::Error::other("a single markup or text token exceeds the limit"));
        }
        Ok(())
    }

    /// Reads after the carried-over bytes, and returns the length of both.
    fn read_block(&mut self, block: &mut Vec<u8>) -> io::Result<usize> {
        let carried = self.carry_over.len();
        block.resize(Self::BLOCK.max(2 * carried), 0);
        block[..carried].copy_from_slice(&self.carry_over);
        self.carry_over.clear();
        loop {
            match self.source.read(&mut block[carried..]) {
                Ok(read) => {
                    self.ended = read == 0;
                    self.read += read as u64;
                    return Ok(carried + read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The sanitized form of a block, usually the block itself.
    fn clean(&mut self, block: Vec<u8>) -> String {
        let (control, high) = check_bytes(&block);
        self.original.clear();
        match String::from_utf8(block) {
            Ok(text) if !control && (!high || noncharacter(text.as_bytes()).is_none()) => text,
            // Usually only CR LF has to be replaced.
            Ok(text) => {
                let clean = self.join_sanitized([(text.as_str(), 0)]);
                self.original = text.into_bytes();
                clean
            }
            Err(error) => {
                let chunks = error.as_bytes().utf8_chunks();
                let clean = self.join_sanitized(chunks.map(|c| (c.valid(), c.invalid().len())));
                self.original = error.into_bytes();
                clean
            }
        }
    }

    /// Joins sanitized texts, each followed by the replacement for its invalid bytes.
    fn join_sanitized<'a>(&mut self, texts: impl IntoIterator<Item = (&'a str, usize)>) -> String {
        let mut clean = String::with_capacity(Self::BLOCK);
        for (text, invalid) in texts {
            self.replaced += sanitize_text(text, &mut clean) + invalid as u64;
            if invalid > 0 {
                clean.push(char::REPLACEMENT_CHARACTER);
            }
        }
        clean
    }
}

/// A position in a block of a [`Sanitizer`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockPosition {
    block: u64,
    offset: usize,
}

/// A position in the source of a [`Sanitizer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourcePosition {
    /// Number of bytes of the source before it.
    pub(crate) offset: u64,
    /// Number of bytes that were replaced before it.
    pub(crate) replaced: u64,
}

impl<R: Read> BufRead for Sanitizer<R> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.block.len() {
            self.refill()?;
        }
        Ok(self.buffered())
    }

    #[inline]
    fn consume(&mut self, amount: usize) {
        self.start = (self.start + amount).min(self.block.len());
    }
}

impl<R: Read> Read for Sanitizer<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(into.len());
        into[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

/// Number of bytes that can be sanitized without the next block. A CR or an incomplete character at the end cannot.
fn complete_characters(block: &[u8]) -> usize {
    if block.last() == Some(&b'\r') {
        return block.len() - 1;
    }
    let tail = block.len().saturating_sub(3);
    let lead = block[tail..].iter().rposition(|byte| *byte >= 0xC0);
    match lead.map(|at| tail + at) {
        Some(at) if at + encoded_length(block[at]) > block.len() => at,
        _ => block.len(),
    }
}

fn encoded_length(lead: u8) -> usize {
    match lead {
        0xF0.. => 4,
        0xE0.. => 3,
        _ => 2,
    }
}

/// Checks every byte in a form that the compiler vectorizes. Returns whether there is a CR or a forbidden control
/// character, and whether there are non-ASCII bytes.
#[inline]
fn check_bytes(block: &[u8]) -> (bool, bool) {
    // The control characters before the tab are the least bytes, and those after LF are when LF and all before it are
    // moved after the others.
    const AFTER_LF: u8 = b'\n' + 1;
    let (mut least, mut least_after_lf, mut high) = (u8::MAX, u8::MAX, 0_u8);
    for &byte in block {
        least = least.min(byte);
        least_after_lf = least_after_lf.min(byte.wrapping_sub(AFTER_LF));
        high |= byte;
    }
    (least < b'\t' || least_after_lf < b' ' - AFTER_LF, high >= 0x80)
}

#[inline]
fn is_control(byte: u8) -> bool {
    (byte < b' ') & (byte != b'\n') & (byte != b'\t')
}

/// The position of U+FFFE or U+FFFF: UTF-8 can encode them, but XML forbids them.
fn noncharacter(block: &[u8]) -> Option<usize> {
    memchr::memchr_iter(0xEF, block).find(|at| matches!(block[at + 1..], [0xBF, 0xBE | 0xBF, ..]))
}

/// The position of the next control character. Searches in chunks that are checked with vector instructions.
fn next_control(bytes: &[u8]) -> Option<usize> {
    const STRIDE: usize = 256;
    let stride = bytes.chunks(STRIDE).position(|stride| check_bytes(stride).0)?;
    let from = stride * STRIDE;
    bytes[from..].iter().position(|byte| is_control(*byte)).map(|at| from + at)
}

/// Appends a text with forbidden characters replaced, and returns their number.
fn sanitize_text(text: &str, into: &mut String) -> u64 {
    let mut replaced = 0;
    let mut rest = text;
    let mut forbidden = noncharacter(rest.as_bytes());
    loop {
        let before = forbidden.unwrap_or(rest.len());
        let (valid, length) = match (forbidden, next_control(&rest.as_bytes()[..before])) {
            (_, Some(at)) => (at, 1),
            (Some(at), None) => (at, 3),
            (None, None) => break,
        };
        into.push_str(&rest[..valid]);
        let (invalid, after) = rest[valid..].split_at(length);
        if invalid == "\r" {
            into.push('\n');
            rest = after.strip_prefix('\n').unwrap_or(after);
        } else {
            replaced += 1;
            into.push(char::REPLACEMENT_CHARACTER);
            rest = after;
        }
        forbidden = forbidden.and_then(|_| noncharacter(rest.as_bytes()));
    }
    into.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_support::Pieces;

    fn sanitized(bytes: &[u8], pieces: &[usize]) -> (String, u64) {
        let mut sanitizer = Sanitizer::new(Pieces::new(bytes, pieces));
        let mut all = Vec::new();
        sanitizer.read_to_end(&mut all).unwrap();
        (String::from_utf8(all).unwrap(), sanitizer.replaced())
    }

    #[test]
    fn invalid_xml_characters_are_replaced_and_counted() {
        for (bytes, text, replaced) in [
            (&b"plain\ttext\n"[..], "plain\ttext\n", 0),
            (b"a\r\nb\rc\r", "a\nb\nc\n", 0),
            (b"a\0b\x1fc\x7f", "a\u{FFFD}b\u{FFFD}c\x7f", 2),
            (b"caf\xe9 bar", "caf\u{FFFD} bar", 1),
            ("caf\u{e9} \u{1F600}".as_bytes(), "caf\u{e9} \u{1F600}", 0),
            (b"\xEF\xBF\xBE.\xEF\xBF\xBF.\xEF\xBF\xBD", "\u{FFFD}.\u{FFFD}.\u{FFFD}", 2),
            (b"cut \xE2\x82", "cut \u{FFFD}", 2),
        ] {
            for piece in 1..=4 {
                assert_eq!(sanitized(bytes, &[piece]), (text.to_owned(), replaced), "{bytes:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn controls_and_high_bytes_are_found(bytes in proptest::collection::vec(any::<u8>(), 0..4)) {
            for byte in 0..=u8::MAX {
                let block = [&bytes[..], &[byte]].concat();
                let expected = (block.iter().any(|byte| is_control(*byte)), !block.is_ascii());
                prop_assert_eq!(check_bytes(&block), expected);
            }
        }

        #[test]
        fn same_result_for_all_read_lengths(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(0xEF), Just(0xBF), Just(0xBE), Just(0xE2), any::<u8>()], 0..400),
            pieces in proptest::collection::vec(1_usize..40, 1..8),
        ) {
            let (text, replaced) = sanitized(&bytes, &[usize::MAX]);
            prop_assert_eq!(&sanitized(&bytes, &pieces), &(text.clone(), replaced));
            let forbidden = |c: char| c < ' ' && c != '\n' && c != '\t';
            prop_assert!(!text.contains(forbidden));
        }

        /// The source before the position after each `>` is sanitized to the bytes consumed so far.
        #[test]
        fn position_in_the_source_after_each_tag(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'>'), Just(0xEF), Just(0xBF), Just(0xBE), Just(0xE2), any::<u8>()], 0..400),
            pieces in proptest::collection::vec(1_usize..40, 1..8),
        ) {
            let mut sanitizer = Sanitizer::new(Pieces::new(&bytes, &pieces));
            let mut consumed = String::new();
            while let Some(byte) = sanitizer.fill_buf().unwrap().first().copied() {
                sanitizer.consume(1);
                if byte != b'>' {
                    continue;
                }
                let SourcePosition { offset, replaced } = sanitizer.source_position();
                let before = sanitized(&bytes[..usize::try_from(offset).unwrap()], &[usize::MAX]);
                prop_assert!(before.0.ends_with('>') && before.0.len() > consumed.len());
                prop_assert_eq!(before.1, replaced);
                consumed = before.0;
            }
            let tags = bytes.iter().filter(|byte| **byte == b'>').count();
            prop_assert_eq!(consumed.matches('>').count(), tags);
        }
    }
}
