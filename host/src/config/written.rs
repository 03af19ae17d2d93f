//! A settings file as it is written: no reference is resolved and no value is checked.

use super::document::Document;
use super::tree::{Content, Node};

/// A value as it is written. It may be secret, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Written {
    /// No value, `~` or `null`.
    Nothing,
    /// A single value without quotes and escapes, with unresolved references.
    Text(String),
    /// A list.
    List(Vec<Written>),
    /// A mapping, in its order. A key can be there twice.
    Mapping(Vec<WrittenEntry>),
}

/// A key of a mapping with its value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct WrittenEntry {
    /// The key.
    pub(crate) key: String,
    /// Its line, from 1; 0 for an entry that is in no file.
    pub(crate) line: usize,
    /// Its value.
    pub(crate) value: Written,
}

impl WrittenEntry {
    /// An entry that is in no file.
    pub(crate) fn new(key: &str, value: Written) -> Self {
        Self { key: key.to_owned(), line: 0, value }
    }
}

impl Written {
    /// The entries of a mapping; empty for other values.
    pub(crate) fn into_entries(self) -> Vec<WrittenEntry> {
        match self {
            Self::Mapping(entries) => entries,
            _ => Vec::new(),
        }
    }

    /// The items of a list; empty for other values.
    pub(crate) fn into_items(self) -> Vec<Self> {
        match self {
            Self::List(items) => items,
            _ => Vec::new(),
        }
    }

    /// A single value.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Document {
    /// The content as it is written.
    pub(crate) fn written(&self) -> Written {
        written(&self.root)
    }
}

fn written(node: &Node) -> Written {
    match &node.content {
        _ if node.is_null() => Written::Nothing,
        Content::Scalar(scalar) => Written::Text(scalar.text.clone()),
        Content::Sequence(items) => Written::List(items.iter().map(written).collect()),
        Content::Mapping(entries) => {
            let entry = |entry: &super::tree::Entry| WrittenEntry {
                key: entry.key.text.clone(),
                line: entry.key.span.line_number(),
                value: written(&entry.value),
            };
            Written::Mapping(entries.iter().map(entry).collect())
        }
    }
}
