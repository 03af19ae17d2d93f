//! Reads markup and text that are complete in the buffered block, without a copy.

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
#[inline]
pub(crate) fn next(bytes: &[u8], stack: &ElementStack, needs_text: bool) -> (usize, Token) {
    let before = match bytes {
        [b'<', ..] => 0,
        // Most elements are on a line of their own; this check is faster than a search.
        [b'\n', b'<', ..] => 1,
        _ => match memchr::memchr2(b'<', b'&', bytes) {
            Some(before) => before,
            None => return (0, Token::NotInPlace),
        },
    };
    if before > 0 && needs_text {
        return (before, Token::Text);
    }
    (before, markup(&bytes[before..], stack))
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
fn end_of_cdata(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b']', text).find(|at| text[*at..].starts_with(b"]]>")).map(|at| at + "]]>".len())
}

#[inline]
fn start_tag(markup: &[u8]) -> Token {
    let is_end = |byte: &u8| !PLAIN[usize::from(*byte)];
    let Some(name) = markup[1..].iter().position(is_end) else { return Token::NotInPlace };
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

/// The characters that occur in the names of reports. Each character of each name is looked up.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        plain[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
        byte += 1;
    }
    plain
};

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
