//! The thread of one instance: all its calls come from here, `open` and `close` included. The host waits for each call,
//! and gives up one that does not return.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::PluginError;

use super::context::Context;
use super::guard;
use crate::pipeline::ABORT;

/// The thread of an instance whose handle is an `H`.
#[derive(Debug)]
pub(crate) struct InstanceThread<H> {
    context: &'static Context,
    jobs: Option<Sender<Job<H>>>,
    /// Whether a call did not return: the thread is left behind, and no further call is made.
    hung: bool,
}

/// A call, with the handle of the instance: empty before `open` and after `close`.
type Job<H> = Box<dyn FnOnce(&mut Option<H>) + Send>;

/// How long the calls of an instance may take without a sign of progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallLimits {
    /// Most calls.
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

impl Default for CallLimits {
    fn default() -> Self {
        Self::of(Duration::from_secs(600))
    }
}

/// When a slow call is logged first; then whenever it has taken twice as long.
const SLOW: Duration = Duration::from_secs(30);
/// How often a call in progress is examined.
const TICK: Duration = Duration::from_millis(50);
/// How long a cancelled call may take to return.
const AFTER_ABORT: Duration = Duration::from_secs(2);

/// Whether a thread was left behind in this process. The process then ends without destructors.
static LEFT_BEHIND: AtomicBool = AtomicBool::new(false);

/// Returns the exit code of a command, or ends the process with it if a thread was left behind: its plugin must not run
/// together with the destructors.
pub(crate) fn end_command(code: u8) -> u8 {
    if LEFT_BEHIND.load(Ordering::Relaxed) {
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
        Self { context, jobs: Some(jobs), hung: false }
    }

    /// Whether a call did not return.
    pub(crate) fn is_hung(&self) -> bool {
        self.hung
    }

    /// Makes a call and waits for its result.
    ///
    /// # Errors
    /// The error of the call. A [`Bug`](scanbridge_plugin_api::ErrorKind::Bug) if it did not return in time.
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
        self.context.sign_of_life(Duration::ZERO);
        let begun = Instant::now();
        let job: Job<H> = Box::new(move |handle| {
            let outcome = guard::during(caller, call, || work(handle));
            // The receiver is gone if the host has given up this call.
            let _ = result.send(outcome);
        });
        if jobs.send(job).is_err() {
            return Err(ended(call));
        }
        let limit = limits.of_call(call);
        let (mut logged, mut aborted) = (Duration::ZERO, None);
        loop {
            match returned.recv_timeout(TICK) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Disconnected) => return Err(ended(call)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let quiet = self.context.quiet_time().min(begun.elapsed());
            if self.context.level() >= ABORT {
                let since = *aborted.get_or_insert_with(Instant::now);
                if since.elapsed() >= AFTER_ABORT {
                    self.leave_behind();
                    return Err(PluginError::cancelled());
                }
            }
            if quiet >= limit {
                return Err(self.give_up(call, limit, &returned));
            }
            let next = if logged.is_zero() { SLOW.min(limit / 2) } else { logged * 2 };
            if quiet < logged {
                logged = Duration::ZERO;
            } else if quiet >= next {
                logged = quiet;
                self.log_slow(call, quiet);
            }
        }
    }

    fn log_slow(&self, call: &str, quiet: Duration) {
        let phase = self.context.phase();
        let phase = if phase.is_empty() { phase } else { format!(" ({phase})") };
        let (instance, seconds) = (self.context.instance.as_str(), quiet.as_secs());
        tracing::warn!(instance, "`{call}` has been running for {seconds} s without progress{phase}");
    }

    /// Cancels a call that hangs. A call that returns now is too late, but its thread can still close the instance.
    fn give_up<T>(
        &mut self,
        call: &str,
        limit: Duration,
        returned: &std::sync::mpsc::Receiver<Result<T, PluginError>>,
    ) -> PluginError {
        self.context.abort();
        if returned.recv_timeout(AFTER_ABORT).is_err() {
            LEFT_BEHIND.store(true, Ordering::Relaxed);
        }
        self.hung = true;
        self.jobs = None;
        PluginError::bug(format!(
            "timed out: `{call}` ran for {} s without progress (hang_secs); the instance was abandoned",
            limit.as_secs()
        ))
    }

    fn leave_behind(&mut self) {
        LEFT_BEHIND.store(true, Ordering::Relaxed);
        self.hung = true;
        self.jobs = None;
    }
}

fn ended(call: &str) -> PluginError {
    PluginError::bug(format!("the thread of the instance ended in `{call}`"))
}
