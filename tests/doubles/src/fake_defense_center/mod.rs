//! A Defense Center that receives host input commands on loopback, over mutual TLS. Tests can query the resulting host
//! map.
//!
//! It has its own implementation of frames, lines and commands. Sources: vendor guides, the public client kit, byte
//! fixtures of a public client, and a public copy of the command interpreter. Behavior that no source describes is
//! **our invention**, and each definition says so: how a center rejects ([`VersionRefusal`], [`Oversize`], messages of
//! type 4), what happens to results for unknown assets ([`UnknownAssets`]), which results a `ScanFlush` deletes
//! ([`Behavior::flush_deletes_all_scanners`]), and the text of its messages except the known fragments.
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
