//! What the host offers to an instance: a table that returns service tables by ID.

use std::time::Duration;

use abi_stable::StableAbi;

use super::memory::{Bytes, BytesRef};
use super::status::{Status, from_json};
use crate::error::Result;

/// The host's side of one instance. This table and the tables that it returns stay valid for the life of the process.
/// Every function may be called from any thread at any time, even after the instance was closed.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct HostTable2 {
    /// The size of this structure, in bytes.
    pub size: u32,
    /// Always 0.
    pub reserved: u32,
    /// The host's context, passed back in every call, including those of the service tables.
    pub context: *const (),
    /// Returns the table of a service; null if the host does not have it.
    pub get_table: extern "C" fn(context: *const (), id: BytesRef<'_>) -> *const (),
}

// SAFETY: the host promises that its functions may be called from any thread. `context` is only passed back to the
// host.
unsafe impl Send for HostTable2 {}
// SAFETY: as above.
unsafe impl Sync for HostTable2 {}

/// The ID of [`LogTable1`].
pub const LOG_1: &str = "log/1";
/// The ID of [`CancelTable1`].
pub const CANCEL_1: &str = "cancel/1";
/// The ID of [`AliveTable1`].
pub const ALIVE_1: &str = "alive/1";
/// The ID of [`NotesTable1`].
pub const NOTES_1: &str = "notes/1";
/// The ID of [`WakeTable1`].
pub const WAKE_1: &str = "wake/1";
/// The ID of [`MaskTable1`].
pub const MASK_1: &str = "mask/1";

/// The ID of [`StateTable1`].
pub const STATE_1: &str = "state/1";

/// The ID of [`MetricsTable1`].
pub const METRICS_1: &str = "metrics/1";

/// The ID of [`MovedTable1`]. Plugins use it if the host has it; they cannot require it.
pub const MOVED_1: &str = "moved/1";

/// The ID of [`PanicTable1`]. Plugins use it if the host has it; they cannot require it.
pub const PANIC_1: &str = "panic/1";

/// The host's log.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct LogTable1 {
    /// The most detailed level that the host logs: 1 error, 2 warning, 3 information, 4 debug, 5 trace.
    pub level: extern "C" fn(context: *const ()) -> u32,
    /// Writes one log line: level, target, message, and the other fields as a JSON object (empty for none).
    pub log: extern "C" fn(
        context: *const (),
        level: u32,
        target: BytesRef<'_>,
        message: BytesRef<'_>,
        fields_json: BytesRef<'_>,
    ),
}

/// The cancel level: 0 run, 1 drain, 2 abort.
///
/// At 1, an input returns the next step that has a position, or `Cancelled`. An output finishes the current call and
/// waits at most 5 s for an unreachable peer. At 2, both return `Cancelled` at once; after 2 s the host abandons the
/// thread.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct CancelTable1 {
    /// Returns the current level.
    pub level: extern "C" fn(context: *const ()) -> u32,
    /// Waits until the level is above `seen`, at most for this number of milliseconds. Returns the level.
    pub wait: extern "C" fn(context: *const (), seen: u32, milliseconds: u64) -> u32,
}

/// Progress reports. Each one resets the hang timer of the current call.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct AliveTable1 {
    /// Reports that the instance is working.
    pub alive: extern "C" fn(context: *const ()),
    /// Reports the progress in bytes. Flag 1: `total` is known.
    pub progress: extern "C" fn(context: *const (), done: u64, total: u64, flags: u32),
    /// Names the current activity, for messages about slow calls.
    pub phase: extern "C" fn(context: *const (), text: BytesRef<'_>),
}

/// Notes for the summary of the run.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct NotesTable1 {
    /// Adds `count` to the note with this text. Level as in [`LogTable1`]; an unknown level counts as information.
    pub note: extern "C" fn(context: *const (), level: u32, text: BytesRef<'_>, count: u64),
}

/// Wakes an idle instance.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct WakeTable1 {
    /// Ends the idle time of an input.
    pub wake: extern "C" fn(context: *const ()),
}

/// Redaction of derived secrets.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct MaskTable1 {
    /// Redacts this text in all later lines of the run.
    pub mask: extern "C" fn(context: *const (), text: BytesRef<'_>),
}

/// The instance's own keys, kept between runs. Keys are text of 1 to 512 bytes, values have at most 64 KiB.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct StateTable1 {
    /// Returns the value of a key. `found` is 1 if it exists, else 0.
    pub get:
        extern "C" fn(context: *const (), key: BytesRef<'_>, value: &mut Bytes, found: &mut u32) -> Status,
    /// Sets the value of a key.
    pub put: extern "C" fn(context: *const (), key: BytesRef<'_>, value: BytesRef<'_>) -> Status,
    /// Deletes a key, if it exists.
    pub delete: extern "C" fn(context: *const (), key: BytesRef<'_>) -> Status,
    /// Returns the keys that begin with `prefix`, as a JSON list of texts in ascending order.
    pub list: extern "C" fn(context: *const (), prefix: BytesRef<'_>, keys: &mut Bytes) -> Status,
}

/// Measurements of the instance, for the summary of the run and for monitoring.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct MetricsTable1 {
    /// Adds a metric and returns its ID; the same ID for the same kind and name. Kind 1 is a counter, 2 a gauge. A name
    /// has 1 to 64 lower case letters, digits and `_`. 0 means that the metric is refused: an instance has at most 64.
    pub register: extern "C" fn(context: *const (), kind: u32, name: BytesRef<'_>, help: BytesRef<'_>) -> u32,
    /// Adds to a counter.
    pub add: extern "C" fn(context: *const (), id: u32, count: u64),
    /// Sets a gauge.
    pub set: extern "C" fn(context: *const (), id: u32, value: f64),
}

/// Sources that an input has moved.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct MovedTable1 {
    /// Reports during `stored` where the source of a report is now. The report is the JSON of its key, as in the frame of
    /// `stored`; `to` is a path or URL.
    pub moved: extern "C" fn(context: *const (), report: BytesRef<'_>, to: BytesRef<'_>),
}

/// Panics outside of calls.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct PanicTable1 {
    /// Reports a panic in a thread of the plugin's own: the name of the thread, the location, and the message. The run
    /// counts it as a failure of the instance.
    pub panicked: extern "C" fn(
        context: *const (),
        thread: BytesRef<'_>,
        location: BytesRef<'_>,
        message: BytesRef<'_>,
    ),
}

/// Kind of [`MetricsTable1::register`]: a sum that only rises.
pub const COUNTER: u32 = 1;
/// Kind of [`MetricsTable1::register`]: a value that changes.
pub const GAUGE: u32 = 2;

/// Flag of [`AliveTable1::progress`].
pub const TOTAL_IS_KNOWN: u32 = 1;

/// The plugin's handle of its host: the tables of the services that this host has.
#[derive(Debug, Clone, Copy)]
pub struct HostHandle {
    context: *const (),
    log: Option<&'static LogTable1>,
    cancel: Option<&'static CancelTable1>,
    alive: Option<&'static AliveTable1>,
    notes: Option<&'static NotesTable1>,
    wake: Option<&'static WakeTable1>,
    mask: Option<&'static MaskTable1>,
    state: Option<&'static StateTable1>,
    metrics: Option<&'static MetricsTable1>,
    moved: Option<&'static MovedTable1>,
    panic: Option<&'static PanicTable1>,
}

// SAFETY: the host promises that its functions may be called from any thread. `context` is only passed back to the
// host.
unsafe impl Send for HostHandle {}
// SAFETY: as above.
unsafe impl Sync for HostHandle {}

impl HostHandle {
    /// Requests every service that this version of the SDK uses.
    pub(super) fn new(table: &HostTable2) -> Self {
        // SAFETY: a table with one of these IDs has the layout of that type, and is valid for the life of the
        // process.
        unsafe {
            Self {
                context: table.context,
                log: get(table, LOG_1),
                cancel: get(table, CANCEL_1),
                alive: get(table, ALIVE_1),
                notes: get(table, NOTES_1),
                wake: get(table, WAKE_1),
                mask: get(table, MASK_1),
                state: get(table, STATE_1),
                metrics: get(table, METRICS_1),
                moved: get(table, MOVED_1),
                panic: get(table, PANIC_1),
            }
        }
    }

    pub(crate) fn log_level(&self) -> u32 {
        self.log.map_or(0, |table| (table.level)(self.context))
    }

    pub(crate) fn log(&self, level: u32, target: &str, message: &str, fields_json: &str) {
        if let Some(table) = self.log {
            (table.log)(self.context, level, target.into(), message.into(), fields_json.into());
        }
    }

    /// Reports a panic in a thread of the plugin's own. Returns whether this host has the service.
    pub(super) fn panicked(&self, thread: &str, location: &str, message: &str) -> bool {
        if let Some(table) = self.panic {
            (table.panicked)(self.context, thread.into(), location.into(), message.into());
        }
        self.panic.is_some()
    }

    pub(crate) fn cancel_level(&self) -> u32 {
        self.cancel.map_or(0, |table| (table.level)(self.context))
    }

    /// Waits until the level is above `seen`. A host without this service never cancels.
    pub(crate) fn wait_cancelled(&self, seen: u32, duration: Duration) -> u32 {
        if let Some(table) = self.cancel {
            return (table.wait)(self.context, seen, millis(duration));
        }
        std::thread::sleep(duration);
        0
    }

    pub(crate) fn alive(&self) {
        if let Some(table) = self.alive {
            (table.alive)(self.context);
        }
    }

    pub(crate) fn progress(&self, done: u64, total: Option<u64>) {
        if let Some(table) = self.alive {
            let flags = if total.is_some() { TOTAL_IS_KNOWN } else { 0 };
            (table.progress)(self.context, done, total.unwrap_or_default(), flags);
        }
    }

    pub(crate) fn phase(&self, text: &str) {
        if let Some(table) = self.alive {
            (table.phase)(self.context, text.into());
        }
    }

    pub(crate) fn note(&self, level: u32, text: &str, count: u64) {
        if let Some(table) = self.notes {
            (table.note)(self.context, level, text.into(), count);
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(table) = self.wake {
            (table.wake)(self.context);
        }
    }

    pub(crate) fn mask(&self, text: &str) {
        if let Some(table) = self.mask {
            (table.mask)(self.context, text.into());
        }
    }

    pub(crate) fn moved(&self, report_json: &str, to: &str) {
        if let Some(table) = self.moved {
            (table.moved)(self.context, report_json.into(), to.into());
        }
    }

    /// The ID of this metric; 0 if this host has no metrics or refuses it.
    pub(crate) fn register_metric(&self, kind: u32, name: &str, help: &str) -> u32 {
        self.metrics.map_or(0, |table| (table.register)(self.context, kind, name.into(), help.into()))
    }

    pub(crate) fn add_to_counter(&self, id: u32, count: u64) {
        if let Some(table) = self.metrics {
            (table.add)(self.context, id, count);
        }
    }

    pub(crate) fn set_gauge(&self, id: u32, value: f64) {
        if let Some(table) = self.metrics {
            (table.set)(self.context, id, value);
        }
    }

    /// The value of a key. `None` instead of a result if this host has no keys.
    pub(crate) fn get_key(&self, key: &str) -> Option<Result<Option<Vec<u8>>>> {
        let table = self.state?;
        let (mut value, mut found) = (Bytes::default(), 0);
        let read = (table.get)(self.context, key.into(), &mut value, &mut found);
        Some(Result::from(read).map(|()| (found != 0).then(|| value.into_vec())))
    }

    /// Sets the value of a key. `None` as for [`HostHandle::get_key`].
    pub(crate) fn put_key(&self, key: &str, value: &[u8]) -> Option<Result<()>> {
        Some((self.state?.put)(self.context, key.into(), value.into()).into())
    }

    /// Deletes a key. `None` as for [`HostHandle::get_key`].
    pub(crate) fn delete_key(&self, key: &str) -> Option<Result<()>> {
        Some((self.state?.delete)(self.context, key.into()).into())
    }

    /// The keys that begin with this prefix. `None` as for [`HostHandle::get_key`].
    pub(crate) fn list_keys(&self, prefix: &str) -> Option<Result<Vec<String>>> {
        let table = self.state?;
        let mut keys = Bytes::default();
        let listed = (table.list)(self.context, prefix.into(), &mut keys);
        Some(Result::from(listed).and_then(|()| from_json(&keys)))
    }
}

/// # Safety
/// The host's table with this ID is a `T` that is valid for the life of the process.
unsafe fn get<T>(table: &HostTable2, id: &str) -> Option<&'static T> {
    // SAFETY: required by this function; a null pointer means no table.
    unsafe { (table.get_table)(table.context, id.into()).cast::<T>().as_ref() }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
