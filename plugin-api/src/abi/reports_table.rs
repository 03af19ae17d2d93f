//! The optional table `reports/1` of inputs.

use abi_stable::StableAbi;
use serde::{Deserialize, Serialize};

use super::input_state::PluginState;
use super::memory::{Bytes, BytesRef};
use super::shim::Instance;
use super::status::{Status, from_json, to_json};
use crate::input::Input;
use crate::reports::{ReportChoice, ReportMarks, ReportQuery};

/// The ID under which an input offers its [`ReportsTable1`].
pub const REPORTS_1: &str = "reports/1";

/// Functions of an input whose source has stored reports to choose from. They take a handle of `input/2`.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct ReportsTable1 {
    /// The size of this structure, in bytes.
    pub size: u32,
    /// Always 0.
    pub flags: u32,
    /// Lists stored reports. Parameters: a [`ReportQuery`] as JSON. Returns a [`ReportPage`](crate::ReportPage) as JSON.
    pub list: extern "C" fn(handle: *mut (), query: BytesRef<'_>, page: &mut Bytes) -> Status,
    /// Chooses what is delivered, before the first `next`. Parameters: a [`ReportChoice`] as JSON.
    pub choose: extern "C" fn(handle: *mut (), choice: BytesRef<'_>) -> Status,
    /// Changes what counts as delivered. Parameters: [`ReportMarks`] as JSON. Returns the number of changes as JSON.
    pub mark: extern "C" fn(handle: *mut (), marks: BytesRef<'_>, marked: &mut Bytes) -> Status,
}

/// The answer to `mark`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Marked {
    pub(super) changed: u64,
}

/// The table of an input.
#[must_use]
pub const fn reports_table<T: Input>() -> ReportsTable1 {
    ReportsTable1 {
        size: size_of::<ReportsTable1>() as u32,
        flags: 0,
        list: list::<T>,
        choose: choose::<T>,
        mark: mark::<T>,
    }
}

extern "C" fn list<T: Input>(handle: *mut (), query: BytesRef<'_>, page: &mut Bytes) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            *page = to_json(&state.plugin.list_reports(&from_json::<ReportQuery>(query.as_slice())?)?);
            Ok(())
        })
    }
}

extern "C" fn choose<T: Input>(handle: *mut (), choice: BytesRef<'_>) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            state.plugin.choose_reports(&from_json::<ReportChoice>(choice.as_slice())?)
        })
    }
}

extern "C" fn mark<T: Input>(handle: *mut (), marks: BytesRef<'_>, marked: &mut Bytes) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            let changed = state.plugin.mark_reports(&from_json::<ReportMarks>(marks.as_slice())?)?;
            *marked = to_json(&Marked { changed });
            Ok(())
        })
    }
}
