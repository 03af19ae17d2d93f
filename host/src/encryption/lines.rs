//! The way back: single values, lines of the JSON output, and CEF lines.

use scanbridge_field_encryption::{Format, Mentions, OutsideFormat};
use scanbridge_plugin_api::model::{AssetField, Field};
use serde_json::Value;

use super::cells::{Decrypter, TOKEN, ValueCipher, of_interface, of_name_from};
use super::cipher::{OutputCipher, own_names};
use super::fields::{EncryptedField, FieldFormat};

/// Why a line cannot be decrypted. Contains no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecryptError {
    /// A value is not an encrypted one.
    #[error("{key}: {outside}")]
    Outside {
        /// The field or key with the value.
        key: String,
        /// Its format.
        outside: OutsideFormat,
    },
    /// The line has another form.
    #[error("not a JSON object")]
    NoJson,
    /// The line has another form.
    #[error("not a CEF line")]
    NoCef,
}

/// Decrypts values of one output, and counts them.
#[derive(Debug)]
pub(crate) struct LineDecrypter<'a> {
    cipher: &'a OutputCipher,
    /// Values that were decrypted, tokens included.
    pub(crate) values: u64,
}

impl<'a> LineDecrypter<'a> {
    pub(crate) fn new(cipher: &'a OutputCipher) -> Self {
        Self { cipher, values: 0 }
    }

    /// A single value.
    ///
    /// # Errors
    /// When it is outside the format.
    pub(crate) fn value(&mut self, format: Format, value: &str) -> Result<String, DecryptError> {
        let outside = |outside| DecryptError::Outside { key: "value".to_owned(), outside };
        self.one(format, value).map_err(outside)
    }

    fn one(&mut self, format: Format, value: &str) -> Result<String, OutsideFormat> {
        let (names, mut out) = (Mentions::default(), String::new());
        let mut decrypter = Decrypter { key: self.cipher.key(), names: &names, tokens: 0 };
        decrypter.value(format, value, &mut out)?;
        self.values += 1;
        Ok(out)
    }

    /// A line of the JSON output in its own schema.
    ///
    /// # Errors
    /// When it is not a JSON object, or a value is outside the format of its field.
    pub(crate) fn json(&mut self, line: &str) -> Result<String, DecryptError> {
        let mut record: Value = serde_json::from_str(line).map_err(|_| DecryptError::NoJson)?;
        if !record.is_object() {
            return Err(DecryptError::NoJson);
        }
        // Texts name the asset, so that its names come first.
        let (texts, others): (Vec<_>, Vec<_>) =
            self.cipher.fields().iter().partition(|field| field.format == FieldFormat::Mentions);
        for field in others {
            let Some(value) = value_of(&mut record, field) else { continue };
            let outside = |outside| DecryptError::Outside { key: field.full_name(), outside };
            self.json_value(field.format, value).map_err(outside)?;
        }
        let names = {
            let asset = &record["asset"];
            // A token is not the name that texts have.
            let cell =
                |field: AssetField| asset[AssetField::NAMES[field.index()]].as_str().unwrap_or_default();
            self.cipher.key().mentions(own_names(cell).into_iter().filter(|name| name.clear != TOKEN))
        };
        for field in texts {
            if let Some(value) = value_of(&mut record, field) {
                self.json_texts(&names, value);
            }
        }
        Ok(record.to_string())
    }

    /// The values of a field: one, a list, or a list of objects.
    fn json_value(&mut self, format: FieldFormat, value: &mut Value) -> Result<(), OutsideFormat> {
        match value {
            Value::String(text) => {
                let format = match format {
                    FieldFormat::One(format) => format,
                    FieldFormat::Interfaces => of_interface(text),
                    FieldFormat::Facts | FieldFormat::Mentions => return Ok(()),
                };
                *text = self.one(format, text)?;
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.json_value(format, item))?,
            Value::Object(fact) if format == FieldFormat::Facts => {
                let source = fact.get("source").and_then(Value::as_str).unwrap_or_default();
                let (key, format) = match fact.get("fact").and_then(Value::as_str) {
                    Some("name") => ("name", of_name_from(source)),
                    Some("other") => ("text", Format::Text),
                    _ => return Ok(()),
                };
                if let Some(Value::String(text)) = fact.get_mut(key) {
                    *text = self.one(format, text)?;
                }
            }
            Value::Object(parts) => parts.values_mut().try_for_each(|part| self.json_value(format, part))?,
            _ => {}
        }
        Ok(())
    }

    fn json_texts(&mut self, names: &Mentions, value: &mut Value) {
        match value {
            Value::String(text) => {
                let mut out = String::new();
                self.cipher.key().decrypt_mentions(names, text, &mut out);
                self.values += u64::from(out != *text);
                *text = out;
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.json_texts(names, item)),
            Value::Object(parts) => parts.values_mut().for_each(|part| self.json_texts(names, part)),
            _ => {}
        }
    }

    /// A CEF line, with the formats of the keys to decrypt. A value that the line names as truncated is decrypted up to its last
    /// whole block.
    ///
    /// # Errors
    /// When it is not a CEF line, or a value is outside the format of its key.
    pub(crate) fn cef(&mut self, line: &str, map: &[(String, Format)]) -> Result<String, DecryptError> {
        let start = extension(line).ok_or(DecryptError::NoCef)?;
        let (header, extension) = line.split_at(start);
        let pairs = pairs(extension);
        let truncated = pairs.iter().find(|(key, _)| key.ends_with("ScanbridgeTruncated"));
        let is_cut = |key: &str| {
            truncated.is_some_and(|(_, names)| names.trim_end().split(',').any(|name| name == key))
        };
        let mut out = header.to_owned();
        for (key, value) in &pairs {
            out.push_str(key);
            out.push('=');
            let Some((_, format)) = map.iter().find(|(mapped, _)| mapped == key) else {
                out.push_str(value);
                continue;
            };
            let text = value.trim_end_matches(' ');
            let outside = |outside| DecryptError::Outside { key: (*key).to_owned(), outside };
            let clear = if is_cut(key) {
                self.cut(*format, &unescape(text))
            } else {
                self.one(*format, &unescape(text))
            };
            out.push_str(&escape(&clear.map_err(outside)?));
            out.push_str(&value[text.len()..]);
        }
        Ok(out)
    }

    /// What can be decrypted of a truncated value, and how much cannot.
    fn cut(&mut self, format: Format, value: &str) -> Result<String, OutsideFormat> {
        let value = value.strip_suffix("...").unwrap_or(value);
        let mut out = String::new();
        let lost = self.cipher.key().decrypt_cut(format, value, &mut out)?;
        self.values += 1;
        out.push_str(&format!("[truncated: {lost} bytes cannot be decrypted]"));
        Ok(out)
    }
}

/// The value of a field in a line of the JSON output.
fn value_of<'v>(record: &'v mut Value, field: &EncryptedField) -> Option<&'v mut Value> {
    record.get_mut(field.table())?.get_mut(field.name)
}

/// Where the extension of a CEF line begins: after the seventh bar that is not escaped.
fn extension(line: &str) -> Option<usize> {
    let start = line.find("CEF:")?;
    let (mut bars, mut is_escaped) = (0, false);
    for (at, byte) in line.bytes().enumerate().skip(start) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'|' => {
                bars += 1;
                if bars == 7 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The keys of an extension and their values as they are in the line, each with the space before the next key.
fn pairs(extension: &str) -> Vec<(&str, &str)> {
    let bytes = extension.as_bytes();
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'[' | b']' | b'-');
    let mut starts: Vec<(usize, usize)> = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != b'=' || (at > 0 && bytes[at - 1] == b'\\') {
            continue;
        }
        let length = bytes[..at].iter().rev().take_while(|byte| is_key(**byte)).count();
        let start = at - length;
        if length > 0 && (start == 0 || bytes[start - 1] == b' ') {
            starts.push((start, at));
        }
    }
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([extension.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|((start, equals), end)| (&extension[*start..*equals], &extension[equals + 1..end]))
        .collect()
}

fn unescape(value: &str) -> String {
    let (mut out, mut letters) = (String::with_capacity(value.len()), value.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('=', "\\=").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::Secret;
    use serde_json::json;

    use super::super::cells::{Encrypter, Tally};
    use super::super::fields::find_field;
    use super::super::{Encryption, Mode, SecretSource};
    use super::*;

    fn cipher(fields: &[(&str, Option<FieldFormat>)]) -> OutputCipher {
        let field = |(name, format): &(&str, Option<FieldFormat>)| {
            let field = find_field(name).unwrap();
            format.map_or(field, |format| field.with_format(format).unwrap())
        };
        let encryption = Encryption {
            fields: fields.iter().map(field).collect(),
            identity: "test".to_owned(),
            version: 1,
            secret: SecretSource::Value(Secret::new("0123456789abcdef".to_owned())),
            refuses_short_values: false,
            tweak: String::new(),
        };
        OutputCipher::new(&encryption, Mode::Encrypt).unwrap()
    }

    fn encrypt(cipher: &OutputCipher, format: FieldFormat, names: &Mentions, text: &str) -> String {
        let mut out = String::new();
        let mut encrypter = Encrypter { key: cipher.key(), names, tally: Tally::default() };
        encrypter.cell(format, false, text, &mut out).unwrap();
        out
    }

    #[test]
    fn json_line_comes_back_with_the_names_in_its_texts() {
        let fields = [
            ("asset.address", None),
            ("asset.dns", None),
            ("asset.interfaces", None),
            ("asset.tags", None),
            ("finding.facts", None),
            ("finding.result", Some(FieldFormat::Mentions)),
        ];
        let cipher = cipher(&fields);
        let dns = "web1.example.com";
        let names = cipher.key().mentions(own_names(|field| if field == AssetField::Dns { dns } else { "" }));
        let one = |format, text: &str| encrypt(&cipher, FieldFormat::One(format), &names, text);
        let line = json!({
            "asset": {
                "address": one(Format::Address, "192.0.2.7"),
                "dns": one(Format::Name, dns),
                "interfaces": [one(Format::Mac, "00:00:5e:00:53:01")],
                "tags": [one(Format::Text, "DMZ")],
                "os": "Linux",
            },
            "finding": {
                "facts": [{ "fact": "name", "name": one(Format::Netbios, "WEB1"), "source": "NetBIOS" }],
                "port": 443,
                "result": encrypt(&cipher, FieldFormat::Mentions, &names, "web1 (192.0.2.7) and other.example.com"),
            },
        });
        let mut decrypter = LineDecrypter::new(&cipher);
        let clear: Value = serde_json::from_str(&decrypter.json(&line.to_string()).unwrap()).unwrap();
        let expected = json!({
            "asset": {
                "address": "192.0.2.7",
                "dns": dns,
                "interfaces": ["00:00:5e:00:53:01"],
                "tags": ["token (one-way)"],
                "os": "Linux",
            },
            "finding": {
                "facts": [{ "fact": "name", "name": "WEB1", "source": "NetBIOS" }],
                "port": 443,
                "result": "web1 (192.0.2.7) and other.example.com",
            },
        });
        assert_eq!(clear, expected);
        assert_eq!(decrypter.values, 6);
        assert_eq!(decrypter.json("[]"), Err(DecryptError::NoJson));
        let wrong = decrypter.json(r#"{"asset": {"address": "s3cret"}}"#).unwrap_err().to_string();
        assert_eq!(wrong, "asset.address: not an encrypted value of the format `address`");
    }

    #[test]
    fn keys_of_a_cef_line_come_back() {
        let cipher = cipher(&[("asset.dns", None)]);
        let none = Mentions::default();
        let one = |format, text: &str| encrypt(&cipher, FieldFormat::One(format), &none, text);
        let (address, text) = (
            one(Format::Address, "192.0.2.7"),
            one(Format::Text, "a = b\\c, twenty characters and many more of them"),
        );
        let cut = &text[..text.len() - 4];
        let line = |dst: &str, cs1: &str| {
            format!("<13>CEF:0|Q|a\\|b=c|1|38170|Weak cipher|5|dst={dst} cs1={cs1} ScanbridgeTruncated=cs5")
        };
        let map = [("dst".to_owned(), Format::Address), ("cs1".to_owned(), Format::Text)];
        let mut decrypter = LineDecrypter::new(&cipher);
        let clear = decrypter.cef(&line(&address, &escape(&text)), &map).unwrap();
        assert_eq!(clear, line("192.0.2.7", "a \\= b\\\\c, twenty characters and many more of them"));
        let truncated = line(&address, &format!("{}...", escape(cut))).replace("=cs5", "=cs1,cs5");
        let clear = decrypter.cef(&truncated, &map).unwrap();
        assert!(clear.contains("cs1=a \\= b\\\\c, twenty characters a[truncated: "), "{clear}");
        assert!(clear.ends_with(" bytes cannot be decrypted] ScanbridgeTruncated=cs1,cs5"), "{clear}");
        assert_eq!(decrypter.cef("no line", &map), Err(DecryptError::NoCef));
        assert!(decrypter.cef(&line("host", "x"), &map).is_err());
    }
}
