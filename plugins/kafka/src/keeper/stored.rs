//! The checkpoint of a slot, read from its partition of the state topic.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use scanbridge_plugin_api::keeper::Pairs;
use scanbridge_plugin_api::tracing::debug;
use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use super::settings::KeeperSettings;
use crate::error::{Resource, kind};
use crate::link::{Link, Linked, client_context};

struct ReaderContext(Link);

impl Linked for ReaderContext {
    fn link(&self) -> &Link {
        &self.0
    }
}

client_context!(ReaderContext);

impl ConsumerContext for ReaderContext {}

const POLL: Duration = Duration::from_millis(100);

/// Reads all committed pairs of a slot. Call it after transactions of former owners are fenced off: otherwise their last
/// one can be missed.
///
/// # Errors
/// The partition cannot be read to its end within `connect_timeout` without progress; the slot was lost.
pub(super) fn read(settings: &KeeperSettings, link: Link, slot: i32) -> Result<Pairs> {
    let services = link.services.clone();
    services.phase("reading the checkpoint");
    debug!("the checkpoint of the slot is read");
    let topic = settings.state_topic.as_str();
    let what = format!("cannot read the checkpoint from {topic}/{slot}");
    let consumer: BaseConsumer<ReaderContext> =
        match settings.reader().create_with_context(ReaderContext(link)) {
            Ok(consumer) => consumer,
            Err(error) => {
                let link = Link::new(settings.connection.clone(), &services);
                return Err(link.failed(&what, Resource::Source(topic)).of(&error));
            }
        };
    let link = &consumer.context().0;
    let failed = |error: &KafkaError| link.failed(&what, Resource::Source(topic)).of(error);
    let mut from_start = TopicPartitionList::new();
    from_start.add_partition_offset(topic, slot, Offset::Beginning).map_err(|error| failed(&error))?;
    consumer.assign(&from_start).map_err(|error| failed(&error))?;
    let (mut pairs, mut progress) = (Pairs::new(), Instant::now());
    loop {
        link.check()?;
        if services.is_draining() || services.is_cancelled() {
            return Err(PluginError::cancelled());
        }
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                progress = Instant::now();
                let name = message.key().and_then(|key| std::str::from_utf8(key).ok());
                let name = name.ok_or_else(|| {
                    PluginError::bad_data(format!("{what}: record {} has no name", message.offset()))
                        .with_hint("only Scanbridge may write to this topic")
                })?;
                match message.payload() {
                    Some(value) => drop(pairs.insert(name.to_owned(), value.to_vec())),
                    None => drop(pairs.remove(name)),
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(pairs),
            Some(Err(error)) => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                if kind(code, "") != ErrorKind::Unavailable {
                    return Err(failed(&error));
                }
            }
            None => services.alive(),
        }
        if progress.elapsed() > settings.connection.connect_timeout {
            return Err(link.explain(&what, Resource::Source(topic), Code::OperationTimedOut));
        }
    }
}
