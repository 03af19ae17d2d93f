//! Name lookup.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::dial_error::seconds;
use crate::dialer::SLICE;
use crate::{DialError, Dialer};

impl Dialer {
    /// The addresses of a host name or IP address, at least one, the preferred ones first, each once. An IP address
    /// needs no lookup. Blocks until the resolver returns; see [`Dialer::lookup_within`].
    ///
    /// # Errors
    /// [`DialError::Lookup`], [`DialError::Source`].
    pub fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.reachable(host, vec![SocketAddr::new(address, port)]);
        }
        let mut found = (self.resolver)(host, port).map_err(|error| DialError::Lookup(error.to_string()))?;
        self.preferred.sort(&mut found);
        found.dedup();
        if found.is_empty() {
            return Err(DialError::Lookup("no address found".to_owned()));
        }
        self.reachable(host, found)
    }

    /// The addresses that can be reached from the source address.
    fn reachable(&self, host: &str, mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, DialError> {
        let Some(source) = self.source else { return Ok(addresses) };
        addresses.retain(|address| source.reaches(address.ip()));
        if addresses.is_empty() {
            Err(DialError::Source(Box::new(source.cannot_reach(host))))
        } else {
            Ok(addresses)
        }
    }

    /// Like [`Dialer::lookup`], but ends after `limit` or when the call must end. The system's resolver can neither be
    /// cancelled nor given a time limit, so it runs in its own thread, which is then abandoned.
    ///
    /// # Errors
    /// [`DialError::Lookup`], also after `limit`; [`DialError::Source`]; [`DialError::Cancelled`].
    pub fn lookup_within(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> Result<Vec<SocketAddr>, DialError> {
        if host.parse::<IpAddr>().is_ok() {
            return self.lookup(host, port);
        }
        let failed = |reason: String| DialError::Lookup(reason);
        let started = Instant::now();
        let (sender, resolved) = mpsc::channel();
        let (dialer, name) = (self.clone(), host.to_owned());
        thread::Builder::new()
            .name("resolver".to_owned())
            // Sending fails if the caller has stopped waiting.
            .spawn(move || drop(sender.send(dialer.lookup(&name, port))))
            .map_err(|error| failed(error.to_string()))?;
        loop {
            let left = limit.saturating_sub(started.elapsed());
            match resolved.recv_timeout(SLICE.min(left)) {
                Ok(found) => return found,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(failed("the resolver ended without a result".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) if self.services.is_cancelled() => {
                    return Err(DialError::Cancelled);
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    return Err(failed(format!("DNS lookup timed out after {}", seconds(limit))));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
