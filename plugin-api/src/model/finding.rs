//! One thing found on one asset.

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
        /// The service that answers on the port.
        Service = "service",
        /// The name under which the service was asked.
        Fqdn = "fqdn",
        /// Which of several equal things on the asset it is.
        Instance = "instance",
        /// What the scanner saw.
        Result = "result",
        /// The form of the result: `table` means that its first line names the columns, split by tabs.
        ResultFormat = "result_format",
        /// When it was first seen, in UTC.
        FirstFound = "first_found" as Time,
        /// When it was last seen, in UTC.
        LastFound = "last_found" as Time,
        /// When it was last seen to be gone, in UTC.
        LastFixed = "last_fixed" as Time,
        /// How often it was seen.
        TimesFound = "times_found" as Integer,
        /// CVSS 2 score in the asset's surroundings.
        CvssFinal = "cvss_final",
        /// CVSS 3 score in the asset's surroundings.
        Cvss3Final = "cvss3_final",
        /// The scanner's own number for the finding.
        UniqueId = "unique_id",
        /// The scanner's detection score.
        DetectionScore = "detection_score" as Integer,
        /// The number of the ticket about it.
        Ticket = "ticket",
        /// The state of the ticket about it.
        TicketState = "ticket_state",
        /// What the finding tells about its asset, a list of [`Fact`](super::Fact) lines.
        Facts = "facts" as List,
    }
}

/// What a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// A confirmed vulnerability.
    Vulnerability,
    /// A potential one: the scanner saw signs of it (Qualys says *practice*).
    Potential,
    /// Information gathered; nothing is wrong.
    Information,
    /// A service that was found listening.
    Service,
}

impl FindingKind {
    /// All kinds, in the order in which they are counted and shown.
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
