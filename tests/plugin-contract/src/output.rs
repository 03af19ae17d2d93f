//! The contract tests of an output.

use std::path::Path;
use std::sync::Arc;

use scanbridge_plugin_api::abi::{OutputHandle, output_table};
use scanbridge_plugin_api::batch::{
    AssetRow, BatchBuilder, Columns, DefinitionRow, FindingRow, Schema, Selection, ValidBatch,
};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, Field, FindingField, FindingKind, Protocol, ReportEnd, ReportStart,
};
use scanbridge_plugin_api::{Begin, CommitPoint, Output, PluginError, Receipt, Written};
use serde_json::Value;

use crate::host::{ExamHost, frame};
use crate::resume::{self, Interruption};
use crate::table;

/// Runs the contract tests of an output. `options` must return new options on each call, so that no two instances write
/// to the same destination. `result` reads the data that an instance has delivered. All runs must have the same result,
/// also runs that were interrupted and resumed.
///
/// # Panics
/// If the output violates the contract; the message names the violated rule.
pub fn output<T: Output>(mut options: impl FnMut() -> Value, result: impl Fn(&Value) -> Vec<u8>) {
    check::<T>(&mut options, &result);
    let expected = resume::uninterrupted::<T>(&options(), &result);
    for interruption in Interruption::ALL {
        let options = options();
        resume::interrupted::<T>(&options, interruption);
        assert!(
            result(&options) == expected,
            "`{}` delivers different data if it is interrupted {}",
            T::NAME,
            interruption.description()
        );
    }
}

fn check<T: Output>(mut options: impl FnMut() -> Value, result: impl Fn(&Value) -> Vec<u8>) {
    table::check(T::NAME, T::SUMMARY, T::OPTIONS);
    let (first, second) = (options(), options());
    for options in [&first, &second] {
        deliver::<T>(options).expect("the output accepts a hostile report");
    }
    assert_eq!(result(&first), result(&second), "two runs of `{}` differ", T::NAME);
    empty_report_is_accepted::<T>(&options());
    incomplete_report_is_discarded::<T>(&options());
    probe_has_no_side_effect::<T>(&options());
    selection_is_respected::<T>(&options());
    resume::corrupt_receipt_is_a_config_error::<T>(&options());
}

fn open<T: Output>(options: &Value) -> Result<(OutputHandle, tempfile::TempDir), PluginError> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    Ok((open_with::<T>(options, folder.path(), None)?, folder))
}

/// Opens an instance with this state directory and receipt.
pub(crate) fn open_with<T: Output>(
    options: &Value,
    state: &Path,
    receipt: Option<&Receipt>,
) -> Result<OutputHandle, PluginError> {
    OutputHandle::open(output_table::<T>(), &frame(options, state), receipt, ExamHost::new().table())
}

fn deliver<T: Output>(options: &Value) -> Result<(), PluginError> {
    let (mut output, _folder) = open::<T>(options)?;
    let batch = hostile_batch();
    output.begin(&report(), Begin::NEW)?;
    for _ in 0..2 {
        let written = output.write(&batch, Selection::default(), 1)?;
        rows_exist(&written, &batch);
    }
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true))?;
    let first = output.commit(CommitPoint::BetweenReports)?.receipt;
    let second = output.commit(CommitPoint::BetweenReports)?.receipt;
    assert_eq!(first, second, "a commit without new data changes the receipt");
    publish(&mut output, second)?;
    output.close()
}

fn empty_report_is_accepted<T: Output>(options: &Value) {
    let (mut output, _folder) = open::<T>(options).expect("the output opens");
    output.begin(&report(), Begin::NEW).expect("a report begins");
    output
        .end(&ReportEnd::default().with_complete(true).with_deliver(true))
        .expect("a report without findings ends");
    commit(&mut output);
    output.close().expect("the output closes");
}

fn incomplete_report_is_discarded<T: Output>(options: &Value) {
    let (mut output, _folder) = open::<T>(options).expect("the output opens");
    output.begin(&report(), Begin::NEW).expect("a report begins");
    output.write(&hostile_batch(), Selection::default(), 1).expect("findings are written");
    let end = ReportEnd::default().with_reason("truncated");
    output.end(&end).expect("an incomplete report is discarded");
    commit(&mut output);
    output.close().expect("the output closes");
}

fn probe_has_no_side_effect<T: Output>(options: &Value) {
    let (mut output, _folder) = open::<T>(options).expect("the output opens");
    let (first, second) = (output.check(), output.check());
    assert_eq!(first, second, "two probes of `{}` differ", T::NAME);
    output.close().expect("the output closes");
}

fn selection_is_respected<T: Output>(options: &Value) {
    let (mut output, _folder) = open::<T>(options).expect("the output opens");
    output.begin(&report(), Begin::NEW).expect("a report begins");
    let nothing = Selection::new(&[], &[]);
    let written =
        output.write(&hostile_batch(), nothing, 1).expect("a batch with an empty selection is accepted");
    assert!(written.rejected.is_empty(), "a finding outside the selection is rejected");
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true)).expect("the report ends");
    commit(&mut output);
    output.close().expect("the output closes");
}

/// Commits the end of a report and publishes it. Returns the receipt.
pub(crate) fn commit(output: &mut OutputHandle) -> Option<Receipt> {
    let receipt = output.commit(CommitPoint::BetweenReports).expect("a commit between reports").receipt;
    publish(output, receipt.clone()).expect("the report is published");
    receipt
}

fn publish(output: &mut OutputHandle, receipt: Option<Receipt>) -> Result<(), PluginError> {
    receipt.map_or(Ok(()), |receipt| output.stored(&receipt))
}

fn rows_exist(written: &Written, batch: &ValidBatch) {
    let count = batch.read(|batch| batch.findings().count());
    let rejected = written.rejected.iter().map(|rejection| rejection.row);
    for row in rejected.chain(written.retry.iter().copied()) {
        assert!((row as usize) < count, "row {row} does not exist: the batch has {count} findings");
    }
}

pub(crate) fn report() -> ReportStart {
    ReportStart::default()
        .with_id("scan/1234567890.12345")
        .with_title("../../etc/passwd\n=cmd|' /C calc'!A0")
        .with_time("2026-01-31T12:00:00Z")
        .with_path("reports/scan.xml")
}

const HOSTILE: [&str; 9] = [
    "",
    "plain",
    "a=b|c\\d\"e'f,g;h\ti\r\nj",
    "=cmd|' /C calc'!A0",
    "\u{0}\u{1}\u{7f}\u{85}\u{2028}\u{feff}",
    "äöü 漢字 🦀",
    "<p>&lt;b&gt; CEF:0|x|y|z|1|n|10| dst=6.6.6.6 %41",
    "null",
    "-1",
];

/// A batch with hostile texts in the free-text fields of assets, definitions and findings: one asset per text, with
/// findings of every kind and long results.
pub(crate) fn hostile_batch() -> ValidBatch {
    let mut batch = BatchBuilder::default();
    for (number, text) in HOSTILE.into_iter().enumerate() {
        let mut asset = AssetRow::default();
        fill(&mut asset, &[AssetField::Os, AssetField::Dns, AssetField::Netbios, AssetField::Groups], text);
        asset.set(AssetField::Address, ["192.0.2.1", "2001:db8::1", "", "not an address"][number % 4]);
        let asset = batch.push_asset(&asset, false);
        for kind in FindingKind::ALL {
            let mut definition = DefinitionRow::default();
            fill(
                &mut definition,
                &[DefinitionField::Title, DefinitionField::Cves, DefinitionField::Solution],
                text,
            );
            definition.set(DefinitionField::Id, "1000");
            let definition = batch.push_definition(&definition);
            let mut finding = FindingRow::default();
            fill(&mut finding, &[FindingField::Service, FindingField::Facts], text);
            finding.set_kind(kind);
            finding.set_protocol(Protocol::of(text));
            finding.set(FindingField::Result, &text.repeat(10_000));
            batch.push_finding(asset, definition, &finding);
        }
    }
    ValidBatch::alone(batch.finish(), Arc::new(Columns::of(Schema::default())))
        .expect("the builder builds a valid batch")
}

fn fill<F: Field>(row: &mut scanbridge_plugin_api::batch::Row<F>, fields: &[F], text: &str) {
    for field in fields {
        row.set(*field, text);
    }
}
