//! Removes HTML markup from the texts of definitions.
//!
//! Lenient, because such texts are written for browsers, and safe for hostile texts: one pass without nesting.
//! Anything that is not certainly markup is kept as text.

use memchr::{memchr, memchr3, memmem};
use wide::u8x16;

use crate::entity;

/// Appends the text of `html` to `out` and stops soon after `max_bytes` bytes.
///
/// The time is linear in the bytes read, also for hostile texts.
///
/// Removes tags. Consecutive blocks (paragraphs, items, rows, breaks) and line breaks become one line break; table
/// cells become one space. Entities become their characters, also when they are escaped twice.
pub fn append_text(out: &mut String, html: &str, max_bytes: usize) {
    let mut text = Text { start: out.len(), out, gap: Gap::None };
    let mut rest = html;
    let mut has_comment_end = true;
    while text.len() <= max_bytes {
        let Some(next) = find_any(SPECIAL, rest.as_bytes()) else {
            text.push(rest);
            break;
        };
        text.push(&rest[..next]);
        rest = &rest[next..];
        rest = match rest.as_bytes()[0] {
            b'\n' => {
                text.begin_gap(Gap::Line);
                &rest[1..]
            }
            b'&' => push_entity(&mut text, rest),
            _ => markup(&mut text, rest, &mut has_comment_end),
        };
    }
}

/// Whether [`append_text`] would append this text as it is.
#[must_use]
pub fn is_plain(html: &str) -> bool {
    find_any(SPECIAL, html.as_bytes()).is_none()
}

/// Appends a text that is not HTML but may contain entities, as titles do, with the entities decoded. Stops soon after
/// `max_bytes` bytes.
pub fn append_decoded(out: &mut String, text: &str, max_bytes: usize) {
    let mut decoded = Text { start: out.len(), out, gap: Gap::None };
    let mut rest = text;
    while decoded.len() <= max_bytes {
        let Some(next) = memchr(b'&', rest.as_bytes()) else {
            decoded.push(rest);
            break;
        };
        decoded.push(&rest[..next]);
        rest = push_entity(&mut decoded, &rest[next..]);
    }
}

/// The bytes that [`append_text`] does not copy.
const SPECIAL: [u8; 3] = [b'<', b'&', b'\n'];

/// A longer tag is treated as text: this limits the search for its end.
const MAX_TAG_BYTES: usize = 4096;

/// White space to write before the next text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
}

struct Text<'a> {
    out: &'a mut String,
    start: usize,
    gap: Gap,
}

impl Text<'_> {
    fn len(&self) -> usize {
        self.out.len() - self.start
    }

    #[inline]
    fn push(&mut self, text: &str) {
        if self.gap == Gap::None {
            self.out.push_str(text);
        } else {
            self.push_after_gap(text);
        }
    }

    fn push_after_gap(&mut self, text: &str) {
        let text = if shows(text.as_bytes().first()) { text } else { text.trim_start() };
        if text.is_empty() {
            return;
        }
        if self.len() > 0 {
            self.out.push(if self.gap == Gap::Line { '\n' } else { ' ' });
        }
        self.gap = Gap::None;
        self.out.push_str(text);
    }

    fn begin_gap(&mut self, gap: Gap) {
        if self.gap == Gap::None && !shows(self.out.as_bytes().last()) {
            let end = self.start + self.out[self.start..].trim_end().len();
            self.out.truncate(end);
        }
        self.gap = self.gap.max(gap);
    }
}

/// Reads an entity or a lone `&`, and returns the text after it.
fn push_entity<'a>(text: &mut Text<'_>, rest: &'a str) -> &'a str {
    let (mut name, mut buffer) = (&rest[1..], [0; 4]);
    loop {
        match entity::decode(name, &mut buffer) {
            // `&amp;lt;` was escaped twice and means `<`.
            Some(("&", after)) if entity::decode(after, &mut [0; 4]).is_some() => name = after,
            Some((characters, after)) => {
                text.push(characters);
                return after;
            }
            None => {
                text.push("&");
                return name;
            }
        }
    }
}

/// Reads a comment, a tag or a lone `<`, and returns the text after it.
fn markup<'a>(text: &mut Text<'_>, rest: &'a str, has_comment_end: &mut bool) -> &'a str {
    if *has_comment_end && rest.starts_with("<!--") {
        match memmem::find(&rest.as_bytes()[4..], b"-->") {
            Some(end) => return &rest[4 + end + 3..],
            None => *has_comment_end = false,
        }
    }
    let Some(end) = tag_end(rest.as_bytes()) else {
        text.push("<");
        return &rest[1..];
    };
    match gap_of(&rest.as_bytes()[1..end]) {
        Gap::None => {}
        gap => text.begin_gap(gap),
    }
    &rest[end + 1..]
}

/// The white space that a tag means, from what is between its brackets: blocks end a line, cells separate words.
fn gap_of(tag: &[u8]) -> Gap {
    let slashes = tag.iter().take_while(|byte| **byte == b'/').count();
    let mut name = [0; LONGEST_NAME + 1];
    let mut length = 0;
    // One byte more than the longest name, so that a longer one is equal to none.
    for (lower, byte) in name.iter_mut().zip(&tag[slashes..]) {
        if !byte.is_ascii_alphanumeric() {
            break;
        }
        *lower = byte.to_ascii_lowercase();
        length += 1;
    }
    match &name[..length] {
        b"p" | b"br" | b"li" | b"ul" | b"ol" | b"tr" | b"hr" | b"dl" | b"dt" | b"dd" => Gap::Line,
        b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"div" | b"pre" => Gap::Line,
        b"table" | b"tbody" | b"thead" | b"section" | b"caption" | b"blockquote" => Gap::Line,
        b"td" | b"th" => Gap::Space,
        _ => Gap::None,
    }
}

/// `blockquote`.
const LONGEST_NAME: usize = 10;

/// The position of the first of these bytes. Most texts between tags are short, and `memchr` has to be called.
#[inline]
fn find_any(bytes: [u8; 3], text: &[u8]) -> Option<usize> {
    if let Some(first) = text.first_chunk() {
        let first = u8x16::new(*first);
        let [a, b, c] = bytes.map(|byte| first.simd_eq(u8x16::splat(byte)));
        let found = (a | b | c).to_bitmask();
        if found != 0 {
            return Some(found.trailing_zeros() as usize);
        }
    }
    let [a, b, c] = bytes;
    memchr3(a, b, c, text)
}

/// Whether it is a byte of a character that is not white space, for most texts: printable ASCII.
#[inline]
fn shows(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_graphic)
}

/// The position of the `>` of the tag at the start of `bytes`; none if there is no tag.
fn tag_end(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [_, b'a'..=b'z' | b'A'..=b'Z' | b'!' | b'?', ..] | [_, b'/', b'a'..=b'z' | b'A'..=b'Z', ..] => {}
        _ => return None,
    }
    let bytes = &bytes[..bytes.len().min(MAX_TAG_BYTES)];
    let mut at = 1;
    while let Some(next) = find_any([b'>', b'"', b'\''], &bytes[at..]) {
        at += next;
        if bytes[at] == b'>' {
            return Some(at);
        }
        // A quote begins a value only after `=`. A `>` inside the value does not end the tag.
        let begins_value = bytes[..at].trim_ascii_end().ends_with(b"=");
        match memchr(bytes[at], &bytes[at + 1..]).filter(|_| begins_value) {
            Some(closing) => at += closing + 2,
            None => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        let mut out = String::new();
        append_text(&mut out, html, usize::MAX);
        out
    }

    #[test]
    fn tags_are_removed_and_blocks_separate_lines() {
        assert_eq!(text("<P>One <b>two</b>.<BR><br/>\n<ul><li>a</li><li class=x>b</ul>"), "One two.\na\nb");
        assert_eq!(text("<table><tr><td>k</td><td>v</td></tr></table>end"), "k v\nend");
        assert_eq!(text("first  line \r\n\r\n second"), "first  line\nsecond");
    }

    #[test]
    fn only_entities_of_a_title_are_decoded() {
        for (title, expected) in [
            ("A &lt;b&gt; &amp;amp; <i>c</i>  d &nosuch; & e", "A <b> & <i>c</i>  d &nosuch; & e"),
            ("&quot;x&#39;", "\"x'"),
            ("a\n<br>b", "a\n<br>b"),
            ("", ""),
        ] {
            let mut out = "=".to_owned();
            append_decoded(&mut out, title, usize::MAX);
            assert_eq!(out, format!("={expected}"));
        }
        let mut out = String::new();
        append_decoded(&mut out, &"&lt;".repeat(100), 10);
        assert_eq!(out, "<".repeat(11));
    }

    #[test]
    fn plain_text_is_appended_as_it_is() {
        for (html, plain) in
            [("", true), (" a > b; c\t\u{e9} ", true), ("a<b", false), ("a&b", false), ("a\nb", false)]
        {
            assert_eq!(is_plain(html), plain, "{html}");
            assert!(!plain || text(html) == html, "{html}");
        }
    }

    #[test]
    fn names_of_tags_are_compared_as_a_whole() {
        assert_eq!(text("a<BlockQuote>b<blockquotes>c</h6>d<h7>e<TD a=b>f<p-x>g<px>h"), "a\nbc\nde f\ngh");
    }

    #[test]
    fn text_that_is_not_a_tag_is_kept() {
        for plain in ["1 < 2 > 0", "<", "a<", "a <1.2.3 b", "<unclosed tag", "</", "</ p>", "<>", "a <= b"] {
            assert_eq!(text(plain), plain);
        }
    }

    #[test]
    fn brackets_in_quoted_attributes_do_not_end_the_tag() {
        assert_eq!(text("<a href=\"x>y\" title='it>s'>link</a>"), "link");
        assert_eq!(text("<a title=it's>x</a> it's"), "x it's");
        assert_eq!(text("<a href=\"open>x"), "x");
    }

    #[test]
    fn comments_are_removed_and_an_unclosed_one_keeps_its_text() {
        assert_eq!(text("a<!-- <p> > -->b"), "ab");
        assert_eq!(text("a<!-- b > c"), "a c");
        assert_eq!(text("a<!DOCTYPE x>b<?php y?>c"), "abc");
    }

    #[test]
    fn entities_are_decoded_also_when_escaped_twice() {
        assert_eq!(text("&lt;b&gt; &amp; &quot;x&quot; it&apos;s&nbsp;ok"), "<b> & \"x\" it's ok");
        assert_eq!(text("&amp;lt;p&amp;gt; &amp;amp;amp; &amp;#39;"), "<p> & '");
        assert_eq!(text("&#65;&#x42;&#X43; &#8364; &#150;"), "ABC € –");
        assert_eq!(text("&#0;&#xD800;&#x110000;"), "\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(
            text("?a=1&copy=2&b; & &; &#; &#x; &nosuch; &amp"),
            "?a=1&copy=2&b; & &; &#; &#x; &nosuch; &amp"
        );
    }

    #[test]
    fn time_and_output_are_limited_for_hostile_texts() {
        let started = std::time::Instant::now();
        for piece in ["<a ", "<a =\">\"", "<!--", "&amp;", "&", "<", "<a ='", "<p>", "\n", "&amp;amp"] {
            let mut out = String::new();
            append_text(&mut out, &piece.repeat(1_000_000), 16_000);
            assert!(out.len() <= 16_000 + MAX_TAG_BYTES, "{piece}");
        }
        // Quadratic time would be hours, not seconds.
        assert!(started.elapsed().as_secs() < 20);
    }
}
