//! An output under test.

use std::sync::Arc;

use scanbridge_plugin_api::abi::{OutputHandle, OutputTable2, RenderTable1};
use scanbridge_plugin_api::batch::Selection;
use scanbridge_plugin_api::model::ReportEnd;
use scanbridge_plugin_api::{Begin, CommitPoint, PluginError, Receipt, Written};

use super::journal::checked;
use super::side::{Side, UnderTest, not_open};
use crate::exam::job::{Answer, Instance, Resume, Step};
use crate::exam::material;

/// An output of the examined library.
pub(super) struct OutputUnderTest {
    tables: (OutputTable2, Option<RenderTable1>),
    side: Side<OutputHandle>,
    /// The last receipt, and the last one that a transaction has stored.
    committed: Option<Vec<u8>>,
    stored: Option<Vec<u8>>,
    batches: u64,
}

impl OutputUnderTest {
    pub(super) fn new(tables: (OutputTable2, Option<RenderTable1>), spec: &Instance) -> Self {
        Self { tables, side: Side::new(spec), committed: None, stored: None, batches: 0 }
    }

    fn open(&mut self, resume: &Resume) -> Result<Answer, PluginError> {
        let receipt = resume.bytes(self.stored.as_ref());
        self.stored.clone_from(&receipt);
        if let Some(receipt) = &receipt {
            self.side.restore_keys(receipt)?;
        }
        let ((table, render), frame, host) = (self.tables, Arc::clone(&self.side.frame), self.side.host);
        let receipt = receipt.map(Receipt);
        let output = self.side.call("open", move |handle| {
            let opened = OutputHandle::open(table, &frame, receipt.as_ref(), host)?.with_render(render);
            let capabilities = opened.capabilities();
            *handle = Some(opened);
            Ok(capabilities)
        })?;
        Ok(Answer { output, ..Answer::default() })
    }
}

impl UnderTest for OutputUnderTest {
    type Handle = OutputHandle;

    fn side(&self) -> &Side<OutputHandle> {
        &self.side
    }

    fn call(&mut self, _: usize, step: &Step) -> Result<Answer, PluginError> {
        match *step {
            Step::Open(ref resume) => self.open(resume),
            Step::Check => self.side.with("check", OutputHandle::check).map(|report| checked(&report)),
            Step::Begin { report, continued, partial, has_gap } => {
                let how = if partial { Begin::PARTIAL } else { Begin::NEW };
                let how = how.with_continued(continued).with_gap(has_gap);
                self.side.with("begin", move |output| output.begin(&material::start(report), how))?;
                Ok(Answer::default())
            }
            Step::Write { report, from, to, every } => {
                self.batches += 1;
                let (number, batch) = (self.batches, material::batch(report, from, to));
                let selected: Vec<u32> = (0..to - from).step_by(every as usize).collect();
                let rows = selected.len() as u64;
                let written = self.side.with("write", move |output| {
                    let mut selection = Selection::default();
                    selection.findings = (every > 1).then_some(&selected);
                    let mut written = output.write(&batch, selection, number)?;
                    // The host sends the rows again that the output asks for, as it does in a run.
                    for _ in 0..RETRIES {
                        let again = std::mem::take(&mut written.retry);
                        if again.is_empty() {
                            break;
                        }
                        let mut selection = Selection::default();
                        selection.findings = Some(&again);
                        let answer = output.write(&batch, selection, number)?;
                        written.rejected.extend(answer.rejected);
                        written.left_out.extend(answer.left_out);
                        written.retry = answer.retry;
                        written.derived = written.derived.saturating_add(answer.derived);
                        written.bytes = written.bytes.saturating_add(answer.bytes);
                    }
                    Ok(written)
                })?;
                Ok(Answer { rows, ..accounted(written) })
            }
            Step::Render { report, from, to, every } => {
                let (start, batch) = (material::start(report), material::batch(report, from, to));
                let selected: Vec<u32> = (0..to - from).step_by(every as usize).collect();
                let rows = selected.len() as u64;
                let rendered = self.side.with("render", move |output| {
                    let mut selection = Selection::default();
                    selection.findings = (every > 1).then_some(&selected);
                    output.render(&start, &batch, selection)
                })?;
                Ok(Answer { rows, rendered, ..Answer::default() })
            }
            Step::End { complete, deliver } => {
                let reason = if complete { String::new() } else { "truncated by the exam".to_owned() };
                let end =
                    ReportEnd::default().with_complete(complete).with_deliver(deliver).with_reason(reason);
                self.side.with("end", move |output| output.end(&end)).map(accounted)
            }
            Step::Commit { between_reports } => {
                let at = if between_reports { CommitPoint::BetweenReports } else { CommitPoint::InReport };
                let committed = self.side.with("commit", move |output| output.commit(at))?;
                self.committed = committed.receipt.map(|receipt| receipt.0);
                let late = committed.late_rejected.iter().map(|(row, _)| row.row).collect();
                Ok(Answer {
                    rejected: late,
                    retry: committed.late_retry.iter().map(|row| row.row).collect(),
                    reasons: committed.late_rejected.into_iter().map(|(_, reason)| reason).collect(),
                    receipt: self.committed.clone(),
                    derived: committed.derived,
                    bytes: committed.bytes,
                    ..Answer::default()
                })
            }
            Step::Transaction(place) => {
                self.stored.clone_from(&self.committed);
                if let Some(receipt) = &self.stored {
                    self.side.save_keys(receipt)?;
                }
                Ok(Answer { receipt: self.stored.clone(), place: Some(place), ..Answer::default() })
            }
            Step::Publish => {
                let receipt = Receipt(self.stored.clone().unwrap_or_default());
                self.side.with("stored", move |output| output.stored(&receipt))?;
                Ok(Answer::default())
            }
            Step::Close => self.side.close(OutputHandle::close),
            _ => Err(not_open()),
        }
    }
}

/// How often rows are sent again at the output's request.
const RETRIES: usize = 5;

fn accounted(written: Written) -> Answer {
    Answer {
        rejected: written.rejected.iter().map(|rejection| rejection.row).collect(),
        reasons: written.rejected.into_iter().map(|rejection| rejection.reason).collect(),
        retry: written.retry,
        left_out: written.left_out,
        derived: written.derived,
        bytes: written.bytes,
        ..Answer::default()
    }
}
