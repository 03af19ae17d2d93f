//! The summary of an output: its counts, and their wording.

use scanbridge_plugin_api::Fips;
use serde::Serialize;

use super::wording::{add_counts, count, grouped, show_bytes};
use crate::pipeline::KindCounts;
use crate::pipeline::notes::{InstanceNote, warning_lines};
use crate::plugins::Metric;
use crate::state::OutputCounts;
use crate::telemetry::without_controls;

/// Disposition of the findings in an output. The findings that the inputs sent are `records + filtered + rejected +
/// diverted + delivered_before + undelivered`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OutputSummary {
    /// The `id:` in the pipeline.
    pub id: String,
    /// The plugin's name.
    pub plugin: String,
    /// Its FIPS mode.
    #[serde(skip_serializing_if = "Fips::is_off")]
    pub fips: Fips,
    /// Findings delivered.
    pub records: u64,
    /// In a dry run: findings that a run would deliver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_deliver: Option<u64>,
    /// Delivered findings by kind.
    pub records_by_kind: KindCounts,
    /// Records in addition to the findings, for example events about open ports.
    pub derived: u64,
    /// Findings that the output rejected.
    pub rejected: u64,
    /// Findings that were filtered out.
    pub filtered: u64,
    /// Values that were encrypted, tokens included. Absent if nothing is encrypted.
    #[serde(skip_serializing_if = "is_zero")]
    pub encrypted: u64,
    /// Values that were replaced by tokens, which cannot be decrypted. Absent if there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub tokens: u64,
    /// Repetitions of findings after a failure; a finding may count several times.
    pub retried: u64,
    /// Findings that were sent to the failover output instead.
    pub diverted: u64,
    /// Rejected findings that did not fit into the dead letter file.
    pub dead_letters_lost: u64,
    /// Undelivered findings: the output failed, or their report was incomplete and rolled back.
    pub undelivered: u64,
    /// Bytes written for delivered findings.
    pub bytes: u64,
    /// What this run and the interrupted runs that it resumes have committed together. `None` if it resumes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed_total: Option<OutputCounts>,
    /// Records that were sent over a transport without confirmation: the plugin's counter `unconfirmed_records`.
    pub unconfirmed: u64,
    /// Findings of reports that this output had published before the interruption that the run resumes.
    pub delivered_before: u64,
    /// What the plugin measured in this run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Notes of the plugin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<InstanceNote>,
}

impl OutputSummary {
    /// The line of the text summary, and the warnings of the plugin.
    pub(super) fn line(&self) -> String {
        let (verb, records) = match self.would_deliver {
            Some(records) => ("would deliver to", records),
            None => ("written", self.records),
        };
        let mut line = format!("{verb} {} ({}): {}", self.id, self.plugin, count(records, "finding"));
        add_counts(&mut line, [(self.derived, "derived"), (self.filtered, "filtered out")]);
        add_counts(&mut line, [(self.retried, "resent"), (self.diverted, "sent to its failover")]);
        add_counts(&mut line, [(self.rejected, "REJECTED"), (self.undelivered, "NOT DELIVERED")]);
        add_counts(
            &mut line,
            [(self.dead_letters_lost, "dead letters LOST"), (self.delivered_before, "delivered before")],
        );
        add_counts(
            &mut line,
            [(self.encrypted, "values encrypted"), (self.tokens, "values replaced by tokens")],
        );
        if self.would_deliver.is_none() {
            line.push_str(&format!(", {}", show_bytes(self.bytes)));
        }
        if let Some(metric) = self.unconfirmed_metric() {
            line.push_str(&format!(", {} {}", grouped(self.unconfirmed), without_controls(&metric.help)));
        }
        if let Some(total) = &self.resumed_total {
            line.push_str(&format!(" (with the interrupted run: {})", count(total.records, "finding")));
        }
        line + "\n" + &warning_lines(&self.id, &self.notes)
    }

    /// What the output has made of the findings.
    pub(in crate::pipeline) fn counts(&self) -> OutputCounts {
        let Self { records, derived, filtered, rejected, bytes, .. } = *self;
        OutputCounts { records, derived, filtered, rejected, bytes }
    }

    /// Takes over what the plugin has measured.
    pub(in crate::pipeline) fn with_metrics(mut self, metrics: Vec<Metric>) -> Self {
        self.metrics = metrics;
        self.unconfirmed = self.unconfirmed_metric().map_or(0, |metric| metric.value as u64);
        self
    }

    fn unconfirmed_metric(&self) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == UNCONFIRMED && metric.value >= 1.0)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the attribute passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The counter of an output that cannot know whether its records arrive. Its help text is shown after the number.
const UNCONFIRMED: &str = "unconfirmed_records";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resent_findings_are_counted() {
        let output = OutputSummary { id: "siem".to_owned(), retried: 64, ..OutputSummary::default() };
        assert!(output.line().contains(": 0 findings, 64 resent, 0 B\n"), "{}", output.line());
    }
}
