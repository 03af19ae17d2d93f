//! Carries a plugin's `tracing` events to the host's log. Each library has a `tracing` of its own, so without
//! this its events would go nowhere.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::Once;

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
            host.log(level_number(Level::ERROR), &place, &format!("panic at {place}: {text}"));
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
            host.log(level_number(*metadata.level()), metadata.target(), &line.text());
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

/// An event as text: the message, then the other fields as `name=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn text(self) -> String {
        self.message + &self.fields
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
