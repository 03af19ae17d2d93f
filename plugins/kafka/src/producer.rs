//! Sends records and waits for their acknowledgements.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::{Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use scanbridge_plugin_api::{Counter, LateRow, PluginError, Result, Services};

use crate::error::{Resource, cannot_create_client, is_of_record};
use crate::link::{Link, Linked, client_context};

/// Sends records; acknowledgements arrive on a thread of the client.
pub(crate) struct Producer {
    client: ThreadedProducer<Acks>,
}

/// The records of a producer that are not acknowledged, and what became of the others.
pub(crate) struct Acks {
    link: Link,
    metrics: Metrics,
    outcome: Mutex<Outcome>,
    /// Records that were acknowledged or refused.
    settled: AtomicU64,
}

#[derive(Default)]
struct Outcome {
    failure: Option<PluginError>,
    rejected: Vec<(LateRow, String)>,
    bytes: u64,
}

struct Metrics {
    records: Counter,
    bytes: Counter,
}

/// A record.
pub(crate) struct Record<'a> {
    pub(crate) topic: &'a str,
    /// `None`: by the key.
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<&'a [u8]>,
    /// `None` removes what has this key from a compacted topic.
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: OwnedHeaders,
    /// The findings in it.
    pub(crate) rows: Vec<LateRow>,
}

/// The longest time until a stop request is noticed.
const PAUSE: Duration = Duration::from_millis(5);
const SLICE: Duration = Duration::from_millis(200);
/// Interval between two reports to the host during a long wait.
const ALIVE: Duration = Duration::from_secs(10);

impl Linked for Acks {
    fn link(&self) -> &Link {
        &self.link
    }
}

client_context!(Acks);

impl ProducerContext for Acks {
    type DeliveryOpaque = Box<Vec<LateRow>>;

    fn delivery(&self, result: &DeliveryResult<'_>, rows: Self::DeliveryOpaque) {
        self.settled.fetch_add(1, Ordering::Relaxed);
        match result {
            Ok(message) => {
                let bytes = message.payload_len() as u64;
                self.metrics.records.add(1);
                self.metrics.bytes.add(bytes);
                self.lock().bytes += bytes;
            }
            Err((error, message)) => {
                let _log = self.link.services.enter();
                self.refused(message.topic(), error, *rows, message.payload_len());
            }
        }
    }
}

impl Acks {
    fn lock(&self) -> std::sync::MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, topic: &str, error: &KafkaError, rows: Vec<LateRow>, bytes: usize) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        if is_of_record(code) {
            let reason = format!("topic {topic} refuses the record of {bytes} bytes: {}", words(code));
            let mut outcome = self.lock();
            if rows.is_empty() {
                // No finding can be rejected instead, and sending it again does not help.
                outcome.failure.get_or_insert(PluginError::config(reason));
            } else {
                outcome.rejected.extend(rows.into_iter().map(|row| (row, reason.clone())));
            }
            return;
        }
        // What follows from a failure or from the end of the client says nothing.
        if matches!(code, Code::PurgeQueue | Code::PurgeInflight) {
            return;
        }
        let what = format!("cannot write to topic {topic}");
        let error = self.link.explain(&what, Resource::Target(topic), code);
        self.lock().failure.get_or_insert(error);
    }
}

fn words(code: Code) -> String {
    let limit = match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            "; increase `max.message.bytes` of the topic, or set a smaller `record_bytes`"
        }
        _ => "",
    };
    format!("{code}{limit}")
}

impl Producer {
    /// A producer with these properties and the ones that delivery relies on. Does not wait for a connection.
    ///
    /// # Errors
    /// [`scanbridge_plugin_api::ErrorKind::Config`] for an invalid property.
    pub(crate) fn new(mut config: ClientConfig, link: Link) -> Result<Self> {
        config.set("enable.idempotence", "true").set("acks", "all");
        let services = link.services.clone();
        let metrics = Metrics {
            records: services.counter("kafka_records_total", "Records that the brokers acknowledged"),
            bytes: services.counter("kafka_bytes_total", "Bytes of acknowledged records, before compression"),
        };
        let brokers = link.connection.brokers.clone();
        let acks = Acks { link, metrics, outcome: Mutex::default(), settled: AtomicU64::new(0) };
        let client =
            config.create_with_context(acks).map_err(|error| cannot_create_client(&brokers, &error))?;
        Ok(Self { client })
    }

    pub(crate) fn link(&self) -> &Link {
        &self.acks().link
    }

    fn acks(&self) -> &Acks {
        self.client.context()
    }

    /// Waits for a connection, and finds the number of partitions of a topic; `None` if it does not exist.
    ///
    /// # Errors
    /// Those of [`Link::metadata`]; the topic must not be written.
    pub(crate) fn find(&self, topic: &str) -> Result<Option<usize>> {
        let link = self.link();
        let metadata = link.metadata(self.client.client(), Some(topic), || {})?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let code = found.and_then(|found| found.error()).map(Code::from);
        match (code, found.map_or(0, |found| found.partitions().len())) {
            (None, partitions @ 1..) => Ok(Some(partitions)),
            (None | Some(Code::UnknownTopicOrPartition), _) => Ok(None),
            (Some(code), _) => Err(self.cannot_write(topic, code)),
        }
    }

    /// As [`Self::find`].
    ///
    /// # Errors
    /// As [`Self::find`]; the topic does not exist.
    pub(crate) fn partitions(&self, topic: &str) -> Result<usize> {
        self.find(topic)?.ok_or_else(|| self.cannot_write(topic, Code::UnknownTopicOrPartition))
    }

    fn cannot_write(&self, topic: &str, code: Code) -> PluginError {
        let what = format!("cannot write to topic {topic}");
        self.link().failed(&what, Resource::Target(topic)).error(code, "")
    }

    /// The number of brokers, from the metadata of a topic.
    ///
    /// # Errors
    /// Those of [`Link::metadata`].
    pub(crate) fn brokers(&self, topic: &str) -> Result<usize> {
        let metadata = self.link().metadata(self.client.client(), Some(topic), || {})?;
        Ok(metadata.brokers().len())
    }

    /// Queues a record. Waits while the queue is full.
    ///
    /// # Errors
    /// An earlier record failed, or the host stops the run.
    pub(crate) fn send(&self, record: Record<'_>) -> Result<()> {
        let Record { topic, partition, key, value, headers, rows } = record;
        let mut next = BaseRecord::with_opaque_to(topic, Box::new(rows)).headers(headers);
        (next.key, next.payload, next.partition) = (key, value, partition);
        let mut wait = Wait::new(self);
        loop {
            match self.client.send(next) {
                Ok(()) => return Ok(()),
                Err((error, refused)) => match error.rdkafka_error_code() {
                    Some(Code::QueueFull) => {
                        next = refused;
                        wait.pause(PAUSE)?;
                    }
                    _ => {
                        self.acks().refused(
                            topic,
                            &error,
                            *refused.delivery_opaque,
                            value.map_or(0, <[u8]>::len),
                        );
                        return self.check();
                    }
                },
            }
        }
    }

    /// Waits until all records are acknowledged or refused.
    ///
    /// # Errors
    /// A record failed, or the host stops the run.
    pub(crate) fn flush(&self) -> Result<()> {
        let mut wait = Wait::new(self);
        while self.client.in_flight_count() > 0 {
            // A timeout means that there is more to wait for.
            let _ = self.client.flush(SLICE);
            wait.pause(Duration::ZERO)?;
        }
        self.check()
    }

    /// See [`rdkafka::producer::Producer`], as for the others.
    pub(crate) fn init_transactions(&self, timeout: Duration) -> KafkaResult<()> {
        self.client.init_transactions(timeout)
    }

    pub(crate) fn begin_transaction(&self) -> KafkaResult<()> {
        self.client.begin_transaction()
    }

    pub(crate) fn commit_transaction(&self, timeout: Duration) -> KafkaResult<()> {
        self.client.commit_transaction(timeout)
    }

    pub(crate) fn abort_transaction(&self, timeout: Duration) -> KafkaResult<()> {
        self.client.abort_transaction(timeout)
    }

    /// # Errors
    /// A record failed.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(error) = self.acks().lock().failure.clone() {
            return Err(error);
        }
        match self.client.client().fatal_error() {
            Some((code, words)) => {
                let what = format!("cannot write to {}", self.link().connection.brokers);
                Err(self.link().failed(&what, Resource::Cluster).error(code, &words))
            }
            None => Ok(()),
        }
    }

    /// The findings that were refused since the last call, with reasons.
    pub(crate) fn take_rejected(&self) -> Vec<(LateRow, String)> {
        std::mem::take(&mut self.acks().lock().rejected)
    }

    /// The bytes of acknowledged records since the last call.
    pub(crate) fn take_bytes(&self) -> u64 {
        std::mem::take(&mut self.acks().lock().bytes)
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("connection", &self.link().connection).finish_non_exhaustive()
    }
}

/// A wait for acknowledgements.
struct Wait<'a> {
    producer: &'a Producer,
    alive: Instant,
    /// When the run began to stop, or the last acknowledgement after that.
    progress: Option<(Instant, u64)>,
}

impl<'a> Wait<'a> {
    fn new(producer: &'a Producer) -> Self {
        Self { producer, alive: Instant::now(), progress: None }
    }

    /// # Errors
    /// A record failed, the login is rejected, the host stops the run, or it is stopping and the brokers do not answer.
    fn pause(&mut self, pause: Duration) -> Result<()> {
        let link = self.producer.link();
        self.producer.check()?;
        link.check()?;
        if link.services.is_cancelled() {
            return Err(PluginError::cancelled());
        }
        if link.services.is_draining() {
            let settled = self.producer.acks().settled.load(Ordering::Relaxed);
            let since = match self.progress {
                Some((since, before)) if before == settled => since,
                _ => Instant::now(),
            };
            self.progress = Some((since, settled));
            if since.elapsed() > Services::DRAIN_PATIENCE {
                let what = format!("no acknowledgement from {}", link.connection.brokers);
                return Err(link.explain(&what, Resource::Cluster, Code::OperationTimedOut));
            }
        }
        if self.alive.elapsed() >= ALIVE {
            self.alive = Instant::now();
            link.services.phase("waiting for acknowledgements of the brokers");
        }
        if pause.is_zero() { Ok(()) } else { link.services.sleep(pause) }
    }
}
