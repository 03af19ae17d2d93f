//! Decrypts PKCS#8 keys (`ENCRYPTED PRIVATE KEY`).

use std::num::NonZeroU32;
use std::path::Path;

use aws_lc_rs::cipher::{
    AES_128, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA384, PBKDF2_HMAC_SHA512};
use pkcs8::der::{Document, pem::PemLabel};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{EncryptionScheme as Cipher, Kdf, Pbkdf2Params, Pbkdf2Prf};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use rustls::pki_types::PrivateKeyDer;
use scanbridge_plugin_api::{ErrorKind, Fips, PluginError, Result, Secret};
use zeroize::Zeroizing;

use crate::key_cost;
use crate::key_file::{unsupported, wrong_password};

/// Decrypts the key in a PEM block. PBKDF2 with SHA-2 and AES-CBC is decrypted by aws-lc-rs; other algorithms only when
/// FIPS mode is off and the build supports them.
///
/// # Errors
/// [`Auth`](ErrorKind::Auth) for a password that is missing or wrong, [`BadData`](ErrorKind::BadData) for an invalid key
/// or an encryption that is not supported or too expensive, [`Config`](ErrorKind::Config) for one that FIPS forbids.
pub(crate) fn decrypt(
    path: &Path,
    block: &str,
    password: Option<&Secret>,
    fips: Fips,
) -> Result<PrivateKeyDer<'static>> {
    let shown = path.display();
    let invalid = || PluginError::bad_data(format!("invalid encrypted private key in {shown}"));
    let Some(password) = password else {
        return Err(PluginError::new(
            ErrorKind::Auth,
            format!("the private key in {shown} is encrypted, and no password is set"),
        )
        .with_hint("set the option for the password of the client certificate"));
    };
    let (label, document) = Document::from_pem(block).map_err(|_| invalid())?;
    EncryptedPrivateKeyInfoRef::validate_pem_label(label).map_err(|_| invalid())?;
    // The PEM block is valid, so the parser failed on an unknown cipher.
    let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|_| unsupported_cipher(path, fips))?;
    key_cost::check(&info.encryption_algorithm).map_err(|reason| unsupported(path, &reason, Fips::Off))?;
    let key = match ApprovedScheme::of(&info.encryption_algorithm) {
        Some(scheme) => {
            if !fips.is_off() && scheme.rounds.get() < MIN_ROUNDS {
                let rounds = scheme.rounds;
                let how =
                    format!("is encrypted with {rounds} PBKDF2 rounds; FIPS mode requires {MIN_ROUNDS}");
                return Err(unsupported(path, &how, fips));
            }
            scheme.decrypt(password.expose().as_bytes(), info.encrypted_data.as_bytes())
        }
        None if fips.is_off() => decrypt_otherwise(path, &info, password)?,
        None => return Err(unsupported_cipher(path, fips)),
    };
    // A wrong password can also give valid padding.
    key.filter(|key| PrivateKeyInfoRef::try_from(key.as_slice()).is_ok())
        .map(|key| PrivateKeyDer::Pkcs8(key.to_vec().into()))
        .ok_or_else(|| wrong_password(path))
}

/// PBKDF2 with a hash of SHA-2, and AES-CBC with 128 or 256 bits.
struct ApprovedScheme<'a> {
    kdf: pbkdf2::Algorithm,
    salt: &'a [u8],
    rounds: NonZeroU32,
    cipher: &'static Algorithm,
    key_bytes: usize,
    iv: [u8; 16],
}

impl<'a> ApprovedScheme<'a> {
    fn of(scheme: &'a EncryptionScheme) -> Option<Self> {
        let parameters = scheme.pbes2()?;
        let Kdf::Pbkdf2(Pbkdf2Params { salt, iteration_count, key_length, prf }) = &parameters.kdf else {
            return None;
        };
        let kdf = match prf {
            Pbkdf2Prf::HmacWithSha256 => PBKDF2_HMAC_SHA256,
            Pbkdf2Prf::HmacWithSha384 => PBKDF2_HMAC_SHA384,
            Pbkdf2Prf::HmacWithSha512 => PBKDF2_HMAC_SHA512,
            _ => return None,
        };
        let (cipher, key_bytes, iv) = match parameters.encryption {
            Cipher::Aes128Cbc { iv } => (&AES_128, 16, iv),
            Cipher::Aes256Cbc { iv } => (&AES_256, 32, iv),
            _ => return None,
        };
        if key_length.is_some_and(|length| usize::from(length) != key_bytes) {
            return None;
        }
        let rounds = NonZeroU32::new(*iteration_count)?;
        Some(Self { kdf, salt: salt.as_bytes(), rounds, cipher, key_bytes, iv })
    }

    /// The plain text; `None` if the padding is invalid.
    fn decrypt(&self, password: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut key = Zeroizing::new([0; 32]);
        let key = &mut key[..self.key_bytes];
        pbkdf2::derive(self.kdf, self.rounds, self.salt, password, key);
        let key = UnboundCipherKey::new(self.cipher, key).ok()?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
        let mut buffer = Zeroizing::new(data.to_vec());
        let context = DecryptionContext::Iv128(FixedLength::from(self.iv));
        let length = key.decrypt(&mut buffer, context).ok()?.len();
        buffer.truncate(length);
        Some(buffer)
    }
}

/// Decrypts with the algorithms that only the crate `pkcs8` has.
#[cfg(feature = "legacy-key-files")]
fn decrypt_otherwise(
    path: &Path,
    info: &EncryptedPrivateKeyInfoRef<'_>,
    password: &Secret,
) -> Result<Option<Zeroizing<Vec<u8>>>> {
    match info.decrypt(password.expose()) {
        Ok(key) => Ok(Some(Zeroizing::new(key.as_bytes().to_vec()))),
        Err(pkcs8::Error::EncryptedPrivateKey(
            pkcs8::pkcs5::Error::NoPbes1CryptSupport | pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. },
        )) => Err(unsupported_cipher(path, Fips::Off)),
        Err(_) => Ok(None),
    }
}

#[cfg(not(feature = "legacy-key-files"))]
fn decrypt_otherwise(
    path: &Path,
    _: &EncryptedPrivateKeyInfoRef<'_>,
    _: &Secret,
) -> Result<Option<Zeroizing<Vec<u8>>>> {
    Err(unsupported_cipher(path, Fips::Off))
}

fn unsupported_cipher(path: &Path, fips: Fips) -> PluginError {
    let how = match fips {
        Fips::Off => "uses an unsupported cipher",
        _ => "is encrypted with an algorithm that FIPS mode forbids",
    };
    unsupported(path, how, fips)
}

/// The least number of PBKDF2 rounds that SP 800-132 allows.
const MIN_ROUNDS: u32 = 1000;
