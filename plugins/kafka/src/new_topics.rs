//! Option `create_topics`: creates topics that do not exist.

use std::time::Instant;

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;
use scanbridge_http_route::Runtime;
use scanbridge_plugin_api::tracing::{info, warn};
use scanbridge_plugin_api::{PluginError, Result, Services};

use crate::connection::Connection;
use crate::error::Resource;
use crate::link::Linked as _;
use crate::producer::Producer;
use crate::topic_plan::{IN_SYNC, REPLICAS, TopicPlan};
use crate::topic_settings::admin;

/// Creates those of the topics that do not exist. Several instances may do so at the same time.
///
/// # Errors
/// [`ErrorKind::Auth`](scanbridge_plugin_api::ErrorKind::Auth) without permission, and those of the connection.
pub(crate) fn create_missing(producer: &Producer, services: &Services, plans: &[TopicPlan]) -> Result<()> {
    let mut missing = Vec::new();
    for plan in plans {
        if producer.find(&plan.name)?.is_none() {
            missing.push(plan);
        }
    }
    let Some(first) = missing.first() else { return Ok(()) };
    let replicas = producer.brokers(&first.name)?.min(REPLICAS);
    if replicas < REPLICAS {
        warn!(replicas, "topics are created with fewer than {REPLICAS} replicas: there are not more brokers");
    }
    create(&producer.link().connection, services, &missing, replicas)?;
    missing.iter().try_for_each(|plan| wait_for(producer, services, plan))
}

fn create(connection: &Connection, services: &Services, plans: &[&TopicPlan], replicas: usize) -> Result<()> {
    let cannot_create = "cannot create topics";
    let admin = admin(connection, services, cannot_create)?;
    let link = admin.inner().context().link();
    let failed = |name: &str, code: Code| {
        let what = format!("cannot create topic {name}");
        link.failed(&what, Resource::New(name)).error(code, "")
    };
    let in_sync = if replicas < REPLICAS { "1" } else { "2" };
    let topics = plans.iter().map(|plan| {
        let partitions = i32::try_from(plan.partitions).unwrap_or(i32::MAX);
        let copies = TopicReplication::Fixed(i32::try_from(replicas).unwrap_or(1));
        let topic = NewTopic::new(&plan.name, partitions, copies).set(IN_SYNC, in_sync);
        plan.settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
    });
    let topics: Vec<NewTopic<'_>> = topics.collect();
    let timeout = Some(connection.connect_timeout);
    let options = AdminOptions::new().request_timeout(timeout).operation_timeout(timeout);
    let created = Runtime::new(services)?
        .run(admin.create_topics(&topics, &options))?
        .map_err(|error| link.failed(cannot_create, Resource::New(&plans[0].name)).of(&error))?;
    for created in created {
        match created {
            Ok(topic) => info!(topic, replicas, "topic created"),
            Err((_, Code::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(failed(&topic, code)),
        }
    }
    Ok(())
}

/// Waits until the brokers know the topic.
fn wait_for(producer: &Producer, services: &Services, plan: &TopicPlan) -> Result<()> {
    let began = Instant::now();
    while producer.find(&plan.name)?.is_none() {
        if began.elapsed() > producer.link().connection.connect_timeout {
            return Err(PluginError::unavailable(format!(
                "topic {} was created, and the brokers do not know it yet",
                plan.name
            )));
        }
        services.sleep(std::time::Duration::from_millis(100))?;
    }
    Ok(())
}
