//! Reads small XML responses element by element. Reports have a separate reader.

use std::io::Read;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::sanitizer::Sanitizer;

/// Enough for lists of thousands of reports; further bytes are ignored.
const MAX_BYTES: u64 = 64 << 20;
/// Maximum length of one tag, comment or DOCTYPE, and of the text of one element. Longer markup is a fault; longer
/// text is truncated.
const MAX_TEXT: usize = 64 << 10;
const BLOCK: usize = Sanitizer::<&[u8]>::BLOCK;
const MAX_NAME: usize = 256;
const MAX_ATTRIBUTES: usize = 32;
const MAX_DEPTH: usize = 32;

/// Receives the elements of a response. A path consists of the element names from the root on, joined by `/`.
pub(crate) trait Visitor {
    /// Begins an element.
    fn open(&mut self, path: &str, attributes: &[(String, String)]);
    /// Ends an element; `text` has no white space at either end.
    fn close(&mut self, path: &str, text: &str);
}

/// Visits the elements of a response up to the first fault. Returns true if the root was closed.
pub(crate) fn visit(source: impl Read, visitor: &mut impl Visitor) -> bool {
    let mut sanitized = Sanitizer::new(source.take(MAX_BYTES));
    sanitized.limit_events_to(MAX_TEXT + BLOCK);
    let mut reader = Reader::from_reader(sanitized);
    reader.config_mut().expand_empty_elements = true;
    let (mut path, mut text, mut depth) = (String::new(), String::new(), 0);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.get_mut().begin_event();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(tag)) => {
                let name = tag.name().into_inner();
                depth += 1;
                if depth > MAX_DEPTH || name.len() > MAX_NAME {
                    return false;
                }
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(name);
                visitor.open(&path, &attributes(&tag));
                text.clear();
            }
            Ok(Event::Text(piece)) => add(&mut text, &piece),
            Ok(Event::CData(piece)) => add(&mut text, &piece.into_inner()),
            Ok(Event::GeneralRef(name)) => {
                let known = quick_xml::escape::resolve_xml_entity(&name).map(str::to_owned);
                let char = name.resolve_char_ref().ok().flatten().map(String::from);
                add(&mut text, &known.or(char).unwrap_or_default());
            }
            Ok(Event::End(_)) => {
                visitor.close(&path, text.trim());
                text.clear();
                depth -= 1;
                path.truncate(path.rfind('/').unwrap_or(0));
                if depth == 0 {
                    return true;
                }
            }
            Ok(Event::Eof) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

/// The valid attributes.
fn attributes(tag: &BytesStart<'_>) -> Vec<(String, String)> {
    let mut all = tag.attributes();
    let all = all.with_checks(false).take(MAX_ATTRIBUTES).flatten();
    all.filter_map(|attribute| {
        let value = quick_xml::escape::unescape(&attribute.value).ok()?.into_owned();
        Some((attribute.key.into_inner().to_owned(), value))
    })
    .collect()
}

fn add(text: &mut String, piece: &str) {
    if text.len() + piece.len() <= MAX_TEXT {
        text.push_str(piece);
    }
}
