//! A minimal host for contract tests. It accepts the plugin's calls and can request a stop.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::abi::{
    AliveTable1, BytesRef, CancelTable1, HostTable2, LogTable1, TOTAL_IS_KNOWN,
};
use scanbridge_plugin_api::{OpenFrame, Purpose};
use serde_json::Value;

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
    pub fn table(&'static self) -> &'static HostTable2 {
        let (size, context) = (size_of::<HostTable2>() as u32, std::ptr::from_ref(self).cast());
        Box::leak(Box::new(HostTable2 { size, reserved: 0, context, get_table }))
    }

    fn level(&self) -> u32 {
        if self.cancelled.load(Ordering::SeqCst) { 2 } else { 0 }
    }
}

/// What an instance of this name is opened with.
#[must_use]
pub fn frame(options: &Value, state_folder: &Path) -> OpenFrame {
    let mut frame = OpenFrame::default();
    "exam".clone_into(&mut frame.instance);
    frame.purpose = Purpose::Exam;
    frame.options = options.as_object().cloned().expect("the options are an object");
    frame.state_folder = state_folder.to_owned();
    frame
}

#[expect(unsafe_code, reason = "the plugin passes back the context that it received")]
fn host(context: *const ()) -> &'static ExamHost {
    // SAFETY: the context comes from `ExamHost::table`, and the host is never freed.
    unsafe { &*context.cast::<ExamHost>() }
}

extern "C" fn get_table(_: *const (), id: BytesRef<'_>) -> *const () {
    static LOG: LogTable1 = LogTable1 { level: log_level, log };
    static CANCEL: CancelTable1 = CancelTable1 { level, wait };
    static ALIVE: AliveTable1 = AliveTable1 { alive, progress, phase };
    match id.as_slice() {
        b"log/1" => std::ptr::from_ref(&LOG).cast(),
        b"cancel/1" => std::ptr::from_ref(&CANCEL).cast(),
        b"alive/1" => std::ptr::from_ref(&ALIVE).cast(),
        // Like an older host: the plugin has to work without the other services.
        _ => std::ptr::null(),
    }
}

extern "C" fn log_level(_: *const ()) -> u32 {
    5
}

extern "C" fn log(_: *const (), _: u32, _: BytesRef<'_>, message: BytesRef<'_>, fields: BytesRef<'_>) {
    let message = str::from_utf8(message.as_slice()).expect("a log line is UTF-8");
    assert!(!message.contains('\u{0}'), "a log line contains a NUL byte");
    let fields = fields.as_slice();
    assert!(
        fields.is_empty() || serde_json::from_slice::<Value>(fields).is_ok_and(|fields| fields.is_object()),
        "the fields of a log line are not a JSON object"
    );
}

extern "C" fn level(context: *const ()) -> u32 {
    host(context).level()
}

extern "C" fn wait(context: *const (), seen: u32, milliseconds: u64) -> u32 {
    let end = Instant::now() + Duration::from_millis(milliseconds);
    while level(context) <= seen && Instant::now() < end {
        thread::sleep(Duration::from_millis(1));
    }
    level(context)
}

extern "C" fn alive(_: *const ()) {}

extern "C" fn progress(_: *const (), done: u64, total: u64, flags: u32) {
    assert!(flags & TOTAL_IS_KNOWN == 0 || done <= total, "invalid progress: {done} of {total} bytes");
}

extern "C" fn phase(_: *const (), text: BytesRef<'_>) {
    assert!(str::from_utf8(text.as_slice()).is_ok(), "the name of a phase is not UTF-8");
}
