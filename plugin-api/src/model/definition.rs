//! Definitions: the entries of the scanner's knowledge base that findings refer to.

use super::field::fields;

fields! {
    /// The columns of the table of definitions. A batch contains each definition once, whatever the number of
    /// findings that refer to it. Texts are as the scanner wrote them and often contain HTML.
    DefinitionField (()) in definitions {
        /// The scanner's ID for the definition, for example a QID. A definition without one is invalid: the host
        /// passes its findings to no output.
        Id = "id",
        /// The scheme that the ID belongs to: lower case letters, digits and `-`, for example `qid`, `nessus`, `cve`.
        /// Empty means the scheme of the report's [`ReportSource`](super::ReportSource).
        Scheme = "scheme",
        /// The title.
        Title = "title",
        /// The category, for example `CGI` or `TCP/IP`.
        Category = "category",
        /// CVE IDs, a list: `CVE-2014-0160`.
        Cves = "cves" as List,
        /// BugTraq IDs, a list of numbers.
        Bugtraqs = "bugtraqs" as List,
        /// Vendor references, a list of objects ([`Reference`](super::Reference)): ID, address.
        VendorReferences = "vendor_references" as List ["id", "url"],
        /// The description of the vulnerability.
        Diagnosis = "diagnosis",
        /// Its impact.
        Consequence = "consequence",
        /// How to fix it.
        Solution = "solution",
        /// CVSS 2 base score: `9.3`. The vector has a column of its own; in the cells of some inputs it follows the score:
        /// `9.3 (AV:N/AC:M/…)`.
        CvssBase = "cvss_base",
        /// CVSS 2 temporal score.
        CvssTemporal = "cvss_temporal",
        /// CVSS 3 base score.
        Cvss3Base = "cvss3_base",
        /// CVSS 3 temporal score.
        Cvss3Temporal = "cvss3_temporal",
        /// The version of CVSS 3: `3.0` or `3.1`.
        Cvss3Version = "cvss3_version",
        /// Whether it is relevant for PCI: `0` or `1`.
        PciFlag = "pci_flag" as Flag,
        /// Whether a patch exists: `0` or `1`.
        Patchable = "patchable" as Flag,
        /// When the definition was last changed, in UTC.
        LastUpdate = "last_update" as Time,
        /// Known exploits, a list of objects ([`Exploit`](super::Exploit)): source, reference, description, link.
        Exploits = "exploits" as List ["source", "reference", "description", "link"],
        /// Malware that exploits it, a list of names.
        Malware = "malware" as List,
        /// Compliance rules that it violates, a list of objects: type, section, description.
        Compliance = "compliance" as List ["type", "section", "description"],
        /// The type, for example `Vulnerability` or `Information Gathered`.
        Type = "type",
        /// The severity of the definition, 1 to 5. A finding may have a severity of its own.
        Severity = "severity" as Integer,
        /// The CVSS 2 vector: `AV:N/AC:M/…`.
        CvssVector = "cvss_vector",
        /// Who assigned the CVSS 2 base score, for example `service`; empty for the National Vulnerability Database.
        CvssSource = "cvss_source",
        /// The CVSS 3 vector: `CVSS:3.1/AV:N/…`.
        Cvss3Vector = "cvss3_vector",
        /// Who assigned the CVSS 3 base score.
        Cvss3Source = "cvss3_source",
        /// CVSS 4 base score.
        Cvss4Base = "cvss4_base" as Decimal,
        /// The CVSS 4 vector: `CVSS:4.0/AV:N/…`.
        Cvss4Vector = "cvss4_vector",
        /// Who assigned the CVSS 4 base score.
        Cvss4Source = "cvss4_source",
        /// The version of CVSS 4: `4.0`.
        Cvss4Version = "cvss4_version",
        /// Metrics of CVSS, if there is no vector: a list of objects: name (`v2.access.vector`), value.
        CvssMetrics = "cvss_metrics" as List ["name", "value"],
        /// Malware that exploits it, a list of objects.
        MalwareDetails = "malware_details" as List ["source", "id", "type", "platform", "alias", "rating", "link"],
        /// How the scanner detects it.
        DetectionInfo = "detection_info",
        /// The affected technology.
        Technology = "technology",
        /// Affected software, a list of objects: vendor, product.
        Software = "software" as List ["vendor", "product"],
        /// When the scanner's users last changed the definition, in UTC.
        Customized = "customized" as Time,
        /// When the definition was published, in UTC.
        Published = "published" as Time,
        /// When the code that detects it was last changed, in UTC.
        CodeModified = "code_modified" as Time,
        /// When the patch was published, in UTC.
        PatchPublished = "patch_published" as Time,
        /// Whether it fails PCI automatically: `0` or `1`.
        PciAutoFail = "pci_auto_fail" as Flag,
        /// Why it is relevant for PCI, a list.
        PciReasons = "pci_reasons" as List,
        /// Threat intelligence, a list of objects: ID, name.
        ThreatIntelligence = "threat_intelligence" as List ["id", "name"],
        /// Products of the scanner's vendor that detect it, a list.
        SupportedModules = "supported_modules" as List,
        /// Whether it can be detected without authentication: `0` or `1`.
        Remote = "remote" as Flag,
        /// Types of authentication with which it can be detected, a list.
        AuthTypes = "auth_types" as List,
        /// More about its detection.
        DiscoveryInfo = "discovery_info",
        /// Whether the scanner's users disabled the definition: `0` or `1`. It says nothing about a finding's status.
        Disabled = "disabled" as Flag,
        /// Changes of the definition, a list of objects: time, comment.
        Changes = "changes" as List ["time", "comment"],
        /// Values that the input passes on without knowing their meaning, a list of objects: path in the source, value.
        Other = "other" as List ["path", "value"],
    }
}
