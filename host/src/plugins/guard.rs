//! Detects a plugin that ends the process: a library that calls `exit` must not look like a successful run.
//!
//! The guard is a function that the C library calls when a program exits. The C library calls the function that was
//! registered last first, and a plugin may register functions too. Therefore the guard is registered before the first
//! plugin library is loaded and again after each one. `_exit` and direct system calls are not detected, because they
//! call no such function.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{call, last_line, signals};

/// The guarded process; 0 while no command runs. A child process that a plugin has forked may exit normally.
static GUARDED: AtomicU32 = AtomicU32::new(0);

/// Guards the process from the start of a command to its end.
#[derive(Debug)]
pub(crate) struct ExitGuard(());

impl ExitGuard {
    pub(crate) fn arm() -> Self {
        GUARDED.store(std::process::id(), Ordering::Release);
        register();
        signals::install();
        Self(())
    }
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        GUARDED.store(0, Ordering::Release);
    }
}

/// Registers the guard again after a library was loaded.
#[expect(unsafe_code, reason = "the C library's lists of functions to call at exit")]
pub(super) fn register() {
    if GUARDED.load(Ordering::Acquire) == 0 {
        return;
    }
    // SAFETY: the functions have no requirements and stay loaded. The only error is a full list; then `exit` is not
    // detected.
    unsafe {
        libc::atexit(on_exit);
        #[cfg(target_os = "linux")]
        at_quick_exit(on_exit);
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a function of the C standard that the crate libc does not declare")]
unsafe extern "C" {
    fn at_quick_exit(function: extern "C" fn()) -> c_int;
}

/// Ends the process at once, without destructors and without the functions registered for `exit`: an abandoned thread
/// may still run plugin code.
#[expect(unsafe_code, reason = "ends the process at once, other threads and destructors included")]
pub(crate) fn end_process(code: u8) -> ! {
    // SAFETY: the function has no requirements.
    unsafe { libc::_exit(c_int::from(code)) }
}

/// The exit code of a plugin bug, `EX_SOFTWARE`.
const PLUGIN_BUG: c_int = 70;

#[expect(unsafe_code, reason = "ends the process at once, other threads and destructors included")]
extern "C" fn on_exit() {
    if GUARDED.load(Ordering::Acquire) != std::process::id() {
        return;
    }
    match call::current() {
        Some((caller, call)) => last_line::print(format_args!(
            "plugin bug: {caller} called exit in `{call}`; the command was stopped (run again to resume)"
        )),
        None => last_line::print(format_args!(
            "plugin bug: a plugin called exit from a thread of its own; the command was stopped (run again to resume)"
        )),
    }
    // SAFETY: the function has no requirements.
    unsafe { libc::_exit(PLUGIN_BUG) };
}
