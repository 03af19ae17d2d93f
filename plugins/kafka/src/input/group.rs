//! The consumer: a member of a group that gets some of the partitions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::BorrowedMessage;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use scanbridge_plugin_api::tracing::{Level, debug, info, warn};
use scanbridge_plugin_api::{Counter, ErrorKind, Gauge, PluginError, Result, Services};

use super::position::{Offsets, Partition};
use crate::error::{Resource, cannot_create_client};
use crate::link::{self, Link, Linked};

/// A member of a consumer group.
pub(super) struct Group {
    consumer: BaseConsumer<GroupContext>,
}

pub(super) struct GroupContext {
    link: Link,
    name: String,
    state: Mutex<State>,
    metrics: Metrics,
}

#[derive(Default)]
struct State {
    /// The next records by the ledger of this machine.
    ledger: Offsets,
    /// The partitions of this member, and whether they were read to their end at the last report of the client.
    owned: BTreeMap<Partition, bool>,
    /// Partitions that were taken away since the last poll.
    revoked: Vec<Partition>,
    /// Whether the group has given this member its partitions, possibly none.
    has_joined: bool,
    /// When the client last reported what is read.
    reported: Option<Instant>,
    /// Since when no broker is reachable.
    down: Option<Instant>,
    /// The partitions belong to others, or their positions are not known: nothing more may be read.
    failure: Option<PluginError>,
}

struct Metrics {
    lag: Gauge,
    owned: Gauge,
    rebalances: Counter,
}

/// What a poll brought.
pub(super) enum Polled<'a> {
    Record(BorrowedMessage<'a>),
    Nothing,
}

/// Timeout for queries about positions while partitions are assigned.
const QUERY: Duration = Duration::from_secs(15);
/// How long a commit is retried while the group changes.
const COMMIT_RETRIES: Duration = Duration::from_secs(15);
const COMMIT_PAUSE: Duration = Duration::from_millis(200);

const DELETED: &str = "partitions whose records were deleted by their retention time before they were read";

impl Linked for GroupContext {
    fn link(&self) -> &Link {
        &self.link
    }
}

impl rdkafka::ClientContext for GroupContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, text: &str) {
        link::log(&self.link, level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(Code::AllBrokersDown) {
            self.lock().down.get_or_insert_with(Instant::now);
        }
        link::error(&self.link, &error, reason);
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
        link::oauth_token(&self.link)
    }

    fn stats(&self, statistics: Statistics) {
        self.statistics(&statistics);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let _log = self.link.services.enter();
        self.metrics.rebalances.add(1);
        let is_cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let result = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned(consumer, partitions);
            if is_cooperative { consumer.incremental_assign(partitions) } else { consumer.assign(partitions) }
        } else {
            self.revoked(consumer, partitions);
            if is_cooperative { consumer.incremental_unassign(partitions) } else { consumer.unassign() }
        };
        if let Err(error) = result {
            self.fail(self.failed_to("change the partitions of", &error));
        }
        let owned = self.lock().owned.len();
        self.metrics.owned.set(owned as f64);
        info!(group = self.name, partitions = owned, "the partitions of this worker have changed");
    }
}

impl GroupContext {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: PluginError) {
        self.lock().failure.get_or_insert(error);
    }

    fn failed_to(&self, what: &str, error: &KafkaError) -> PluginError {
        self.link.failed(&format!("cannot {what} group {}", self.name), Resource::Group(&self.name)).of(error)
    }

    fn displaced(&self) -> PluginError {
        let message = format!("the partitions of this worker in group {} were given to others", self.name);
        PluginError::new(ErrorKind::Displaced, message).with_hint(
            "if outputs need more time, increase `drain_timeout`; if the network was interrupted, nothing is to be done",
        )
    }

    /// Sets where reading begins: after the last record that was delivered, by the ledger or by the group.
    fn assigned(&self, consumer: &BaseConsumer<Self>, partitions: &mut TopicPartitionList) {
        let committed = match consumer.committed_offsets(partitions.clone(), QUERY) {
            Ok(committed) => committed,
            Err(error) => {
                self.fail(self.failed_to("find the position of", &error));
                return;
            }
        };
        for mut element in partitions.elements() {
            let partition = Partition::of(element.topic(), element.partition());
            let committed = committed
                .find_partition(element.topic(), element.partition())
                .and_then(|found| found.offset().to_raw())
                .filter(|offset| *offset >= 0);
            let ledger = self.lock().ledger.get(&partition);
            if let Some(start) = self.start(consumer, &partition, ledger, committed) {
                // Only an offset that is not valid is refused.
                let _ = element.set_offset(Offset::Offset(start));
            }
            self.lock().owned.insert(partition, false);
        }
        self.lock().has_joined = true;
    }

    /// The further one of both positions, if the partition has it; `None` for a partition that was not read before.
    fn start(
        &self,
        consumer: &BaseConsumer<Self>,
        partition: &Partition,
        ledger: Option<i64>,
        committed: Option<i64>,
    ) -> Option<i64> {
        let start = ledger.max(committed)?;
        let Partition { topic, number } = partition;
        let Ok((low, high)) = consumer.fetch_watermarks(topic, *number, QUERY) else { return Some(start) };
        if start > high {
            warn!(
                topic,
                partition = number,
                "the stored position {start} is after the end {high}: the topic was created again"
            );
            self.lock().ledger.remove(partition);
            return committed.filter(|committed| *committed <= high);
        }
        if low > start {
            warn!(
                topic,
                partition = number,
                "records {start} to {} were deleted before they were read (retention time of the topic)",
                low - 1
            );
            self.link.services.note(Level::WARN, DELETED, 1);
        }
        Some(start)
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        if consumer.assignment_lost() {
            self.fail(self.displaced());
        }
        let mut state = self.lock();
        for element in partitions.elements() {
            let partition = Partition::of(element.topic(), element.partition());
            state.owned.remove(&partition);
            state.revoked.push(partition);
        }
    }

    fn statistics(&self, statistics: &Statistics) {
        let mut state = self.lock();
        let mut lag = 0;
        for (partition, at_end) in &mut state.owned {
            let topic = statistics.topics.get(&partition.topic);
            let Some(found) = topic.and_then(|topic| topic.partitions.get(&partition.number)) else {
                continue;
            };
            *at_end = found.eof_offset >= 0 && found.eof_offset == found.next_offset && found.fetchq_cnt == 0;
            if !*at_end {
                lag += found.consumer_lag.max(0);
            }
        }
        state.reported = Some(Instant::now());
        let is_steady = statistics.cgrp.as_ref().is_some_and(|group| group.join_state == "steady");
        state.has_joined = state.has_joined || is_steady;
        if statistics.brokers.values().any(|broker| broker.nodeid >= 0 && broker.state == "UP") {
            state.down = None;
        }
        drop(state);
        self.metrics.lag.set(lag as f64);
    }
}

impl Group {
    /// A member that has not joined.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an invalid property.
    pub(super) fn new(config: &ClientConfig, link: Link, name: &str, ledger: Offsets) -> Result<Self> {
        let services = link.services.clone();
        let metrics = Metrics {
            lag: services
                .gauge("kafka_lag_records", "Records of the partitions of this worker that are not read"),
            owned: services.gauge("kafka_partitions_owned", "Partitions of this worker"),
            rebalances: services
                .counter("kafka_rebalances_total", "Changes of the partitions of this worker"),
        };
        let state = Mutex::new(State { ledger, ..State::default() });
        let context = GroupContext { link, name: name.to_owned(), state, metrics };
        let brokers = context.link.connection.brokers.clone();
        let consumer =
            config.create_with_context(context).map_err(|error| cannot_create_client(&brokers, &error))?;
        Ok(Self { consumer })
    }

    pub(super) fn link(&self) -> &Link {
        &self.context().link
    }

    fn context(&self) -> &GroupContext {
        self.consumer.context()
    }

    pub(super) fn client(&self) -> &BaseConsumer<GroupContext> {
        &self.consumer
    }

    /// Waits for a connection, and finds the partitions of a topic.
    ///
    /// # Errors
    /// Those of [`Link::metadata`]; the topic does not exist or must not be read.
    pub(super) fn partitions(&self, topic: &str) -> Result<Vec<i32>> {
        let link = self.link();
        // The client reports a refusal of the group once, also before it joins.
        let refused = RefCell::new(None);
        let poll = || {
            if let Some(Err(error)) = self.consumer.poll(Duration::ZERO)
                && let Err(error) = self.judge(&error)
            {
                refused.borrow_mut().get_or_insert(error);
            }
        };
        let metadata = link.metadata(self.consumer.client(), Some(topic), poll)?;
        if let Some(error) = refused.take() {
            return Err(error);
        }
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let code = found.and_then(|found| found.error()).map(Code::from);
        let partitions: Vec<i32> =
            found.into_iter().flat_map(|found| found.partitions()).map(|partition| partition.id()).collect();
        if code.is_none() && !partitions.is_empty() {
            return Ok(partitions);
        }
        Err(link
            .failed(&format!("cannot read topic {topic}"), Resource::Source(topic))
            .error(code.unwrap_or(Code::UnknownTopicOrPartition), ""))
    }

    /// Joins the group.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: a name is not valid.
    pub(super) fn join(&self, topics: &[&str]) -> Result<()> {
        self.consumer.subscribe(topics).map_err(|error| self.context().failed_to("join", &error))
    }

    /// The next record, after at most this time. Partitions change only during this call.
    ///
    /// # Errors
    /// The group has given the partitions to others, or the brokers refuse the topic, the group or the login.
    pub(super) fn poll(&self, timeout: Duration) -> Result<Polled<'_>> {
        let polled = match self.consumer.poll(timeout) {
            Some(Ok(message)) => Polled::Record(message),
            Some(Err(error)) => {
                self.judge(&error)?;
                Polled::Nothing
            }
            None => Polled::Nothing,
        };
        self.check()?;
        Ok(polled)
    }

    fn check(&self) -> Result<()> {
        let link = self.link();
        let state = self.context().lock();
        if let Some(error) = &state.failure {
            return Err(error.clone());
        }
        let down = state.down.filter(|down| down.elapsed() >= link.connection.connect_timeout);
        drop(state);
        link.check()?;
        match down {
            None => Ok(()),
            Some(_) => {
                let what = format!("cannot connect to {}", link.connection.brokers);
                Err(link.explain(&what, Resource::Cluster, Code::AllBrokersDown))
            }
        }
    }

    fn judge(&self, error: &KafkaError) -> Result<()> {
        let Some((code, words)) = link::lasting(self.consumer.client(), error) else { return Ok(()) };
        let context = self.context();
        let topics = context.lock().owned.keys().next().map(|partition| partition.topic.clone());
        let what = format!("cannot read in group {}", context.name);
        let resource = match (code, &topics) {
            (Code::TopicAuthorizationFailed | Code::UnknownTopicOrPartition, Some(topic)) => {
                Resource::Source(topic)
            }
            _ => Resource::Group(&context.name),
        };
        Err(context.link.failed(&what, resource).error(code, &words))
    }

    /// The partitions that were taken away since the last call.
    pub(super) fn take_revoked(&self) -> Vec<Partition> {
        std::mem::take(&mut self.context().lock().revoked)
    }

    /// Whether all partitions of this member were read to their end, and nothing has come since `last`.
    pub(super) fn is_at_end(&self, last: Option<Instant>) -> bool {
        let state = self.context().lock();
        let is_current = state.reported.is_some_and(|reported| last.is_none_or(|last| reported > last));
        state.has_joined && is_current && state.owned.values().all(|at_end| *at_end)
    }

    /// Stores the positions in the group, of the partitions of this member.
    ///
    /// # Errors
    /// The brokers do not store them. The ledger of this machine has them.
    pub(super) fn commit(&self, offsets: &Offsets) -> Result<()> {
        let context = self.context();
        let mut list = TopicPartitionList::new();
        {
            let mut state = context.lock();
            state.ledger.update(offsets);
            for (partition, next) in
                offsets.iter().filter(|(partition, _)| state.owned.contains_key(partition))
            {
                let added =
                    list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(next));
                added.map_err(|error| context.failed_to("store the position of", &error))?;
            }
        }
        if list.count() == 0 {
            return Ok(());
        }
        let began = Instant::now();
        loop {
            let Err(error) = self.consumer.commit(&list, CommitMode::Sync) else { return Ok(()) };
            let code = error.rdkafka_error_code();
            let error = context.failed_to("store the position of", &error);
            // While other workers join or leave, the group has a new generation before this member knows it.
            let is_passing = error.kind == ErrorKind::Unavailable || code == Some(Code::IllegalGeneration);
            if is_passing && began.elapsed() < COMMIT_RETRIES {
                debug!("{error}");
                context.link.services.alive();
                if context.link.services.sleep(COMMIT_PAUSE).is_err() {
                    return Err(error);
                }
            } else if error.kind == ErrorKind::Displaced {
                // Another worker has the partitions: it repeats at most this window. The next poll ends the run.
                warn!("{error}");
                let is_evicted = code == Some(Code::UnknownMemberId);
                context.fail(if is_evicted { context.displaced() } else { error });
                return Ok(());
            } else {
                return Err(error);
            }
        }
    }

    pub(super) fn services(&self) -> &Services {
        &self.context().link.services
    }
}
