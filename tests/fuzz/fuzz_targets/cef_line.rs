//! A parser of CEF lines, and the expected form of a text in a line. Written from the README of the plugin and the CEF
//! Implementation Standard, not from the encoder.

/// A parsed line.
pub struct Line<'a> {
    /// Format version, vendor, product, version, class ID, name, severity.
    pub header: Vec<String>,
    pairs: Vec<Pair<'a>>,
}

struct Pair<'a> {
    key: &'a str,
    raw: &'a str,
    value: String,
}

impl Line<'_> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pair(key).map(|pair| pair.value.as_str())
    }

    /// Panics unless the value of the key is this text, complete or correctly truncated. For an empty text the key must
    /// be missing.
    pub fn expect(&self, key: &str, text: &str) {
        let Some(pair) = self.pair(key) else {
            assert_eq!(text, "", "{key} is missing");
            return;
        };
        if escaped_length(text) <= limit(key) {
            assert_eq!(pair.value, text, "{key}");
            return;
        }
        let kept = pair.value.strip_suffix("...").expect("a truncated text ends with three dots");
        assert!(text.starts_with(kept), "{key}: {text:?} does not begin with {kept:?}");
        // The unused space is shorter than the longest character or escape.
        assert!(
            pair.raw.len() + 4 > limit(key),
            "{key} was truncated too early, to {} bytes",
            pair.raw.len()
        );
        let truncated = self
            .get("ScanbridgeTruncated")
            .expect("an event with a truncated text has `ScanbridgeTruncated`");
        assert!(
            truncated.split(',').any(|name| name == key),
            "{key} is truncated but not listed in {truncated:?}"
        );
    }

    fn pair(&self, key: &str) -> Option<&Pair<'_>> {
        self.pairs.iter().find(|pair| pair.key == key)
    }
}

/// Parses a line without its line feed. Anything that a strict producer would not write is an error.
pub fn read(line: &str) -> Result<Line<'_>, String> {
    if line.chars().any(|c| c.is_control() || "\u{2028}\u{2029}".contains(c)) {
        return Err("unescaped control character".to_owned());
    }
    let (header, extension) = read_header(line.strip_prefix("CEF:").ok_or("missing `CEF:`")?)?;
    for (field, limit) in header.iter().zip([1, 63, 63, 31, 1023, 512, 9]) {
        if field.is_empty() || field.trim() != *field || field.len() > limit {
            return Err(format!("invalid header field {field:?}"));
        }
    }
    let pairs = read_pairs(extension.strip_prefix(' ').unwrap_or(extension))?;
    for (index, pair) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|earlier| earlier.key == pair.key) {
            return Err(format!("duplicate key {}", pair.key));
        }
        if pair.raw.len() > limit(pair.key) {
            return Err(format!("value of {} too long: {} bytes", pair.key, pair.raw.len()));
        }
        let labelled = pair.key.strip_suffix("Label");
        if labelled.is_some() && labelled != pairs.get(index + 1).map(|next| next.key) {
            return Err(format!("{} has no key to label", pair.key));
        }
    }
    let header = header.into_iter().map(|field| unescape(field, '|')).collect::<Result<_, _>>()?;
    Ok(Line { header, pairs })
}

/// Splits at the first seven unescaped vertical bars.
fn read_header(text: &str) -> Result<(Vec<&str>, &str), String> {
    let (mut fields, mut rest) = (Vec::new(), text);
    for _ in 0..7 {
        let bar = unescaped(rest, b'|').next().ok_or("fewer than seven vertical bars")?;
        fields.push(&rest[..bar]);
        rest = &rest[bar + 1..];
    }
    Ok((fields, rest))
}

/// A word with an unescaped equals sign begins a pair. Other words belong to the value.
fn read_pairs(text: &str) -> Result<Vec<Pair<'_>>, String> {
    let mut begins = Vec::new();
    let mut at = 0;
    for word in text.split(' ') {
        let mut signs = unescaped(word, b'=');
        match (signs.next(), signs.next()) {
            (Some(sign), None) => begins.push((at, at + sign)),
            (None, _) if at > 0 || text.is_empty() => {}
            _ => return Err(format!("invalid word {word:?}")),
        }
        at += word.len() + 1;
    }
    let mut pairs = Vec::new();
    for (index, (begin, sign)) in begins.iter().enumerate() {
        let end = begins.get(index + 1).map_or(text.len(), |(next, _)| next - 1);
        let (key, raw) = (&text[*begin..*sign], &text[sign + 1..end]);
        let name = key.strip_prefix("ad.").unwrap_or(key);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!("invalid key {key:?}"));
        }
        if raw.is_empty() || raw.trim() != raw {
            return Err(format!("invalid value {raw:?} of {key}"));
        }
        pairs.push(Pair { key, raw, value: unescape(raw, '=')? });
    }
    Ok(pairs)
}

/// The positions of this byte where it is not escaped by a backslash.
fn unescaped(text: &str, wanted: u8) -> impl Iterator<Item = usize> {
    let mut is_escaped = false;
    text.bytes().enumerate().filter_map(move |(at, byte)| {
        let was_escaped = is_escaped;
        is_escaped = !was_escaped && byte == b'\\';
        (byte == wanted && !was_escaped).then_some(at)
    })
}

fn unescape(text: &str, delimiter: char) -> Result<String, String> {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(next) = characters.next() {
        plain.push(match next {
            '\\' => match characters.next() {
                Some('n') if delimiter == '=' => '\n',
                Some(escaped) if escaped == '\\' || escaped == delimiter => escaped,
                other => return Err(format!("invalid escape of {other:?}")),
            },
            other => other,
        });
    }
    Ok(plain)
}

/// The text without what shows nothing at its ends; empty if it shows nothing.
pub fn visible(text: &str) -> &str {
    let is_margin = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(
                c,
                '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            )
            || matches!(c, '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}')
            || matches!(c, '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}')
            || matches!(c, '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
    };
    let is_selector = |c: char| matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}');
    let text = text.trim_matches(is_margin);
    if text.chars().all(|c| is_margin(c) || is_selector(c)) { "" } else { text }
}

/// The form of a text that the README describes, before escaping and truncation.
pub fn clean(text: &str) -> String {
    visible(text)
        .replace("\r\n", "\n")
        .chars()
        .map(|c| match c {
            '\n' | '\r' => '\n',
            '\u{2028}' | '\u{2029}' => ' ',
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => '\u{FFFD}',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

fn escaped_length(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| b"\\=\n".contains(byte)).count()
}

/// The length limits of the README, in bytes.
fn limit(key: &str) -> usize {
    match key {
        "dhost" | "cat" | "categoryTechnique" | "filePath" | "oldFilePath" | "msg" => 1023,
        "flexString1" | "flexString2" => 1023,
        key if key.starts_with("QualysQualys") && key != "QualysQualysExpltDescription" => 1023,
        "proto" => 31,
        "outcome" => 63,
        "externalId" => 40,
        _ => 4000,
    }
}
