//! Reads certificates and keys from PEM files.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scanbridge_plugin_api::{Fips, PluginError, Result, Secret};

use crate::encrypted_key;
use crate::key_file::unsupported;

/// Returns true if the bytes contain a PEM block.
pub(crate) fn is_pem(bytes: &[u8]) -> bool {
    find(bytes, b"-----BEGIN ").is_some()
}

/// All certificates of a file, in its order. Other blocks are skipped.
///
/// # Errors
/// [`BadData`](scanbridge_plugin_api::ErrorKind::BadData) when one is invalid.
pub(crate) fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    // The parser's error quotes the invalid line. If line breaks are missing, this line is a complete key.
    CertificateDer::pem_slice_iter(bytes).collect::<Result<_, _>>().map_err(|_| {
        PluginError::bad_data(format!("invalid certificate in {}", path.display()))
            .with_hint("copy the file again; lines may be missing")
    })
}

/// The first key of a file, if there is one: PKCS#1, PKCS#8, SEC1, or PKCS#8 encrypted by PBES2.
///
/// # Errors
/// [`BadData`](scanbridge_plugin_api::ErrorKind::BadData) for an invalid key, and those of [`encrypted_key::decrypt`].
pub(crate) fn key(
    path: &Path,
    bytes: &[u8],
    password: Option<&Secret>,
    fips: Fips,
) -> Result<Option<PrivateKeyDer<'static>>> {
    let shown = path.display();
    if let Some(block) = encrypted_block(bytes) {
        return encrypted_key::decrypt(path, block, password, fips).map(Some);
    }
    if find(bytes, b"Proc-Type: 4,ENCRYPTED").is_some() {
        return Err(unsupported(path, "uses the legacy OpenSSL encryption", fips));
    }
    match PrivateKeyDer::pem_slice_iter(bytes).next() {
        None => Ok(None),
        Some(Ok(key)) => Ok(Some(key)),
        // The parser's error may quote the invalid line, which is part of the key.
        Some(Err(_)) => Err(PluginError::bad_data(format!("invalid private key in {shown}"))
            .with_hint("copy the file again; lines may be missing")),
    }
}

/// The PEM block of an encrypted PKCS#8 key, with its first and last line.
fn encrypted_block(bytes: &[u8]) -> Option<&str> {
    let from = find(bytes, ENCRYPTED_BEGIN)?;
    let length = find(&bytes[from..], ENCRYPTED_END)? + ENCRYPTED_END.len();
    std::str::from_utf8(&bytes[from..from + length]).ok()
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

const ENCRYPTED_BEGIN: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &[u8] = b"-----END ENCRYPTED PRIVATE KEY-----";

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::ErrorKind;

    use super::*;

    #[test]
    fn error_does_not_quote_key_material() {
        let joined = b"-----BEGIN PRIVATE KEY-----MIGHTHISBEAKEY-----END PRIVATE KEY-----\n";
        let error = certificates(Path::new("all.pem"), joined).unwrap_err();
        assert_eq!(error.message, "invalid certificate in all.pem");
        let error = key(Path::new("all.pem"), joined, None, Fips::Off).unwrap_err();
        assert_eq!(error.message, "invalid private key in all.pem");
    }

    #[test]
    fn key_with_excessive_cost_is_rejected_before_decryption() {
        use crate::key_cost::tests::{pbkdf2, pem, scrypt};
        for (scheme, reason) in [
            (
                pbkdf2(i32::MAX.unsigned_abs()),
                "is encrypted with 2147483647 PBKDF2 rounds; at most 1000000 are supported",
            ),
            (
                scrypt(1 << 25, 8, 1),
                "is encrypted with scrypt (N = 33554432, r = 8, p = 1); 128 * N * r * p must be between 1 byte \
                 and 256 MiB",
            ),
            (
                scrypt(0, 8, 1),
                "is encrypted with scrypt (N = 0, r = 8, p = 1); 128 * N * r * p must be between 1 byte and 256 \
                 MiB",
            ),
        ] {
            let password = Secret::new("s3cret".to_owned());
            let error =
                key(Path::new("client.key"), pem(scheme).as_bytes(), Some(&password), Fips::Off).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadData);
            assert_eq!(error.message, format!("the private key in client.key {reason}"));
            assert!(error.hint.unwrap().starts_with("convert it: openssl pkcs8 -topk8 "));
        }
    }
}
