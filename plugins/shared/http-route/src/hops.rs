//! TLS to a destination through a proxy that also uses TLS: two handshakes, for which reqwest has only one
//! configuration.
//!
//! The first handshake of a connection is with the proxy. Until the proxy's certificate and signature are
//! verified, the proxy's rules apply to the peer, and the client certificate is not sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use scanbridge_tls_identity::ClientTls;

/// The peer of the next handshake. Calls are made one after the other, so only one connection is opened at a
/// time.
#[derive(Debug, Clone)]
pub(crate) struct HandshakeOrder(Arc<AtomicBool>);

impl HandshakeOrder {
    /// Call this before each new connection.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    fn is_of_proxy(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// One configuration for both handshakes. Call [`HandshakeOrder::begin`] before each connection.
pub(crate) fn config_for_both_hops(
    proxy: &ClientTls,
    destination: &ClientTls,
) -> (ClientConfig, HandshakeOrder) {
    let order = HandshakeOrder(Arc::new(AtomicBool::new(true)));
    let mut config = ClientConfig::clone(&destination.config());
    // A resumed TLS session skips the certificate verification that marks the end of the first handshake.
    config.resumption = Resumption::disabled();
    config.client_auth_cert_resolver = Arc::new(CertificateForDestination {
        order: order.clone(),
        identity: Arc::clone(&config.client_auth_cert_resolver),
    });
    config.dangerous().set_certificate_verifier(Arc::new(VerifierPerHop {
        order: order.clone(),
        proxy: proxy.verifier(),
        destination: destination.verifier(),
    }));
    (config, order)
}

/// Sends the client certificate only to the destination.
#[derive(Debug)]
struct CertificateForDestination {
    order: HandshakeOrder,
    identity: Arc<dyn ResolvesClientCert>,
}

impl ResolvesClientCert for CertificateForDestination {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        if self.order.is_of_proxy() { None } else { self.identity.resolve(issuers, schemes) }
    }

    fn has_certs(&self) -> bool {
        self.identity.has_certs()
    }
}

/// Verifies the proxy first, then the destination.
#[derive(Debug)]
struct VerifierPerHop {
    order: HandshakeOrder,
    proxy: Arc<dyn ServerCertVerifier>,
    destination: Arc<dyn ServerCertVerifier>,
}

impl VerifierPerHop {
    fn current(&self) -> &dyn ServerCertVerifier {
        if self.order.is_of_proxy() { &*self.proxy } else { &*self.destination }
    }
}

impl ServerCertVerifier for VerifierPerHop {
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
        self.order.end();
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = self.current().verify_tls13_signature(message, leaf, signature)?;
        self.order.end();
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.destination.supported_verify_schemes()
    }
}
