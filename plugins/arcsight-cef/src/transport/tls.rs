//! TLS on a connection: trust settings of each receiver, and the handshake.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use scanbridge_plugin_api::{PluginError, Result, Services};
use scanbridge_tls_identity::{ClientTls, Identity, PeerExpiry, TlsOptions, negotiated};

use super::link::{Link, LinkError, Secured};
use super::receiver::Receiver;

/// The TLS client of each receiver: certificates of `tls_first_use_file` are stored by address.
#[derive(Debug)]
pub(super) struct Tls {
    clients: Vec<(Receiver, ClientTls, Arc<ClientConfig>)>,
}

impl Tls {
    /// Reads certificates and keys from their files.
    pub(super) fn open(options: &TlsOptions, receivers: &[Receiver], services: &Services) -> Result<Self> {
        let expiry = PeerExpiry::new(services);
        let client = |receiver: &Receiver| {
            let client = options.client(&receiver.to_string())?;
            client.measure_peer(&expiry);
            let mut config = ClientConfig::clone(&client.config());
            // Without resumption, each handshake verifies the certificate, so an expired one is rejected.
            config.resumption = Resumption::disabled();
            Ok((receiver.clone(), client, Arc::new(config)))
        };
        Ok(Self { clients: receivers.iter().map(client).collect::<Result<_>>()? })
    }

    /// The client certificate, if one is sent.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.clients.first().and_then(|(_, client, _)| client.identity())
    }

    /// Performs the TLS handshake on a new connection.
    pub(super) fn secure(&self, link: Link, receiver: &Receiver) -> Result<Link, LinkError> {
        let (_, client, config) = self
            .clients
            .iter()
            .find(|(known, ..)| known == receiver)
            .ok_or_else(|| PluginError::bug(format!("no TLS client for {receiver}")))?;
        let name = ServerName::try_from(receiver.host.clone()).map_err(|_| {
            PluginError::config(format!("`{}` is not a valid host name or IP address", receiver.host))
        })?;
        let session =
            ClientConnection::new(Arc::clone(config), name).map_err(|error| client.explain(&error))?;
        link.secured(Secured { session, client: client.clone() })
    }
}

/// What was negotiated, for a probe.
pub(super) fn describe(session: &ClientConnection) -> String {
    format!("{}, receiver certificate verified", negotiated(session))
}
