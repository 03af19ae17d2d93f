//! Checks the structure of the document. There is one root of the expected name, which is closed, and no content
//! outside it. Depth and names are limited, and every end tag matches its start tag.

use quick_xml::errors::IllFormedError;
use quick_xml::events::Event as Raw;

use crate::damage::Fault;
use crate::names::Shown;

/// Four times the depth of real reports.
const MAX_DEPTH: usize = 64;
/// Longer than the element names of real reports.
const MAX_NAME: usize = 256;

/// The open elements, and the structural checks.
pub(crate) struct ElementStack {
    root: &'static str,
    root_seen: bool,
    /// The names of the open elements, concatenated, and after them the name of the last one that was closed.
    names: String,
    /// Where the names of the open elements end.
    end: usize,
    open: Vec<Open>,
}

/// An open element.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Offset of its name.
    name: usize,
    reader: Reader,
}

/// The reader of a start tag. The parser keeps a list of the start tags that it has read. It must also read their end
/// tags, or the list grows without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    Parser,
    InPlace,
}

impl ElementStack {
    pub(crate) fn new(root: &'static str) -> Self {
        Self { root, root_seen: false, names: String::new(), end: 0, open: Vec::new() }
    }

    /// Name of the expected root.
    pub(crate) fn root(&self) -> &'static str {
        self.root
    }

    /// Whether any element is open.
    #[inline]
    pub(crate) fn is_inside(&self) -> bool {
        !self.open.is_empty()
    }

    /// The name of the element that was closed last, if none has been opened since.
    pub(crate) fn closed(&self) -> &str {
        &self.names[self.end..]
    }

    /// The innermost element's name, and the reader of its start tag.
    #[inline]
    pub(crate) fn innermost(&self) -> Option<(&str, Reader)> {
        self.open.last().map(|open| (&self.names[open.name..self.end], open.reader))
    }

    /// The names of the open elements after the first `count`, separated by slashes.
    pub(crate) fn path_after(&self, count: usize) -> String {
        let ends = self.open.iter().skip(1).map(|open| open.name).chain([self.end]);
        let names = self.open.iter().zip(ends).map(|(open, end)| &self.names[open.name..end]);
        names.skip(count).collect::<Vec<_>>().join("/")
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
        self.names.truncate(self.end);
        self.open.push(Open { name: self.end, reader });
        self.names.push_str(name);
        self.end = self.names.len();
        Ok(())
    }

    /// Closes the innermost element, whose end tag was already compared.
    #[inline]
    pub(crate) fn close_innermost(&mut self) {
        if let Some(open) = self.open.pop() {
            self.names.truncate(self.end);
            self.end = open.name;
        }
    }

    /// Closes the innermost element; `name` must match.
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

    /// Checks that the document is complete at the end of the bytes.
    pub(crate) fn end(&self) -> Result<(), Box<Fault>> {
        match (self.open.len(), self.root_seen) {
            (0, true) => Ok(()),
            (0, false) => Err(Fault::NoRoot.into()),
            _ => Err(Fault::Truncated { root: self.root }.into()),
        }
    }

    /// Checks an event that is outside the root, or has no content.
    pub(crate) fn check_without_content(&self, event: &Raw<'_>) -> Result<(), Box<Fault>> {
        let what = match event {
            Raw::Text(text) if text.trim_matches(is_white_space).is_empty() => return Ok(()),
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

/// XML white space, and a byte order mark after it.
fn is_white_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{FEFF}')
}
