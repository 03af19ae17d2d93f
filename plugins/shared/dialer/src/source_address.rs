//! The own address from which connections are made.

use std::io;
use std::net::{IpAddr, SocketAddr};

use scanbridge_plugin_api::{OptionSpec, Options, PluginError, Result};
use socket2::{Domain, Socket, Type};

/// The option `source_address`. It does not change what is delivered, so an interrupted run can be resumed with
/// another value.
pub const SOURCE_ADDRESS: OptionSpec = OptionSpec::text("source_address").resume_safe().group("network").help(
    "IP address of this machine from which connections are made. Peers are then reached only at addresses of the same \
     IP version. Default: the system chooses.",
);

/// An IP address of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceAddress(IpAddr);

impl SourceAddress {
    /// The value of [`SOURCE_ADDRESS`]; `None` if it is not set. Binds a socket to it once, without a connection.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](scanbridge_plugin_api::ErrorKind::Config): not an IP address, or none of this machine.
    pub fn of_option(options: &Options) -> Result<Option<Self>> {
        let name = SOURCE_ADDRESS.name;
        let Some(text) = options.text(name)? else { return Ok(None) };
        let address: IpAddr = text.trim().parse().map_err(|_| {
            PluginError::config(format!("option `{name}` must be an IP address")).with_hint(
                "write one address of this machine, for example 192.0.2.7; `ip address` lists them",
            )
        })?;
        if address.is_unspecified() || address.is_multicast() {
            return Err(PluginError::config(format!("option `{name}` must be one address of this machine"))
                .with_hint("remove the option to let the system choose"));
        }
        let source = Self(address);
        source.bind(&Socket::new(source.domain(), Type::STREAM, None).map_err(unusable)?).map_err(
            |error| {
                PluginError::config(format!(
                    "option `{name}`: {address} is not usable on this machine: {error}"
                ))
                .with_hint("`ip address` lists the addresses of this machine")
            },
        )?;
        Ok(Some(source))
    }

    /// The address.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// True if a connection from here can reach an address: both have the same IP version.
    #[must_use]
    pub fn reaches(self, peer: IpAddr) -> bool {
        self.0.is_ipv4() == peer.is_ipv4()
    }

    /// Why a peer cannot be reached that has addresses of the other IP version only.
    #[must_use]
    pub fn cannot_reach(self, peer: &str) -> PluginError {
        let (own, other) = if self.0.is_ipv4() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
        let message = format!(
            "`{}` {} is an {own} address, and {peer} has only {other} addresses",
            SOURCE_ADDRESS.name, self.0
        );
        PluginError::config(message).with_hint("set an address of the other IP version, or remove the option")
    }

    pub(crate) fn bind(self, socket: &Socket) -> io::Result<()> {
        socket.bind(&SocketAddr::new(self.0, 0).into())
    }

    fn domain(self) -> Domain {
        Domain::for_address(SocketAddr::new(self.0, 0))
    }
}

fn unusable(error: io::Error) -> PluginError {
    PluginError::config(format!("option `{}`: no socket of this IP version: {error}", SOURCE_ADDRESS.name))
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::ErrorKind;

    use super::*;

    fn read(value: &str) -> Result<Option<SourceAddress>> {
        let json = format!("{{\"source_address\": {value:?}}}");
        SourceAddress::of_option(&Options::read(&[SOURCE_ADDRESS], json.as_bytes())?)
    }

    #[test]
    fn own_addresses_are_accepted() {
        assert_eq!(
            SourceAddress::of_option(&Options::read(&[SOURCE_ADDRESS], b"{}").unwrap()).unwrap(),
            None
        );
        for own in ["127.0.0.1", " 127.0.0.2 "] {
            assert_eq!(read(own).unwrap().unwrap().ip().to_string(), own.trim());
        }
    }

    #[test]
    fn other_values_are_config_errors() {
        for (value, words) in [
            ("eth0", "must be an IP address"),
            ("127.0.0.1:80", "must be an IP address"),
            ("0.0.0.0", "one address of this machine"),
            ("::", "one address of this machine"),
            ("224.0.0.1", "one address of this machine"),
            // TEST-NET-1 (RFC 5737): no machine has it.
            ("192.0.2.7", "192.0.2.7 is not usable on this machine"),
        ] {
            let error = read(value).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config, "{value}");
            assert!(error.message.contains(words), "{value}: {error}");
            assert!(error.hint.is_some(), "{value}");
        }
    }

    #[test]
    fn peer_of_the_other_ip_version_is_named() {
        let source = read("127.0.0.1").unwrap().unwrap();
        assert!(
            source.reaches("192.0.2.1".parse().unwrap()) && !source.reaches("2001:db8::1".parse().unwrap())
        );
        assert_eq!(
            source.cannot_reach("dc.example.com").message,
            "`source_address` 127.0.0.1 is an IPv4 address, and dc.example.com has only IPv6 addresses"
        );
    }
}
