//! Metrics of pipelines in the Prometheus text format 0.0.4 and in OpenMetrics 1.0.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;

mod families;
mod family;
mod timing;

pub use families::{PipelineState, ServiceMetrics};
use family::Family;
pub use timing::HttpMetrics;

use crate::view::PipelineView;

/// The format of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// Prometheus text format 0.0.4, also for files that node_exporter reads.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl MetricsFormat {
    /// The value of the HTTP header `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format that a client asks for with the HTTP header `Accept`.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }
}

/// The metrics of one pipeline after a one-shot run, for a file that node_exporter reads: those that do not change until
/// the next run.
#[must_use]
pub fn metrics_of_run(view: &PipelineView) -> String {
    let mut all = families::build_information();
    all.extend(families::of_pipelines(&[view]));
    all.retain(|family| family.after_run);
    write(all, MetricsFormat::Prometheus)
}

/// The metrics of a service.
#[must_use]
pub fn metrics_of_service(
    service: &ServiceMetrics,
    pipelines: &[(&PipelineView, &PipelineState)],
    format: MetricsFormat,
) -> String {
    write(all_families(service, pipelines), format)
}

fn all_families(service: &ServiceMetrics, pipelines: &[(&PipelineView, &PipelineState)]) -> Vec<Family> {
    let views: Vec<&PipelineView> = pipelines.iter().map(|(view, _)| *view).collect();
    let mut all = families::build_information();
    all.extend(families::of_service(service));
    all.extend(families::of_states(service, pipelines));
    all.extend(families::of_pipelines(&views));
    families::add_certificate(&mut all, service);
    all
}

/// All metrics of one answer.
#[derive(Debug)]
struct Answer(Vec<Family>);

impl Collector for Answer {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0
            .iter()
            .filter(|family| !family.series.is_empty())
            .try_for_each(|family| family.encode(&mut encoder))
    }
}

fn write(families: Vec<Family>, format: MetricsFormat) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Answer(families)));
    let mut answer = String::new();
    let written = match format {
        MetricsFormat::Prometheus => prometheus_text::encode(&mut answer, &registry),
        MetricsFormat::OpenMetrics => text::encode(&mut answer, &registry),
    };
    // Writing to a text fails only if a metric contradicts itself, for example a counter below zero.
    debug_assert!(written.is_ok(), "{answer}");
    answer
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use serde_json::json;

    use super::family::Kind;
    use super::*;
    use crate::counts::{Counts, Totals};
    use crate::event::{
        Hello, InputTick, OutputReference, OutputState, OutputTick, PluginReference, RunEvent, Tick,
    };

    const STATES: &[&str] = &["waiting", "running", "held"];

    /// A pipeline with a finished run and a run in progress; its name needs escapes.
    fn view() -> PipelineView {
        let mut view = PipelineView::new("", Totals::default());
        let inputs = vec![PluginReference { id: "scans".to_owned(), plugin: "Files".to_owned() }];
        let outputs =
            vec![OutputReference { id: "siem".to_owned(), plugin: "CEF".to_owned(), required: true }];
        let hello = |run| {
            let (pipeline, inputs, outputs) = ("a \"b\"\\\n".to_owned(), inputs.clone(), outputs.clone());
            RunEvent::Hello(Hello { pipeline, run, inputs, outputs, ..Hello::default() })
        };
        view.apply(&hello(1), 1000.0);
        let inputs = json!([{"id": "scans", "reports": 3, "incomplete": 1, "assets": 4, "bytes": 5,
            "findings_by_severity": {"vulnerability": {"5": 7, "0": 1}}}]);
        let outputs = json!([{"id": "siem", "records": 5, "filtered": 2, "rejected": 1}]);
        let summary = json!({"run": 1, "status": "partial", "exit_code": 65, "elapsed_ms": 2500, "inputs": inputs,
            "outputs": outputs, "compared": {"against_run": 7, "new": 3, "gone": 2, "same": 5}});
        view.apply(&RunEvent::Summary { summary }, 1003.0);
        view.apply(&hello(2), 2000.0);
        let input = InputTick {
            id: "scans".to_owned(),
            report_bytes: 25,
            report_bytes_total: 100,
            ..InputTick::default()
        };
        let output = OutputTick {
            id: "siem".to_owned(),
            state: OutputState::Retrying,
            counts: Counts::from([
                ("records".to_owned(), 2),
                ("write_seconds.0.02".to_owned(), 4),
                ("write_seconds.longer".to_owned(), 1),
                ("write_seconds.micros".to_owned(), 61_000_000),
            ]),
            queue_findings: 9,
            oldest_unsent: Some("1970-01-01T00:33:20.5Z".to_owned()),
            ..OutputTick::default()
        };
        view.apply(&RunEvent::Tick(Tick { inputs: vec![input], outputs: vec![output] }), 2001.0);
        let measured = [
            "quota_limit",
            "quota_remaining",
            "unsent_reports",
            "certificate_expires",
            "peer_certificate_expires",
            "dead_letters",
            "dead_letters_bytes",
            "invented",
            "invented_total",
        ];
        for name in measured {
            let (instance, name) = ("scans".to_owned(), name.to_owned());
            view.apply(&RunEvent::Gauge { instance, name, value: 300.0 }, 2001.0);
        }
        view.apply(&RunEvent::Checkpoint { at: String::new() }, 2002.0);
        view
    }

    fn state() -> PipelineState {
        PipelineState {
            state: "running",
            restarts: 2,
            skipped: vec![("still_running", 3), ("blocked", 0), ("limit", 1)],
            interval_seconds: Some(3600.0),
            next_run: Some(3000.0),
            resident_bytes: Some(12_000_000),
            cpu_seconds: 1.25,
        }
    }

    fn service() -> ServiceMetrics {
        let mut http = HttpMetrics::default();
        http.requests.insert(("/metrics".to_owned(), "GET".to_owned(), 200), 3);
        http.durations.entry("/metrics".to_owned()).or_default().add(Duration::from_millis(3));
        ServiceMetrics {
            http,
            states: STATES,
            reload_successful: true,
            started: 990.0,
            ..ServiceMetrics::default()
        }
    }

    #[test]
    fn metrics_of_a_service() {
        let (view, state) = (view(), state());
        let answer = metrics_of_service(&service(), &[(&view, &state)], MetricsFormat::Prometheus);
        insta::assert_snapshot!(answer);
    }

    #[test]
    fn a_file_has_only_what_stays_between_runs() {
        let answer = metrics_of_run(&view());
        assert!(answer.contains("scanbridge_pipeline_runs_total"));
        for word in ["queue", "progress", "quota", "process_", "pipeline_state"] {
            assert!(!answer.contains(word), "{word}");
        }
    }

    #[test]
    fn every_series_is_there_before_the_first_run() {
        let mut view = PipelineView::new("emea", Totals::default());
        view.totals.outputs.insert("siem".to_owned(), Counts::new());
        let answer = metrics_of_run(&view);
        assert!(answer.contains("result=\"undelivered\"} 0"), "{answer}");
        assert!(answer.contains("status=\"failed\"} 0"), "{answer}");
    }

    #[test]
    fn open_metrics_ends_with_its_mark() {
        assert_eq!(MetricsFormat::accepted("text/plain"), MetricsFormat::Prometheus);
        let format = MetricsFormat::accepted("application/openmetrics-text;version=1.0.0,*/*;q=0.1");
        let (view, state) = (view(), state());
        let answer = metrics_of_service(&service(), &[(&view, &state)], format);
        assert!(answer.ends_with("# EOF\n"), "{answer}");
    }

    /// The table of all metrics in the manual.
    fn table() -> String {
        let (view, state) = (view(), state());
        let mut table = "| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n".to_owned();
        let families = all_families(&service(), &[(&view, &state)]);
        for family in families.into_iter().filter(|family| !family.name.starts_with(families::PLUGIN)) {
            let Family { name, help, kind, after_run, .. } = family;
            let (kind, end) = match kind {
                Kind::Counter => ("counter", "_total"),
                Kind::Gauge => ("gauge", ""),
                Kind::Histogram => ("histogram", ""),
            };
            let labels = family.series[0].labels.iter().map(|(label, _)| format!("`{label}`"));
            let labels = labels.collect::<Vec<_>>().join(", ");
            let mark = if after_run { " †" } else { "" };
            table.push_str(&format!("| `{name}{end}`{mark} | {kind} | {labels} | {help} |\n"));
        }
        table
    }

    #[test]
    fn the_manual_has_every_metric() {
        const BEGIN: &str = "<!-- metrics: generated, see observe/src/metrics.rs -->\n";
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring.md");
        let text = std::fs::read_to_string(&page).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once("<!-- end of metrics -->").unwrap();
        let expected = format!("{before}{BEGIN}{}<!-- end of metrics -->{after}", table());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&page, &expected).unwrap();
        }
        assert!(text == expected, "docs/monitoring.md is out of date: run this test with UPDATE_DOCS=1");
    }

    fn monitoring(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist/monitoring").join(name)
    }

    /// The names of metrics in a file of the monitoring directory.
    fn metrics_in(name: &str) -> BTreeSet<String> {
        let text = std::fs::read_to_string(monitoring(name)).unwrap();
        let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '_';
        let words = text.split(|letter: char| !is_part(letter));
        let is_metric = |word: &&str| word.starts_with("scanbridge_") || word.starts_with("process_");
        words.filter(is_metric).map(str::to_owned).collect()
    }

    /// The rows of the manual about metrics of plugins.
    fn of_plugins() -> BTreeSet<String> {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring.md");
        let text = std::fs::read_to_string(page).unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        names.filter(|name| name.starts_with(families::PLUGIN)).map(str::to_owned).collect()
    }

    #[test]
    fn values_of_plugins_are_shown_during_a_run() {
        let (mut view, state) = (view(), state());
        let answer = |view: &PipelineView| {
            metrics_of_service(&service(), &[(view, &state)], MetricsFormat::Prometheus)
        };
        let shown = answer(&view);
        assert!(shown.contains("# TYPE scanbridge_plugin_invented gauge"), "{shown}");
        assert!(shown.contains("# TYPE scanbridge_plugin_invented_total counter"), "{shown}");
        assert!(!shown.contains("scanbridge_plugin_quota"), "it has a metric of its own: {shown}");
        view.process_ended(75, 2003.0);
        let shown = answer(&view);
        assert!(!shown.contains("scanbridge_plugin_") && shown.contains("quota_remaining"), "{shown}");
    }

    #[test]
    fn alert_rules_and_dashboard_name_only_metrics_that_exist() {
        let (view, state) = (view(), state());
        let answer = metrics_of_service(&service(), &[(&view, &state)], MetricsFormat::Prometheus);
        for file in ["alerts.yaml", "alerts.test.yaml", "dashboard.json"] {
            let named = metrics_in(file);
            assert!(named.len() > 10, "{file}: {named:?}");
            let of_plugins = of_plugins();
            for metric in named.iter().filter(|metric| !of_plugins.contains(*metric)) {
                assert!(answer.contains(&format!("# TYPE {metric} ")), "{file}: {metric}");
            }
        }
    }

    #[test]
    fn the_alert_rules_fire_when_they_should() {
        promtool(&["check", "rules", monitoring("alerts.yaml").to_str().unwrap()], "");
        promtool(&["test", "rules", monitoring("alerts.test.yaml").to_str().unwrap()], "");
        // Without the file of the token, which exists only where the service runs.
        promtool(&["check", "config", "--syntax-only", monitoring("scrape.yaml").to_str().unwrap()], "");
    }

    #[test]
    fn promtool_finds_nothing_wrong_with_the_metrics() {
        let (view, state) = (view(), state());
        let answer = metrics_of_service(&service(), &[(&view, &state)], MetricsFormat::Prometheus);
        promtool(&["check", "metrics"], &answer);
    }

    /// Runs the checker of the Prometheus project.
    fn promtool(arguments: &[&str], input: &str) {
        let mut command = Command::new("promtool");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut promtool = match command.spawn() {
            Ok(promtool) => promtool,
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped: cannot start promtool (Debian package prometheus): {error}");
                return;
            }
            Err(error) => panic!("cannot start promtool (Debian package prometheus): {error}"),
        };
        promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert!(arguments != ["check", "metrics"] || said.is_empty(), "{said}");
    }
}
