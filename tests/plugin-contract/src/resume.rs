//! The contract tests of an output for interrupted runs.

use std::path::Path;

use scanbridge_plugin_api::abi::OutputHandle;
use scanbridge_plugin_api::batch::Selection;
use scanbridge_plugin_api::model::ReportEnd;
use scanbridge_plugin_api::{Begin, CommitPoint, ErrorKind, Output, Receipt};
use serde_json::Value;

use crate::output::{commit, hostile_batch, open_with, report};

/// Where a run of two reports, each with two batches, is interrupted, and how it is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// Within the first report, after a batch that was not committed.
    Within,
    /// The same, but the report starts from the beginning.
    WithinThenRestarted,
    /// After the end of the first report, which was not committed.
    AfterEnd,
    /// The same, but the report starts from the beginning.
    AfterEndThenRestarted,
    /// Within the second report, of which nothing was committed.
    WithinNext,
    /// After the end of the second report, of which nothing was committed.
    AfterNextEnd,
}

impl Interruption {
    pub(crate) const ALL: [Self; 6] = [
        Self::Within,
        Self::WithinThenRestarted,
        Self::AfterEnd,
        Self::AfterEndThenRestarted,
        Self::WithinNext,
        Self::AfterNextEnd,
    ];

    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Within => "within a report",
            Self::WithinThenRestarted => "within a report that then starts from the beginning",
            Self::AfterEnd => "after the end of a report, before a commit",
            Self::AfterEndThenRestarted => "after the end of a report that then starts from the beginning",
            Self::WithinNext => "within a second report, before a commit",
            Self::AfterNextEnd => "after the end of a second report, before a commit",
        }
    }
}

/// The result of a run without interruption.
pub(crate) fn uninterrupted<T: Output>(options: &Value, result: impl Fn(&Value) -> Vec<u8>) -> Vec<u8> {
    let state = tempfile::tempdir().expect("a temporary directory");
    let mut output = instance::<T>(options, state.path(), None);
    for number in [1, 2] {
        begin(&mut output, number, false);
        write(&mut output);
        write(&mut output);
        end(&mut output);
        commit(&mut output);
    }
    output.close().expect("the output closes");
    result(options)
}

/// The same run, interrupted.
pub(crate) fn interrupted<T: Output>(options: &Value, interruption: Interruption) {
    let state = tempfile::tempdir().expect("a temporary directory");
    let receipt = until::<T>(options, state.path(), interruption);
    let mut output = instance::<T>(options, state.path(), Some(&receipt));
    match interruption {
        Interruption::Within | Interruption::AfterEnd => {
            begin(&mut output, 1, true);
            write(&mut output);
            end(&mut output);
        }
        Interruption::WithinThenRestarted | Interruption::AfterEndThenRestarted => {
            begin(&mut output, 1, false);
            write(&mut output);
            write(&mut output);
            end(&mut output);
        }
        Interruption::WithinNext | Interruption::AfterNextEnd => {}
    }
    commit(&mut output);
    begin(&mut output, 2, false);
    write(&mut output);
    write(&mut output);
    end(&mut output);
    commit(&mut output);
    output.close().expect("the output closes");
}

/// A corrupt receipt must be accepted or be a configuration error with a hint, never a panic or a plugin bug.
pub(crate) fn corrupt_receipt_is_a_config_error<T: Output>(options: &Value) {
    for receipt in [&b"\0"[..], b"{}\n", b"\xff\xff\xff\xff\xff\xff\xff\xff\n"] {
        let state = tempfile::tempdir().expect("a temporary directory");
        let receipt = Receipt(receipt.to_vec());
        if let Err(error) = open_with::<T>(options, state.path(), Some(&receipt)) {
            assert_eq!(
                error.kind,
                ErrorKind::Config,
                "`{}` reports a corrupt receipt with the wrong error kind: {error}",
                T::NAME
            );
            assert!(error.hint.is_some(), "`{}` reports a corrupt receipt without a hint: {error}", T::NAME);
        }
    }
}

/// Runs up to the interruption. Returns the last committed receipt.
fn until<T: Output>(options: &Value, state: &Path, interruption: Interruption) -> Receipt {
    let mut output = instance::<T>(options, state, None);
    begin(&mut output, 1, false);
    write(&mut output);
    let committed = output.commit(CommitPoint::InReport).expect("a commit within a report");
    let mut receipt = committed.receipt.expect("a commit within a report has a receipt");
    write(&mut output);
    if !matches!(interruption, Interruption::Within | Interruption::WithinThenRestarted) {
        end(&mut output);
    }
    if matches!(interruption, Interruption::WithinNext | Interruption::AfterNextEnd) {
        receipt = commit(&mut output).expect("a commit between reports has a receipt");
        begin(&mut output, 2, false);
        write(&mut output);
        write(&mut output);
    }
    if interruption == Interruption::AfterNextEnd {
        end(&mut output);
    }
    // The result is ignored: the host also closes an output after an error.
    let _ = output.close();
    receipt
}

fn instance<T: Output>(options: &Value, state: &Path, receipt: Option<&Receipt>) -> OutputHandle {
    open_with::<T>(options, state, receipt).expect("the output opens")
}

fn begin(output: &mut OutputHandle, number: u32, continued: bool) {
    let start = report().with_id(format!("scan/{number}"));
    output.begin(&start, Begin::NEW.with_continued(continued)).expect("a report begins or continues");
}

fn write(output: &mut OutputHandle) {
    output.write(&hostile_batch(), Selection::default(), 1).expect("findings are written");
}

fn end(output: &mut OutputHandle) {
    let end = ReportEnd::default().with_complete(true).with_deliver(true);
    output.end(&end).expect("a complete report ends");
}
