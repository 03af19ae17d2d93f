//! The table `output/2`.

use abi_stable::StableAbi;

use super::delivered_frames::{BETWEEN_REPORTS, CommittedFrame, WrittenFrame, commit_point};
use super::frames::{self, Answer};
use super::host_table::{HostHandle, HostTable2};
use super::keeper_table::KeeperTable1;
use super::memory::{Bytes, BytesRef};
use super::render_table::RenderTable1;
use super::shim::{Instance, guard};
use super::status::{Status, from_json, to_json};
use super::write_frame::{PluginState, WriteFrame};
use crate::batch::{Columns, Schema, Selection, ValidBatch};
use crate::capabilities::OutputCapabilities;
use crate::check::CheckReport;
use crate::descriptor::PluginKind;
use crate::error::{PluginError, Result};
use crate::keeper::{PairChanges, Pairs, Share};
use crate::model::{ReportEnd, ReportStart};
use crate::open::OpenFrame;
use crate::output::{Begin, CommitPoint, Committed, Output, Receipt, Rendered, Written};

/// The ID under which a plugin offers its [`OutputTable2`].
pub const OUTPUT_2: &str = "output/2";

/// The functions of an output. All calls of one handle come from one thread; the handle is invalid after `close`.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct OutputTable2 {
    /// The size of this structure, in bytes.
    pub size: u32,
    /// Always 0.
    pub flags: u32,
    /// Opens an instance. Parameters: an [`OpenFrame`] as JSON, the receipt (null for none), the host. Returns an
    /// answer as JSON (API version, capabilities, columns) and the handle.
    pub open: extern "C" fn(
        frame: BytesRef<'_>,
        receipt: *const BytesRef<'_>,
        host: &'static HostTable2,
        answer: &mut Bytes,
        handle: &mut *mut (),
    ) -> Status,
    /// Probes the destination; returns a [`CheckReport`] as JSON.
    pub check: extern "C" fn(handle: *mut (), report: &mut Bytes) -> Status,
    /// Begins a report: a [`ReportStart`] as JSON, whose schema applies to the following batches. Flags: 1 continued,
    /// 2 partial, 4 has a gap.
    pub begin: extern "C" fn(handle: *mut (), report: BytesRef<'_>, flags: u32) -> Status,
    /// Writes the selected rows of a batch that the host has validated.
    pub write: extern "C" fn(handle: *mut (), frame: &WriteFrame<'_>, written: &mut WrittenFrame) -> Status,
    /// Ends a report: a [`ReportEnd`] as JSON.
    pub end: extern "C" fn(handle: *mut (), end: BytesRef<'_>, written: &mut WrittenFrame) -> Status,
    /// Makes written data durable. Flag 1: between two reports.
    pub commit: extern "C" fn(handle: *mut (), flags: u32, committed: &mut CommittedFrame) -> Status,
    /// Reports that the receipt of the last commit, at the end of a report, is stored.
    pub stored: extern "C" fn(handle: *mut (), receipt: BytesRef<'_>) -> Status,
    /// Closes the instance.
    pub close: extern "C" fn(handle: *mut ()) -> Status,
}

/// The table of an output.
#[must_use]
pub const fn output_table<T: Output>() -> OutputTable2 {
    OutputTable2 {
        size: size_of::<OutputTable2>() as u32,
        flags: 0,
        open: open::<T>,
        check: check::<T>,
        begin: begin::<T>,
        write: write::<T>,
        end: end::<T>,
        commit: commit::<T>,
        stored: stored::<T>,
        close: close::<T>,
    }
}

extern "C" fn open<T: Output>(
    frame: BytesRef<'_>,
    receipt: *const BytesRef<'_>,
    host: &'static HostTable2,
    answer: &mut Bytes,
    handle: &mut *mut (),
) -> Status {
    let host = HostHandle::new(host);
    let _logging = super::log::enter(Some(host));
    guard(|| {
        // SAFETY: null, or valid for this call.
        let receipt = unsafe { receipt.as_ref() }.map(|receipt| Receipt(receipt.as_slice().to_vec()));
        let opened = frames::open(PluginKind::Output, frame, T::OPTIONS, host, |open| {
            T::open(open, receipt.as_ref())
        })?;
        *answer = to_json(&Answer { share: opened.share, ..Answer::of(opened.capabilities, None) });
        let state = PluginState { plugin: opened.plugin, columns: Columns::of(Schema::empty()) };
        *handle = Instance::into_handle(state, host);
        Ok(())
    })
}

extern "C" fn check<T: Output>(handle: *mut (), report: &mut Bytes) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            *report = to_json(&state.plugin.check()?);
            Ok(())
        })
    }
}

extern "C" fn begin<T: Output>(handle: *mut (), report: BytesRef<'_>, flags: u32) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            let report: ReportStart = from_json(report.as_slice())?;
            state.columns = Columns::of_report(&report);
            state.plugin.begin(&report, frames::begin::of_flags(flags))
        })
    }
}

extern "C" fn write<T: Output>(
    handle: *mut (),
    frame: &WriteFrame<'_>,
    written: &mut WrittenFrame,
) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            *written = state.plugin.write(frame.batch(&state.columns))?.into();
            Ok(())
        })
    }
}

extern "C" fn end<T: Output>(handle: *mut (), end: BytesRef<'_>, written: &mut WrittenFrame) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            *written = state.plugin.end(&from_json::<ReportEnd>(end.as_slice())?)?.into();
            Ok(())
        })
    }
}

extern "C" fn commit<T: Output>(handle: *mut (), flags: u32, committed: &mut CommittedFrame) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            *committed = state.plugin.commit(commit_point(flags))?.into();
            Ok(())
        })
    }
}

extern "C" fn stored<T: Output>(handle: *mut (), _receipt: BytesRef<'_>) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe { Instance::<PluginState<T>>::call(handle, |state| state.plugin.stored()) }
}

extern "C" fn close<T: Output>(handle: *mut ()) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe { Instance::<PluginState<T>>::close(handle, |state| state.plugin.close()) }
}

/// The host's handle of an output instance.
#[derive(Debug)]
pub struct OutputHandle {
    table: OutputTable2,
    /// `None` for an output that cannot render.
    render: Option<RenderTable1>,
    /// `None` for an output that keeps no checkpoint.
    keeper: Option<KeeperTable1>,
    handle: *mut (),
    capabilities: Option<OutputCapabilities>,
    share: Share,
}

// SAFETY: an `Output` is `Send`. Only one thread at a time uses a handle, because its methods take `&mut`.
unsafe impl Send for OutputHandle {}

impl OutputHandle {
    /// Opens an instance.
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn open(
        table: OutputTable2,
        frame: &OpenFrame,
        receipt: Option<&Receipt>,
        host: &'static HostTable2,
    ) -> Result<Self> {
        let (mut handle, mut answer) = (std::ptr::null_mut(), Bytes::default());
        let receipt = receipt.map(|receipt| BytesRef::from(receipt.0.as_slice()));
        let receipt = receipt.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let status = (table.open)(to_json(frame)[..].into(), receipt, host, &mut answer, &mut handle);
        Result::from(status)?;
        let mut opened =
            Self { table, render: None, keeper: None, handle, capabilities: None, share: Share::WHOLE };
        let answer: Answer<OutputCapabilities> = from_json(&answer)?;
        opened.capabilities = answer.capabilities;
        opened.share = answer.share.unwrap_or_default();
        if !opened.share.is_valid() {
            let Share { number, of } = opened.share;
            return Err(PluginError::bug(format!("plugin bug: `open` returned share {number} of {of}")));
        }
        Ok(opened)
    }

    /// Adds the functions for [`OutputHandle::render`]; `None` for an output that does not have them.
    #[must_use]
    pub fn with_render(mut self, table: Option<RenderTable1>) -> Self {
        self.render = table;
        self
    }

    /// Adds the functions for [`OutputHandle::load`] and [`OutputHandle::commit_with`]; `None` for an output that does not
    /// have them.
    #[must_use]
    pub fn with_keeper(mut self, table: Option<KeeperTable1>) -> Self {
        self.keeper = table;
        self
    }

    /// The part of the source that the input reads, for an output that keeps the checkpoint.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share
    }

    /// The capabilities of the instance; `None` if they are those of the plugin.
    #[must_use]
    pub fn capabilities(&self) -> Option<OutputCapabilities> {
        self.capabilities
    }

    /// See [`Output::check`].
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn check(&mut self) -> Result<CheckReport> {
        let mut report = Bytes::default();
        Result::from((self.table.check)(self.handle, &mut report))?;
        from_json(&report)
    }

    /// See [`Output::begin`].
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        let flags = frames::begin::flags(how);
        Result::from((self.table.begin)(self.handle, to_json(report)[..].into(), flags))
    }

    /// See [`Output::write`].
    ///
    /// The batch must have the schema of the last report that began, and the selection must contain only rows of the
    /// batch. Otherwise the plugin's call panics and the instance is lost.
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn write(&mut self, batch: &ValidBatch, selection: Selection<'_>, number: u64) -> Result<Written> {
        let mut written = WrittenFrame::default();
        let status = batch.with_reference(|batch| {
            (self.table.write)(self.handle, &WriteFrame::new(&batch, selection, number), &mut written)
        });
        Result::from(status)?;
        written.try_into()
    }

    /// See [`Output::render`]. `None` if the output cannot render. The rules of [`OutputHandle::write`] apply to the
    /// batch, whose schema is that of `report`.
    ///
    /// # Errors
    /// The error of the plugin; a plugin bug if it names rows that are not selected.
    pub fn render(
        &mut self,
        report: &ReportStart,
        batch: &ValidBatch,
        selection: Selection<'_>,
    ) -> Result<Option<Vec<Rendered>>> {
        let Some(table) = self.render else { return Ok(None) };
        let mut rendered = Bytes::default();
        let status = batch.with_reference(|batch| {
            let frame = WriteFrame::new(&batch, selection, 0);
            (table.render)(self.handle, to_json(report)[..].into(), &frame, &mut rendered)
        });
        Result::from(status)?;
        let rendered: Vec<Rendered> = from_json(&rendered)?;
        let is_selected = |row: u32| selection.findings.is_none_or(|rows| rows.binary_search(&row).is_ok());
        if rendered.iter().all(|rendered| is_selected(rendered.row)) {
            return Ok(Some(rendered));
        }
        Err(PluginError::bug("plugin bug: `render` returned a finding that was not selected"))
    }

    /// See [`Output::end`].
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        let mut written = WrittenFrame::default();
        Result::from((self.table.end)(self.handle, to_json(end)[..].into(), &mut written))?;
        written.try_into()
    }

    /// See [`Output::commit`].
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn commit(&mut self, at: CommitPoint) -> Result<Committed> {
        let flags = if at == CommitPoint::BetweenReports { BETWEEN_REPORTS } else { 0 };
        let mut committed = CommittedFrame::default();
        Result::from((self.table.commit)(self.handle, flags, &mut committed))?;
        committed.try_into()
    }

    /// See [`Output::load`].
    ///
    /// # Errors
    /// The error of the plugin; a plugin bug for invalid pairs, and without the table.
    pub fn load(&mut self) -> Result<Pairs> {
        self.keeper()?.load(self.handle)
    }

    /// See [`Output::commit_with`].
    ///
    /// # Errors
    /// The error of the plugin; a plugin bug if a limit is exceeded, for an invalid answer, and without the table.
    pub fn commit_with(&mut self, at: CommitPoint, changes: &PairChanges) -> Result<Committed> {
        self.keeper()?.commit_with(self.handle, at, changes)
    }

    fn keeper(&self) -> Result<KeeperTable1> {
        let missing = "plugin bug: the output declares `keeps_checkpoint` without the table keeper/1";
        self.keeper.ok_or_else(|| PluginError::bug(missing))
    }

    /// See [`Output::stored`].
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn stored(&mut self, receipt: &Receipt) -> Result<()> {
        Result::from((self.table.stored)(self.handle, receipt.0.as_slice().into()))
    }

    /// See [`Output::close`].
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn close(mut self) -> Result<()> {
        let handle = std::mem::replace(&mut self.handle, std::ptr::null_mut());
        Result::from((self.table.close)(handle))
    }
}

impl Drop for OutputHandle {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            (self.table.close)(self.handle);
        }
    }
}
