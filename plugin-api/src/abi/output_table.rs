//! The table `output/2`.

use std::path::PathBuf;

use abi_stable::StableAbi;

use super::host_table::{HostHandle, HostTable2};
use super::memory::{Bytes, BytesRef, Words, WordsRef};
use super::shim::{Instance, guard};
use super::status::{Status, from_json, to_json};
use crate::batch::{Batch, Columns, RawBatch, RawDefinitions, Selection, ValidBatch};
use crate::check::CheckReport;
use crate::error::{PluginError, Result};
use crate::model::{ReportEnd, ReportStart};
use crate::options::Options;
use crate::output::{Output, Receipt, Rejection, Written};
use crate::services::Services;

/// The id under which a plugin offers its [`OutputTable2`].
pub const OUTPUT_2: &str = "output/2";

/// The functions of one kind of output. A handle is used by one thread at a time and dead after `close`.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct OutputTable2 {
    /// Makes an instance: options (JSON object), instance id, state folder, host, receipt (empty for none);
    /// gives the handle.
    pub open: extern "C" fn(
        options: BytesRef<'_>,
        instance: BytesRef<'_>,
        state_folder: BytesRef<'_>,
        host: HostTable2,
        receipt: BytesRef<'_>,
        handle: &mut *mut (),
    ) -> Status,
    /// Probes; gives a [`CheckReport`] as JSON.
    pub check: extern "C" fn(handle: *mut (), report: &mut Bytes) -> Status,
    /// Begins a report: a [`ReportStart`] as JSON, whose schema holds for the batches that follow.
    pub begin: extern "C" fn(handle: *mut (), report: BytesRef<'_>) -> Status,
    /// Writes the selected rows of a batch that the host has validated.
    pub write: extern "C" fn(handle: *mut (), frame: &WriteFrame<'_>, written: &mut WrittenFrame) -> Status,
    /// Ends a report: a [`ReportEnd`] as JSON.
    pub end: extern "C" fn(handle: *mut (), end: BytesRef<'_>, written: &mut WrittenFrame) -> Status,
    /// Makes what was written durable; gives the receipt.
    pub commit: extern "C" fn(handle: *mut (), receipt: &mut Bytes) -> Status,
    /// Ends the instance.
    pub close: extern "C" fn(handle: *mut ()) -> Status,
}

/// All assets of the batch are selected.
const ALL_ASSETS: u32 = 1;
/// All findings of the batch are selected.
const ALL_FINDINGS: u32 = 2;

/// A batch on its way to an output, with the rows that are meant for it.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct WriteFrame<'a> {
    batch: &'a RawBatch,
    /// The blocks of definitions, and their number.
    definitions: *const &'a RawDefinitions,
    definition_count: usize,
    /// [`ALL_ASSETS`], [`ALL_FINDINGS`].
    flags: u32,
    assets: WordsRef<'a>,
    findings: WordsRef<'a>,
}

/// [`Written`] as it crosses; `reasons` holds a JSON list of texts, one for each rejected row.
#[repr(C)]
#[derive(Debug, Default, StableAbi)]
pub struct WrittenFrame {
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
        let reasons: Vec<String> =
            if frame.rejected.is_empty() { Vec::new() } else { from_json(&frame.reasons)? };
        if reasons.len() != frame.rejected.len() {
            return Err(PluginError::bug(
                "plugin bug: the output rejected findings without a reason for each",
            ));
        }
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

/// An author's output with the columns of the report that is under way.
struct Wired<T> {
    plugin: T,
    columns: Columns,
}

/// The table of an author's output.
#[must_use]
pub const fn output_table<T: Output>() -> OutputTable2 {
    OutputTable2 {
        open: open::<T>,
        check: check::<T>,
        begin: begin::<T>,
        write: write::<T>,
        end: end::<T>,
        commit: commit::<T>,
        close: close::<T>,
    }
}

extern "C" fn open<T: Output>(
    options: BytesRef<'_>,
    instance: BytesRef<'_>,
    state_folder: BytesRef<'_>,
    host: HostTable2,
    receipt: BytesRef<'_>,
    handle: &mut *mut (),
) -> Status {
    let host = HostHandle::new(host);
    let _logging = super::log::enter(Some(host));
    guard(|| {
        let options = Options::read(T::OPTIONS, options.as_slice())?;
        let services = Services::of_host(instance.to_text(), PathBuf::from(state_folder.to_text()), host);
        let receipt = receipt.as_slice();
        let receipt = (!receipt.is_empty()).then(|| Receipt(receipt.to_vec()));
        let plugin = T::open(&options, &services, receipt.as_ref())?;
        *handle = Instance::into_handle(Wired { plugin, columns: Columns::of(Default::default()) }, host);
        Ok(())
    })
}

extern "C" fn check<T: Output>(handle: *mut (), report: &mut Bytes) -> Status {
    // SAFETY: the host keeps to the rule for handles.
    unsafe {
        Instance::<Wired<T>>::call(handle, |wired| {
            *report = to_json(&wired.plugin.check()?);
            Ok(())
        })
    }
}

extern "C" fn begin<T: Output>(handle: *mut (), report: BytesRef<'_>) -> Status {
    // SAFETY: the host keeps to the rule for handles.
    unsafe {
        Instance::<Wired<T>>::call(handle, |wired| {
            let report: ReportStart = from_json(report.as_slice())?;
            wired.columns = Columns::of_report(&report);
            wired.plugin.begin(&report)
        })
    }
}

extern "C" fn write<T: Output>(
    handle: *mut (),
    frame: &WriteFrame<'_>,
    written: &mut WrittenFrame,
) -> Status {
    // SAFETY: the host keeps to the rule for handles.
    unsafe {
        Instance::<Wired<T>>::call(handle, |wired| {
            let selection = Selection {
                assets: (frame.flags & ALL_ASSETS == 0).then(|| frame.assets.as_slice()),
                findings: (frame.flags & ALL_FINDINGS == 0).then(|| frame.findings.as_slice()),
            };
            // SAFETY: the host sends only what passed `ValidBatch::new`, with the number of definitions.
            let definitions = if frame.definition_count == 0 {
                &[]
            } else {
                std::slice::from_raw_parts(frame.definitions, frame.definition_count)
            };
            let batch = Batch::trusted(frame.batch, definitions, &wired.columns, selection);
            *written = wired.plugin.write(batch)?.into();
            Ok(())
        })
    }
}

extern "C" fn end<T: Output>(handle: *mut (), end: BytesRef<'_>, written: &mut WrittenFrame) -> Status {
    // SAFETY: the host keeps to the rule for handles.
    unsafe {
        Instance::<Wired<T>>::call(handle, |wired| {
            *written = wired.plugin.end(&from_json::<ReportEnd>(end.as_slice())?)?.into();
            Ok(())
        })
    }
}

extern "C" fn commit<T: Output>(handle: *mut (), receipt: &mut Bytes) -> Status {
    // SAFETY: the host keeps to the rule for handles.
    unsafe {
        Instance::<Wired<T>>::call(handle, |wired| {
            *receipt = wired.plugin.commit()?.0.into();
            Ok(())
        })
    }
}

extern "C" fn close<T: Output>(handle: *mut ()) -> Status {
    // SAFETY: the host keeps to the rule for handles.
    unsafe { Instance::<Wired<T>>::close(handle, |wired| wired.plugin.close()) }
}

/// The host's hold on an instance of an output.
#[derive(Debug)]
pub struct OutputHandle {
    table: OutputTable2,
    handle: *mut (),
}

// SAFETY: an `Output` is `Send`, and a handle is used by one thread at a time because its methods take `&mut`.
unsafe impl Send for OutputHandle {}

impl OutputHandle {
    /// Opens an instance.
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn open(
        table: OutputTable2,
        options: &[u8],
        instance: &str,
        state_folder: &str,
        host: HostTable2,
        receipt: &[u8],
    ) -> Result<Self> {
        let mut handle = std::ptr::null_mut();
        let status = (table.open)(
            options.into(),
            instance.into(),
            state_folder.into(),
            host,
            receipt.into(),
            &mut handle,
        );
        Result::from(status).map(|()| Self { table, handle })
    }

    /// See [`Output::check`].
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn check(&mut self) -> Result<CheckReport> {
        let mut report = Bytes::default();
        Result::from((self.table.check)(self.handle, &mut report))?;
        from_json(&report)
    }

    /// See [`Output::begin`].
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn begin(&mut self, report: &ReportStart) -> Result<()> {
        Result::from((self.table.begin)(self.handle, to_json(report)[..].into()))
    }

    /// See [`Output::write`].
    ///
    /// The batch's schema is that of the report that was begun last, and the rows of the selection are rows of
    /// the batch; else the plugin's call panics and the instance is lost.
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn write(&mut self, batch: &ValidBatch, selection: Selection<'_>) -> Result<Written> {
        let definitions = batch.definitions();
        let frame = WriteFrame {
            batch: batch.raw(),
            definitions: definitions.as_ptr(),
            definition_count: definitions.len(),
            flags: if selection.assets.is_none() { ALL_ASSETS } else { 0 }
                | if selection.findings.is_none() { ALL_FINDINGS } else { 0 },
            assets: selection.assets.unwrap_or_default().into(),
            findings: selection.findings.unwrap_or_default().into(),
        };
        let mut written = WrittenFrame::default();
        Result::from((self.table.write)(self.handle, &frame, &mut written))?;
        written.try_into()
    }

    /// See [`Output::end`].
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        let mut written = WrittenFrame::default();
        Result::from((self.table.end)(self.handle, to_json(end)[..].into(), &mut written))?;
        written.try_into()
    }

    /// See [`Output::commit`].
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn commit(&mut self) -> Result<Receipt> {
        let mut receipt = Bytes::default();
        Result::from((self.table.commit)(self.handle, &mut receipt))?;
        Ok(Receipt(receipt.into_vec()))
    }

    /// See [`Output::close`].
    ///
    /// # Errors
    /// What the plugin answered.
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
