//! Faults in the bytes of a report.

use std::io::{self, BufRead, Read};

use quick_xml::errors::IllFormedError;

use crate::names::Shown;
use crate::sanitizer::Sanitizer;

/// The position at which a report becomes unreadable, and the reason.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct Damage {
    /// Offset in bytes of the sanitized stream, as [`line_at`] expects it.
    pub offset: u64,
    /// The fault. Boxed because the return type of every parsing step contains it.
    pub fault: Box<Fault>,
}

/// Why the rest of a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Reading failed, on the disk or in the caller's own reader.
    #[error("read error: {0}")]
    Read(String),
    /// The bytes end while elements are open.
    #[error("unexpected end of file: {root} is not closed")]
    Truncated {
        /// The outermost element.
        root: &'static str,
    },
    /// The bytes end before any element.
    #[error("the file contains no XML element")]
    NoRoot,
    /// The outermost element has an unexpected name.
    #[error("unexpected root element {found}, expected {expected}")]
    OtherRoot {
        /// Its name.
        found: String,
        /// The name that was expected.
        expected: &'static str,
    },
    /// Content follows the end of the report.
    #[error("{what} after the end of the report")]
    Junk {
        /// Description of the content.
        what: String,
    },
    /// Text precedes the report.
    #[error("unexpected text before the report")]
    TextBefore,
    /// A reference to an entity other than the five predefined entities of XML.
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
        /// Maximum number of attributes.
        limit: usize,
    },
    /// An element has a duplicate or malformed attribute.
    #[error("invalid attributes in element {element}: {problem}")]
    Attributes {
        /// The element's name.
        element: String,
        /// Description of the problem.
        problem: String,
    },
    /// A name of an element is too long.
    #[error("element name longer than {0} bytes")]
    LongName(usize),
    /// One text, or the total text of one asset, definition or finding, exceeds the limit.
    #[error("text of one asset, definition or finding exceeds the limit of {0} bytes")]
    TooMuchText(usize),
    /// There are too many definitions.
    #[error("there are more than {0} definitions")]
    TooManyDefinitions(usize),
    /// The spool of the definitions failed.
    #[error("cannot use the temporary file for definitions: {0}")]
    Spool(String),
    /// Any other XML syntax error.
    #[error("{0}")]
    Malformed(String),
}

impl Fault {
    /// Whether the end of the file appears to be missing, as opposed to invalid content.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        matches!(self, Self::Truncated { .. } | Self::NoRoot)
    }

    /// Converts an error of the parser. The caller handles I/O errors caused by a limit, because it knows the limits.
    pub(crate) fn of_parser(error: quick_xml::Error, root: &'static str) -> Self {
        match error {
            quick_xml::Error::Io(error) => Self::Read(error.to_string()),
            // Each syntax error means that the bytes ended inside a construct. The caller checks whether they did
            // end.
            quick_xml::Error::Syntax(_) => Self::Truncated { root },
            quick_xml::Error::IllFormed(IllFormedError::UnclosedReference) => {
                Self::Malformed("invalid character reference after &".to_owned())
            }
            quick_xml::Error::IllFormed(error) => Self::Malformed(Shown(&error.to_string()).to_string()),
            other => Self::Malformed(Shown(&other.to_string()).to_string()),
        }
    }
}

/// The line number of a [`Damage::offset`], counted from 1. Reads `source` again from its beginning, because counting
/// lines while parsing would slow down every valid report.
///
/// # Errors
/// When `source` fails.
pub fn line_at(source: impl Read, offset: u64) -> io::Result<u64> {
    let mut sanitized = Sanitizer::new(source);
    let (mut line, mut remaining) = (1, offset);
    while remaining > 0 {
        let block = sanitized.fill_buf()?;
        let length = block.len().min(usize::try_from(remaining).unwrap_or(usize::MAX));
        if length == 0 {
            break;
        }
        line += memchr::memchr_iter(b'\n', &block[..length]).count() as u64;
        remaining -= length as u64;
        sanitized.consume(length);
    }
    Ok(line)
}
