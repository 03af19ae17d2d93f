//! The table `input/2`.

use std::path::PathBuf;
use std::time::Duration;

use abi_stable::StableAbi;
use serde::{Deserialize, Serialize};

use super::host_table::{HostHandle, HostTable2};
use super::memory::{Bytes, BytesRef};
use super::shim::{Instance, guard};
use super::status::{self, Status, from_json, to_json};
use crate::batch::{BatchBuilder, RawBatch, Schema, SentDefinitions};
use crate::check::CheckReport;
use crate::error::{PluginError, Result};
use crate::input::{Input, Next, Position};
use crate::model::{Refusal, ReportEnd, ReportStart};
use crate::options::Options;
use crate::services::Services;

/// The id under which a plugin offers its [`InputTable2`].
pub const INPUT_2: &str = "input/2";

/// The functions of one kind of input. A handle is used by one thread at a time and dead after `close`.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct InputTable2 {
    /// Makes an instance: options (JSON object), instance id, state folder, host, resume position (empty for
    /// none); gives the handle and the schema (JSON).
    pub open: extern "C" fn(
        options: BytesRef<'_>,
        instance: BytesRef<'_>,
        state_folder: BytesRef<'_>,
        host: HostTable2,
        resume: BytesRef<'_>,
        handle: &mut *mut (),
        schema: &mut Bytes,
    ) -> Status,
    /// Probes; gives a [`CheckReport`] as JSON.
    pub check: extern "C" fn(handle: *mut (), report: &mut Bytes) -> Status,
    /// Takes the memory of a used batch (empty for none) and gives the next step.
    pub next: extern "C" fn(handle: *mut (), recycled: RawBatch, frame: &mut NextFrame) -> Status,
    /// Everything up to this position has been delivered.
    pub committed: extern "C" fn(handle: *mut (), position: BytesRef<'_>) -> Status,
    /// Ends the instance.
    pub close: extern "C" fn(handle: *mut ()) -> Status,
}

/// The forms of a [`NextFrame`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum NextKind {
    /// `batch` and `position` are set.
    Batch = 1,
    /// `mark` holds a [`ReportStart`].
    ReportStart = 2,
    /// `mark` holds a [`ReportEnd`], and `position` is set.
    ReportEnd = 3,
    /// `mark` holds a refusal.
    Refused = 4,
    /// `wake_after_ms` is set.
    Idle = 5,
    /// Nothing is set.
    Finished = 6,
}

/// Flag of a step: a host that does not know its kind ignores the step. Without it, an unknown kind is a plugin bug.
const SKIPPABLE: u32 = 8;

/// One step of an input as it crosses.
#[repr(C)]
#[derive(Debug, Default, StableAbi)]
pub struct NextFrame {
    kind: u32,
    flags: u32,
    wake_after_ms: u64,
    batch: RawBatch,
    position: Bytes,
    mark: Bytes,
}

#[derive(Serialize, Deserialize)]
struct RefusalMark {
    path: String,
    code: u32,
    #[serde(default)]
    flags: u32,
    message: String,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    incomplete: bool,
}

impl From<Next> for NextFrame {
    fn from(next: Next) -> Self {
        let frame = |kind: NextKind| Self { kind: kind as u32, ..Self::default() };
        match next {
            Next::ReportStart(start) => Self { mark: to_json(&start), ..frame(NextKind::ReportStart) },
            Next::Batch { batch, position } => {
                Self { batch, position: position.0.into(), ..frame(NextKind::Batch) }
            }
            Next::ReportEnd { end, position } => {
                Self { mark: to_json(&end), position: position.0.into(), ..frame(NextKind::ReportEnd) }
            }
            Next::Refused(refusal) => {
                let mark = RefusalMark {
                    path: refusal.path,
                    code: refusal.error.kind as u32,
                    flags: status::flags(refusal.error.kind),
                    message: refusal.error.message,
                    hint: refusal.error.hint,
                    incomplete: refusal.incomplete,
                };
                Self { mark: to_json(&mark), ..frame(NextKind::Refused) }
            }
            Next::Idle(wake_after) => {
                let wake_after_ms = u64::try_from(wake_after.as_millis()).unwrap_or(u64::MAX);
                Self { wake_after_ms, ..frame(NextKind::Idle) }
            }
            Next::Finished => frame(NextKind::Finished),
        }
    }
}

impl NextFrame {
    /// Whether it is a step of a later version that this one may ignore.
    fn is_ignored(&self) -> bool {
        !(1..=NextKind::Finished as u32).contains(&self.kind) && self.flags & SKIPPABLE != 0
    }
}

impl TryFrom<NextFrame> for Next {
    type Error = PluginError;

    fn try_from(frame: NextFrame) -> Result<Self> {
        let position = Position(frame.position.into_vec());
        Ok(match frame.kind {
            kind if kind == NextKind::ReportStart as u32 => {
                Self::ReportStart(Box::new(from_json::<ReportStart>(&frame.mark)?))
            }
            kind if kind == NextKind::Batch as u32 => Self::Batch { batch: frame.batch, position },
            kind if kind == NextKind::ReportEnd as u32 => {
                Self::ReportEnd { end: from_json::<ReportEnd>(&frame.mark)?, position }
            }
            kind if kind == NextKind::Refused as u32 => {
                let mark: RefusalMark = from_json(&frame.mark)?;
                let mut error = PluginError::new(status::kind(mark.code, mark.flags), mark.message);
                error.hint = mark.hint;
                Self::Refused(Refusal { path: mark.path, error, incomplete: mark.incomplete })
            }
            kind if kind == NextKind::Idle as u32 => Self::Idle(Duration::from_millis(frame.wake_after_ms)),
            kind if kind == NextKind::Finished as u32 => Self::Finished,
            kind => {
                return Err(PluginError::bug(format!(
                    "plugin bug: `next` returned a step of the unknown kind {kind}"
                )));
            }
        })
    }
}

/// An author's input with what it has sent.
struct Wired<T> {
    plugin: T,
    sent: SentDefinitions,
}

/// The table of an author's input.
#[must_use]
pub const fn input_table<T: Input>() -> InputTable2 {
    InputTable2 {
        open: open::<T>,
        check: check::<T>,
        next: next::<T>,
        committed: committed::<T>,
        close: close::<T>,
    }
}

extern "C" fn open<T: Input>(
    options: BytesRef<'_>,
    instance: BytesRef<'_>,
    state_folder: BytesRef<'_>,
    host: HostTable2,
    resume: BytesRef<'_>,
    handle: &mut *mut (),
    schema: &mut Bytes,
) -> Status {
    let host = HostHandle::new(host);
    let _logging = super::log::enter(Some(host));
    guard(|| {
        let options = Options::read(T::OPTIONS, options.as_slice())?;
        let services = Services::of_host(instance.to_text(), PathBuf::from(state_folder.to_text()), host);
        let resume = resume.as_slice();
        let resume = (!resume.is_empty()).then(|| Position(resume.to_vec()));
        let plugin = T::open(&options, &services, resume.as_ref())?;
        *schema = to_json(&plugin.schema());
        *handle = Instance::into_handle(Wired { plugin, sent: SentDefinitions::default() }, host);
        Ok(())
    })
}

extern "C" fn check<T: Input>(handle: *mut (), report: &mut Bytes) -> Status {
    // SAFETY: the host keeps to the rule for handles.
    unsafe {
        Instance::<Wired<T>>::call(handle, |wired| {
            *report = to_json(&wired.plugin.check()?);
            Ok(())
        })
    }
}

extern "C" fn next<T: Input>(handle: *mut (), recycled: RawBatch, frame: &mut NextFrame) -> Status {
    // SAFETY: the host keeps to the rule for handles.
    unsafe {
        Instance::<Wired<T>>::call(handle, |wired| {
            let batch = BatchBuilder::following(&wired.sent, recycled);
            *frame = wired.plugin.next(batch)?.into();
            Ok(())
        })
    }
}

extern "C" fn committed<T: Input>(handle: *mut (), position: BytesRef<'_>) -> Status {
    // SAFETY: the host keeps to the rule for handles.
    unsafe {
        Instance::<Wired<T>>::call(handle, |wired| {
            wired.plugin.committed(&Position(position.as_slice().to_vec()))
        })
    }
}

extern "C" fn close<T: Input>(handle: *mut ()) -> Status {
    // SAFETY: the host keeps to the rule for handles.
    unsafe {
        Instance::<Wired<T>>::close(handle, |wired| {
            drop(wired);
            Ok(())
        })
    }
}

/// The host's hold on an instance of an input.
#[derive(Debug)]
pub struct InputHandle {
    table: InputTable2,
    handle: *mut (),
    schema: Schema,
}

// SAFETY: an `Input` is `Send`, and a handle is used by one thread at a time because its methods take `&mut`.
unsafe impl Send for InputHandle {}

impl InputHandle {
    /// Opens an instance.
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn open(
        table: InputTable2,
        options: &[u8],
        instance: &str,
        state_folder: &str,
        host: HostTable2,
        resume: &[u8],
    ) -> Result<Self> {
        let (mut handle, mut schema) = (std::ptr::null_mut(), Bytes::default());
        let status = (table.open)(
            options.into(),
            instance.into(),
            state_folder.into(),
            host,
            resume.into(),
            &mut handle,
            &mut schema,
        );
        Result::from(status)?;
        let mut opened = Self { table, handle, schema: Schema::default() };
        opened.schema = from_json(&schema)?;
        Ok(opened)
    }

    /// The columns of its batches.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// See [`Input::check`].
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn check(&mut self) -> Result<CheckReport> {
        let mut report = Bytes::default();
        Result::from((self.table.check)(self.handle, &mut report))?;
        from_json(&report)
    }

    /// See [`Input::next`].
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn next(&mut self, mut recycled: RawBatch) -> Result<Next> {
        loop {
            let mut frame = NextFrame::default();
            Result::from((self.table.next)(self.handle, recycled, &mut frame))?;
            if !frame.is_ignored() {
                return frame.try_into();
            }
            tracing::debug!("ignoring a step of the unknown kind {}", frame.kind);
            recycled = RawBatch::default();
        }
    }

    /// See [`Input::committed`].
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn committed(&mut self, position: &Position) -> Result<()> {
        Result::from((self.table.committed)(self.handle, position.0.as_slice().into()))
    }
}

impl Drop for InputHandle {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            (self.table.close)(self.handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_step_is_ignored_only_if_it_may_be() {
        let frame = |kind, flags| NextFrame { kind, flags, ..NextFrame::default() };
        assert!(frame(9, SKIPPABLE).is_ignored());
        assert!(!frame(9, 0).is_ignored());
        assert!(!frame(NextKind::Batch as u32, SKIPPABLE).is_ignored());
        assert!(Next::try_from(frame(9, 0)).unwrap_err().message.contains("unknown kind 9"));
    }

    #[test]
    fn refusal_of_an_older_plugin_and_of_a_newer_one() {
        let step = |mark: &str| {
            let frame = NextFrame { kind: 4, mark: mark.as_bytes().to_vec().into(), ..NextFrame::default() };
            match Next::try_from(frame) {
                Ok(Next::Refused(refusal)) => refusal,
                other => panic!("{other:?}"),
            }
        };
        let old = step(r#"{"path": "a.xml", "code": 5, "message": "truncated"}"#);
        assert_eq!((old.error.kind, old.incomplete), (crate::ErrorKind::BadData, false));
        let new = step(r#"{"path": "a", "code": 77, "flags": 1, "message": "m", "later": []}"#);
        assert_eq!(new.error.kind, crate::ErrorKind::Unavailable);
    }
}
