//! What can be wrong with a report's bytes.

use std::io::{self, BufRead, Read};

use quick_xml::errors::IllFormedError;

use crate::names::Shown;
use crate::sanitizer::Sanitizer;

/// The place where a report stops being readable, and why.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct Damage {
    /// Where, in bytes of the washed stream: what [`line_at`] takes.
    pub offset: u64,
    /// The fault. Boxed, because it is also in the return type of every step of a valid report.
    pub fault: Box<Fault>,
}

/// Why a report cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The bytes cannot be read: the disk, or the caller's own reader, failed.
    #[error("read error: {0}")]
    Read(String),
    /// The bytes end while elements are open.
    #[error("unexpected end of file: {root} is not closed")]
    Cut {
        /// The outermost element.
        root: &'static str,
    },
    /// The bytes end before any element.
    #[error("the file contains no XML element")]
    NoRoot,
    /// The outermost element is another one than was expected.
    #[error("unexpected root element {found}, expected {expected}")]
    OtherRoot {
        /// Its name.
        found: String,
        /// The name that was expected.
        expected: &'static str,
    },
    /// There is content after the end of the report.
    #[error("{what} after the end of the report")]
    Junk {
        /// What it is.
        what: String,
    },
    /// There is text before the report.
    #[error("unexpected text before the report")]
    TextBefore,
    /// A reference to an entity that is not one of the five of XML.
    #[error("undefined entity {0}")]
    Entity(String),
    /// Elements are nested too deeply.
    #[error("XML nested deeper than {0} levels")]
    TooDeep(usize),
    /// An element has too many attributes.
    #[error("element {element} has more than {limit} attributes")]
    TooManyAttributes {
        /// The element's name.
        element: String,
        /// How many are taken.
        limit: usize,
    },
    /// An element has an attribute twice, or one that is not written as XML wants it.
    #[error("invalid attributes in element {element}: {problem}")]
    Attributes {
        /// The element's name.
        element: String,
        /// What is wrong.
        problem: String,
    },
    /// A name of an element is too long.
    #[error("element name longer than {0} bytes")]
    LongName(usize),
    /// One text, or all texts of one asset, definition or finding, are larger than the limit.
    #[error("text of one asset, definition or finding exceeds the limit of {0} bytes")]
    TooMuchText(usize),
    /// More definitions than are kept track of.
    #[error("there are more than {0} definitions")]
    TooManyDefinitions(usize),
    /// A spool for definitions could not be written or read.
    #[error("cannot use the temporary file for definitions: {0}")]
    Spool(String),
    /// Anything else that is not XML.
    #[error("{0}")]
    Malformed(String),
}

impl Fault {
    /// Whether it looks as if the end of the file were missing, rather than something in it being wrong.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::NoRoot)
    }

    /// Converts an error of the parser. The caller distinguishes its I/O errors, because the caller knows the limits.
    pub(crate) fn of_parser(error: quick_xml::Error, root: &'static str) -> Self {
        match error {
            quick_xml::Error::Io(error) => Self::Read(error.to_string()),
            // Each of them says that the end of the file came before the end of something; that it did come is
            // the caller's to see.
            quick_xml::Error::Syntax(_) => Self::Cut { root },
            quick_xml::Error::IllFormed(IllFormedError::UnclosedReference) => {
                Self::Malformed("invalid character reference after &".to_owned())
            }
            quick_xml::Error::IllFormed(error) => Self::Malformed(Shown(&error.to_string()).to_string()),
            other => Self::Malformed(Shown(&other.to_string()).to_string()),
        }
    }
}

/// The line of a [`Damage::offset`], counted from 1, found by reading `source` again from its beginning. Counting
/// while parsing would slow down every valid report.
///
/// # Errors
/// When `source` fails.
pub fn line_at(source: impl Read, offset: u64) -> io::Result<u64> {
    let mut washed = Sanitizer::new(source);
    let (mut line, mut left) = (1, offset);
    while left > 0 {
        let block = washed.fill_buf()?;
        let length = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if length == 0 {
            break;
        }
        line += memchr::memchr_iter(b'\n', &block[..length]).count() as u64;
        left -= length as u64;
        washed.consume(length);
    }
    Ok(line)
}
