//! The output plugin: encodes findings, collects records and posts them.

use std::collections::HashSet;

use jiff::Timestamp;
use scanbridge_json_records::RecordId;
use scanbridge_plugin_api::batch::{Batch, FindingView};
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::tracing::Level;
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, LateAnswers, LateRow, LocalCheck, Open, OpenedOutput,
    OptionSpec, Output, OutputCapabilities, Partial, PluginError, Purpose, Receipt, Rendered, Result, Resume,
    Services, Written, register_output,
};

use crate::answer::Judge;
use crate::client::Client;
use crate::credentials::Credentials;
use crate::delivery::{Acks, Delivery, RequestSettings, random_uuid};
use crate::encoder::ContentEncoder;
use crate::options::TABLE;
use crate::preset::RecordForm;
use crate::probe::{self, Probe};
use crate::queue::Queue;
use crate::record::{Content, RecordSettings};
use crate::settings::{Limits, Settings};
use crate::time;

/// Posts findings to a destination. A finding is delivered when the destination has acknowledged its request.
#[derive(Debug)]
pub struct Http {
    encoder: ContentEncoder,
    sender: Sender,
    services: Services,
    probe: Probe,
    purpose: Purpose,
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

/// Makes a record of a finding and its content.
#[derive(Debug, Clone)]
struct RecordMaker {
    settings: RecordSettings,
    id_kind: RecordId,
    report_time: String,
    /// The time of the run, in milliseconds since 1970.
    started: i64,
    id: Vec<u8>,
    scratch: String,
}

impl Output for Http {
    const NAME: &'static str = "HTTP";
    const SUMMARY: &'static str =
        "posts findings to Splunk, Elasticsearch, Sentinel, Google SecOps or a webhook";
    const OPTIONS: &'static [OptionSpec] = TABLE;

    const CAPABILITIES: OutputCapabilities = OutputCapabilities::NONE
        .resume(Resume::Repeats)
        .partial(Partial::Adds)
        .late_answers(LateAnswers::Rows)
        .local_check(LocalCheck::Yes);
    const RENDERS: bool = true;

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let (options, services) = (open.options, open.services);
        let settings = Settings::read(options, open.services.fips())?;
        let delivered = receipt.map(read_receipt).transpose()?.unwrap_or_default();
        let now = Timestamp::now();
        let started = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let encoder = ContentEncoder::new(
            settings.format,
            options,
            &open.frame.connector,
            &started,
            settings.max_line(),
        )?;
        let channel = channel(&settings, services)?;
        let request = RequestSettings {
            url: settings.request_url(options, &channel)?,
            content_type: settings.content_type(),
            frame: settings.frame(options)?,
            gzip: settings.gzip,
            headers: settings.headers.clone(),
            signer: settings.signer.clone(),
            is_webhook: settings.preset.form == RecordForm::Webhook,
            is_numbered: settings.preset.form == RecordForm::Sentinel,
            acks: settings.ack_timeout.map(|timeout| {
                let mut url = settings.at(&["services", "collector", "ack"]);
                url.query_pairs_mut().append_pair("channel", &channel);
                Acks { url, channel: channel.clone(), timeout }
            }),
        };
        let records = RecordMaker {
            settings: settings.record(options)?,
            id_kind: settings.record_id,
            report_time: String::new(),
            started: now.as_millisecond(),
            id: Vec::new(),
            scratch: String::new(),
        };
        let probe = Probe::new(&settings, &request.url);
        let client =
            Client::new(settings.network.clone(), settings.timeout, settings.limits.interval, services)?;
        let credentials = Credentials::new(settings.login, services);
        let judge =
            Judge { preset: settings.preset, acks: request.acks.is_some(), redactor: settings.redactor };
        let between = request.frame[1].len();
        let sender = Sender {
            records,
            limits: settings.limits,
            between,
            queue: Queue::default(),
            delivery: Delivery::new(client, credentials, judge, request, services),
            ids: HashSet::new(),
            asset: None,
            equal_ids: 0,
            truncated: 0,
            delivered,
            record: Vec::new(),
        };
        Ok(Self { encoder, sender, services: services.clone(), probe, purpose: open.purpose() }.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        let report = self.probe.local();
        if self.purpose == Purpose::Check {
            return Ok(report);
        }
        probe::remote(report, &self.probe, &mut self.sender.delivery)
    }

    fn begin(&mut self, report: &ReportStart, _: Begin) -> Result<()> {
        self.encoder.begin(report);
        self.sender.records.report_time.clone_from(&report.time);
        self.sender.asset = None;
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let Self { encoder, sender, services, .. } = self;
        let omitted = encoder.batch(batch, |finding, line| sender.take(batch.number(), finding, line))?;
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

    fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        let (mut encoder, mut records) = (self.encoder.fresh(), self.sender.records.clone());
        encoder.begin(report);
        records.report_time.clone_from(&report.time);
        let mut rendered = Vec::new();
        let omitted = encoder.batch(batch, |finding, line| {
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

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        if !end.deliver {
            // What was sent stays at the destination.
            self.sender.queue.clear();
        }
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        self.sender.send()?;
        self.sender.delivery.wait_for_acks()?;
        let receipt = serde_json::json!({ "records": self.sender.delivered }).to_string().into_bytes();
        Ok(Committed::from(Receipt(receipt))
            .with_late_rejected(self.sender.delivery.take_rejected())
            .with_bytes(self.sender.delivery.take_bytes()))
    }
}

register_output!(Http);

impl Sender {
    /// Adds the record of a finding, after posting the records before it if the request is full.
    fn take(&mut self, batch: u64, finding: FindingView<'_>, line: &[u8]) -> Result<()> {
        self.record.clear();
        self.truncated += u64::from(self.records.append(&mut self.record, finding, line) > 0);
        let bytes = self.queue.bytes() + (self.queue.len() + 1) * self.between + self.record.len();
        if !self.queue.is_empty() && (self.queue.len() == self.limits.records || bytes > self.limits.bytes) {
            self.send()?;
        }
        let id = String::from_utf8_lossy(&self.records.id);
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

impl RecordMaker {
    /// Appends the record of a finding with this content; its ID is in `id` then. Returns the number of truncated values.
    fn append(&mut self, out: &mut Vec<u8>, finding: FindingView<'_>, line: &[u8]) -> u64 {
        self.id.clear();
        self.id_kind.append(&mut self.id, finding, &self.report_time, &mut self.scratch);
        let id = String::from_utf8_lossy(&self.id);
        let time = time::of_finding(finding, &self.report_time, self.started);
        let content = Content { finding, line, id: &id, time, collected: self.started };
        self.settings.append(out, content)
    }
}

/// The channel of Splunk: one for each instance, kept between runs.
fn channel(settings: &Settings, services: &Services) -> Result<String> {
    let is_splunk = matches!(settings.preset.form, RecordForm::SplunkEvent | RecordForm::Line);
    if !is_splunk || services.is_read_only() {
        return Ok(random_uuid());
    }
    let state = services.state();
    if let Some(kept) = state.get(CHANNEL_KEY)?.and_then(|kept| String::from_utf8(kept).ok()) {
        return Ok(kept);
    }
    let channel = random_uuid();
    state.put(CHANNEL_KEY, channel.as_bytes())?;
    Ok(channel)
}

const CHANNEL_KEY: &str = "splunk-channel";

/// The number of delivered records in a receipt.
fn read_receipt(receipt: &Receipt) -> Result<u64> {
    let json: Option<serde_json::Value> = serde_json::from_slice(&receipt.0).ok();
    json.and_then(|json| json.get("records")?.as_u64()).ok_or_else(|| {
        PluginError::config("the saved position of this output cannot be read")
            .with_hint("run with --restart; records that were delivered are then resent")
    })
}

const NOT_VULNERABILITIES: &str =
    "information and service findings left out: they are not vulnerabilities (`format: ocsf`)";
const EQUAL_IDS: &str = "equal IDs: findings of an asset with the ID of another one (`record_id`)";
const TRUNCATED: &str = "records with values truncated to 60 KiB";
