//! The options of the input, checked.

use std::time::Duration;

use rdkafka::ClientConfig;
use scanbridge_plugin_api::{Open, Result};

use super::window::WindowLimits;
use crate::connection::{Connection, member, pipeline, valid_topic};

/// What the input reads, and how.
#[derive(Debug, Clone)]
pub(super) struct InputSettings {
    pub(super) connection: Connection,
    pub(super) topics: Vec<String>,
    pub(super) group: String,
    pub(super) limits: WindowLimits,
    pub(super) dead_topic: Option<String>,
    /// Whether `dead_topic` is created if it does not exist.
    pub(super) create_topics: bool,
    member: String,
    starts_at_end: bool,
    session_timeout: Duration,
    drain_timeout: Duration,
}

impl InputSettings {
    /// # Errors
    /// [`scanbridge_plugin_api::ErrorKind::Config`] that names the option.
    pub(super) fn read(open: &Open<'_>) -> Result<Self> {
        let options = open.options;
        let duration =
            |name| Ok::<_, scanbridge_plugin_api::PluginError>(options.duration(name)?.unwrap_or_default());
        let size = |name| {
            let size = options.size(name)?.unwrap_or_default();
            Ok::<_, scanbridge_plugin_api::PluginError>(usize::try_from(size).unwrap_or(usize::MAX))
        };
        let topics: Vec<String> = options.list("topics")?.into_iter().map(str::to_owned).collect();
        topics.iter().try_for_each(|topic| valid_topic("topics", topic))?;
        let dead_topic = options.text("dead_topic")?.map(str::to_owned);
        dead_topic.iter().try_for_each(|topic| valid_topic("dead_topic", topic))?;
        let connection = Connection::read(open)?;
        let create_topics = connection.creates_topics(options)?;
        Ok(Self {
            connection,
            topics,
            group: options.text("group")?.unwrap_or_else(|| pipeline(open)).to_owned(),
            limits: WindowLimits {
                time: duration("window")?,
                bytes: size("window_bytes")?,
                asset_bytes: size("asset_bytes")?,
                part_timeout: duration("part_timeout")?,
            },
            dead_topic,
            create_topics,
            member: match options.text("member")? {
                Some(member) => member.to_owned(),
                None => member(open),
            },
            starts_at_end: options.text("start")? == Some("latest"),
            session_timeout: duration("session_timeout")?,
            drain_timeout: duration("drain_timeout")?,
        })
    }

    /// The properties of the consumer.
    pub(super) fn consumer(&self) -> ClientConfig {
        let session = self.session_timeout.as_millis();
        let poll = (self.drain_timeout + Duration::from_secs(60)).as_millis().max(session);
        let mut config = self.connection.config();
        config
            .set("group.id", &self.group)
            .set("group.instance.id", &self.member)
            .set("max.poll.interval.ms", poll.to_string())
            .set("auto.offset.reset", if self.starts_at_end { "latest" } else { "earliest" })
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "false")
            .set("isolation.level", "read_committed")
            .set("statistics.interval.ms", "1000")
            .set("queued.max.messages.kbytes", "16384");
        // With the newer protocol, the brokers decide about these.
        if config.get("group.protocol") != Some("consumer") {
            config
                .set("session.timeout.ms", session.to_string())
                .set("heartbeat.interval.ms", (session / 3).min(3_000).to_string())
                .set("partition.assignment.strategy", "cooperative-sticky");
        }
        config
    }

    /// The properties of the producer for `dead_topic`.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.connection.config();
        config.set("compression.type", "zstd").set("message.max.bytes", "100000000");
        config
    }
}
