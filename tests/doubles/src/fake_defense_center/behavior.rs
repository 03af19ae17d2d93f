//! The switches: how the center reads, what it knows, and every fault it can show.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How the center behaves. It may be changed while it runs; each message is treated as it stands then. Numbers of
/// messages count all DATA messages of all connections, from 1.
#[derive(Debug, Clone)]
pub struct Behavior {
    /// What it announces as the largest body.
    pub max_size: u32,
    /// The newest protocol version it knows.
    pub highest_version: u32,
    /// What it does to a client with a newer one.
    pub version_refusal: VersionRefusal,
    /// What it does with a body that is larger than it announced.
    pub oversize: Oversize,
    /// How it reads lines.
    pub line_reader: LineReader,
    /// Drops lines that hold this text as if it could not read them.
    pub unreadable: Option<String>,
    /// Leaf domains below `Global`. None: there is one domain only, and it is a leaf.
    pub domains: Vec<String>,
    /// Third-party product maps that `SetMap` finds.
    pub maps: Vec<String>,
    /// What becomes of results for assets that it does not know. Nobody knows what a real one does.
    pub unknown_assets: UnknownAssets,
    /// Whether `ScanFlush` takes other scanners' results along. Nobody knows what a real one does.
    pub flush_takes_all_scanners: bool,
    /// Assets on which a flush or update fails, after the Done line.
    pub failing_assets: BTreeSet<IpAddr>,
    /// Assets whose `AddHost` fails, before the Done line.
    pub failing_hosts: BTreeSet<IpAddr>,
    /// Closes the connection at this point, once, in good order but without a word. Then it behaves again.
    pub close_at: Option<Stage>,
    /// Breaks the connection off when it has received this many bytes on it, once: the client may see a reset.
    pub close_after_bytes: Option<usize>,
    /// Frames that are sent in place of the reply to these messages: type, and body.
    pub replies: BTreeMap<u64, (u32, Vec<u8>)>,
    /// Bytes, with or without sense, that are sent in place of the reply to these messages; 0 is the first frame.
    pub raw_replies: BTreeMap<u64, Vec<u8>>,
    /// Sends replies in pieces of this many bytes.
    pub reply_pieces: Option<usize>,
    /// Waits this long before each piece.
    pub piece_delay: Duration,
    /// Waits this long before each reply.
    pub reply_delay: Duration,
    /// Never replies to this message, but keeps the connection open.
    pub silent_at: Option<u64>,
    /// What the first frame holds in place of a well-formed MAX_SIZE: type, and body.
    pub greeting: Option<(u32, Vec<u8>)>,
}

/// What happens to a client that announces a newer version. The guide says that it is rejected, not how: both are
/// our invention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionRefusal {
    /// A message of type 4 that names both versions, then the end.
    Message,
    /// The end.
    Close,
}

/// What happens to a body that is too large. Our invention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oversize {
    /// A message of type 4, then the end.
    Message,
    /// The end.
    Close,
}

/// How lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineReader {
    /// As a stock Perl Text::CSV does: a line with any byte outside printable ASCII and TAB is dropped.
    Stock,
    /// As a center that a third party patched for other alphabets: any byte but CR, and `%41` becomes `A`.
    Tolerant,
}

/// What becomes of results for assets that nobody added. Our invention, each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownAssets {
    /// They are kept, as if the asset were known.
    Kept,
    /// They vanish without a word.
    Ignored,
    /// The update fails, after the Done line.
    Fail,
}

/// A point at which a connection can be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Right after the TLS handshake.
    Handshake,
    /// When the client's version was read.
    Version,
    /// When this message was read, before anything is done with it.
    Message(u64),
    /// When this message was carried out, in place of the reply.
    Reply(u64),
    /// In the middle of the reply to this message.
    HalfReply(u64),
}

impl Default for Behavior {
    /// What public clients have seen, and the kindest where nobody knows.
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
            flush_takes_all_scanners: false,
            failing_assets: BTreeSet::new(),
            failing_hosts: BTreeSet::new(),
            close_at: None,
            close_after_bytes: None,
            replies: BTreeMap::new(),
            raw_replies: BTreeMap::new(),
            reply_pieces: None,
            piece_delay: Duration::ZERO,
            reply_delay: Duration::ZERO,
            silent_at: None,
            greeting: None,
        }
    }
}
