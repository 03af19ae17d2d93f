//! The function that looks up names.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// Looks up the addresses of a host name; blocks. Tests replace it to simulate DNS.
pub type Resolver = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// The system's resolver.
pub(crate) fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}
