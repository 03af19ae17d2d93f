//! The optional table `keeper/1` of outputs.

use abi_stable::StableAbi;

use super::delivered_frames::{BETWEEN_REPORTS, CommittedFrame, commit_point};
use super::memory::{Bytes, BytesRef};
use super::shim::Instance;
use super::status::Status;
use super::write_frame::PluginState;
use crate::error::{PluginError, Result};
use crate::keeper::{PairChanges, Pairs, encode_changes, encode_pairs, parse_changes, parse_pairs};
use crate::output::{CommitPoint, Committed, Output};

/// The ID under which an output offers its [`KeeperTable1`].
pub const KEEPER_1: &str = "keeper/1";

/// Functions of an output that keeps the checkpoint. They take a handle of `output/2`.
///
/// Pairs cross as a list of: length of the name, name, length of the value, value. Lengths are 32-bit numbers, little
/// endian. The length `0xFFFFFFFF` without a value removes the pair. Limits: [`keeper`](crate::keeper).
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct KeeperTable1 {
    /// The size of this structure, in bytes.
    pub size: u32,
    /// Always 0.
    pub flags: u32,
    /// Returns all stored pairs.
    pub load: extern "C" fn(handle: *mut (), pairs: &mut Bytes) -> Status,
    /// Makes written data and the changed pairs durable, both or neither. Flags are those of `commit`.
    pub commit_with: extern "C" fn(
        handle: *mut (),
        flags: u32,
        changes: BytesRef<'_>,
        committed: &mut CommittedFrame,
    ) -> Status,
}

/// The table of an output.
#[must_use]
pub const fn keeper_table<T: Output>() -> KeeperTable1 {
    KeeperTable1 {
        size: size_of::<KeeperTable1>() as u32,
        flags: 0,
        load: load::<T>,
        commit_with: commit_with::<T>,
    }
}

extern "C" fn load<T: Output>(handle: *mut (), pairs: &mut Bytes) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            let loaded = state.plugin.load()?;
            *pairs = encode_pairs(&loaded).map_err(|fault| invalid("load", &fault))?.into();
            Ok(())
        })
    }
}

extern "C" fn commit_with<T: Output>(
    handle: *mut (),
    flags: u32,
    changes: BytesRef<'_>,
    committed: &mut CommittedFrame,
) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            let changes = parse_changes(changes.as_slice()).map_err(|fault| {
                PluginError::bug(format!("invalid data from the other side of the ABI: {fault}"))
            })?;
            *committed = state.plugin.commit_with(commit_point(flags), &changes)?.into();
            Ok(())
        })
    }
}

impl KeeperTable1 {
    /// Calls `load` and checks its answer.
    pub(super) fn load(&self, handle: *mut ()) -> Result<Pairs> {
        let mut pairs = Bytes::default();
        Result::from((self.load)(handle, &mut pairs))?;
        parse_pairs(&pairs).map_err(|fault| invalid("load", &fault))
    }

    /// Calls `commit_with` and checks its answer.
    pub(super) fn commit_with(
        &self,
        handle: *mut (),
        at: CommitPoint,
        changes: &PairChanges,
    ) -> Result<Committed> {
        let changes = encode_changes(changes).map_err(|fault| {
            PluginError::config(format!("the checkpoint is too large for the output: {fault}")).with_hint(
                "the input has not confirmed its reports for a long time: look for its warnings, and correct their cause",
            )
        })?;
        let flags = if at == CommitPoint::BetweenReports { BETWEEN_REPORTS } else { 0 };
        let mut frame = CommittedFrame::default();
        Result::from((self.commit_with)(handle, flags, changes[..].into(), &mut frame))?;
        let committed = Committed::try_from(frame)?;
        if committed.late_rejected.is_empty() && committed.late_retry.is_empty() {
            return Ok(committed);
        }
        Err(invalid("commit_with", "it named rows, which are already committed"))
    }
}

fn invalid(call: &str, fault: &str) -> PluginError {
    PluginError::bug(format!("plugin bug: `{call}` returned an invalid answer: {fault}"))
}
