//! Certificates, keys and trust for TLS. No other crate handles key material.
//!
//! A TLS plugin adds the rows of [`options`] to its table, then takes three steps:
//!
//! ```no_run
//! use scanbridge_plugin_api::Fips;
//! use scanbridge_tls_identity::{ClientTls, Identity, Trust};
//! # fn main() -> scanbridge_plugin_api::Result<()> {
//! // 1. Who we are: PEM, PKCS#12 or JKS, told apart by content.
//! let identity = Identity::open("dc.pkcs12".as_ref(), None, Fips::Off)?;
//! // 2. Whom we trust: here the authority inside the file, under whatever name its server goes.
//! let trust = Trust::certificates(identity.authorities(), "dc.pkcs12")?.without_name_check();
//! // 3. A configuration for `rustls::ClientConnection` or reqwest …
//! let tls = ClientTls::new("dc.example.com:8307", &trust, Some(&identity), Fips::Off)?;
//! let config = tls.config();
//! // … and, for whatever error comes back: `tls.explain(&error)`.
//! # let _ = config;
//! # Ok(())
//! # }
//! ```
//!
//! This crate opens no sockets and does not retry. The crypto provider aws-lc-rs is passed explicitly instead of
//! installed for the process, because one process loads several plugins.
//!
//! Verification cannot be turned off. A peer whose chain cannot be verified is identified by its fingerprint
//! ([`Trust::pinned`]) or by the certificate stored at first use ([`Trust::first_use`]).

mod certificate;
mod client;
mod encrypted_key;
mod expiry;
mod explain;
mod fingerprint;
mod first_use;
mod identity;
mod key_cost;
mod key_file;
#[cfg(feature = "legacy-key-files")]
mod key_store;
mod negotiated;
pub mod options;
mod peer_expiry;
mod pem;
#[cfg(feature = "legacy-key-files")]
mod pkcs12;
mod source;
mod trust;
mod verifier;

pub use certificate::{Certificate, Validity};
pub use client::{ClientTls, MinimumVersion};
pub use expiry::SOON_DAYS;
pub use fingerprint::Fingerprint;
pub use identity::Identity;
pub use negotiated::negotiated;
pub use options::TlsOptions;
pub use peer_expiry::PeerExpiry;
pub use trust::Trust;

/// The cryptography of this crate, for `export_plugin!(crypto: …)` of a plugin that has no other.
pub const CRYPTOGRAPHY: scanbridge_plugin_api::Cryptography =
    scanbridge_plugin_api::Cryptography::of_module(scanbridge_tls_policy::MODULE, || {
        scanbridge_tls_policy::self_test().map_err(|error| error.to_string())
    });
