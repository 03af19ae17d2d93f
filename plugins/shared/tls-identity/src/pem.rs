//! Reads certificates and keys from PEM files.

use std::path::Path;

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::{Document, pem::PemLabel};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Secret};

use crate::key_cost;

/// Returns true if the bytes contain a PEM block.
pub(crate) fn is_pem(bytes: &[u8]) -> bool {
    find(bytes, b"-----BEGIN ").is_some()
}

/// All certificates of a file, in its order. Other blocks are skipped.
///
/// # Errors
/// [`BadData`](ErrorKind::BadData) when one is invalid.
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
/// [`Auth`](ErrorKind::Auth) for a password that is missing or wrong, [`BadData`](ErrorKind::BadData) for a
/// invalid key, an encryption that is not supported, or one that is too expensive to decrypt.
pub(crate) fn key(
    path: &Path,
    bytes: &[u8],
    password: Option<&Secret>,
) -> Result<Option<PrivateKeyDer<'static>>> {
    let shown = path.display();
    if let Some(block) = encrypted_block(bytes) {
        return decrypt(path, block, password).map(Some);
    }
    if find(bytes, b"Proc-Type: 4,ENCRYPTED").is_some() {
        return Err(unsupported(path, "uses the legacy OpenSSL encryption"));
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

fn decrypt(path: &Path, block: &str, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>> {
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
    let info =
        EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| unsupported_cipher(path))?;
    key_cost::check(&info.encryption_algorithm).map_err(|reason| unsupported(path, &reason))?;
    match info.decrypt(password.expose()) {
        Ok(key) => Ok(PrivateKeyDer::Pkcs8(key.as_bytes().to_vec().into())),
        Err(pkcs8::Error::EncryptedPrivateKey(
            pkcs8::pkcs5::Error::NoPbes1CryptSupport | pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. },
        )) => Err(unsupported_cipher(path)),
        Err(_) => Err(wrong_password(path)),
    }
}

/// The error for a password that does not decrypt this file.
pub(crate) fn wrong_password(path: &Path) -> PluginError {
    PluginError::new(ErrorKind::Auth, format!("wrong password for {}", path.display())).with_hint(
        "check the password of the client certificate; quote a password with spaces or punctuation in YAML",
    )
}

fn unsupported_cipher(path: &Path) -> PluginError {
    unsupported(path, "uses an unsupported cipher")
}

fn unsupported(path: &Path, how: &str) -> PluginError {
    let shown = path.display();
    PluginError::bad_data(format!("the private key in {shown} {how}"))
        .with_hint(format!("convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in {shown} -out NEW.key"))
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

const ENCRYPTED_BEGIN: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &[u8] = b"-----END ENCRYPTED PRIVATE KEY-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_does_not_quote_key_material() {
        let joined = b"-----BEGIN PRIVATE KEY-----MIGHTHISBEAKEY-----END PRIVATE KEY-----\n";
        let error = certificates(Path::new("all.pem"), joined).unwrap_err();
        assert_eq!(error.message, "invalid certificate in all.pem");
        let error = key(Path::new("all.pem"), joined, None).unwrap_err();
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
            let error = key(Path::new("client.key"), pem(scheme).as_bytes(), Some(&password)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadData);
            assert_eq!(error.message, format!("the private key in client.key {reason}"));
            assert!(error.hint.unwrap().starts_with("convert it: openssl pkcs8 -topk8 "));
        }
    }
}
