//! Measurements that a plugin counts: the service `metrics/1`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Maximum number of metrics of one instance.
const MAX_METRICS: usize = 64;
/// Maximum length of a name, and of a help text, in bytes.
const MAX_NAME: usize = 64;
const MAX_HELP: usize = 200;

/// The kind of a metric, by its number in `metrics/1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// A sum that only rises.
    Counter,
    /// A value that changes.
    Gauge,
}

impl MetricKind {
    fn of_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Counter),
            2 => Some(Self::Gauge),
            _ => None,
        }
    }
}

/// A metric of an instance with its current value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// The name: lower case letters, digits and `_`, at most 64.
    pub name: String,
    /// Counter or gauge.
    pub kind: MetricKind,
    /// What it measures, for people.
    pub help: String,
    /// The current value.
    pub value: f64,
}

/// The metrics of one instance. They are kept when the instance is opened again.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Vec<Metric>>);

impl Metrics {
    /// Adds a metric, or finds the one with this name and kind. Returns its ID; 0 if it is refused: an unknown kind, an
    /// invalid name, the name of a metric of the other kind, or too many metrics.
    pub(super) fn register(&self, kind: u32, name: &str, help: &str) -> u32 {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
        let is_name = starts_well && name.len() <= MAX_NAME && name.bytes().all(is_word);
        let Some(kind) = MetricKind::of_number(kind).filter(|_| is_name) else { return 0 };
        let mut metrics = self.lock();
        let known = metrics.iter().position(|metric| metric.name == name);
        let index = match known {
            Some(index) if metrics[index].kind == kind => index,
            None if metrics.len() < MAX_METRICS => {
                let help = help.chars().filter(|letter| !letter.is_control()).take(MAX_HELP).collect();
                metrics.push(Metric { name: name.to_owned(), kind, help, value: 0.0 });
                metrics.len() - 1
            }
            _ => return 0,
        };
        u32::try_from(index + 1).unwrap_or_default()
    }

    /// Adds to a counter. Another ID changes nothing.
    pub(super) fn add(&self, id: u32, count: u64) {
        #[expect(clippy::cast_precision_loss, reason = "metrics are decimal numbers for their readers")]
        self.change(id, MetricKind::Counter, |value| value + count as f64);
    }

    /// Sets a gauge. Another ID, and a value that is not a number, change nothing.
    pub(super) fn set(&self, id: u32, value: f64) {
        if value.is_finite() {
            self.change(id, MetricKind::Gauge, |_| value);
        }
    }

    fn change(&self, id: u32, kind: MetricKind, change: impl FnOnce(f64) -> f64) {
        let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        let mut metrics = self.lock();
        if let Some(metric) =
            index.and_then(|index| metrics.get_mut(index)).filter(|metric| metric.kind == kind)
        {
            metric.value = change(metric.value);
        }
    }

    /// The metrics with their values, in the order of registration.
    pub(crate) fn to_list(&self) -> Vec<Metric> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Metric>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_adds_and_gauge_is_set() {
        let metrics = Metrics::default();
        let counter = metrics.register(1, "requests", "requests sent");
        let gauge = metrics.register(2, "queue_bytes", "");
        metrics.add(counter, 2);
        metrics.add(counter, 3);
        metrics.set(gauge, 1.5);
        metrics.set(gauge, f64::NAN);
        // The other operation of each kind, and unknown IDs, change nothing.
        metrics.add(gauge, 1);
        metrics.set(counter, 9.0);
        metrics.add(0, 1);
        metrics.set(77, 1.0);
        let values: Vec<_> =
            metrics.to_list().into_iter().map(|metric| (metric.name, metric.value)).collect();
        assert_eq!(values, [("requests".to_owned(), 5.0), ("queue_bytes".to_owned(), 1.5)]);
    }

    #[test]
    fn name_is_registered_once_with_one_kind() {
        let metrics = Metrics::default();
        let id = metrics.register(1, "requests", "");
        assert_eq!(metrics.register(1, "requests", "again"), id);
        assert_eq!(metrics.register(2, "requests", ""), 0, "another kind");
    }

    #[test]
    fn invalid_names_unknown_kinds_and_too_many_metrics_are_refused() {
        let metrics = Metrics::default();
        let long = "a".repeat(MAX_NAME + 1);
        for name in ["", "1st", "Upper", "with space", "with{brace}", long.as_str()] {
            assert_eq!(metrics.register(1, name, ""), 0, "{name}");
        }
        assert_eq!(metrics.register(3, "kind", ""), 0);
        for number in 0..MAX_METRICS {
            assert_ne!(metrics.register(1, &format!("metric_{number}"), ""), 0);
        }
        assert_eq!(metrics.register(1, "one_more", ""), 0);
    }
}
