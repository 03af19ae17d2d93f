//! The configuration of a TLS client.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use rustls::client::danger::ServerCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use scanbridge_plugin_api::{Fips, PluginError, Result};
use scanbridge_tls_policy::Policy;

use crate::explain;
use crate::identity::Identity;
use crate::peer_expiry::PeerExpiry;
use crate::trust::Trust;
use crate::verifier::Verifier;

/// A TLS client for one peer.
#[derive(Clone)]
pub struct ClientTls {
    peer: String,
    config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
    identity: Option<Identity>,
    fips: Fips,
}

/// Minimum TLS version. rustls does not support TLS 1.1 and older.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MinimumVersion {
    /// TLS 1.2 or 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

impl ClientTls {
    /// A client for TLS 1.2 or newer. `peer` is the address, `host:port`: it names the peer in messages and is the
    /// key of a certificate stored at first use.
    ///
    /// # Errors
    /// [`Auth`](scanbridge_plugin_api::ErrorKind::Auth) when the client certificate has expired or is not yet
    /// valid, [`Config`](scanbridge_plugin_api::ErrorKind::Config) when FIPS mode is on and this is not the FIPS build.
    pub fn new(peer: &str, trust: &Trust, identity: Option<&Identity>, fips: Fips) -> Result<Self> {
        Self::with_minimum(peer, trust, identity, fips, MinimumVersion::Tls12)
    }

    /// A client for this version or newer.
    ///
    /// # Errors
    /// As [`ClientTls::new`].
    pub fn with_minimum(
        peer: &str,
        trust: &Trust,
        identity: Option<&Identity>,
        fips: Fips,
        minimum: MinimumVersion,
    ) -> Result<Self> {
        let policy = policy_of(fips)?;
        let mut client = Self::unchecked(peer, trust, identity, (policy, minimum))?;
        client.fips = fips;
        policy.require_of_client(&client.config).map_err(|reason| {
            PluginError::config(format!("cannot connect to {peer}: {reason}")).with_hint(NEEDS_FIPS_BUILD)
        })?;
        Ok(client)
    }

    /// A client with the algorithms of this policy, also when they are not those of a FIPS module.
    fn unchecked(
        peer: &str,
        trust: &Trust,
        identity: Option<&Identity>,
        (policy, minimum): (Policy, MinimumVersion),
    ) -> Result<Self> {
        if let Some(identity) = identity {
            identity.certificate().require_valid(Timestamp::now())?;
        }
        let provider = policy.provider();
        let verifier = Arc::new(Verifier {
            peer: peer.to_owned(),
            trust: trust.clone(),
            algorithms: provider.signature_verification_algorithms,
            expiry: OnceLock::new(),
        });
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&minimum.versions())
            .map_err(|error| PluginError::bug(format!("cannot initialize TLS: {error}")))?
            .dangerous() // what rustls calls every verifier but its own
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>);
        let mut config = match identity {
            Some(identity) => builder.with_client_cert_resolver(identity.resolver()),
            None => builder.with_no_client_auth(),
        };
        policy.restrict_client(&mut config);
        Ok(Self {
            peer: peer.to_owned(),
            config: Arc::new(config),
            verifier,
            identity: identity.cloned(),
            fips: Fips::Off,
        })
    }

    /// The client certificate, if one is sent.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Lets this client measure when the certificate of its peer expires. The first call counts.
    pub fn measure_peer(&self, expiry: &PeerExpiry) {
        let _ = self.verifier.expiry.set(expiry.clone());
    }

    /// The configuration, for `rustls::ClientConnection`. For reqwest, clone the inner value.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The verifier of that configuration, for a library that uses one configuration for several peers.
    #[must_use]
    pub fn verifier(&self) -> Arc<dyn ServerCertVerifier> {
        Arc::clone(&self.verifier) as Arc<dyn ServerCertVerifier>
    }

    /// Turns a connection error into one sentence with a hint. Accepts a `rustls::Error`, an `io::Error` that
    /// contains one, or an error of another library with one of the two among its sources.
    ///
    /// A peer that is not trusted, or that does not trust us, is [`Auth`](scanbridge_plugin_api::ErrorKind::Auth)
    /// (never retried). No common version, or no TLS at all, is
    /// [`Protocol`](scanbridge_plugin_api::ErrorKind::Protocol). A connection that is closed early is
    /// [`Unavailable`](scanbridge_plugin_api::ErrorKind::Unavailable).
    ///
    /// With TLS 1.3 a peer rejects a client certificate only after our side of the handshake has ended. So pass
    /// errors of the first reads here too.
    #[must_use]
    pub fn explain(&self, error: &(dyn StdError + 'static)) -> PluginError {
        explain::explain(&self.peer, self.identity.as_ref(), self.fips, error)
    }
}

impl fmt::Debug for ClientTls {
    /// The configuration is omitted, because rustls would print secrets from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("peer", &self.peer)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// The policy of a mode.
///
/// # Errors
/// [`Config`](scanbridge_plugin_api::ErrorKind::Config) for a mode that this version does not know.
fn policy_of(fips: Fips) -> Result<Policy> {
    fips.word().parse().map_err(|error| PluginError::config(format!("cannot use TLS: {error}")))
}

/// What to do when FIPS mode is on in another build.
const NEEDS_FIPS_BUILD: &str = "install the FIPS build (scanbridge-fips), or set `fips: off`";

impl MinimumVersion {
    fn versions(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls12 => vec![&TLS13, &TLS12],
            Self::Tls13 => vec![&TLS13],
        }
    }
}
