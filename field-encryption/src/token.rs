//! Tokens: what replaces a value that has too few values to be encrypted, or letters outside its alphabet.

use crate::key::FieldKey;

/// The beginning of a token. In names of machines, two hyphens in the third and fourth place are reserved, and no other
/// use has `tk` before them.
const MARK: &str = "tk--";
/// Characters after the mark, of five bits each.
const LETTERS: usize = 11;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The bytes of a token.
pub const TOKEN_BYTES: usize = MARK.len() + LETTERS;

/// Whether a value has the form of a token. No encrypted value has it, and a value that has it in clear becomes a token
/// itself; so a value of this form is always a token.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let is_letter = |byte: u8| ALPHABET.contains(&byte.to_ascii_lowercase());
    text.len() == TOKEN_BYTES
        && text.is_char_boundary(MARK.len())
        && text[..MARK.len()].eq_ignore_ascii_case(MARK)
        && text.bytes().skip(MARK.len()).all(is_letter)
}

impl FieldKey {
    /// Appends the token of a value. It cannot be decrypted; equal values of a format have equal tokens.
    pub(crate) fn push_token(&self, format: u8, value: &str, out: &mut String) {
        let tag = self.tag(&[b"token", &[format], value.as_bytes()]);
        let bits = tag.as_ref()[..8].iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        out.push_str(MARK);
        for number in 0..LETTERS {
            let letter = bits >> (64 - 5 * (number + 1)) & 31;
            out.push(char::from(ALPHABET[letter as usize]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_of_a_token_is_recognized() {
        for text in ["tk--abcdefghijk", "TK--ABCDEFGHIJK", "tk--23456723456"] {
            assert!(is_token(text), "{text}");
        }
        for text in
            ["averylonghosts", "tk--abcdefghij", "tk--abcdefghij1", "tk-abcdefghijkl", "tké-abcdefghijk"]
        {
            assert!(!is_token(text), "{text}");
        }
    }
}
