//! TLS on a connection: whom to trust for each receiver, and the handshake.

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use scanbridge_plugin_api::{PluginError, Result};
use scanbridge_tls_identity::{ClientTls, TlsOptions};

use super::link::{Link, Secured, Trouble};
use super::resolve::Receiver;

/// The client of each receiver: what is remembered of a first meeting is kept under its address.
#[derive(Debug)]
pub(super) struct Tls {
    clients: Vec<(Receiver, ClientTls)>,
}

impl Tls {
    /// Reads certificates and keys from their files.
    pub(super) fn open(options: &TlsOptions, receivers: &[Receiver]) -> Result<Self> {
        let client = |receiver: &Receiver| Ok((receiver.clone(), options.client(&receiver.to_string())?));
        Ok(Self { clients: receivers.iter().map(client).collect::<Result<_>>()? })
    }

    /// Shakes hands on a new connection.
    pub(super) fn secure(&self, link: Link, receiver: &Receiver) -> Result<Link, Trouble> {
        let (_, client) = self
            .clients
            .iter()
            .find(|(known, _)| known == receiver)
            .ok_or_else(|| PluginError::bug(format!("{receiver} has no TLS client")))?;
        let name = ServerName::try_from(receiver.host.clone()).map_err(|_| {
            PluginError::config(format!("`{}` is neither a host name nor an address", receiver.host))
        })?;
        let session = ClientConnection::new(client.config(), name).map_err(|error| client.explain(&error))?;
        link.secured(Secured { session, client: client.clone() })
    }
}

/// What was agreed on, for a probe.
pub(super) fn describe(session: &ClientConnection) -> String {
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("?");
    format!("{version}, {cipher}, and the receiver's certificate is trusted")
}
