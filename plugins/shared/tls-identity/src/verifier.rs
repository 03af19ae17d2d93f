//! How a peer's certificate is verified.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use scanbridge_plugin_api::{ErrorKind, PluginError};

use crate::certificate::{Certificate, Validity};
use crate::explain;
use crate::fingerprint::Fingerprint;
use crate::first_use;
use crate::peer_expiry::PeerExpiry;
use crate::trust::{Anchor, Authorities, Trust};

/// Verifies a peer's certificate according to a [`Trust`]. Its errors already contain the operator's message, because
/// the certificate is not available later.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// `host:port`, or another name of the peer for messages and the first-use file.
    pub(crate) peer: String,
    pub(crate) trust: Trust,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
    /// Where the end of the peer's certificate is measured.
    pub(crate) expiry: OnceLock<PeerExpiry>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust.anchor {
            Anchor::Authorities(authorities) => self
                .verify_chain(authorities, leaf, intermediates, now)
                .and_then(|()| self.verify_name(leaf, name))
                .map_err(|error| self.refuse(leaf, authorities, error))?,
            Anchor::Pinned(known) => {
                let shown = Fingerprint::of(leaf);
                if !known.contains(&shown) {
                    return Err(wrap(explain::not_pinned(&self.peer, known, shown)));
                }
            }
            Anchor::FirstUse(file) => {
                let shown = Fingerprint::of(leaf);
                let known = first_use::stored_fingerprint(file, &self.peer).map_err(wrap)?;
                if let Some(known) = known.filter(|known| *known != shown) {
                    return Err(wrap(first_use::changed(file, &self.peer, known, shown)));
                }
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_tls12_signature(message, leaf, signature, &self.algorithms)?;
        self.accept(leaf)?;
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_tls13_signature(message, leaf, signature, &self.algorithms)?;
        self.accept(leaf)?;
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Verifier {
    fn verify_chain(
        &self,
        authorities: &Authorities,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if authorities.given.iter().any(|given| given == leaf) {
            return verify_dates(leaf, now);
        }
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &authorities.roots,
            intermediates,
            now,
            self.algorithms.all,
        )
    }

    fn verify_name(&self, leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
        if self.trust.check_name {
            verify_server_name(&ParsedCertificate::try_from(leaf)?, name)
        } else {
            Ok(())
        }
    }

    /// Called after the peer has proven that it has the key.
    fn accept(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        match &self.trust.anchor {
            Anchor::FirstUse(file) => first_use::store(file, &self.peer, Fingerprint::of(leaf)).map_err(wrap),
            Anchor::Pinned(_) => Ok(()),
            Anchor::Authorities(_) => {
                self.expiry.get().into_iter().for_each(|expiry| expiry.saw(&self.peer, leaf));
                Ok(())
            }
        }
    }

    fn refuse(&self, leaf: &CertificateDer<'_>, authorities: &Authorities, error: Error) -> Error {
        let Ok(certificate) = Certificate::read(leaf) else {
            let message = format!("{} sent an invalid certificate", self.peer);
            return wrap(PluginError::new(ErrorKind::Protocol, message));
        };
        match error {
            Error::InvalidCertificate(problem) => {
                wrap(explain::refused_certificate(&self.peer, &certificate, &authorities.origin, &problem))
            }
            other => other,
        }
    }
}

/// A trusted certificate itself needs no signature check, but its dates are checked.
fn verify_dates(leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let certificate = Certificate::read(leaf).map_err(|_| CertificateError::BadEncoding)?;
    let now =
        i64::try_from(now.as_secs()).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    match now.map(|now| certificate.validity(now)) {
        Some(Validity::DaysLeft(_)) => Ok(()),
        Some(Validity::NotYet) => Err(CertificateError::NotValidYet.into()),
        Some(Validity::Expired) | None => Err(CertificateError::Expired.into()),
    }
}

/// Wraps a plugin error in an error of the TLS library.
fn wrap(error: PluginError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}
