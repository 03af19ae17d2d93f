//! The dialer and its settings.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use scanbridge_plugin_api::Services;

use crate::resolver::{self, Resolver};
use crate::{DialError, IpVersion, SourceAddress};

/// Opens connections for one plugin instance. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Dialer {
    pub(crate) services: Services,
    pub(crate) preferred: IpVersion,
    /// `None`: the system chooses.
    pub(crate) source: Option<SourceAddress>,
    pub(crate) resolver: Resolver,
    /// Zero: no keepalive.
    pub(crate) keepalive: Duration,
    /// Zero: the limit of the system.
    pub(crate) acknowledgement: Duration,
}

impl Dialer {
    /// A dialer with the system's resolver and its order of addresses, and without keepalive.
    #[must_use]
    pub fn new(services: &Services) -> Self {
        Self {
            services: services.clone(),
            preferred: IpVersion::Any,
            source: None,
            resolver: resolver::system,
            keepalive: Duration::ZERO,
            acknowledgement: Duration::ZERO,
        }
    }

    /// Sets the IP version that is tried first.
    #[must_use]
    pub fn prefer(mut self, version: IpVersion) -> Self {
        self.preferred = version;
        self
    }

    /// Sets the own address from which connections are made. Only addresses of its IP version are then returned by
    /// lookups.
    #[must_use]
    pub fn from_address(mut self, source: Option<SourceAddress>) -> Self {
        self.source = source;
        self
    }

    /// Sets the idle time before a keepalive probe, and between two of them; zero disables keepalive.
    #[must_use]
    pub fn keepalive(mut self, idle: Duration) -> Self {
        self.keepalive = idle;
        self
    }

    /// Sets how long the kernel waits for the acknowledgement of sent data. Zero: the limit of the system, about
    /// 15 minutes (tcp(7)). Only Linux has this limit.
    #[must_use]
    pub fn acknowledgement_timeout(mut self, limit: Duration) -> Self {
        self.acknowledgement = limit;
        self
    }

    /// Replaces the system's resolver, for tests.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// The own address from which connections are made.
    #[must_use]
    pub fn source(&self) -> Option<SourceAddress> {
        self.source
    }

    /// The IP version that is tried first.
    #[must_use]
    pub fn preferred(&self) -> IpVersion {
        self.preferred
    }

    /// Looks up a name and connects to the first of its addresses that accepts a connection, all within `limit`.
    ///
    /// # Errors
    /// Those of [`Dialer::lookup_within`] and [`Dialer::connect_first`].
    pub fn dial(&self, host: &str, port: u16, limit: Duration) -> Result<TcpStream, DialError> {
        let started = Instant::now();
        let addresses = self.lookup_within(host, port, limit)?;
        self.connect_first(&addresses, limit.saturating_sub(started.elapsed())).map_err(|(_, error)| error)
    }

    /// Connects to the first address that accepts a connection, all within `limit`. The time that is left is divided
    /// among the addresses that are left, so one that never responds leaves time for the others.
    ///
    /// # Errors
    /// The error of the last attempt, with its address.
    ///
    /// # Panics
    /// If there is no address.
    pub fn connect_first(
        &self,
        addresses: &[SocketAddr],
        limit: Duration,
    ) -> Result<TcpStream, (SocketAddr, DialError)> {
        let started = Instant::now();
        let mut last = None;
        for (address, others) in addresses.iter().zip((0..addresses.len()).rev()) {
            let left = limit.saturating_sub(started.elapsed());
            let share = left / u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1);
            match self.connect(*address, share) {
                Ok(stream) => return Ok(stream),
                Err(DialError::Cancelled) => return Err((*address, DialError::Cancelled)),
                Err(error) => last = Some((*address, error)),
            }
        }
        Err(last.expect("there is at least one address"))
    }
}

/// Longest wait before a check for cancellation.
pub(crate) const SLICE: Duration = Duration::from_millis(200);
