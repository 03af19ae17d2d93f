//! Errors of all kinds of key files, and the kinds that FIPS mode refuses.

use std::path::Path;

use scanbridge_plugin_api::{ErrorKind, Fips, PluginError};

/// A kind of key file whose algorithms FIPS forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegacyKind {
    /// PKCS#12. Also a modern one derives the key of its checksum by a function that is not approved (RFC 7292,
    /// appendix B).
    Pkcs12,
    /// A Java key store.
    KeyStore,
}

impl LegacyKind {
    /// The kind of a file, detected by its first bytes; `None` for another file, for example PEM.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(JKS) || bytes.starts_with(JCEKS) {
            return Some(Self::KeyStore);
        }
        (bytes.first() == Some(&DER_SEQUENCE)).then_some(Self::Pkcs12)
    }

    /// Checks that such a file may be opened. Called before the password is used.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) in FIPS mode, and in a build without support for it. The hint has the commands that
    /// convert this file.
    pub(crate) fn require_allowed(self, path: &Path, fips: Fips) -> Result<(), PluginError> {
        let reason = if !fips.is_off() {
            format!("FIPS mode (`fips: {fips}`) forbids the algorithms of this format")
        } else if cfg!(not(feature = "legacy-key-files")) {
            "the FIPS build does not have the algorithms of this format".to_owned()
        } else {
            return Ok(());
        };
        let (name, hint) = match self {
            Self::Pkcs12 => ("PKCS#12 file", convert_pkcs12(&path.display().to_string(), "")),
            Self::KeyStore => {
                let shown = path.display();
                let first = format!(
                    "keytool -importkeystore -srckeystore {shown} -destkeystore NEW.p12 -deststoretype PKCS12; "
                );
                ("Java key store", convert_pkcs12("NEW.p12", &first))
            }
        };
        let message = format!("the {name} {} cannot be used: {reason}", path.display());
        Err(PluginError::new(ErrorKind::Config, message).with_hint(hint))
    }
}

/// The commands that make a PEM file of a PKCS#12 file: the client's certificate, the authorities, the key.
fn convert_pkcs12(file: &str, before: &str) -> String {
    format!(
        "convert it to PEM (on another machine if OpenSSL is in FIPS mode there), and set the option to client.pem: \
         umask 077; {before}\
         openssl pkcs12 -legacy -in {file} -clcerts -nokeys > client.pem; \
         openssl pkcs12 -legacy -in {file} -cacerts -nokeys >> client.pem; \
         openssl pkcs12 -legacy -in {file} -nocerts -noenc | {ENCRYPT} >> client.pem"
    )
}

/// The error for a password that does not decrypt this file.
pub(crate) fn wrong_password(path: &Path) -> PluginError {
    PluginError::new(ErrorKind::Auth, format!("wrong password for {}", path.display())).with_hint(
        "check the password of the client certificate; quote a password with spaces or punctuation in YAML",
    )
}

/// The error for the encryption of a PEM key: in FIPS mode the setting contradicts the file.
pub(crate) fn unsupported(path: &Path, how: &str, fips: Fips) -> PluginError {
    let shown = path.display();
    let kind = if fips.is_off() { ErrorKind::BadData } else { ErrorKind::Config };
    PluginError::new(kind, format!("the private key in {shown} {how}"))
        .with_hint(format!("convert it: {ENCRYPT} -in {shown} -out NEW.key"))
}

const JKS: &[u8] = &[0xFE, 0xED, 0xFE, 0xED];
pub(crate) const JCEKS: &[u8] = &[0xCE, 0xCE, 0xCE, 0xCE];
/// The tag with which a PKCS#12 file begins. It is the digit 0, with which no PEM block begins.
const DER_SEQUENCE: u8 = 0x30;

/// Encrypts a key with algorithms that every mode accepts.
const ENCRYPT: &str = "openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000";
