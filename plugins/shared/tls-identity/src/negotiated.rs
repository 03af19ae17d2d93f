//! What a handshake has negotiated, in words.

use rustls::{ClientConnection, ProtocolVersion};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Version, cipher suite, group and the peer's key: `TLS 1.3, TLS13_AES_256_GCM_SHA384, secp256r1, peer RSA 2048`. For
/// the probe of a check, so that an auditor sees the algorithms.
#[must_use]
pub fn negotiated(connection: &ClientConnection) -> String {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("?");
    let group = connection.negotiated_key_exchange_group().and_then(|group| group.name().as_str());
    let leaf = connection.peer_certificates().and_then(<[_]>::first);
    let key = leaf.and_then(|leaf| key_in_words(leaf)).unwrap_or_else(|| "?".to_owned());
    format!("{version}, {suite}, {}, peer {key}", group.unwrap_or("?"))
}

/// `RSA 2048`, `EC P-256`.
fn key_in_words(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let key = certificate.public_key();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => Some(format!("RSA {}", rsa.key_size())),
        Ok(PublicKey::EC(point)) => Some(match point.key_size() {
            // The coordinates of P-521 fill 66 bytes.
            528 => "EC P-521".to_owned(),
            bits => format!("EC P-{bits}"),
        }),
        _ if key.algorithm.algorithm.to_id_string() == ED25519 => Some("Ed25519".to_owned()),
        _ => None,
    }
}

const ED25519: &str = "1.3.101.112";
