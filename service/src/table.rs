//! The table of `scanbridge service status`.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use jiff::{Timestamp, Zoned};
use scanbridge_observe::without_controls;
use serde_json::Value;

const HEADER: [&str; 6] = ["PIPELINE", "STATE", "LAST RUN", "FINDINGS", "DELIVERED", "NEXT"];
/// Other columns are short.
const MAX_REASON: usize = 60;

/// The state of the service and its pipelines. Times are in the time zone of `now`.
pub(crate) fn status_table(status: &Value, now: &Zoned) -> String {
    let mut table = plain_table(&HEADER);
    let mut notes = String::new();
    for pipeline in list(&status["pipelines"]) {
        table.add_row(row(pipeline, now));
        for problem in list(&pipeline["rejected"]).iter().filter(|problem| problem["severity"] != "warning") {
            let words = crate::accepted::problem_in_words(problem);
            let words = without_controls(&words);
            notes.push_str(&format!("{}: the file has errors: {words}\n", text(&pipeline["name"])));
        }
    }
    let service = &status["service"];
    let mut shown = lines_of(table);
    shown.push_str(&notes);
    shown.push_str(&format!("state: {}\nlog: {}\n", text(&service["state_dir"]), text(&service["log"])));
    let listener = &service["listener"];
    if listener.is_object() {
        shown.push_str(&format!("listener: {}\n", text(&listener["url"])));
    }
    let certificate = &listener["certificate"];
    if certificate.is_object() {
        let (sha256, expires) = (text(&certificate["sha256"]), time(&certificate["expires"], now));
        shown.push_str(&format!("certificate: SHA-256 {sha256}, expires {expires}\n"));
    }
    shown
}

/// The tokens of the service. Times are in the time zone of `now`.
pub(crate) fn token_table(tokens: &Value, now: &Zoned) -> String {
    let mut table = plain_table(&["TOKEN", "ROLE", "CREATED", "EXPIRES", "LAST USED"]);
    for token in list(tokens) {
        let expires =
            if token["expires"].is_null() { "never".to_owned() } else { time(&token["expires"], now) };
        let last_used = dash(text(&token["last_used_day"]));
        table.add_row([
            text(&token["name"]),
            text(&token["role"]),
            time(&token["created"], now),
            expires,
            last_used,
        ]);
    }
    lines_of(table)
}

fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table
}

fn lines_of(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn row(pipeline: &Value, now: &Zoned) -> [String; 6] {
    let (run, last) = (&pipeline["run"], &pipeline["last_run"]);
    let state = pipeline["state"].as_str().unwrap_or_default();
    let pending = if pipeline["pending"] == true { ", change pending" } else { "" };
    let (when, findings, delivered) = if run.is_null() {
        let code = match (last["exit_code"].as_u64(), last["status"].as_str()) {
            (Some(0), _) | (_, None | Some("")) => String::new(),
            (Some(code), _) => format!("  exit {code}"),
            (None, Some(status)) => format!("  {status}"),
        };
        let when = time(&last["started"], now);
        let delivered = last["outputs"].as_object().into_iter().flatten();
        let delivered: Vec<String> = delivered.map(|(id, records)| format!("{id} {records}")).collect();
        (format!("{when}{code}"), number(&last["findings"]), delivered.join(", "))
    } else {
        let outputs = list(&run["outputs"]).iter();
        let delivered: Vec<String> = outputs
            .map(|output| format!("{} {}", text(&output["id"]), number(&output["counts"]["records"])))
            .collect();
        (format!("since {}", time(&run["started"], now)), number(&run["findings"]), delivered.join(", "))
    };
    let next = match state {
        "held" => format!("needs you: {}", short(&text(&pipeline["reason"]))),
        "invalid" | "blocked" | "retrying" if pipeline["next_run"].is_null() => {
            short(&text(&pipeline["reason"]))
        }
        "retrying" | "blocked" => {
            format!("{} ({})", time(&pipeline["next_run"], now), short(&text(&pipeline["reason"])))
        }
        _ => time(&pipeline["next_run"], now),
    };
    [text(&pipeline["name"]), format!("{state}{pending}"), when, findings, dash(delivered), next]
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    without_controls(value.as_str().unwrap_or_default()).into_owned()
}

fn number(value: &Value) -> String {
    value.as_u64().map_or_else(|| "–".to_owned(), |number| number.to_string())
}

fn dash(text: String) -> String {
    if text.is_empty() { "–".to_owned() } else { text }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_REASON) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The time of day, with the date if it is not today.
fn time(value: &Value, now: &Zoned) -> String {
    let Some(at) = value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) else {
        return "–".to_owned();
    };
    let at = at.to_zoned(now.time_zone().clone());
    let form = if at.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
    at.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_state_says_what_is_next() {
        let now: Zoned = "2026-11-30T12:00:00[UTC]".parse().unwrap();
        let status = json!({
            "service": { "state_dir": "/var/lib/scanbridge", "log": "journal" },
            "pipelines": [
                { "name": "emea", "state": "running", "run": { "started": "2026-11-30T05:03:00Z", "findings": 41203,
                  "outputs": [{ "id": "siem", "counts": { "records": 41180 } }] }, "last_run": {} },
                { "name": "weekly", "state": "held", "reason": "login rejected (exit code 77)", "run": null,
                  "last_run": { "started": "2026-11-23T05:00:00Z", "exit_code": 77, "status": "failed", "findings": 0,
                  "outputs": {} } },
                { "name": "new", "state": "waiting", "next_run": "2026-12-01T05:00:00Z", "run": null, "last_run": null },
            ],
        });
        let shown = status_table(&status, &now);
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        assert_eq!(lines[0], HEADER);
        assert_eq!(lines[1], ["emea", "running", "since 05:03:00", "41203", "siem 41180", "–"]);
        assert_eq!(
            lines[2],
            [
                "weekly",
                "held",
                "2026-11-23 05:00",
                "exit 77",
                "0",
                "–",
                "needs you: login rejected (exit code 77)"
            ]
        );
        assert_eq!(lines[3], ["new", "waiting", "–", "–", "–", "2026-12-01 05:00"]);
        assert_eq!(lines[4], ["state: /var/lib/scanbridge"]);
    }
}
