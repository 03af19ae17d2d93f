//! Copies of invalid records, on a topic of their own.

use scanbridge_plugin_api::{Result, Services};

use super::record::RawRecord;
use super::settings::InputSettings;
use crate::format::{header, with};
use crate::link::Link;
use crate::new_topics::create_missing;
use crate::producer::{Producer, Record};
use crate::topic_plan::TopicPlan;

/// Writes copies.
pub(super) struct DeadLetters {
    topic: String,
    producer: Producer,
}

impl DeadLetters {
    /// Connects to the topic; `None` if there is none.
    ///
    /// # Errors
    /// The topic does not exist or must not be written to.
    pub(super) fn open(settings: &InputSettings, services: &Services) -> Result<Option<Self>> {
        let Some(topic) = settings.dead_topic.clone() else { return Ok(None) };
        let producer = Producer::new(settings.producer(), Link::new(settings.connection.clone(), services))?;
        if settings.create_topics {
            create_missing(&producer, services, &[TopicPlan::dead(&topic)])?;
        }
        producer.partitions(&topic)?;
        Ok(Some(Self { topic, producer }))
    }

    /// Whether the topic exists; without changing anything.
    ///
    /// # Errors
    /// It must not be written to, or it does not exist and is not to be created.
    pub(super) fn probe(settings: &InputSettings, services: &Services, topic: &str) -> Result<bool> {
        let producer = Producer::new(settings.producer(), Link::new(settings.connection.clone(), services))?;
        match settings.create_topics {
            true => Ok(producer.find(topic)?.is_some()),
            false => producer.partitions(topic).map(|_| true),
        }
    }

    /// Copies records, and waits until the brokers have acknowledged the copies.
    ///
    /// # Errors
    /// A copy was not stored: its record must be read again.
    pub(super) fn copy(&self, records: &[(RawRecord, String)]) -> Result<()> {
        for (record, reason) in records {
            let mut headers = rdkafka::message::OwnedHeaders::new();
            for (name, value) in &record.headers {
                headers = headers.insert(rdkafka::message::Header { key: name, value: Some(value) });
            }
            headers = with(headers, header::REASON, reason);
            headers = with(headers, header::ORIGIN, &record.origin());
            self.producer.send(Record {
                topic: &self.topic,
                partition: None,
                key: record.key.as_deref(),
                value: Some(&record.value),
                headers,
                rows: Vec::new(),
            })?;
        }
        self.producer.flush()
    }
}
