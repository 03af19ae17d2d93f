//! Small XML answers, element by element. Reports have a reader of their own.

use std::io::Read;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::sanitizer::Sanitizer;

/// Lists of thousands of reports fit in; more is not looked at.
const MOST_BYTES: u64 = 64 << 20;
/// One tag, comment or DOCTYPE, and the text of one element. What is longer is damage, or is left out of a text.
const MOST_TEXT: usize = 64 << 10;
const BLOCK: usize = Sanitizer::<&[u8]>::BLOCK;
const MOST_NAME: usize = 256;
const MOST_ATTRIBUTES: usize = 32;
const MOST_DEPTH: usize = 32;

/// Takes what an answer holds. Paths are names joined by `/`, from the root on.
pub(crate) trait Visitor {
    /// An element begins.
    fn open(&mut self, path: &str, attributes: &[(String, String)]);
    /// Ends an element; its text has no spaces at either end.
    fn close(&mut self, path: &str, text: &str);
}

/// Goes through an answer as far as it is sound: true when its root was closed.
pub(crate) fn visit(source: impl Read, visitor: &mut impl Visitor) -> bool {
    let mut washed = Sanitizer::new(source.take(MOST_BYTES));
    washed.limit_events_to(MOST_TEXT + BLOCK);
    let mut reader = Reader::from_reader(washed);
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
                if depth > MOST_DEPTH || name.len() > MOST_NAME {
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

/// Those that can be read.
fn attributes(tag: &BytesStart<'_>) -> Vec<(String, String)> {
    let mut all = tag.attributes();
    let all = all.with_checks(false).take(MOST_ATTRIBUTES).flatten();
    all.filter_map(|attribute| {
        let value = quick_xml::escape::unescape(&attribute.value).ok()?.into_owned();
        Some((attribute.key.into_inner().to_owned(), value))
    })
    .collect()
}

fn add(text: &mut String, piece: &str) {
    if text.len() + piece.len() <= MOST_TEXT {
        text.push_str(piece);
    }
}
