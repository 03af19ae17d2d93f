//! Fake peers for tests. They exchange raw bytes on loopback and use no code of the product.

pub mod certificates;
pub mod fake_defense_center;
pub mod fake_qualys;
pub mod http_destination;
mod http_head;
pub mod http_proxy;
pub mod syslog_sink;
