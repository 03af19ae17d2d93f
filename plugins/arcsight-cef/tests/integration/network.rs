//! Runs the plugin over the network as the host does: uncommitted batches are repeated on a new instance.

use std::net::SocketAddr;
use std::path::Path;

use scanbridge_arcsight_cef::ArcSightCef;
use scanbridge_plugin_api::batch::{Batch, Columns, RawBatch2};
use scanbridge_plugin_api::model::{AssetField as A, DefinitionField as D, ReportEnd};
use scanbridge_plugin_api::{
    Begin, CommitPoint, ErrorKind, Open, OpenFrame, Options, Output, PluginError, Purpose, Receipt, Result,
    Services,
};
use serde_json::{Value, json};

use crate::case::{Filling, scan};

/// Options for a receiver, with waits that suit a test.
pub(crate) fn options(transport: &str, address: SocketAddr, more: Value) -> Value {
    let mut options = json!({
        "transport": transport, "address": [address.to_string()], "syslog_header": "rfc5424", "derive": false,
        "host_name": "collector", "confirm_grace_ms": 20, "connect_timeout_secs": 5, "write_timeout_secs": 5,
    });
    for (name, value) in more.as_object().expect("options are an object") {
        options[name] = value.clone();
    }
    options
}

pub(crate) fn open(options: &Value, receipt: Option<&Receipt>) -> Result<ArcSightCef> {
    open_with(options, receipt, &Services::without_host(Path::new("/nonexistent")))
}

pub(crate) fn open_with(
    options: &Value,
    receipt: Option<&Receipt>,
    services: &Services,
) -> Result<ArcSightCef> {
    let options = Options::read(ArcSightCef::OPTIONS, options.to_string().as_bytes())?;
    let mut frame = OpenFrame::default();
    frame.purpose = Purpose::Run;
    ArcSightCef::open(&Open::new(&options, services, &frame), receipt).map(|opened| opened.plugin)
}

/// A batch of one asset with `count` findings. The QIDs number the events, starting at `first`.
pub(crate) fn numbered(first: usize, count: usize, result: &str) -> RawBatch2 {
    let mut filling = Filling::default().asset(&[(A::Address, "192.0.2.1"), (A::Dns, "www.example.com")]);
    for number in first..first + count {
        let cells = [("kind", "vulnerability"), ("severity", "5"), ("result", result)];
        filling = filling.finding(&[(D::Id, &number.to_string())], &cells);
    }
    filling.done()
}

/// The number of an event of [`numbered`].
pub(crate) fn number_of(message: &[u8]) -> usize {
    let text = std::str::from_utf8(message).expect("events are UTF-8");
    let at = text.find(r"|Qualys\|VULN\|").expect("a vulnerability") + r"|Qualys\|VULN\|".len();
    text[at..].split('|').next().and_then(|digits| digits.parse().ok()).expect("a QID")
}

/// Result of a delivery.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// The errors after which a new instance was opened.
    pub(crate) failures: Vec<PluginError>,
}

/// Delivers the batches as one report and commits after each `every` of them. After an unavailable receiver
/// it calls `wait`, opens another instance with the last receipt and repeats what was not committed; any
/// other error ends it.
pub(crate) fn deliver(
    options: &Value,
    batches: &[RawBatch2],
    every: usize,
    mut wait: impl FnMut(usize),
) -> Result<Run, PluginError> {
    let mut run = Run::default();
    let (mut receipt, mut done) = (None, 0);
    loop {
        match attempt(options, batches, every, &mut receipt, &mut done) {
            Ok(()) => return Ok(run),
            Err(error) if error.kind == ErrorKind::Unavailable && run.failures.len() < MAX_FAILURES => {
                run.failures.push(error);
                wait(run.failures.len());
            }
            Err(error) => return Err(error),
        }
    }
}

fn attempt(
    options: &Value,
    batches: &[RawBatch2],
    every: usize,
    receipt: &mut Option<Receipt>,
    done: &mut usize,
) -> Result<()> {
    let columns = Columns::of_report(&scan());
    let mut output = open(options, receipt.as_ref())?;
    let result = (|| {
        output.begin(&scan(), Begin::NEW.with_continued(*done > 0))?;
        while *done < batches.len() {
            let end = batches.len().min(*done + every);
            for batch in &batches[*done..end] {
                output.write(Batch::of(batch, &columns).expect("a valid batch"))?;
            }
            *receipt = output.commit(CommitPoint::InReport)?.receipt;
            *done = end;
        }
        output.end(&ReportEnd::default().with_complete(true).with_deliver(true))?;
        *receipt = output.commit(CommitPoint::InReport)?.receipt;
        Ok(())
    })();
    output.close()?;
    result
}

const MAX_FAILURES: usize = 400;
