//! Which ports of an asset have been seen.

/// A set of port and protocol, of fixed size whatever an asset claims: one bit for each.
#[derive(Debug)]
pub(crate) struct Ports {
    /// A bit for each port, for TCP, UDP and all else.
    bits: Box<[u64]>,
    any: bool,
}

/// 65,536 ports in words of 64 bits.
const WORDS: usize = 65_536 / 64;

impl Default for Ports {
    fn default() -> Self {
        Self { bits: vec![0; 3 * WORDS].into(), any: false }
    }
}

impl Ports {
    pub(crate) fn clear(&mut self) {
        if self.any {
            self.bits.fill(0);
            self.any = false;
        }
    }

    /// Adds a port; false when it was there.
    pub(crate) fn insert(&mut self, port: u16, protocol: &str) -> bool {
        let protocol = match protocol {
            _ if protocol.eq_ignore_ascii_case("tcp") => 0,
            _ if protocol.eq_ignore_ascii_case("udp") => 1,
            _ => 2,
        };
        let (word, bit) = (protocol * WORDS + usize::from(port) / 64, 1 << (port % 64));
        let new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        self.any = true;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::Ports;

    #[test]
    fn a_port_is_new_once_for_each_protocol_and_asset() {
        let mut ports = Ports::default();
        assert!(ports.insert(65535, "tcp"));
        assert!(ports.insert(65535, "udp"));
        assert!(ports.insert(1, "TCP"));
        assert!(!ports.insert(1, "tcp"));
        assert!(!ports.insert(65535, "udp"));
        ports.clear();
        assert!(ports.insert(65535, "udp"));
    }
}
