//! The plugin seen from outside, through its `Output` trait and the file it leaves.

#[cfg(test)]
mod case;
mod daemon;
mod exam;
mod flow;
#[cfg(test)]
mod limits;
mod mapping;
mod network;
mod reader;
mod receivers;
mod round_trip;
mod settings;
mod syslog;
mod tls;
