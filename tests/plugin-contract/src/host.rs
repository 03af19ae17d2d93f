//! A minimal host for contract tests. It accepts the plugin's calls and can request a stop.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::abi::{
    AliveTable1, Bytes, BytesRef, CancelTable1, HostTable2, LogTable1, StateTable1, Status, TOTAL_IS_KNOWN,
};
use scanbridge_plugin_api::{OpenFrame, Purpose, State};
use serde_json::Value;

/// The host side of one plugin instance under test.
#[derive(Debug, Default)]
pub struct ExamHost {
    cancelled: AtomicBool,
    /// The keys of the instance (`state/1`).
    keys: Mutex<Keys>,
}

/// The keys of an instance with their values.
pub type Keys = BTreeMap<String, Vec<u8>>;

impl ExamHost {
    /// A host that is never freed, because a thread of the plugin may call it at any time.
    #[must_use]
    pub fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    /// A host with these keys of the instance, which an earlier run has stored.
    #[must_use]
    pub fn with_keys(keys: Keys) -> &'static Self {
        Box::leak(Box::new(Self { keys: Mutex::new(keys), ..Self::default() }))
    }

    /// The keys of the instance now.
    ///
    /// # Panics
    /// If a call of the plugin has panicked while it changed them.
    #[must_use]
    pub fn keys(&self) -> Keys {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().expect("no panic while the keys are changed")
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
    static STATE: StateTable1 =
        StateTable1 { get: get_key, put: put_key, delete: delete_key, list: list_keys };
    match id.as_slice() {
        b"log/1" => std::ptr::from_ref(&LOG).cast(),
        b"cancel/1" => std::ptr::from_ref(&CANCEL).cast(),
        b"alive/1" => std::ptr::from_ref(&ALIVE).cast(),
        b"state/1" => std::ptr::from_ref(&STATE).cast(),
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

extern "C" fn get_key(context: *const (), key: BytesRef<'_>, value: &mut Bytes, found: &mut u32) -> Status {
    let stored = host(context).lock().get(&text(key)).cloned();
    *found = u32::from(stored.is_some());
    *value = stored.unwrap_or_default().into();
    Status::default()
}

extern "C" fn put_key(context: *const (), key: BytesRef<'_>, value: BytesRef<'_>) -> Status {
    let (key, value) = (text(key), value.as_slice().to_vec());
    assert!((1..=State::MAX_KEY_BYTES).contains(&key.len()), "a key has {} bytes", key.len());
    assert!(value.len() <= State::MAX_VALUE_BYTES, "the value of a key has {} bytes", value.len());
    host(context).lock().insert(key, value);
    Status::default()
}

extern "C" fn delete_key(context: *const (), key: BytesRef<'_>) -> Status {
    host(context).lock().remove(&text(key));
    Status::default()
}

extern "C" fn list_keys(context: *const (), prefix: BytesRef<'_>, keys: &mut Bytes) -> Status {
    let prefix = text(prefix);
    let found: Vec<String> =
        host(context).keys().into_keys().filter(|key| key.starts_with(&prefix)).collect();
    *keys = serde_json::to_vec(&found).expect("texts can be serialized").into();
    Status::default()
}

fn text(bytes: BytesRef<'_>) -> String {
    str::from_utf8(bytes.as_slice()).expect("a key is UTF-8").to_owned()
}
