//! The metrics of the service and its pipelines.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use scanbridge_observe::{MetricsFormat, PipelineState, PipelineView, ServiceMetrics, metrics_of_service};

use crate::machine::{Machine, State};
use crate::supervisor::{Entry, Supervisor};

impl Supervisor {
    /// All metrics, as text.
    pub(crate) fn metrics(&self, format: MetricsFormat) -> String {
        let states: Vec<(&PipelineView, PipelineState)> = self
            .fleet
            .iter()
            .filter_map(|(name, machine)| {
                let entry = self.entries.get(name)?;
                Some((&entry.view, self.state(entry, machine)))
            })
            .collect();
        let pipelines: Vec<(&PipelineView, &PipelineState)> =
            states.iter().map(|(view, state)| (*view, state)).collect();
        metrics_of_service(&self.own_metrics(), &pipelines, format)
    }

    fn state(&self, entry: &Entry, machine: &Machine) -> PipelineState {
        let clock = self.clock();
        let next = if machine.state().is_active() { None } else { machine.next(clock).wall(clock) };
        let process = entry.process.as_ref();
        let current = process.map_or(0, |process| cpu_micros(&process.run.id().to_string()));
        PipelineState {
            state: machine.state().word(),
            restarts: entry.record.restarts,
            skipped: machine.skipped.by_reason(),
            next_run: next.map(seconds),
            interval_seconds: machine.schedule().and_then(|schedule| schedule.longest_gap(clock.wall)),
            resident_bytes: process.and_then(|process| resident_bytes(&process.run.id().to_string())),
            cpu_seconds: seconds_of(entry.record.cpu_micros + current),
        }
    }

    fn own_metrics(&self) -> ServiceMetrics {
        ServiceMetrics {
            states: &State::WORDS,
            reload_successful: self.last_reload.map_or(self.last_success.is_some(), |(_, is_ok)| is_ok),
            reload_success: self.last_success.map(seconds),
            cpu_seconds: seconds_of(cpu_micros("self")),
            resident_bytes: resident_bytes("self").unwrap_or_default(),
            started: seconds(self.started),
            http: self.requests.metrics(),
            certificate_expires: self
                .settings
                .web
                .listener
                .as_ref()
                .and_then(|listener| listener.expires())
                .map(seconds),
            open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
        }
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

/// Resident memory of a process; `None` if the system does not tell.
fn resident_bytes(process: &str) -> Option<u64> {
    let pages = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(rustix::param::page_size() as u64))
}

/// Processor time of a process in microseconds; 0 if the system does not tell.
fn cpu_micros(process: &str) -> u64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { return 0 };
    // The name of the program is in parentheses and may contain spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|part| part.parse::<u64>().ok()).sum();
    ticks.saturating_mul(1_000_000) / rustix::param::clock_ticks_per_second().max(1)
}

fn seconds_of(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}
