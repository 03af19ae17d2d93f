//! The output plugin: findings as records on topics.

use jiff::Timestamp;
use scanbridge_json_records::NOT_VULNERABILITIES;
use scanbridge_plugin_api::batch::{Batch, Columns};
use scanbridge_plugin_api::keeper::{PairChanges, Pairs};
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::tracing::Level;
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, KeepsCheckpoint, LateAnswers, LateRow, Open, OpenedOutput,
    OptionSpec, Output, OutputCapabilities, Partial, PluginError, Purpose, Receipt, Rejection, Rendered,
    Result, Resume, Services, Written, register_output,
};

use crate::asset_records::{AssetPacker, clean_addresses, clean_asset};
use crate::format::{Format, ReportHeaders};
use crate::keeper::Session;
use crate::link::Link;
use crate::new_topics::create_missing;
use crate::options;
use crate::probe;
use crate::producer::Producer;
use crate::sender::Sender;
use crate::settings::OutputSettings;
use crate::text_records::TextRecords;
use crate::topic_settings::smallest_limit;

/// Writes findings to topics. A finding is delivered when the brokers have acknowledged its record.
#[derive(Debug)]
pub struct KafkaOutput {
    settings: OutputSettings,
    services: Services,
    delivery: Delivery,
    routes: Vec<Route>,
    report: Option<CurrentReport>,
    /// Records about no finding that were written at a commit and are not reported to the host yet.
    derived: u64,
}

/// How records are made durable.
#[derive(Debug)]
enum Delivery {
    /// An instance that only checks.
    None,
    AtLeastOnce(Producer),
    ExactlyOnce(Box<Session>),
}

/// A topic, and how its records are made.
#[derive(Debug)]
struct Route {
    topic: String,
    format: Format,
    encoder: RouteEncoder,
}

#[derive(Debug)]
enum RouteEncoder {
    Assets(AssetPacker),
    Texts(Box<TextRecords>),
}

#[derive(Debug)]
struct CurrentReport {
    start: ReportStart,
    headers: ReportHeaders,
}

impl Output for KafkaOutput {
    const NAME: &'static str = "Kafka";
    const SUMMARY: &'static str = "writes findings to topics of Apache Kafka or compatible brokers";
    const OPTIONS: &'static [OptionSpec] = options::OUTPUT;

    const CAPABILITIES: OutputCapabilities = OutputCapabilities::NONE
        .resume(Resume::Exact)
        .partial(Partial::Adds)
        .late_answers(LateAnswers::Rows)
        .keeps_checkpoint(KeepsCheckpoint::Yes);
    const RENDERS: bool = true;
    const KEEPS_CHECKPOINT: bool = true;

    fn open(open: &Open<'_>, _: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let mut settings = OutputSettings::read(open)?;
        let started = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        // Invalid options are found before brokers are waited for.
        drop(routes(open, &settings, &started)?);
        let services = open.services;
        let delivery = match open.purpose() {
            Purpose::Run | Purpose::Exam => connect(&mut settings, services)?,
            // Dead letters have no checkpoint.
            Purpose::Replay => {
                settings.keeper = None;
                connect(&mut settings, services)?
            }
            _ => Delivery::None,
        };
        // A topic may have a limit for the size of its records.
        let routes = routes(open, &settings, &started)?;
        // A part of an asset would replace all of it at the readers of the topic.
        let partial = if settings.has_only_texts() { Partial::Adds } else { Partial::Refuses };
        let capabilities = match settings.keeper {
            Some(_) => Self::CAPABILITIES.late_answers(LateAnswers::None),
            None => Self::CAPABILITIES.resume(Resume::Repeats).keeps_checkpoint(KeepsCheckpoint::No),
        };
        let share = match &delivery {
            Delivery::ExactlyOnce(session) => Some(session.share()),
            _ => None,
        };
        let output =
            Self { settings, services: services.clone(), delivery, routes, report: None, derived: 0 };
        let opened = OpenedOutput::from(output).with_capabilities(capabilities.partial(partial));
        Ok(match share {
            Some(share) => opened.with_share(share),
            None => opened,
        })
    }

    fn check(&mut self) -> Result<CheckReport> {
        probe::output(&self.settings, &self.services)
    }

    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        if let Delivery::ExactlyOnce(session) = &mut self.delivery
            && !how.continued
        {
            session.abort();
        }
        for route in &mut self.routes {
            match &mut route.encoder {
                RouteEncoder::Assets(packer) => packer.clear(),
                RouteEncoder::Texts(records) => records.begin(report),
            }
        }
        self.report = Some(CurrentReport { start: report.clone(), headers: ReportHeaders::of(report)? });
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let Self { settings, services, delivery, routes, report, derived, .. } = self;
        let mut derived = std::mem::take(derived);
        let (producer, report) = (delivery.sending()?, current(report.as_ref())?);
        let sender = Sender { producer, headers: &report.headers, has_keys: settings.has_keys };
        let mut rejected: Vec<Rejection> = Vec::new();
        let mut left_out: Option<Vec<u32>> = None;
        for route in routes {
            let topic = &route.topic;
            let omitted = match &mut route.encoder {
                RouteEncoder::Assets(packer) => {
                    let source = &report.headers.source;
                    rejected.extend(packer.batch(batch, source, |asset| sender.asset(topic, asset, false))?);
                    Vec::new()
                }
                RouteEncoder::Texts(records) => {
                    let encoded = records.batch(batch, topic, &sender)?;
                    rejected.extend(encoded.rejected);
                    derived += encoded.derived;
                    encoded.left_out
                }
            };
            // A finding that one of the topics gets is not left out.
            left_out = Some(match left_out {
                None => omitted,
                Some(before) => before.into_iter().filter(|row| omitted.contains(row)).collect(),
            });
        }
        let left_out = left_out.unwrap_or_default();
        if !left_out.is_empty() {
            services.note(Level::INFO, NOT_VULNERABILITIES, left_out.len() as u64);
        }
        rejected.sort_by_key(|rejection| rejection.row);
        rejected.dedup_by_key(|rejection| rejection.row);
        let left_out =
            left_out.into_iter().filter(|row| rejected.iter().all(|one| one.row != *row)).collect();
        Ok(Written::default()
            .with_left_out(left_out)
            .with_rejected(rejected)
            .with_derived(derived)
            .with_bytes(producer.take_bytes()))
    }

    fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        let mut rendered = Vec::new();
        for route in &self.routes {
            if let RouteEncoder::Texts(records) = &route.encoder {
                rendered.extend(records.render(report, batch)?);
            }
        }
        if !self.settings.has_only_texts() {
            let missing: Vec<u32> = batch
                .findings()
                .map(|finding| finding.row())
                .filter(|row| rendered.iter().all(|one| one.row != *row))
                .collect();
            rendered.extend(missing.into_iter().map(|row| Rendered::omitted(row, BINARY)));
        }
        rendered.sort_by_key(|one| one.row);
        Ok(rendered)
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        for route in &mut self.routes {
            match &mut route.encoder {
                RouteEncoder::Texts(records) if !end.deliver => records.abandon(),
                _ => {}
            }
        }
        self.finish_assets()?;
        if end.deliver && end.complete && !end.clean_assets.is_empty() {
            self.clean(end)?;
        }
        if end.deliver {
            self.log();
        }
        Ok(Written::default().with_derived(std::mem::take(&mut self.derived)))
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        self.finish_assets()?;
        let Delivery::AtLeastOnce(producer) = &self.delivery else {
            return Err(PluginError::bug(
                "plugin bug: a commit without the checkpoint that the output keeps",
            ));
        };
        producer.flush()?;
        Ok(Committed::from(Receipt(b"{}".to_vec()))
            .with_late_rejected(distinct(producer.take_rejected()))
            .with_bytes(producer.take_bytes()))
    }

    fn load(&mut self) -> Result<Pairs> {
        self.delivery.session()?.take_loaded()
    }

    fn commit_with(&mut self, _: CommitPoint, changes: &PairChanges) -> Result<Committed> {
        if !changes.is_empty() {
            self.finish_assets()?;
        }
        let session = self.delivery.session()?;
        session.commit(changes)?;
        Ok(Committed::default().with_bytes(session.producer().take_bytes()))
    }
}

register_output!(KafkaOutput);

impl KafkaOutput {
    /// Sends what the last asset still needs: it is complete now.
    fn finish_assets(&mut self) -> Result<()> {
        let Self { settings, delivery, routes, report, derived, .. } = self;
        let is_pending = |route: &Route| match &route.encoder {
            RouteEncoder::Assets(packer) => packer.is_open(),
            RouteEncoder::Texts(records) => records.is_pending(),
        };
        let is_pending = routes.iter().any(is_pending);
        let Some(report) = report.as_ref().filter(|_| is_pending) else { return Ok(()) };
        let producer = delivery.sending()?;
        let sender = Sender { producer, headers: &report.headers, has_keys: settings.has_keys };
        for Route { topic, encoder, .. } in routes {
            match encoder {
                RouteEncoder::Assets(packer) => packer.flush(|asset| sender.asset(topic, asset, false))?,
                RouteEncoder::Texts(records) => *derived += records.finish(topic, &sender)?,
            }
        }
        Ok(())
    }

    /// Logs what is missing or changed in the records of a report.
    fn log(&self) {
        for route in &self.routes {
            if let RouteEncoder::Texts(records) = &route.encoder {
                records.log();
            }
        }
    }

    /// Sends records of assets that were scanned and have no findings.
    fn clean(&mut self, end: &ReportEnd) -> Result<()> {
        let (producer, report) = (self.delivery.sending()?, current(self.report.as_ref())?);
        let sender = Sender { producer, headers: &report.headers, has_keys: true };
        let columns = Columns::of_report(&report.start);
        let topics: Vec<_> = self.routes.iter().filter(|route| route.format == Format::Batch).collect();
        if topics.is_empty() {
            return Ok(());
        }
        let (addresses, beyond) = clean_addresses(&end.clean_assets);
        for address in addresses {
            for route in &topics {
                sender.asset(&route.topic, clean_asset(&report.start, &columns, address)?, true)?;
            }
        }
        if beyond > 0 {
            self.services.note(Level::WARN, TOO_MANY_CLEAN, beyond as u64);
        }
        Ok(())
    }
}

impl Delivery {
    /// The producer for records, if this instance was opened for a run. Exactly once: in a transaction.
    fn sending(&mut self) -> Result<&Producer> {
        match self {
            Self::AtLeastOnce(producer) => Ok(producer),
            Self::ExactlyOnce(session) => session.sending(),
            Self::None => Err(not_opened()),
        }
    }

    fn session(&mut self) -> Result<&mut Session> {
        match self {
            Self::ExactlyOnce(session) => Ok(session),
            _ => Err(not_opened()),
        }
    }
}

/// The topics, with encoders for their formats.
fn routes(open: &Open<'_>, settings: &OutputSettings, started: &str) -> Result<Vec<Route>> {
    let routes = settings.routes.iter().map(|(topic, format)| {
        let encoder = match *format {
            Format::Batch => RouteEncoder::Assets(AssetPacker::new(settings.record_bytes)),
            Format::Text(format) => {
                RouteEncoder::Texts(Box::new(TextRecords::new(format, open, started, settings.event_bytes)?))
            }
        };
        Ok(Route { topic: topic.clone(), format: *format, encoder })
    });
    routes.collect()
}

/// Connects, finds or creates the topics, and adapts the size of records to them. Exactly once: waits for a slot.
fn connect(settings: &mut OutputSettings, services: &Services) -> Result<Delivery> {
    settings.connection.warn();
    let link = || Link::new(settings.connection.clone(), services);
    let producer = Producer::new(settings.producer(None), link())?;
    if settings.create_topics {
        create_missing(&producer, services, &settings.plans())?;
    }
    let topics: Vec<_> = settings.routes.iter().map(|(topic, _)| topic.as_str()).collect();
    topics.iter().try_for_each(|topic| producer.partitions(topic).map(drop))?;
    let limit = smallest_limit(&settings.connection, services, &topics)?;
    let is_small = limit.is_some_and(|limit| settings.is_changed_by(limit));
    limit.into_iter().for_each(|limit| settings.limit(limit));
    Ok(match &settings.keeper {
        Some(keeper) => {
            drop(producer);
            Delivery::ExactlyOnce(Box::new(Session::open(keeper, settings, limit, services)?))
        }
        None if is_small => {
            let link = Link::new(settings.connection.clone(), services);
            Delivery::AtLeastOnce(Producer::new(settings.producer(limit), link)?)
        }
        None => Delivery::AtLeastOnce(producer),
    })
}

fn current(report: Option<&CurrentReport>) -> Result<&CurrentReport> {
    report.ok_or_else(not_opened)
}

fn not_opened() -> PluginError {
    PluginError::bug("plugin bug: the output was not opened for a run")
}

/// Each finding once: the records of several topics can be refused.
fn distinct(rejected: Vec<(LateRow, String)>) -> Vec<(LateRow, String)> {
    let mut known = std::collections::HashSet::new();
    rejected.into_iter().filter(|(row, _)| known.insert(*row)).collect()
}

const BINARY: &str = "is in the record of its asset, which is not a text (`format: batch`)";
const TOO_MANY_CLEAN: &str = "assets without findings beyond the first 65,536 of a report, not written";
