//! A CEF parser, written only from the CEF Implementation Standard.

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Vendor, product, version, class ID, name and severity.
    pub(crate) header: Vec<String>,
    pub(crate) extension: Vec<(String, String)>,
}

impl Event {
    pub(crate) fn class_id(&self) -> &str {
        &self.header[3]
    }

    pub(crate) fn name(&self) -> &str {
        &self.header[4]
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.extension.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// The events of a file, one per line.
pub(crate) fn events(text: &str) -> Vec<Event> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line has no line feed");
    text.split_terminator('\n').map(event).collect()
}

/// The number of events whose class ID begins with this text.
pub(crate) fn count(events: &[Event], class: &str) -> u64 {
    events.iter().filter(|event| event.class_id().starts_with(class)).count() as u64
}

fn event(line: &str) -> Event {
    let rest = line.strip_prefix("CEF:0|").unwrap_or_else(|| panic!("not a CEF event: {line}"));
    let mut header = Vec::new();
    let mut field = String::new();
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => field.push(characters.next().expect("a character after the backslash").1),
            '|' => header.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
        if header.len() == 6 {
            return Event { header, extension: extension(&rest[at + 1..]) };
        }
    }
    panic!("incomplete CEF header: {line}")
}

/// Parses the extension. A key begins after a space and ends before an equals sign. An escaped equals sign is preceded
/// by a backslash, which no key contains.
fn extension(text: &str) -> Vec<(String, String)> {
    let mut starts = Vec::new();
    for (at, _) in text.match_indices('=') {
        let key_at = text[..at].rfind(' ').map_or(0, |space| space + 1);
        let is_key = at > key_at && text[key_at..at].chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
        if is_key {
            starts.push((key_at, at));
        }
    }
    let ends = starts.iter().skip(1).map(|(key_at, _)| key_at - 1).chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&(key, at), end)| (text[key..at].to_owned(), unescape(&text[at + 1..end])))
        .collect()
}

fn unescape(value: &str) -> String {
    let mut plain = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next().expect("a character after the backslash") {
                'n' => plain.push('\n'),
                'r' => plain.push('\r'),
                escaped @ ('\\' | '=') => plain.push(escaped),
                other => panic!("invalid escape \\{other}: {value}"),
            },
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn cef_parser_decodes_escapes() {
    let events = events("CEF:0|a|b\\|c|1|x\\\\y|name|3|dst=192.0.2.1 cs1=a \\= b\\nc | d cs1Label=Result\n");
    assert_eq!(events[0].header, ["a", "b|c", "1", "x\\y", "name", "3"]);
    assert_eq!(events[0].get("cs1"), Some("a = b\nc | d"));
    assert_eq!(events[0].get("cs1Label"), Some("Result"));
}
