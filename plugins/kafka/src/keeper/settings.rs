//! The options of `delivery: exactly-once`.

use std::time::Duration;

use rdkafka::ClientConfig;
use scanbridge_plugin_api::{Open, PluginError, Result};

use crate::connection::{Connection, member, pipeline, valid_topic};
use crate::topic_plan::TopicPlan;

/// Where the checkpoint is, and who may work.
#[derive(Debug, Clone)]
pub(crate) struct KeeperSettings {
    pub(crate) connection: Connection,
    /// The topic with the checkpoints, one partition for each slot. Names of the group and of transactions begin with it.
    pub(crate) state_topic: String,
    pub(crate) slots: u32,
    pub(crate) transaction_timeout: Duration,
    pub(crate) takeover_wait: Duration,
    session_timeout: Duration,
    member: String,
}

impl KeeperSettings {
    /// `None` with `delivery: at-least-once`.
    ///
    /// # Errors
    /// [`scanbridge_plugin_api::ErrorKind::Config`] that names the option.
    pub(crate) fn read(open: &Open<'_>, connection: &Connection) -> Result<Option<Self>> {
        let options = open.options;
        if options.text("delivery")? != Some("exactly-once") {
            return Ok(None);
        }
        let duration = |name| Ok::<_, PluginError>(options.duration(name)?.unwrap_or_default());
        let state_topic = match options.text("state_topic")? {
            Some(topic) => topic.to_owned(),
            None => format!("scanbridge.{}.state", pipeline(open)),
        };
        valid_topic("state_topic", &state_topic)?;
        Ok(Some(Self {
            connection: connection.clone(),
            state_topic,
            slots: options.integer("slots")?.unwrap_or(1),
            transaction_timeout: duration("transaction_timeout")?,
            takeover_wait: duration("takeover_wait")?,
            session_timeout: duration("session_timeout")?,
            member: member(open),
        }))
    }

    /// The consumer group whose members share the slots.
    pub(super) fn group(&self) -> String {
        format!("{}.slots", self.state_topic)
    }

    pub(super) fn transactional_id(&self, slot: i32) -> String {
        format!("{}.{slot}", self.state_topic)
    }

    /// The properties of a member of the group. The classic protocol: with it a member notices itself that its session has
    /// ended, also without a connection.
    pub(super) fn consumer(&self) -> ClientConfig {
        let session = self.session_timeout.as_millis();
        let mut config = self.connection.config();
        config
            .set("group.id", self.group())
            .set("group.instance.id", &self.member)
            .set("group.protocol", "classic")
            .set("session.timeout.ms", session.to_string())
            .set("heartbeat.interval.ms", (session / 4).clamp(200, 3_000).to_string())
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false");
        config
    }

    /// The properties of a client that reads the checkpoint.
    pub(super) fn reader(&self) -> ClientConfig {
        let mut config = self.connection.config();
        config
            .set("group.id", self.group())
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest");
        config
    }

    /// Adds the properties of transactions.
    pub(super) fn producer(&self, config: &mut ClientConfig, slot: i32) {
        let timeout = self.transaction_timeout.as_millis().to_string();
        config.set("transactional.id", self.transactional_id(slot)).set("transaction.timeout.ms", &timeout);
        let delivery = config.get("delivery.timeout.ms").and_then(|value| value.parse::<u128>().ok());
        if delivery.is_none_or(|delivery| delivery > self.transaction_timeout.as_millis()) {
            config.set("delivery.timeout.ms", &timeout);
        }
    }

    /// The state topic, if it does not exist.
    pub(crate) fn state_plan(&self) -> TopicPlan {
        TopicPlan::state(&self.state_topic, self.slots)
    }
}
