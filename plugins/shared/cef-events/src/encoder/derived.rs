//! Derived events: those of open ports, operating systems and assets.

use scanbridge_plugin_api::Result;
use scanbridge_plugin_api::batch::FindingView;
use scanbridge_plugin_api::model::{Fact, FindingField, Protocol, Severity};

use super::{Encoder, append_protocol, parts_of};
use crate::field::{self, Field, KEPT_BYTES, TruncatedFields, append_header};
use crate::fragment::{Part, append_classification, append_severity};
use crate::sink::{Outcome, Sink};
use crate::table::Table;

impl Encoder {
    pub(super) fn facts(&mut self, finding: FindingView<'_>, sink: &mut impl Sink) -> Result<()> {
        for fact in finding.facts() {
            match fact {
                Fact::OpenPort { port, protocol, assigned, detected }
                    if self.asset.ports.insert(port, protocol) =>
                {
                    self.port_event(finding, port, protocol, [assigned, detected], sink)?;
                }
                Fact::OperatingSystem { name, .. } => self.asset.system.add_detected(finding, name),
                // Names and known ports have no event; the same goes for facts of later versions.
                _ => {}
            }
        }
        Ok(())
    }

    fn port_event(
        &mut self,
        finding: FindingView<'_>,
        port: u16,
        protocol: &str,
        [assigned, detected]: [&str; 2],
        sink: &mut impl Sink,
    ) -> Result<()> {
        let mut truncated = self.start(Table::OpenPorts, finding);
        field::append_number(&mut self.line, "dpt=", port);
        append_protocol(&mut self.line, &mut truncated, Protocol::of(protocol));
        let parts = parts_of(&self.settings, Table::OpenPorts, finding);
        self.cache.append(Part::Front, &parts, &mut self.line);
        truncated.merge(self.cache.changes().truncated);
        self.line.extend_from_slice(&self.report.origin);
        self.begin_id(Table::OpenPorts, finding.get(FindingField::LastFound));
        self.id.add_port(Some(port), protocol);
        self.end_origin(&mut truncated);
        // The result of the finding lists all ports; this event is about one port.
        self.text.clear();
        self.text.shrink_to(KEPT_BYTES);
        self.text.extend([itoa::Buffer::new().format(port), "/", protocol]);
        for (role, service) in [(", assigned ", assigned.trim()), (", detected ", detected.trim())] {
            if !service.is_empty() {
                self.text.extend([role, service]);
            }
        }
        field::append(&mut self.line, &mut truncated, Field::Result, &self.text);
        self.end_derived(truncated, finding.severity(), sink)
    }

    pub(super) fn system_event(&mut self, sink: &mut impl Sink) -> Result<()> {
        let (name, severity) = (&self.asset.system.name, self.asset.system.severity);
        let mut truncated = TruncatedFields::default();
        self.line.clear();
        self.line.extend_from_slice(&self.report.opening);
        let separator = self.settings.class_id_separator;
        let class = Table::Uris.columns().class;
        let class_id = [self.vendor.as_str(), separator, class, separator, name];
        let parts: [(Field, &[&str]); 2] =
            [(Field::ClassId, &class_id), (Field::Name, &["Operating System ", name])];
        for (field, parts) in parts {
            self.text.clear();
            self.text.extend(parts.iter().copied());
            append_header(&mut self.line, &mut truncated, field, &self.text, "unknown");
        }
        append_severity(&mut self.line, &self.settings, severity);
        self.extension = self.line.len();
        self.time(None);
        self.asset.append_to(&mut self.line, &mut truncated, Table::Uris);
        let category = &self.asset.system.category;
        append_classification(
            &mut self.line,
            &mut truncated,
            &self.settings,
            Table::Uris,
            severity,
            category,
        );
        field::append(&mut self.line, &mut truncated, Field::FilePath, &self.asset.system.name);
        self.line.extend_from_slice(&self.report.origin);
        self.begin_id(Table::Uris, "");
        self.id.add(&self.asset.system.name);
        self.end_origin(&mut truncated);
        self.end_derived(truncated, severity, sink)
    }

    pub(super) fn asset_event(&mut self, sink: &mut impl Sink) -> Result<()> {
        let mut truncated = TruncatedFields::default();
        self.line.clear();
        self.line.extend_from_slice(&self.report.opening);
        self.text.clear();
        let class = Table::Scanner.columns().class;
        self.text.extend([self.vendor.as_str(), self.settings.class_id_separator, class]);
        append_header(&mut self.line, &mut truncated, Field::ClassId, &self.text, "unknown");
        self.line.extend_from_slice(b"Asset|");
        append_severity(&mut self.line, &self.settings, None);
        self.extension = self.line.len();
        self.time(None);
        self.asset.append_to(&mut self.line, &mut truncated, Table::Scanner);
        self.line.extend_from_slice(&self.report.origin);
        self.begin_id(Table::Scanner, "");
        self.id.append_to(&mut self.line);
        // A scan also names assets that did not answer.
        field::append(&mut self.line, &mut truncated, Field::Outcome, &self.asset.status);
        self.asset.append_id(&mut self.line, &mut truncated);
        self.line.extend_from_slice(&self.asset.risk);
        self.end_derived(truncated, None, sink)
    }

    /// Writes the ID of a derived event, and what is known of its asset.
    fn end_origin(&mut self, truncated: &mut TruncatedFields) {
        self.id.append_to(&mut self.line);
        self.asset.append_id(&mut self.line, truncated);
        self.line.extend_from_slice(&self.asset.risk);
    }

    /// Ends the line of a derived event with the additional fields of the report and of the asset.
    fn end_derived(
        &mut self,
        mut truncated: TruncatedFields,
        severity: Option<Severity>,
        sink: &mut impl Sink,
    ) -> Result<()> {
        self.additional_start = self.line.len();
        self.line.extend_from_slice(&self.report.connector);
        self.line.extend_from_slice(&self.additional.report);
        self.asset.append_additional(&mut self.line, &mut truncated);
        let is_accepted = self.end_line(truncated, severity, false, sink)? == Outcome::Accepted;
        self.tally.derived += u64::from(is_accepted);
        self.tally.too_long += u64::from(!is_accepted);
        Ok(())
    }
}
