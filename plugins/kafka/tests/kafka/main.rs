//! The plugin against Apache Kafka, which `tests/kafka/start` starts. Without Java, Maven or the artifacts these tests are
//! skipped; with `CI=true` they fail then.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]
#![expect(clippy::print_stderr, reason = "a skipped test tells so")]

mod case;
mod cluster;
mod exactly_once;
mod fips;
mod formats;
mod host;
mod input;
mod mock;
mod network;
mod output;
mod poison;
mod proxy;
mod security;
mod settings;
mod slots;
mod takeover;
mod topic;
mod workers;
