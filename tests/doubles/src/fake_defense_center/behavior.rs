//! The settings of the fake center: how it reads lines, what it knows, and which faults it simulates.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How the center behaves. It can be changed while the center runs; each message uses the settings of that moment.
/// Message numbers count the DATA messages of all connections, from 1.
#[derive(Debug, Clone)]
pub struct Behavior {
    /// The announced maximum size of a body, in bytes.
    pub max_size: u32,
    /// The newest supported protocol version.
    pub highest_version: u32,
    /// How it rejects a client with a newer version.
    pub version_refusal: VersionRefusal,
    /// How it rejects a body that is larger than announced.
    pub oversize: Oversize,
    /// How it reads lines.
    pub line_reader: LineReader,
    /// Drops lines that contain this text, as if they were unreadable.
    pub unreadable: Option<String>,
    /// Leaf domains below `Global`. If empty, `Global` is the only domain and a leaf.
    pub domains: Vec<String>,
    /// The third-party product maps that `SetMap` accepts.
    pub maps: Vec<String>,
    /// What happens to results for unknown assets. The behavior of a real center is not known.
    pub unknown_assets: UnknownAssets,
    /// Whether `ScanFlush` also deletes the results of other scanners. The behavior of a real center is not known.
    pub flush_deletes_all_scanners: bool,
    /// Assets for which a flush or update fails. The failure is reported after the Done line.
    pub failing_assets: BTreeSet<IpAddr>,
    /// Assets for which `AddHost` fails. The failure is reported before the Done line.
    pub failing_hosts: BTreeSet<IpAddr>,
    /// Closes the connection at this point, once, properly but without a message.
    pub close_at: Option<Stage>,
    /// Closes the connection after this many received bytes, once. The client may get `connection reset`.
    pub close_after_bytes: Option<usize>,
    /// Connections that the center ends are reset by TCP, without a TLS close_notify. Data in flight may be lost.
    pub reset_connections: bool,
    /// Connections of clients with an unknown certificate are reset by TCP as soon as it is read, without a TLS alert.
    pub rude: bool,
    /// Frames sent instead of the reply to a message, by message number: type and body.
    pub replies: BTreeMap<u64, (u32, Vec<u8>)>,
    /// Raw bytes sent instead of the reply to a message, by message number; 0 is the first frame (MAX_SIZE).
    pub raw_replies: BTreeMap<u64, Vec<u8>>,
    /// Sends replies in pieces of this size, in bytes.
    pub reply_pieces: Option<usize>,
    /// Delay before each piece.
    pub piece_delay: Duration,
    /// Delay before each reply.
    pub reply_delay: Duration,
    /// Never replies to this message and keeps the connection open.
    pub no_reply_to: Option<u64>,
    /// Type and body of the first frame, instead of a valid MAX_SIZE.
    pub greeting: Option<(u32, Vec<u8>)>,
    /// Prints the lines of each message to standard output, before the reply.
    pub echo: bool,
    /// Writes all results to this file, one per line, before each reply and at the end of each connection.
    pub results_file: Option<PathBuf>,
}

/// How a client with a newer version is rejected. The vendor guide says only that it is rejected; both variants are our
/// invention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionRefusal {
    /// Sends a message of type 4 with both versions, then closes the connection.
    Message,
    /// Closes the connection.
    Close,
}

/// How a body that is too large is rejected. Our invention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oversize {
    /// Sends a message of type 4, then closes the connection.
    Message,
    /// Closes the connection.
    Close,
}

/// How lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineReader {
    /// Like an unmodified Perl Text::CSV: drops lines with a byte other than printable ASCII and TAB.
    Stock,
    /// Like a center that a third party patched for other alphabets: accepts any byte except CR, and decodes `%41` to
    /// `A`.
    Tolerant,
}

/// What happens to results for assets that were not added. All variants are our invention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownAssets {
    /// They are stored as if the asset were known.
    Kept,
    /// They are dropped silently.
    Ignored,
    /// The update fails. The failure is reported after the Done line.
    Fail,
}

/// A point at which a connection can be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Right after the TLS handshake.
    Handshake,
    /// After the client's version was read.
    Version,
    /// After this message was read, before it is executed.
    Message(u64),
    /// After this message was executed, instead of the reply.
    Reply(u64),
    /// In the middle of the reply to this message.
    HalfReply(u64),
}

impl Default for Behavior {
    /// The behavior that public clients have observed. Where it is not known: the variant that accepts most.
    fn default() -> Self {
        Self {
            max_size: 524_288,
            highest_version: 1,
            version_refusal: VersionRefusal::Message,
            oversize: Oversize::Message,
            line_reader: LineReader::Stock,
            unreadable: None,
            domains: Vec::new(),
            maps: Vec::new(),
            unknown_assets: UnknownAssets::Kept,
            flush_deletes_all_scanners: false,
            failing_assets: BTreeSet::new(),
            failing_hosts: BTreeSet::new(),
            close_at: None,
            close_after_bytes: None,
            reset_connections: false,
            rude: false,
            replies: BTreeMap::new(),
            raw_replies: BTreeMap::new(),
            reply_pieces: None,
            piece_delay: Duration::ZERO,
            reply_delay: Duration::ZERO,
            no_reply_to: None,
            greeting: None,
            echo: false,
            results_file: None,
        }
    }
}
