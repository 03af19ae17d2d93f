//! The codes of a finding: two numbers of its row.

use crate::model::{FindingKind, FindingStatus, Protocol, Severity};

/// The codes of a finding in their ABI form: `kind | severity << 8 | port << 16` and
/// `status | protocol << 8 | flags << 16`. 0 means none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FindingCodes(pub(super) [u32; 2]);

/// A code of a finding that this version does not know, or that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum BadCode {
    /// No kind, or an unknown one.
    #[error("unknown kind {0}")]
    Kind(u8),
    /// A severity above 5.
    #[error("severity {0} is not 0 to 5")]
    Severity(u8),
    /// An unknown status.
    #[error("unknown status {0}")]
    Status(u8),
    /// An unknown protocol.
    #[error("unknown protocol {0}")]
    Protocol(u8),
}

/// The service was reached over TLS.
const OVER_TLS: u32 = 1;
/// The service was reached without TLS.
const WITHOUT_TLS: u32 = 2;

impl FindingCodes {
    pub(super) fn set_kind(&mut self, kind: Option<FindingKind>) {
        self.set(0, 0, 0xff, kind.map_or(0, FindingKind::code).into());
    }

    pub(super) fn set_severity(&mut self, severity: Option<Severity>) {
        self.set(0, 8, 0xff, severity.map_or(0, Severity::number).into());
    }

    pub(super) fn set_port(&mut self, port: u16) {
        self.set(0, 16, 0xffff, port.into());
    }

    pub(super) fn set_status(&mut self, status: Option<FindingStatus>) {
        self.set(1, 0, 0xff, status.map_or(0, FindingStatus::code).into());
    }

    pub(super) fn set_protocol(&mut self, protocol: Option<Protocol<'_>>) {
        self.set(1, 8, 0xff, protocol.map_or(0, Protocol::code).into());
    }

    pub(super) fn set_ssl(&mut self, ssl: Option<bool>) {
        let flags = match ssl {
            Some(true) => OVER_TLS,
            Some(false) => WITHOUT_TLS,
            None => 0,
        };
        self.set(1, 16, OVER_TLS | WITHOUT_TLS, flags);
    }

    pub(super) fn kind(self) -> Option<FindingKind> {
        FindingKind::from_code(self.byte(0, 0))
    }

    pub(super) fn severity(self) -> Option<Severity> {
        Severity::new(self.byte(0, 8))
    }

    pub(super) fn port(self) -> Option<u16> {
        Some((self.0[0] >> 16) as u16).filter(|port| *port != 0)
    }

    pub(super) fn status(self) -> Option<FindingStatus> {
        FindingStatus::from_code(self.byte(1, 0))
    }

    /// The protocol; `cell` is the text of the cell `protocol`.
    pub(super) fn protocol(self, cell: &str) -> Option<Protocol<'_>> {
        match self.byte(1, 8) {
            0 => None,
            Protocol::OTHER => Protocol::of(cell),
            code => Protocol::NUMBERED.get(usize::from(code) - 1).copied(),
        }
    }

    pub(super) fn ssl(self) -> Option<bool> {
        match self.0[1] >> 16 {
            flags if flags & OVER_TLS != 0 => Some(true),
            flags if flags & WITHOUT_TLS != 0 => Some(false),
            _ => None,
        }
    }

    /// The first code that this version does not know.
    pub(super) fn bad(self) -> Option<BadCode> {
        let (kind, severity) = (self.byte(0, 0), self.byte(0, 8));
        let (status, protocol) = (self.byte(1, 0), self.byte(1, 8));
        if self.kind().is_none() {
            Some(BadCode::Kind(kind))
        } else if severity > 5 {
            Some(BadCode::Severity(severity))
        } else if usize::from(status) > FindingStatus::ALL.len() {
            Some(BadCode::Status(status))
        } else if usize::from(protocol) > Protocol::NUMBERED.len() && protocol != Protocol::OTHER {
            Some(BadCode::Protocol(protocol))
        } else {
            None
        }
    }

    fn byte(self, word: usize, shift: u32) -> u8 {
        (self.0[word] >> shift) as u8
    }

    fn set(&mut self, word: usize, shift: u32, mask: u32, value: u32) {
        self.0[word] = self.0[word] & !(mask << shift) | value << shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_back_and_do_not_touch_each_other() {
        let mut codes = FindingCodes::default();
        codes.set_kind(Some(FindingKind::Service));
        codes.set_severity(Severity::new(5));
        codes.set_port(65_535);
        codes.set_status(Some(FindingStatus::Disabled));
        codes.set_protocol(Some(Protocol::Other("sctp")));
        codes.set_ssl(Some(true));
        assert_eq!(codes.0, [0xffff_0504, 0x0001_ff06]);
        assert_eq!((codes.kind(), codes.severity()), (Some(FindingKind::Service), Severity::new(5)));
        assert_eq!((codes.port(), codes.status()), (Some(65_535), Some(FindingStatus::Disabled)));
        assert_eq!((codes.protocol("sctp"), codes.ssl()), (Some(Protocol::Other("sctp")), Some(true)));
        assert_eq!(codes.bad(), None);
        codes.set_port(0);
        codes.set_severity(None);
        codes.set_ssl(Some(false));
        assert_eq!(codes.0, [0x0000_0004, 0x0002_ff06]);
        assert_eq!(codes.port(), None);
        assert_eq!(codes.severity(), None);
        assert_eq!(codes.ssl(), Some(false));
    }

    #[test]
    fn unknown_codes_are_named() {
        for (codes, bad) in [
            ([0, 0], BadCode::Kind(0)),
            ([5, 0], BadCode::Kind(5)),
            ([0x0601, 0], BadCode::Severity(6)),
            ([1, 7], BadCode::Status(7)),
            ([1, 0x0400], BadCode::Protocol(4)),
        ] {
            assert_eq!(FindingCodes(codes).bad(), Some(bad), "{codes:?}");
        }
        // Bits of later versions are ignored.
        assert_eq!(FindingCodes([1, 0xfffc_0000]).bad(), None);
    }
}
