//! Encodes batches as lines, without any I/O: finished lines go to a sink.

use scanbridge_plugin_api::batch::{AssetView, Batch, FindingView, Schema};
use scanbridge_plugin_api::model::{Fact, FindingField, Protocol, ReportSource, ReportStart, Severity};
use scanbridge_plugin_api::{Rejection, Result};

use crate::asset::CurrentAsset;
use crate::asset_buffer::{AssetBuffer, COUNT_BYTES};
use crate::cache::FragmentCache;
use crate::field::{self, Field, TruncatedFields, append_header};
use crate::fragment::{KEPT_BYTES, append_classification, append_severity};
use crate::options::EventSettings;
use crate::report::ReportPart;
use crate::sink::{self, Outcome, Sink};
use crate::syslog::budget;
use crate::table::Table;
use crate::time;

/// Encodes events of findings, open ports, operating systems and assets.
///
/// The output depends only on the findings and the settings, not on batch boundaries: facts about an asset
/// are collected until the next asset begins.
#[derive(Debug)]
pub(crate) struct Encoder {
    settings: EventSettings,
    cache: FragmentCache,
    report: ReportPart,
    schema: Schema,
    source: ReportSource,
    /// The vendor in class IDs.
    vendor: String,
    asset: CurrentAsset,
    line: Vec<u8>,
    /// Offset of the extension in the line.
    extension: usize,
    /// Maximum length of a line in bytes, without its line feed.
    budget: usize,
    buffer: AssetBuffer,
    text: String,
    tally: Tally,
    rejected: Vec<Rejection>,
}

/// Counters of an encoder since they were last read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Derived events, which are written in addition to the findings.
    pub derived: u64,
    /// Events with at least one truncated text.
    pub truncated: u64,
    /// Assets with an invalid IP address.
    pub bad_addresses: u64,
    /// Events whose time was clamped to a limit.
    pub clamped: u64,
    /// Derived events that were dropped: too long even without their texts, or refused by the destination.
    pub too_long: u64,
}

impl Encoder {
    /// Creates an encoder whose lines have at most `budget` bytes, without the line feed.
    pub(crate) fn new(settings: EventSettings, budget: usize) -> Self {
        let reserved = if settings.buffer.merge { COUNT_BYTES } else { 0 };
        Self {
            budget: budget.saturating_sub(reserved),
            buffer: AssetBuffer::new(settings.buffer),
            extension: 0,
            rejected: Vec::new(),
            settings,
            cache: FragmentCache::new(FragmentCache::MAX_BYTES),
            report: ReportPart::default(),
            schema: Schema::default(),
            source: ReportSource::default(),
            vendor: String::new(),
            asset: CurrentAsset::default(),
            line: Vec::new(),
            text: String::new(),
            tally: Tally::default(),
        }
    }

    /// Begins a report.
    pub(crate) fn begin(&mut self, report: &ReportStart) {
        if self.schema != report.schema || self.source != report.source {
            self.schema.clone_from(&report.schema);
            self.source.clone_from(&report.source);
            self.vendor.clear();
            self.vendor.push_str(match report.source.vendor.trim() {
                "" => "unknown",
                vendor => vendor,
            });
            self.cache.clear(&self.vendor);
        }
        self.report = ReportPart::of(report, &self.settings);
        self.abandon();
    }

    /// Discards buffered events: the report is not delivered.
    pub(crate) fn abandon(&mut self) {
        self.asset.clear();
        self.buffer.clear();
    }

    /// Writes the events of a batch.
    pub(crate) fn batch(&mut self, batch: Batch<'_>, sink: &mut impl Sink) -> Result<Tally> {
        let mut assets = batch.assets().peekable();
        let mut current = None;
        for finding in batch.findings() {
            let asset = finding.asset();
            while let Some(earlier) = assets.next_if(|next| next.row() <= asset.row()) {
                self.switch_to(earlier, sink)?;
                current = Some(earlier.row());
            }
            if current != Some(asset.row()) {
                self.switch_to(asset, sink)?;
                current = Some(asset.row());
            }
            self.finding(finding, sink)?;
            // The ports of a fixed finding are no longer open.
            if self.settings.derive && !finding.is_fixed() {
                self.facts(finding, sink)?;
            }
        }
        for asset in assets {
            self.switch_to(asset, sink)?;
        }
        Ok(std::mem::take(&mut self.tally))
    }

    /// Returns the findings of the last batch whose events exceed the limit.
    pub(crate) fn take_rejected(&mut self) -> Vec<Rejection> {
        std::mem::take(&mut self.rejected)
    }

    /// Writes the buffered and derived events of the last asset, which is complete at the end of a report and
    /// at each commit.
    pub(crate) fn finish(&mut self, sink: &mut impl Sink) -> Result<Tally> {
        self.finish_asset(sink)?;
        self.asset.clear();
        Ok(std::mem::take(&mut self.tally))
    }

    fn switch_to(&mut self, asset: AssetView<'_>, sink: &mut impl Sink) -> Result<()> {
        if asset.is_continued() && self.asset.is_repeated_by(asset) {
            self.asset.update(asset);
            return Ok(());
        }
        self.finish_asset(sink)?;
        self.asset.begin(asset, self.settings.ipv6_in_dst);
        self.tally.bad_addresses += u64::from(self.asset.has_bad_address);
        Ok(())
    }

    /// Writes the events that need all findings of the asset, then flushes the buffer.
    fn finish_asset(&mut self, sink: &mut impl Sink) -> Result<()> {
        if self.asset.is_known() {
            if self.settings.derive && !self.asset.system.name.is_empty() {
                self.system_event(sink)?;
            }
            if self.settings.asset_events {
                self.asset_event(sink)?;
            }
        }
        self.buffer.flush(sink)
    }

    fn finding(&mut self, finding: FindingView<'_>, sink: &mut impl Sink) -> Result<()> {
        let table = Table::of(finding.kind());
        let mut truncated = self.start(table, finding.severity(), finding);
        if let Some(port) = finding.port() {
            field::append_number(&mut self.line, "dpt=", port);
        }
        self.protocol(&mut truncated, finding.protocol());
        let fragment = self.cache.get(&self.settings, table, finding.severity(), finding.definition());
        truncated.merge(fragment.truncated);
        self.line.extend_from_slice(fragment.front());
        self.line.extend_from_slice(&self.report.origin);
        if self.settings.extra.outcome {
            let status = finding.status().map_or("", |status| status.word());
            field::append(&mut self.line, &mut truncated, Field::Outcome, status);
        }
        self.line.extend_from_slice(fragment.middle());
        field::append(&mut self.line, &mut truncated, Field::Result, finding.get(FindingField::Result));
        self.line.extend_from_slice(fragment.tail());
        let is_mergeable = matches!(table, Table::Infos | Table::Services);
        let reason = match self.end_line(truncated, finding.severity(), is_mergeable, sink)? {
            Outcome::Accepted => return Ok(()),
            Outcome::OverBudget => format!(
                "event too large: {} bytes without its text fields, but `max_message_bytes` leaves {} bytes",
                self.line.len(),
                self.budget
            ),
            Outcome::Refused { bytes } => sink::refusal(bytes),
        };
        self.rejected.push(Rejection::new(finding.row(), reason));
        Ok(())
    }

    fn facts(&mut self, finding: FindingView<'_>, sink: &mut impl Sink) -> Result<()> {
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
        let mut truncated = self.start(Table::OpenPorts, finding.severity(), finding);
        field::append_number(&mut self.line, "dpt=", port);
        self.protocol(&mut truncated, Protocol::of(protocol));
        let fragment =
            self.cache.get(&self.settings, Table::OpenPorts, finding.severity(), finding.definition());
        truncated.merge(fragment.truncated);
        self.line.extend_from_slice(fragment.front());
        self.line.extend_from_slice(&self.report.origin);
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

    fn system_event(&mut self, sink: &mut impl Sink) -> Result<()> {
        let (name, severity) = (&self.asset.system.name, self.asset.system.severity);
        let mut truncated = TruncatedFields::default();
        self.line.clear();
        self.line.extend_from_slice(&self.report.opening);
        let class = [self.vendor.as_str(), "|URI|", name];
        for (field, parts) in [(Field::ClassId, class), (Field::Name, ["Operating System ", name, ""])] {
            self.text.clear();
            self.text.extend(parts);
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
        self.end_derived(truncated, severity, sink)
    }

    fn asset_event(&mut self, sink: &mut impl Sink) -> Result<()> {
        let mut truncated = TruncatedFields::default();
        self.line.clear();
        self.line.extend_from_slice(&self.report.opening);
        self.text.clear();
        self.text.extend([self.vendor.as_str(), "|SCANNER"]);
        append_header(&mut self.line, &mut truncated, Field::ClassId, &self.text, "unknown");
        self.line.extend_from_slice(b"Asset|");
        append_severity(&mut self.line, &self.settings, None);
        self.extension = self.line.len();
        self.time(None);
        self.asset.append_to(&mut self.line, &mut truncated, Table::Scanner);
        self.line.extend_from_slice(&self.report.origin);
        self.end_derived(truncated, None, sink)
    }

    /// Begins the line of a finding: header, time and asset.
    fn start(
        &mut self,
        table: Table,
        severity: Option<Severity>,
        finding: FindingView<'_>,
    ) -> TruncatedFields {
        let mut truncated = TruncatedFields::default();
        self.line.clear();
        self.line.extend_from_slice(&self.report.opening);
        let fragment = self.cache.get(&self.settings, table, severity, finding.definition());
        self.line.extend_from_slice(fragment.header());
        self.extension = self.line.len();
        self.time(time::epoch_ms(finding.get(FindingField::LastFound)));
        self.asset.append_to(&mut self.line, &mut truncated, table);
        truncated
    }

    /// Writes `rt`. The finding's own time takes precedence: a detection list is downloaded long after the
    /// scans.
    fn time(&mut self, found: Option<i64>) {
        if let Some(time) = found.or(self.asset.last_scan).or(self.report.time) {
            let (time, is_clamped) = self.settings.time.apply(time, self.report.started);
            self.tally.clamped += u64::from(is_clamped);
            field::append_number(&mut self.line, "rt=", time);
        }
    }

    fn protocol(&mut self, truncated: &mut TruncatedFields, protocol: Option<Protocol<'_>>) {
        match protocol {
            None => {}
            Some(Protocol::Tcp) => self.line.extend_from_slice(b"proto=TCP "),
            Some(Protocol::Udp) => self.line.extend_from_slice(b"proto=UDP "),
            Some(other) => {
                field::append(&mut self.line, truncated, Field::Protocol, &other.name().to_ascii_uppercase());
            }
        }
    }

    fn end_derived(
        &mut self,
        truncated: TruncatedFields,
        severity: Option<Severity>,
        sink: &mut impl Sink,
    ) -> Result<()> {
        let is_accepted = self.end_line(truncated, severity, false, sink)? == Outcome::Accepted;
        self.tally.derived += u64::from(is_accepted);
        self.tally.too_long += u64::from(!is_accepted);
        Ok(())
    }

    /// Ends the line and passes it to the buffer or the sink.
    fn end_line(
        &mut self,
        mut truncated: TruncatedFields,
        severity: Option<Severity>,
        is_mergeable: bool,
        sink: &mut impl Sink,
    ) -> Result<Outcome> {
        truncated.merge(self.report.truncated);
        if self.line.len() + truncated.written_length() > self.budget
            && !budget::shorten(&mut self.line, self.budget, &mut truncated)
        {
            return Ok(Outcome::OverBudget);
        }
        truncated.append_to(&mut self.line);
        self.tally.truncated += u64::from(!truncated.is_empty());
        // Each field ends with a space, and the header may end with one.
        if self.line.ends_with(b" ") {
            self.line.pop();
        }
        self.line.push(b'\n');
        if self.settings.buffer.is_on() {
            let extension = self.extension.min(self.line.len() - 1);
            self.buffer.event(&self.line, extension, severity, is_mergeable, sink)?;
            return Ok(Outcome::Accepted);
        }
        sink.event(&self.line, severity)
    }
}
