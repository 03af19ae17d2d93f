//! The checkpoint of a pipeline that one of its outputs keeps, as values by name.
//!
//! An output that delivers to a system with transactions can store the checkpoint there, in the transaction of the
//! findings ([`KeepsCheckpoint::Yes`](crate::KeepsCheckpoint)). Another machine then resumes where this one ended. The
//! values are the host's: an output stores them and returns them unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The pairs of a checkpoint, by name ([`Output::load`](crate::Output::load)).
pub type Pairs = BTreeMap<String, Vec<u8>>;

/// Changes of the pairs: a new value, or `None` for a pair that is removed
/// ([`Output::commit_with`](crate::Output::commit_with)).
pub type PairChanges = BTreeMap<String, Option<Vec<u8>>>;

/// Maximum length of a name, in bytes.
pub const MAX_NAME_BYTES: usize = 512;
/// Maximum length of a value, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 << 10;
/// Maximum size of the changes of one commit in their ABI form, in bytes: 8 bytes for each pair, its name and its value.
pub const MAX_COMMIT_BYTES: usize = 1 << 20;
/// Maximum size of all pairs in their ABI form, in bytes.
pub const MAX_LOAD_BYTES: usize = 256 << 20;

/// The part of the source that an instance reads, when several instances share a pipeline: number `number` of `of` parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Share {
    /// The number of the part, from 0.
    pub number: u32,
    /// How many parts there are; at least 1.
    pub of: u32,
}

impl Share {
    /// Everything: the only part.
    pub const WHOLE: Self = Self { number: 0, of: 1 };

    /// This part of `of` parts.
    #[must_use]
    pub const fn new(number: u32, of: u32) -> Self {
        Self { number, of }
    }

    /// Whether this is the only part.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self::WHOLE
    }

    /// Whether the number is one of the parts.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.number < self.of
    }

    /// Whether the thing with this number, for example the ID of an asset, is in this part.
    ///
    /// # Panics
    /// If the share is invalid.
    #[must_use]
    pub fn contains(&self, id: u64) -> bool {
        id % u64::from(self.of) == u64::from(self.number)
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::WHOLE
    }
}

/// A removed pair has this length instead of that of its value.
const REMOVED: u32 = u32::MAX;

/// The changes of a commit in their ABI form: for each pair the length of the name, the name, the length of the value (of a
/// removed pair `0xFFFF_FFFF`), the value. Lengths are 32-bit numbers, little endian.
///
/// # Errors
/// When a limit is exceeded: which one.
#[doc(hidden)]
pub fn encode_changes(changes: &PairChanges) -> Result<Vec<u8>, String> {
    let mut frame = Vec::new();
    for (name, value) in changes {
        add(&mut frame, name, value.as_deref())?;
    }
    check_size(frame.len(), MAX_COMMIT_BYTES)?;
    Ok(frame)
}

/// All pairs in their ABI form, which is that of changes without a removed pair.
///
/// # Errors
/// When a limit is exceeded: which one.
#[doc(hidden)]
pub fn encode_pairs(pairs: &Pairs) -> Result<Vec<u8>, String> {
    let mut frame = Vec::new();
    for (name, value) in pairs {
        add(&mut frame, name, Some(value))?;
    }
    check_size(frame.len(), MAX_LOAD_BYTES)?;
    Ok(frame)
}

/// Parses the changes of a commit.
///
/// # Errors
/// When the frame is truncated, contains a name twice, or exceeds a limit: what is wrong.
#[doc(hidden)]
pub fn parse_changes(frame: &[u8]) -> Result<PairChanges, String> {
    check_size(frame.len(), MAX_COMMIT_BYTES)?;
    let mut changes = PairChanges::new();
    parse(frame, |name, value| Ok(changes.insert(name, value.map(<[u8]>::to_vec)).is_none()))?;
    Ok(changes)
}

/// Parses all pairs.
///
/// # Errors
/// As for [`parse_changes`], and for a removed pair.
#[doc(hidden)]
pub fn parse_pairs(frame: &[u8]) -> Result<Pairs, String> {
    check_size(frame.len(), MAX_LOAD_BYTES)?;
    let mut pairs = Pairs::new();
    parse(frame, |name, value| {
        let value = value.ok_or("a pair has no value")?;
        Ok(pairs.insert(name, value.to_vec()).is_none())
    })?;
    Ok(pairs)
}

/// Parses a frame. `keep` returns whether the name is new.
fn parse(
    mut rest: &[u8],
    mut keep: impl FnMut(String, Option<&[u8]>) -> Result<bool, String>,
) -> Result<(), String> {
    while !rest.is_empty() {
        let truncated = || "a pair is truncated".to_owned();
        let length = take_length(&mut rest).ok_or_else(truncated)?;
        let name = take(&mut rest, length).ok_or_else(truncated)?;
        let name = std::str::from_utf8(name).map_err(|_| "a name is not UTF-8")?;
        let value = match take_length(&mut rest).ok_or_else(truncated)? {
            REMOVED => None,
            length => Some(take(&mut rest, length).ok_or_else(truncated)?),
        };
        check_pair(name, value)?;
        if !keep(name.to_owned(), value)? {
            return Err(format!("the name `{}` occurs twice", name.escape_debug()));
        }
    }
    Ok(())
}

fn take_length(rest: &mut &[u8]) -> Option<u32> {
    let (length, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_le_bytes(*length))
}

fn take<'a>(rest: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length as usize)?;
    *rest = after;
    Some(taken)
}

fn add(frame: &mut Vec<u8>, name: &str, value: Option<&[u8]>) -> Result<(), String> {
    check_pair(name, value)?;
    frame.extend((name.len() as u32).to_le_bytes());
    frame.extend(name.as_bytes());
    frame.extend(value.map_or(REMOVED, |value| value.len() as u32).to_le_bytes());
    frame.extend(value.unwrap_or_default());
    Ok(())
}

fn check_pair(name: &str, value: Option<&[u8]>) -> Result<(), String> {
    let value = value.map_or(0, <[u8]>::len);
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(format!("a name has {} bytes; 1 to {MAX_NAME_BYTES} are allowed", name.len()));
    }
    if value > MAX_VALUE_BYTES {
        let name = name.escape_debug();
        return Err(format!("the value of `{name}` has {value} bytes; the limit is {MAX_VALUE_BYTES}"));
    }
    Ok(())
}

fn check_size(bytes: usize, limit: usize) -> Result<(), String> {
    if bytes > limit { Err(format!("the pairs have {bytes} bytes; the limit is {limit}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changes(pairs: &[(&str, Option<&[u8]>)]) -> PairChanges {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec))).collect()
    }

    #[test]
    fn abi_form_of_a_value_and_of_a_removed_pair() {
        let frame = encode_changes(&changes(&[("a", Some(b"xy")), ("b", None)])).unwrap();
        assert_eq!(frame, b"\x01\0\0\0a\x02\0\0\0xy\x01\0\0\0b\xff\xff\xff\xff");
        assert_eq!(parse_pairs(&frame).unwrap_err(), "a pair has no value");
    }

    #[test]
    fn limits_hold_on_both_sides() {
        let long = "n".repeat(MAX_NAME_BYTES + 1);
        let big = vec![0; MAX_VALUE_BYTES + 1];
        for invalid in [changes(&[(&long, None)]), changes(&[("", None)]), changes(&[("a", Some(&big))])] {
            encode_changes(&invalid).unwrap_err();
        }
        let value = vec![0; MAX_VALUE_BYTES];
        let of = |count: usize| (0..count).map(|number| (format!("{number:04}"), value.clone()));
        let fits = MAX_COMMIT_BYTES / (MAX_VALUE_BYTES + 12);
        let too_many: PairChanges = of(fits + 1).map(|(name, value)| (name, Some(value))).collect();
        assert!(encode_changes(&too_many).unwrap_err().contains("the limit is 1048576"));
        // All pairs together may be more than one commit.
        let frame = encode_pairs(&of(fits + 1).collect()).unwrap();
        assert_eq!(parse_pairs(&frame).unwrap().len(), fits + 1);
        assert!(parse_changes(&frame).unwrap_err().contains("the limit is 1048576"));
    }

    #[test]
    fn name_that_occurs_twice_is_refused() {
        let frame = encode_changes(&changes(&[("a", None)])).unwrap();
        assert_eq!(parse_changes(&frame.repeat(2)).unwrap_err(), "the name `a` occurs twice");
    }

    #[test]
    fn share_contains_its_own_numbers() {
        let shares = [Share::new(0, 3), Share::new(1, 3), Share::new(2, 3)];
        for id in 0..20 {
            assert_eq!(shares.iter().filter(|share| share.contains(id)).count(), 1);
        }
        assert!(Share::default().contains(7) && Share::default().is_valid() && Share::default().is_whole());
        assert!(!Share::new(2, 2).is_valid() && !Share::new(0, 0).is_valid());
    }

    proptest! {
        #[test]
        fn changes_cross_unchanged(
            changes: BTreeMap<String, Option<Vec<u8>>>
        ) {
            let changes: PairChanges = changes.into_iter().filter(|(name, _)| !name.is_empty()).collect();
            let frame = encode_changes(&changes).unwrap();
            prop_assert_eq!(parse_changes(&frame), Ok(changes));
            for length in 0..frame.len() {
                // A cut between two pairs cannot be seen.
                if let Ok(parsed) = parse_changes(&frame[..length]) {
                    prop_assert_eq!(&frame[..length], encode_changes(&parsed).unwrap());
                }
            }
        }

        #[test]
        fn any_bytes_are_parsed_without_a_panic(bytes: Vec<u8>) {
            // The names of a frame can have another order than that of the encoder.
            if let Ok(parsed) = parse_changes(&bytes) {
                prop_assert_eq!(encode_changes(&parsed).unwrap().len(), bytes.len());
            }
            let _ = parse_pairs(&bytes);
        }
    }
}
