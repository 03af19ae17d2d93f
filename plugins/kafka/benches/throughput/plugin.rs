//! This plugin, opened as a host does it.

use scanbridge_kafka::{KafkaInput, KafkaOutput};
use scanbridge_plugin_api::batch::{Batch, BatchBuilder, Columns};
use scanbridge_plugin_api::model::ReportEnd;
use scanbridge_plugin_api::{
    Begin, CommitPoint, Event, Input as _, Open, OpenFrame, OptionSpec, Options, Output as _, Services,
    Stored,
};
use serde_json::{Value, json};

use crate::findings::Round;

/// An output with its usual settings, and one format.
pub(crate) struct Output(KafkaOutput);

fn opened<T>(table: &'static [OptionSpec], options: &Value, open: impl FnOnce(&Open<'_>) -> T) -> T {
    let options = Options::read(table, options.to_string().as_bytes()).unwrap();
    let frame: OpenFrame =
        serde_json::from_value(json!({ "purpose": "run", "pipeline": "bench", "instance": "bus" })).unwrap();
    open(&Open::new(&options, &Services::without_host(&std::env::temp_dir()), &frame))
}

impl Output {
    pub(crate) fn open(brokers: &str, topic: &str, format: &str) -> Self {
        let options =
            json!({ "brokers": [brokers], "security": "plaintext", "topic": topic, "format": format });
        Self(opened(KafkaOutput::OPTIONS, &options, |open| KafkaOutput::open(open, None).unwrap().plugin))
    }

    /// Delivers the report, up to the checkpoint after it.
    pub(crate) fn round(&mut self, round: &Round) {
        let columns = Columns::of_report(&round.report);
        self.0.begin(&round.report, Begin::NEW).unwrap();
        for batch in &round.batches {
            let written = self.0.write(Batch::of(batch, &columns).unwrap()).unwrap();
            assert!(written.rejected.is_empty(), "{:?}", written.rejected[0].reason);
        }
        self.0.end(&ReportEnd::default().with_complete(true).with_deliver(true)).unwrap();
        let committed = self.0.commit(CommitPoint::BetweenReports).unwrap();
        assert!(committed.late_rejected.is_empty());
    }
}

/// Reads the topic to its end with a new group; returns the number of findings.
pub(crate) fn consume(brokers: &str, topic: &str) -> u64 {
    let options =
        json!({ "brokers": [brokers], "security": "plaintext", "topics": [topic], "group": "bench" });
    let mut input =
        opened(KafkaInput::OPTIONS, &options, |open| KafkaInput::open(open, None).unwrap().plugin);
    let schema = scanbridge_plugin_api::batch::Schema::default();
    let (mut findings, mut recycled) = (0, None);
    loop {
        let builder = match recycled.take() {
            Some(batch) => BatchBuilder::recycle(&schema, batch),
            None => BatchBuilder::new(&schema),
        };
        let step = input.next(builder).unwrap();
        match step.event {
            Event::Idle(_) => return findings,
            Event::Batch(batch) => {
                findings += batch.finding_count(&schema) as u64;
                recycled = Some(batch);
            }
            Event::Refused(refusal) => panic!("{}", refusal.error),
            _ => {}
        }
        if let Some(position) = step.position {
            input.stored(&Stored::new(position, Vec::new())).unwrap();
        }
    }
}
