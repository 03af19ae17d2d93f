//! An element's start tag, and its attributes with everything enforced that the parser lets pass.

use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;

use crate::damage::Fault;
use crate::names::Shown;

/// More than any element in a report has.
const MAX_ATTRIBUTES: usize = 32;

/// An element's start tag.
pub(crate) struct Element<'b>(pub(crate) BytesStart<'b>);

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
        if !self.has_attributes() {
            return Ok(());
        }
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
