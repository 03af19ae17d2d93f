//! The ports of an asset that have been seen.

/// A set of ports by protocol, one bit each: its size is fixed, whatever an asset reports.
#[derive(Debug)]
pub(crate) struct Ports {
    /// One bit per port, for TCP, for UDP and for all other protocols.
    bits: Box<[u64]>,
    /// The words that are not zero, so that clearing the set does not visit all of them.
    used: Vec<u16>,
}

/// 65,536 ports in words of 64 bits.
const WORDS: usize = 65_536 / 64;

impl Default for Ports {
    fn default() -> Self {
        Self { bits: vec![0; 3 * WORDS].into(), used: Vec::new() }
    }
}

impl Ports {
    pub(crate) fn clear(&mut self) {
        for word in self.used.drain(..) {
            self.bits[usize::from(word)] = 0;
        }
    }

    /// Adds a port. Returns false if the set already contains it.
    pub(crate) fn insert(&mut self, port: u16, protocol: &str) -> bool {
        let protocol = match protocol {
            _ if protocol.eq_ignore_ascii_case("tcp") => 0,
            _ if protocol.eq_ignore_ascii_case("udp") => 1,
            _ => 2,
        };
        let (index, bit) = (protocol * WORDS + usize::from(port) / 64, 1 << (port % 64));
        let word = &mut self.bits[index];
        let new = *word & bit == 0;
        if *word == 0 {
            // There are 3,072 words.
            self.used.push(index as u16);
        }
        *word |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::Ports;

    #[test]
    fn port_is_new_once_per_protocol_and_asset() {
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
