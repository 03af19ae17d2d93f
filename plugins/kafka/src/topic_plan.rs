//! Topics as the manual describes them, and the commands that create them.

use crate::format::Format;

/// A topic that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicPlan {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    pub(crate) settings: &'static [(&'static str, &'static str)],
}

/// Number of brokers that have a copy of each record, if there are as many.
pub(crate) const REPLICAS: usize = 3;
/// Number of them that must have a record before it is acknowledged.
pub(crate) const IN_SYNC: &str = "min.insync.replicas";
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
