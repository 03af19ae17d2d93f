//! Writes events in which every value is hostile, and the values that a reader must return.
//!
//! `hostile-values EXPECTED.ndjson LINES.cef [REPORTS]`. The expected values are computed here, character by
//! character from the rules of the README, without the plugin's code; only the ID of each event is taken from its line.
//! Each report is written for another receiver.

mod asset;
mod expected;
mod texts;

use std::error::Error;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::{env, fs};

use scanbridge_arcsight_cef::ArcSightCef;
use scanbridge_plugin_api::batch::{Batch, BatchBuilder, Columns};
use scanbridge_plugin_api::model::{ReportEnd, ReportSource, ReportStart};
use scanbridge_plugin_api::{Begin, CommitPoint, Open, OpenFrame, Options, Output, Services};
use serde_json::{Value, json};

use crate::asset::Asset;
use crate::texts::Texts;

const ASSETS_PER_REPORT: u32 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [expected, lines, rest @ ..] = arguments.as_slice() else {
        return Err("usage: hostile-values EXPECTED.ndjson LINES.cef [REPORTS]".into());
    };
    let reports = rest.first().map_or(Ok(22), |count| count.parse())?;
    let mut texts = Texts::new()?;
    let mut events = Vec::new();
    fs::write(lines, "")?;
    for report in 0..reports {
        let receiver = &RECEIVERS[report % RECEIVERS.len()];
        let mut output = open(lines, receiver)?;
        write_report(&mut output, &mut texts, receiver, &mut events)?;
        output.close()?;
    }
    let mut expected = BufWriter::new(fs::File::create(expected)?);
    let written = fs::read_to_string(lines)?;
    for (mut event, line) in events.into_iter().zip(written.split('\n')) {
        // No value can contain the key: its `=` has a backslash.
        let (_, rest) = line.split_once(" ScanbridgeEventId=").ok_or("an event without ID")?;
        let id = rest.get(..32).ok_or("a short ID")?;
        let extension = event["extension"].as_array_mut().ok_or("no extension")?;
        extension.push(json!(["ScanbridgeEventId", id]));
        // A parser reads the last value of a line in another way than the others.
        extension.sort_by_key(|pair| line.find(&format!(" {}=", pair[0].as_str().unwrap_or_default())));
        writeln!(expected, "{event}")?;
    }
    Ok(expected.flush()?)
}

/// A receiver, and what differs in its events.
pub(crate) struct Receiver {
    name: &'static str,
    separator: &'static str,
    title_as_name: bool,
}

const RECEIVERS: [Receiver; 11] = [
    guide("rsyslog"),
    plain("sentinel-ama"),
    plain("splunk"),
    guide("syslog-ng"),
    plain("qradar"),
    plain("graylog"),
    guide("syslog-ng-ietf"),
    plain("logstash"),
    plain("elastic-agent"),
    plain("wazuh"),
    plain("fluentd"),
];

const fn guide(name: &'static str) -> Receiver {
    Receiver { name, separator: "|", title_as_name: false }
}

const fn plain(name: &'static str) -> Receiver {
    Receiver { name, separator: ":", title_as_name: true }
}

fn open(lines: &str, receiver: &Receiver) -> Result<ArcSightCef, Box<dyn Error>> {
    let settings =
        json!({ "path": lines, "if_exists": "append", "asset_events": true, "receiver": receiver.name });
    let options = Options::read(ArcSightCef::OPTIONS, settings.to_string().as_bytes())?;
    let (services, frame) = (Services::without_host(Path::new(".")), OpenFrame::default());
    Ok(ArcSightCef::open(&Open::new(&options, &services, &frame), None)?.plugin)
}

fn write_report(
    output: &mut ArcSightCef,
    texts: &mut Texts,
    receiver: &Receiver,
    expected: &mut Vec<Value>,
) -> Result<(), Box<dyn Error>> {
    let report = ReportStart::default()
        .with_id(texts.any(9))
        .with_path(texts.any(100))
        .with_source(ReportSource::new("Qualys", "Qualys", "qid").with_product_version(texts.any(6)))
        .with_time("2026-01-31T12:00:00Z");
    output.begin(&report, Begin::NEW)?;
    let columns = Columns::of_report(&report);
    let mut batch = BatchBuilder::default();
    for number in 0..ASSETS_PER_REPORT {
        let asset = Asset::make(texts, number);
        asset.fill(&mut batch);
        expected.extend(asset.events(&report, receiver));
        if batch.is_full() || number + 1 == ASSETS_PER_REPORT {
            let raw = std::mem::take(&mut batch).finish();
            output.write(Batch::of(&raw, &columns)?)?;
        }
    }
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true))?;
    output.commit(CommitPoint::BetweenReports)?;
    Ok(output.stored()?)
}
