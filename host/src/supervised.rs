//! The supervision channel: a run that the service has started tells it what happens, and follows its requests.

use std::fs::File;
use std::io::{self, BufReader};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use scanbridge_observe::{LineError, LineReader, MAX_LINE, RunEvent, ServiceRequest, StopAt, write_line};
use serde_json::Value;

use crate::pipeline::{ABORT, Asked, DRAIN, Stop, Watcher};
use crate::plugins::inherited;

/// The channel to the service.
#[derive(Debug)]
pub(crate) struct Supervisor {
    /// The events to be written; `None` after the last one.
    events: Mutex<Option<SyncSender<RunEvent>>>,
    /// Disconnected when the last event is written.
    written: Mutex<Receiver<()>>,
    /// Events that the service has not read in time.
    dropped: AtomicU64,
}

/// Maximum number of events that wait for the service.
const MAX_WAITING: usize = 4096;
/// How long the end of the run waits until the service has read the last events.
const LAST_WAIT: Duration = Duration::from_secs(2);

impl Supervisor {
    /// Takes over the channel with this number, and follows requests from now on. The end of the service stops the run.
    ///
    /// # Errors
    /// When it is not an open file descriptor.
    pub(crate) fn connect(number: i32, stop: &Arc<Stop>) -> io::Result<Arc<Self>> {
        let channel = File::from(inherited::take(number)?);
        let requests = channel.try_clone()?;
        end_with_parent(stop);
        let (events, waiting) = sync_channel(MAX_WAITING);
        let (at_end, written) = sync_channel(0);
        thread::Builder::new().name("events".to_owned()).spawn(move || {
            write_events(channel, &waiting);
            drop(at_end);
        })?;
        let stop = Arc::clone(stop);
        thread::Builder::new().name("requests".to_owned()).spawn(move || follow(requests, &stop))?;
        let events = Mutex::new(Some(events));
        Ok(Arc::new(Self { events, written: Mutex::new(written), dropped: AtomicU64::new(0) }))
    }

    /// Waits until the service has read the last events, for a short time only.
    pub(crate) fn finish(&self) {
        drop(self.events.lock().unwrap_or_else(PoisonError::into_inner).take());
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = written.recv_timeout(LAST_WAIT);
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!("{dropped} events were not sent to the service: it did not read them in time");
        }
    }
}

impl Watcher for Supervisor {
    /// A service that does not read must not hold up the run: further events are counted.
    fn on_event(&self, event: &RunEvent) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(events) = &*events
            && matches!(events.try_send(event.clone()), Err(TrySendError::Full(_)))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Lets the end of the service stop this run, even if another process keeps the channel open. The signal follows the
/// thread that has started this process.
#[cfg(target_os = "linux")]
fn end_with_parent(stop: &Stop) {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    let parent = getppid();
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        tracing::warn!("cannot request a signal at the end of the service: {error}");
    }
    if getppid() != parent {
        stop.raise(DRAIN); // The service has ended before the signal was requested.
    }
}

/// Only Linux has such a signal; elsewhere the end of the channel stops the run.
#[cfg(not(target_os = "linux"))]
fn end_with_parent(_: &Stop) {}

/// Writes events until the last one, or until the service has closed its end: that does not end the run.
fn write_events(mut channel: File, events: &Receiver<RunEvent>) {
    while let Ok(event) = events.recv() {
        if let Err(error) = write_line(&mut channel, &shortened(event)) {
            tracing::info!("cannot write to the service: {error}; the run continues without it");
            return;
        }
    }
}

/// The event, or what fits into a line: the service skips longer ones.
fn shortened(event: RunEvent) -> RunEvent {
    let length = serde_json::to_vec(&event).map_or(0, |line| line.len());
    match event {
        RunEvent::Summary { summary: Value::Object(mut summary) } if length > MAX_LINE => {
            tracing::warn!("the summary is too long for the service ({length} bytes): it gets no lists");
            summary.retain(|_, value| !value.is_array());
            RunEvent::Summary { summary: summary.into() }
        }
        event => event,
    }
}

/// Follows the requests of the service. The end of the channel means the same as SIGTERM.
fn follow(channel: File, stop: &Stop) {
    let mut requests = LineReader::new(BufReader::new(channel));
    loop {
        match requests.next() {
            Ok(Some(request)) => apply(&request, stop),
            Err(LineError::TooLong | LineError::Invalid(_)) => {
                tracing::warn!("ignoring an invalid request of the service");
            }
            Ok(None) | Err(_) => {
                stop.raise(DRAIN);
                tracing::info!(
                    event = "stop_requested",
                    "the service closed its channel: stopping at the next checkpoint"
                );
                return;
            }
        }
    }
}

fn apply(request: &ServiceRequest, stop: &Stop) {
    let (asked, place) = match request {
        ServiceRequest::Stop { at: StopAt::Report } => (Asked::StopAtReport, "at the end of the report"),
        ServiceRequest::Stop { at: StopAt::Now } => (Asked::Stop(ABORT), "at once"),
        ServiceRequest::Stop { .. } => (Asked::Stop(DRAIN), "at the next checkpoint"),
        ServiceRequest::Statistics {} => return stop.apply(Asked::Statistics),
        ServiceRequest::Tap { output, count, seconds } => {
            return stop.taps().request(output.clone(), *count, *seconds, stop.now());
        }
        _ => return, // Of a later version, or not supported yet.
    };
    stop.apply(asked);
    tracing::info!(event = "stop_requested", "a stop was requested: stopping {place}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn summary_that_does_not_fit_into_a_line_loses_its_lists_only() {
        let summary = json!({ "status": "ok", "failures": ["x".repeat(MAX_LINE)], "elapsed_ms": 3 });
        let RunEvent::Summary { summary } = shortened(RunEvent::Summary { summary }) else { panic!() };
        assert_eq!(summary, json!({ "status": "ok", "elapsed_ms": 3 }));
        let short = RunEvent::Summary { summary: json!({ "failures": ["x"] }) };
        assert_eq!(shortened(short.clone()), short);
    }
}
