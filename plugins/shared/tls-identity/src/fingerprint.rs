//! SHA-256 fingerprints of certificates.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use scanbridge_plugin_api::PluginError;

/// The SHA-256 of a certificate in DER form. Printed as `AB:CD:…`, as `openssl x509 -fingerprint -sha256` and
/// browsers do. Parsed from that form or from plain hexadecimal digits.
///
/// ```
/// # use scanbridge_tls_identity::Fingerprint;
/// let plain = "ab".repeat(32);
/// let fingerprint: Fingerprint = plain.parse().unwrap();
/// assert!(fingerprint.to_string().starts_with("AB:AB:AB"));
/// assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of this certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl FromStr for Fingerprint {
    type Err = PluginError;

    /// Reads 64 hexadecimal digits, with or without colons or spaces between them. A prefix `sha256:` or `SHA256
    /// Fingerprint=` is accepted.
    ///
    /// # Errors
    /// [`Config`](scanbridge_plugin_api::ErrorKind::Config) for any other text. If its length is that of another
    /// hash, the message names that hash.
    fn from_str(text: &str) -> Result<Self, PluginError> {
        let bad = |problem: String| {
            PluginError::config(problem)
                .with_hint("to print it: `openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE`")
        };
        let lower = text.trim().to_ascii_lowercase();
        let body = ["sha256 fingerprint=", "sha256:"].iter().find_map(|prefix| lower.strip_prefix(prefix));
        let digits: Vec<u8> =
            body.unwrap_or(&lower).bytes().filter(|byte| !matches!(byte, b':' | b' ')).collect();
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(bad(format!(
                "invalid fingerprint `{text}`: only hexadecimal digits and colons are \
                 allowed"
            )));
        }
        if digits.len() == 40 {
            return Err(bad(format!("invalid fingerprint `{text}`: SHA-1 is not supported, use SHA-256")));
        }
        if digits.len() != 64 {
            let length = digits.len();
            return Err(bad(format!(
                "invalid SHA-256 fingerprint `{text}`: {length} hexadecimal digits, expected 64"
            )));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (nibble(pair[0]) << 4) | nibble(pair[1]);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The value of a lower-case hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of the empty input (FIPS 180-2 example values list).
    const OF_EMPTY_INPUT: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn all_fingerprint_notations_are_equal() {
        let expected = Fingerprint::of(&CertificateDer::from(Vec::new()));
        let colons = expected.to_string();
        for text in [
            OF_EMPTY_INPUT.to_owned(),
            OF_EMPTY_INPUT.to_uppercase(),
            colons.replace(':', " "),
            format!("sha256:{OF_EMPTY_INPUT}"),
            format!("SHA256 Fingerprint={colons}"),
            format!("  {colons}\n"),
            colons,
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn invalid_fingerprint_error_names_the_cause() {
        for (text, part) in [
            ("da39a3ee5e6b4b0d3255bfef95601890afd80709", "SHA-1"),
            ("abcd", "4 hexadecimal digits, expected 64"),
            ("", "0 hexadecimal digits, expected 64"),
            ("dc.example.com", "only hexadecimal digits and colons"),
        ] {
            assert!(text.parse::<Fingerprint>().unwrap_err().message.contains(part), "{text}");
        }
    }
}
