//! A Defense Center that takes host input commands on loopback, over mutual TLS, and lets tests ask what became of
//! them.
//!
//! It reads frames, lines and commands by itself, from what is known of the protocol: vendor guides, the public
//! client kit, a public client's byte fixtures, and a public copy of the command interpreter. What nobody knows is
//! **our invention** and says so where it is defined: what a refusal looks like ([`VersionRefusal`], [`Oversize`],
//! messages of type 4), what becomes of results for unknown assets ([`UnknownAssets`]), which results a `ScanFlush`
//! takes away ([`Behavior::flush_takes_all_scanners`]), and the words of its messages beyond the known fragments.
//!
//! ```no_run
//! use scanbridge_doubles::certificates::Pkcs12;
//! use scanbridge_doubles::fake_defense_center::FakeDefenseCenter;
//!
//! let center = FakeDefenseCenter::start();
//! let file = center.client_file("/tmp".as_ref(), "client.pkcs12", "", Pkcs12::DefenseCenter);
//! // … a client connects to center.port(), sends, and closes …
//! center.wait_until_idle();
//! println!("{:?}", center.host_map());
//! # let _ = file;
//! ```

mod address_list;
mod behavior;
mod command;
mod connection;
mod host_map;
mod interpreter;
mod line;
mod pending;
mod server;

pub use behavior::{Behavior, LineReader, Oversize, Stage, UnknownAssets, VersionRefusal};
pub use host_map::{Asset, HostMap, ResultKey, ScanResult};
pub use server::{ConnectionLog, FakeDefenseCenter};
