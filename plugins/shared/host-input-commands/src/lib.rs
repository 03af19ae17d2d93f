//! Turns assets and findings into the commands that a Defense Center imports, as text. The crate does no I/O: the
//! caller writes the lines to a file or a connection.
//!
//! Each asset is replaced completely: the results that the scanner reported before are deleted, the new ones are
//! added, and `ScanUpdate` applies both, deletions first. A repetition is therefore harmless.
//!
//! ```text
//! SetSource,QualysGuard
//! AddHost,192.0.2.10
//! DeleteScanResult,192.0.2.10,"QualysGuard"
//! AddScanResult,192.0.2.10,"QualysGuard",42366,443,tcp,"Weak cipher","RC4 offered","cve_ids: CVE-2013-2566","bugtraq_ids:"
//! ScanUpdate
//! ```
//!
//! A Defense Center has one result for each ID, port and protocol of an asset, so findings that share them are one line.
//! A line that is too long for a message is shortened. [`Counts`] has the number of both.
//!
//! The Defense Center silently drops a line that it cannot read, and its reader is strict. So every line here is
//! printable ASCII, texts are quoted, quotes are doubled, and lines end in LF alone.
//!
//! Start with [`CommandWriter`].

mod addresses;
mod asset;
mod asset_lines;
mod block;
mod commands;
mod counts;
mod encrypted;
mod names;
mod render;
mod result_line;
mod settings;
mod snapshot;
mod tail;
mod text;
mod update;

pub use addresses::AddressSet;
pub use asset::address_of;
pub use block::{Block, BlockLimits};
pub use commands::{CommandWriter, Totals};
pub use counts::{Counts, Cuts};
pub use encrypted::refuse_encrypted;
pub use names::{BadName, Domain, Name};
pub use settings::{DescriptionPart, OPTIONS, Replace, Settings, format_options, options};
pub use snapshot::{BadSnapshot, put_number, take_number};
pub use update::{SCAN_FLUSH, SCAN_UPDATE};
