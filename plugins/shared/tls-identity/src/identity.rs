//! The client certificate and its key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};
use scanbridge_plugin_api::{Fips, PluginError, Result, Secret};
use zeroize::Zeroize;

use crate::certificate::Certificate;
use crate::key_file::LegacyKind;
use crate::pem;
use crate::source::{Material, read_file, warn_if_readable_by_others};
#[cfg(feature = "legacy-key-files")]
use crate::{key_store, pkcs12};

/// A client certificate with its key, ready for a TLS handshake.
///
/// Only the cryptographic library keeps the key; buffers that contained it are wiped. `Debug` shows the file and the
/// certificate.
#[derive(Clone)]
pub struct Identity {
    file: PathBuf,
    certificate: Certificate,
    authorities: Vec<CertificateDer<'static>>,
    key: Arc<CertifiedKey>,
}

impl Identity {
    /// Opens a file with certificate and key: PKCS#12, JKS or PEM. The format is detected from the content, because
    /// `.pfx`, `.p12`, `.pkcs12` and `.jkcs` are all in use. Logs a warning when other users can read the file.
    ///
    /// # Errors
    /// - [`NoInput`](scanbridge_plugin_api::ErrorKind::NoInput): the file cannot be opened;
    /// - [`Config`](scanbridge_plugin_api::ErrorKind::Config): FIPS mode forbids the format or its encryption, or this is
    ///   the FIPS build, which cannot read it;
    /// - [`Auth`](scanbridge_plugin_api::ErrorKind::Auth): a password is missing or wrong;
    /// - [`BadData`](scanbridge_plugin_api::ErrorKind::BadData): the file is invalid, uses an unsupported encryption,
    ///   or lacks the key or the certificate, or key and certificate do not match.
    ///
    /// Every message names the file; no message contains the password.
    pub fn open(path: &Path, password: Option<&Secret>, fips: Fips) -> Result<Self> {
        let bytes = read_file(path)?;
        warn_if_readable_by_others(path);
        let material = if let Some(kind) = LegacyKind::of(&bytes) {
            kind.require_allowed(path, fips)?;
            open_legacy(kind, path, &bytes, password)?
        } else if pem::is_pem(&bytes) {
            from_pem((path, &bytes), (path, &bytes), password, fips)?
        } else {
            return Err(PluginError::bad_data(format!(
                "unsupported format of {}: expected PEM, PKCS#12 or Java key store (JKS)",
                path.display()
            ))
            .with_hint("set the option to the file with the client certificate and its private key"));
        };
        Self::from_material(path, path, material)
    }

    /// Opens a certificate and a key from two PEM files.
    ///
    /// # Errors
    /// As [`Identity::open`].
    pub fn open_pair(certificate: &Path, key: &Path, password: Option<&Secret>, fips: Fips) -> Result<Self> {
        let certificates = read_file(certificate)?;
        let keys = read_file(key)?;
        warn_if_readable_by_others(key);
        let material = from_pem((certificate, &certificates), (key, &keys), password, fips)?;
        Self::from_material(certificate, key, material)
    }

    /// The fields of the client certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The other certificates of a PKCS#12 file or key store: the authorities that issued the client certificate. A
    /// Defense Center includes its own authority.
    #[must_use]
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The file from which it was read.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.key)))
    }

    fn from_material(path: &Path, key_path: &Path, mut material: Material) -> Result<Self> {
        let shown = path.display();
        let leaf = material.chain.first().ok_or_else(|| {
            PluginError::bad_data(format!("{shown} contains no certificate"))
                .with_hint("set the option to the file with the client certificate")
        })?;
        let certificate = Certificate::read(leaf)
            .map_err(|error| PluginError::bad_data(format!("{shown} contains {}", error.message)))?;
        let key = signing_key(key_path, &mut material)?;
        let certified = CertifiedKey::new(std::mem::take(&mut material.chain), key);
        match certified.keys_match() {
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(PluginError::bad_data(format!(
                    "private key mismatch: the key in {} does not belong to the certificate in {shown}",
                    key_path.display()
                ))
                .with_hint("set `tls_key` to the key that was used to request the certificate"))
            }
            _ => Ok(Self {
                file: path.to_owned(),
                certificate,
                authorities: std::mem::take(&mut material.authorities),
                key: Arc::new(certified),
            }),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("file", &self.file)
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "legacy-key-files")]
fn open_legacy(kind: LegacyKind, path: &Path, bytes: &[u8], password: Option<&Secret>) -> Result<Material> {
    match kind {
        LegacyKind::Pkcs12 => pkcs12::open(path, bytes, password),
        LegacyKind::KeyStore => key_store::open(path, bytes, password),
    }
}

#[cfg(not(feature = "legacy-key-files"))]
fn open_legacy(_: LegacyKind, path: &Path, _: &[u8], _: Option<&Secret>) -> Result<Material> {
    Err(PluginError::bug(format!("{} was to be opened without support for its format", path.display())))
}

/// `certificates` and `keys` are each a path and the content of that file.
fn from_pem(
    certificates: (&Path, &[u8]),
    keys: (&Path, &[u8]),
    password: Option<&Secret>,
    fips: Fips,
) -> Result<Material> {
    let (path, bytes) = certificates;
    let mut key = pem::key(keys.0, keys.1, password, fips)?;
    match pem::certificates(path, bytes) {
        Ok(chain) => Ok(Material { authorities: chain.iter().skip(1).cloned().collect(), chain, key }),
        Err(error) => {
            key.zeroize();
            Err(error)
        }
    }
}

fn signing_key(path: &Path, material: &mut Material) -> Result<Arc<dyn rustls::sign::SigningKey>> {
    let shown = path.display();
    let mut key: PrivateKeyDer<'static> = material.key.take().ok_or_else(|| {
        PluginError::bad_data(format!("{shown} contains no private key"))
            .with_hint("set `tls_key` to the file with the private key")
    })?;
    let signing = any_supported_type(&key);
    key.zeroize();
    signing.map_err(|_| {
        PluginError::bad_data(format!("unsupported type of private key in {shown}"))
            .with_hint("use an RSA key of 2048 bits or more, or one on P-256, P-384, P-521 or Ed25519")
    })
}
