//! Carries a plugin's `tracing` events to the host's log. Each library has a `tracing` of its own, so without
//! this its events would go nowhere.

use std::cell::Cell;
use std::fmt;
use std::sync::Once;

use serde_json::Value;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Interest, Level, Metadata, Subscriber};

use super::host_table::HostHandle;

thread_local! {
    /// The host handle of the instance on whose behalf this thread works now.
    static CURRENT: Cell<Option<HostHandle>> = const { Cell::new(None) };
}

/// Gives the previous instance back when dropped.
pub(crate) struct Entered(Option<HostHandle>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Makes this thread's events those of `host`'s instance.
pub(crate) fn enter(host: Option<HostHandle>) -> Entered {
    static INSTALL: Once = Once::new();
    if host.is_some() {
        // An author's own test harness may have set a subscriber already; then that one gets the events.
        INSTALL.call_once(|| {
            drop(tracing::subscriber::set_global_default(ToHost));
            report_panics();
        });
    }
    Entered(CURRENT.replace(host))
}

/// A panic on behalf of an instance is said in the host's log, with its place, and not on standard error, where
/// nobody would know whose it is. Other threads of the library keep what was there.
fn report_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match CURRENT.get() {
        Some(host) => {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let text = panic.payload_as_str().unwrap_or("no message");
            host.log(level_number(Level::ERROR), &place, &format!("panic at {place}: {text}"), "");
        }
        None => before(panic),
    }));
}

/// Has no spans: an event is one line, and the host adds the instance's id.
struct ToHost;

impl Subscriber for ToHost {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Instances of one library may log at different levels, so no answer holds for good.
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

/// The number of a level as it crosses: 1 error to 5 trace.
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

/// An event: the message, and the other fields as JSON.
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
