//! Facts about an asset in the results of information QIDs: open ports, operating system, names.

use std::fmt::Write;

use scanbridge_plugin_api::model::Fact;

/// The layout of the result of one QID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FactReader {
    /// 82023 and 82004: port, assigned service, description, detected service.
    OpenPorts(&'static str),
    /// 45017: operating system, technique.
    OperatingSystem,
    /// 6: address, name.
    DnsName,
    /// 45039: name, source.
    Names,
    /// 82044: the name alone.
    NetbiosName,
}

/// The fact reader for the results of a QID, if there is one.
#[inline]
pub(crate) fn reader_of(qid: &str) -> Option<FactReader> {
    Some(match qid {
        "82023" => FactReader::OpenPorts("tcp"),
        "82004" => FactReader::OpenPorts("udp"),
        "45017" => FactReader::OperatingSystem,
        "6" => FactReader::DnsName,
        "45039" => FactReader::Names,
        "82044" => FactReader::NetbiosName,
        _ => return None,
    })
}

/// Further rows of a result are ignored. An asset has 65,535 ports per protocol.
const MAX_ROWS: usize = 65_536;

impl FactReader {
    /// The facts of a result, one per line. With `table`, the first line contains the column names. Without it, a
    /// first line that looks like column names is treated as such.
    pub(crate) fn facts(self, result: &str, table: bool) -> String {
        let mut facts = String::with_capacity(result.len());
        let mut lines = result.lines().filter(|line| !line.trim().is_empty()).take(MAX_ROWS).peekable();
        if self == Self::NetbiosName {
            if let Some(name) = lines.next() {
                add(&mut facts, Fact::Name { name: name.trim(), source: "NetBIOS" });
            }
            return facts;
        }
        let has_heading = lines.peek().is_some_and(|line| table || self.is_heading(line));
        if has_heading {
            lines.next();
        } else if !matches!(self, Self::OpenPorts(_)) {
            // The result is prose, not a table.
            return facts;
        }
        for line in lines {
            if let Some(fact) = self.fact_of_row(line) {
                add(&mut facts, fact);
            }
        }
        facts
    }

    fn is_heading(self, line: &str) -> bool {
        let first = line.split('\t').next().unwrap_or_default().trim();
        let expected = match self {
            Self::OpenPorts(_) => "port",
            Self::OperatingSystem => "operating system",
            Self::DnsName => "ip address",
            Self::Names | Self::NetbiosName => "host name",
        };
        first.eq_ignore_ascii_case(expected)
    }

    /// Rows may be shorter than the heading, and cells padded with spaces.
    fn fact_of_row(self, line: &str) -> Option<Fact<'_>> {
        let mut cells = line.split('\t').map(str::trim);
        let first = cells.next().filter(|cell| !cell.is_empty())?;
        let mut next = || cells.next().unwrap_or_default();
        match self {
            Self::OpenPorts(protocol) => {
                let port = first.parse().ok().filter(|port| *port != 0)?;
                let assigned = next();
                let _description = next();
                Some(Fact::OpenPort { port, protocol, assigned, detected: next() })
            }
            Self::OperatingSystem => Some(Fact::OperatingSystem { name: first, technique: next() }),
            Self::DnsName => {
                let name = Some(next()).filter(|name| !name.is_empty() && !is_placeholder(name))?;
                Some(Fact::Name { name, source: "DNS" })
            }
            Self::Names | Self::NetbiosName => Some(Fact::Name { name: first, source: next() }),
        }
    }
}

/// The scanner's placeholder for a missing name.
pub(crate) fn is_placeholder(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case("No registered hostname")
}

fn add(facts: &mut String, fact: Fact<'_>) {
    if !facts.is_empty() {
        facts.push('\n');
    }
    // Writing to a string does not fail.
    let _ = write!(facts, "{fact}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_become_facts() {
        let ports = "Port\tIANA Assigned Ports/Services\tDescription\tService Detected\tOS On Redirected Port\n\
                     22\tssh\tSSH Remote Login\tssh\t \t \n443\thttps\tweb\thttp over ssl\n0\tx\nnone\n";
        for (qid, result, table, facts) in [
            ("82023", ports, true, "port\t22\ttcp\tssh\tssh\nport\t443\ttcp\thttps\thttp over ssl"),
            ("82004", "53\tdomain\tDNS\tunknown", false, "port\t53\tudp\tdomain\tunknown"),
            (
                "45017",
                "Operating System\tTechnique\tID\nLinux 6.1\tTCP/IP Fingerprint\tU1\n",
                false,
                "os\tLinux 6.1\tTCP/IP Fingerprint",
            ),
            ("45017", "some output", false, ""),
            (
                "6",
                "IP address\tHost name\n192.0.2.1\tweb.example.com\n192.0.2.2\tNo registered hostname",
                true,
                "name\tweb.example.com\tDNS",
            ),
            ("45039", "Host Name\tSource\nweb.example.com\tFQDN", true, "name\tweb.example.com\tFQDN"),
            ("82044", "WEB01\n", false, "name\tWEB01\tNetBIOS"),
        ] {
            assert_eq!(
                reader_of(qid).map(|reader| reader.facts(result, table)).as_deref(),
                Some(facts),
                "{qid}"
            );
        }
        assert_eq!(reader_of("82040"), None);
    }
}
