//! The options of the output, checked.

use rdkafka::ClientConfig;
use scanbridge_finding_texts::options as text;
use scanbridge_plugin_api::{Open, PluginError, Result};

use crate::connection::{Connection, valid_topic};
use crate::format::Format;
use crate::keeper::KeeperSettings;
use crate::topic_plan::TopicPlan;

/// What the output writes, and how.
#[derive(Debug, Clone)]
pub(crate) struct OutputSettings {
    pub(crate) connection: Connection,
    /// With `delivery: exactly-once`.
    pub(crate) keeper: Option<KeeperSettings>,
    /// Topics and their formats.
    pub(crate) routes: Vec<(String, Format)>,
    pub(crate) has_keys: bool,
    /// Whether topics that do not exist are created.
    pub(crate) create_topics: bool,
    /// Maximum size of a record, in bytes.
    pub(crate) record_bytes: usize,
    /// Maximum size of a CEF event, in bytes.
    pub(crate) event_bytes: usize,
    compression: String,
    partitioner: &'static str,
    linger: u128,
    delivery_timeout: u128,
}

/// The memory of the client for records that are not acknowledged, in KiB.
const QUEUE_KIB: usize = 16 << 10;
/// Maximum size of a request to a partition, in bytes: the default of librdkafka.
const BATCH_BYTES: usize = 1_000_000;
/// Maximum size of a CEF event that other limits allow, in bytes.
const MAX_EVENT: usize = 60 << 10;
/// For headers and the frame of a record, in bytes.
const OVERHEAD: usize = 64 << 10;

impl OutputSettings {
    /// # Errors
    /// [`scanbridge_plugin_api::ErrorKind::Config`] that names the option.
    pub(crate) fn read(open: &Open<'_>) -> Result<Self> {
        let options = open.options;
        let connection = Connection::read(open)?;
        let mut routes: Vec<(String, Format)> = options
            .map_of_choices("routes", Format::of_word)?
            .into_iter()
            .map(|(topic, format)| (topic.to_owned(), format))
            .collect();
        if let Some(topic) = options.text("topic")? {
            let format = options.choice("format", Format::of_word)?.unwrap_or(Format::Batch);
            routes.push((topic.to_owned(), format));
        }
        if routes.is_empty() {
            return Err(PluginError::config("option `topic` or `routes` is required").with_option("topic"));
        }
        routes.iter().try_for_each(|(topic, _)| valid_topic("topic", topic))?;
        let formats: Vec<_> = routes.iter().filter_map(|(_, format)| format.text()).collect();
        text::refuse_unused(options, &formats)?;
        let has_keys = options.text("key")? != Some("none");
        if !has_keys && routes.iter().any(|(_, format)| *format == Format::Batch) {
            return Err(PluginError::config(
                "option `key`: records of the format `batch` need the key `asset`",
            )
            .with_option("key"));
        }
        let create_topics = connection.creates_topics(options)?;
        let size = options.size("record_bytes")?.unwrap_or_default();
        let record_bytes = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(Self {
            keeper: KeeperSettings::read(open, &connection)?,
            connection,
            routes,
            has_keys,
            create_topics,
            record_bytes,
            event_bytes: record_bytes.min(MAX_EVENT),
            compression: options.text("compression")?.unwrap_or("zstd").to_owned(),
            partitioner: match options.text("partitioner")? {
                Some("crc32") => "consistent_random",
                _ => "murmur2_random",
            },
            linger: options.duration("linger")?.unwrap_or_default().as_millis(),
            delivery_timeout: options.duration("delivery_timeout")?.unwrap_or_default().as_millis(),
        })
    }

    /// The topics that must exist.
    pub(crate) fn plans(&self) -> Vec<TopicPlan> {
        let records = self.routes.iter().map(|(topic, format)| TopicPlan::records(topic, *format));
        records.chain(self.keeper.as_ref().map(KeeperSettings::state_plan)).collect()
    }

    /// Whether all records are texts of one finding each.
    pub(crate) fn has_only_texts(&self) -> bool {
        self.routes.iter().all(|(_, format)| *format != Format::Batch)
    }

    /// The properties of the producer. `limit` is the smallest `max.message.bytes` of the topics, if it is known.
    pub(crate) fn producer(&self, limit: Option<usize>) -> ClientConfig {
        let record = self.record_bytes + OVERHEAD;
        let request = BATCH_BYTES.min(limit.unwrap_or(BATCH_BYTES));
        let mut config = self.connection.config();
        config
            .set("compression.type", &self.compression)
            .set("partitioner", self.partitioner)
            .set("linger.ms", self.linger.to_string())
            .set("delivery.timeout.ms", self.delivery_timeout.max(self.linger + 1).to_string())
            .set("message.max.bytes", record.max(request).to_string())
            .set("batch.size", request.to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KIB.max(record / 512).to_string());
        config
    }

    /// Whether [`Self::producer`] depends on this limit: on the size of a record, or of a batch of records.
    pub(crate) fn is_changed_by(&self, limit: usize) -> bool {
        limit < BATCH_BYTES.max(self.record_bytes + self.record_bytes / 10)
    }

    /// Makes records not larger than the topics accept.
    pub(crate) fn limit(&mut self, limit: usize) {
        // The headers and the frame of a record count as well.
        let without = |overhead| limit.saturating_sub(limit / 20 + overhead).max(1_000);
        self.record_bytes = self.record_bytes.min(without(6_000));
        self.event_bytes = self.event_bytes.min(without(1_000));
    }
}
