//! XML events, with the checks that the parser omits. There is one root of the expected name, which is closed, and no
//! content outside it. Depth, names, attributes and texts are limited. Only the predefined entities of XML are
//! allowed.
//!
//! Tokens that are complete in the buffered block are read there, without a copy. The parser reads the rest: the
//! prolog, references, comments, and tokens that cross the end of a block. Both produce the same events from the same
//! bytes.

use std::borrow::Cow;
use std::io::{BufRead, Read};

use quick_xml::Reader as Parser;
use quick_xml::events::{BytesRef, BytesStart, Event as Raw};

use crate::damage::{Damage, Fault};
use crate::element::Element;
use crate::element_stack::{ElementStack, Reader};
use crate::in_place::{self, Token};
use crate::names::{Shown, is_xml_character};
pub(crate) use crate::sanitizer::BlockPosition;
use crate::sanitizer::{Sanitizer, SourcePosition};
use crate::skip_element;

/// Memory limits for reading a report.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum text of one asset, definition or finding, in bytes. It also limits one tag,
    /// comment or DOCTYPE.
    pub text_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { text_bytes: 16 << 20 }
    }
}

/// One step through a report.
pub(crate) enum Event<'b> {
    /// An element begins. [`Event::Close`] also follows an empty one.
    Open(Element<'b>),
    /// Text outside CDATA, without references. A text may be split into several events.
    Text(&'b str),
    /// Text of a CDATA section.
    Verbatim(&'b str),
    /// The character of a resolved reference.
    Char(char),
    /// A reference to a character forbidden in XML.
    Forbidden,
    /// The innermost element ends.
    Close,
    /// Markup without content, such as a comment or declaration.
    Nothing,
    /// The complete report was read.
    End,
}

/// Reads the events of one report.
pub(crate) struct Events<R: Read> {
    parser: Parser<Sanitizer<R>>,
    buffer: Vec<u8>,
    /// A text that the parser had to change.
    owned: String,
    stack: ElementStack,
    limits: Limits,
    /// The parser has not read beyond the last event.
    is_between_tokens: bool,
    /// The last start tag was that of an empty element.
    is_empty: bool,
    /// Added to positions in the sanitized stream, modulo 2^64: not zero if the stream is only a part of the report.
    before: u64,
    /// The same for positions in the source.
    before_in_source: u64,
    /// The beginning of the last content that was skipped.
    skipped_from: Option<SourcePosition>,
}

impl<R: Read> Events<R> {
    /// Reads a report whose outermost element is `root`.
    pub(crate) fn new(source: R, root: &'static str, limits: Limits) -> Self {
        let mut sanitized = Sanitizer::new(source);
        sanitized.limit_events_to(limits.text_bytes.saturating_add(Sanitizer::<R>::BLOCK));
        let mut parser = Parser::from_reader(sanitized);
        // `ElementStack` checks end tags, because the parser does not see all start tags.
        parser.config_mut().check_end_names = false;
        parser.config_mut().allow_unmatched_ends = true;
        let stack = ElementStack::new(root);
        Self {
            parser,
            buffer: Vec::new(),
            owned: String::new(),
            stack,
            limits,
            is_between_tokens: false,
            is_empty: false,
            before: 0,
            before_in_source: 0,
            skipped_from: None,
        }
    }

    /// Sets the current position in the complete report, because the stream is only a part of it: in bytes of the
    /// sanitized stream, and of the source.
    pub(crate) fn move_to(&mut self, position: u64, offset: u64) {
        self.before = position.wrapping_sub(self.parser.buffer_position());
        self.before_in_source = offset.wrapping_sub(self.parser.get_ref().source_position().offset);
    }

    /// The position in the source, directly after a tag. Only bytes of the stream count as replaced.
    pub(crate) fn source_position(&self) -> SourcePosition {
        let position = self.parser.get_ref().source_position();
        SourcePosition { offset: position.offset.wrapping_add(self.before_in_source), ..position }
    }

    /// The beginning of the last content that was skipped.
    pub(crate) fn skipped_from(&self) -> Option<SourcePosition> {
        self.skipped_from
    }

    /// Number of replaced bytes.
    pub(crate) fn replaced(&self) -> u64 {
        self.parser.get_ref().replaced()
    }

    /// The position of the reader, in bytes of the sanitized stream.
    pub(crate) fn position(&self) -> u64 {
        self.parser.buffer_position().wrapping_add(self.before)
    }

    /// The names of the open elements after the first `count`, separated by slashes.
    pub(crate) fn path_after(&self, count: usize) -> String {
        self.stack.path_after(count)
    }

    /// The name of the element that was closed last, if none has been opened since.
    pub(crate) fn closed(&self) -> &str {
        self.stack.closed()
    }

    /// The next event. If `needs_text` is false, text outside CDATA may be omitted.
    #[inline(always)]
    pub(crate) fn next(&mut self, needs_text: bool) -> Result<Event<'_>, Damage> {
        if self.is_empty {
            self.is_empty = false;
            self.stack.close_innermost();
            return Ok(Event::Close);
        }
        if !self.is_between_tokens || !self.stack.is_inside() {
            return self.next_from_parser();
        }
        let (before, token) = in_place::next(self.parser.get_ref().buffered(), &self.stack, needs_text);
        match token {
            Token::Text => {
                self.parser.stream().consume(before);
                Ok(Event::Text(self.parser.get_ref().consumed(before)))
            }
            Token::Verbatim { length } => {
                self.parser.stream().consume(before + length);
                let section = self.parser.get_ref().consumed(length);
                Ok(Event::Verbatim(&section[in_place::CDATA.len()..length - 3]))
            }
            Token::Close { length } => {
                self.parser.stream().consume(before + length);
                self.stack.close_innermost();
                Ok(Event::Close)
            }
            Token::Open { name, length } => {
                self.parser.stream().consume(before + length);
                self.open_in_place(name, length)
            }
            Token::NotInPlace => {
                self.parser.stream().consume(before);
                self.next_from_parser()
            }
        }
    }

    #[inline]
    fn open_in_place(&mut self, name: usize, length: usize) -> Result<Event<'_>, Damage> {
        let tag = &self.parser.get_ref().consumed(length)[1..length - 1];
        if let Err(fault) = self.stack.open(&tag[..name], Reader::InPlace) {
            return Err(Damage { offset: self.position(), fault });
        }
        let content = tag.strip_suffix('/').unwrap_or(tag);
        self.is_empty = content.len() < tag.len();
        Ok(Event::Open(Element::new(BytesStart::from_content(content, name))))
    }

    #[cold]
    #[inline(never)]
    fn next_from_parser(&mut self) -> Result<Event<'_>, Damage> {
        self.buffer.clear();
        self.parser.get_mut().begin_event();
        let event = self.parser.read_event_into(&mut self.buffer);
        // After text, the parser has already examined the following markup.
        self.is_between_tokens = !matches!(event, Ok(Raw::Text(_)));
        let fault = match event {
            Ok(Raw::Start(tag)) => match self.stack.open(tag.name().into_inner(), Reader::Parser) {
                Ok(()) => return Ok(Event::Open(Element::new(tag))),
                Err(fault) => fault,
            },
            Ok(Raw::Empty(tag)) => match self.stack.open(tag.name().into_inner(), Reader::Parser) {
                Ok(()) => {
                    self.is_empty = true;
                    return Ok(Event::Open(Element::new(tag)));
                }
                Err(fault) => fault,
            },
            Ok(Raw::End(tag)) => match self.stack.close(tag.name().into_inner()) {
                Ok(()) => return Ok(Event::Close),
                Err(fault) => fault,
            },
            Ok(Raw::Text(text)) if self.stack.is_inside() => {
                return Ok(Event::Text(borrowed(text.into_inner(), &mut self.owned)));
            }
            Ok(Raw::CData(text)) if self.stack.is_inside() => {
                return Ok(Event::Verbatim(borrowed(text.into_inner(), &mut self.owned)));
            }
            Ok(Raw::GeneralRef(reference)) if self.stack.is_inside() => match resolve(&reference) {
                Ok(c) if is_xml_character(c) => return Ok(Event::Char(c)),
                Ok(_) => return Ok(Event::Forbidden),
                Err(fault) => fault,
            },
            Ok(Raw::Eof) => match self.stack.end() {
                Ok(()) => return Ok(Event::End),
                Err(fault) => fault,
            },
            Ok(other) => match self.stack.check_without_content(&other) {
                Ok(()) => return Ok(Event::Nothing),
                Err(fault) => fault,
            },
            Err(_) if self.parser.get_ref().is_over_limit() => {
                Fault::TooMuchText(self.limits.text_bytes).into()
            }
            // The parser reports the same error for an unknown `<!` construct as for a file that ends in one.
            Err(quick_xml::Error::Syntax(_)) if !self.parser.get_ref().is_at_end() => {
                Fault::Malformed("invalid markup after <!".to_owned()).into()
            }
            Err(error) => Fault::of_parser(error, self.stack.root()).into(),
        };
        Err(Damage { offset: self.parser.buffer_position().wrapping_add(self.before), fault })
    }

    /// The name of the element that was just opened, and the bytes of the current block after its start tag. None if it
    /// is empty.
    pub(crate) fn following(&self) -> Option<(&str, &[u8])> {
        let (name, _) = self.stack.innermost().filter(|_| self.is_between_tokens && !self.is_empty)?;
        Some((name, self.parser.get_ref().buffered()))
    }

    /// Skips complete elements and texts of the current block, which are known to be well-formed.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.parser.stream().consume(bytes);
    }

    /// The current position in its block, after the start tag of an element that is not empty.
    pub(crate) fn block_position(&self) -> Option<BlockPosition> {
        self.following().map(|_| self.parser.get_ref().block_position())
    }

    /// The bytes that were read since a position, if it is in the current block.
    pub(crate) fn since(&self, position: BlockPosition) -> Option<&[u8]> {
        self.parser.get_ref().since(position)
    }

    /// Skips to the end tag of the element that was just opened, without parsing its content.
    pub(crate) fn skip_content(&mut self) -> Result<(), Damage> {
        self.skipped_from = Some(self.source_position());
        let Some((name, _)) = self.stack.innermost().filter(|_| !self.is_empty) else { return Ok(()) };
        let fault = match skip_element::skip_to_end_of(name, &mut self.parser.stream()) {
            Ok(true) => return Ok(()),
            Ok(false) => Fault::Truncated { root: self.stack.root() },
            Err(error) => Fault::Read(error.to_string()),
        };
        Err(Damage { offset: self.position(), fault: fault.into() })
    }
}

/// The text, kept in `owned` if it is not borrowed: events are passed in registers, and an owned text would not fit.
fn borrowed<'a>(text: Cow<'a, str>, owned: &'a mut String) -> &'a str {
    match text {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => {
            *owned = text;
            owned
        }
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<char, Box<Fault>> {
    match &**reference {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        name => match reference.resolve_char_ref() {
            Ok(Some(c)) => Ok(c),
            // Zero, and numbers that are not code points.
            Err(_) => Ok('\0'),
            Ok(None) => Err(Fault::Entity(Shown(name).to_string()).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_support::Pieces;

    fn events_of_parser(xml: &str) -> Result<String, String> {
        events_of(xml, &[usize::MAX]).map_err(|damage| damage.to_string())
    }

    /// The concatenated events when the source returns the bytes in pieces of these lengths.
    fn events_of(xml: &str, pieces: &[usize]) -> Result<String, Damage> {
        let mut events = Events::new(Pieces::new(xml.as_bytes(), pieces), "R", Limits { text_bytes: 1000 });
        let mut concatenated = String::new();
        loop {
            let before = events.position();
            match events.next(true)? {
                Event::Open(element) => {
                    concatenated.push_str(&format!("<{}", element.name()));
                    let attribute =
                        |key: &str, value: &str| concatenated.push_str(&format!(" {key}={value}"));
                    element.attributes(attribute).map_err(|fault| Damage { offset: before, fault })?;
                    concatenated.push('>');
                }
                Event::Text(text) => concatenated.push_str(text),
                Event::Verbatim(text) => concatenated.push_str(&format!("[{text}]")),
                Event::Char(c) => concatenated.push(c),
                Event::Forbidden => concatenated.push('\u{FFFD}'),
                Event::Close => concatenated.push_str("</>"),
                Event::Nothing => {}
                Event::End => return Ok(concatenated),
            }
        }
    }

    #[test]
    fn events_of_well_formed_xml() {
        for (xml, expected) in [
            ("\n \u{FEFF}<?xml version='1.0'?><!DOCTYPE R SYSTEM 'x'>\n<R/> <!-- end -->\n", "<R></>"),
            ("<R a='1' b=\"&lt;&#65;\nx\">t&amp;&#x42;<![CDATA[&lt;]]></R>", "<R a=1 b=<A x>t&B[&lt;]</>"),
            ("<R>&#1;&#0;&#xFFFFFFFF;</R>", "<R>\u{FFFD}\u{FFFD}\u{FFFD}</>"),
            ("<R a='x&#1;&#0;&#xFFFE;&#65;y'/>", "<R a=x\u{FFFD}\u{FFFD}\u{FFFD}Ay></>"),
            ("<R>a\r\nb</R>", "<R>a\nb</>"),
        ] {
            assert_eq!(events_of_parser(xml).as_deref(), Ok(expected), "{xml}");
        }
    }

    #[test]
    fn malformed_xml_accepted_by_quick_xml_is_rejected() {
        let deep = format!("<R>{}", "<a>".repeat(64));
        let attributes: String = (0..33).map(|number| format!(" a{number}=''")).collect();
        for (xml, problem) in [
            ("", "the file contains no XML element"),
            ("<R><a>", "unexpected end of file: R is not closed"),
            ("<R><a></a>", "unexpected end of file: R is not closed"),
            ("<R><![CDATA[x", "unexpected end of file: R is not closed"),
            ("<R></R", "unexpected end of file: R is not closed"),
            ("<R><![CDA x]]></R>", "invalid markup after <!"),
            ("<R><!x></R>", "invalid markup after <!"),
            ("<R><!", "unexpected end of file: R is not closed"),
            ("<R/><R/>", "a second root element, R, after the end of the report"),
            ("<R/>junk", "text after the end of the report"),
            ("<R/><!DOCTYPE R>", "a DOCTYPE after the end of the report"),
            ("x<R/>", "unexpected text before the report"),
            ("<html/>", "unexpected root element html, expected R"),
            ("<R>&evil;</R>", "undefined entity evil"),
            ("<R a='1' a='2'/>", "invalid attributes in element R: duplicate attribute a"),
            ("<R a='<'/>", "invalid attributes in element R: `<` in the value of attribute a"),
            (&deep, "XML nested deeper than 64 levels"),
            (&format!("<R{attributes}/>"), "element R has more than 32 attributes"),
            (&format!("<R><{}/></R>", "n".repeat(300)), "element name longer than 256 bytes"),
        ] {
            assert_eq!(events_of_parser(xml), Err(problem.to_owned()), "{xml}");
        }
        assert!(events_of_parser("<R><a></b></R>").is_err_and(|problem| problem.contains("expected `</a>`")));
    }

    #[test]
    fn text_size_is_limited() {
        let problem = "text of one asset, definition or finding exceeds the limit of 1000 bytes";
        for xml in [
            format!("<R><![CDATA[{}]]></R>", "x".repeat(600_000)),
            format!("<R><!-- {} --></R>", "x".repeat(600_000)),
            format!("<R a='{}'/>", "x".repeat(600_000)),
        ] {
            assert_eq!(events_of_parser(&xml), Err(problem.to_owned()));
        }
    }

    const TOKENS: &[&str] = &[
        "<R>",
        "</R>",
        "<a>",
        "</a>",
        "</a >",
        "<a/>",
        "<b c=\"1\">",
        "</b>",
        "<b c='>' d=\"'\"/>",
        "<b c=\">\">",
        "<b/ >",
        "<b c=\"<\">",
        "<\u{E9}>",
        "</\u{E9}>",
        "<>",
        "</>",
        "<",
        ">",
        "&",
        "&amp;",
        "&#1;",
        "x",
        "\n",
        " \n",
        "\u{20AC}",
        "]",
        "]]>",
        "<![CDATA[",
        "<!",
        "<!--",
        "-->",
        "<?x",
        "?>",
        "\"",
        "'",
        "/",
        "<!DOCTYPE R>",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// In pieces of one byte, only text is complete in a block, so the parser reads all markup.
        #[test]
        fn in_place_reader_and_parser_read_the_same(
            tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..25),
            pieces in prop::collection::vec(1_usize..30, 1..4),
            is_closed in any::<bool>(),
        ) {
            let xml = format!("<R>{}{}", tokens.concat(), if is_closed { "</R>" } else { "" });
            let outcome = |pieces: &[usize]| events_of(&xml, pieces).map_err(|damage| (damage.offset, damage.to_string()));
            let by_parser = outcome(&[1]);
            prop_assert_eq!(&outcome(&[usize::MAX]), &by_parser);
            prop_assert_eq!(&outcome(&pieces), &by_parser);
        }
    }
}
