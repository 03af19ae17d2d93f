//! The input plugin: from records to steps.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::batch::{BatchBuilder, Schema};
use scanbridge_plugin_api::model::{AddressRange, Refusal, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    CheckReport, CheckpointRequest, Counter, Ends, Gauge, Input, InputCapabilities, Open, OpenedInput,
    OptionSpec, PluginError, Position, Purpose, Result, Resumes, Services, Shares, Step, Stored,
    register_input,
};

use super::dead_letters::DeadLetters;
use super::group::{Group, Polled};
use super::position::Offsets;
use super::probe;
use super::record::RawRecord;
use super::rows::{AssetWriter, with_own_columns};
use super::settings::InputSettings;
use super::window::{Asset, Planned, PlannedReport, Window};
use crate::format;
use crate::link::Link;
use crate::options;

/// Reads findings from topics, as a member of a consumer group.
pub struct KafkaInput {
    settings: InputSettings,
    services: Services,
    /// `None` in an instance that only checks.
    reader: Option<Reader>,
}

struct Reader {
    group: Group,
    dead_letters: Option<DeadLetters>,
    window: Window,
    schema: Schema,
    /// What is delivered now.
    steps: VecDeque<PlannedStep>,
    /// After everything that was delivered before the current window.
    position: Offsets,
    /// After the current window as well.
    next: Offsets,
    /// When the newest record of the current window was made.
    time: Option<u64>,
    metrics: Metrics,
}

enum PlannedStep {
    Refused(Refusal),
    Report(Box<PlannedReport>, bool),
    Assets(Box<AssetWriter>, Box<ReportEnd>, bool),
    Mark(CheckpointRequest),
}

struct Metrics {
    records: Counter,
    bytes: Counter,
    poison: Counter,
    lag: Gauge,
}

/// The longest time until a stop request is noticed.
const POLL: Duration = Duration::from_millis(100);
/// After this time without records, the input reports that it is idle.
const IDLE: Duration = Duration::from_secs(1);
/// The key of the own columns that records have had.
const COLUMNS_KEY: &str = "columns";

impl Input for KafkaInput {
    const NAME: &'static str = "Kafka";
    const SUMMARY: &'static str = "reads findings from topics of Apache Kafka or compatible brokers";
    const OPTIONS: &'static [OptionSpec] = options::INPUT;
    const CAPABILITIES: InputCapabilities =
        InputCapabilities::NONE.resumes(Resumes::Report).ends(Ends::No).shares(Shares::Group);

    fn open(open: &Open<'_>, resume: Option<&Position>) -> Result<OpenedInput<Self>> {
        let settings = InputSettings::read(open)?;
        let services = open.services.clone();
        let schema = own_schema(&services)?;
        let reader = match open.purpose() {
            Purpose::Run | Purpose::Replay | Purpose::Exam => {
                Some(Reader::open(&settings, &services, resume, schema.clone())?)
            }
            _ => None,
        };
        Ok(OpenedInput::from(Self { settings, services, reader }).with_schema(schema))
    }

    fn check(&mut self) -> Result<CheckReport> {
        probe::input(&self.settings, &self.services)
    }

    fn next(&mut self, builder: BatchBuilder) -> Result<Step> {
        self.reader.as_mut().ok_or_else(not_opened)?.next(builder)
    }

    fn stored(&mut self, stored: &Stored) -> Result<()> {
        let reader = self.reader.as_mut().ok_or_else(not_opened)?;
        reader.stored(&Offsets::of_position(&stored.position)?)
    }
}

register_input!(KafkaInput);

impl Reader {
    fn open(
        settings: &InputSettings,
        services: &Services,
        resume: Option<&Position>,
        schema: Schema,
    ) -> Result<Self> {
        settings.connection.warn();
        let position = resume.map(Offsets::of_position).transpose()?.unwrap_or_default();
        let link = Link::new(settings.connection.clone(), services);
        let group = Group::new(&settings.consumer(), link, &settings.group, position.clone())?;
        settings.topics.iter().try_for_each(|topic| group.partitions(topic).map(drop))?;
        let dead_letters = DeadLetters::open(settings, services)?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        group.join(&topics)?;
        let mut steps = VecDeque::new();
        if resume.is_none() {
            // From here the host can open the input again when brokers are unavailable.
            steps.push_back(PlannedStep::Mark(CheckpointRequest::AtInterval));
        }
        Ok(Self {
            window: Window::new(settings.limits),
            dead_letters,
            schema,
            steps,
            next: position.clone(),
            position,
            time: None,
            metrics: Metrics {
                records: services.counter("kafka_records_total", "Records that were read"),
                bytes: services
                    .counter("kafka_bytes_total", "Bytes of records that were read, before compression"),
                poison: services
                    .counter("kafka_poison_total", "Invalid records that were copied to the dead topic"),
                lag: services
                    .gauge("kafka_lag_seconds", "Age of the newest record that was delivered; 0 at the end"),
            },
            group,
        })
    }

    fn next(&mut self, builder: BatchBuilder) -> Result<Step> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return self.step(step, builder);
            }
            match self.collect()? {
                Some(planned) => self.plan(planned)?,
                None => return Ok(Step::idle(Duration::ZERO)),
            }
        }
    }

    /// Reads records until a window is full. `None` if there is nothing more to read now, or the run is stopping: what
    /// was read but not delivered is read again later.
    fn collect(&mut self) -> Result<Option<Planned>> {
        let services = self.group.services().clone();
        let began = Instant::now();
        loop {
            if services.is_cancelled() {
                return Ok(None);
            }
            let record = match self.group.poll(POLL)? {
                Polled::Record(message) => Some(RawRecord::of(&message)),
                Polled::Nothing => None,
            };
            let revoked = self.group.take_revoked();
            if !revoked.is_empty() {
                self.window.drop_partitions(&revoked);
            }
            match record {
                // Its partition can have been taken away by the same call.
                Some(record) if !revoked.contains(&record.partition) => self.add(record)?,
                Some(_) => {}
                None => services.alive(),
            }
            self.window.expire();
            if self.window.is_full() {
                let planned = self.window.plan(self.dead_letters.is_some())?;
                if !planned.is_empty() {
                    return Ok(Some(planned));
                }
            }
            if self.window.is_empty() && began.elapsed() >= IDLE && self.group.is_at_end(self.window.last()) {
                self.metrics.lag.set(0.0);
                return Ok(None);
            }
        }
    }

    fn add(&mut self, record: RawRecord) -> Result<()> {
        self.metrics.records.add(1);
        self.metrics.bytes.add(record.value.len() as u64);
        let mut columns = None;
        let schema = &self.schema;
        self.window.add(record, |info| {
            columns = with_own_columns(schema, info.schema());
            columns.is_some().then(new_columns)
        });
        if let Some(columns) = columns {
            let columns = serde_json::to_vec(&columns)
                .map_err(|error| PluginError::bug(format!("plugin bug: cannot store columns: {error}")))?;
            self.group.services().state().put(COLUMNS_KEY, &columns)?;
        }
        Ok(())
    }

    /// Copies invalid records, and makes steps of the others.
    fn plan(&mut self, planned: Planned) -> Result<()> {
        let Planned { poison, reports, next, time } = planned;
        if let Some(dead_letters) = &self.dead_letters
            && !poison.is_empty()
        {
            dead_letters.copy(&poison)?;
            self.metrics.poison.add(poison.len() as u64);
        }
        for (record, reason) in poison {
            let error = PluginError::bad_data(format!("invalid record: {reason}"));
            self.steps.push_back(PlannedStep::Refused(Refusal::new(record.origin(), error)));
        }
        self.next.update(&next);
        self.time = time.or(self.time);
        if reports.is_empty() {
            self.steps.push_back(PlannedStep::Mark(CheckpointRequest::NowAndWait));
        }
        let last = reports.len();
        for (number, report) in (1..).zip(reports) {
            self.steps.push_back(PlannedStep::Report(Box::new(report), number == last));
        }
        Ok(())
    }

    fn step(&mut self, step: PlannedStep, builder: BatchBuilder) -> Result<Step> {
        Ok(match step {
            PlannedStep::Refused(refusal) => Step::refused(refusal),
            PlannedStep::Mark(request) => {
                self.position = self.next.clone();
                Step::mark(self.position.to_position()).with_checkpoint(request)
            }
            PlannedStep::Report(report, is_last) => {
                let start = start_of(&report);
                let (assets, end) = end_of(*report);
                self.steps.push_front(PlannedStep::Assets(
                    Box::new(AssetWriter::new(assets)),
                    Box::new(end),
                    is_last,
                ));
                Step::report_start(start)
            }
            PlannedStep::Assets(mut writer, end, is_last) if !writer.is_empty() => {
                let batch = writer.fill(builder, &self.schema)?;
                self.steps.push_front(PlannedStep::Assets(writer, end, is_last));
                Step::batch(batch)
            }
            // Records of several reports are mixed in a partition: all of them come again until the last one is stored.
            PlannedStep::Assets(_, end, false) => Step::report_end(*end).at(self.position.to_position()),
            PlannedStep::Assets(_, end, true) => {
                self.position = self.next.clone();
                Step::report_end(*end)
                    .at(self.position.to_position())
                    .with_checkpoint(CheckpointRequest::NowAndWait)
            }
        })
    }

    fn stored(&mut self, offsets: &Offsets) -> Result<()> {
        if let Some(time) = self.time {
            self.metrics.lag.set(format::now().saturating_sub(time) as f64 / 1000.0);
        }
        self.group.commit(offsets)
    }
}

/// The report that outputs get. Its revision is unique, so that a part that was delivered is known.
fn start_of(report: &PlannedReport) -> ReportStart {
    let mut start = report.info.start.clone().with_revision(report.revision()).with_encryption("");
    if start.path.is_empty() {
        start = start.with_path(report.topics());
    }
    start
}

/// The assets with findings, and the end of the report. Each asset is complete, and what the report does not contain is
/// not removed: only assets without findings are named as such.
fn end_of(report: PlannedReport) -> (Vec<Asset>, ReportEnd) {
    let bytes = report.bytes;
    let (clean, assets): (Vec<Asset>, Vec<Asset>) =
        report.assets.into_iter().partition(|asset| asset.is_clean);
    let clean = clean.iter().flat_map(|asset| &asset.parts).filter_map(|part| {
        part.read(|batch| {
            let address = batch.assets().next()?.address().parse().ok()?;
            AddressRange::new(address, address).ok()
        })
    });
    let clean = clean.collect();
    (
        assets,
        ReportEnd::default()
            .with_complete(true)
            .with_deliver(true)
            .with_clean_assets(clean)
            .with_bytes(bytes),
    )
}

/// The columns of the model and the own columns that records have had.
fn own_schema(services: &Services) -> Result<Schema> {
    let stored = services.state().get(COLUMNS_KEY)?;
    let stored: Option<Schema> = stored.and_then(|stored| serde_json::from_slice(&stored).ok());
    let schema = Schema::default();
    Ok(stored.and_then(|stored| with_own_columns(&schema, &stored)).unwrap_or(schema))
}

fn new_columns() -> PluginError {
    PluginError::unavailable(
        "records have columns that this input did not have until now; it is opened again with them",
    )
    .with_retry_after(Duration::from_millis(100))
}

fn not_opened() -> PluginError {
    PluginError::bug("plugin bug: the input was not opened for a run")
}
