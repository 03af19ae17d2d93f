//! Texts that stay readable: only the addresses and the asset's own names in them are encrypted.

use std::net::{IpAddr, Ipv4Addr};

use crate::format::Format;
use crate::key::{Direction, FieldKey};
use crate::token::is_token;

/// Shorter names are words of every text.
const MIN_NAME: usize = 4;
/// The bytes of a hardware address with separators.
const MAC_BYTES: usize = 17;

/// A name of the asset that a text is about.
#[derive(Debug, Clone, Copy)]
pub struct OwnName<'a> {
    /// The name in clear.
    pub clear: &'a str,
    /// Its format: that of the field that it comes from.
    pub format: Format,
}

/// The names of one asset, in clear and encrypted.
#[derive(Debug, Clone, Default)]
pub struct Mentions(Vec<(String, String)>);

impl FieldKey {
    /// Encrypts the names of an asset, for its texts. Names of fewer than four characters are skipped.
    pub fn mentions<'a>(&self, names: impl IntoIterator<Item = OwnName<'a>>) -> Mentions {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for OwnName { clear, format } in names {
            let clear = clear.trim();
            let is_known = pairs.iter().any(|(known, _)| known.eq_ignore_ascii_case(clear));
            // Addresses are found without being named.
            if clear.chars().count() < MIN_NAME || is_known || clear.parse::<IpAddr>().is_ok() {
                continue;
            }
            let mut encrypted = String::new();
            self.encrypt(format, clear, &mut encrypted);
            pairs.push((clear.to_owned(), encrypted));
        }
        // A name can be the beginning of another one.
        pairs.sort_by_key(|(clear, _)| std::cmp::Reverse(clear.len()));
        Mentions(pairs)
    }

    /// Appends the text with encrypted addresses and names. Names of other machines stay clear. Returns how many values are
    /// encrypted, and how many of these are tokens.
    pub fn encrypt_mentions(&self, mentions: &Mentions, text: &str, out: &mut String) -> (u64, u64) {
        let pairs = mentions.0.iter().map(|(clear, encrypted)| (clear.as_str(), encrypted.as_str()));
        self.crypt_mentions(&pairs.collect::<Vec<_>>(), text, Direction::Encrypt, out)
    }

    /// Appends the text in clear. Names come back in the case of `mentions`; tokens stay.
    pub fn decrypt_mentions(&self, mentions: &Mentions, text: &str, out: &mut String) {
        let pairs = mentions.0.iter().map(|(clear, encrypted)| (encrypted.as_str(), clear.as_str()));
        let mut pairs: Vec<_> = pairs.filter(|(encrypted, _)| !is_token(encrypted)).collect();
        pairs.sort_by_key(|(encrypted, _)| std::cmp::Reverse(encrypted.len()));
        self.crypt_mentions(&pairs, text, Direction::Decrypt, out);
    }

    fn crypt_mentions(
        &self,
        names: &[(&str, &str)],
        text: &str,
        direction: Direction,
        out: &mut String,
    ) -> (u64, u64) {
        let (mut rest, mut before, mut counts) = (text, None, (0, 0));
        while let Some(letter) = rest.chars().next() {
            let is_start = before.is_none_or(|before| !is_word(before));
            let name = names.iter().find(|(from, _)| is_start && starts_with_name(rest, from));
            let length = match name {
                Some((from, to)) => {
                    out.push_str(to);
                    counts = (counts.0 + 1, counts.1 + u64::from(is_token(to)));
                    from.len()
                }
                None if is_start && is_word(letter) => {
                    let (length, values) = self.crypt_word(rest, direction, out);
                    counts.0 += values;
                    length
                }
                None => {
                    out.push(letter);
                    letter.len_utf8()
                }
            };
            before = rest[..length].chars().next_back();
            rest = &rest[length..];
        }
        counts
    }

    /// Appends the word at the beginning of the text, with its addresses encrypted or decrypted. Returns its length in bytes
    /// and the number of its addresses.
    fn crypt_word(&self, text: &str, direction: Direction, out: &mut String) -> (usize, u64) {
        if let Some(mac) = mac_at(text) {
            match direction {
                Direction::Encrypt => drop(self.encrypt(Format::Mac, mac, out)),
                Direction::Decrypt => {
                    self.decrypt(Format::Mac, mac, out).map_or_else(|_| out.push_str(mac), drop)
                }
            }
            return (mac.len(), 1);
        }
        let length = text.find(|letter| !is_word(letter)).unwrap_or(text.len());
        let word = text[..length].trim_end_matches(['.', ':']);
        let push = |address: IpAddr, out: &mut String| {
            let address = self.crypt_address(address, direction);
            out.push_str(&address.to_string());
        };
        if word.is_empty() {
            out.push_str(&text[..length]);
            return (length, 0);
        }
        if let Ok(address) = word.parse() {
            push(address, out);
            return (word.len(), 1);
        }
        let mut values = 0;
        for (number, part) in word.split(':').enumerate() {
            if number > 0 {
                out.push(':');
            }
            match part.parse::<Ipv4Addr>() {
                Ok(address) => {
                    push(address.into(), out);
                    values += 1;
                }
                Err(_) => out.push_str(part),
            }
        }
        (word.len(), values)
    }
}

/// A letter of an address or a name without hyphens.
fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '.' | ':')
}

fn starts_with_name(text: &str, name: &str) -> bool {
    let Some(start) = text.get(..name.len()) else { return false };
    let follows = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_');
    start.eq_ignore_ascii_case(name) && !text[name.len()..].starts_with(follows)
}

/// The hardware address at the beginning of the text.
fn mac_at(text: &str) -> Option<&str> {
    let mac = text.get(..MAC_BYTES)?;
    let separator = mac.as_bytes()[2];
    let is_right = |(at, byte): (usize, u8)| match at % 3 {
        2 => byte == separator,
        _ => byte.is_ascii_hexdigit(),
    };
    let goes_on = |letter: char| letter.is_alphanumeric() || matches!(letter, ':' | '-');
    let is_mac = matches!(separator, b':' | b'-') && mac.bytes().enumerate().all(is_right);
    // A colon may end the part of a sentence.
    let next = text[MAC_BYTES..].trim_start_matches(':');
    let ends = !text[MAC_BYTES..].starts_with(goes_on)
        || (text[MAC_BYTES..].starts_with(':') && !next.starts_with(goes_on));
    (is_mac && ends).then_some(mac)
}
