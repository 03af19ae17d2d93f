//! The stream as the parser shall see it: UTF-8, without the control characters that XML forbids, with line
//! ends as XML wants them.

use std::io::{self, BufRead, Read};

/// Washes bytes block by block: what is no UTF-8 or no XML character becomes U+FFFD and is counted, CR LF and
/// a lone CR become LF. A clean block is looked at once and never copied.
#[derive(Debug)]
pub struct Sanitizer<R> {
    source: R,
    /// Holds what is handed out: a block as it was read, or a washed one.
    block: Vec<u8>,
    spare: Vec<u8>,
    start: usize,
    end: usize,
    /// The first bytes of a character, or a CR, that the last block ended with.
    held: Held,
    replaced: u64,
    ended: bool,
    since_event: usize,
    limit: usize,
}

#[derive(Debug, Default)]
struct Held {
    bytes: [u8; 4],
    length: usize,
}

impl<R: Read> Sanitizer<R> {
    /// How much is read at a time: little enough to be still in the cache of a core when it is parsed.
    pub const BLOCK: usize = 64 * 1024;

    /// Washes what `source` gives.
    pub fn new(source: R) -> Self {
        Self {
            source,
            block: vec![0; Self::BLOCK],
            spare: Vec::new(),
            start: 0,
            end: 0,
            held: Held::default(),
            replaced: 0,
            ended: false,
            since_event: 0,
            limit: usize::MAX,
        }
    }

    /// How many bytes (or forbidden characters) were replaced so far.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Counts a character that a reference named although XML forbids it.
    pub(crate) fn count_replaced(&mut self) {
        self.replaced += 1;
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
        self.ended && self.start == self.end
    }

    fn refill(&mut self) -> io::Result<()> {
        (self.start, self.end) = (0, 0);
        while self.end == 0 && !self.ended {
            let length = self.read_block()?;
            let usable = if self.ended { length } else { whole_characters(&self.block[..length]) };
            self.held.keep(&self.block[usable..length]);
            self.end = if is_clean(&self.block[..usable]) { usable } else { self.wash(usable) };
        }
        self.since_event += self.end;
        if self.is_over_limit() {
            return Err(io::Error::other("one piece of markup or text is longer than the limit"));
        }
        Ok(())
    }

    /// Reads behind the bytes held back, and gives the length of both.
    fn read_block(&mut self) -> io::Result<usize> {
        self.block.resize(Self::BLOCK, 0);
        let held = self.held.length;
        self.block[..held].copy_from_slice(&self.held.bytes[..held]);
        self.held.length = 0;
        loop {
            match self.source.read(&mut self.block[held..]) {
                Ok(read) => {
                    self.ended = read == 0;
                    return Ok(held + read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes the clean form of the first `length` bytes of the block, which then takes the block's place.
    fn wash(&mut self, length: usize) -> usize {
        self.spare.clear();
        let block = &self.block[..length];
        if let Ok(text) = simdutf8::basic::from_utf8(block) {
            // Most often it is CR LF alone.
            self.replaced += wash_text(text, &mut self.spare);
        } else {
            for chunk in block.utf8_chunks() {
                self.replaced += wash_text(chunk.valid(), &mut self.spare) + chunk.invalid().len() as u64;
                if !chunk.invalid().is_empty() {
                    self.spare.extend_from_slice(REPLACEMENT);
                }
            }
        }
        std::mem::swap(&mut self.block, &mut self.spare);
        self.block.len()
    }
}

impl<R: Read> BufRead for Sanitizer<R> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.refill()?;
        }
        Ok(&self.block[self.start..self.end])
    }

    #[inline]
    fn consume(&mut self, amount: usize) {
        self.start = (self.start + amount).min(self.end);
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

impl Held {
    fn keep(&mut self, tail: &[u8]) {
        self.bytes[..tail.len()].copy_from_slice(tail);
        self.length = tail.len();
    }
}

const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

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

fn is_clean(block: &[u8]) -> bool {
    let (control, high) = survey(block);
    !control && (!high || (simdutf8::basic::from_utf8(block).is_ok() && noncharacter(block).is_none()))
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

/// Where U+FFFE or U+FFFF stands: UTF-8 can write them, XML forbids them.
fn noncharacter(block: &[u8]) -> Option<usize> {
    memchr::memchr_iter(0xEF, block).find(|at| matches!(block[at + 1..], [0xBF, 0xBE | 0xBF, ..]))
}

/// Where the next control character stands, found in strides that are looked at as a whole.
fn next_control(bytes: &[u8]) -> Option<usize> {
    const STRIDE: usize = 256;
    let stride = bytes.chunks(STRIDE).position(|stride| survey(stride).0)?;
    let from = stride * STRIDE;
    bytes[from..].iter().position(|byte| is_control(*byte)).map(|at| from + at)
}

/// Appends valid UTF-8 without what XML forbids in it, and tells how much that was.
fn wash_text(text: &str, into: &mut Vec<u8>) -> u64 {
    let mut replaced = 0;
    let mut rest = text.as_bytes();
    let mut forbidden = noncharacter(rest);
    loop {
        let (stretch, length) = match (forbidden, next_control(&rest[..forbidden.unwrap_or(rest.len())])) {
            (_, Some(at)) => (at, 1),
            (Some(at), None) => (at, 3),
            (None, None) => break,
        };
        into.extend_from_slice(&rest[..stretch]);
        let (bad, after) = rest[stretch..].split_at(length);
        if bad == b"\r" {
            into.push(b'\n');
            rest = after.strip_prefix(b"\n").unwrap_or(after);
        } else {
            replaced += 1;
            into.extend_from_slice(REPLACEMENT);
            rest = after;
        }
        forbidden = forbidden.and_then(|_| noncharacter(rest));
    }
    into.extend_from_slice(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives its bytes in pieces of the lengths that are asked for, over and over.
    struct Pieces<'a>(&'a [u8], Vec<usize>, usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.2 = (self.2 + 1) % self.1.len();
            let length = self.1[self.2].min(self.0.len()).min(into.len());
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn washed(bytes: &[u8], pieces: Vec<usize>) -> (String, u64) {
        let mut sanitizer = Sanitizer::new(Pieces(bytes, pieces, 0));
        let mut all = Vec::new();
        sanitizer.read_to_end(&mut all).unwrap();
        (String::from_utf8(all).unwrap(), sanitizer.replaced())
    }

    #[test]
    fn what_xml_forbids_is_replaced_and_counted() {
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
                assert_eq!(washed(bytes, vec![piece]), (text.to_owned(), replaced), "{bytes:?}");
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
            let (text, replaced) = washed(&bytes, vec![usize::MAX]);
            prop_assert_eq!(&washed(&bytes, pieces), &(text.clone(), replaced));
            let forbidden = |c: char| c < ' ' && c != '\n' && c != '\t';
            prop_assert!(!text.contains(forbidden));
        }
    }
}
