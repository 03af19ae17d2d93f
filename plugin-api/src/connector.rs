//! The identity of the installation that delivers findings.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::setters::setters;

/// What the operator calls this installation (`connector:` in a pipeline), and the machine that it runs on. Empty if the
/// pipeline does not set it. Crosses as JSON; a missing key has its default.
///
/// An output shows it in its records where the format of the destination has a place for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConnectorIdentity {
    /// Name, at most 255 bytes; empty without one.
    pub name: String,
    /// Location, at most 1,023 bytes; empty without one.
    pub location: String,
    /// Comment, at most 1,023 bytes; empty without one.
    pub comment: String,
    /// The name of the machine; empty if the pipeline sets no identity.
    pub host: String,
    /// An address of the machine, of the preferred IP version if it has one; `None` if it has neither, or if the pipeline
    /// sets no identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

impl ConnectorIdentity {
    /// Whether the pipeline sets no identity.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

setters!(ConnectorIdentity {
    texts: with_name(name), with_location(location), with_comment(comment), with_host(host);
    values: with_address(address: Option<IpAddr>);
});
