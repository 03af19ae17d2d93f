//! Measures when the certificates of peers expire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use scanbridge_plugin_api::Services;

use crate::certificate::Certificate;

/// Measures when the certificates of an instance's peers expire, as `peer_certificate_expires`. With several peers, that
/// of the one that expires first. Only certificates whose dates are checked count: not those that are trusted by their
/// fingerprint or at first use.
#[derive(Debug, Clone)]
pub struct PeerExpiry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    services: Services,
    /// The end of the last certificate of each peer.
    ends: Mutex<BTreeMap<String, Timestamp>>,
}

impl PeerExpiry {
    /// Measures nothing before the first handshake.
    #[must_use]
    pub fn new(services: &Services) -> Self {
        Self(Arc::new(Inner { services: services.clone(), ends: Mutex::default() }))
    }

    /// The peer has proven that it has the key of this certificate.
    pub(crate) fn saw(&self, peer: &str, leaf: &CertificateDer<'_>) {
        let Ok(certificate) = Certificate::read(leaf) else { return };
        let first = {
            let mut ends = self.0.ends.lock().unwrap_or_else(PoisonError::into_inner);
            ends.insert(peer.to_owned(), certificate.not_after);
            ends.values().min().copied()
        };
        let Some(first) = first else { return };
        let help = "when the certificate of the peer expires, in seconds since 1970-01-01 UTC";
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a floating point number")]
        self.0.services.gauge("peer_certificate_expires", help).set(first.as_second() as f64);
    }
}
