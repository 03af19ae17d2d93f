//! XML events, with everything enforced that the parser lets pass: one root of the expected name, closed at
//! the end, nothing beside it; bounded depth, names, attributes and texts; no entity but those of XML.

use std::borrow::Cow;
use std::io::Read;

use quick_xml::events::{BytesRef, BytesStart, Event as Raw};
use quick_xml::{Reader, XmlVersion};

use crate::damage::{Damage, Fault};
use crate::names::Shown;
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

/// Deeper than any report by a factor of four.
const MAX_DEPTH: usize = 64;
/// Longer than any element's name in a report.
const MAX_NAME: usize = 256;
/// More than any element in a report has.
const MAX_ATTRIBUTES: usize = 32;

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
    /// The innermost element ends.
    Close,
    /// Nothing that matters: a comment, a declaration.
    Nothing,
    /// The report ended as it should.
    End,
}

/// Reads the events of one report.
pub(crate) struct Events<R: Read> {
    parser: Reader<Sanitizer<R>>,
    buffer: Vec<u8>,
    gate: Gate,
    limits: Limits,
}

impl<R: Read> Events<R> {
    /// Reads a report whose outermost element is `root`.
    pub(crate) fn new(source: R, root: &'static str, limits: Limits) -> Self {
        let mut washed = Sanitizer::new(source);
        washed.limit_events_to(limits.text_bytes.saturating_add(Sanitizer::<R>::BLOCK));
        let mut parser = Reader::from_reader(washed);
        parser.config_mut().expand_empty_elements = true;
        let gate = Gate { root, root_seen: false, depth: 0 };
        Self { parser, buffer: Vec::new(), gate, limits }
    }

    /// How many bytes or characters were replaced.
    pub(crate) fn replaced(&self) -> u64 {
        self.parser.get_ref().replaced()
    }

    /// Where the reader stands, in bytes of the washed stream.
    pub(crate) fn position(&self) -> u64 {
        self.parser.buffer_position()
    }

    /// The next event.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Event<'_>, Damage> {
        self.buffer.clear();
        self.parser.get_mut().begin_event();
        let event = self.parser.read_event_into(&mut self.buffer);
        let fault = match event {
            Ok(Raw::Start(tag)) => match self.gate.open(tag.name().into_inner()) {
                Ok(()) => return Ok(Event::Open(Element(tag))),
                Err(fault) => fault,
            },
            Ok(Raw::End(_)) => {
                // The parser has matched the names already.
                self.gate.depth = self.gate.depth.saturating_sub(1);
                return Ok(Event::Close);
            }
            Ok(Raw::Text(text)) if self.gate.depth > 0 => return Ok(Event::Text(text.into_inner())),
            Ok(Raw::CData(text)) if self.gate.depth > 0 => return Ok(Event::Verbatim(text.into_inner())),
            Ok(Raw::GeneralRef(reference)) if self.gate.depth > 0 => match resolve(&reference) {
                Ok(c) if is_xml_character(c) => return Ok(Event::Char(c)),
                Ok(_) => {
                    self.parser.get_mut().count_replaced();
                    return Ok(Event::Char('\u{FFFD}'));
                }
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
            // The parser says the same of a <! that goes on in an unknown way as of one that the file ends in.
            Err(quick_xml::Error::Syntax(_)) if !self.parser.get_ref().is_at_end() => {
                Fault::Malformed("a <! begins no comment, CDATA or DOCTYPE".to_owned()).into()
            }
            Err(error) => Fault::of_parser(error, self.gate.root).into(),
        };
        Err(Damage { offset: self.parser.buffer_position(), fault })
    }
}

/// Sees to it that there is one root and nothing beside it.
struct Gate {
    root: &'static str,
    root_seen: bool,
    depth: usize,
}

impl Gate {
    #[inline]
    fn open(&mut self, name: &str) -> Result<(), Box<Fault>> {
        if self.depth == 0 {
            self.open_root(name)?;
        }
        if self.depth == MAX_DEPTH {
            return Err(Fault::TooDeep(MAX_DEPTH).into());
        }
        if name.len() > MAX_NAME {
            return Err(Fault::LongName(MAX_NAME).into());
        }
        self.depth += 1;
        Ok(())
    }

    fn open_root(&mut self, name: &str) -> Result<(), Box<Fault>> {
        let found = Shown(name).to_string();
        if self.root_seen {
            return Err(Fault::Junk { what: format!("a second outermost element, {found},") }.into());
        }
        if name != self.root {
            return Err(Fault::OtherRoot { found, expected: self.root }.into());
        }
        self.root_seen = true;
        Ok(())
    }

    /// The end of the bytes.
    fn end(&self) -> Result<(), Box<Fault>> {
        match (self.depth, self.root_seen) {
            (0, true) => Ok(()),
            (0, false) => Err(Fault::NoRoot.into()),
            _ => Err(Fault::Cut { root: self.root }.into()),
        }
    }

    /// What stands outside the root, or means nothing inside it.
    fn beside(&self, event: &Raw<'_>) -> Result<(), Box<Fault>> {
        let what = match event {
            Raw::Text(text) if text.trim_matches(is_blank).is_empty() => return Ok(()),
            Raw::Text(_) | Raw::CData(_) | Raw::GeneralRef(_) if !self.root_seen => {
                return Err(Fault::TextBefore.into());
            }
            Raw::Text(_) | Raw::CData(_) | Raw::GeneralRef(_) => "text",
            Raw::DocType(_) if self.root_seen => "a DOCTYPE",
            Raw::Decl(_) if self.root_seen => "an XML declaration",
            _ => return Ok(()),
        };
        Err(Fault::Junk { what: what.to_owned() }.into())
    }
}

/// An element's start tag.
pub(crate) struct Element<'b>(BytesStart<'b>);

impl Element<'_> {
    #[inline]
    pub(crate) fn name(&self) -> &str {
        self.0.name().into_inner()
    }

    #[inline]
    pub(crate) fn has_attributes(&self) -> bool {
        self.0.len() > self.name().len()
    }

    /// Gives every attribute with its value to `take`, in order, once all were found to be well-formed.
    pub(crate) fn attributes(&self, mut take: impl FnMut(&str, &str)) -> Result<(), Box<Fault>> {
        let mut keys = [""; MAX_ATTRIBUTES];
        let wrong = |problem: String| {
            Box::new(Fault::Attributes { element: Shown(self.name()).to_string(), problem })
        };
        let mut attributes = self.0.attributes();
        for (count, attribute) in attributes.with_checks(false).enumerate() {
            let attribute = attribute.map_err(|error| wrong(error.to_string()))?;
            let key = attribute.key.into_inner();
            if count == MAX_ATTRIBUTES {
                let element = Shown(self.name()).to_string();
                return Err(Fault::TooManyAttributes { element, limit: MAX_ATTRIBUTES }.into());
            }
            if keys[..count].contains(&key) {
                return Err(wrong(format!("{} stands twice", Shown(key))));
            }
            keys[count] = key;
            if memchr::memchr(b'<', attribute.value.as_bytes()).is_some() {
                return Err(wrong(format!("the value of {} holds a <", Shown(key))));
            }
            if attribute.value.bytes().all(|byte| !matches!(byte, b'&' | b'\n' | b'\t')) {
                take(key, &attribute.value);
                continue;
            }
            let value = attribute
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(|error| wrong(Shown(&error.to_string()).to_string()))?;
            take(key, &value);
        }
        Ok(())
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
            // Zero, and what is no code point at all.
            Err(_) => Ok('\0'),
            Ok(None) => Err(Fault::Entity(Shown(name).to_string()).into()),
        },
    }
}

fn is_xml_character(c: char) -> bool {
    !matches!(c, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}')
}

/// White space of XML, and a byte order mark that stands behind some.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(xml: &str) -> Result<String, String> {
        let mut events = Events::new(xml.as_bytes(), "R", Limits { text_bytes: 1000 });
        let mut told = String::new();
        loop {
            match events.next().map_err(|damage| damage.to_string())? {
                Event::Open(element) => {
                    told.push_str(&format!("<{}", element.name()));
                    let attribute = |key: &str, value: &str| told.push_str(&format!(" {key}={value}"));
                    element.attributes(attribute).map_err(|fault| fault.to_string())?;
                    told.push('>');
                }
                Event::Text(text) => told.push_str(&text),
                Event::Verbatim(text) => told.push_str(&format!("[{text}]")),
                Event::Char(c) => told.push(c),
                Event::Close => told.push_str("</>"),
                Event::Nothing => {}
                Event::End => return Ok(told),
            }
        }
    }

    #[test]
    fn what_a_report_may_hold() {
        for (xml, expected) in [
            ("\n \u{FEFF}<?xml version='1.0'?><!DOCTYPE R SYSTEM 'x'>\n<R/> <!-- end -->\n", "<R></>"),
            ("<R a='1' b=\"&lt;&#65;\nx\">t&amp;&#x42;<![CDATA[&lt;]]></R>", "<R a=1 b=<A x>t&B[&lt;]</>"),
            ("<R>&#1;&#0;&#xFFFFFFFF;</R>", "<R>\u{FFFD}\u{FFFD}\u{FFFD}</>"),
            ("<R>a\r\nb</R>", "<R>a\nb</>"),
        ] {
            assert_eq!(told(xml).as_deref(), Ok(expected), "{xml}");
        }
    }

    #[test]
    fn what_the_parser_lets_pass_is_refused() {
        let deep = format!("<R>{}", "<a>".repeat(64));
        let attributes: String = (0..33).map(|number| format!(" a{number}=''")).collect();
        for (xml, problem) in [
            ("", "the file holds no element"),
            ("<R><a>", "the file ends before R is closed"),
            ("<R><a></a>", "the file ends before R is closed"),
            ("<R><![CDATA[x", "the file ends before R is closed"),
            ("<R></R", "the file ends before R is closed"),
            ("<R><![CDA x]]></R>", "a <! begins no comment, CDATA or DOCTYPE"),
            ("<R><!x></R>", "a <! begins no comment, CDATA or DOCTYPE"),
            ("<R><!", "the file ends before R is closed"),
            ("<R/><R/>", "a second outermost element, R, stands behind the end of the report"),
            ("<R/>junk", "text stands behind the end of the report"),
            ("<R/><!DOCTYPE R>", "a DOCTYPE stands behind the end of the report"),
            ("x<R/>", "text stands before the report"),
            ("<html/>", "the outermost element is html, not R"),
            ("<R>&evil;</R>", "the entity evil is not defined"),
            ("<R a='1' a='2'/>", "the attributes of R are not well-formed: a stands twice"),
            ("<R a='<'/>", "the attributes of R are not well-formed: the value of a holds a <"),
            (&deep, "elements are nested more than 64 deep"),
            (&format!("<R{attributes}/>"), "the element R has more than 32 attributes"),
            (&format!("<R><{}/></R>", "n".repeat(300)), "the name of an element has more than 256 bytes"),
        ] {
            assert_eq!(told(xml), Err(problem.to_owned()), "{xml}");
        }
        assert!(told("<R><a></b></R>").is_err_and(|problem| problem.contains("expected `</a>`")));
    }

    #[test]
    fn no_piece_of_text_grows_without_bound() {
        let problem = "the texts of one asset, definition or finding exceed the limit of 1000 bytes";
        for xml in [
            format!("<R><![CDATA[{}]]></R>", "x".repeat(600_000)),
            format!("<R><!-- {} --></R>", "x".repeat(600_000)),
            format!("<R a='{}'/>", "x".repeat(600_000)),
        ] {
            assert_eq!(told(&xml), Err(problem.to_owned()));
        }
    }
}
