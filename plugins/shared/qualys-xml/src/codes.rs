//! Values of a finding that are numbers in its row.

use scanbridge_plugin_api::batch::FindingRow;
use scanbridge_plugin_api::model::{FindingField, FindingKind, FindingStatus, Protocol, Severity};

use crate::cells::Cells;
use crate::element_role::Code;
use crate::forms::{flag, integer, is_placeholder, trim};
use crate::other::{Place, Table};

impl Cells {
    /// Whether the report contains a text for this code of the finding.
    pub(crate) fn has(&self, code: Code) -> bool {
        self.given & code.bit() != 0
    }

    /// Sets a code of the finding from its text in the report. With a text that is not a value of the code, or with a
    /// second text, the finding has no such code, and the text is passed on. `path` is where it is in the report, if it
    /// is not the text of an element.
    pub(crate) fn set_code(&mut self, code: Code, text: &str, path: Option<&str>) {
        let text = trim(text);
        if is_placeholder(text) {
            return;
        }
        let is_first = !self.has(code);
        self.given |= code.bit();
        if is_first && code.set(&mut self.finding, text) {
            return;
        }
        code.remove(&mut self.finding);
        // A finding without a kind is delivered as information and has a note of its own.
        if code == Code::Kind {
            return;
        }
        if code == Code::Status {
            self.finding.set(FindingField::ReportedStatus, text);
        }
        let place = match path {
            Some(path) => Place::At(path.to_owned()),
            None => Place::Closed(""),
        };
        self.add_bad_value(Table::Finding, place, code.name(), text.to_owned());
    }

    /// Makes the status the effective one: a finding that is ignored or disabled is not open, whatever its status.
    pub(crate) fn settle_status(&mut self) {
        if !self.is_ignored && !self.is_disabled {
            return;
        }
        let status = self.finding.status();
        if status == Some(FindingStatus::Fixed) {
            return;
        }
        if let Some(status) = status {
            self.finding.set(FindingField::ReportedStatus, status.word());
        }
        let closed = if self.is_ignored { FindingStatus::Ignored } else { FindingStatus::Disabled };
        self.finding.set_status(closed);
    }
}

impl Code {
    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The name of the value in the model.
    fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Severity => "severity",
            Self::Port => "port",
            Self::Protocol => "protocol",
            Self::Ssl => "ssl",
            Self::Status => "status",
        }
    }

    /// Sets the code. Returns false if the text is not a value of it.
    fn set(self, finding: &mut FindingRow, text: &str) -> bool {
        match self {
            Self::Kind => kind_of(text).map(|kind| finding.set_kind(kind)),
            Self::Severity => Severity::from_text(text).map(|severity| finding.set_severity(severity)),
            Self::Port => port_of(text).map(|port| finding.set_port(port)),
            Self::Protocol => {
                set_protocol(finding, text);
                Some(())
            }
            Self::Ssl => flag(text).map(|ssl| finding.set_ssl(ssl)),
            Self::Status => FindingStatus::from_word(text).map(|status| finding.set_status(status)),
        }
        .is_some()
    }

    fn remove(self, finding: &mut FindingRow) {
        match self {
            Self::Kind => finding.set_kind(None),
            Self::Severity => finding.set_severity(None),
            Self::Port => finding.set_port(0),
            Self::Protocol => finding.set_protocol(None),
            Self::Ssl => finding.set_ssl(None),
            Self::Status => finding.set_status(None),
        }
    }
}

/// The port; 0 means that the finding concerns the whole asset.
fn port_of(text: &str) -> Option<u16> {
    integer(text).and_then(|port| u16::try_from(port).ok())
}

/// The kind that a report of detections or assets names.
fn kind_of(text: &str) -> Option<FindingKind> {
    match text {
        "Vuln" | "Confirmed" => Some(FindingKind::Vulnerability),
        "Practice" | "Potential" => Some(FindingKind::Potential),
        "Ig" | "Info" => Some(FindingKind::Information),
        _ => None,
    }
}

fn set_protocol(finding: &mut FindingRow, text: &str) {
    match Protocol::of(text) {
        Some(Protocol::Other(name)) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            finding.set_protocol(Protocol::Other(&name.to_ascii_lowercase()));
        }
        protocol => finding.set_protocol(protocol),
    }
}
