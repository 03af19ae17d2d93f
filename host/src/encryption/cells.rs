//! One cell: a value, a list, facts, or a text with names in it.

use std::net::IpAddr;

use scanbridge_field_encryption::{
    Decrypted, Encrypted, FieldKey, Format, Mentions, OutsideFormat, is_token,
};
use scanbridge_plugin_api::model::Fact;

use super::fields::FieldFormat;

/// How many values were encrypted, and how many of these are tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Encrypted values, tokens included.
    pub(crate) encrypted: u64,
    /// Values that cannot be decrypted.
    pub(crate) tokens: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.encrypted += other.encrypted;
        self.tokens += other.tokens;
    }

    fn count(&mut self, encrypted: Encrypted) {
        self.encrypted += 1;
        self.tokens += u64::from(encrypted == Encrypted::Token);
    }
}

/// Encrypts the values of a cell, or brings them back.
pub(super) trait ValueCipher {
    /// Appends the other side of a value.
    ///
    /// # Errors
    /// When the value cannot be an encrypted one.
    fn value(&mut self, format: Format, value: &str, out: &mut String) -> Result<(), OutsideFormat>;

    /// Appends the other side of a text with names in it.
    fn text(&mut self, text: &str, out: &mut String);

    /// Appends the other side of a cell. In a list, each part of each item is a value.
    ///
    /// # Errors
    /// When a value cannot be an encrypted one.
    fn cell(
        &mut self,
        format: FieldFormat,
        is_list: bool,
        cell: &str,
        out: &mut String,
    ) -> Result<(), OutsideFormat> {
        match format {
            FieldFormat::Mentions => self.text(cell, out),
            FieldFormat::One(format) if !is_list => self.value(format, cell, out)?,
            FieldFormat::One(format) => {
                each_part(cell, &['\n', '\t'], out, |part, out| self.value(format, part, out))?
            }
            FieldFormat::Interfaces => {
                each_part(cell, &['\n'], out, |item, out| self.value(of_interface(item), item, out))?
            }
            FieldFormat::Facts => each_part(cell, &['\n'], out, |item, out| match Fact::from_item(item) {
                Some(Fact::Name { name, source }) => {
                    out.push_str("name\t");
                    self.value(of_name_from(source), name, out)?;
                    out.push('\t');
                    out.push_str(source);
                    Ok(())
                }
                Some(_) => {
                    out.push_str(item);
                    Ok(())
                }
                None => self.value(Format::Text, item, out),
            })?,
        }
        Ok(())
    }
}

/// The format of an item of `asset.interfaces`.
pub(super) fn of_interface(item: &str) -> Format {
    if item.parse::<IpAddr>().is_ok() { Format::Address } else { Format::Mac }
}

/// The format of a name that this source has found.
pub(super) fn of_name_from(source: &str) -> Format {
    if source.eq_ignore_ascii_case("netbios") { Format::Netbios } else { Format::Name }
}

/// Calls `push` for each part between separators, which stay.
fn each_part(
    cell: &str,
    separators: &[char],
    out: &mut String,
    mut push: impl FnMut(&str, &mut String) -> Result<(), OutsideFormat>,
) -> Result<(), OutsideFormat> {
    for part in cell.split_inclusive(separators) {
        let value = part.trim_end_matches(separators);
        push(value, out)?;
        out.push_str(&part[value.len()..]);
    }
    Ok(())
}

/// Encrypts, and counts what it has encrypted.
pub(super) struct Encrypter<'a> {
    pub(super) key: &'a FieldKey,
    pub(super) names: &'a Mentions,
    pub(super) tally: Tally,
}

impl ValueCipher for Encrypter<'_> {
    fn value(&mut self, format: Format, value: &str, out: &mut String) -> Result<(), OutsideFormat> {
        if !value.is_empty() {
            self.tally.count(self.key.encrypt(format, value, out));
        }
        Ok(())
    }

    fn text(&mut self, text: &str, out: &mut String) {
        let (encrypted, tokens) = self.key.encrypt_mentions(self.names, text, out);
        self.tally.add(Tally { encrypted, tokens });
    }
}

/// Passes on what was encrypted before, and counts the tokens.
pub(super) struct Reader(pub(super) Tally);

impl ValueCipher for Reader {
    fn value(&mut self, _: Format, value: &str, out: &mut String) -> Result<(), OutsideFormat> {
        self.0.tokens += u64::from(is_token(value));
        out.push_str(value);
        Ok(())
    }

    fn text(&mut self, text: &str, out: &mut String) {
        out.push_str(text);
    }
}

/// Brings values back.
pub(super) struct Decrypter<'a> {
    pub(super) key: &'a FieldKey,
    pub(super) names: &'a Mentions,
    pub(super) tokens: u64,
}

/// What replaces a token on the way back.
pub(super) const TOKEN: &str = "token (one-way)";

impl ValueCipher for Decrypter<'_> {
    fn value(&mut self, format: Format, value: &str, out: &mut String) -> Result<(), OutsideFormat> {
        let start = out.len();
        if self.key.decrypt(format, value, out)? == Decrypted::Token {
            self.tokens += 1;
            out.truncate(start);
            out.push_str(TOKEN);
        }
        Ok(())
    }

    fn text(&mut self, text: &str, out: &mut String) {
        self.key.decrypt_mentions(self.names, text, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encrypts a cell, decrypts it again, and returns it encrypted.
    fn there_and_back(format: FieldFormat, is_list: bool, cell: &str) -> (String, Tally) {
        let key = FieldKey::derive(b"0123456789abcdef", "test", 1, "").unwrap();
        let names = Mentions::default();
        let (mut encrypted, mut decrypted) = (String::new(), String::new());
        let mut encrypter = Encrypter { key: &key, names: &names, tally: Tally::default() };
        encrypter.cell(format, is_list, cell, &mut encrypted).unwrap();
        let mut decrypter = Decrypter { key: &key, names: &names, tokens: 0 };
        decrypter.cell(format, is_list, &encrypted, &mut decrypted).unwrap();
        assert_eq!(decrypter.tokens, encrypter.tally.tokens);
        if encrypter.tally.tokens == 0 {
            assert_eq!(decrypted, cell);
        }
        (encrypted, encrypter.tally)
    }

    #[test]
    fn items_and_their_parts_are_values() {
        let text = FieldFormat::One(Format::Text);
        let (encrypted, tally) = there_and_back(text, true, "Servers\tHamburg\nWorkstations\t\n");
        assert_eq!(tally, Tally { encrypted: 3, tokens: 0 });
        let shape = |text: &str| text.replace(|letter: char| letter.is_ascii_alphanumeric(), "x");
        assert_eq!(shape(&encrypted), "xxxxxxx\txxxxxxx\nxxxxxxxxxxxx\t\n");
        let (encrypted, tally) = there_and_back(text, true, "DMZ\nServers");
        assert_eq!(tally, Tally { encrypted: 2, tokens: 1 });
        assert_eq!(encrypted.lines().count(), 2);
    }

    #[test]
    fn facts_keep_ports_and_hide_names() {
        let cell = "port\t443\ttcp\thttps\thttps\nname\tweb1.example.com\tFQDN\nname\tWEB01\tNetBIOS\nos\tLinux\tTCP";
        let (encrypted, tally) = there_and_back(FieldFormat::Facts, true, cell);
        assert_eq!(tally, Tally { encrypted: 2, tokens: 0 });
        let lines: Vec<_> = encrypted.lines().collect();
        assert_eq!((lines[0], lines[3]), ("port\t443\ttcp\thttps\thttps", "os\tLinux\tTCP"));
        assert!(!encrypted.contains("web1") && lines[1].ends_with("\tFQDN") && !encrypted.contains("WEB01"));
    }

    #[test]
    fn interfaces_are_addresses_of_both_kinds() {
        let cell = "192.0.2.7\n2001:db8::7\n00:00:5e:00:53:01";
        let (encrypted, tally) = there_and_back(FieldFormat::Interfaces, true, cell);
        assert_eq!(tally.tokens, 0);
        assert!(encrypted.lines().take(2).all(|item| item.parse::<IpAddr>().is_ok()), "{encrypted}");
        assert_eq!(there_and_back(FieldFormat::Interfaces, true, "eth0").1.tokens, 1);
    }
}
