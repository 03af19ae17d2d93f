//! Black-box tests of the plugin, through its `Output` trait and its output file.

#[cfg(test)]
mod additional;
#[cfg(test)]
mod case;
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod datagrams;
#[cfg(test)]
mod fields;
mod flow;
#[cfg(test)]
mod half_close;
#[cfg(test)]
mod ids;
#[cfg(test)]
mod limits;
mod mapping;
#[cfg(test)]
mod network;
#[cfg(test)]
mod presets;
mod reader;
#[cfg(test)]
mod receivers;
mod round_trip;
mod settings;
#[cfg(test)]
mod syslog;
#[cfg(test)]
mod tls;
