//! XML events, with all rules enforced that the parser does not check: one root of the expected name, closed at the
//! end, nothing else outside it; limited depth, names, attributes and texts; no entities except those of XML.
//!
//! What lies whole in the block at hand is read there, without a copy. The parser reads the rest: the prolog,
//! references, comments, and whatever runs over the end of a block. Both read the same bytes to the same events.

use std::borrow::Cow;
use std::io::{BufRead, Read};

use quick_xml::Reader as Parser;
use quick_xml::events::{BytesRef, BytesStart, Event as Raw};

use crate::damage::{Damage, Fault};
use crate::element::Element;
use crate::gate::{ElementStack, Reader};
use crate::in_place::{self, Token};
use crate::names::Shown;
use crate::pass_over;
use crate::sanitizer::Sanitizer;

/// What a report may make the reader hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most text that one asset, definition or finding may have, in bytes. It also bounds one tag,
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
    /// An element begins. An empty one is followed by [`Event::Close`] as well.
    Open(Element<'b>),
    /// Text outside CDATA, without references. A text may come in several pieces.
    Text(Cow<'b, str>),
    /// Text that stood in CDATA.
    Verbatim(Cow<'b, str>),
    /// A character that a reference named.
    Char(char),
    /// A reference to a character that XML forbids.
    Forbidden,
    /// The innermost element ends.
    Close,
    /// Nothing that matters: a comment, a declaration.
    Nothing,
    /// The report ended as it should.
    End,
}

/// Reads the events of one report.
pub(crate) struct Events<R: Read> {
    parser: Parser<Sanitizer<R>>,
    buffer: Vec<u8>,
    gate: ElementStack,
    limits: Limits,
    /// The parser has returned everything that it has read.
    is_between: bool,
    /// The element that has begun is empty.
    is_empty: bool,
}

impl<R: Read> Events<R> {
    /// Reads a report whose outermost element is `root`.
    pub(crate) fn new(source: R, root: &'static str, limits: Limits) -> Self {
        let mut washed = Sanitizer::new(source);
        washed.limit_events_to(limits.text_bytes.saturating_add(Sanitizer::<R>::BLOCK));
        let mut parser = Parser::from_reader(washed);
        // The gate does it, for the parser does not see all tags.
        parser.config_mut().check_end_names = false;
        parser.config_mut().allow_unmatched_ends = true;
        let gate = ElementStack::new(root);
        Self { parser, buffer: Vec::new(), gate, limits, is_between: false, is_empty: false }
    }

    /// How many bytes were replaced.
    pub(crate) fn replaced(&self) -> u64 {
        self.parser.get_ref().replaced()
    }

    /// The position of the reader, in bytes of the sanitized stream.
    pub(crate) fn position(&self) -> u64 {
        self.parser.buffer_position()
    }

    /// The next event. Unless `wants_text`, text outside CDATA may be left out.
    #[inline]
    pub(crate) fn next(&mut self, wants_text: bool) -> Result<Event<'_>, Damage> {
        if self.is_empty {
            self.is_empty = false;
            self.gate.close_innermost();
            return Ok(Event::Close);
        }
        if !self.is_between || !self.gate.is_inside() {
            return self.next_of_parser();
        }
        let (before, token) = in_place::next(self.parser.get_ref().at_hand(), &self.gate, wants_text);
        match token {
            Token::Text => {
                self.parser.stream().consume(before);
                Ok(Event::Text(Cow::Borrowed(self.parser.get_ref().taken(before))))
            }
            Token::Verbatim { length } => {
                self.parser.stream().consume(before + length);
                let section = self.parser.get_ref().taken(length);
                Ok(Event::Verbatim(Cow::Borrowed(&section[in_place::CDATA.len()..length - 3])))
            }
            Token::Close { length } => {
                self.parser.stream().consume(before + length);
                self.gate.close_innermost();
                Ok(Event::Close)
            }
            Token::Open { name, length } => {
                self.parser.stream().consume(before + length);
                self.open_in_place(name, length)
            }
            Token::NotInPlace => {
                self.parser.stream().consume(before);
                self.next_of_parser()
            }
        }
    }

    #[inline]
    fn open_in_place(&mut self, name: usize, length: usize) -> Result<Event<'_>, Damage> {
        let tag = &self.parser.get_ref().taken(length)[1..length - 1];
        if let Err(fault) = self.gate.open(&tag[..name], Reader::InPlace) {
            return Err(Damage { offset: self.parser.buffer_position(), fault });
        }
        let content = tag.strip_suffix('/').unwrap_or(tag);
        self.is_empty = content.len() < tag.len();
        Ok(Event::Open(Element::new(BytesStart::from_content(content, name))))
    }

    #[cold]
    #[inline(never)]
    fn next_of_parser(&mut self) -> Result<Event<'_>, Damage> {
        self.buffer.clear();
        self.parser.get_mut().begin_event();
        let event = self.parser.read_event_into(&mut self.buffer);
        // Behind text the parser has looked at the markup that follows.
        self.is_between = !matches!(event, Ok(Raw::Text(_)));
        let fault = match event {
            Ok(Raw::Start(tag)) => match self.gate.open(tag.name().into_inner(), Reader::Parser) {
                Ok(()) => return Ok(Event::Open(Element::new(tag))),
                Err(fault) => fault,
            },
            Ok(Raw::Empty(tag)) => match self.gate.open(tag.name().into_inner(), Reader::Parser) {
                Ok(()) => {
                    self.is_empty = true;
                    return Ok(Event::Open(Element::new(tag)));
                }
                Err(fault) => fault,
            },
            Ok(Raw::End(tag)) => match self.gate.close(tag.name().into_inner()) {
                Ok(()) => return Ok(Event::Close),
                Err(fault) => fault,
            },
            Ok(Raw::Text(text)) if self.gate.is_inside() => return Ok(Event::Text(text.into_inner())),
            Ok(Raw::CData(text)) if self.gate.is_inside() => return Ok(Event::Verbatim(text.into_inner())),
            Ok(Raw::GeneralRef(reference)) if self.gate.is_inside() => match resolve(&reference) {
                Ok(c) if is_xml_character(c) => return Ok(Event::Char(c)),
                Ok(_) => return Ok(Event::Forbidden),
                Err(fault) => fault,
            },
            Ok(Raw::Eof) => match self.gate.end() {
                Ok(()) => return Ok(Event::End),
                Err(fault) => fault,
            },
            Ok(other) => match self.gate.beside(&other) {
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
            Err(error) => Fault::of_parser(error, self.gate.root()).into(),
        };
        Err(Damage { offset: self.parser.buffer_position(), fault })
    }

    /// Goes to the end tag of the element that has just begun, without a look at what is in it.
    pub(crate) fn pass_over(&mut self) -> Result<(), Damage> {
        let Some((name, _)) = self.gate.innermost().filter(|_| !self.is_empty) else { return Ok(()) };
        let fault = match pass_over::to_end_of(name, &mut self.parser.stream()) {
            Ok(true) => return Ok(()),
            Ok(false) => Fault::Cut { root: self.gate.root() },
            Err(error) => Fault::Read(error.to_string()),
        };
        Err(Damage { offset: self.parser.buffer_position(), fault: fault.into() })
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

pub(crate) fn is_xml_character(c: char) -> bool {
    !matches!(c, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sanitizer::tests::Pieces;

    fn events_of_parser(xml: &str) -> Result<String, String> {
        events_of(xml, &[usize::MAX]).map_err(|damage| damage.to_string())
    }

    /// What all events tell, when the bytes come in pieces of these lengths.
    fn events_of(xml: &str, pieces: &[usize]) -> Result<String, Damage> {
        let mut events = Events::new(Pieces::new(xml.as_bytes(), pieces), "R", Limits { text_bytes: 1000 });
        let mut events_of_parser = String::new();
        loop {
            let before = events.position();
            match events.next(true)? {
                Event::Open(element) => {
                    events_of_parser.push_str(&format!("<{}", element.name()));
                    let attribute =
                        |key: &str, value: &str| events_of_parser.push_str(&format!(" {key}={value}"));
                    element.attributes(attribute).map_err(|fault| Damage { offset: before, fault })?;
                    events_of_parser.push('>');
                }
                Event::Text(text) => events_of_parser.push_str(&text),
                Event::Verbatim(text) => events_of_parser.push_str(&format!("[{text}]")),
                Event::Char(c) => events_of_parser.push(c),
                Event::Forbidden => events_of_parser.push('\u{FFFD}'),
                Event::Close => events_of_parser.push_str("</>"),
                Event::Nothing => {}
                Event::End => return Ok(events_of_parser),
            }
        }
    }

    #[test]
    fn report_text() {
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
    fn no_piece_of_text_grows_without_bound() {
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

        /// In pieces of one byte nothing but text lies whole in a block: the parser reads all markup.
        #[test]
        fn in_place_reader_and_parser_read_the_same(
            tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..25),
            pieces in prop::collection::vec(1_usize..30, 1..4),
            closes in any::<bool>(),
        ) {
            let xml = format!("<R>{}{}", tokens.concat(), if closes { "</R>" } else { "" });
            let tell = |pieces: &[usize]| events_of(&xml, pieces).map_err(|damage| (damage.offset, damage.to_string()));
            let by_parser = tell(&[1]);
            prop_assert_eq!(&tell(&[usize::MAX]), &by_parser);
            prop_assert_eq!(&tell(&pieces), &by_parser);
        }
    }
}
