//! What an operator can set, and the settings it becomes.

mod addresses;
mod platform;
mod proxy;
mod settings;
mod table;

pub(crate) use addresses::Addresses;
pub(crate) use platform::Platform;
pub(crate) use proxy::Proxy;
pub(crate) use settings::{
    Account, Auth, Detections, IpVersion, Network, ScanReports, Settings, Source, TemplateReports, Which,
};
pub(crate) use table::TABLE;
