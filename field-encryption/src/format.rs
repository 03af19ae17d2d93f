//! The formats of values, and what becomes of a value in each.

use std::net::IpAddr;

use crate::key::{Direction, FieldKey};
use crate::numerals::{Alphabet, DIGITS, HEX, LOWER, MIXED, UPPER};
use crate::token::is_token;

/// How a value is encrypted so that it keeps its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// An IP address. It stays in its class: private, global …
    Address,
    /// A DNS name, in lower case. An IP address instead of a name is encrypted as an address.
    Name,
    /// A NetBIOS name, in upper case.
    Netbios,
    /// A hardware address; the maker's half stays.
    Mac,
    /// Hexadecimal digits, in lower case.
    Hex,
    /// Decimal digits.
    Digits,
    /// Any text: its ASCII letters and digits are encrypted.
    Text,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encrypted {
    /// It was encrypted, and can be decrypted.
    Value,
    /// It was replaced by a token, which cannot be decrypted.
    Token,
}

/// What came of a value on the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decrypted {
    /// The value was decrypted.
    Value,
    /// It is a token, and was copied.
    Token,
}

/// The value is outside its format, so it was not encrypted with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutsideFormat(pub Format);

impl std::fmt::Display for OutsideFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not an encrypted value of the format `{}`", self.0.word())
    }
}

impl std::error::Error for OutsideFormat {}

/// The number of [`Format::Address`].
pub(crate) const ADDRESS: u8 = 1;
/// Digits of a hardware address that are its maker's.
const MAKER_DIGITS: usize = 6;

impl Format {
    /// All formats.
    pub const ALL: [Self; 7] =
        [Self::Address, Self::Name, Self::Netbios, Self::Mac, Self::Hex, Self::Digits, Self::Text];

    /// Its name in settings.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Name => "name",
            Self::Netbios => "netbios",
            Self::Mac => "mac",
            Self::Hex => "hex",
            Self::Digits => "digits",
            Self::Text => "text",
        }
    }

    /// Its number in tweaks. Never changed: values could no longer be decrypted.
    fn number(self) -> u8 {
        match self {
            Self::Address => ADDRESS,
            Self::Name => 2,
            Self::Netbios => 3,
            Self::Mac => 4,
            Self::Hex => 5,
            Self::Digits => 6,
            Self::Text => 7,
        }
    }

    fn alphabet(self) -> &'static Alphabet {
        match self {
            Self::Name => &LOWER,
            Self::Netbios => &UPPER,
            Self::Address | Self::Mac | Self::Hex => &HEX,
            Self::Digits => &DIGITS,
            Self::Text => &MIXED,
        }
    }

    /// The value in the case of the format.
    fn in_case(self, value: &str) -> String {
        match self {
            Self::Netbios => value.to_ascii_uppercase(),
            Self::Digits | Self::Text => value.to_owned(),
            Self::Address | Self::Name | Self::Mac | Self::Hex => value.to_ascii_lowercase(),
        }
    }

    /// Whether a string of characters can be encrypted, and can be an encrypted value.
    fn accepts(self, value: &str) -> bool {
        let has_only = |alphabet: &Alphabet| {
            value.bytes().all(|byte| !byte.is_ascii_alphanumeric() || alphabet.numeral(byte).is_some())
        };
        let is_valid = match self {
            Self::Address => false,
            Self::Name => {
                let label = value.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
                // A colon would make some of them IPv6 addresses.
                value.is_ascii()
                    && !value.contains(':')
                    && label.bytes().any(|byte| byte.is_ascii_alphabetic())
            }
            Self::Netbios => value.is_ascii(),
            Self::Mac => {
                value.is_ascii() && has_only(&HEX) && numerals(&HEX, value).count() == 2 * MAKER_DIGITS
            }
            Self::Hex => value.is_ascii() && has_only(&HEX),
            Self::Digits => value.is_ascii() && has_only(&DIGITS),
            Self::Text => {
                let other =
                    value.chars().filter(|letter| !letter.is_ascii() && letter.is_alphanumeric()).count();
                4 * other <= numerals(&MIXED, value).count() + other
            }
        };
        is_valid && !is_token(value)
    }
}

fn numerals<'a>(alphabet: &'a Alphabet, value: &'a str) -> impl Iterator<Item = u8> + 'a {
    value.bytes().filter_map(|byte| alphabet.numeral(byte))
}

impl FieldKey {
    /// Appends the encrypted value, or its token if it has fewer than a million values or is outside the format. An empty
    /// value stays empty.
    pub fn encrypt(&self, format: Format, value: &str, out: &mut String) -> Encrypted {
        if value.is_empty() {
            return Encrypted::Value;
        }
        let value = format.in_case(value);
        if self.crypt(format, &value, Direction::Encrypt, out) {
            return Encrypted::Value;
        }
        // Also characters outside ASCII are compared without regard to case.
        let value =
            if matches!(format, Format::Digits | Format::Text) { value } else { value.to_lowercase() };
        self.push_token(format.number(), &value, out);
        Encrypted::Token
    }

    /// Appends the value that was encrypted. Names come back in the case of their format. A wrong key is not noticed:
    /// compare [`FieldKey::check_value`] first.
    ///
    /// # Errors
    /// When no value of the format is encrypted to this one.
    pub fn decrypt(&self, format: Format, value: &str, out: &mut String) -> Result<Decrypted, OutsideFormat> {
        if is_token(value) {
            out.push_str(value);
            return Ok(Decrypted::Token);
        }
        if value.is_empty() || self.crypt(format, &format.in_case(value), Direction::Decrypt, out) {
            return Ok(Decrypted::Value);
        }
        Err(OutsideFormat(format))
    }

    /// Appends what can be decrypted of a truncated value: everything before the block in which it ends. Returns
    /// the bytes of the value that cannot be decrypted.
    ///
    /// # Errors
    /// When the value is outside the format. Nothing can be decrypted of an address, a hardware address, a name and a token.
    pub fn decrypt_cut(&self, format: Format, value: &str, out: &mut String) -> Result<usize, OutsideFormat> {
        // How often a name was encrypted depends on its end.
        if matches!(format, Format::Address | Format::Mac | Format::Name) || is_token(value) {
            return Ok(value.len());
        }
        let alphabet = format.alphabet();
        let value = format.in_case(value);
        let intact = alphabet.intact(numerals(alphabet, &value).count());
        let letters = value.bytes().enumerate().filter(|(_, byte)| alphabet.numeral(*byte).is_some());
        let Some(end) = letters.map(|(at, _)| at + 1).take(intact).last() else { return Ok(value.len()) };
        self.crypt_letters(format, &value[..end], 0, Direction::Decrypt, |_| true, out)
            .ok_or(OutsideFormat(format))?;
        Ok(value.len() - end)
    }

    /// Appends the other side of a value in its case. `false` if it is outside the format.
    fn crypt(&self, format: Format, value: &str, direction: Direction, out: &mut String) -> bool {
        let address = || value.parse::<IpAddr>().ok();
        if let (Format::Address | Format::Name, Some(address)) = (format, address()) {
            let address = self.crypt_address(address, direction);
            out.push_str(&address.to_string());
            return true;
        }
        let kept = if format == Format::Mac { MAKER_DIGITS } else { 0 };
        format.accepts(value)
            && self
                .crypt_letters(format, value, kept, direction, |value| format.accepts(value), out)
                .is_some()
    }

    /// Encrypts or decrypts the characters of a value after the first `kept`, until the result is accepted. Everything between them
    /// stays. `None` if there are too few of them.
    fn crypt_letters(
        &self,
        format: Format,
        value: &str,
        kept: usize,
        direction: Direction,
        accepts: impl Fn(&str) -> bool,
        out: &mut String,
    ) -> Option<()> {
        let alphabet = format.alphabet();
        let mut letters: Vec<u8> = numerals(alphabet, value).skip(kept).collect();
        if letters.len() < alphabet.least {
            return None;
        }
        let start = out.len();
        loop {
            alphabet.crypt(&self.ff1, self.tweak(format.number()), &mut letters, direction);
            let mut crypted =
                letters.iter().map(|numeral| char::from(alphabet.letters[usize::from(*numeral)]));
            let mut to_keep = kept;
            out.extend(value.chars().map(|letter| {
                let is_letter = u8::try_from(letter)
                    .is_ok_and(|byte| byte.is_ascii() && alphabet.numeral(byte).is_some());
                if !is_letter {
                    return letter;
                }
                if to_keep > 0 {
                    to_keep -= 1;
                    return letter;
                }
                crypted.next().unwrap_or(letter)
            }));
            if accepts(&out[start..]) {
                return Some(());
            }
            out.truncate(start);
        }
    }
}
