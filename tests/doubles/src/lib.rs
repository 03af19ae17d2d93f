//! Fake peers for tests: they speak raw bytes on loopback and import nothing of the product.

pub mod certificates;
pub mod fake_defense_center;
pub mod fake_qualys;
pub mod http_proxy;
pub mod syslog_sink;
