//! Writes events in which every value is hostile, and the values that a reader must return.
//!
//! `hostile-values EXPECTED.ndjson LINES.cef [REPORTS]`. The expected values are computed here, character by
//! character from the rules of the README, without the plugin's code.

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
use serde_json::json;

use crate::asset::Asset;
use crate::texts::Texts;

const ASSETS_PER_REPORT: u32 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [expected, lines, rest @ ..] = arguments.as_slice() else {
        return Err("usage: hostile-values EXPECTED.ndjson LINES.cef [REPORTS]".into());
    };
    let reports = rest.first().map_or(Ok(20), |count| count.parse())?;
    let mut expected = BufWriter::new(fs::File::create(expected)?);
    let settings = json!({
        "path": lines,
        "asset_events": true,
        "profile": "generic",
        "extra_fields": ["externalId", "cn1", "outcome"],
    });
    let options = Options::read(ArcSightCef::OPTIONS, settings.to_string().as_bytes())?;
    let (services, frame) = (Services::without_host(Path::new(".")), OpenFrame::default());
    let mut output = ArcSightCef::open(&Open::new(&options, &services, &frame), None)?.plugin;
    let mut texts = Texts::new()?;
    for _ in 0..reports {
        write_report(&mut output, &mut texts, &mut expected)?;
    }
    output.close()?;
    Ok(expected.flush()?)
}

fn write_report(
    output: &mut ArcSightCef,
    texts: &mut Texts,
    expected: &mut impl Write,
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
        for event in asset.events(&report) {
            writeln!(expected, "{event}")?;
        }
        if batch.is_full() || number + 1 == ASSETS_PER_REPORT {
            let raw = std::mem::take(&mut batch).finish();
            output.write(Batch::of(&raw, &columns)?)?;
        }
    }
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true))?;
    output.commit(CommitPoint::BetweenReports)?;
    Ok(output.stored()?)
}
