//! Format-preserving encryption of single values: an address becomes another address, a name another name. FF1 of NIST SP
//! 800-38G with AES-256; keys derived from a secret. No I/O, and nothing about batches or fields: the host decides which
//! values are encrypted.
//!
//! ```
//! use scanbridge_field_encryption::{Encrypted, FieldKey, Format};
//!
//! let key = FieldKey::derive(b"32 random bytes, as 64 hex digits", "soc-emea", 1, "")?;
//! let (mut encrypted, mut decrypted) = (String::new(), String::new());
//! assert_eq!(key.encrypt(Format::Address, "10.1.2.3", &mut encrypted), Encrypted::Value);
//! key.decrypt(Format::Address, &encrypted, &mut decrypted)?;
//! assert_eq!(decrypted, "10.1.2.3");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What stays visible: the length of a value, everything that is not a letter or a digit, the class of an address, and which
//! values are equal. In a long text, equal blocks at equal places show as well. FF1 has no integrity.

mod address;
mod ff1;
mod format;
mod key;
mod mentions;
mod numerals;
mod token;

/// Whether AES, HMAC and key derivation are those of the AWS-LC FIPS module. FF1 itself is not part of it.
pub const IS_FIPS: bool = cfg!(feature = "fips");

pub use ff1::{Domain, Ff1, Halves, MIN_VALUES};
pub use format::{Decrypted, Encrypted, Format, OutsideFormat};
pub use key::{FieldKey, HashKey, MIN_SECRET_BYTES, ShortSecret, random_secret};
pub use mentions::{Mentions, OwnName};
pub use token::{TOKEN_BYTES, is_token};
