//! The stream that the parser reads: UTF-8, without the control characters that XML forbids, with the line ends that
//! XML requires.

use std::io::{self, BufRead, Read};

/// Sanitizes bytes block by block: invalid UTF-8 and characters that XML forbids become U+FFFD and are counted; CR LF
/// and a lone CR become LF. A clean block is checked once and never copied.
#[derive(Debug)]
pub struct Sanitizer<R> {
    source: R,
    /// The current block, as it was read or sanitized. Its type is text, so that users of a part of it need not
    /// validate it again.
    block: String,
    start: usize,
    /// What the next block begins with: the first bytes of a character, a CR, or what was not taken yet.
    held: Vec<u8>,
    replaced: u64,
    ended: bool,
    since_event: usize,
    limit: usize,
}

impl<R: Read> Sanitizer<R> {
    /// How much is read at a time: little enough to be still in the cache of a core when it is parsed.
    pub const BLOCK: usize = 64 * 1024;

    /// Washes what `source` gives.
    pub fn new(source: R) -> Self {
        Self {
            source,
            block: String::new(),
            start: 0,
            held: Vec::new(),
            replaced: 0,
            ended: false,
            since_event: 0,
            limit: usize::MAX,
        }
    }

    /// How many bytes were replaced so far.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Reading fails once this many bytes, rounded up to a block, were taken since [`Sanitizer::begin_event`].
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

    /// Whether the source has ended and all of it was taken.
    pub(crate) fn is_at_end(&self) -> bool {
        self.ended && self.start == self.block.len()
    }

    /// What of the present block is not taken yet; perhaps nothing, although more follows.
    #[inline]
    pub(crate) fn at_hand(&self) -> &[u8] {
        &self.block.as_bytes()[self.start..]
    }

    /// The last `length` bytes that were consumed. They must be complete characters of the current block.
    #[inline]
    pub(crate) fn taken(&self, length: usize) -> &str {
        &self.block[self.start - length..self.start]
    }

    /// Puts more bytes behind those at hand, which should be few and whole characters. `false` when there are no
    /// more.
    pub(crate) fn lengthen(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        // They are followed by a CR or the beginning of a character that is already held.
        self.held.splice(0..0, self.block.bytes().skip(self.start));
        self.refill()?;
        Ok(true)
    }

    fn refill(&mut self) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.block).into_bytes();
        self.start = 0;
        while self.block.is_empty() && !self.ended {
            let length = self.read_block(&mut bytes)?;
            let usable = if self.ended { length } else { whole_characters(&bytes[..length]) };
            self.held.extend_from_slice(&bytes[usable..length]);
            bytes.truncate(usable);
            self.block = self.clean(std::mem::take(&mut bytes));
        }
        self.since_event += self.block.len();
        if self.is_over_limit() {
            return Err(io::Error::other("a single markup or text token exceeds the limit"));
        }
        Ok(())
    }

    /// Reads after the held bytes, and returns the length of both.
    fn read_block(&mut self, block: &mut Vec<u8>) -> io::Result<usize> {
        let held = self.held.len();
        block.resize(Self::BLOCK.max(2 * held), 0);
        block[..held].copy_from_slice(&self.held);
        self.held.clear();
        loop {
            match self.source.read(&mut block[held..]) {
                Ok(read) => {
                    self.ended = read == 0;
                    return Ok(held + read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The clean form of a block: as a rule the block itself.
    fn clean(&mut self, block: Vec<u8>) -> String {
        let (control, high) = survey(&block);
        match String::from_utf8(block) {
            Ok(text) if !control && (!high || noncharacter(text.as_bytes()).is_none()) => text,
            // Most often it is CR LF alone that has to go.
            Ok(text) => self.wash([(text.as_str(), 0)]),
            Err(error) => self.wash(error.as_bytes().utf8_chunks().map(|c| (c.valid(), c.invalid().len()))),
        }
    }

    /// Joins texts and the replacements for the invalid bytes after each.
    fn wash<'a>(&mut self, texts: impl IntoIterator<Item = (&'a str, usize)>) -> String {
        let mut clean = String::with_capacity(Self::BLOCK);
        for (text, invalid) in texts {
            self.replaced += wash_text(text, &mut clean) + invalid as u64;
            if invalid > 0 {
                clean.push(char::REPLACEMENT_CHARACTER);
            }
        }
        clean
    }
}

impl<R: Read> BufRead for Sanitizer<R> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.block.len() {
            self.refill()?;
        }
        Ok(self.at_hand())
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

/// How many bytes of the block can be judged without the next one: a CR or the beginning of a character at
/// its very end cannot.
fn whole_characters(block: &[u8]) -> usize {
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

/// One look at every byte, in a form that the compiler turns into vector instructions: is there a CR or a
/// forbidden control character, and is there anything beyond ASCII?
#[inline]
fn survey(block: &[u8]) -> (bool, bool) {
    let (mut control, mut high) = (0_u8, 0_u8);
    for &byte in block {
        control |= u8::from(is_control(byte));
        high |= byte;
    }
    (control != 0, high >= 0x80)
}

#[inline]
fn is_control(byte: u8) -> bool {
    (byte < b' ') & (byte != b'\n') & (byte != b'\t')
}

/// The position of U+FFFE or U+FFFF: UTF-8 can encode them, XML forbids them.
fn noncharacter(block: &[u8]) -> Option<usize> {
    memchr::memchr_iter(0xEF, block).find(|at| matches!(block[at + 1..], [0xBF, 0xBE | 0xBF, ..]))
}

/// The position of the next control character, found in strides that are checked as one word.
fn next_control(bytes: &[u8]) -> Option<usize> {
    const STRIDE: usize = 256;
    let stride = bytes.chunks(STRIDE).position(|stride| survey(stride).0)?;
    let from = stride * STRIDE;
    bytes[from..].iter().position(|byte| is_control(*byte)).map(|at| from + at)
}

/// Appends a text without what XML forbids in it, and tells how much that was.
fn wash_text(text: &str, into: &mut String) -> u64 {
    let mut replaced = 0;
    let mut rest = text;
    let mut forbidden = noncharacter(rest.as_bytes());
    loop {
        let before = forbidden.unwrap_or(rest.len());
        let (stretch, length) = match (forbidden, next_control(&rest.as_bytes()[..before])) {
            (_, Some(at)) => (at, 1),
            (Some(at), None) => (at, 3),
            (None, None) => break,
        };
        into.push_str(&rest[..stretch]);
        let (bad, after) = rest[stretch..].split_at(length);
        if bad == "\r" {
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
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives bytes in pieces of these lengths, over and over.
    pub(crate) struct Pieces<'a> {
        rest: &'a [u8],
        lengths: &'a [usize],
        turn: usize,
    }

    impl<'a> Pieces<'a> {
        pub(crate) fn new(rest: &'a [u8], lengths: &'a [usize]) -> Self {
            Self { rest, lengths, turn: 0 }
        }
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.turn = (self.turn + 1) % self.lengths.len();
            let length = self.lengths[self.turn].min(self.rest.len()).min(into.len());
            into[..length].copy_from_slice(&self.rest[..length]);
            self.rest = &self.rest[length..];
            Ok(length)
        }
    }

    fn washed(bytes: &[u8], pieces: &[usize]) -> (String, u64) {
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
                assert_eq!(washed(bytes, &[piece]), (text.to_owned(), replaced), "{bytes:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(0xEF), Just(0xBF), Just(0xBE), Just(0xE2), any::<u8>()], 0..400),
            pieces in proptest::collection::vec(1_usize..40, 1..8),
        ) {
            let (text, replaced) = washed(&bytes, &[usize::MAX]);
            prop_assert_eq!(&washed(&bytes, &pieces), &(text.clone(), replaced));
            let forbidden = |c: char| c < ' ' && c != '\n' && c != '\t';
            prop_assert!(!text.contains(forbidden));
        }
    }
}
