//! The output plugin: single records or whole reports, by the destination.

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, LateAnswers, Open, OpenedOutput, OptionSpec, Output,
    OutputCapabilities, Purpose, Receipt, Rendered, Replaces, Result, Resume, Services, Written,
    register_output,
};

use crate::answer::Judge;
use crate::client::Client;
use crate::credentials::Credentials;
use crate::delivery::{Acks, Delivery, RequestSettings, random_uuid};
use crate::import::{Form, Import};
use crate::options::TABLE;
use crate::preset::RecordForm;
use crate::probe::{self, Probe};
use crate::settings::Settings;
use crate::stream::Stream;

/// Posts findings to a destination. A finding is delivered when the destination has acknowledged its request.
#[derive(Debug)]
pub struct Http {
    mode: Mode,
    probe: Probe,
    purpose: Purpose,
}

#[derive(Debug)]
enum Mode {
    Stream(Box<Stream>),
    Import(Box<Import>),
}

impl Output for Http {
    const NAME: &'static str = "HTTP";
    const SUMMARY: &'static str = "posts findings to Splunk, Elasticsearch, Sentinel, DefectDojo and others";
    const OPTIONS: &'static [OptionSpec] = TABLE;

    const CAPABILITIES: OutputCapabilities =
        Stream::CAPABILITIES.resume(Resume::Exact).replaces(Replaces::Report).late_answers(LateAnswers::Rows);
    const RENDERS: bool = true;

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let settings = Settings::read(open.options, open.services.fips())?;
        let form = match settings.preset.form {
            RecordForm::Import => Some(Form::read(open.options)?),
            _ => None,
        };
        let content_type =
            form.as_ref().map_or_else(|| settings.content_type().to_owned(), Form::content_type);
        let (request, probe) = requests(open, &settings, content_type)?;
        let between = request.frame[1].len();
        let delivery = delivery(open, &settings, request)?;
        let (mode, capabilities) = match form {
            Some(form) => {
                let import = Import::open(open, &settings, form, delivery, receipt)?;
                (Mode::Import(Box::new(import)), Import::CAPABILITIES)
            }
            None => {
                let stream = Stream::open(open, &settings, delivery, between, receipt)?;
                (Mode::Stream(Box::new(stream)), Stream::CAPABILITIES)
            }
        };
        let http = Self { mode, probe, purpose: open.purpose() };
        Ok(OpenedOutput::from(http).with_capabilities(capabilities))
    }

    fn check(&mut self) -> Result<CheckReport> {
        let report = self.probe.local();
        if self.purpose == Purpose::Check {
            return Ok(report);
        }
        let delivery = match &mut self.mode {
            Mode::Stream(stream) => stream.delivery(),
            Mode::Import(import) => import.delivery(),
        };
        probe::remote(report, &self.probe, delivery)
    }

    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        match &mut self.mode {
            Mode::Stream(stream) => stream.begin(report),
            Mode::Import(import) => import.begin(report, how)?,
        }
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        match &mut self.mode {
            Mode::Stream(stream) => stream.write(batch),
            Mode::Import(import) => import.write(batch),
        }
    }

    fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        match &self.mode {
            Mode::Stream(stream) => stream.render(report, batch),
            Mode::Import(import) => Ok(import.render(report, batch)),
        }
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        match &mut self.mode {
            Mode::Stream(stream) => stream.end(end),
            Mode::Import(import) => import.end(end)?,
        }
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        match &mut self.mode {
            Mode::Stream(stream) => stream.commit(),
            Mode::Import(import) => import.commit(),
        }
    }

    fn stored(&mut self) -> Result<()> {
        match &mut self.mode {
            Mode::Stream(_) => Ok(()),
            Mode::Import(import) => import.stored(),
        }
    }

    fn close(self) -> Result<()> {
        match self.mode {
            Mode::Stream(_) => Ok(()),
            Mode::Import(import) => import.close(),
        }
    }
}

register_output!(Http);

/// What all requests have in common, and what `check` asks.
fn requests(open: &Open<'_>, settings: &Settings, content_type: String) -> Result<(RequestSettings, Probe)> {
    let channel = channel(settings, open.services)?;
    let request = RequestSettings {
        url: settings.request_url(open.options, &channel)?,
        content_type,
        frame: settings.frame(open.options)?,
        gzip: settings.gzip,
        headers: settings.headers.clone(),
        signer: settings.signer.clone(),
        is_webhook: settings.preset.form == RecordForm::Webhook,
        is_numbered: settings.preset.form == RecordForm::Sentinel,
        acks: settings.ack_timeout.map(|timeout| {
            let mut url = settings.at(&["services", "collector", "ack"]);
            url.query_pairs_mut().append_pair("channel", &channel);
            Acks { url, channel: channel.clone(), timeout }
        }),
    };
    let probe = Probe::new(settings, &request.url, open.services.fips());
    Ok((request, probe))
}

fn delivery(open: &Open<'_>, settings: &Settings, request: RequestSettings) -> Result<Delivery> {
    let services = open.services;
    let interval = settings.limits.interval;
    let client = Client::new(settings.network.clone(), settings.timeout, interval, services)?;
    let credentials = Credentials::new(settings.login.clone(), services);
    let redactor = settings.redactor.clone();
    let judge = Judge { preset: settings.preset, acks: request.acks.is_some(), redactor };
    Ok(Delivery::new(client, credentials, judge, request, services))
}

/// The channel of Splunk: one for each instance, kept between runs.
fn channel(settings: &Settings, services: &Services) -> Result<String> {
    let is_splunk = matches!(settings.preset.form, RecordForm::SplunkEvent | RecordForm::Line);
    if !is_splunk || services.is_read_only() {
        return Ok(random_uuid());
    }
    let state = services.state();
    if let Some(kept) = state.get(CHANNEL_KEY)?.and_then(|kept| String::from_utf8(kept).ok()) {
        return Ok(kept);
    }
    let channel = random_uuid();
    state.put(CHANNEL_KEY, channel.as_bytes())?;
    Ok(channel)
}

const CHANNEL_KEY: &str = "splunk-channel";
