//! The table `host/2`: what the host offers to an instance.

use std::time::Duration;

use abi_stable::StableAbi;

use super::memory::BytesRef;

/// The host's functions for one instance. `context` is the host's and opaque here; the table stays valid
/// for the life of the process, and every function may be called from any thread.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct HostTable2 {
    /// What the host wants to have back in every call.
    pub context: *const (),
    /// The most detailed level that the host logs: 1 error, 2 warning, 3 information, 4 debug, 5 trace.
    pub log_level: u32,
    /// Takes one log line: level, target, message.
    pub log: extern "C" fn(context: *const (), level: u32, target: BytesRef<'_>, message: BytesRef<'_>),
    /// 1 if the instance must stop, else 0.
    pub is_cancelled: extern "C" fn(context: *const ()) -> u32,
    /// Waits for this number of milliseconds, or until the instance must stop. Returns 1 if it must stop, else 0.
    pub wait_cancelled: extern "C" fn(context: *const (), milliseconds: u64) -> u32,
    /// Takes how far the instance is: bytes done, bytes in all (0 when unknown).
    pub progress: extern "C" fn(context: *const (), done: u64, total: u64),
}

/// The plugin's hold on its host.
#[derive(Debug, Clone, Copy)]
pub struct HostHandle(HostTable2);

// SAFETY: the host promises that its functions may be called from any thread, and `context` is only ever
// handed back to it.
unsafe impl Send for HostHandle {}
// SAFETY: as above.
unsafe impl Sync for HostHandle {}

impl HostHandle {
    pub(super) fn new(table: HostTable2) -> Self {
        Self(table)
    }

    pub(crate) fn log_level(&self) -> u32 {
        self.0.log_level
    }

    pub(crate) fn log(&self, level: u32, target: &str, message: &str) {
        (self.0.log)(self.0.context, level, target.into(), message.into());
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        (self.0.is_cancelled)(self.0.context) != 0
    }

    pub(crate) fn wait_cancelled(&self, duration: Duration) -> bool {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        (self.0.wait_cancelled)(self.0.context, milliseconds) != 0
    }

    pub(crate) fn progress(&self, done: u64, total: u64) {
        (self.0.progress)(self.0.context, done, total);
    }
}
