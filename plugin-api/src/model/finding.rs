//! Findings.

use super::fields;
use crate::batch::FindingCodes;

fields! {
    /// The text columns of the table of findings. Kind, severity, port, protocol, status and the use of TLS are
    /// numbers in the row: see [`FindingRow`](crate::batch::FindingRow) and
    /// [`FindingView`](crate::batch::FindingView).
    ///
    /// A finding's identity is asset + QID + port + protocol + (fqdn, ssl, service, instance), never asset + QID
    /// alone.
    FindingField (FindingCodes) in findings {
        /// The transport protocol, only for one without a code of its own
        /// ([`Protocol::Other`](super::Protocol::Other)).
        Protocol = "protocol",
        /// The service on the port.
        Service = "service",
        /// The name with which the service was requested.
        Fqdn = "fqdn",
        /// Distinguishes several equal findings on the asset.
        Instance = "instance",
        /// The scanner's result.
        Result = "result",
        /// The format of the result: `table` means tab-separated columns with their names in the first line.
        ResultFormat = "result_format",
        /// When it was first detected, in UTC.
        FirstFound = "first_found" as Time,
        /// When it was last detected, in UTC.
        LastFound = "last_found" as Time,
        /// When it was last found to be fixed, in UTC.
        LastFixed = "last_fixed" as Time,
        /// Number of detections.
        TimesFound = "times_found" as Integer,
        /// CVSS 2 score including the asset's environment.
        CvssFinal = "cvss_final",
        /// CVSS 3 score including the asset's environment.
        Cvss3Final = "cvss3_final",
        /// The scanner's ID of the finding.
        UniqueId = "unique_id",
        /// The scanner's detection score.
        DetectionScore = "detection_score" as Integer,
        /// The number of its ticket.
        Ticket = "ticket",
        /// The state of its ticket.
        TicketState = "ticket_state",
        /// Facts about the asset, a list of [`Fact`](super::Fact) lines.
        Facts = "facts" as List,
    }
}

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A confirmed vulnerability.
    Vulnerability,
    /// A potential vulnerability (Qualys: *practice*).
    Potential,
    /// Gathered information; not a vulnerability.
    Information,
    /// A detected service.
    Service,
}

impl FindingKind {
    /// All kinds, in the order in which they are counted and printed.
    pub const ALL: [Self; 4] = [Self::Vulnerability, Self::Potential, Self::Information, Self::Service];

    /// The number in the row of a finding: 1 to 4.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The kind with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).wrapping_sub(1)).copied()
    }

    /// The word in filters, summaries and outputs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Vulnerability => "vulnerability",
            Self::Potential => "potential",
            Self::Information => "information",
            Self::Service => "service",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}
