//! Reads markup and text that are complete in the buffered block, without a copy.

use wide::u8x16;

use crate::element_stack::{ElementStack, Reader};

/// Start of a CDATA section.
pub(crate) const CDATA: &str = "<![CDATA[";

/// The next token, with lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// Only the text before the token.
    Text,
    /// A complete CDATA section.
    Verbatim { length: usize },
    /// A complete start tag, with the length of the name after its `<`.
    Open { name: usize, length: usize },
    /// The end tag of the innermost element, written without white space.
    Close { length: usize },
    /// Anything else, or a token that is incomplete in the block.
    NotInPlace,
}

/// Examines the buffered bytes within an element. Returns the length of the text before the token, and the token.
/// Text is a token only if `needs_text` is true.
#[inline(always)]
pub(crate) fn next(bytes: &[u8], stack: &ElementStack, needs_text: bool) -> (usize, Token) {
    let before = match bytes {
        [b'<', ..] => 0,
        // Most elements are on a line of their own; this check is faster than a search.
        [b'\n', b'<', ..] => 1,
        _ => match text_length(bytes) {
            Some(before) => before,
            None => return (0, Token::NotInPlace),
        },
    };
    if before > 0 && needs_text {
        return (before, Token::Text);
    }
    (before, markup(&bytes[before..], stack))
}

/// The length of the text that the bytes begin with. `None` if it may continue after the block.
#[inline]
fn text_length(bytes: &[u8]) -> Option<usize> {
    // Most texts are short, and the search has to be called.
    if let Some(first) = bytes.first_chunk() {
        let first = u8x16::new(*first);
        let ends = first.simd_eq(u8x16::splat(b'<')) | first.simd_eq(u8x16::splat(b'&'));
        if ends.to_bitmask() != 0 {
            return Some(ends.to_bitmask().trailing_zeros() as usize);
        }
    }
    memchr::memchr2(b'<', b'&', bytes)
}

#[inline]
fn markup(markup: &[u8], stack: &ElementStack) -> Token {
    match markup {
        [b'<', b'/', rest @ ..] => end_tag(rest, stack),
        [b'<', b'!', ..] => section(markup),
        [b'<', ..] => start_tag(markup),
        _ => Token::NotInPlace,
    }
}

#[inline]
fn end_tag(rest: &[u8], stack: &ElementStack) -> Token {
    match stack.innermost() {
        Some((name, Reader::InPlace))
            if rest.get(name.len()) == Some(&b'>') && rest.starts_with(name.as_bytes()) =>
        {
            Token::Close { length: "</>".len() + name.len() }
        }
        _ => Token::NotInPlace,
    }
}

#[inline]
fn section(markup: &[u8]) -> Token {
    match markup.strip_prefix(CDATA.as_bytes()).and_then(end_of_cdata) {
        Some(end) => Token::Verbatim { length: CDATA.len() + end },
        None => Token::NotInPlace,
    }
}

/// Length of the rest of a section, including its `]]>`. Searches for `]` because texts contain few of them, but
/// possibly much markup.
#[inline]
pub(crate) fn end_of_cdata(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b']', text).find(|at| text[*at..].starts_with(b"]]>")).map(|at| at + "]]>".len())
}

#[inline]
fn start_tag(markup: &[u8]) -> Token {
    let Some(name) = name_length(&markup[1..]) else { return Token::NotInPlace };
    if name == 0 {
        return Token::NotInPlace;
    }
    let rest = &markup[1 + name..];
    let attributes = match rest {
        [b'>', ..] => 0,
        [b'/', b'>', ..] => 1,
        [b' ' | b'\n' | b'\t', ..] => match memchr::memchr(b'>', rest) {
            Some(end) if are_quotes_closed(&rest[..end]) => end,
            _ => return Token::NotInPlace,
        },
        _ => return Token::NotInPlace,
    };
    Token::Open { name, length: "<>".len() + name + attributes }
}

/// The length of the name that the bytes begin with, of the characters that occur in the names of reports. `None` if the
/// block may end within the name.
#[inline]
fn name_length(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        let others = others(bytes[length..].first_chunk()?);
        if others != 0 {
            return Some(length + others.trailing_zeros() as usize);
        }
        length += 16;
    }
}

/// One bit for each byte that is not alphanumeric in ASCII, `_`, `-`, `.` or `:`.
#[inline]
fn others(bytes: &[u8; 16]) -> u32 {
    let bytes = u8x16::new(*bytes);
    let is_in = |bytes: u8x16, first: u8, last: u8| {
        let above = bytes - u8x16::splat(first);
        above.min(u8x16::splat(last - first)).simd_eq(above)
    };
    let equals = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let letters = is_in(bytes | u8x16::splat(0x20), b'a', b'z');
    // Between `-` and `:` are the digits, `.` and `/`.
    let rest = is_in(bytes, b'-', b':') & !equals(b'/');
    !(letters | rest | equals(b'_')).to_bitmask() & 0xFFFF
}

/// Whether the `>` that follows is outside every attribute value. Single quotes are rare and are left to the parser.
#[inline]
fn are_quotes_closed(attributes: &[u8]) -> bool {
    let mut double = 0_usize;
    for byte in attributes {
        double += usize::from(*byte == b'"');
        if *byte == b'\'' {
            return false;
        }
    }
    double.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_end_at_each_position() {
        for (byte, at) in (0..=u8::MAX).flat_map(|byte| (0..40).map(move |at| (byte, at))) {
            let mut bytes = [b'a'; 60];
            bytes[at] = byte;
            let is_of_name = byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
            assert_eq!(name_length(&bytes), (!is_of_name).then_some(at), "{byte:#x} at {at}");
            assert_eq!(text_length(&bytes), b"<&".contains(&byte).then_some(at), "{byte:#x} at {at}");
        }
    }
}
