//! The commands that end the block of an asset.

/// The command that applies all commands since the previous one: deletions, then additions.
pub const SCAN_UPDATE: &str = "ScanUpdate\n";

/// The command that replaces the results of an asset by the additions since the previous one.
pub const SCAN_FLUSH: &str = "ScanFlush\n";
