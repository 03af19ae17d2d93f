//! The thread of one instance. It makes all calls of the instance, including `open` and `close`. The host waits for
//! each call, and abandons a call that hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::PluginError;

use super::context::Context;
use super::{call, guard};
use crate::pipeline::{ABORT, after};

/// The thread of an instance whose handle is an `H`.
#[derive(Debug)]
pub(crate) struct InstanceThread<H> {
    context: &'static Context,
    /// `None` after a call that did not return: the thread is abandoned, and no further call is made.
    jobs: Option<Sender<Job<H>>>,
}

/// A call with the handle of the instance, which is `None` before `open` and after `close`.
type Job<H> = Box<dyn FnOnce(&mut Option<H>) + Send>;

/// Time limits without progress for the calls of an instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallLimits {
    /// All calls except `check` and `close`.
    pub(crate) hang: Duration,
    /// `check`.
    pub(crate) check: Duration,
    /// `close`.
    pub(crate) close: Duration,
}

impl CallLimits {
    /// The limits with this `hang_secs`.
    pub(crate) fn of(hang: Duration) -> Self {
        Self { hang, check: hang.min(Duration::from_secs(60)), close: hang.min(Duration::from_secs(10)) }
    }

    fn of_call(&self, call: &str) -> Duration {
        match call {
            "check" => self.check,
            "close" => self.close,
            _ => self.hang,
        }
    }
}

/// Time after which a slow call is first logged; the interval then doubles.
const SLOW: Duration = Duration::from_secs(30);

/// Interval at which a call in progress is checked.
const TICK: Duration = Duration::from_millis(50);
/// Time limit for a cancelled call to return.
const AFTER_ABORT: Duration = Duration::from_secs(2);

/// Whether a thread was abandoned in this process. The process then ends without destructors.
static THREAD_ABANDONED: AtomicBool = AtomicBool::new(false);

/// Returns the exit code of a command. If a thread was abandoned, ends the process with this code: the plugin must
/// not run at the same time as destructors.
pub(crate) fn end_command(code: u8) -> u8 {
    if THREAD_ABANDONED.load(Ordering::Relaxed) {
        guard::end_process(code);
    }
    code
}

impl<H: Send + 'static> InstanceThread<H> {
    /// Starts the thread; its name is the `id` of the instance.
    pub(crate) fn start(name: &str, context: &'static Context) -> Self {
        let (jobs, received) = channel::<Job<H>>();
        let work = move || {
            let mut handle = None;
            for job in received {
                job(&mut handle);
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system starts a thread");
        Self { context, jobs: Some(jobs) }
    }

    /// Whether a call did not return.
    pub(crate) fn is_hung(&self) -> bool {
        self.jobs.is_none()
    }

    /// Runs a call and waits for its result.
    ///
    /// # Errors
    /// The error of the call; a [`Bug`](scanbridge_plugin_api::ErrorKind::Bug) if the call timed out.
    pub(crate) fn call<T: Send + 'static>(
        &mut self,
        call: &'static str,
        limits: CallLimits,
        work: impl FnOnce(&mut Option<H>) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<T, PluginError> {
        let Some(jobs) = &self.jobs else {
            return Err(PluginError::bug(format!("`{call}` is not called: an earlier call did not return")));
        };
        let (result, returned) = sync_channel(1);
        let caller = self.context.caller();
        self.context.record_activity(Duration::ZERO);
        self.context.set_calling(true);
        let started = self.context.stop.now();
        let job: Job<H> = Box::new(move |handle| {
            let outcome = call::run_call(caller, call, || work(handle));
            // The receiver no longer exists if the host has abandoned this call.
            let _ = result.send(outcome);
        });
        let result = match jobs.send(job) {
            Ok(()) => self.result_of(call, limits.of_call(call), started, &returned),
            Err(_) => Err(ended(call)),
        };
        self.context.set_calling(false);
        result
    }

    /// Waits for the result of a call.
    fn result_of<T>(
        &mut self,
        call: &'static str,
        limit: Duration,
        started: Instant,
        returned: &Receiver<Result<T, PluginError>>,
    ) -> Result<T, PluginError> {
        let stop = &self.context.stop;
        let end = after(started, limit);
        let (mut logged, mut aborted) = (Duration::ZERO, None);
        loop {
            match returned.recv_timeout(stop.clock().interval(TICK, end)) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Disconnected) => return Err(ended(call)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let inactive = self.context.inactive_time().min(stop.since(started));
            if self.context.level() >= ABORT {
                let since = *aborted.get_or_insert_with(|| stop.now());
                if stop.clock().until(since + AFTER_ABORT).is_zero() {
                    self.abandon_thread();
                    return Err(PluginError::cancelled());
                }
            }
            if inactive >= limit {
                return Err(self.abandon_call(call, limit, returned));
            }
            let next = if logged.is_zero() { SLOW.min(limit / 2) } else { logged * 2 };
            if inactive < logged {
                logged = Duration::ZERO;
            } else if inactive >= next {
                logged = inactive;
                self.log_slow(call, inactive);
            }
        }
    }

    fn log_slow(&self, call: &str, inactive: Duration) {
        let phase = self.context.phase();
        let phase = if phase.is_empty() { phase } else { format!(" ({phase})") };
        let (instance, seconds) = (self.context.instance.as_str(), inactive.as_secs());
        tracing::warn!(instance, "`{call}` has been running for {seconds} s without progress{phase}");
    }

    /// Cancels a hanging call. A call that returns now has failed, but its thread can still close the instance.
    fn abandon_call<T>(
        &mut self,
        call: &str,
        limit: Duration,
        returned: &Receiver<Result<T, PluginError>>,
    ) -> PluginError {
        self.context.abort();
        if returned.recv_timeout(AFTER_ABORT).is_err() {
            THREAD_ABANDONED.store(true, Ordering::Relaxed);
        }
        self.jobs = None;
        PluginError::bug(format!(
            "timed out: `{call}` ran for {} s without progress (hang_secs); the instance was abandoned",
            limit.as_secs()
        ))
    }

    fn abandon_thread(&mut self) {
        THREAD_ABANDONED.store(true, Ordering::Relaxed);
        self.jobs = None;
    }
}

fn ended(call: &str) -> PluginError {
    PluginError::bug(format!("the thread of the instance ended in `{call}`"))
}
