//! Outputs that are interrupted and gone on with.

use std::path::Path;

use scanbridge_plugin_api::abi::OutputHandle;
use scanbridge_plugin_api::batch::Selection;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{ErrorKind, Output, Receipt};
use serde_json::Value;

use crate::output::{hostile_batch, open_with, report};

/// Where a run of two reports, each of two batches, is interrupted, and how it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// Within the first report, behind a batch that was not committed.
    Within,
    /// The same, but the report begins anew.
    WithinThenAnew,
    /// Behind the end of the first report, which was not committed.
    BehindEnd,
    /// The same, but the report begins anew.
    BehindEndThenAnew,
    /// Within the second report, of which nothing was committed.
    WithinNext,
    /// Behind the end of the second report, of which nothing was committed.
    BehindNextEnd,
}

impl Interruption {
    pub(crate) const ALL: [Self; 6] = [
        Self::Within,
        Self::WithinThenAnew,
        Self::BehindEnd,
        Self::BehindEndThenAnew,
        Self::WithinNext,
        Self::BehindNextEnd,
    ];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Within => "within a report",
            Self::WithinThenAnew => "within a report that then begins anew",
            Self::BehindEnd => "behind the end of a report, before it could commit",
            Self::BehindEndThenAnew => "behind the end of a report that then begins anew",
            Self::WithinNext => "within a second report, before it could commit",
            Self::BehindNextEnd => "behind the end of a second report, before it could commit",
        }
    }
}

/// What a run without interruption delivers.
pub(crate) fn undisturbed<T: Output>(options: &Value, result: impl Fn(&Value) -> Vec<u8>) -> Vec<u8> {
    let state = tempfile::tempdir().expect("a temporary folder");
    let mut output = instance::<T>(options, state.path(), None);
    for number in [1, 2] {
        begin(&mut output, number, false);
        write(&mut output);
        write(&mut output);
        end(&mut output);
    }
    output.close().expect("the output closes");
    result(options)
}

/// The same run, interrupted.
pub(crate) fn interrupted<T: Output>(options: &Value, interruption: Interruption) {
    let state = tempfile::tempdir().expect("a temporary folder");
    let receipt = until::<T>(options, state.path(), interruption);
    let mut output = instance::<T>(options, state.path(), Some(&receipt));
    match interruption {
        Interruption::Within | Interruption::BehindEnd => {
            begin(&mut output, 1, true);
            write(&mut output);
            end(&mut output);
        }
        Interruption::WithinThenAnew | Interruption::BehindEndThenAnew => {
            begin(&mut output, 1, false);
            write(&mut output);
            write(&mut output);
            end(&mut output);
        }
        Interruption::WithinNext | Interruption::BehindNextEnd => {}
    }
    output.commit().expect("a commit between reports");
    begin(&mut output, 2, false);
    write(&mut output);
    write(&mut output);
    end(&mut output);
    output.close().expect("the output closes");
}

/// Whatever a receipt holds, the output answers, and blames the state, not itself.
pub(crate) fn a_damaged_receipt_is_answered<T: Output>(options: &Value) {
    for receipt in [&b"\0"[..], b"{}\n", b"\xff\xff\xff\xff\xff\xff\xff\xff\n"] {
        let state = tempfile::tempdir().expect("a temporary folder");
        if let Err(error) = open_with::<T>(options, state.path(), receipt) {
            assert_eq!(error.kind, ErrorKind::Config, "`{}` on a damaged receipt: {error}", T::NAME);
            assert!(error.hint.is_some(), "`{}` tells no way out of a damaged receipt: {error}", T::NAME);
        }
    }
}

/// Up to the interruption; gives the last receipt that was stored.
fn until<T: Output>(options: &Value, state: &Path, interruption: Interruption) -> Receipt {
    let mut output = instance::<T>(options, state, None);
    begin(&mut output, 1, false);
    write(&mut output);
    let mut receipt = output.commit().expect("a commit within a report");
    write(&mut output);
    if !matches!(interruption, Interruption::Within | Interruption::WithinThenAnew) {
        end(&mut output);
    }
    if matches!(interruption, Interruption::WithinNext | Interruption::BehindNextEnd) {
        receipt = output.commit().expect("a commit between reports");
        begin(&mut output, 2, false);
        write(&mut output);
        write(&mut output);
    }
    if interruption == Interruption::BehindNextEnd {
        end(&mut output);
    }
    // Whether this still succeeds is not asked: the host may have met an error before.
    let _ = output.close();
    receipt
}

fn instance<T: Output>(options: &Value, state: &Path, receipt: Option<&Receipt>) -> OutputHandle {
    let receipt = receipt.map(|receipt| receipt.0.as_slice()).unwrap_or_default();
    open_with::<T>(options, state, receipt).expect("the output opens")
}

fn begin(output: &mut OutputHandle, number: u32, continued: bool) {
    let start = ReportStart { id: format!("scan/{number}"), continued, ..report() };
    output.begin(&start).expect("a report begins or goes on");
}

fn write(output: &mut OutputHandle) {
    output.write(&hostile_batch(), Selection::default()).expect("findings are written");
}

fn end(output: &mut OutputHandle) {
    let end = ReportEnd { complete: true, deliver: true, ..ReportEnd::default() };
    output.end(&end).expect("a complete report ends");
}
