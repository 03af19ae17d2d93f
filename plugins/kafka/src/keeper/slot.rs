//! The slot of an instance: a partition of the state topic that the group has given to it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use scanbridge_plugin_api::tracing::{info, warn};
use scanbridge_plugin_api::{ErrorKind, Gauge, PluginError, Result, Services};

use super::settings::KeeperSettings;
use crate::error::Resource;
use crate::link::{Link, Linked, client_context, lasting};

/// Holds a slot while it lives. A thread answers the group.
pub(super) struct Slot {
    pub(super) number: i32,
    shared: Arc<SlotContext>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and the output know of the slots.
pub(super) struct SlotContext {
    link: Link,
    group: String,
    state: Mutex<State>,
    without_instance: Gauge,
}

#[derive(Default)]
struct State {
    owned: BTreeSet<i32>,
    /// The slot that the instance works on.
    working: Option<i32>,
}

/// The context of the client: it shares its state with the output.
struct Context(Arc<SlotContext>);

const POLL: Duration = Duration::from_millis(100);
/// Interval between two reports to the host while waiting.
const ALIVE: Duration = Duration::from_secs(10);

impl Linked for Context {
    fn link(&self) -> &Link {
        &self.0.link
    }
}

client_context!(Context);

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let _log = self.0.link.services.enter();
        let is_cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let result = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // Nothing is read through the group.
            let result = partitions.set_all_offsets(Offset::End).and_then(|()| match is_cooperative {
                true => consumer.incremental_assign(partitions),
                false => consumer.assign(partitions),
            });
            let result = result.and_then(|()| consumer.pause(partitions));
            self.0.assigned(partitions);
            result
        } else {
            self.0.revoked(partitions);
            if is_cooperative { consumer.incremental_unassign(partitions) } else { consumer.unassign() }
        };
        if let Err(error) = result {
            let what = format!("cannot change the slots of group {}", self.0.group);
            self.0.fail(self.0.link.failed(&what, Resource::Group(&self.0.group)).of(&error));
        }
    }
}

impl SlotContext {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: PluginError) {
        self.link.end(error);
        self.link.services.wake();
    }

    fn assigned(&self, partitions: &TopicPartitionList) {
        let mut state = self.lock();
        state.owned.extend(partitions.elements().iter().map(|element| element.partition()));
        let working = state.working.or_else(|| state.owned.last().copied());
        let idle: Vec<i32> = state.owned.iter().copied().filter(|slot| Some(*slot) != working).collect();
        drop(state);
        self.without_instance.set(idle.len() as f64);
        for slot in idle {
            warn!(slot, "slot {slot} has no instance of its own; start more instances");
        }
    }

    fn revoked(&self, partitions: &TopicPartitionList) {
        let mut state = self.lock();
        for element in partitions.elements() {
            state.owned.remove(&element.partition());
        }
        let lost = state.working.filter(|slot| !state.owned.contains(slot));
        drop(state);
        if let Some(slot) = lost {
            self.fail(displaced(&self.group, slot));
        }
    }
}

fn displaced(group: &str, slot: i32) -> PluginError {
    PluginError::new(
        ErrorKind::Displaced,
        format!(
            "slot {slot} of group {group} was given to another instance, or the connection to the brokers was lost"
        ),
    )
}

impl Slot {
    /// Joins the group and waits until it has given a slot to this instance: seconds, or days for a standby.
    ///
    /// # Errors
    /// The host stops the run; the brokers refuse the group or the login, or the state topic does not have the slots.
    pub(super) fn wait(settings: &KeeperSettings, services: &Services) -> Result<Self> {
        let context = SlotContext {
            link: Link::new(settings.connection.clone(), services),
            group: settings.group(),
            state: Mutex::default(),
            without_instance: services
                .gauge("kafka_slots_without_instance", "Slots of this instance that it does not work on"),
        };
        let shared = Arc::new(context);
        let consumer: BaseConsumer<Context> =
            settings.consumer().create_with_context(Context(Arc::clone(&shared))).map_err(|error| {
                let what = format!("cannot create a client for {}", settings.connection.brokers);
                shared.link.failed(&what, Resource::Cluster).of(&error)
            })?;
        check_topic(settings, &shared.link, &consumer)?;
        let what = format!("cannot join group {}", shared.group);
        consumer
            .subscribe(&[&settings.state_topic])
            .map_err(|error| shared.link.failed(&what, Resource::Group(&shared.group)).of(&error))?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = Arc::clone(&stop);
            std::thread::Builder::new()
                .name("kafka slot".to_owned())
                .spawn(move || answer(&consumer, &stop))
                .map_err(|error| PluginError::bug(format!("cannot start a thread: {error}")))?
        };
        let mut slot = Self { number: -1, shared, stop, thread: Some(thread) };
        slot.number = slot.assigned(services)?;
        info!(slot = slot.number, "this instance works on slot {}", slot.number);
        Ok(slot)
    }

    /// Waits until the group has given slots to this instance, and chooses one.
    fn assigned(&self, services: &Services) -> Result<i32> {
        let mut alive = Instant::now();
        services.phase("waiting for a slot");
        loop {
            self.check()?;
            {
                let mut state = self.shared.lock();
                // When other instances join, the client gives its lowest partitions to them.
                if let Some(last) = state.owned.last().copied() {
                    state.working = Some(last);
                    return Ok(last);
                }
            }
            if services.is_draining() || services.is_cancelled() {
                return Err(PluginError::cancelled());
            }
            if alive.elapsed() >= ALIVE {
                alive = Instant::now();
                services.phase("waiting for a slot");
            }
            services.sleep(POLL)?;
        }
    }

    /// Whether the slot belongs to this instance.
    ///
    /// # Errors
    /// [`ErrorKind::Displaced`] if not; the login is rejected.
    pub(super) fn check(&self) -> Result<()> {
        self.shared.link.check()
    }

    /// For other clients of the instance: their waits end when the slot is lost.
    pub(super) fn link(&self) -> &Link {
        &self.shared.link
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends after the client has left the connection.
            let _ = thread.join();
        }
    }
}

/// Serves the group until the instance ends.
fn answer(consumer: &BaseConsumer<Context>, stop: &AtomicBool) {
    let shared = Arc::clone(&consumer.context().0);
    let _log = shared.link.services.enter();
    while !stop.load(Ordering::Relaxed) {
        poll(consumer, POLL);
    }
    // A revocation while the client closes is not a failure.
    shared.lock().working = None;
}

/// Serves the group for this time. The client reports a refusal once, so each error that does not pass is kept.
fn poll(consumer: &BaseConsumer<Context>, timeout: Duration) {
    let Some(Err(error)) = consumer.poll(timeout) else { return };
    let Some((code, words)) = lasting(consumer.client(), &error) else { return };
    let shared = &consumer.context().0;
    let what = format!("cannot take part in group {}", shared.group);
    shared.fail(shared.link.failed(&what, Resource::Group(&shared.group)).error(code, &words));
}

/// # Errors
/// The state topic does not exist, or has another number of partitions than `slots`.
fn check_topic(settings: &KeeperSettings, link: &Link, consumer: &BaseConsumer<Context>) -> Result<()> {
    let topic = settings.state_topic.as_str();
    let metadata = link.metadata(consumer.client(), Some(topic), || poll(consumer, Duration::ZERO))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let code = found.and_then(|found| found.error()).map(Code::from);
    let partitions = found.map_or(0, |found| found.partitions().len());
    if partitions == settings.slots as usize {
        return Ok(());
    }
    let what = format!("cannot use the state topic {topic}");
    match code {
        Some(code) if code != Code::UnknownTopicOrPartition => {
            Err(link.failed(&what, Resource::Source(topic)).error(code, ""))
        }
        _ if partitions == 0 => Err(PluginError::config(format!("the state topic {topic} does not exist"))
            .with_option("state_topic")
            .with_hint(settings.state_plan().command(&settings.connection.brokers))),
        _ => Err(PluginError::config(format!(
            "the state topic {topic} has {partitions} partitions, and `slots` is {}",
            settings.slots
        ))
        .with_option("slots")
        .with_hint("set `slots` to this number in all instances, or use another `state_topic`")),
    }
}
