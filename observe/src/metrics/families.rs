//! The metrics and their meaning. Names follow Prometheus practice: a prefix, base units, and sums over labels that make
//! sense. Label values are bounded: no address, title or path.

use std::collections::BTreeMap;

use super::family::Family;
use super::timing::{self, HttpMetrics};
use crate::counts::{COMPARED, Counts, KINDS, OUTPUT_COUNTS, RunResult, SEVERITIES, UnixSeconds};
use crate::event::OutputState;
use crate::view::PipelineView;

/// What only a service knows about a pipeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PipelineState {
    /// Its state, one of `states`.
    pub state: &'static str,
    /// Starts of runs after a failure.
    pub restarts: u64,
    /// Runs that were due but not started, by reason.
    pub skipped: Vec<(&'static str, u64)>,
    /// When the next run starts; `None` during a run and without a schedule.
    pub next_run: Option<UnixSeconds>,
    /// The longest time between two runs of the schedule in seconds.
    pub interval_seconds: Option<f64>,
    /// Memory of the run in progress in bytes.
    pub resident_bytes: Option<u64>,
    /// Processor time of all runs in seconds.
    pub cpu_seconds: f64,
}

/// What a service knows about itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceMetrics {
    /// All words for the state of a pipeline.
    pub states: &'static [&'static str],
    /// Whether the last reload accepted every file.
    pub reload_successful: bool,
    /// When a reload last accepted every file.
    pub reload_success: Option<UnixSeconds>,
    /// Processor time of the service in seconds.
    pub cpu_seconds: f64,
    /// Memory of the service in bytes.
    pub resident_bytes: u64,
    /// When the service started.
    pub started: UnixSeconds,
    /// Open file descriptors of the service.
    pub open_files: u64,
    /// HTTP requests.
    pub http: HttpMetrics,
    /// When the certificate of the listener expires.
    pub certificate_expires: Option<UnixSeconds>,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floating point numbers; 2^53 findings are out of reach"
)]
fn number(value: u64) -> f64 {
    value as f64
}

fn count(counts: &Counts, name: &str) -> f64 {
    number(counts.get(name).copied().unwrap_or_default())
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

pub(super) fn build_information() -> Vec<Family> {
    let mut build =
        Family::gauge("scanbridge_build_info", "The version of the program; always 1").after_run();
    build.add(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    vec![build]
}

/// A metric of the service itself, without labels.
fn single(mut family: Family, value: f64) -> Family {
    family.add(&[], value);
    family
}

pub(super) fn of_service(service: &ServiceMetrics) -> Vec<Family> {
    let mut families = vec![
        single(
            Family::gauge(
                "scanbridge_config_last_reload_successful",
                "Whether the last reload accepted every file",
            ),
            flag(service.reload_successful),
        ),
        single(
            Family::counter("process_cpu_seconds", "Processor time of the service in seconds"),
            service.cpu_seconds,
        ),
        single(
            Family::gauge("process_resident_memory_bytes", "Memory of the service in bytes"),
            number(service.resident_bytes),
        ),
        single(
            Family::gauge(
                "process_start_time_seconds",
                "When the service started, in seconds since 1970-01-01 UTC",
            ),
            service.started,
        ),
        single(
            Family::gauge("process_open_fds", "Open file descriptors of the service"),
            number(service.open_files),
        ),
    ];
    families.extend(service.reload_success.map(|at| {
        let name = "scanbridge_config_last_reload_success_timestamp_seconds";
        single(
            Family::gauge(name, "When a reload last accepted every file, in seconds since 1970-01-01 UTC"),
            at,
        )
    }));
    families.extend(timing::of_http(&service.http));
    families
}

/// What only the service knows of each pipeline.
pub(super) fn of_states(
    service: &ServiceMetrics,
    pipelines: &[(&PipelineView, &PipelineState)],
) -> Vec<Family> {
    let mut state = Family::gauge("scanbridge_pipeline_state", "1 for the state that the pipeline is in");
    let mut skipped =
        Family::counter("scanbridge_pipeline_runs_skipped", "Runs that were due but not started, by reason");
    let mut restarts = Family::counter("scanbridge_pipeline_restarts", "Starts of a run after a failed run");
    let mut next = Family::gauge(
        "scanbridge_pipeline_next_run_timestamp_seconds",
        "When the next run starts, in seconds since 1970-01-01 UTC; absent during a run",
    );
    let mut interval = Family::gauge(
        "scanbridge_pipeline_schedule_interval_seconds",
        "The longest time between two runs of the schedule in seconds",
    );
    let mut resident =
        Family::gauge("scanbridge_run_resident_memory_bytes", "Memory of the run in progress in bytes");
    for (view, known) in pipelines {
        let pipeline = ("pipeline", view.name.as_str());
        for word in service.states {
            state.add(&[pipeline, ("state", word)], flag(*word == known.state));
        }
        for (reason, runs) in &known.skipped {
            skipped.add(&[pipeline, ("reason", reason)], number(*runs));
        }
        restarts.add(&[pipeline], number(known.restarts));
        known.next_run.iter().for_each(|at| next.add(&[pipeline], *at));
        known.interval_seconds.iter().for_each(|seconds| interval.add(&[pipeline], *seconds));
        known.resident_bytes.iter().for_each(|bytes| resident.add(&[pipeline], number(*bytes)));
    }
    let times = pipelines.iter().map(|(view, known)| (view.name.as_str(), known.cpu_seconds));
    vec![state, skipped, restarts, next, interval, resident, timing::of_runs(times)]
}

/// What is known of each pipeline from the events of its runs. Every series is there from the start, with 0.
pub(super) fn of_pipelines(views: &[&PipelineView]) -> Vec<Family> {
    let mut families = runs(views);
    families.extend(inputs(views));
    families.extend(outputs(views));
    families.extend(gauges(views));
    families.extend(of_plugins(views));
    families
}

fn runs(views: &[&PipelineView]) -> Vec<Family> {
    let mut runs = Family::counter("scanbridge_pipeline_runs", "Runs that ended, by status").after_run();
    let gauge = |name, help| Family::gauge(name, help).after_run();
    let mut exit_code =
        gauge("scanbridge_pipeline_last_run_exit_code", "The exit code of the last run that ended");
    let mut duration =
        gauge("scanbridge_pipeline_last_run_duration_seconds", "Duration of the last run that ended");
    let mut ended = gauge(
        "scanbridge_pipeline_last_run_timestamp_seconds",
        "When the last run ended, in seconds since 1970-01-01 UTC",
    );
    let mut success = gauge(
        "scanbridge_pipeline_last_success_timestamp_seconds",
        "When a run last ended as ok or partial, in seconds since 1970-01-01 UTC",
    );
    let mut compared = gauge(
        "scanbridge_pipeline_last_run_compared_findings",
        "Findings of the last run that are new, gone, or the same as in the run before",
    );
    let mut checkpoint = Family::gauge(
        "scanbridge_pipeline_last_checkpoint_timestamp_seconds",
        "When a checkpoint was last stored, in seconds since 1970-01-01 UTC",
    );
    for view in views {
        let pipeline = ("pipeline", view.name.as_str());
        for result in RunResult::ALL {
            let count = view.totals.runs.get(&result).copied().unwrap_or_default();
            runs.add(&[pipeline, ("status", result.word())], number(count));
        }
        if let Some(last) = &view.last_run {
            exit_code.add(&[pipeline], f64::from(last.exit_code));
            duration.add(&[pipeline], last.seconds);
            ended.add(&[pipeline], last.ended);
        }
        view.totals.last_success.iter().for_each(|at| success.add(&[pipeline], *at));
        view.last_checkpoint.iter().for_each(|at| checkpoint.add(&[pipeline], *at));
        if !view.compared.is_empty() {
            for change in COMPARED {
                compared.add(&[pipeline, ("change", change)], count(&view.compared, change));
            }
        }
    }
    vec![runs, exit_code, duration, ended, success, compared, checkpoint]
}

fn inputs(views: &[&PipelineView]) -> Vec<Family> {
    let counter = |name, help| Family::counter(name, help).after_run();
    let mut reports = counter("scanbridge_input_reports", "Reports that ended, by result");
    let mut assets = counter("scanbridge_input_assets", "Assets that were read");
    let mut bytes = counter("scanbridge_input_read_bytes", "Bytes of reports that were read");
    let mut findings =
        counter("scanbridge_input_findings", "Findings that were read, by kind and severity (0 is unknown)");
    let mut progress = Family::gauge(
        "scanbridge_input_report_progress_ratio",
        "The part of the report that was read, from 0 to 1; absent between reports",
    );
    for view in views {
        for (id, counts) in &view.totals.inputs {
            let labels = [("pipeline", view.name.as_str()), ("input", id.as_str())];
            let (all, incomplete) = (count(counts, "reports"), count(counts, "incomplete"));
            let mut result = |word, value| reports.add(&[labels[0], labels[1], ("result", word)], value);
            result("complete", (all - incomplete).max(0.0));
            result("incomplete", incomplete);
            result("refused", count(counts, "refused"));
            assets.add(&labels, count(counts, "assets"));
            bytes.add(&labels, count(counts, "bytes"));
            for kind in KINDS {
                for severity in SEVERITIES {
                    let labels = [labels[0], labels[1], ("kind", kind), ("severity", severity)];
                    findings.add(&labels, count(counts, &format!("findings_by_severity.{kind}.{severity}")));
                }
            }
        }
        for input in view.current.iter().flat_map(|current| &current.inputs) {
            if input.report_bytes_total > 0 {
                let ratio = number(input.report_bytes) / number(input.report_bytes_total);
                progress.add(&[("pipeline", &view.name), ("input", &input.id)], ratio.min(1.0));
            }
        }
    }
    vec![reports, assets, bytes, findings, progress]
}

fn outputs(views: &[&PipelineView]) -> Vec<Family> {
    let counter = |name, help| Family::counter(name, help).after_run();
    let mut findings = counter(
        "scanbridge_output_findings",
        "Findings by what became of them in the output; the sum is what was read",
    );
    let mut derived = counter("scanbridge_output_derived_records", "Records in addition to the findings");
    let mut bytes = counter("scanbridge_output_written_bytes", "Bytes written for delivered findings");
    let mut retried =
        counter("scanbridge_output_retried_findings", "Repetitions of findings after a failure");
    let mut lost =
        counter("scanbridge_dead_letters_lost", "Rejected findings that did not fit into the dead letters");
    for view in views {
        for (id, counts) in &view.totals.outputs {
            let labels = [("pipeline", view.name.as_str()), ("output", id.as_str())];
            for (name, result) in OUTPUT_COUNTS.iter().filter_map(|(name, result)| Some((name, (*result)?))) {
                findings.add(&[labels[0], labels[1], ("result", result)], count(counts, name));
            }
            derived.add(&labels, count(counts, "derived"));
            bytes.add(&labels, count(counts, "bytes"));
            retried.add(&labels, count(counts, "retried"));
            lost.add(&labels, count(counts, "dead_letters_lost"));
        }
    }
    let mut families = vec![findings, derived, bytes, retried, lost];
    families.extend(timing::of_outputs(views));
    families.extend(current_outputs(views));
    families
}

/// The state of the outputs of the runs in progress.
fn current_outputs(views: &[&PipelineView]) -> Vec<Family> {
    let mut up =
        Family::gauge("scanbridge_output_up", "Whether the output delivers: neither failed nor diverted");
    let mut circuit =
        Family::gauge("scanbridge_output_circuit_open", "Whether the circuit breaker of the output is open");
    let mut queued = Family::gauge("scanbridge_output_queue_findings", "Findings in the queue");
    let mut queued_bytes = Family::gauge("scanbridge_output_queue_bytes", "Size of the queue in bytes");
    let mut capacity =
        Family::gauge("scanbridge_output_queue_capacity_bytes", "Maximum size of the queue in bytes");
    let mut oldest = Family::gauge(
        "scanbridge_output_oldest_unsent_timestamp_seconds",
        "When the oldest finding in the queue was read, in seconds since 1970-01-01 UTC; absent when the queue is empty",
    );
    for view in views {
        for output in view.current.iter().flat_map(|current| &current.outputs) {
            let labels = [("pipeline", view.name.as_str()), ("output", output.id.as_str())];
            let is_up = !matches!(output.state, OutputState::Failed | OutputState::Diverted);
            up.add(&labels, flag(is_up && !output.circuit_open));
            circuit.add(&labels, flag(output.circuit_open));
            queued.add(&labels, number(output.queue_findings));
            queued_bytes.add(&labels, number(output.queue_bytes));
            capacity.add(&labels, number(output.queue_capacity_bytes));
            let at = output.oldest_unsent.as_ref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
            at.iter().for_each(|at| oldest.add(&labels, at.as_duration().as_secs_f64()));
        }
    }
    vec![up, circuit, queued, queued_bytes, capacity, oldest]
}

/// A measured value that is a metric.
struct Measured {
    /// Its name in the event.
    event: &'static str,
    /// Its name as a metric.
    metric: &'static str,
    help: &'static str,
    /// The label for the instance.
    label: &'static str,
    /// The value of a label `role`, which tells several values of one metric apart.
    role: Option<&'static str>,
    after_run: bool,
}

const CERTIFICATE: &str = "scanbridge_certificate_expiry_timestamp_seconds";
const CERTIFICATE_HELP: &str = "When the client certificate of the instance, that of its peer, or that of the console expires, in seconds since 1970-01-01 UTC";

/// The measured values that have a metric of their own, those of one metric together.
const MEASURED: [Measured; 7] = [
    Measured {
        event: "quota_remaining",
        metric: "scanbridge_input_quota_remaining",
        help: "Requests that the source still allows",
        label: "input",
        role: None,
        after_run: false,
    },
    Measured {
        event: "quota_limit",
        metric: "scanbridge_input_quota_limit",
        help: "Requests that the source allows in its period",
        label: "input",
        role: None,
        after_run: false,
    },
    Measured {
        event: "unsent_reports",
        metric: "scanbridge_input_unsent_reports",
        help: "Reports at the source that were not delivered",
        label: "input",
        role: None,
        after_run: false,
    },
    Measured {
        event: "certificate_expires",
        metric: CERTIFICATE,
        help: CERTIFICATE_HELP,
        label: "instance",
        role: Some("client"),
        after_run: true,
    },
    Measured {
        event: "peer_certificate_expires",
        metric: CERTIFICATE,
        help: CERTIFICATE_HELP,
        label: "instance",
        role: Some("peer"),
        after_run: true,
    },
    Measured {
        event: "dead_letters",
        metric: "scanbridge_dead_letters",
        help: "Dead letters that are stored",
        label: "output",
        role: None,
        after_run: true,
    },
    Measured {
        event: "dead_letters_bytes",
        metric: "scanbridge_dead_letters_bytes",
        help: "Size of the stored dead letters",
        label: "output",
        role: None,
        after_run: true,
    },
];

/// Adds the certificate of the service to those of pipelines.
pub(super) fn add_certificate(families: &mut [Family], service: &ServiceMetrics) {
    let family = families.iter_mut().find(|family| family.name == CERTIFICATE);
    if let (Some(family), Some(expires)) = (family, service.certificate_expires) {
        family.add(&[("pipeline", ""), ("instance", ""), ("role", "console")], expires);
    }
}

fn gauges(views: &[&PipelineView]) -> Vec<Family> {
    let families = MEASURED.chunk_by(|one, other| one.metric == other.metric).map(|of_metric| {
        let Measured { metric, help, after_run, .. } = of_metric[0];
        let mut family = Family { after_run, ..Family::gauge(metric, help) };
        for (view, measured) in views.iter().flat_map(|view| of_metric.iter().map(move |one| (view, one))) {
            for ((instance, name), value) in &view.gauges {
                if name == measured.event {
                    let mut labels =
                        vec![("pipeline", view.name.as_str()), (measured.label, instance.as_str())];
                    labels.extend(measured.role.map(|role| ("role", role)));
                    family.add(&labels, *value);
                }
            }
        }
        family
    });
    families.collect()
}

/// The other values that plugins measure, in the run in progress: one metric for each name.
fn of_plugins(views: &[&PipelineView]) -> Vec<Family> {
    let mut families: BTreeMap<&str, Family> = BTreeMap::new();
    for (view, (instance, name)) in
        views.iter().flat_map(|view| view.measured.iter().map(move |key| (view, key)))
    {
        let is_own = MEASURED.iter().all(|measured| measured.event != name);
        let Some(value) = view.gauges.get(&(instance.clone(), name.clone())).filter(|_| is_own) else {
            continue;
        };
        let family = families.entry(name).or_insert_with(|| {
            // The encoder adds the end of the name of a counter.
            match name.strip_suffix("_total") {
                Some(name) => Family::counter(format!("{PLUGIN}{name}"), PLUGIN_HELP),
                None => Family::gauge(format!("{PLUGIN}{name}"), PLUGIN_HELP),
            }
        });
        family.add(&[("pipeline", view.name.as_str()), ("instance", instance.as_str())], *value);
    }
    families.into_values().collect()
}

/// How the names of metrics of plugins begin.
pub(super) const PLUGIN: &str = "scanbridge_plugin_";
const PLUGIN_HELP: &str = "A value that a plugin measured in the run in progress; see the page of the plugin";
