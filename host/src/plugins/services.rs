//! The functions of the host's services, as plugins call them.
#![expect(unsafe_code, reason = "plugins pass back the context pointer of the host")]

use std::time::Duration;

use scanbridge_plugin_api::abi::{
    ALIVE_1, AliveTable1, Bytes, BytesRef, CANCEL_1, CancelTable1, HostTable2, LOG_1, LogTable1, MASK_1,
    METRICS_1, MOVED_1, MaskTable1, MetricsTable1, MovedTable1, NOTES_1, NotesTable1, PANIC_1, PanicTable1,
    STATE_1, StateTable1, Status, TOTAL_IS_KNOWN, WAKE_1, WakeTable1, mask, masked,
};
use scanbridge_plugin_api::{PluginError, ReportKey};

use super::context::Context;
use crate::telemetry;

/// The host table of the instance with this context, for `open`. As the context, it is never freed.
pub(crate) fn leaked_table(context: &'static Context) -> &'static HostTable2 {
    let context = std::ptr::from_ref(context).cast();
    Box::leak(Box::new(HostTable2 { size: size_of::<HostTable2>() as u32, reserved: 0, context, get_table }))
}

extern "C" fn get_table(_: *const (), id: BytesRef<'_>) -> *const () {
    static LOG: LogTable1 = LogTable1 { level: log_level, log };
    static CANCEL: CancelTable1 = CancelTable1 { level: cancel_level, wait };
    static ALIVE: AliveTable1 = AliveTable1 { alive, progress, phase };
    static NOTES: NotesTable1 = NotesTable1 { note };
    static WAKE: WakeTable1 = WakeTable1 { wake };
    static MASK: MaskTable1 = MaskTable1 { mask: mask_text };
    static STATE: StateTable1 =
        StateTable1 { get: get_key, put: put_key, delete: delete_key, list: list_keys };
    static METRICS: MetricsTable1 =
        MetricsTable1 { register: register_metric, add: add_to_counter, set: set_gauge };
    static MOVED: MovedTable1 = MovedTable1 { moved };
    static PANIC: PanicTable1 = PanicTable1 { panicked };
    match id.to_text().as_str() {
        LOG_1 => std::ptr::from_ref(&LOG).cast(),
        CANCEL_1 => std::ptr::from_ref(&CANCEL).cast(),
        ALIVE_1 => std::ptr::from_ref(&ALIVE).cast(),
        NOTES_1 => std::ptr::from_ref(&NOTES).cast(),
        WAKE_1 => std::ptr::from_ref(&WAKE).cast(),
        MASK_1 => std::ptr::from_ref(&MASK).cast(),
        STATE_1 => std::ptr::from_ref(&STATE).cast(),
        METRICS_1 => std::ptr::from_ref(&METRICS).cast(),
        MOVED_1 => std::ptr::from_ref(&MOVED).cast(),
        PANIC_1 => std::ptr::from_ref(&PANIC).cast(),
        _ => std::ptr::null(),
    }
}

/// # Safety
/// `context` is that of a table of [`leaked_table`]; such a context is never freed.
unsafe fn context_of(context: *const ()) -> &'static Context {
    // SAFETY: required by this function.
    unsafe { &*context.cast::<Context>() }
}

extern "C" fn log_level(_: *const ()) -> u32 {
    telemetry::plugins_level()
}

extern "C" fn log(
    context: *const (),
    level: u32,
    target: BytesRef<'_>,
    message: BytesRef<'_>,
    fields_json: BytesRef<'_>,
) {
    // SAFETY: plugins pass back the context that they received.
    let context = unsafe { context_of(context) };
    let (message, fields) = (message.to_text(), fields_json.to_text());
    telemetry::plugin_line(&context.instance, level, &target.to_text(), &masked(&message), &masked(&fields));
}

extern "C" fn cancel_level(context: *const ()) -> u32 {
    // SAFETY: as above.
    unsafe { context_of(context) }.level()
}

extern "C" fn wait(context: *const (), seen: u32, milliseconds: u64) -> u32 {
    // SAFETY: as above.
    unsafe { context_of(context) }.wait(seen, Duration::from_millis(milliseconds))
}

extern "C" fn alive(context: *const ()) {
    // SAFETY: as above.
    unsafe { context_of(context) }.record_activity(Duration::ZERO);
}

extern "C" fn progress(context: *const (), done: u64, total: u64, flags: u32) {
    let total = if flags & TOTAL_IS_KNOWN == 0 { 0 } else { total };
    // SAFETY: as above.
    unsafe { context_of(context) }.set_progress(done, total);
}

extern "C" fn phase(context: *const (), text: BytesRef<'_>) {
    // SAFETY: as above.
    unsafe { context_of(context) }.set_phase(masked(&text.to_text()).into_owned());
}

extern "C" fn note(context: *const (), level: u32, text: BytesRef<'_>, count: u64) {
    // SAFETY: as above.
    unsafe { context_of(context) }.note(level, masked(&text.to_text()).into_owned(), count);
}

extern "C" fn wake(context: *const ()) {
    // SAFETY: as above.
    unsafe { context_of(context) }.wake();
}

extern "C" fn mask_text(_: *const (), text: BytesRef<'_>) {
    mask(&text.to_text());
}

extern "C" fn get_key(context: *const (), key: BytesRef<'_>, value: &mut Bytes, found: &mut u32) -> Status {
    // SAFETY: as above.
    let context = unsafe { context_of(context) };
    let read = text_of(key).and_then(|key| context.keys().get(key));
    Status::from(read.map(|stored| {
        *found = u32::from(stored.is_some());
        *value = stored.unwrap_or_default().into();
    }))
}

extern "C" fn put_key(context: *const (), key: BytesRef<'_>, value: BytesRef<'_>) -> Status {
    // SAFETY: as above.
    let context = unsafe { context_of(context) };
    text_of(key).and_then(|key| context.keys().change(key, Some(value.as_slice()))).into()
}

extern "C" fn delete_key(context: *const (), key: BytesRef<'_>) -> Status {
    // SAFETY: as above.
    let context = unsafe { context_of(context) };
    text_of(key).and_then(|key| context.keys().change(key, None)).into()
}

extern "C" fn list_keys(context: *const (), prefix: BytesRef<'_>, keys: &mut Bytes) -> Status {
    // SAFETY: as above.
    let context = unsafe { context_of(context) };
    let listed = text_of(prefix).and_then(|prefix| context.keys().list(prefix));
    Status::from(listed.map(|listed| {
        *keys = serde_json::to_vec(&listed).expect("texts can be serialized").into();
    }))
}

extern "C" fn register_metric(context: *const (), kind: u32, name: BytesRef<'_>, help: BytesRef<'_>) -> u32 {
    // SAFETY: as above.
    unsafe { context_of(context) }.metrics().register(kind, &name.to_text(), &masked(&help.to_text()))
}

extern "C" fn add_to_counter(context: *const (), id: u32, count: u64) {
    // SAFETY: as above.
    unsafe { context_of(context) }.metrics().add(id, count);
}

extern "C" fn set_gauge(context: *const (), id: u32, value: f64) {
    // SAFETY: as above.
    unsafe { context_of(context) }.metrics().set(id, value);
}

extern "C" fn moved(context: *const (), report: BytesRef<'_>, to: BytesRef<'_>) {
    if let Ok(report) = serde_json::from_slice::<ReportKey>(report.as_slice()) {
        // SAFETY: as above.
        unsafe { context_of(context) }.add_moved(report, masked(&to.to_text()).into_owned());
    }
}

extern "C" fn panicked(
    context: *const (),
    thread: BytesRef<'_>,
    location: BytesRef<'_>,
    message: BytesRef<'_>,
) {
    // SAFETY: as above.
    let context = unsafe { context_of(context) };
    let (thread, location, message) = (thread.to_text(), location.to_text(), message.to_text());
    let text = format!("plugin bug: panic in its thread `{thread}` at {location}: {}", masked(&message));
    context.add_panic(PluginError::bug(text));
}

/// A key as text. Other keys are refused, because two of them could be equal after a conversion.
fn text_of(key: BytesRef<'_>) -> Result<&str, PluginError> {
    std::str::from_utf8(key.as_slice())
        .map_err(|_| PluginError::bug("plugin bug: a key of state/1 is not valid UTF-8"))
}
