//! What an operator can set, and the settings it becomes.

mod addresses;
mod network;
mod platform;
mod proxy;
mod settings;
mod source;
mod table;
mod values;

pub(crate) use addresses::Addresses;
pub(crate) use network::{Account, Auth, IpVersion, Network};
pub(crate) use platform::Platform;
pub(crate) use proxy::Proxy;
pub(crate) use settings::Settings;
pub(crate) use source::{Detections, ScanReports, Source, TemplateReports, Which};
pub(crate) use table::TABLE;
