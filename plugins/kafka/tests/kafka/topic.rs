//! Topics of the tests, read and written without the plugin.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// A record as a reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: BTreeMap<String, String>,
}

pub(crate) fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

/// Creates a topic.
pub(crate) fn create(brokers: &str, name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().unwrap();
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for created in runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap() {
        created.unwrap();
    }
    // A broker may answer before its metadata has the topic.
    let began = Instant::now();
    while self::partitions(brokers, name) != usize::try_from(partitions).unwrap() {
        assert!(began.elapsed() < Duration::from_secs(30), "topic {name} is missing after its creation");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The number of partitions of a topic; 0 if it does not exist.
pub(crate) fn partitions(brokers: &str, name: &str) -> usize {
    let consumer: BaseConsumer = client(brokers).create().unwrap();
    let all = consumer.fetch_metadata(None, Duration::from_secs(20)).unwrap();
    all.topics().iter().find(|topic| topic.name() == name).map_or(0, |topic| topic.partitions().len())
}

/// The settings of a topic.
pub(crate) fn settings(brokers: &str, name: &str) -> BTreeMap<String, String> {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let topics = [ResourceSpecifier::Topic(name)];
    let mut found = runtime.block_on(admin.describe_configs(&topics, &AdminOptions::new())).unwrap();
    let entries = found.remove(0).unwrap().entries;
    entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

/// A consumer of all committed records of a topic, which reports the end of each partition; and their number.
pub(crate) fn reader(config: &mut ClientConfig, topic: &str) -> (BaseConsumer, usize) {
    let consumer: BaseConsumer = config
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20)).unwrap();
    let mut all = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        all.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    (consumer, metadata.topics()[0].partitions().len())
}

/// All committed records of a topic.
pub(crate) fn read(brokers: &str, topic: &str) -> Vec<Seen> {
    let (consumer, mut left) = reader(client(brokers).set("group.id", "test-reader"), topic);
    let (mut seen, began) = (Vec::new(), Instant::now());
    while left > 0 {
        assert!(began.elapsed() < Duration::from_secs(120), "reading {topic} takes too long");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => seen.push(Seen {
                partition: message.partition(),
                key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
                value: message.payload().unwrap_or_default().to_vec(),
                headers: message.headers().map_or_else(BTreeMap::new, |headers| {
                    headers
                        .iter()
                        .map(|header| {
                            let value = String::from_utf8_lossy(header.value.unwrap_or_default());
                            (header.key.to_owned(), value.into_owned())
                        })
                        .collect()
                }),
            }),
            Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
            // A broker that was killed on purpose.
            Some(Err(KafkaError::MessageConsumption(
                Code::BrokerTransportFailure | Code::AllBrokersDown,
            )))
            | None => {}
            Some(Err(error)) => panic!("{error}"),
        }
    }
    seen
}

/// The next offsets that a group has stored, by partition.
pub(crate) fn stored(brokers: &str, group: &str, topic: &str, partitions: i32) -> Vec<i64> {
    let consumer: BaseConsumer = client(brokers).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let stored = consumer.committed_offsets(list, Duration::from_secs(20)).unwrap();
    stored.elements().iter().map(|element| element.offset().to_raw().unwrap_or(-1)).collect()
}

/// Writes records.
pub(crate) fn write(brokers: &str, topic: &str, records: &[Seen]) {
    let producer: BaseProducer = client(brokers).set("message.max.bytes", "20000000").create().unwrap();
    for record in records {
        let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        producer
            .send(
                BaseRecord::to(topic)
                    .partition(record.partition)
                    .key(record.key.as_bytes())
                    .payload(&record.value)
                    .headers(headers),
            )
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}
