//! Which peers are trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use scanbridge_plugin_api::{PluginError, Result};

use crate::fingerprint::Fingerprint;
use crate::pem;
use crate::source::read_file;

/// Which peers are trusted: those whose certificate is signed by an authority in a list, those whose certificate has
/// a known fingerprint, or those whose certificate was seen first for their address. One of the three; a fingerprint
/// or first use replaces the checks of chain, name and dates.
#[derive(Debug, Clone)]
pub struct Trust {
    pub(crate) anchor: Anchor,
    pub(crate) check_name: bool,
}

/// How a peer's certificate is verified.
#[derive(Debug, Clone)]
pub(crate) enum Anchor {
    /// It must be issued, directly or not, by one of these authorities.
    Authorities(Authorities),
    /// It must have one of these fingerprints.
    Pinned(Vec<Fingerprint>),
    /// It must be the one that this file stores for the address; if there is none, it is stored.
    FirstUse(PathBuf),
}

/// Authorities and their origin.
#[derive(Debug, Clone)]
pub(crate) struct Authorities {
    pub(crate) roots: Arc<RootCertStore>,
    /// The given certificates. A peer that sends one of them needs no issuer. Empty for the system's list.
    pub(crate) given: Vec<CertificateDer<'static>>,
    /// For messages: `the system's list`, `ca.pem`.
    pub(crate) origin: String,
}

impl Trust {
    /// The authorities that this machine trusts. `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the usual locations.
    ///
    /// # Errors
    /// [`Config`](scanbridge_plugin_api::ErrorKind::Config) when the machine has none.
    pub fn system() -> Result<Self> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // A certificate that cannot be parsed is skipped; the others are added.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(PluginError::config(format!("no system certificate authorities found{why}"))
                .with_hint("install the package ca-certificates, or set `tls_ca_file`"));
        }
        Ok(Self::of(roots, Vec::new(), "the system's list of authorities".to_owned()))
    }

    /// The authorities in a PEM file, and no others. It may also contain a server's self-signed certificate.
    ///
    /// # Errors
    /// [`NoInput`](scanbridge_plugin_api::ErrorKind::NoInput) when it cannot be opened,
    /// [`BadData`](scanbridge_plugin_api::ErrorKind::BadData) when it contains no certificate or an invalid one.
    pub fn ca_file(path: &Path) -> Result<Self> {
        let bytes = read_file(path)?;
        let certificates = pem::certificates(path, &bytes)?;
        Self::certificates(&certificates, &path.display().to_string())
    }

    /// Only these authorities, for example those in a PKCS#12 file. `origin` names them in messages.
    ///
    /// # Errors
    /// [`BadData`](scanbridge_plugin_api::ErrorKind::BadData) when the list is empty or contains an invalid
    /// certificate.
    pub fn certificates(certificates: &[CertificateDer<'_>], origin: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.iter().enumerate() {
            roots.add(certificate.clone().into_owned()).map_err(|error| {
                let number = index + 1;
                PluginError::bad_data(format!("cannot use certificate {number} of {origin}: {error}"))
            })?;
        }
        if roots.is_empty() {
            return Err(PluginError::bad_data(format!("{origin} contains no CA certificate"))
                .with_hint("expected a PEM file with `-----BEGIN CERTIFICATE-----`"));
        }
        let given = certificates.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Ok(Self::of(roots, given, origin.to_owned()))
    }

    /// Peers whose own certificate has one of these fingerprints. Issuer, names and dates are not checked.
    ///
    /// # Errors
    /// [`Config`](scanbridge_plugin_api::ErrorKind::Config) when the list is empty.
    pub fn pinned(fingerprints: Vec<Fingerprint>) -> Result<Self> {
        if fingerprints.is_empty() {
            return Err(PluginError::config("no fingerprint is given to trust"));
        }
        Ok(Self { anchor: Anchor::Pinned(fingerprints), check_name: false })
    }

    /// Trust on first use: `file` stores the first certificate of each address (`host:port`), and a different one is
    /// rejected later. The first connection is not protected against a man-in-the-middle attack.
    #[must_use]
    pub fn first_use(file: impl Into<PathBuf>) -> Self {
        Self { anchor: Anchor::FirstUse(file.into()), check_name: false }
    }

    /// Turns off the name check; everything else is still verified. For a Defense Center, whose certificate names a
    /// UUID.
    #[must_use]
    pub fn without_name_check(mut self) -> Self {
        self.check_name = false;
        self
    }

    fn of(roots: RootCertStore, given: Vec<CertificateDer<'static>>, origin: String) -> Self {
        let authorities = Authorities { roots: Arc::new(roots), given, origin };
        Self { anchor: Anchor::Authorities(authorities), check_name: true }
    }
}
