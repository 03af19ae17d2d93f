//! Human-readable sizes in bytes.

const UNITS: [(&str, u64); 11] = [
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Parses a size; a number without a unit is in bytes.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (number, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((lower.strip_suffix(&unit.to_ascii_lowercase())?, *factor)))
        .unwrap_or((&lower, 1));
    number.trim_end().parse::<u64>().ok()?.checked_mul(factor)
}

/// Formats a number of bytes in the largest binary unit without a remainder: `100 MiB`, `1000 B`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    UNITS[..5]
        .iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(|| format!("{bytes} B"), |(unit, factor)| format!("{} {unit}", bytes / factor))
}
