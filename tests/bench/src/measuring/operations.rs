//! The cost of the service: scrapes during a large run, and many pipelines of which one fails and one hangs.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bound::{Bound, Limit};
use super::service::{Service, pipeline};
use super::stage::{Stage, StageError, shape};
use crate::generator::{Extent, Format};

const SCRAPES: u32 = 200;
/// The scrape interval of `dist/monitoring/scrape.yaml`.
const INTERVAL_SECS: f64 = 15.0;
const PIPELINES: usize = 50;
/// The longest time by which a regular start may be late.
const LATEST_SECS: u64 = 10;

impl Stage {
    /// Measures a scrape during a run of `findings` findings, then 50 pipelines for this time.
    ///
    /// # Errors
    /// Fails if the service fails, or a run delivers something else than the report contains.
    pub fn service(
        &self,
        findings: u64,
        time: Duration,
        out: &mut impl Write,
    ) -> Result<Vec<Bound>, StageError> {
        let mut bounds = self.scrapes(findings, out)?;
        bounds.extend(self.many_pipelines(time, out)?);
        Ok(bounds)
    }

    fn scrapes(&self, findings: u64, out: &mut impl Write) -> Result<Vec<Bound>, StageError> {
        let report =
            self.report("scrapes", shape(Format::Detections, Extent::Assets(findings / 30), 1000))?;
        let path = report.path.display().to_string();
        let service = Service::start(self, &[pipeline("large", &path, "")])?;
        service.post("/api/v1/pipelines/large/run")?;
        // A small run may end before it has reported a count.
        let has_ended = |view: &Value| view["last_run"]["ended"].is_string();
        service.wait("large", |view| view["run"]["findings"].as_u64() > Some(0) || has_ended(view))?;
        let before = service.usage()?.cpu_secs;
        for _ in 0..SCRAPES {
            service.get("/metrics")?;
        }
        let per_scrape = (service.usage()?.cpu_secs - before) / f64::from(SCRAPES);
        let view = service.wait("large", has_ended)?;
        report.remove();
        if view["last_run"]["findings"].as_u64() != Some(report.counts.findings.total()) {
            return Err(StageError::new("the run", &view["last_run"]));
        }
        let metrics = service.get("/metrics")?;
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            value.ok_or_else(|| StageError::new("metrics", format!("{name} is missing")))
        };
        let run_cpu = value("scanbridge_run_cpu_seconds_total")?;
        let seconds = value("scanbridge_pipeline_last_run_duration_seconds")?;
        let scrapes = (seconds / INTERVAL_SECS).ceil();
        print(
            out,
            &format!(
                "scrape: {:.2} ms of processor time; run of {findings} findings: {run_cpu:.1} s of processor time in \
                 {seconds:.1} s, with {scrapes} scrapes",
                per_scrape * 1000.0
            ),
        )?;
        Ok(vec![Bound {
            quantity: "scrapes each 15 s, part of the run's processor time".to_owned(),
            measured: per_scrape * scrapes / run_cpu * 100.0,
            limit: Limit::AtMost(1.0),
            unit: " %",
        }])
    }

    fn many_pipelines(&self, time: Duration, out: &mut impl Write) -> Result<Vec<Bound>, StageError> {
        let report = self.report("small", shape(Format::Scan, Extent::Bytes(20_000), 10))?;
        let path = report.path.display().to_string();
        let keys = "schedule: { every_minutes: 1 }";
        let mut pipelines: Vec<_> =
            (0..PIPELINES - 2).map(|number| pipeline(&format!("p{number:02}"), &path, keys)).collect();
        let (name, text) =
            pipeline("failing", &path, &format!("{keys}\nrestart: {{ initial_secs: 1, max_secs: 5 }}"));
        pipelines.push((name, text.replace("path: failing.csv", "path: missing/failing.csv")));
        pipelines.push(watching("hanging", &path));
        let service = Service::start(self, &pipelines)?;
        let hanging = service.wait("hanging", |view| view["run"]["pid"].is_u64())?;
        let hanging = hanging["run"]["pid"].to_string();
        let _hanging = Hanging::stop(&hanging)?;

        let (mut last, mut latest, mut starts): (BTreeMap<String, f64>, f64, u32) = Default::default();
        let mut most_resident = 0.0_f64;
        let begun = Instant::now();
        while begun.elapsed() < time {
            for view in service.pipelines()? {
                let name = view["name"].as_str().unwrap_or_default();
                let started = view["last_run"]["started"].as_str().and_then(seconds);
                let (true, Some(started)) = (name.starts_with('p'), started) else { continue };
                if let Some(before) = last.insert(name.to_owned(), started).filter(|before| *before < started)
                {
                    latest = latest.max(started - before - 60.0);
                    starts += 1;
                }
            }
            most_resident = most_resident.max(service.usage()?.resident_mib);
            sleep(Duration::from_millis(500));
        }
        let failing = service.get("/api/v1/pipelines/failing")?;
        print(out, &format!("{PIPELINES} pipelines: {starts} regular starts; failing: {}", brief(&failing)))?;

        // All files have changed.
        for (name, text) in &pipelines {
            let file = service.folder.join(format!("pipelines/{name}.yaml"));
            std::fs::write(&file, format!("{text}# changed\n"))
                .map_err(|error| StageError::new(file.display(), error))?;
        }
        let reloaded = Instant::now();
        let answer = service.post("/api/v1/reload")?;
        let reload_secs = reloaded.elapsed().as_secs_f64();
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        let applied = ["changed", "pending"].map(|list| answer[list].as_array().map_or(0, Vec::len));
        if applied.iter().sum::<usize>() != PIPELINES {
            return Err(StageError::new("reload", answer));
        }
        most_resident = most_resident.max(service.usage()?.resident_mib);
        // Those of the first minute are not counted, and the last ones may be late by what the next limit allows.
        let minutes = time.as_secs().saturating_sub(LATEST_SECS) / 60;
        let expected = (PIPELINES as u64 - 2) * minutes;
        let bound = |quantity: &str, measured, limit, unit| Bound {
            quantity: quantity.to_owned(),
            measured,
            limit,
            unit,
        };
        Ok(vec![
            bound("50 pipelines: regular starts", f64::from(starts), Limit::AtLeast(expected as f64), ""),
            bound(
                "50 pipelines: latest start after its time",
                latest,
                Limit::AtMost(LATEST_SECS as f64),
                " s",
            ),
            bound("50 pipelines: resident memory of the service", most_resident, Limit::AtMost(25.0), " MiB"),
            bound("50 pipelines: reload of 50 changed files", reload_secs, Limit::AtMost(3.0), " s"),
        ])
    }
}

/// A pipeline that runs always.
fn watching(name: &str, report: &str) -> (String, String) {
    let folder = std::path::Path::new(report).parent().unwrap_or(std::path::Path::new("."));
    let (name, text) = pipeline(name, report, "schedule: continuous");
    let watched = format!("path: {:?}, watch: yes,", folder.join("no-reports-*.xml"));
    (name, text.replace(&format!("path: {report:?},"), &watched))
}

/// A run that hangs: it neither reports nor ends. It continues when the service has ended, and so ends too.
struct Hanging<'a>(&'a str);

impl<'a> Hanging<'a> {
    fn stop(pid: &'a str) -> Result<Self, StageError> {
        signal("-STOP", pid).map(|()| Self(pid))
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        let _ = signal("-CONT", self.0);
    }
}

fn signal(name: &str, pid: &str) -> Result<(), StageError> {
    let status = Command::new("kill").args([name, pid]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(StageError::new(format!("kill {name} {pid}"), format!("{other:?}"))),
    }
}

fn brief(view: &str) -> String {
    let view: Value = serde_json::from_str(view).unwrap_or_default();
    format!("{}, exit code {}", view["state"], view["last_run"]["exit_code"])
}

/// Seconds within the month of a time in RFC 3339 and UTC, as the service writes it.
fn seconds(time: &str) -> Option<f64> {
    let part = |from: usize, to: usize| time.get(from..to)?.parse::<f64>().ok();
    let second = time.get(17..)?.trim_end_matches('Z').parse::<f64>().ok()?;
    Some(((part(8, 10)? * 24.0 + part(11, 13)?) * 60.0 + part(14, 16)?) * 60.0 + second)
}

pub(super) fn print(out: &mut impl Write, line: &str) -> Result<(), StageError> {
    writeln!(out, "{line}").map_err(|error| StageError::new("output", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_service_are_read() {
        assert_eq!(
            seconds("2026-11-30T05:19:40.25Z"),
            Some(((30.0 * 24.0 + 5.0) * 60.0 + 19.0) * 60.0 + 40.25)
        );
        assert_eq!(seconds("2026-11-30"), None);
    }
}
