//! HTTP output: posts findings in batches to a destination.
//!
//! `preset` is the table of destinations, `options` and `settings` what an operator chooses. `stream` is for destinations of
//! single records: `record` turns a finding into a record, `queue` collects records, `delivery` posts them and judges the response with `answer` and the file of the
//! destination (`splunk`, `bulk`, `webhook`). `import` is for destinations of whole reports. `client` makes the requests, `credentials` and `service_account` log in.

#![doc = include_str!("../README.md")]

mod answer;
mod bulk;
mod cef_columns;
mod client;
mod content;
mod credentials;
mod delivery;
mod import;
mod limits;
mod options;
mod output;
mod preset;
mod probe;
mod queue;
mod record;
mod redact;
mod service_account;
mod settings;
mod splunk;
mod stream;
mod time;
mod verdict;
mod webhook;

pub use output::Http;

scanbridge_plugin_api::export_plugin!(crypto: scanbridge_tls_identity::CRYPTOGRAPHY);
