//! The mapping `console` of the service file: who may use the service over TCP, and how.

use serde::{Deserialize, Serialize};

/// The listener for the API and the console. Without one, only the control socket accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsoleKeys {
    /// Address and port, for example `127.0.0.1:9001`.
    pub listen: String,
    /// The URL that browsers use if there is a reverse proxy.
    pub public_url: Option<String>,
    /// Certificates; without them the service makes its own certificate where TLS is required.
    pub tls: Option<TlsKeys>,
    /// What the owners of client certificates may do.
    pub client_roles: Vec<ClientRole>,
    /// Whether `/metrics` needs no token.
    pub anonymous_metrics: bool,
}

impl ConsoleKeys {
    /// The address and port of the SmartConnector's remote management, on the loopback interface.
    pub const DEFAULT_LISTEN: &'static str = "127.0.0.1:9001";

    /// What to write instead of a text that cannot be parsed as address and port.
    #[must_use]
    pub fn hint_for_listen(text: &str) -> String {
        let port = text.rsplit_once(':').map_or(text, |(_, port)| port).parse::<u16>();
        let port = port.unwrap_or(9001);
        format!(
            "a name is not possible: write 127.0.0.1:{port} for this machine only (or \"[::1]:{port}\"), 0.0.0.0:{port} for \
             all its addresses"
        )
    }
}

impl Default for ConsoleKeys {
    fn default() -> Self {
        Self {
            listen: Self::DEFAULT_LISTEN.to_owned(),
            public_url: None,
            tls: None,
            client_roles: Vec::new(),
            anonymous_metrics: false,
        }
    }
}

/// Certificates of the listener, as PEM files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsKeys {
    /// The certificate of the service, followed by its intermediate certificates. Without it the service makes its own.
    pub certificate: Option<String>,
    /// The private key of the certificate.
    pub key: Option<String>,
    /// The certificate authorities of clients.
    pub client_ca: Option<String>,
    /// Whether clients without a certificate are refused.
    pub client_required: bool,
}

/// What the owner of a client certificate may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRole {
    /// A subject alternative name: DNS name, e-mail address or URI.
    pub san: String,
    /// The role.
    pub role: Role,
}

/// What a client of the service may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See states, counts, titles of reports and plugins.
    Read,
    /// Also start, stop and pause pipelines, reload, work with dead letters and see samples of findings.
    Operate,
}

impl Role {
    /// `read` or `operate`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }
}
