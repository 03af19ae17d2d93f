//! Limits on what an encrypted PEM key may cost to decrypt. The file sets the cost, so it is checked first.

use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;

/// Maximum of PBKDF2 rounds, the same as for PKCS#12 files.
const MAX_ROUNDS: u32 = 1_000_000;

/// Maximum of `128 * N * r * p` for scrypt, in bytes. It limits memory and time; the default of OpenSSL is 16 MiB.
const MAX_SCRYPT_BYTES: u128 = 256 << 20;

/// Checks the cost of deriving the key of this scheme, without deriving it.
///
/// # Errors
/// The reason of the refusal, as the end of a sentence about the private key.
pub(crate) fn check(scheme: &EncryptionScheme) -> Result<(), String> {
    match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Pbkdf2(pbkdf2)) if pbkdf2.iteration_count > MAX_ROUNDS => Err(format!(
            "is encrypted with {} PBKDF2 rounds; at most {MAX_ROUNDS} are supported",
            pbkdf2.iteration_count
        )),
        Some(Kdf::Scrypt(scrypt)) => {
            let (n, r, p) = (scrypt.cost_parameter, scrypt.block_size, scrypt.parallelization);
            let bytes = 128 * u128::from(n) * u128::from(r) * u128::from(p);
            // The library panics if N is 0.
            if bytes == 0 || bytes > MAX_SCRYPT_BYTES {
                return Err(format!(
                    "is encrypted with scrypt (N = {n}, r = {r}, p = {p}); 128 * N * r * p must be between 1 byte \
                     and {} MiB",
                    MAX_SCRYPT_BYTES >> 20
                ));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pkcs8::EncryptedPrivateKeyInfoRef;
    use pkcs8::der::asn1::OctetStringRef;
    use pkcs8::der::{Document, pem::LineEnding};
    use pkcs8::pkcs5::pbes2::{EncryptionScheme as Cipher, Kdf, Parameters, Pbkdf2Params, ScryptParams};

    use super::*;

    fn scheme(kdf: Kdf) -> EncryptionScheme {
        Parameters { kdf, encryption: Cipher::Aes256Cbc { iv: [0; 16] } }.into()
    }

    pub(crate) fn pbkdf2(rounds: u32) -> EncryptionScheme {
        let mut parameters = Pbkdf2Params::hmac_sha256(1, &[0; 16]).unwrap();
        parameters.iteration_count = rounds;
        scheme(parameters.into())
    }

    pub(crate) fn scrypt(n: u64, r: u16, p: u16) -> EncryptionScheme {
        scheme(Kdf::Scrypt(ScryptParams {
            salt: [0_u8; 16].as_slice().try_into().unwrap(),
            cost_parameter: n,
            block_size: r,
            parallelization: p,
            key_length: None,
        }))
    }

    /// A PEM key with this scheme and without usable content.
    pub(crate) fn pem(encryption_algorithm: EncryptionScheme) -> String {
        let encrypted_data = OctetStringRef::new(&[0; 48]).unwrap();
        let info = EncryptedPrivateKeyInfoRef { encryption_algorithm, encrypted_data };
        Document::encode_msg(&info).unwrap().to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap()
    }

    #[test]
    fn key_cost_limits_are_inclusive() {
        for accepted in [pbkdf2(1), pbkdf2(1_000_000), scrypt(16_384, 8, 1), scrypt(1 << 18, 8, 1)] {
            assert_eq!(check(&accepted), Ok(()));
        }
        for refused in [pbkdf2(1_000_001), scrypt(1 << 19, 8, 1), scrypt(1 << 18, 8, 2), scrypt(0, 8, 1)] {
            assert!(check(&refused).is_err(), "{refused:?}");
        }
    }
}
