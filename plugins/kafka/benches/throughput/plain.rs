//! Plain clients of librdkafka with the properties that the plugin sets.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::topic::{Seen, client, reader};

/// A producer as small programs have it.
pub(crate) struct Producer {
    client: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl Producer {
    pub(crate) fn new(brokers: &str, topic: &str) -> Self {
        let client = client(brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "zstd")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "20")
            .set("delivery.timeout.ms", "120000")
            .set("message.max.bytes", "1000000")
            .set("batch.size", "1000000")
            .set("queue.buffering.max.kbytes", "16384")
            .create()
            .unwrap();
        Self { client, topic: topic.to_owned() }
    }

    /// Sends these records and waits for their acknowledgements.
    pub(crate) fn round(&self, records: &[Seen]) {
        for record in records {
            let headers = record
                .headers
                .iter()
                .fold(OwnedHeaders::new_with_capacity(record.headers.len()), |headers, (key, value)| {
                    headers.insert(Header { key, value: Some(value) })
                });
            let mut next = BaseRecord::to(&self.topic)
                .key(record.key.as_bytes())
                .payload(&record.value)
                .headers(headers);
            while let Err((error, refused)) = self.client.send(next) {
                assert_eq!(error.rdkafka_error_code(), Some(Code::QueueFull), "{error}");
                next = refused;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        while self.client.in_flight_count() > 0 {
            self.client.flush(Duration::from_secs(30)).unwrap();
        }
    }
}

/// Reads a topic to its end; returns the number of records and their bytes.
pub(crate) fn consume(brokers: &str, topic: &str) -> (u64, u64) {
    let mut config = client(brokers);
    config.set("group.id", "plain").set("queued.max.messages.kbytes", "16384");
    let (consumer, mut left) = reader(&mut config, topic);
    let (mut records, mut bytes) = (0, 0);
    while left > 0 {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                records += 1;
                bytes += message.payload_len() as u64;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    (records, bytes)
}
