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
        /// Vendor references, a list of [`Reference`](super::Reference) lines: ID, tab, address.
        VendorReferences = "vendor_references" as List,
        /// The description of the vulnerability.
        Diagnosis = "diagnosis",
        /// Its impact.
        Consequence = "consequence",
        /// How to fix it.
        Solution = "solution",
        /// CVSS 2 base score, as the scanner wrote it: `9.3` or `9.3 (AV:N/AC:M/…)`.
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
        /// Known exploits, a list of [`Exploit`](super::Exploit) lines: source, reference, description, link.
        Exploits = "exploits" as List,
        /// Malware that exploits it, a list of names.
        Malware = "malware" as List,
        /// Compliance rules that it violates, a list of lines: kind, section, description.
        Compliance = "compliance" as List,
    }
}
