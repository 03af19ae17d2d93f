//! The table `input/2`.

use std::time::Duration;

use abi_stable::StableAbi;
use serde::{Deserialize, Serialize};

use super::frames::{self, Answer, StoredFrame};
use super::host_table::{HostHandle, HostTable2};
use super::input_state::PluginState;
use super::memory::{Bytes, BytesRef};
use super::reports_table::{Marked, ReportsTable1};
use super::shim::{Instance, guard};
use super::status::{self, Detail, Status, from_json, to_json};
use crate::batch::{BatchSender, RawBatch2, Schema};
use crate::capabilities::InputCapabilities;
use crate::check::CheckReport;
use crate::descriptor::PluginKind;
use crate::error::{ErrorKind, PluginError, Result};
use crate::input::{CheckpointRequest, Event, Input, Position, Step, Stored};
use crate::model::{Refusal, ReportEnd, ReportStart};
use crate::open::OpenFrame;
use crate::reports::{ReportChoice, ReportMarks, ReportPage, ReportQuery};

/// The ID under which a plugin offers its [`InputTable2`].
pub const INPUT_2: &str = "input/2";

/// The functions of an input. All calls of one handle come from one thread; the handle is invalid after `close`.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct InputTable2 {
    /// The size of this structure, in bytes.
    pub size: u32,
    /// Always 0.
    pub flags: u32,
    /// Opens an instance. Parameters: an [`OpenFrame`] as JSON, the position (null for none), the host. Returns an
    /// answer as JSON (API version, capabilities, columns) and the handle.
    pub open: extern "C" fn(
        frame: BytesRef<'_>,
        resume: *const BytesRef<'_>,
        host: &'static HostTable2,
        answer: &mut Bytes,
        handle: &mut *mut (),
    ) -> Status,
    /// Probes the source; returns a [`CheckReport`] as JSON.
    pub check: extern "C" fn(handle: *mut (), report: &mut Bytes) -> Status,
    /// Receives the memory of a used batch (empty for none) and returns the next step.
    pub next: extern "C" fn(handle: *mut (), recycled: RawBatch2, step: &mut StepFrame) -> Status,
    /// Reports that everything up to this position is stored: a list of reports as JSON, and the position.
    pub stored: extern "C" fn(handle: *mut (), frame: BytesRef<'_>, position: BytesRef<'_>) -> Status,
    /// Closes the instance.
    pub close: extern "C" fn(handle: *mut ()) -> Status,
}

/// The kinds of a [`StepFrame`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum StepKind {
    /// `batch` is set.
    Batch = 1,
    /// `mark` contains a [`ReportStart`].
    ReportStart = 2,
    /// `mark` contains a [`ReportEnd`].
    ReportEnd = 3,
    /// `mark` contains a refusal.
    Refused = 4,
    /// Nothing to read now.
    Idle = 5,
    /// The input has ended.
    Finished = 6,
    /// Only a position.
    Mark = 7,
}

/// `position` is set.
pub(super) const HAS_POSITION: u32 = 1;
/// The host stores a checkpoint here, regardless of the interval.
pub(super) const MARK: u32 = 2;
/// As [`MARK`]; in addition, `next` is called only after the checkpoint is stored and `stored` was called.
pub(super) const WAIT_STORED: u32 = 4;
/// A host that does not know the kind ignores the step. Without this flag, an unknown kind is a plugin bug.
pub(super) const SKIPPABLE: u32 = 8;
/// `wait_ms` is set.
pub(super) const HAS_WAIT: u32 = 16;
/// The report continues at the position that was given to `open`.
pub(super) const CONTINUED: u32 = 32;

/// One step of an input, in its ABI form.
#[repr(C)]
#[derive(Debug, Default, StableAbi)]
pub struct StepFrame {
    /// The size of this structure, in bytes.
    size: u32,
    /// A [`StepKind`].
    kind: u32,
    /// [`HAS_POSITION`] and the flags below it.
    flags: u32,
    wait_ms: u64,
    batch: RawBatch2,
    position: Bytes,
    /// The JSON of the step.
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    known: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    missing: bool,
}

impl From<Step> for StepFrame {
    fn from(step: Step) -> Self {
        let mut frame = Self { size: size_of::<Self>() as u32, ..Self::default() };
        let kind = match step.event {
            Event::ReportStart { mut start, continued } => {
                // The host puts the columns that `open` returned into each report.
                start.schema = Schema::empty();
                frame.mark = to_json(&start);
                frame.flags |= if continued { CONTINUED } else { 0 };
                StepKind::ReportStart
            }
            Event::Batch(batch) => {
                frame.batch = batch;
                StepKind::Batch
            }
            Event::ReportEnd(end) => {
                frame.mark = to_json(&end);
                StepKind::ReportEnd
            }
            Event::Refused(refusal) => {
                frame.mark = to_json(&RefusalMark {
                    path: refusal.path,
                    code: refusal.error.kind as u32,
                    flags: status::flags(refusal.error.kind),
                    message: refusal.error.message,
                    hint: refusal.error.hint,
                    incomplete: refusal.incomplete,
                    known: refusal.known,
                    missing: refusal.missing,
                });
                StepKind::Refused
            }
            Event::Idle(wake_after) => {
                frame.wait_ms = u64::try_from(wake_after.as_millis()).unwrap_or(u64::MAX);
                frame.flags |= HAS_WAIT;
                StepKind::Idle
            }
            Event::Mark => StepKind::Mark,
            Event::Finished => StepKind::Finished,
        };
        frame.kind = kind as u32;
        if let Some(position) = step.position {
            frame.position = position.0.into();
            frame.flags |= HAS_POSITION;
        }
        frame.flags |= match step.checkpoint {
            CheckpointRequest::AtInterval => 0,
            CheckpointRequest::Now => MARK,
            CheckpointRequest::NowAndWait => WAIT_STORED,
        };
        frame
    }
}

impl StepFrame {
    /// Whether this is a step of a later version that this version may ignore.
    fn is_ignored(&self) -> bool {
        !(1..=StepKind::Mark as u32).contains(&self.kind) && self.flags & SKIPPABLE != 0
    }
}

impl TryFrom<StepFrame> for Step {
    type Error = PluginError;

    fn try_from(frame: StepFrame) -> Result<Self> {
        let is = |flag| frame.flags & flag != 0;
        let event = match frame.kind {
            kind if kind == StepKind::ReportStart as u32 => Event::ReportStart {
                start: Box::new(from_json::<ReportStart>(&frame.mark)?),
                continued: is(CONTINUED),
            },
            kind if kind == StepKind::Batch as u32 => Event::Batch(frame.batch),
            kind if kind == StepKind::ReportEnd as u32 => {
                Event::ReportEnd(from_json::<ReportEnd>(&frame.mark)?)
            }
            kind if kind == StepKind::Refused as u32 => {
                let mark: RefusalMark = from_json(&frame.mark)?;
                let mut error = PluginError::new(status::kind(mark.code, mark.flags), mark.message);
                error.hint = mark.hint;
                Event::Refused(Refusal {
                    path: mark.path,
                    error,
                    incomplete: mark.incomplete,
                    known: mark.known,
                    missing: mark.missing,
                })
            }
            kind if kind == StepKind::Idle as u32 => {
                Event::Idle(if is(HAS_WAIT) { Duration::from_millis(frame.wait_ms) } else { Duration::ZERO })
            }
            kind if kind == StepKind::Finished as u32 => Event::Finished,
            kind if kind == StepKind::Mark as u32 => Event::Mark,
            kind => {
                return Err(PluginError::bug(format!(
                    "plugin bug: `next` returned a step of the unknown kind {kind}"
                )));
            }
        };
        let checkpoint = match (is(WAIT_STORED), is(MARK)) {
            (true, _) => CheckpointRequest::NowAndWait,
            (false, true) => CheckpointRequest::Now,
            (false, false) => CheckpointRequest::AtInterval,
        };
        let position = is(HAS_POSITION).then(|| Position(frame.position.into_vec()));
        if position.is_none() && checkpoint != CheckpointRequest::AtInterval {
            return Err(PluginError::bug("plugin bug: `next` requested a checkpoint without a position"));
        }
        Ok(Self { event, position, checkpoint })
    }
}

/// The table of an input.
#[must_use]
pub const fn input_table<T: Input>() -> InputTable2 {
    InputTable2 {
        size: size_of::<InputTable2>() as u32,
        flags: 0,
        open: open::<T>,
        check: check::<T>,
        next: next::<T>,
        stored: stored::<T>,
        close: close::<T>,
    }
}

extern "C" fn open<T: Input>(
    frame: BytesRef<'_>,
    resume: *const BytesRef<'_>,
    host: &'static HostTable2,
    answer: &mut Bytes,
    handle: &mut *mut (),
) -> Status {
    let host = HostHandle::new(host);
    let _logging = super::log::enter(Some(host));
    guard(|| {
        // SAFETY: null, or valid for this call.
        let resume = unsafe { resume.as_ref() }.map(|position| Position(position.as_slice().to_vec()));
        let (opened, batch_bytes) = frames::open(PluginKind::Input, frame, T::OPTIONS, host, |open| {
            Ok((T::open(open, resume.as_ref())?, open.frame.limits.batch_bytes))
        })?;
        if let Some(fault) = opened.schema.fault() {
            return Err(PluginError::bug(format!("plugin bug: {fault}")));
        }
        let sender = BatchSender::new(&opened.schema);
        let effect = opened.effect.map(Detail::from);
        *answer = to_json(&Answer { effect, ..Answer::of(opened.capabilities, Some(opened.schema)) });
        *handle = Instance::into_handle(PluginState { plugin: opened.plugin, sender, batch_bytes }, host);
        Ok(())
    })
}

extern "C" fn check<T: Input>(handle: *mut (), report: &mut Bytes) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            *report = to_json(&state.plugin.check()?);
            Ok(())
        })
    }
}

extern "C" fn next<T: Input>(handle: *mut (), recycled: RawBatch2, step: &mut StepFrame) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            let batch = state.sender.next_batch(recycled).with_target_bytes(state.batch_bytes);
            *step = state.plugin.next(batch)?.into();
            Ok(())
        })
    }
}

extern "C" fn stored<T: Input>(handle: *mut (), frame: BytesRef<'_>, position: BytesRef<'_>) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe {
        Instance::<PluginState<T>>::call(handle, |state| {
            let StoredFrame { reports } = from_json(frame.as_slice())?;
            state.plugin.stored(&Stored { position: Position(position.as_slice().to_vec()), reports })
        })
    }
}

extern "C" fn close<T: Input>(handle: *mut ()) -> Status {
    // SAFETY: the host follows the rule for handles.
    unsafe { Instance::<PluginState<T>>::close(handle, |state| state.plugin.close()) }
}

/// The host's handle of an input instance.
#[derive(Debug)]
pub struct InputHandle {
    table: InputTable2,
    reports: Option<ReportsTable1>,
    handle: *mut (),
    schema: Schema,
    capabilities: Option<InputCapabilities>,
    effect: Option<PluginError>,
}

// SAFETY: an `Input` is `Send`. Only one thread at a time uses a handle, because its methods take `&mut`.
unsafe impl Send for InputHandle {}

impl InputHandle {
    /// Opens an instance.
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn open(
        table: InputTable2,
        frame: &OpenFrame,
        resume: Option<&Position>,
        host: &'static HostTable2,
    ) -> Result<Self> {
        let (mut handle, mut answer) = (std::ptr::null_mut(), Bytes::default());
        let resume = resume.map(|position| BytesRef::from(position.0.as_slice()));
        let resume = resume.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let status = (table.open)(to_json(frame)[..].into(), resume, host, &mut answer, &mut handle);
        Result::from(status)?;
        let mut opened =
            Self { table, reports: None, handle, schema: Schema::empty(), capabilities: None, effect: None };
        let answer: Answer<InputCapabilities> = from_json(&answer)?;
        opened.capabilities = answer.capabilities;
        opened.effect = answer.effect.map(|effect| effect.error(ErrorKind::Config));
        opened.schema = answer.schema.unwrap_or_default();
        if let Some(fault) = opened.schema.fault() {
            return Err(PluginError::bug(format!("plugin bug: {fault}")));
        }
        Ok(opened)
    }

    /// The columns of the batches.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The capabilities of the instance; `None` if they are those of the plugin.
    #[must_use]
    pub fn capabilities(&self) -> Option<InputCapabilities> {
        self.capabilities
    }

    /// What reading would change at the source ([`Opened::with_effect`](crate::Opened)).
    #[must_use]
    pub fn effect(&self) -> Option<&PluginError> {
        self.effect.as_ref()
    }

    /// See [`Input::check`].
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn check(&mut self) -> Result<CheckReport> {
        let mut report = Bytes::default();
        Result::from((self.table.check)(self.handle, &mut report))?;
        from_json(&report)
    }

    /// See [`Input::next`].
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn next(&mut self, mut recycled: RawBatch2) -> Result<Step> {
        loop {
            let mut frame = StepFrame::default();
            Result::from((self.table.next)(self.handle, recycled, &mut frame))?;
            if !frame.is_ignored() {
                return frame.try_into();
            }
            tracing::debug!("ignoring a step of the unknown kind {}", frame.kind);
            recycled = RawBatch2::default();
        }
    }

    /// See [`Input::stored`].
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn stored(&mut self, stored: &Stored) -> Result<()> {
        let frame = to_json(&StoredFrame { reports: stored.reports.clone() });
        let position = stored.position.0.as_slice();
        Result::from((self.table.stored)(self.handle, frame[..].into(), position.into()))
    }

    /// Sets the functions for stored reports, if the plugin has them.
    #[must_use]
    pub fn with_reports(mut self, reports: Option<ReportsTable1>) -> Self {
        self.reports = reports;
        self
    }

    /// See [`Input::list_reports`].
    ///
    /// # Errors
    /// The error of the plugin; [`PluginError::no_reports`] without the table.
    pub fn list_reports(&mut self, query: &ReportQuery) -> Result<ReportPage> {
        let (table, mut page) = (self.reports()?, Bytes::default());
        Result::from((table.list)(self.handle, to_json(query)[..].into(), &mut page))?;
        from_json(&page)
    }

    /// See [`Input::choose_reports`].
    ///
    /// # Errors
    /// As for [`InputHandle::list_reports`].
    pub fn choose_reports(&mut self, choice: &ReportChoice) -> Result<()> {
        Result::from((self.reports()?.choose)(self.handle, to_json(choice)[..].into()))
    }

    /// See [`Input::mark_reports`].
    ///
    /// # Errors
    /// As for [`InputHandle::list_reports`].
    pub fn mark_reports(&mut self, marks: &ReportMarks) -> Result<u64> {
        let (table, mut marked) = (self.reports()?, Bytes::default());
        Result::from((table.mark)(self.handle, to_json(marks)[..].into(), &mut marked))?;
        Ok(from_json::<Marked>(&marked)?.changed)
    }

    fn reports(&self) -> Result<ReportsTable1> {
        self.reports.ok_or_else(PluginError::no_reports)
    }

    /// See [`Input::close`].
    ///
    /// # Errors
    /// The error of the plugin.
    pub fn close(mut self) -> Result<()> {
        let handle = std::mem::replace(&mut self.handle, std::ptr::null_mut());
        Result::from((self.table.close)(handle))
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
    fn unknown_step_is_ignored_only_if_skippable() {
        let frame = |kind, flags| StepFrame { kind, flags, ..StepFrame::default() };
        assert!(frame(9, SKIPPABLE).is_ignored());
        assert!(!frame(9, 0).is_ignored());
        assert!(!frame(StepKind::Batch as u32, SKIPPABLE).is_ignored());
        assert!(Step::try_from(frame(9, 0)).unwrap_err().message.contains("unknown kind 9"));
    }

    #[test]
    fn steps_cross_with_their_position_and_checkpoint_request() {
        let round_trip = |step: Step| Step::try_from(StepFrame::from(step)).unwrap();
        let step =
            round_trip(Step::mark(Position(Vec::new())).with_checkpoint(CheckpointRequest::NowAndWait));
        assert_eq!(step.position, Some(Position(Vec::new())), "an empty position is a position");
        assert_eq!(step.checkpoint, CheckpointRequest::NowAndWait);
        let step = round_trip(Step::report_continued(ReportStart::default()));
        assert!(matches!(step.event, Event::ReportStart { continued: true, .. }));
        assert_eq!((step.position, step.checkpoint), (None, CheckpointRequest::AtInterval));
        let step =
            round_trip(Step::idle(Duration::from_millis(7)).with_checkpoint(CheckpointRequest::AtInterval));
        assert!(matches!(step.event, Event::Idle(wait) if wait == Duration::from_millis(7)));
        let missing = Step::finished().with_checkpoint(CheckpointRequest::Now);
        assert!(Step::try_from(StepFrame::from(missing)).unwrap_err().message.contains("without a position"));
    }

    #[test]
    fn refusal_of_an_older_plugin_and_of_a_newer_one() {
        let step = |mark: &str| {
            let frame = StepFrame { kind: 4, mark: mark.as_bytes().to_vec().into(), ..StepFrame::default() };
            match Step::try_from(frame).map(|step| step.event) {
                Ok(Event::Refused(refusal)) => refusal,
                other => panic!("{other:?}"),
            }
        };
        let without_kind = step(r#"{"path": "a.xml", "code": 5, "message": "truncated"}"#);
        assert_eq!((without_kind.error.kind, without_kind.incomplete), (crate::ErrorKind::BadData, false));
        assert!(!without_kind.known);
        assert!(step(r#"{"path": "a.xml", "code": 5, "message": "truncated", "known": true}"#).known);
        let new = step(r#"{"path": "a", "code": 77, "flags": 1, "message": "m", "later": []}"#);
        assert_eq!(new.error.kind, crate::ErrorKind::Unavailable);
    }
}
