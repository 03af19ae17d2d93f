//! Forwards a plugin's `tracing` events to the host's log. Each library has its own copy of `tracing`, so without
//! this module the events would be lost.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::sync::{Once, OnceLock};

use serde_json::Value;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Interest, Level, Metadata, Subscriber};
use tracing_log::NormalizeEvent;

use super::host_table::HostHandle;

/// The first instance of this library. Its log receives the lines of threads without an instance.
static LIBRARY: OnceLock<HostHandle> = OnceLock::new();

thread_local! {
    /// Host handle of the instance that this thread is working for.
    static CURRENT: Cell<Option<HostHandle>> = const { Cell::new(None) };
}

/// Restores the previous instance when dropped.
pub(crate) struct CurrentHostGuard(Option<HostHandle>);

impl Drop for CurrentHostGuard {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Assigns this thread's events to the instance of `host`.
pub(crate) fn enter(host: Option<HostHandle>) -> CurrentHostGuard {
    static INSTALL: Once = Once::new();
    if let Some(host) = host {
        LIBRARY.get_or_init(|| host);
        // A plugin's own test harness may have set a subscriber already; that one then receives the events.
        INSTALL.call_once(|| {
            drop(tracing::subscriber::set_global_default(HostSubscriber));
            // Forwards lines of the crate `log`. Fails if the plugin has set a logger; that one then receives them.
            drop(tracing_log::LogTracer::init());
            report_panics();
        });
    }
    CurrentHostGuard(CURRENT.replace(host))
}

/// The message of a panic. The method of the standard library needs Rust 1.91.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Writes a panic of an instance, with its location, to the host's log. Standard error would not name the instance. A
/// panic in a thread of the library's own is reported too, because no call returns it. If the host cannot receive it,
/// such a thread keeps the previous panic hook.
fn report_panics() {
    let previous_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic_text(panic.payload());
        match receiver() {
            Some((host, true)) => {
                host.log(level_number(Level::ERROR), &location, &format!("panic at {location}: {text}"), "");
            }
            Some((host, false)) if host.panicked(&thread_name(), &location, text) => {}
            _ => previous_hook(panic),
        }
    }));
}

/// The name of this thread, for messages.
fn thread_name() -> String {
    std::thread::current().name().unwrap_or("without a name").to_owned()
}

/// The instance that receives the events of this thread: its own, otherwise the first one of the library. True for its own.
fn receiver() -> Option<(HostHandle, bool)> {
    let own = CURRENT.get().map(|host| (host, true));
    own.or_else(|| LIBRARY.get().map(|host| (*host, false)))
}

/// Forwards events to the host. Spans are ignored: an event is one line, and the host adds the instance ID.
struct HostSubscriber;

impl Subscriber for HostSubscriber {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Instances of one library may log at different levels, so the result must not be cached.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && receiver().is_some_and(|(host, _)| level_number(*metadata.level()) <= host.log_level())
    }

    fn event(&self, event: &Event<'_>) {
        if let Some((host, is_own)) = receiver() {
            let mut line = Line::default();
            event.record(&mut line);
            if !is_own {
                line.message.insert_str(0, &format!("[thread {}] ", thread_name()));
            }
            // Lines of the crate `log` have their target and location in fields.
            let normalized = event.normalized_metadata();
            let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
            host.log(level_number(*metadata.level()), metadata.target(), &line.message, &line.fields());
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The ABI number of a level: 1 error to 5 trace.
#[must_use]
pub fn level_number(level: Level) -> u32 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// Collects an event: the message, and the other fields as JSON.
#[derive(Default)]
struct Line {
    message: String,
    fields: serde_json::Map<String, Value>,
}

impl Line {
    /// The fields as a JSON object; empty if there are none.
    fn fields(&self) -> String {
        if self.fields.is_empty() {
            return String::new();
        }
        serde_json::to_string(&self.fields).expect("a map of JSON values can be serialized")
    }

    fn add(&mut self, field: &Field, value: Value) {
        if field.name().starts_with("log.") {
            return; // `normalized_metadata` reads these fields.
        }
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.add(field, value.into()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.add(field, format!("{value:?}").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::host_table::{HostTable2, LOG_1, LogTable1};
    use super::super::memory::BytesRef;
    use super::*;

    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

    extern "C" fn get_table(_: *const (), id: BytesRef<'_>) -> *const () {
        static LOG: LogTable1 = LogTable1 { level, log };
        if id.to_text() == LOG_1 { std::ptr::from_ref(&LOG).cast() } else { std::ptr::null() }
    }

    extern "C" fn level(_: *const ()) -> u32 {
        3
    }

    extern "C" fn log(
        _: *const (),
        level: u32,
        target: BytesRef<'_>,
        message: BytesRef<'_>,
        fields: BytesRef<'_>,
    ) {
        let line = format!("{level} {} {} {}", target.to_text(), message.to_text(), fields.to_text());
        LINES.lock().unwrap().push(line.trim_end().to_owned());
    }

    #[test]
    fn lines_of_other_threads_and_of_the_crate_log_reach_the_host() {
        static HOST: HostTable2 = HostTable2 { size: 24, reserved: 0, context: std::ptr::null(), get_table };
        let guard = enter(Some(HostHandle::new(&HOST)));
        tracing::info!(target: "acme", count = 2, name = "a", "own thread");
        ::log::warn!(target: "library", "by the crate log");
        tracing::debug!(target: "acme", "below the level of the host");
        let worker = std::thread::Builder::new().name("worker".to_owned());
        worker.spawn(|| tracing::info!(target: "acme", "in a thread")).unwrap().join().unwrap();
        drop(guard);
        let lines = LINES.lock().unwrap();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(
            lines,
            [
                r#"3 acme own thread {"count":2,"name":"a"}"#,
                "2 library by the crate log",
                "3 acme [thread worker] in a thread",
            ]
        );
    }
}
