//! The optional table `render/1` of outputs.

use abi_stable::StableAbi;

use super::memory::{Bytes, BytesRef};
use super::shim::Instance;
use super::status::{Status, from_json, to_json};
use super::write_frame::{PluginState, WriteFrame};
use crate::batch::Columns;
use crate::model::ReportStart;
use crate::output::Output;

/// The ID under which an output offers its [`RenderTable1`].
pub const RENDER_1: &str = "render/1";

/// Functions of an output that show what it would write. They take a handle of `output/2`, in any state.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RenderTable1 {
    /// The size of this structure, in bytes.
    pub size: u32,
    /// Always 0.
    pub flags: u32,
    /// Renders the selected rows of a batch that the host has validated. Parameters: the report as JSON
    /// ([`ReportStart`]), whose schema applies to the batch. Returns a JSON list of
    /// [`Rendered`](crate::Rendered).
    pub render: extern "C" fn(
        handle: *mut (),
        report: BytesRef<'_>,
        frame: &WriteFrame<'_>,
        rendered: &mut Bytes,
    ) -> Status,
}

/// The table of an output.
#[must_use]
pub const fn render_table<T: Output>() -> RenderTable1 {
    RenderTable1 { size: size_of::<RenderTable1>() as u32, flags: 0, render: render::<T> }
}

extern "C" fn render<T: Output>(
    handle: *mut (),
    report: BytesRef<'_>,
    frame: &WriteFrame<'_>,
    rendered: &mut Bytes,
) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::read(handle, |state| {
            let report: ReportStart = from_json(report.as_slice())?;
            let columns = Columns::of_report(&report);
            *rendered = to_json(&state.plugin.render(&report, frame.batch(&columns))?);
            Ok(())
        })
    }
}
