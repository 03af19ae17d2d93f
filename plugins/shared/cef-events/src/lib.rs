//! Encodes findings as events in the Common Event Format (CEF), one event per line, without any I/O.
//!
//! [`Encoder`] turns batches into lines and passes each to a [`Sink`]. It uses `table` (fields of each kind of event),
//! `field` (keys and limits), `escape` (cleaning and escaping of texts) and `budget` (truncation to a maximum size).
//! [`EventSettings`] decides what is in an event.

mod additional;
mod asset;
mod asset_buffer;
mod budget;
mod cache;
mod connector;
mod encoder;
mod escape;
mod event_id;
mod field;
mod fragment;
mod ports;
mod report;
mod settings;
mod severity;
mod sink;
mod table;
mod time;

pub use additional::AdditionalField;
pub use asset_buffer::AssetBufferSettings;
pub use connector::{ConnectorFields, ConnectorStyle};
pub use encoder::{Encoder, Tally};
pub use escape::{EscapeResult, header};
pub use settings::{ClassIdStyle, DEVICE_LIMIT, EventSettings, ExtraFields, VERSION_LIMIT};
pub use severity::SeverityStyle;
pub use sink::{Outcome, Sink, refusal};
pub use time::TimeCorrection;
