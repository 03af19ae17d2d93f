//! `check --probe` of the output: connection, login, topics. Nothing is written.

use scanbridge_plugin_api::{CheckReport, ErrorKind, PluginError, Result, Services, Verdict};

use crate::format::Format;
use crate::link::Link;
use crate::producer::Producer;
use crate::settings::OutputSettings;
use crate::topic_plan::TopicPlan;
use crate::topic_settings::{TopicSettings, describe};

/// # Errors
/// [`ErrorKind::Cancelled`] only; what fails is a step of the report.
pub(crate) fn output(settings: &OutputSettings, services: &Services) -> Result<CheckReport> {
    let connection = &settings.connection;
    let mut report = CheckReport::default();
    let producer = Producer::new(settings.producer(None), Link::new(connection.clone(), services))?;
    let mut existing = Vec::new();
    for (topic, format) in &settings.routes {
        let step = format!("topic {topic}");
        let found = match settings.create_topics {
            true => producer.find(topic),
            false => producer.partitions(topic).map(Some),
        };
        match found {
            Ok(None) => {
                let partitions = TopicPlan::records(topic, *format).partitions;
                let detail = format!("does not exist; the run creates it with {partitions} partitions");
                report = report.step(step, Verdict::Ok, detail);
            }
            Ok(Some(partitions)) => {
                report = report.step(step, Verdict::Ok, format!("{partitions} partitions"));
                existing.push((topic.as_str(), *format));
            }
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            // Without a connection, the other topics would fail for the same reason.
            Err(error) => return Ok(report.failed_step(step, &error)),
        }
    }
    let topics: Vec<_> = existing.iter().map(|(topic, _)| *topic).collect();
    if topics.is_empty() {
        return Ok(report);
    }
    match describe(connection, services, &topics) {
        Ok(found) => {
            for (topic, found) in existing.iter().zip(found) {
                report = judge(report, *topic, &found, settings);
            }
        }
        Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
        Err(error) => {
            report = report.step("topic settings", Verdict::Warning, format!("not known: {error}"));
        }
    }
    Ok(report)
}

fn judge(
    report: CheckReport,
    (topic, format): (&str, Format),
    found: &TopicSettings,
    settings: &OutputSettings,
) -> CheckReport {
    let step = format!("settings of {topic}");
    let brokers = &settings.connection.brokers;
    if found.cleanup_policy.as_deref().is_some_and(|policy| policy.contains("compact")) {
        let error = PluginError::config(format!(
            "{topic} has cleanup.policy={}: records of an asset are removed when newer ones exist",
            found.cleanup_policy.as_deref().unwrap_or_default()
        ))
        .with_hint(format!(
            "change it: kafka-configs --bootstrap-server {brokers} --alter --topic {topic} --add-config \
             cleanup.policy=delete"
        ));
        return report.warning_step(step, &error);
    }
    if found.min_in_sync == Some(1) {
        let error = PluginError::config(format!(
            "{topic} has min.insync.replicas=1: a record can be lost with one broker"
        ))
        .with_hint(format!("with three brokers, {}", TopicPlan::records(topic, format).command(brokers)));
        return report.warning_step(step, &error);
    }
    match found.max_message_bytes {
        Some(limit) if limit < settings.record_bytes => {
            let error = PluginError::config(format!(
                "{topic} has max.message.bytes={limit}, less than `record_bytes`: records are made smaller"
            ))
            .with_option("record_bytes");
            report.warning_step(step, &error)
        }
        _ => report.step(step, Verdict::Ok, "suitable"),
    }
}
