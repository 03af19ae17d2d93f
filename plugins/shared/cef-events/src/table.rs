//! The tables of the SmartConnector guide: the fields of each kind of event.

use scanbridge_plugin_api::model::FindingKind;

/// One kind of event. The seventh table of the guide, Scanner, describes an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Table {
    Infos,
    Practices,
    Services,
    Vulnerability,
    OpenPorts,
    Uris,
    Scanner,
}

/// The fields of a table in addition to those of all events (time, address, host name, report path).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    /// The part of the class ID after the vendor.
    pub class: &'static str,
    /// Prefer the NetBIOS name to the DNS name.
    pub netbios_first: bool,
    /// Write `deviceSeverity` as a word.
    pub severity_word: bool,
    pub category: bool,
    pub category_technique: bool,
    pub domain: bool,
    pub cves: bool,
    pub texts: bool,
    pub cvss: bool,
    pub exploits: bool,
}

impl Table {
    /// The table that a finding belongs to.
    pub(crate) fn of(kind: FindingKind) -> Self {
        match kind {
            FindingKind::Information => Self::Infos,
            FindingKind::Potential => Self::Practices,
            FindingKind::Service => Self::Services,
            // A kind of a later version must not be hidden among services or information.
            _ => Self::Vulnerability,
        }
    }

    pub(crate) fn columns(self) -> Columns {
        let none = Columns {
            class: "",
            netbios_first: false,
            severity_word: false,
            category: false,
            category_technique: false,
            domain: false,
            cves: false,
            texts: false,
            cvss: false,
            exploits: false,
        };
        let finding = Columns { category: true, texts: true, ..none };
        match self {
            Self::Infos => {
                Columns { class: "INFOS", netbios_first: true, severity_word: true, cves: true, ..finding }
            }
            Self::Practices => Columns {
                class: "PRACTICES",
                severity_word: true,
                cves: true,
                cvss: true,
                exploits: true,
                ..finding
            },
            Self::Services => Columns { class: "Services", domain: true, ..finding },
            Self::Vulnerability => Columns {
                class: "VULN",
                category_technique: true,
                domain: true,
                cves: true,
                cvss: true,
                exploits: true,
                ..finding
            },
            Self::OpenPorts => Columns { class: "Open Port", category_technique: true, domain: true, ..none },
            Self::Uris => Columns { class: "URI", category_technique: true, domain: true, ..none },
            Self::Scanner => Columns { class: "SCANNER", netbios_first: true, ..none },
        }
    }
}
