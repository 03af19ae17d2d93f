//! An element's start tag and its attributes, with the checks that the parser omits.

use std::borrow::Cow;
use std::cell::Cell;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart};

use crate::damage::Fault;
use crate::names::{Shown, is_xml_character};

/// More than the elements of real reports have.
const MAX_ATTRIBUTES: usize = 32;

/// An element's start tag.
pub(crate) struct Element<'b> {
    tag: BytesStart<'b>,
    /// Number of references to characters forbidden in XML that were replaced in the values returned so far.
    forbidden: Cell<u64>,
}

impl<'b> Element<'b> {
    #[inline]
    pub(crate) fn new(tag: BytesStart<'b>) -> Self {
        Self { tag, forbidden: Cell::new(0) }
    }
}

impl Element<'_> {
    #[inline]
    pub(crate) fn name(&self) -> &str {
        self.tag.name().into_inner()
    }

    #[inline]
    pub(crate) fn has_attributes(&self) -> bool {
        self.tag.len() > self.name().len()
    }

    /// Name and attributes, in bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.tag.len()
    }

    /// Number of references to characters forbidden in XML that were replaced in the values returned so far.
    #[inline]
    pub(crate) fn forbidden_references(&self) -> u64 {
        self.forbidden.get()
    }

    /// Calls `take` with the name and value of each attribute, in order. Fails at the first malformed attribute.
    pub(crate) fn attributes(&self, mut take: impl FnMut(&str, &str)) -> Result<(), Box<Fault>> {
        if !self.has_attributes() {
            return Ok(());
        }
        let mut keys = [""; MAX_ATTRIBUTES];
        let fault = |problem: String| {
            Box::new(Fault::Attributes { element: Shown(self.name()).to_string(), problem })
        };
        let mut attributes = self.tag.attributes();
        for (count, attribute) in attributes.with_checks(false).enumerate() {
            let mut attribute = attribute.map_err(|error| fault(error.to_string()))?;
            let key = attribute.key.into_inner();
            if count == MAX_ATTRIBUTES {
                let element = Shown(self.name()).to_string();
                return Err(Fault::TooManyAttributes { element, limit: MAX_ATTRIBUTES }.into());
            }
            if keys[..count].contains(&key) {
                return Err(fault(format!("duplicate attribute {}", Shown(key))));
            }
            keys[count] = key;
            if memchr::memchr(b'<', attribute.value.as_bytes()).is_some() {
                return Err(fault(format!("`<` in the value of attribute {}", Shown(key))));
            }
            if attribute.value.bytes().all(|byte| !matches!(byte, b'&' | b'\n' | b'\t')) {
                take(key, &attribute.value);
                continue;
            }
            self.replace_forbidden(&mut attribute.value);
            let value = attribute
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(|error| fault(Shown(&error.to_string()).to_string()))?;
            take(key, &value);
        }
        Ok(())
    }

    /// Replaces references to characters forbidden in XML, as for texts.
    #[cold]
    fn replace_forbidden(&self, value: &mut Cow<'_, str>) {
        let mut replaced = String::new();
        let (mut copied, mut from) = (0, 0);
        while let Some(begin) = value[from..].find("&#").map(|at| from + at) {
            let Some(length) = value[begin..].find(';') else { break };
            let reference = BytesRef::new(&value[begin + 1..begin + length]);
            from = begin + length + 1;
            if !matches!(reference.resolve_char_ref(), Ok(Some(c)) if is_xml_character(c)) {
                replaced.push_str(&value[copied..begin]);
                replaced.push('\u{FFFD}');
                copied = from;
                self.forbidden.set(self.forbidden.get() + 1);
            }
        }
        if copied > 0 {
            replaced.push_str(&value[copied..]);
            *value = Cow::Owned(replaced);
        }
    }
}
