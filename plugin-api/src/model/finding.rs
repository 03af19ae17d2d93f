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
        /// The status in the scanner's words, if it is not the status of the row.
        ReportedStatus = "reported_status",
        /// Whether the scanner's users ignore the finding on this asset: `0` or `1`.
        Ignored = "ignored" as Flag,
        /// Whether the scanner's users disabled its definition: `0` or `1`.
        Disabled = "disabled" as Flag,
        /// The standard severity, if the scanner's users changed the severity.
        StandardSeverity = "standard_severity",
        /// What the scanner adds about the port, for example `over ssl`.
        PortNote = "port_note",
        /// Errors while the result was collected.
        ResultErrors = "result_errors",
        /// Debug output of the detection.
        ResultDebug = "result_debug",
        /// Distinguishes several results of the finding.
        ResultInstance = "result_instance",
        /// The host name that the detection found.
        Hostname = "hostname",
        /// When it was first detected again after a fix, in UTC.
        FirstReopened = "first_reopened" as Time,
        /// When it was last detected again after a fix, in UTC.
        LastReopened = "last_reopened" as Time,
        /// Number of times that it was detected again after a fix.
        TimesReopened = "times_reopened" as Integer,
        /// When the asset was last tested for it, in UTC.
        LastTested = "last_tested" as Time,
        /// When the scanner last changed the record of the finding, in UTC.
        LastUpdated = "last_updated" as Time,
        /// When the scanner last processed results for the finding, in UTC.
        LastProcessed = "last_processed" as Time,
        /// The level of the detection score, for example `CRITICAL`.
        DetectionLevel = "detection_level",
        /// Values from which the detection score is computed, a list of objects: name, value.
        RiskFactors = "risk_factors" as List ["name", "value"],
        /// The probability of exploitation (EPSS), 0 to 1.
        Epss = "epss" as Decimal,
        /// Whether it is in a catalog of known exploited vulnerabilities: `0` or `1`.
        KnownExploited = "known_exploited" as Flag,
        /// How mature exploits are, a list of words: `poc`, `weaponized` …
        ExploitMaturity = "exploit_maturity" as List,
        /// Threat indicators, a list of words.
        ThreatIndicators = "threat_indicators" as List,
        /// CVE IDs that this finding is about, a list. The definition may cover more.
        Cves = "cves" as List,
        /// Tactics of MITRE ATT&CK, a list of objects: ID, name.
        AttackTactics = "attack_tactics" as List ["id", "name"],
        /// Techniques of MITRE ATT&CK, a list of objects: ID, name.
        AttackTechniques = "attack_techniques" as List ["id", "name"],
        /// What detected it, a list: `Cloud Agent`, `Internal Scanner` …
        DetectionSources = "detection_sources" as List,
        /// What detected it last.
        LatestDetectionSource = "latest_detection_source",
        /// The source of the record.
        Source = "source",
        /// Whether measures other than a patch remove the risk, in the scanner's words.
        EliminationStatus = "elimination_status",
        /// Whether it concerns the running kernel: `0` or `1`.
        RunningKernel = "running_kernel" as Flag,
        /// Whether it concerns a running service: `0` or `1`.
        RunningService = "running_service" as Flag,
        /// Whether the configuration of the asset makes it exploitable: `0` or `1`.
        ExploitableConfig = "exploitable_config" as Flag,
        /// Values that the input passes on without knowing their meaning, a list of objects: path in the source, value.
        Other = "other" as List ["path", "value"],
    }
}
