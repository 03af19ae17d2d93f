//! A service that runs many pipelines each minute for a long time: nothing of it may grow.

use std::io::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fmt, fs};

use super::bound::{Bound, Limit, median};
use super::operations::print;
use super::service::{Service, pipeline};
use super::stage::{Stage, StageError, shape};
use crate::generator::{Extent, Format};

/// What is looked at again and again.
#[derive(Debug, Clone, Copy)]
struct Sample {
    resident_mib: f64,
    descriptors: u64,
    threads: u64,
    files: u64,
    mib: f64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident_mib, descriptors, threads, files, mib } = self;
        write!(
            f,
            "resident {resident_mib:.1} MiB, {descriptors} descriptors, {threads} threads, {files} files of {mib:.1} MiB"
        )
    }
}

/// Caches and buffers fill up at first. In a short time, that is a third of it.
const WARM_UP: Duration = Duration::from_secs(120);
/// The interval between two samples, and the shortest one.
const INTERVAL: Duration = Duration::from_secs(10);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(500);

impl Stage {
    /// Runs this number of pipelines each minute or continuously, and compares the first with the last third of the time
    /// after the warm-up. Of what each run has for itself, such as descriptors, the least counts: a leak raises it, too.
    ///
    /// # Errors
    /// Fails if the service fails.
    pub fn soak(
        &self,
        pipelines: usize,
        time: Duration,
        is_continuous: bool,
        out: &mut impl Write,
    ) -> Result<Vec<Bound>, StageError> {
        let report = self.report("soak", shape(Format::Scan, Extent::Bytes(200_000), 20))?;
        let path = report.path.display().to_string();
        let keys = match is_continuous {
            true => "schedule: continuous\nrestart: { initial_secs: 1 }",
            false => "schedule: { cron: '* * * * *' }",
        };
        let pipelines: Vec<_> =
            (0..pipelines).map(|number| pipeline(&format!("p{number:02}"), &path, keys)).collect();
        let service = Service::start(self, &pipelines)?;
        let begun = Instant::now();
        sleep(WARM_UP.min(time / 3));
        let interval = (time / 100).clamp(SHORTEST_INTERVAL, INTERVAL);
        let mut samples = Vec::new();
        let mut shown = Instant::now();
        while begun.elapsed() < time {
            let sample = sample(&service)?;
            if samples.is_empty() || shown.elapsed() >= Duration::from_secs(60) {
                shown = Instant::now();
                print(out, &format!("{:>6} s: {sample}", begun.elapsed().as_secs()))?;
            }
            samples.push(sample);
            sleep(interval);
        }
        let runs: u64 = service.pipelines()?.iter().filter_map(|view| view["last_run"]["run"].as_u64()).sum();
        let failed =
            service.pipelines()?.iter().filter(|view| view["last_run"]["status"] == "failed").count();
        print(out, &format!("{runs} runs, {failed} pipelines whose last run failed"))?;
        let third = samples.len() / 3;
        let (first, last) = (&samples[..third], &samples[samples.len() - third..]);
        let memory = |samples: &[Sample]| median(samples.iter().map(|sample| sample.resident_mib));
        let growth = |value: fn(&Sample) -> u64| {
            let least =
                |samples: &[Sample]| samples.iter().map(value).min().map_or(f64::NAN, |least| least as f64);
            least(last) - least(first)
        };
        let bound = |quantity: &str, measured, maximum, unit| Bound {
            quantity: format!("soak: {quantity}"),
            measured,
            limit: Limit::AtMost(maximum),
            unit,
        };
        Ok(vec![
            bound("resident memory", memory(&samples), 25.0, " MiB"),
            bound("growth of resident memory", memory(last) - memory(first), 1.0, " MiB"),
            bound("growth of open descriptors", growth(|sample| sample.descriptors), 0.0, ""),
            bound("growth of threads", growth(|sample| sample.threads), 0.0, ""),
            bound("growth of the number of files", growth(|sample| sample.files), 0.0, ""),
            Bound {
                quantity: "soak: runs of each pipeline".to_owned(),
                measured: runs as f64 / pipelines.len() as f64,
                limit: Limit::AtLeast(3.0),
                unit: "",
            },
            bound("pipelines whose last run failed", failed as f64, 0.0, ""),
        ])
    }
}

fn sample(service: &Service) -> Result<Sample, StageError> {
    let usage = service.usage()?;
    let (files, bytes) = size_of(&service.folder);
    let mib = bytes as f64 / f64::from(1 << 20);
    Ok(Sample {
        resident_mib: usage.resident_mib,
        descriptors: usage.descriptors,
        threads: usage.threads,
        files,
        mib,
    })
}

/// Number and size of all files below a directory. What disappears meanwhile does not count.
fn size_of(folder: &Path) -> (u64, u64) {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.fold((0, 0), |(files, bytes), entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            let (more, size) = size_of(&entry.path());
            (files + more, bytes + size)
        }
        Ok(metadata) => (files + 1, bytes + metadata.len()),
        Err(_) => (files, bytes),
    })
}
