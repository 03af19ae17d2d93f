//! DNS lookups of reqwest.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use scanbridge_dialer::Dialer;
use tokio::task::spawn_blocking;

/// The lookup of the dialer. reqwest ends the wait for it, and `classify` finds its error among the sources of a
/// reqwest error.
#[derive(Debug, Clone)]
pub(crate) struct DnsResolver(pub(crate) Dialer);

impl Resolve for DnsResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let dialer = self.0.clone();
        Box::pin(async move {
            // reqwest replaces port 0 by the port of the URL.
            let addresses = spawn_blocking(move || dialer.lookup(name.as_str(), 0)).await??;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
