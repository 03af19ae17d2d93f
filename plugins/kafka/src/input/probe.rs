//! `check --probe` of the input: connection, login, topics, group. It does not join the group.

use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::TopicPartitionList;
use scanbridge_plugin_api::{CheckReport, ErrorKind, Result, Services, Verdict};

use super::dead_letters::DeadLetters;
use super::group::Group;
use super::position::Offsets;
use super::settings::InputSettings;
use crate::error::Resource;
use crate::link::Link;

const QUERY: Duration = Duration::from_secs(15);

/// # Errors
/// [`ErrorKind::Cancelled`] only; what fails is a step of the report.
pub(super) fn input(settings: &InputSettings, services: &Services) -> Result<CheckReport> {
    let mut report = CheckReport::default();
    let link = Link::new(settings.connection.clone(), services);
    let group = Group::new(&settings.consumer(), link, &settings.group, Offsets::default())?;
    let mut all = TopicPartitionList::new();
    for topic in &settings.topics {
        let step = format!("topic {topic}");
        match group.partitions(topic) {
            Ok(partitions) => {
                partitions.iter().for_each(|number| {
                    all.add_partition(topic, *number);
                });
                report = report.step(step, Verdict::Ok, format!("{} partitions", partitions.len()));
            }
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            // Without a connection, the other steps would fail for the same reason.
            Err(error) => return Ok(report.failed_step(step, &error)),
        }
    }
    let step = format!("group {}", settings.group);
    report = match lag(&group, all) {
        Ok(lag) => report.step(step, Verdict::Ok, format!("{lag} records not read")),
        Err(error) => {
            let what = format!("cannot read in group {}", settings.group);
            report.failed_step(step, &group.link().failed(&what, Resource::Group(&settings.group)).of(&error))
        }
    };
    if let Some(topic) = &settings.dead_topic {
        let step = format!("topic {topic}");
        report = match DeadLetters::probe(settings, services, topic) {
            Ok(true) => report.step(step, Verdict::Ok, "exists"),
            Ok(false) => report.step(step, Verdict::Ok, "does not exist; the run creates it"),
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Err(error) => report.failed_step(step, &error),
        };
    }
    Ok(report)
}

/// The records between the stored positions of the group and the ends of the partitions.
fn lag(group: &Group, all: TopicPartitionList) -> rdkafka::error::KafkaResult<i64> {
    let consumer = group.client();
    let mut lag = 0;
    for element in consumer.committed_offsets(all, QUERY)?.elements() {
        let (low, high) = consumer.fetch_watermarks(element.topic(), element.partition(), QUERY)?;
        let next = element.offset().to_raw().filter(|offset| *offset >= 0).unwrap_or(low);
        lag += (high - next.max(low)).max(0);
    }
    Ok(lag)
}
