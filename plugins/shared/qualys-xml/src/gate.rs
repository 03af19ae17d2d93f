//! One root of the expected name, closed at the end, nothing else outside it; limited depth and names; every end tag
//! matches its start tag.

use quick_xml::errors::IllFormedError;
use quick_xml::events::Event as Raw;

use crate::damage::Fault;
use crate::names::Shown;

/// Deeper than any report by a factor of four.
const MAX_DEPTH: usize = 64;
/// Longer than any element's name in a report.
const MAX_NAME: usize = 256;

/// The elements that are open, and the rules about them.
pub(crate) struct ElementStack {
    root: &'static str,
    root_seen: bool,
    /// The names of the open elements, concatenated.
    names: String,
    open: Vec<Open>,
}

/// An open element.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Where its name begins.
    name: usize,
    reader: Reader,
}

/// Who has read the start tag. The parser keeps a list of those that it has read, and wants to read their end
/// tags too, or the list would grow without bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    Parser,
    InPlace,
}

impl ElementStack {
    pub(crate) fn new(root: &'static str) -> Self {
        Self { root, root_seen: false, names: String::new(), open: Vec::new() }
    }

    /// The name of the root that is expected.
    pub(crate) fn root(&self) -> &'static str {
        self.root
    }

    /// Whether the root, or more, is open.
    #[inline]
    pub(crate) fn is_inside(&self) -> bool {
        !self.open.is_empty()
    }

    /// The innermost element's name, and who has read its start tag.
    #[inline]
    pub(crate) fn innermost(&self) -> Option<(&str, Reader)> {
        self.open.last().map(|open| (&self.names[open.name..], open.reader))
    }

    #[inline]
    pub(crate) fn open(&mut self, name: &str, reader: Reader) -> Result<(), Box<Fault>> {
        if self.open.is_empty() {
            self.open_root(name)?;
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Fault::TooDeep(MAX_DEPTH).into());
        }
        if name.len() > MAX_NAME {
            return Err(Fault::LongName(MAX_NAME).into());
        }
        self.open.push(Open { name: self.names.len(), reader });
        self.names.push_str(name);
        Ok(())
    }

    /// The innermost element ends, and its end tag names it.
    #[inline]
    pub(crate) fn close_innermost(&mut self) {
        if let Some(open) = self.open.pop() {
            self.names.truncate(open.name);
        }
    }

    /// An end tag of this name.
    pub(crate) fn close(&mut self, name: &str) -> Result<(), Box<Fault>> {
        let error = match self.innermost() {
            Some((expected, _)) if expected == name => {
                self.close_innermost();
                return Ok(());
            }
            Some((expected, _)) => {
                let (expected, found) = (expected.to_owned(), name.to_owned());
                IllFormedError::MismatchedEndTag { expected, found }
            }
            None => IllFormedError::UnmatchedEndTag(name.to_owned()),
        };
        Err(Fault::of_parser(error.into(), self.root).into())
    }

    fn open_root(&mut self, name: &str) -> Result<(), Box<Fault>> {
        let found = Shown(name).to_string();
        if self.root_seen {
            return Err(Fault::Junk { what: format!("a second root element, {found},") }.into());
        }
        if name != self.root {
            return Err(Fault::OtherRoot { found, expected: self.root }.into());
        }
        self.root_seen = true;
        Ok(())
    }

    /// The end of the bytes.
    pub(crate) fn end(&self) -> Result<(), Box<Fault>> {
        match (self.open.len(), self.root_seen) {
            (0, true) => Ok(()),
            (0, false) => Err(Fault::NoRoot.into()),
            _ => Err(Fault::Cut { root: self.root }.into()),
        }
    }

    /// Content outside the root, or without meaning inside it.
    pub(crate) fn beside(&self, event: &Raw<'_>) -> Result<(), Box<Fault>> {
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

/// White space of XML, and a byte order mark after some.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{FEFF}')
}
