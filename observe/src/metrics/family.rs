//! A metric with its series.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::durations::Durations;

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric with all its series.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: Cow<'static, str>,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    /// Whether it stays the same between runs.
    pub(super) after_run: bool,
    pub(super) series: Vec<Series>,
}

#[derive(Debug)]
pub(super) struct Series {
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) value: Sample,
}

/// What a series shows.
#[derive(Debug)]
pub(super) enum Sample {
    Number(f64),
    Durations(Durations),
}

impl Family {
    pub(super) fn counter(name: impl Into<Cow<'static, str>>, help: &'static str) -> Self {
        Self { name: name.into(), help, kind: Kind::Counter, after_run: false, series: Vec::new() }
    }

    pub(super) fn gauge(name: impl Into<Cow<'static, str>>, help: &'static str) -> Self {
        Self { kind: Kind::Gauge, ..Self::counter(name, help) }
    }

    pub(super) fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Histogram, ..Self::counter(name, help) }
    }

    pub(super) fn after_run(self) -> Self {
        Self { after_run: true, ..self }
    }

    pub(super) fn add(&mut self, labels: &[(&'static str, &str)], value: f64) {
        self.push(labels, Sample::Number(value));
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "metrics are floating point numbers; 2^53 is out of reach"
    )]
    pub(super) fn add_count(&mut self, labels: &[(&'static str, &str)], count: u64) {
        self.add(labels, count as f64);
    }

    pub(super) fn add_durations(&mut self, labels: &[(&'static str, &str)], durations: Durations) {
        self.push(labels, Sample::Durations(durations));
    }

    fn push(&mut self, labels: &[(&'static str, &str)], value: Sample) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.series.push(Series { labels, value });
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let mut metric = encoder.encode_descriptor(&self.name, self.help, None, kind)?;
        for Series { labels, value } in &self.series {
            let labels = labels.as_slice();
            let mut series = metric.encode_family(&labels)?;
            match value {
                Sample::Number(value) if self.kind == Kind::Counter => {
                    series.encode_counter::<NoLabelSet, _, u64>(value, None)?;
                }
                Sample::Number(value) => series.encode_gauge(value)?,
                Sample::Durations(durations) => {
                    let (sum, calls, buckets) = durations.histogram();
                    series.encode_histogram::<NoLabelSet>(sum, calls, &buckets, None)?;
                }
            }
        }
        Ok(())
    }
}
