//! Forwards a plugin's `tracing` events to the host's log. Each library has its own copy of `tracing`, so without
//! this module the events would be lost.

use std::cell::Cell;
use std::fmt;
use std::sync::Once;

use serde_json::Value;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Interest, Level, Metadata, Subscriber};

use super::host_table::HostHandle;

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
    if host.is_some() {
        // A plugin's own test harness may have set a subscriber already; that one then receives the events.
        INSTALL.call_once(|| {
            drop(tracing::subscriber::set_global_default(HostSubscriber));
            report_panics();
        });
    }
    CurrentHostGuard(CURRENT.replace(host))
}

/// Writes a panic of an instance, with its location, to the host's log. Standard error would not name the instance.
/// Other threads of the library keep the previous panic hook.
fn report_panics() {
    let previous_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match CURRENT.get() {
        Some(host) => {
            let location = panic.location().map(ToString::to_string).unwrap_or_default();
            let text = panic.payload_as_str().unwrap_or("no message");
            host.log(level_number(Level::ERROR), &location, &format!("panic at {location}: {text}"), "");
        }
        None => previous_hook(panic),
    }));
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
            && CURRENT.get().is_some_and(|host| level_number(*metadata.level()) <= host.log_level())
    }

    fn event(&self, event: &Event<'_>) {
        if let Some(host) = CURRENT.get() {
            let mut line = Line::default();
            event.record(&mut line);
            let metadata = event.metadata();
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
