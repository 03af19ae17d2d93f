//! Topics as the manual describes them: the command that creates one, and option `create_topics`, which does the same.

use std::time::Instant;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;
use scanbridge_http_route::Runtime;
use scanbridge_plugin_api::tracing::{info, warn};
use scanbridge_plugin_api::{PluginError, Result, Services};

use crate::connection::Connection;
use crate::error::Resource;
use crate::format::Format;
use crate::link::Link;
use crate::producer::Producer;
use crate::topic_settings::AdminContext;

/// A topic that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicPlan {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    settings: &'static [(&'static str, &'static str)],
}

/// Number of brokers that have a copy of each record, if there are as many.
const REPLICAS: usize = 3;
/// Number of them that must have a record before it is acknowledged.
const IN_SYNC: &str = "min.insync.replicas";
const PARTITIONS: u32 = 12;
const DAYS_3: &str = "259200000";
const DAYS_30: &str = "2592000000";

impl TopicPlan {
    /// A topic with records of this format.
    pub(crate) fn records(name: &str, format: Format) -> Self {
        let settings: &[_] = match format {
            Format::Batch => &[("cleanup.policy", "delete"), ("retention.ms", DAYS_3)],
            // What their readers need is not known.
            Format::Text(_) => &[],
        };
        Self { name: name.to_owned(), partitions: PARTITIONS, settings }
    }

    /// The topic of the checkpoints.
    pub(crate) fn state(name: &str, slots: u32) -> Self {
        Self { name: name.to_owned(), partitions: slots, settings: &[("cleanup.policy", "compact")] }
    }

    /// A topic with invalid records.
    pub(crate) fn dead(name: &str) -> Self {
        let settings = &[("cleanup.policy", "delete"), ("retention.ms", DAYS_30)];
        Self { name: name.to_owned(), partitions: 3, settings }
    }

    /// The command that creates it, for hints.
    pub(crate) fn command(&self, brokers: &str) -> String {
        let Self { name, partitions, settings } = self;
        let mut command = format!(
            "create it: kafka-topics --bootstrap-server {brokers} --create --topic {name} --partitions {partitions} \
             --replication-factor {REPLICAS}"
        );
        for (key, value) in *settings {
            command.push_str(&format!(" --config {key}={value}"));
        }
        command.push_str(&format!(" --config {IN_SYNC}=2"));
        command
    }
}

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
    let link = Link::new(connection.clone(), services);
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
    let admin: AdminClient<AdminContext> = connection
        .config()
        .create_with_context(AdminContext(Link::new(connection.clone(), services)))
        .map_err(|error| link.failed("cannot create topics", Resource::Cluster).of(&error))?;
    let timeout = Some(connection.connect_timeout);
    let options = AdminOptions::new().request_timeout(timeout).operation_timeout(timeout);
    let created = Runtime::new(services)?
        .run(admin.create_topics(&topics, &options))?
        .map_err(|error| link.failed("cannot create topics", Resource::New(&plans[0].name)).of(&error))?;
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

/// # Errors
/// [`ErrorKind::Config`](scanbridge_plugin_api::ErrorKind::Config): topics cannot be created with this login.
pub(crate) fn check_option(create_topics: bool, connection: &Connection) -> Result<()> {
    if create_topics && connection.tokens.is_some() {
        let message = "option `create_topics`: topics cannot be created with `sasl: oauthbearer`";
        return Err(PluginError::config(message)
            .with_option("create_topics")
            .with_hint("create them with the commands of the manual"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use scanbridge_finding_texts::TextFormat;

    use super::*;

    #[test]
    fn commands_have_the_settings() {
        for (plan, end) in [
            (
                TopicPlan::records("a", Format::Batch),
                "--topic a --partitions 12 --replication-factor 3 --config cleanup.policy=delete --config \
                 retention.ms=259200000 --config min.insync.replicas=2",
            ),
            (
                TopicPlan::records("b", Format::Text(TextFormat::Cef)),
                "--topic b --partitions 12 --replication-factor 3 --config min.insync.replicas=2",
            ),
            (
                TopicPlan::state("c", 2),
                "--topic c --partitions 2 --replication-factor 3 --config cleanup.policy=compact --config \
                 min.insync.replicas=2",
            ),
            (
                TopicPlan::dead("d"),
                "--topic d --partitions 3 --replication-factor 3 --config cleanup.policy=delete --config \
                 retention.ms=2592000000 --config min.insync.replicas=2",
            ),
        ] {
            let command = plan.command("k1:9093");
            assert_eq!(command, format!("create it: kafka-topics --bootstrap-server k1:9093 --create {end}"));
        }
    }
}
