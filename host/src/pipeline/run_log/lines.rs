//! The log lines about a run: their texts and fields.

use std::time::Duration;

use scanbridge_observe::{
    Counts, Hello, InputState, InputTick, OutputState, OutputTick, ReportEvent, Tick, grouped, show_bytes,
};
use serde_json::{Map, Value, json};

use crate::telemetry::without_controls;

/// The counts of a run.
pub(super) fn statistics(tick: &Tick) -> (String, Map<String, Value>) {
    let sum = |name: &str| tick.inputs.iter().map(|input| count(&input.counts, name)).sum::<u64>();
    let (reports, findings, assets) = (sum("reports"), sum("findings"), sum("assets"));
    let inputs: Vec<String> = tick.inputs.iter().map(input_state).collect();
    let outputs: Vec<String> = tick.outputs.iter().map(output_state).collect();
    let message = format!(
        "{} reports read, {} findings of {} assets ({}) → {}",
        grouped(reports),
        grouped(findings),
        grouped(assets),
        inputs.join(", "),
        outputs.join(", ")
    );
    let by_output = |value: fn(&OutputTick) -> u64| -> Map<String, Value> {
        tick.outputs.iter().map(|output| (output.id.clone(), json!(value(output)))).collect()
    };
    let fields = Map::from_iter([
        ("reports".to_owned(), json!(reports)),
        ("findings".to_owned(), json!(findings)),
        ("assets".to_owned(), json!(assets)),
        ("outputs".to_owned(), by_output(|output| count(&output.counts, "records")).into()),
        ("queued".to_owned(), by_output(|output| output.queue_findings).into()),
    ]);
    (message, fields)
}

fn input_state(input: &InputTick) -> String {
    let report = input.report.as_deref().map(|report| format!(" {}", without_controls(report)));
    let state = match input.state {
        InputState::Reading => "reading",
        InputState::Waiting => "waiting",
        InputState::Idle => "idle",
        _ => "ended",
    };
    format!("{} {state}{}", input.id, report.unwrap_or_default())
}

fn output_state(output: &OutputTick) -> String {
    let state = match output.state {
        OutputState::Waiting => " waiting",
        OutputState::Retrying => " retrying",
        OutputState::Diverted => " uses its failover",
        OutputState::Slow => " slow",
        OutputState::Failed => " failed",
        _ => "",
    };
    let queue = match output.queue_findings {
        0 => String::new(),
        findings => format!(" with {} queued", grouped(findings)),
    };
    format!("{} {}{state}{queue}", output.id, grouped(count(&output.counts, "records")))
}

/// The line about a report that is being read, if bytes have moved since `before`.
pub(super) fn reading(
    input: &InputTick,
    before: Option<(u64, u64)>,
    elapsed: Duration,
) -> Option<(String, Map<String, Value>)> {
    let report = input.report.as_ref()?;
    let (read, total) = (input.report_bytes, input.report_bytes_total);
    // Fewer bytes than before belong to another report.
    let before = before.filter(|(bytes, _)| *bytes <= read);
    let (bytes_before, findings_before) = before.unwrap_or_default();
    let (bytes, findings) =
        (read - bytes_before, count(&input.counts, "findings").saturating_sub(findings_before));
    if bytes == 0 {
        return None;
    }
    let seconds = elapsed.as_secs_f64().max(0.001);
    let of_total = if total == 0 { String::new() } else { format!(" of {}", show_bytes(total.max(read))) };
    let (bytes_per_sec, findings_per_sec) = (per_second(bytes, seconds), per_second(findings, seconds));
    let message = format!(
        "{} reads {}: {}{of_total}, {}/s, {} findings/s",
        input.id,
        without_controls(report),
        show_bytes(read),
        show_bytes(bytes_per_sec),
        grouped(findings_per_sec)
    );
    let fields = Map::from_iter([
        ("input".to_owned(), json!(input.id)),
        ("report".to_owned(), json!(report)),
        ("report_bytes".to_owned(), json!(read)),
        ("report_bytes_total".to_owned(), json!(total)),
        ("bytes_per_sec".to_owned(), json!(bytes_per_sec)),
        ("findings_per_sec".to_owned(), json!(findings_per_sec)),
    ]);
    Some((message, fields))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rate for people"
)]
fn per_second(count: u64, seconds: f64) -> u64 {
    (count as f64 / seconds).round() as u64
}

/// The text about a delivered report.
pub(super) fn delivered(report: &ReportEvent) -> String {
    let id = if report.report_id.is_empty() { &report.path } else { &report.report_id };
    let name = match report.title.as_str() {
        "" => id.clone(),
        title if id.is_empty() => title.to_owned(),
        title => format!("{title} ({id})"),
    };
    let incomplete = if report.complete { "" } else { " (incomplete)" };
    let outputs: Vec<String> =
        report.outputs.iter().map(|(id, findings)| format!("{id} {}", grouped(*findings))).collect();
    let moved = report.moved_to.as_ref().map(|path| format!(", moved to {}", without_controls(path)));
    #[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
    let seconds = report.duration_ms as f64 / 1000.0;
    format!(
        "delivered {}{incomplete}: {} findings of {} assets → {}, {seconds:.1} s{}",
        without_controls(&name),
        grouped(report.findings),
        grouped(report.assets),
        outputs.join(", "),
        moved.unwrap_or_default()
    )
}

/// The fields about the start of a run: flat, and each with one type in all events.
pub(super) fn started(hello: &Hello) -> Map<String, Value> {
    let inputs = hello.inputs.iter().map(|input| (&input.id, &input.plugin));
    let outputs = hello.outputs.iter().map(|output| (&output.id, &output.plugin));
    let plugins: Map<String, Value> =
        inputs.chain(outputs).map(|(id, plugin)| (id.clone(), json!(plugin))).collect();
    Map::from_iter([
        ("pid".to_owned(), json!(hello.pid)),
        ("version".to_owned(), json!(hello.version)),
        ("plugins".to_owned(), plugins.into()),
    ])
}

/// The values of a summary that are neither lists nor objects.
pub(super) fn head(summary: &Value) -> Map<String, Value> {
    let values = summary.as_object().cloned().unwrap_or_default();
    let is_flat = |value: &Value| !value.is_array() && !value.is_object() && !value.is_null();
    values.into_iter().filter(|(_, value)| is_flat(value)).collect()
}

pub(super) fn fields_of(event: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(event) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

pub(super) fn count(counts: &Counts, name: &str) -> u64 {
    counts.get(name).copied().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An input that has read this many bytes of a report of this size, and this many findings.
    pub(in crate::pipeline::run_log) fn input(report_bytes: u64, total: u64, findings: u64) -> InputTick {
        InputTick {
            id: "scans".to_owned(),
            report: Some("Weekly EMEA".to_owned()),
            report_bytes,
            report_bytes_total: total,
            counts: Counts::from([("findings".to_owned(), findings)]),
            ..InputTick::default()
        }
    }

    #[test]
    fn line_while_reading_has_rates_and_appears_only_if_bytes_moved() {
        let line = |input: &InputTick, before| {
            reading(input, before, Duration::from_secs(10)).map(|(message, _)| message)
        };
        assert_eq!(
            line(&input(700_000, 3_000_000, 52_000), Some((0, 0))).unwrap(),
            "scans reads Weekly EMEA: 683.6 KiB of 2.9 MiB, 68.4 KiB/s, 5,200 findings/s"
        );
        assert_eq!(
            line(&input(2048, 0, 10), Some((1024, 10))).unwrap(),
            "scans reads Weekly EMEA: 2.0 KiB, 102 B/s, 0 findings/s"
        );
        assert_eq!(
            line(&input(2048, 1024, 0), Some((9999, 0))).unwrap(),
            "scans reads Weekly EMEA: 2.0 KiB of 2.0 KiB, 205 B/s, 0 findings/s",
            "another report began"
        );
        assert_eq!(line(&input(2048, 4096, 10), Some((2048, 10))), None);
        assert_eq!(line(&InputTick { report: None, ..input(2048, 0, 0) }, None), None);
    }

    #[test]
    fn line_of_a_delivered_report() {
        let report = ReportEvent {
            input: "scans".to_owned(),
            report_id: "scan/1790000000.00042".to_owned(),
            title: "Weekly\nEMEA".to_owned(),
            path: "one.xml".to_owned(),
            complete: true,
            findings: 41_203,
            assets: 812,
            duration_ms: 96_400,
            outputs: Counts::from([("siem".to_owned(), 41_180), ("sheet".to_owned(), 1_041_203)]),
            ..ReportEvent::default()
        };
        assert_eq!(
            delivered(&report),
            "delivered Weekly\\nEMEA (scan/1790000000.00042): 41,203 findings of 812 assets → sheet 1,041,203, siem \
             41,180, 96.4 s"
        );
        let bare = ReportEvent {
            report_id: String::new(),
            title: String::new(),
            complete: false,
            moved_to: Some("done/one.xml".to_owned()),
            ..report
        };
        assert!(delivered(&bare).starts_with("delivered one.xml (incomplete): "), "{}", delivered(&bare));
        assert!(delivered(&bare).ends_with(", moved to done/one.xml"), "{}", delivered(&bare));
    }
}
