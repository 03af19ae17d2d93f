//! What `write`, `end` and `commit` of an output return, in its ABI form.

use abi_stable::StableAbi;

use super::memory::{Bytes, Words};
use super::status::{from_json, to_json};
use crate::error::{PluginError, Result};
use crate::output::{CommitPoint, Committed, LateRow, Receipt, Rejection, Written};

/// [`Written`] in its ABI form; `reasons` contains a JSON list of texts, one for each rejected row.
#[repr(C)]
#[derive(Debug, Default, StableAbi)]
pub struct WrittenFrame {
    /// The size of this structure, in bytes.
    size: u32,
    /// Always 0.
    flags: u32,
    rejected: Words,
    reasons: Bytes,
    retry: Words,
    left_out: Words,
    derived: u64,
    bytes: u64,
}

impl From<Written> for WrittenFrame {
    fn from(written: Written) -> Self {
        let reasons: Vec<&str> = written.rejected.iter().map(|rejection| rejection.reason.as_str()).collect();
        Self {
            size: size_of::<Self>() as u32,
            flags: 0,
            reasons: if reasons.is_empty() { Bytes::default() } else { to_json(&reasons) },
            rejected: written.rejected.iter().map(|rejection| rejection.row).collect::<Vec<_>>().into(),
            retry: written.retry.into(),
            left_out: written.left_out.into(),
            derived: written.derived,
            bytes: written.bytes,
        }
    }
}

impl TryFrom<WrittenFrame> for Written {
    type Error = PluginError;

    fn try_from(frame: WrittenFrame) -> Result<Self> {
        let reasons = reasons(frame.rejected.len(), &frame.reasons)?;
        let rejected =
            frame.rejected.iter().zip(reasons).map(|(row, reason)| Rejection { row: *row, reason });
        Ok(Self {
            rejected: rejected.collect(),
            retry: frame.retry.into_vec(),
            left_out: frame.left_out.into_vec(),
            derived: frame.derived,
            bytes: frame.bytes,
        })
    }
}

/// The result of `commit` in its ABI form. A row of an earlier batch is three words: the lower half of the batch
/// number, its upper half, and the row.
#[repr(C)]
#[derive(Debug, Default, StableAbi)]
pub struct CommittedFrame {
    /// The size of this structure, in bytes.
    size: u32,
    /// [`HAS_RECEIPT`].
    flags: u32,
    receipt: Bytes,
    late_rejected: Words,
    /// A JSON list of texts, one for each row in `late_rejected`.
    reasons: Bytes,
    late_retry: Words,
    derived: u64,
    bytes: u64,
}

/// `receipt` is set.
pub(super) const HAS_RECEIPT: u32 = 1;
/// Flag of `commit`: between two reports.
pub(super) const BETWEEN_REPORTS: u32 = 1;

impl From<Committed> for CommittedFrame {
    fn from(committed: Committed) -> Self {
        let (late_rejected, reasons): (Vec<LateRow>, Vec<String>) =
            committed.late_rejected.into_iter().unzip();
        Self {
            size: size_of::<Self>() as u32,
            flags: if committed.receipt.is_some() { HAS_RECEIPT } else { 0 },
            receipt: committed.receipt.unwrap_or_default().0.into(),
            late_rejected: encode_late_rows(&late_rejected).into(),
            reasons: if reasons.is_empty() { Bytes::default() } else { to_json(&reasons) },
            late_retry: encode_late_rows(&committed.late_retry).into(),
            derived: committed.derived,
            bytes: committed.bytes,
        }
    }
}

impl TryFrom<CommittedFrame> for Committed {
    type Error = PluginError;

    fn try_from(frame: CommittedFrame) -> Result<Self> {
        let late_rejected = parse_late_rows(&frame.late_rejected)?;
        let reasons = reasons(late_rejected.len(), &frame.reasons)?;
        Ok(Self {
            receipt: (frame.flags & HAS_RECEIPT != 0).then(|| Receipt(frame.receipt.into_vec())),
            late_rejected: late_rejected.into_iter().zip(reasons).collect(),
            late_retry: parse_late_rows(&frame.late_retry)?,
            derived: frame.derived,
            bytes: frame.bytes,
        })
    }
}

fn encode_late_rows(rows: &[LateRow]) -> Vec<u32> {
    rows.iter().flat_map(|late| [late.batch as u32, (late.batch >> 32) as u32, late.row]).collect()
}

fn parse_late_rows(words: &[u32]) -> Result<Vec<LateRow>> {
    let (rows, rest) = words.as_chunks::<3>();
    if !rest.is_empty() {
        return Err(PluginError::bug("plugin bug: `commit` named rows in an invalid form"));
    }
    Ok(rows
        .iter()
        .map(|[low, high, row]| LateRow { batch: u64::from(*low) | u64::from(*high) << 32, row: *row })
        .collect())
}

/// Parses the reasons, one for each of `rows` rejected rows.
fn reasons(rows: usize, json: &Bytes) -> Result<Vec<String>> {
    let reasons: Vec<String> = if rows == 0 { Vec::new() } else { from_json(json)? };
    if reasons.len() == rows {
        return Ok(reasons);
    }
    Err(PluginError::bug("plugin bug: the output rejected findings without a reason for each"))
}

/// The position of a commit with these flags.
pub(super) fn commit_point(flags: u32) -> CommitPoint {
    match flags & BETWEEN_REPORTS {
        0 => CommitPoint::InReport,
        _ => CommitPoint::BetweenReports,
    }
}
