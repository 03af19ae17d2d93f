//! A metric with its series.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// A metric with all its series.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) is_counter: bool,
    /// Whether it stays the same between runs.
    pub(super) after_run: bool,
    pub(super) series: Vec<Series>,
}

#[derive(Debug)]
pub(super) struct Series {
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) value: f64,
}

impl Family {
    pub(super) fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, is_counter: true, after_run: false, series: Vec::new() }
    }

    pub(super) fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { is_counter: false, ..Self::counter(name, help) }
    }

    pub(super) fn after_run(self) -> Self {
        Self { after_run: true, ..self }
    }

    pub(super) fn add(&mut self, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.series.push(Series { labels, value });
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = if self.is_counter { MetricType::Counter } else { MetricType::Gauge };
        let mut metric = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        for Series { labels, value } in &self.series {
            let labels = labels.as_slice();
            let mut series = metric.encode_family(&labels)?;
            if self.is_counter {
                series.encode_counter::<NoLabelSet, _, u64>(value, None)?;
            } else {
                series.encode_gauge(value)?;
            }
        }
        Ok(())
    }
}
