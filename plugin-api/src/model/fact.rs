//! Facts about an asset that a finding contains: an open port, the operating system, a name.

use std::fmt;

/// One line of a [`Facts`](super::FindingField::Facts) cell.
///
/// ```
/// use scanbridge_plugin_api::model::Fact;
///
/// let line = "port\t443\ttcp\thttps\thttp over ssl";
/// let fact = Fact::from_item(line).unwrap();
/// assert_eq!(fact, Fact::OpenPort { port: 443, protocol: "tcp", assigned: "https", detected: "http over ssl" });
/// assert_eq!(fact.to_string(), line);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact<'a> {
    /// An open port.
    OpenPort {
        /// 1 to 65535.
        port: u16,
        /// `tcp` or `udp`.
        protocol: &'a str,
        /// The service assigned to this port number.
        assigned: &'a str,
        /// The detected service; empty or `unknown` if it was not recognized.
        detected: &'a str,
    },
    /// The operating system as detected by one technique. Lines may contradict each other.
    OperatingSystem {
        /// Its name.
        name: &'a str,
        /// The detection technique.
        technique: &'a str,
    },
    /// A name of the asset.
    Name {
        /// The name.
        name: &'a str,
        /// The source of the name, for example `FQDN` or `NetBIOS`.
        source: &'a str,
    },
}

impl<'a> Fact<'a> {
    /// Parses one item of the cell. `None` for an unknown format.
    #[must_use]
    pub fn from_item(item: &'a str) -> Option<Self> {
        let mut rest = item;
        // The parts are short, so that a search byte by byte is the fastest.
        let mut next = || {
            let tab = rest.bytes().position(|byte| byte == b'\t');
            let (part, after) = tab.map_or((rest, ""), |tab| (&rest[..tab], &rest[tab + 1..]));
            rest = after;
            part
        };
        let form = next();
        match form {
            "port" => {
                let port = next().parse().ok().filter(|port| *port != 0)?;
                Some(Self::OpenPort { port, protocol: next(), assigned: next(), detected: next() })
            }
            "os" => Some(Self::OperatingSystem { name: next(), technique: next() }),
            "name" => Some(Self::Name { name: next(), source: next() }),
            _ => None,
        }
    }
}

impl fmt::Display for Fact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenPort { port, protocol, assigned, detected } => {
                write!(f, "port\t{port}\t{protocol}\t{assigned}\t{detected}")
            }
            Self::OperatingSystem { name, technique } => write!(f, "os\t{name}\t{technique}"),
            Self::Name { name, source } => write!(f, "name\t{name}\t{source}"),
        }
    }
}
