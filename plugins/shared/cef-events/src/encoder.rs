//! Encodes batches as lines, without any I/O: finished lines go to a sink.

mod derived;
mod render;

use scanbridge_plugin_api::batch::{AssetView, Batch, Cell, FindingView, Schema};
use scanbridge_plugin_api::model::{
    DefinitionField, FindingField, Protocol, ReportSource, ReportStart, Severity,
};
use scanbridge_plugin_api::{Rejection, Result};

use crate::additional::{self, AdditionalFields};
use crate::asset::CurrentAsset;
use crate::asset_buffer::{AssetBuffer, COUNT_BYTES};
use crate::budget;
use crate::cache::FragmentCache;
use crate::event_id::EventId;
use crate::field::{self, Field, TruncatedFields};
use crate::fragment::{Part, PartsOf, join_cves};
use crate::report::ReportPart;
use crate::settings::EventSettings;
use crate::sink::{self, Outcome, Sink};
use crate::table::Table;
use crate::tally::Tally;
use crate::time;

/// Encodes events of findings, open ports, operating systems and assets.
///
/// The output depends only on the findings and the settings, not on batch boundaries: facts about an asset
/// are collected until the next asset begins.
#[derive(Debug)]
pub struct Encoder {
    settings: EventSettings,
    cache: FragmentCache,
    report: ReportPart,
    /// The columns and the source of the last report.
    last: Option<(Schema, ReportSource)>,
    /// The vendor in class IDs.
    vendor: String,
    additional: AdditionalFields,
    asset: CurrentAsset,
    id: EventId,
    line: Vec<u8>,
    /// Offset of the extension in the line.
    extension: usize,
    /// Offset of the additional fields, which are at the end of the line.
    additional_start: usize,
    /// Maximum length of a line in bytes, without its line feed.
    budget: usize,
    buffer: AssetBuffer,
    text: String,
    digits: String,
    tally: Tally,
    rejected: Vec<Rejection>,
}

impl Encoder {
    /// Creates an encoder whose lines have at most `budget` bytes, without the line feed.
    #[must_use]
    pub fn new(settings: EventSettings, budget: usize) -> Self {
        let reserved = if settings.buffer.merge { COUNT_BYTES } else { 0 };
        Self {
            budget: budget.saturating_sub(reserved),
            buffer: AssetBuffer::new(settings.buffer),
            extension: 0,
            rejected: Vec::new(),
            settings,
            cache: FragmentCache::new(FragmentCache::MAX_BYTES),
            report: ReportPart::default(),
            last: None,
            vendor: String::new(),
            additional: AdditionalFields::default(),
            asset: CurrentAsset::default(),
            id: EventId::default(),
            line: Vec::new(),
            additional_start: 0,
            text: String::new(),
            digits: String::new(),
            tally: Tally::default(),
        }
    }

    /// Logs at the end of a report what is missing or changed in its events.
    pub fn log(&self, report: Tally) {
        report.log(self.settings.limit);
    }

    /// Begins a report.
    pub fn begin(&mut self, report: &ReportStart) {
        self.additional = AdditionalFields::of(&self.settings.additional, self.settings.dotted_keys, report);
        if self
            .last
            .as_ref()
            .is_none_or(|(schema, source)| (schema, source) != (&report.schema, &report.source))
        {
            self.last = Some((report.schema.clone(), report.source.clone()));
            self.vendor.clear();
            self.vendor.push_str(match report.source.vendor.trim() {
                "" => "unknown",
                vendor => vendor,
            });
            self.cache.clear(&self.vendor, &self.additional.definitions);
        }
        self.report = ReportPart::of(report, &self.settings);
        self.abandon();
    }

    /// Discards buffered events: the report is not delivered.
    pub fn abandon(&mut self) {
        self.asset.clear();
        self.buffer.clear();
    }

    /// Writes the events of a batch.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn batch(&mut self, batch: Batch<'_>, sink: &mut impl Sink) -> Result<Tally> {
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
            self.events(finding, sink)?;
        }
        for asset in assets {
            self.switch_to(asset, sink)?;
        }
        Ok(std::mem::take(&mut self.tally))
    }

    /// Writes the events of a finding of the current asset.
    fn events(&mut self, finding: FindingView<'_>, sink: &mut impl Sink) -> Result<()> {
        if !self.asset.is_named() {
            self.rejected.push(Rejection::new(finding.row(), UNNAMED));
            return Ok(());
        }
        if !self.settings.buffer.is_on() {
            sink.finding(Some(finding.row()));
        }
        self.finding(finding, sink)?;
        // The ports of a closed finding are no longer open, or are not to be seen.
        if self.settings.derive && finding.is_open() {
            sink.finding(None);
            self.facts(finding, sink)?;
        }
        Ok(())
    }

    /// Whether [`Self::finish`] may write events.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        let derives = self.settings.derive || self.settings.asset_events;
        !self.buffer.is_empty() || derives && self.asset.is_known()
    }

    /// Returns the findings of the last batch whose events exceed the limit.
    pub fn take_rejected(&mut self) -> Vec<Rejection> {
        std::mem::take(&mut self.rejected)
    }

    /// Writes the buffered and derived events of the last asset, which is complete at the end of a report and
    /// at each commit.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish(&mut self, sink: &mut impl Sink) -> Result<Tally> {
        self.finish_asset(sink)?;
        self.asset.clear();
        Ok(std::mem::take(&mut self.tally))
    }

    fn switch_to(&mut self, asset: AssetView<'_>, sink: &mut impl Sink) -> Result<()> {
        if asset.is_continued() && self.asset.is_repeated_by(asset) {
            sink.asset(asset);
            self.asset.update(asset, &self.settings, &self.additional.assets);
            return Ok(());
        }
        self.finish_asset(sink)?;
        sink.asset(asset);
        self.asset.begin(asset, &self.settings, &self.additional.assets);
        self.tally.bad_addresses += u64::from(self.asset.has_bad_address);
        Ok(())
    }

    /// Writes the events that need all findings of the asset, then flushes the buffer.
    fn finish_asset(&mut self, sink: &mut impl Sink) -> Result<()> {
        sink.finding(None);
        if self.asset.is_known() {
            let has_system = self.settings.derive && !self.asset.system.name.is_empty();
            let is_named = self.asset.is_named();
            self.tally.unnamed += u64::from(!is_named && (has_system || self.settings.asset_events));
            if has_system && is_named {
                self.system_event(sink)?;
            }
            if self.settings.asset_events && is_named {
                self.asset_event(sink)?;
            }
        }
        self.buffer.flush(sink)
    }

    fn finding(&mut self, finding: FindingView<'_>, sink: &mut impl Sink) -> Result<()> {
        let table = Table::of(finding.kind());
        let mut truncated = self.start(table, finding);
        self.begin_id(table, finding.get(FindingField::LastFound));
        self.id.add_finding(finding);
        let parts = parts_of(&self.settings, table, finding);
        if let Some(port) = finding.port() {
            field::append_number(&mut self.line, "dpt=", port);
        }
        append_protocol(&mut self.line, &mut truncated, finding.protocol());
        let mut has_bad_value = self.asset.has_bad_risk;
        self.cache.append(Part::Front, &parts, &mut self.line);
        self.line.extend_from_slice(&self.report.origin);
        self.id.append_to(&mut self.line);
        match finding.status() {
            Some(status) => field::append_plain(&mut self.line, Field::Outcome.opening(), status.word()),
            None => {
                let status = finding.get(FindingField::ReportedStatus);
                field::append(&mut self.line, &mut truncated, Field::Outcome, status);
            }
        }
        self.asset.append_id(&mut self.line, &mut truncated);
        let extra = self.settings.extra;
        if extra.of_finding() {
            has_bad_value |= append_times_and_score(&mut self.line, &self.settings, finding);
        }
        self.line.extend_from_slice(&self.asset.risk);
        self.cache.append(Part::Scores, &parts, &mut self.line);
        if extra.epss {
            let epss = finding.typed(FindingField::Epss);
            let is_number = epss.decimal().is_some();
            has_bad_value |= append_number(&mut self.line, "cfp3Label=EPSS cfp3=", epss, is_number);
        }
        self.cache.append(Part::Middle, &parts, &mut self.line);
        let (of_definition, of_finding) =
            (finding.definition().get(DefinitionField::Cves), finding.get(FindingField::Cves));
        if of_finding.is_empty()
            || !table.columns().cves
            || of_finding == of_definition
            || !join_cves(&mut self.text, of_definition, of_finding)
        {
            self.cache.append(Part::Cves, &parts, &mut self.line);
        } else {
            field::append(&mut self.line, &mut truncated, Field::Cves, &self.text);
        }
        field::append(&mut self.line, &mut truncated, Field::Result, finding.get(FindingField::Result));
        self.cache.append(Part::Tail, &parts, &mut self.line);
        self.additional_start = self.line.len();
        self.line.extend_from_slice(&self.report.connector);
        self.line.extend_from_slice(&self.additional.report);
        self.asset.append_additional(&mut self.line, &mut truncated);
        self.cache.append(Part::Additional, &parts, &mut self.line);
        let scratch = [&mut self.text, &mut self.digits];
        self.additional.append_finding(&mut self.line, &mut truncated, scratch, finding);
        let changes = self.cache.changes();
        truncated.merge(changes.truncated);
        has_bad_value |= changes.has_bad_number;
        self.tally.bad_values += u64::from(has_bad_value);
        let is_mergeable = matches!(table, Table::Infos | Table::Services);
        let reason = match self.end_line(truncated, finding.severity(), is_mergeable, sink)? {
            Outcome::Accepted => return Ok(()),
            Outcome::OverBudget => format!(
                "event too large: {} bytes without its text fields, but {} leaves {} bytes",
                self.line.len(),
                self.settings.limit,
                self.budget
            ),
            Outcome::Refused { bytes } => sink::refusal(bytes),
        };
        self.rejected.push(Rejection::new(finding.row(), reason));
        Ok(())
    }

    /// Begins the line of a finding: header, time and asset.
    fn start(&mut self, table: Table, finding: FindingView<'_>) -> TruncatedFields {
        let mut truncated = TruncatedFields::default();
        self.line.clear();
        self.line.extend_from_slice(&self.report.opening);
        let parts = parts_of(&self.settings, table, finding);
        self.cache.begin(&parts);
        self.cache.append(Part::Header, &parts, &mut self.line);
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

    /// Begins the ID of an event about the asset. `found` is the time of the finding.
    fn begin_id(&mut self, table: Table, found: &str) {
        let times = [found, &self.asset.last_scan_text, &self.report.time_text];
        let time = times.into_iter().find(|time| !time.is_empty()).unwrap_or_default();
        self.id.begin(table.columns().class, &self.asset.key, time);
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
        truncated.merge(self.additional.report_truncated);
        while self.line.len() - self.additional_start > additional::LIMIT {
            budget::remove_last_key(&mut self.line, self.additional_start, &mut truncated);
        }
        let additional = self.line.len() - self.additional_start;
        if self.line.len() + truncated.written_length() > self.budget
            && !budget::shorten(&mut self.line, additional, self.budget, &mut truncated)
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

fn append_protocol(out: &mut Vec<u8>, truncated: &mut TruncatedFields, protocol: Option<Protocol<'_>>) {
    match protocol {
        None => {}
        Some(Protocol::Tcp) => out.extend_from_slice(b"proto=TCP "),
        Some(Protocol::Udp) => out.extend_from_slice(b"proto=UDP "),
        Some(other) => {
            field::append(out, truncated, Field::Protocol, &other.name().to_ascii_uppercase());
        }
    }
}

/// The parts of the line that depend on the definition.
fn parts_of<'a>(settings: &'a EventSettings, table: Table, finding: FindingView<'a>) -> PartsOf<'a> {
    PartsOf { settings, table, severity: finding.severity(), definition: finding.definition() }
}

/// Appends the times and the score of a finding. Returns whether a value is left out because it is invalid.
fn append_times_and_score(out: &mut Vec<u8>, settings: &EventSettings, finding: FindingView<'_>) -> bool {
    let extra = settings.extra;
    let mut has_bad_value = false;
    for (is_sent, opening, cell) in [
        (extra.first_found, FIRST_FOUND, FindingField::FirstFound),
        (extra.last_fixed, LAST_FIXED, FindingField::LastFixed),
    ] {
        let text = if is_sent { finding.get(cell) } else { "" };
        match time::epoch_ms(text) {
            Some(time) => {
                field::append_number(out, opening, time.saturating_add(settings.time.offset).max(0));
            }
            None => has_bad_value |= !text.is_empty(),
        }
    }
    if extra.detection_score {
        let score = finding.typed(FindingField::DetectionScore);
        let is_number = score.integer().is_some();
        has_bad_value |= append_number(out, "cn2Label=Detection Score cn2=", score, is_number);
    }
    has_bad_value
}

/// Appends a number; nothing for an empty or invalid cell. Returns whether it is invalid.
fn append_number(out: &mut Vec<u8>, opening: &str, cell: Cell<'_>, is_number: bool) -> bool {
    if is_number {
        field::append_plain(out, opening, cell.text());
    }
    !is_number && !cell.text().is_empty()
}

const FIRST_FOUND: &str = "deviceCustomDate1Label=First Found deviceCustomDate1=";
const LAST_FIXED: &str = "deviceCustomDate2Label=Last Fixed deviceCustomDate2=";

/// Why a finding is rejected if nothing says which asset it is about.
const UNNAMED: &str = "the asset has no address, name, MAC address or ID";

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder, Columns, DefinitionRow, FindingRow};
    use scanbridge_plugin_api::model::{AssetField, FindingKind};

    use super::*;
    use crate::settings::ExtraFields;

    /// The counters after one finding of an asset, with the system of the asset.
    fn tally_of(
        asset: (AssetField, &str),
        definition: (DefinitionField, &str),
        finding: (FindingField, &str),
    ) -> Tally {
        let settings = EventSettings { extra: ExtraFields::ALL, ..EventSettings::default() };
        let mut encoder = Encoder::new(settings, usize::MAX);
        let report = ReportStart::default().with_source(ReportSource::new("Qualys", "Qualys", "qid"));
        encoder.begin(&report);
        let mut batch = BatchBuilder::default();
        let (mut asset_row, mut definition_row) = (AssetRow::default(), DefinitionRow::default());
        let mut row = FindingRow::default();
        row.set_kind(FindingKind::Vulnerability);
        asset_row.set(AssetField::Os, "Linux");
        asset_row.set(asset.0, asset.1);
        definition_row.set(definition.0, definition.1);
        row.set(finding.0, finding.1);
        let asset = batch.push_asset(&asset_row, false);
        let definition = batch.push_definition(&definition_row);
        batch.push_finding(asset, definition, &row);
        let (raw, columns, mut lines) = (batch.finish(), Columns::of_report(&report), Vec::<String>::new());
        let mut tally = encoder.batch(Batch::of(&raw, &columns).unwrap(), &mut lines).unwrap();
        tally.unnamed += encoder.finish(&mut lines).unwrap().unnamed;
        tally
    }

    #[test]
    fn omitted_values_and_events_are_counted() {
        let named = (AssetField::Address, "192.0.2.1");
        let (title, result) = ((DefinitionField::Title, "t"), (FindingField::Result, "r"));
        for (asset, definition, finding, bad_values, unnamed) in [
            (named, title, result, 0, 0),
            (named, (DefinitionField::Cvss3Base, "high"), result, 1, 0),
            (named, (DefinitionField::Cvss4Base, "-"), result, 0, 0),
            (named, title, (FindingField::FirstFound, "yesterday"), 1, 0),
            (named, title, (FindingField::LastFixed, "2026-01-31"), 1, 0),
            (named, title, (FindingField::DetectionScore, "95%"), 1, 0),
            (named, title, (FindingField::Epss, "a"), 1, 0),
            ((AssetField::Owner, "ops"), title, result, 0, 1),
        ] {
            let tally = tally_of(asset, definition, finding);
            assert_eq!(
                (tally.bad_values, tally.unnamed),
                (bad_values, unnamed),
                "{asset:?} {definition:?} {finding:?}"
            );
        }
    }
}
