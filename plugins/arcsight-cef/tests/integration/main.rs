//! Black-box tests of the plugin, through its `Output` trait and its output file.

#[cfg(test)]
mod case;
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod datagrams;
mod flow;
#[cfg(test)]
mod half_close;
#[cfg(test)]
mod limits;
mod mapping;
#[cfg(test)]
mod network;
mod reader;
#[cfg(test)]
mod receivers;
mod round_trip;
mod settings;
#[cfg(test)]
mod syslog;
#[cfg(test)]
mod tls;
