//! A minimal host for contract tests. It accepts the plugin's calls and can request a stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::abi::{BytesRef, HostTable2};

/// The host side of one plugin instance under test.
#[derive(Debug, Default)]
pub struct ExamHost {
    cancelled: AtomicBool,
}

impl ExamHost {
    /// A host that is never freed, because a thread of the plugin may call it at any time.
    #[must_use]
    pub fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    /// Requests the instance to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// The host table with which an instance is opened.
    #[must_use]
    pub fn table(&'static self) -> HostTable2 {
        HostTable2 {
            context: std::ptr::from_ref(self).cast(),
            log_level: 5,
            log,
            is_cancelled,
            wait_cancelled,
            progress,
        }
    }
}

#[expect(unsafe_code, reason = "the plugin passes back the context that it received")]
fn host(context: *const ()) -> &'static ExamHost {
    // SAFETY: the context comes from `ExamHost::table`, and the host is never freed.
    unsafe { &*context.cast::<ExamHost>() }
}

extern "C" fn log(_: *const (), _: u32, _: BytesRef<'_>, message: BytesRef<'_>) {
    let message = str::from_utf8(message.as_slice()).expect("a log line is UTF-8");
    assert!(!message.contains('\u{0}'), "a log line contains a NUL byte");
}

extern "C" fn is_cancelled(context: *const ()) -> u32 {
    host(context).cancelled.load(Ordering::SeqCst).into()
}

extern "C" fn wait_cancelled(context: *const (), milliseconds: u64) -> u32 {
    let end = Instant::now() + Duration::from_millis(milliseconds);
    while is_cancelled(context) == 0 && Instant::now() < end {
        thread::sleep(Duration::from_millis(1));
    }
    is_cancelled(context)
}

extern "C" fn progress(_: *const (), done: u64, total: u64) {
    assert!(total == 0 || done <= total, "invalid progress: {done} of {total} bytes");
}
