//! Metrics of durations and of processor time.

use std::collections::BTreeMap;

use super::family::Family;
use crate::durations::{CALLS, Durations};
use crate::view::PipelineView;

/// HTTP requests that a service has answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HttpMetrics {
    /// Their number by route, method and status.
    pub requests: BTreeMap<(String, String, u16), u64>,
    /// Their durations by route.
    pub durations: BTreeMap<String, Durations>,
}

pub(super) fn of_http(http: &HttpMetrics) -> Vec<Family> {
    let mut requests =
        Family::counter("scanbridge_http_requests", "Answered HTTP requests, by route, method and status");
    let mut durations =
        Family::histogram("scanbridge_http_request_duration_seconds", "Durations of HTTP requests, by route");
    for ((route, method, code), count) in &http.requests {
        let labels = [("route", route.as_str()), ("method", method), ("code", &code.to_string())];
        requests.add_count(&labels, *count);
    }
    for (route, times) in &http.durations {
        durations.add_durations(&[("route", route)], *times);
    }
    vec![requests, durations]
}

/// How long the calls of outputs take.
pub(super) fn of_outputs(views: &[&PipelineView]) -> Vec<Family> {
    let names = [
        (
            "scanbridge_output_write_duration_seconds",
            "Durations of writing a batch of findings to the output",
        ),
        ("scanbridge_output_commit_duration_seconds", "Durations of commits of the output"),
    ];
    let families = names.into_iter().zip(CALLS).map(|((name, help), call)| {
        let mut family = Family::histogram(name, help);
        for view in views {
            for (id, counts) in &view.totals.outputs {
                let labels = [("pipeline", view.name.as_str()), ("output", id.as_str())];
                family.add_durations(&labels, Durations::of_counts(counts, call));
            }
        }
        family
    });
    families.collect()
}

/// Processor time of the runs of each pipeline.
pub(super) fn of_runs<'a>(times: impl Iterator<Item = (&'a str, f64)>) -> Family {
    let help = "Processor time of all runs in seconds, with the run in progress";
    let mut family = Family::counter("scanbridge_run_cpu_seconds", help);
    for (pipeline, seconds) in times {
        family.add(&[("pipeline", pipeline)], seconds);
    }
    family
}
