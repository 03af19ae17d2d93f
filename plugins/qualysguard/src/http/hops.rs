//! A proxy that speaks TLS, and Qualys behind it: two handshakes for which reqwest has one configuration.
//!
//! The first handshake of a connection is that of the proxy. Until its certificate has been accepted and its key
//! proven, the peer is held against what is expected of the proxy, and is shown no client certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use scanbridge_tls_identity::ClientTls;

/// Whose handshake is next. Calls are made one after the other, so that there is one connection at a time.
#[derive(Debug, Clone)]
pub(super) struct HandshakeOrder(Arc<AtomicBool>);

impl HandshakeOrder {
    /// A new connection begins.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    fn is_of_proxy(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// One configuration for both handshakes; each connection must [`begin`](Turn::begin).
pub(super) fn two_in_one(proxy: &ClientTls, qualys: &ClientTls) -> (ClientConfig, HandshakeOrder) {
    let turn = HandshakeOrder(Arc::new(AtomicBool::new(true)));
    let mut config = ClientConfig::clone(&qualys.config());
    // A resumed session skips the verification by which the turns are told.
    config.resumption = Resumption::disabled();
    config.client_auth_cert_resolver = Arc::new(ShownToQualys {
        turn: turn.clone(),
        identity: Arc::clone(&config.client_auth_cert_resolver),
    });
    config.dangerous().set_certificate_verifier(Arc::new(EachInTurn {
        turn: turn.clone(),
        proxy: proxy.verifier(),
        qualys: qualys.verifier(),
    }));
    (config, turn)
}

#[derive(Debug)]
struct ShownToQualys {
    turn: HandshakeOrder,
    identity: Arc<dyn ResolvesClientCert>,
}

impl ResolvesClientCert for ShownToQualys {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        if self.turn.is_of_proxy() { None } else { self.identity.resolve(issuers, schemes) }
    }

    fn has_certs(&self) -> bool {
        self.identity.has_certs()
    }
}

#[derive(Debug)]
struct EachInTurn {
    turn: HandshakeOrder,
    proxy: Arc<dyn ServerCertVerifier>,
    qualys: Arc<dyn ServerCertVerifier>,
}

impl EachInTurn {
    fn current(&self) -> &dyn ServerCertVerifier {
        if self.turn.is_of_proxy() { &*self.proxy } else { &*self.qualys }
    }
}

impl ServerCertVerifier for EachInTurn {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.current().verify_server_cert(leaf, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = self.current().verify_tls12_signature(message, leaf, signature)?;
        self.turn.end();
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = self.current().verify_tls13_signature(message, leaf, signature)?;
        self.turn.end();
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.qualys.supported_verify_schemes()
    }
}
