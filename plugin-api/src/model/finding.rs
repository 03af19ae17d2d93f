//! Findings.

use super::field::fields;
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
