//! Opens TCP connections for plugins: looks up a name, tries its addresses in order, and waits no longer than allowed.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use scanbridge_dialer::{Dialer, IpVersion};
//! # fn main() -> scanbridge_plugin_api::Result<()> {
//! # let services = scanbridge_plugin_api::Services::without_host("state".as_ref());
//! let dialer = Dialer::new(&services).prefer(IpVersion::V4).keepalive(Duration::from_secs(30));
//! let stream = dialer
//!     .dial("siem.example.com", 601, Duration::from_secs(10))
//!     .map_err(|error| error.explain("cannot connect to siem.example.com:601", None))?;
//! # let _ = stream;
//! # Ok(())
//! # }
//! ```
//!
//! A name is looked up again for each connection, because DNS entries change. Every wait ends within about 200 ms when
//! the call must end ([`Services::is_cancelled`](scanbridge_plugin_api::Services::is_cancelled)). The host requests
//! that for outputs a few seconds after a stop request, so a call in progress can still connect in between.
//!
//! This crate sends and receives no data and knows nothing about TLS. What happens on an open connection stays with
//! each plugin, because they limit it differently: syslog has no replies, so `ArcSightCEF` watches what the peer's
//! kernel acknowledges; `Sourcefire` has one deadline for a message and its reply; `QualysGuard` leaves it to reqwest.

mod connect;
mod dial_error;
mod dialer;
mod ip_version;
mod lookup;
mod resolver;
mod source_address;

pub use dial_error::{DialError, reason};
pub use dialer::Dialer;
pub use ip_version::IpVersion;
pub use resolver::Resolver;
pub use source_address::{SOURCE_ADDRESS, SourceAddress};
