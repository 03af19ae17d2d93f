//! Runs the plugins without a host, on hand-built batches.

use scanbridge_kafka::{KafkaInput, KafkaOutput};
use scanbridge_plugin_api::batch::{
    AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, DefinitionTable, FindingRow, RawBatch2, ValidBatch,
};
use scanbridge_plugin_api::keeper::Share;
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, ReportEnd, ReportSource, ReportStart, Severity,
};
use scanbridge_plugin_api::{
    Begin, CommitPoint, Committed, Event, Input, Open, OpenFrame, Options, Output, Position, Result,
    Services, Stored,
};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) fn scan(id: &str) -> ReportStart {
    ReportStart::default()
        .with_id(id)
        .with_kind("SCAN")
        .with_time("2026-01-30T00:00:00Z")
        .with_source(ReportSource::new("Qualys", "Qualys", "qid"))
}

/// A batch with these assets: address, and the length of the result of each finding.
pub(crate) fn batch(assets: &[(&str, &[usize])]) -> RawBatch2 {
    continued(assets, false)
}

/// As [`batch`]; the first asset began in the batch before.
pub(crate) fn continued(assets: &[(&str, &[usize])], is_continued: bool) -> RawBatch2 {
    let mut batch = BatchBuilder::default();
    for (index, (address, findings)) in assets.iter().enumerate() {
        let mut asset = AssetRow::default();
        asset.set(AssetField::Address, address);
        let asset = batch.push_asset(&asset, is_continued && index == 0);
        for (number, length) in findings.iter().enumerate() {
            let mut definition = DefinitionRow::default();
            definition.set(DefinitionField::Id, &(1000 + number % 7).to_string());
            definition.set(DefinitionField::Title, &format!("title {}", number % 7));
            let definition = batch.push_definition(&definition);
            let mut finding = FindingRow::default();
            finding.set_kind(FindingKind::Vulnerability);
            finding.set_severity(Severity::new(4));
            finding.set_port(443);
            finding.set(FindingField::Result, &format!("{number}:{}", "r".repeat(*length)));
            batch.push_finding(asset, definition, &finding);
        }
    }
    batch.finish()
}

fn options(brokers: &str, more: &Value) -> String {
    let mut options = json!({ "brokers": brokers.split(',').collect::<Vec<_>>(), "security": "plaintext" });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options.to_string()
}

fn frame(purpose: &str) -> OpenFrame {
    frame_in(purpose, "")
}

fn frame_in(purpose: &str, state_folder: &str) -> OpenFrame {
    let frame =
        json!({ "purpose": purpose, "pipeline": "test", "instance": "bus", "state_folder": state_folder });
    serde_json::from_value(frame).unwrap()
}

pub(crate) fn services() -> Services {
    Services::without_host(&std::env::temp_dir())
}

/// Opens an output; the options replace the usual ones.
pub(crate) fn output(brokers: &str, more: &Value) -> Result<KafkaOutput> {
    output_for("run", brokers, more)
}

/// As [`output`], with its share; a machine is known by its state directory.
pub(crate) fn output_of(machine: &str, brokers: &str, more: &Value) -> Result<(KafkaOutput, Option<Share>)> {
    let options = Options::read(KafkaOutput::OPTIONS, options(brokers, more).as_bytes())?;
    let opened = KafkaOutput::open(&Open::new(&options, &services(), &frame_in("run", machine)), None)?;
    Ok((opened.plugin, opened.share))
}

pub(crate) fn output_for(purpose: &str, brokers: &str, more: &Value) -> Result<KafkaOutput> {
    let options = Options::read(KafkaOutput::OPTIONS, options(brokers, more).as_bytes())?;
    KafkaOutput::open(&Open::new(&options, &services(), &frame(purpose)), None).map(|opened| opened.plugin)
}

/// Delivers a report with these batches.
pub(crate) fn deliver(
    output: &mut KafkaOutput,
    report: &ReportStart,
    batches: &[RawBatch2],
) -> Result<Committed> {
    let columns = Columns::of_report(report);
    output.begin(report, Begin::NEW)?;
    let mut rejected = Vec::new();
    for batch in batches {
        rejected.extend(output.write(Batch::of(batch, &columns).unwrap())?.rejected);
    }
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true))?;
    let mut committed = output.commit(CommitPoint::BetweenReports)?;
    let early = rejected
        .into_iter()
        .map(|rejection| (scanbridge_plugin_api::LateRow::new(0, rejection.row), rejection.reason));
    committed.late_rejected.extend(early);
    Ok(committed)
}

pub(crate) fn input_with(
    brokers: &str,
    more: &Value,
    services: &Services,
    resume: Option<&Position>,
) -> Result<(KafkaInput, Arc<Columns>)> {
    let options = Options::read(KafkaInput::OPTIONS, options(brokers, more).as_bytes())?;
    let opened = KafkaInput::open(&Open::new(&options, services, &frame("run")), resume)?;
    Ok((opened.plugin, Arc::new(Columns::of(opened.schema))))
}

pub(crate) fn input_for(purpose: &str, brokers: &str, more: &Value) -> Result<KafkaInput> {
    let options = Options::read(KafkaInput::OPTIONS, options(brokers, more).as_bytes())?;
    KafkaInput::open(&Open::new(&options, &services(), &frame(purpose)), None).map(|opened| opened.plugin)
}

/// What an input has read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Report, address, results of the findings; in order.
    pub(crate) assets: Vec<(String, String, Vec<String>)>,
    pub(crate) starts: Vec<ReportStart>,
    pub(crate) ends: Vec<ReportEnd>,
    pub(crate) refused: Vec<String>,
    pub(crate) position: Option<Position>,
    /// Own cells of findings.
    pub(crate) own: Vec<String>,
}

/// Reads until the input is idle, as a host does that stores everything at once.
pub(crate) fn read_to_end(input: &mut KafkaInput, columns: &Arc<Columns>) -> Result<Reading> {
    let mut reading = Reading::default();
    let mut definitions = DefinitionTable::default();
    loop {
        let step = input.next(BatchBuilder::new(columns.schema()))?;
        match step.event {
            Event::Idle(_) => return Ok(reading),
            Event::ReportStart { start, .. } => reading.starts.push(*start),
            Event::Batch(mut raw) => {
                let resolved = definitions.resolve(&mut raw, columns.schema()).unwrap();
                // Each builder of this test sends all its definitions.
                definitions = DefinitionTable::default();
                let report = reading.starts.last().unwrap().id.clone();
                let batch = ValidBatch::new(raw, resolved, Arc::clone(columns)).unwrap();
                batch.read(|batch| {
                    for asset in batch.assets() {
                        let findings =
                            batch.findings().filter(|finding| finding.asset().row() == asset.row());
                        let results = findings.map(|one| one.get(FindingField::Result).to_owned());
                        if asset.is_continued() {
                            reading.assets.last_mut().unwrap().2.extend(results);
                        } else {
                            let address = asset.address().to_owned();
                            reading.assets.push((report.clone(), address, results.collect()));
                        }
                    }
                    if let Some(column) = batch.column("acme:epss") {
                        let cells = batch.findings().map(|one| format!("{:?}", one.cell(column)));
                        reading.own.extend(cells);
                    }
                });
            }
            Event::ReportEnd(end) => reading.ends.push(end),
            Event::Refused(refusal) => reading.refused.push(format!("{}: {}", refusal.path, refusal.error)),
            Event::Mark => {}
            other => panic!("{other:?}"),
        }
        if let Some(position) = step.position {
            reading.position = Some(position.clone());
            input.stored(&Stored::new(position, Vec::new()))?;
        }
    }
}
