//! `check`: the defaults of the preset, and whether the destination would take records now. No record is sent.

use reqwest::Method;
use scanbridge_plugin_api::{CheckReport, ErrorKind, Fips, PluginError, Result, Verdict, show_size};
use url::Url;

use crate::answer::{self, Response};
use crate::delivery::Delivery;
use crate::preset::{Preset, RecordForm};
use crate::settings::{Settings, Target, below};

/// What is checked.
#[derive(Debug)]
pub(crate) struct Probe {
    preset: &'static Preset,
    /// The URL of requests with records.
    url: Url,
    /// The base of the destination.
    base: Url,
    target: Target,
    has_acks: bool,
    /// A warning about the login of the proxy.
    clear_login: Option<&'static str>,
    defaults: Vec<(&'static str, String)>,
}

impl Probe {
    pub(crate) fn new(settings: &Settings, url: &Url, fips: Fips) -> Self {
        let id = match settings.record_id {
            scanbridge_json_records::RecordId::Finding => "finding",
            scanbridge_json_records::RecordId::Event => "event",
        };
        if settings.preset.form == RecordForm::Import {
            return Self::of_import(settings, url, fips);
        }
        let mut defaults = vec![
            ("format", settings.format.word().to_owned()),
            ("record_id", id.to_owned()),
            ("batch_records", settings.limits.records.to_string()),
            ("batch_bytes", show_size(settings.limits.bytes as u64)),
            ("compression", if settings.gzip { "gzip" } else { "none" }.to_owned()),
        ];
        if settings.preset.form == RecordForm::SecOps {
            defaults.push(("url", settings.base.to_string()));
        }
        Self {
            preset: settings.preset,
            url: url.clone(),
            base: settings.base.clone(),
            target: settings.target.clone(),
            has_acks: settings.ack_timeout.is_some(),
            clear_login: clear_login(settings, fips),
            defaults,
        }
    }

    fn of_import(settings: &Settings, url: &Url, fips: Fips) -> Self {
        Self {
            preset: settings.preset,
            url: url.clone(),
            base: settings.base.clone(),
            target: settings.target.clone(),
            has_acks: false,
            clear_login: clear_login(settings, fips),
            defaults: vec![
                ("batch_bytes", show_size(settings.limits.bytes as u64)),
                ("timeout", format!("{} s", settings.timeout.as_secs())),
            ],
        }
    }

    /// Without contacting the destination.
    pub(crate) fn local(&self) -> CheckReport {
        let origin = format!("`preset: {}`", self.preset.name);
        let add = |report: CheckReport, (name, value): &(&'static str, String)| {
            report.effective(*name, value.clone(), origin.clone())
        };
        let mut report = self.defaults.iter().fold(CheckReport::default(), add);
        if let Some(detail) = self.clear_login {
            report = report.step("encryption", Verdict::Warning, detail).about("proxy");
        }
        if self.preset.answers == crate::preset::Answers::Splunk && !self.has_acks {
            let detail = "off (`ack: no`): Splunk confirms that events are valid, not that they are indexed";
            return report.step("acknowledgement", Verdict::Ok, detail);
        }
        if self.preset.form == RecordForm::Import {
            return report.step("deduplication", Verdict::Warning, DEDUPLICATION);
        }
        report
    }

    fn at(&self, segments: &[&str]) -> Url {
        below(&self.base, segments)
    }
}

fn clear_login(settings: &Settings, fips: Fips) -> Option<&'static str> {
    settings.network.proxy.as_ref()?.clear_login(fips)
}

/// Asks the destination.
///
/// # Errors
/// [`ErrorKind::Cancelled`] only; what fails is a step of the report.
pub(crate) fn remote(report: CheckReport, probe: &Probe, delivery: &mut Delivery) -> Result<CheckReport> {
    let mut asked = Asked { report, delivery };
    match probe.preset.form {
        RecordForm::Webhook => {
            asked.get("connection", Method::HEAD, probe.url.clone(), |_, response| {
                Ok(format!("{} answers (HTTP {})", response.address, response.status))
            })?;
        }
        RecordForm::SplunkEvent | RecordForm::Line => {
            asked.get(
                "health",
                Method::GET,
                probe.at(&["services", "collector", "health"]),
                expect_success,
            )?;
            // A request without events tells whether the token is valid.
            let url = probe.at(&["services", "collector", "event"]);
            asked.get("token", Method::POST, url, |delivery, response| {
                match delivery.judge.verdict(response, &[]) {
                    answer::Verdict::Failed(error) | answer::Verdict::Login(error) => Err(error),
                    _ => Ok("valid".to_owned()),
                }
            })?;
        }
        RecordForm::Bulk => {
            asked.get("server", Method::GET, probe.at(&[]), version)?;
            let (url, name, template) = match &probe.target {
                Target::DataStream(name) => (
                    probe.at(&["_data_stream", name]),
                    format!("data stream {name}"),
                    "elasticsearch-data-stream.json",
                ),
                Target::Index(name) => {
                    (probe.at(&[name]), format!("index {name}"), "elasticsearch-index.json")
                }
            };
            asked.target(url, &name, template)?;
        }
        RecordForm::Sentinel | RecordForm::SecOps => asked.token()?,
        RecordForm::Import => {
            asked.get("login", Method::GET, probe.at(&["api", "v2", "user_profile", ""]), expect_success)?;
        }
    }
    Ok(asked.report)
}

/// What cannot be read from DefectDojo.
const DEDUPLICATION: &str = "DefectDojo must compare findings by their IDs: set the deduplication of \
     `Generic Findings Import` to unique_id_from_tool (DD_DEDUPLICATION_ALGORITHM_PER_PARSER); otherwise different \
     findings with the same title count as one";

struct Asked<'a> {
    report: CheckReport,
    delivery: &'a mut Delivery,
}

impl Asked<'_> {
    /// Makes a request; `judge` says what the response means.
    fn get(
        &mut self,
        step: &str,
        method: Method,
        url: Url,
        judge: impl FnOnce(&Delivery, &Response) -> Result<String>,
    ) -> Result<()> {
        let result = match self.delivery.exchange(method, url, &[], Vec::new()) {
            Ok(response) => judge(self.delivery, &response),
            Err(error) => Err(error),
        };
        self.add(step, result)
    }

    fn add(&mut self, step: &str, result: Result<String>) -> Result<()> {
        let report = std::mem::take(&mut self.report);
        self.report = match result {
            Ok(detail) => report.step(step, Verdict::Ok, detail),
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Err(error) => report.failed_step(step, &error),
        };
        Ok(())
    }

    /// Whether the data stream or index is there. Elasticsearch makes it with the first record, from a template.
    fn target(&mut self, url: Url, name: &str, template: &str) -> Result<()> {
        let response = match self.delivery.exchange(Method::GET, url, &[], Vec::new()) {
            Ok(response) if response.status == 404 => {
                let detail = format!(
                    "{name} does not exist yet: the first record makes it; install the index template \
                     dist/destinations/{template} before that"
                );
                let report = std::mem::take(&mut self.report);
                self.report = report.step("index", Verdict::Warning, detail);
                return Ok(());
            }
            Ok(response) => expect_success(self.delivery, &response).map(|_| format!("{name} exists")),
            Err(error) => Err(error),
        };
        self.add("index", response)
    }

    /// Requests a token. The destination itself has no request without records.
    fn token(&mut self) -> Result<()> {
        let Delivery { client, credentials, judge, .. } = &mut *self.delivery;
        let result = credentials.header(client, &mut judge.redactor);
        self.add("login", result.map(|_| "token received".to_owned()))
    }
}

fn expect_success(delivery: &Delivery, response: &Response) -> Result<String> {
    if (200..300).contains(&response.status) {
        return Ok(format!("{} answers", response.address));
    }
    match delivery.judge.by_status(response) {
        answer::Verdict::Failed(error) | answer::Verdict::Login(error) => Err(error),
        _ => Err(PluginError::new(ErrorKind::Protocol, delivery.judge.says(response))),
    }
}

fn version(delivery: &Delivery, response: &Response) -> Result<String> {
    expect_success(delivery, response)?;
    let json: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let version = json.pointer("/version/number").and_then(serde_json::Value::as_str);
    let product = json.pointer("/version/distribution").and_then(serde_json::Value::as_str);
    match version {
        Some(version) => {
            Ok(format!("{} {version} at {}", product.unwrap_or("elasticsearch"), response.address))
        }
        None => Err(delivery.judge.protocol(response)),
    }
}
