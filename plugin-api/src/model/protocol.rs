//! The transport protocol of a finding.

/// The transport protocol of the port of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol<'a> {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP.
    Icmp,
    /// Another protocol, by its name in lower case; never empty.
    Other(&'a str),
}

impl<'a> Protocol<'a> {
    /// The protocols that have a number, in the order of the numbers.
    pub const NUMBERED: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];
    /// The number of a protocol whose name is in a cell.
    pub(crate) const OTHER: u8 = 255;

    /// The protocol with this name, case-insensitive. `None` for an empty name.
    #[must_use]
    pub fn of(name: &'a str) -> Option<Self> {
        let known = || Self::NUMBERED.into_iter().find(|known| known.name().eq_ignore_ascii_case(name));
        (!name.is_empty()).then(|| known().unwrap_or(Self::Other(name)))
    }

    /// The name in lower case, for example `tcp`.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Other(name) => name,
        }
    }

    /// The number in the row of a finding.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Tcp => 1,
            Self::Udp => 2,
            Self::Icmp => 3,
            Self::Other(_) => Self::OTHER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Protocol;

    #[test]
    fn names_are_read_in_any_case() {
        assert_eq!(Protocol::of("TCP"), Some(Protocol::Tcp));
        assert_eq!(Protocol::of("sctp"), Some(Protocol::Other("sctp")));
        assert_eq!(Protocol::of(""), None);
        for (protocol, code) in Protocol::NUMBERED.into_iter().zip(1..) {
            assert_eq!((protocol.code(), Protocol::of(protocol.name())), (code, Some(protocol)));
        }
    }
}
