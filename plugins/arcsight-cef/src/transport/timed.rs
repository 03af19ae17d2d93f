//! Batch timer: writes buffered events after `batch_secs`, even if no further event arrives.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use scanbridge_plugin_api::{CheckReport, PluginError, Result, Services};
use scanbridge_tls_identity::Identity;

use super::stream::Stream;

/// A stream, and a thread that writes events when they are due. A mutex serializes callers and the thread.
#[derive(Debug)]
pub(super) struct TimedStream {
    shared: Arc<Shared>,
    services: Services,
    /// Started with the first message; a probe needs no thread.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// `None` after it was closed.
    stream: Option<Stream>,
    /// Error of the thread; returned by the next call.
    failure: Option<PluginError>,
    /// Whether the thread waits for a first message and must be woken.
    is_waiting: bool,
}

impl TimedStream {
    pub(super) fn new(stream: Stream, services: Services) -> Self {
        let state = State { stream: Some(stream), failure: None, is_waiting: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        Self { shared, services, thread: None }
    }

    /// The client certificate, if one is sent.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.shared.lock().stream.as_ref().and_then(Stream::identity)
    }

    pub(super) fn check(&self) -> CheckReport {
        let state = self.shared.lock();
        state.stream.as_ref().map(Stream::check).unwrap_or_default()
    }

    /// Adds a framed message, which `append` writes to the end of a buffer.
    pub(super) fn message(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        if self.thread.is_none() {
            self.thread = Some(self.start()?);
        }
        let mut state = self.shared.lock();
        state.stream()?.message(append)?;
        if state.is_waiting {
            state.is_waiting = false;
            self.shared.changed.notify_one();
        }
        Ok(())
    }

    /// Waits until delivery of all messages is confirmed.
    pub(super) fn confirm(&mut self) -> Result<()> {
        self.shared.lock().stream()?.confirm()
    }

    /// Drops the newest `messages` that are not sent. Returns how many of them were already sent.
    pub(super) fn drop_unsent(&mut self, messages: usize) -> usize {
        self.shared.lock().stream.as_mut().map_or(messages, |stream| stream.drop_unsent(messages))
    }

    pub(super) fn close(mut self) {
        if let Some(stream) = self.stop() {
            stream.close();
        }
    }

    fn start(&self) -> Result<JoinHandle<()>> {
        let (shared, services) = (Arc::clone(&self.shared), self.services.clone());
        let flush_when_due = move || {
            let _tagged = services.enter();
            shared.flush_when_due();
        };
        std::thread::Builder::new()
            .name("syslog-batches".to_owned())
            .spawn(flush_when_due)
            .map_err(|error| PluginError::bug(format!("cannot start a thread: {error}")))
    }

    /// Takes the stream, and waits until the thread has ended.
    fn stop(&mut self) -> Option<Stream> {
        let stream = self.shared.lock().stream.take();
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // Its error, if any, is in the state.
            let _ = thread.join();
        }
        stream
    }
}

impl Drop for TimedStream {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

impl Shared {
    /// Ignores poisoning: after a panic the stream is only closed or dropped.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush_when_due(&self) {
        let mut state = self.lock();
        while let Some(stream) = &mut state.stream {
            let left = stream.due().map(|due| due.saturating_duration_since(Instant::now()));
            state = match left {
                Some(left) if left.is_zero() && state.failure.is_none() => {
                    state.flush();
                    state
                }
                Some(left) if !left.is_zero() => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                _ => {
                    state.is_waiting = true;
                    self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

impl State {
    /// The stream, or the error of the thread.
    fn stream(&mut self) -> Result<&mut Stream> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.stream.as_mut().ok_or_else(|| PluginError::bug("the connection is already closed")),
        }
    }

    fn flush(&mut self) {
        self.failure = self.stream.as_mut().and_then(|stream| stream.flush().err());
    }
}
