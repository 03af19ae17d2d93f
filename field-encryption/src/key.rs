//! The key of an output: derived from the operator's secret.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::kdf::{KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac};
use zeroize::Zeroize;

use crate::ff1::Ff1;

/// The least length of a secret, in bytes.
pub const MIN_SECRET_BYTES: usize = 16;

/// The label of the key derivation.
const LABEL: &[u8] = b"scanbridge field encryption 1";
/// The bytes that are derived: the key of AES-256, and that of tokens and of the check value.
const DERIVED: usize = 64;

/// The secret is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortSecret;

impl fmt::Display for ShortSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the secret has fewer than {MIN_SECRET_BYTES} bytes")
    }
}

impl std::error::Error for ShortSecret {}

/// Encrypts and decrypts single values. Equal values have equal results, in all fields of one format, in all runs and for
/// all keys that were derived from the same parts.
pub struct FieldKey {
    pub(crate) ff1: Ff1,
    token: hmac::Key,
    tweak: [u8; 4],
}

/// Omits the keys.
impl fmt::Debug for FieldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldKey")
    }
}

/// Which way a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Encrypt,
    Decrypt,
}

/// The tweak of a block: number of the format, number of the block, and the operator's tweak.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tweak([u8; 7]);

impl Tweak {
    /// Numbers of blocks repeat after 65,536.
    pub(crate) fn set_block(&mut self, number: usize) {
        self.0[1..3].copy_from_slice(&(number as u16).to_be_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FieldKey {
    /// Derives the key with the counter mode of SP 800-108 and HMAC-SHA-256. `identity` and `version` name the key; `tweak`
    /// distinguishes keys of the same name, and may be empty. The secret is not a password: it must be random.
    ///
    /// # Errors
    /// When the secret is shorter than [`MIN_SECRET_BYTES`].
    pub fn derive(secret: &[u8], identity: &str, version: u64, tweak: &str) -> Result<Self, ShortSecret> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(ShortSecret);
        }
        let version = version.to_string();
        let bits = (8 * DERIVED as u32).to_be_bytes();
        let info = [LABEL, &[0], identity.as_bytes(), &[0], version.as_bytes(), &bits].concat();
        let mut derived = [0; DERIVED];
        let algorithm = get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256);
        kbkdf_ctr_hmac(algorithm.expect("the library has HMAC-SHA-256"), secret, &info, &mut derived)
            .expect("lengths are within the limits of the function");
        let (aes, token) = derived.split_at(DERIVED / 2);
        let key = Self {
            ff1: Ff1::new(aes).expect("an AES-256 key has 32 bytes"),
            token: hmac::Key::new(HMAC_SHA256, token),
            tweak: if tweak.is_empty() {
                [0; 4]
            } else {
                first_bytes(digest(&SHA256, tweak.as_bytes()).as_ref())
            },
        };
        derived.zeroize();
        Ok(key)
    }

    /// Identifies the tweak without revealing it; 0 for an empty one.
    #[must_use]
    pub fn tweak_hash(&self) -> u32 {
        u32::from_be_bytes(self.tweak)
    }

    /// Identifies the key without revealing it: FF1 cannot tell that a value was decrypted with another one.
    #[must_use]
    pub fn check_value(&self) -> u64 {
        u64::from_be_bytes(first_bytes(self.tag(&[b"check"]).as_ref()))
    }

    /// A key for hashes that only who has this key can compute. Another `purpose` has another key.
    #[must_use]
    pub fn hash_key(&self, purpose: &str) -> HashKey {
        HashKey(hmac::Key::new(HMAC_SHA256, self.tag(&[b"hash", purpose.as_bytes()]).as_ref()))
    }

    pub(crate) fn tag(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.token);
        parts.iter().for_each(|part| context.update(part));
        context.sign()
    }

    pub(crate) fn tweak(&self, format: u8) -> Tweak {
        let [a, b, c, d] = self.tweak;
        Tweak([format, 0, 0, a, b, c, d])
    }
}

/// Hashes values that are not to be guessed from their hashes: HMAC-SHA-256.
#[derive(Clone)]
pub struct HashKey(hmac::Key);

/// Omits the key.
impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

impl HashKey {
    /// Identifies the key without revealing it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.hash(b"id", &[])
    }

    /// The first 64 bits of the HMAC of a value. Values with different labels have different hashes.
    #[must_use]
    pub fn hash(&self, label: &[u8], value: &[u8]) -> u64 {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&(label.len() as u64).to_be_bytes());
        context.update(label);
        context.update(value);
        u64::from_be_bytes(first_bytes(context.sign().as_ref()))
    }
}

/// A new secret: 32 random bytes as hexadecimal digits.
///
/// # Panics
/// When the system has no random numbers.
#[must_use]
pub fn random_secret() -> String {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
    let secret = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let secret =
        secret.map(|digit| char::from_digit(digit.into(), 16).expect("a digit is below 16")).collect();
    bytes.zeroize();
    secret
}

fn first_bytes<const N: usize>(bytes: &[u8]) -> [u8; N] {
    std::array::from_fn(|index| bytes[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_depends_on_the_secret_the_purpose_and_the_label() {
        let key = |secret: &[u8], purpose| FieldKey::derive(secret, "soc", 1, "").unwrap().hash_key(purpose);
        let one = key(b"0123456789abcdef", "a");
        assert_eq!(one.hash(b"x", b"value"), key(b"0123456789abcdef", "a").hash(b"x", b"value"));
        let all = [
            one.hash(b"x", b"value"),
            one.hash(b"xv", b"alue"),
            one.id(),
            key(b"0123456789abcdef", "b").hash(b"x", b"value"),
            key(b"0123456789abcdeg", "a").hash(b"x", b"value"),
        ];
        let different: std::collections::BTreeSet<u64> = all.into_iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
