//! The options of the plugin, and the settings read from them.

mod addresses;
mod computed;
mod details;
mod network;
mod platform;
mod settings;
mod source;
mod table;
mod values;

pub(crate) use addresses::Addresses;
pub(crate) use details::Detail;
pub(crate) use network::{Account, Auth, Network};
pub(crate) use platform::Platform;
pub(crate) use settings::Settings;
pub(crate) use source::{Detections, ScanReports, Source, TemplateReports, Which};
pub(crate) use table::TABLE;
