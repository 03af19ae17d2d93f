//! Encodes findings as events in the Common Event Format (CEF), one event per line, without any I/O.
//!
//! [`Encoder`] turns batches into lines and passes each to a [`Sink`]. It uses `table` (fields of each kind of event),
//! `field` (keys and limits), `escape` (cleaning and escaping of texts) and `budget` (truncation to a maximum size).
//! [`EventSettings`] decides what is in an event, [`options`] reads it from the options of a plugin.

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
pub mod options;
mod ports;
mod report;
mod settings;
mod severity;
mod sink;
mod table;
mod tally;
mod time;

pub use additional::AdditionalField;
pub use asset_buffer::AssetBufferSettings;
pub use connector::{ConnectorFields, ConnectorStyle};
pub use encoder::Encoder;
pub use settings::{ClassIdStyle, EventSettings, ExtraFields};
pub use severity::SeverityStyle;
pub use sink::{Outcome, Sink, refusal};
pub use tally::Tally;
pub use time::TimeCorrection;
