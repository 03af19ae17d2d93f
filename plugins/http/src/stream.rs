//! Destinations of single records: encodes findings, collects records and posts them.

use std::collections::HashSet;

use jiff::Timestamp;
use scanbridge_finding_texts::TextEncoder;
use scanbridge_json_records::NOT_VULNERABILITIES;
use scanbridge_plugin_api::batch::{Batch, FindingView};
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::tracing::Level;
use scanbridge_plugin_api::{
    Committed, LateAnswers, LateRow, LocalCheck, Open, OutputCapabilities, Partial, PluginError, Receipt,
    Rendered, Result, Resume, Services, Written,
};

use crate::delivery::Delivery;
use crate::queue::Queue;
use crate::record::RecordMaker;
use crate::settings::{Limits, Settings};

/// Posts findings one by one, many in a request. A finding is delivered when the destination has acknowledged its request.
#[derive(Debug)]
pub(crate) struct Stream {
    encoder: TextEncoder,
    sender: Sender,
    services: Services,
}

/// Makes records, and posts them when a request is full.
#[derive(Debug)]
struct Sender {
    records: RecordMaker,
    limits: Limits,
    between: usize,
    queue: Queue,
    delivery: Delivery,
    /// The IDs of the current asset.
    ids: HashSet<Box<str>>,
    asset: Option<(u64, u32)>,
    equal_ids: u64,
    truncated: u64,
    /// Records delivered in this run, and before it in the report that is resumed.
    delivered: u64,
    record: Vec<u8>,
}

impl Stream {
    pub(crate) const CAPABILITIES: OutputCapabilities = OutputCapabilities::NONE
        .resume(Resume::Repeats)
        .partial(Partial::Adds)
        .late_answers(LateAnswers::Rows)
        .local_check(LocalCheck::Yes);

    /// `between` is the number of bytes between two records of a request.
    pub(crate) fn open(
        open: &Open<'_>,
        settings: &Settings,
        delivery: Delivery,
        between: usize,
        receipt: Option<&Receipt>,
    ) -> Result<Self> {
        let (options, services) = (open.options, open.services);
        let delivered = receipt.map(read_receipt).transpose()?.unwrap_or_default();
        let now = Timestamp::now();
        let started = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (connector, limit) = (&open.frame.connector, settings.line_limit());
        let encoder = TextEncoder::new(settings.format, options, connector, &started, limit)?;
        let sender = Sender {
            records: RecordMaker::new(settings.record(options)?, settings.record_id, now.as_millisecond()),
            limits: settings.limits,
            between,
            queue: Queue::default(),
            delivery,
            ids: HashSet::new(),
            asset: None,
            equal_ids: 0,
            truncated: 0,
            delivered,
            record: Vec::new(),
        };
        Ok(Self { encoder, sender, services: services.clone() })
    }

    pub(crate) fn delivery(&mut self) -> &mut Delivery {
        &mut self.sender.delivery
    }

    pub(crate) fn begin(&mut self, report: &ReportStart) {
        self.encoder.begin(report);
        self.sender.records.begin(report);
        self.sender.asset = None;
    }

    pub(crate) fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let Self { encoder, sender, services, .. } = self;
        let omitted = encoder.findings(batch, |finding, line| sender.take(batch.number(), finding, line))?;
        sender.send_overdue()?;
        sender.note(services);
        if !omitted.left_out.is_empty() {
            services.note(Level::INFO, NOT_VULNERABILITIES, omitted.left_out.len() as u64);
        }
        Ok(Written::default()
            .with_left_out(omitted.left_out)
            .with_rejected(omitted.rejected)
            .with_bytes(sender.delivery.take_bytes()))
    }

    pub(crate) fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        let (mut encoder, mut records) = (self.encoder.fresh(), self.sender.records.clone());
        encoder.begin(report);
        records.begin(report);
        let mut rendered = Vec::new();
        let omitted = encoder.findings(batch, |finding, line| {
            let mut record = Vec::new();
            records.append(&mut record, finding, line);
            rendered.push(Rendered::new(finding.row(), String::from_utf8_lossy(&record)));
            Ok(())
        })?;
        let left_out = omitted.left_out.into_iter().map(|row| Rendered::omitted(row, NOT_VULNERABILITIES));
        let rejected = omitted.rejected.into_iter().map(|one| Rendered::omitted(one.row, one.reason));
        rendered.extend(left_out.chain(rejected));
        rendered.sort_by_key(|rendered| rendered.row);
        Ok(rendered)
    }

    pub(crate) fn end(&mut self, end: &ReportEnd) {
        self.encoder.log();
        if !end.deliver {
            // What was sent stays at the destination.
            self.sender.queue.clear();
        }
    }

    pub(crate) fn commit(&mut self) -> Result<Committed> {
        self.sender.send()?;
        self.sender.delivery.wait_for_acks()?;
        let receipt = serde_json::json!({ "records": self.sender.delivered }).to_string().into_bytes();
        Ok(Committed::from(Receipt(receipt))
            .with_late_rejected(self.sender.delivery.take_rejected())
            .with_bytes(self.sender.delivery.take_bytes()))
    }
}

impl Sender {
    /// Adds the record of a finding, after posting the records before it if the request is full.
    fn take(&mut self, batch: u64, finding: FindingView<'_>, line: &[u8]) -> Result<()> {
        self.record.clear();
        self.truncated += u64::from(self.records.append(&mut self.record, finding, line) > 0);
        let bytes = self.queue.bytes() + (self.queue.len() + 1) * self.between + self.record.len();
        if !self.queue.is_empty() && (self.queue.len() == self.limits.records || bytes > self.limits.bytes) {
            self.send()?;
        }
        let id = self.records.id();
        // The findings of an asset come together, and only they can have equal IDs.
        let asset = (batch, finding.asset().row());
        if self.asset.replace(asset) != Some(asset) && !finding.asset().is_continued() {
            self.ids.clear();
        }
        self.equal_ids += u64::from(!self.ids.insert(id.as_ref().into()));
        self.queue.push(LateRow::new(batch, finding.row()), &id, &self.record);
        Ok(())
    }

    /// Posts the records that have waited long enough.
    fn send_overdue(&mut self) -> Result<()> {
        match self.queue.oldest() {
            Some(oldest) if oldest.elapsed() >= self.limits.delay => self.send(),
            _ => Ok(()),
        }
    }

    fn send(&mut self) -> Result<()> {
        if !self.queue.is_empty() {
            self.delivery.send(&self.queue)?;
            self.delivered += self.queue.len() as u64;
            self.queue.clear();
        }
        Ok(())
    }

    fn note(&mut self, services: &Services) {
        for (count, text) in [(&mut self.equal_ids, EQUAL_IDS), (&mut self.truncated, TRUNCATED)] {
            if *count > 0 {
                services.note(Level::WARN, text, std::mem::take(count));
            }
        }
    }
}

/// The number of delivered records in a receipt.
fn read_receipt(receipt: &Receipt) -> Result<u64> {
    let json: Option<serde_json::Value> = serde_json::from_slice(&receipt.0).ok();
    json.and_then(|json| json.get("records")?.as_u64()).ok_or_else(|| {
        PluginError::config("the saved position of this output cannot be read")
            .with_hint("run with --restart; records that were delivered are then resent")
    })
}

const EQUAL_IDS: &str = "equal IDs: findings of an asset with the ID of another one (`record_id`)";
const TRUNCATED: &str = "records with values truncated to 60 KiB";
