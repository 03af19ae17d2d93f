//! Certificates, keys and trust for TLS: the only room that sees key material.
//!
//! A plugin that speaks TLS puts the rows of [`options`] into its table, and does the rest in three steps:
//!
//! ```no_run
//! use scanbridge_tls_identity::{ClientTls, Identity, Trust};
//! # fn main() -> scanbridge_plugin_api::Result<()> {
//! // 1. Who we are: PEM, PKCS#12 or JKS, told apart by content.
//! let identity = Identity::open("dc.pkcs12".as_ref(), None)?;
//! // 2. Whom we trust: here the authority inside the file, under whatever name its server goes.
//! let trust = Trust::certificates(identity.authorities(), "dc.pkcs12")?.without_name_check();
//! // 3. A configuration for `rustls::ClientConnection` or reqwest …
//! let tls = ClientTls::new("dc.example.com:8307", &trust, Some(&identity))?;
//! let config = tls.config();
//! // … and, for whatever error comes back: `tls.explain(&error)`.
//! # let _ = config;
//! # Ok(())
//! # }
//! ```
//!
//! What this crate is not: it opens no socket and makes no retry. The cryptography is aws-lc-rs, handed over
//! explicitly and never set for the whole process, because several plugins live in one.
//!
//! There is no mode without verification. A peer whose chain cannot be verified is identified by its fingerprint
//! ([`Trust::pinned`]) or by the certificate stored at first use ([`Trust::first_use`]).

mod certificate;
mod client;
mod explain;
mod fingerprint;
mod first_use;
mod identity;
mod key_cost;
mod key_store;
pub mod options;
mod pem;
mod pkcs12;
mod source;
mod trust;
mod verifier;

pub use certificate::{Certificate, Validity};
pub use client::{ClientTls, MinimumVersion};
pub use fingerprint::Fingerprint;
pub use identity::Identity;
pub use options::TlsOptions;
pub use trust::Trust;
