//! Reports the plugin call in which the process crashed, and keeps passwords out of core dumps.
//!
//! The handler prints one line. Then the default action of the signal ends the process, so that the shell, systemd
//! and cron see the signal.

use std::ffi::{c_int, c_void};
use std::{mem, ptr};

use super::{call, last_line};

/// The signals of a crash.
const FATAL: [(c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV, segmentation fault or stack overflow"),
    (libc::SIGBUS, "SIGBUS, bus error"),
    (libc::SIGILL, "SIGILL, illegal instruction"),
    (libc::SIGFPE, "SIGFPE, arithmetic error"),
    (libc::SIGABRT, "SIGABRT, abort"),
];

/// Installs the handler for all [`FATAL`] signals.
///
/// The handler runs on the alternate signal stack that the standard library sets up for each of its threads.
/// Therefore it also runs after a stack overflow. A thread that a plugin created without the standard library has no
/// such stack; a stack overflow there ends the process without a line.
#[expect(unsafe_code, reason = "the standard library installs no signal handlers")]
pub(super) fn install() {
    for (signal, _) in FATAL {
        // SAFETY: the action is completely initialized; the handler calls only functions that are safe in a signal
        // handler.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction =
                (on_crash as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)) as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }
}

/// Disables core dumps: they would contain the passwords of a run.
#[cfg(target_os = "linux")]
pub(crate) fn disable_core_dumps() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!("cannot disable core dumps ({error}); a core dump of this process contains passwords");
    }
}

/// Core dumps can be disabled on Linux only.
#[cfg(not(target_os = "linux"))]
pub(crate) fn disable_core_dumps() {}

#[expect(unsafe_code, reason = "functions of the C library that a signal handler may call")]
extern "C" fn on_crash(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    let name = FATAL.iter().find(|(number, _)| *number == signal).map_or("unknown signal", |(_, name)| name);
    // SAFETY: the system passes valid information about the signal (SA_SIGINFO).
    let sender = unsafe { ((*info).si_code <= 0).then(|| (*info).si_pid()) };
    let own = std::process::id();
    match (sender.filter(|sender| u32::try_from(*sender) != Ok(own)), call::current()) {
        (Some(sender), _) => last_line::print(format_args!("process {sender} ended this process ({name})")),
        (None, Some((caller, call))) => last_line::print(format_args!(
            "plugin bug: {caller} crashed in `{call}` ({name}); the process ended (run again to resume)"
        )),
        (None, None) => last_line::print(format_args!(
            "crashed ({name}) in a thread of a plugin or of Scanbridge itself; the process ended (run again to \
             resume)"
        )),
    }
    // SAFETY: the default action ends the process as soon as this handler returns and the signal is unblocked.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn core_dumps_are_disabled() {
        super::disable_core_dumps();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
