//! The settings of an output, read from its options.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::HeaderMap;
use scanbridge_finding_texts::{LineLimit, TextFormat, options as text};
use scanbridge_http_route::{NetworkOptions, Wording};
use scanbridge_json_records::RecordId;
use scanbridge_plugin_api::{Fips, Options, PluginError, Result, Secret};
use serde_json::json;
use url::{Host, Url};

use crate::client::{header_name, secret_header};
use crate::credentials::{Login, TokenSource};
use crate::preset::{Preset, RecordForm};
use crate::record::{RecordSettings, host_column};
use crate::redact::Redactor;
use crate::service_account::ServiceAccount;
use crate::webhook::Signer;

/// The settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) preset: &'static Preset,
    /// `url` or its default, without the path that the preset adds.
    pub(crate) base: Url,
    pub(crate) format: TextFormat,
    pub(crate) is_array: bool,
    pub(crate) record_id: RecordId,
    pub(crate) login: Login,
    pub(crate) headers: HeaderMap,
    pub(crate) signer: Option<Signer>,
    pub(crate) redactor: Redactor,
    pub(crate) gzip: bool,
    pub(crate) limits: Limits,
    pub(crate) network: NetworkOptions,
    pub(crate) timeout: Duration,
    /// The longest wait for acknowledgements of Splunk; `None`: they are not used.
    pub(crate) ack_timeout: Option<Duration>,
    /// The name of the index or data stream, for Elasticsearch and OpenSearch.
    pub(crate) target: Target,
}

/// Where Elasticsearch and OpenSearch store records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    DataStream(String),
    Index(String),
}

/// When a request is full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    pub(crate) delay: Duration,
    /// Between two requests.
    pub(crate) interval: Duration,
}

const WORDING: Wording = Wording {
    destination: "this destination",
    read_timeout: "timeout",
    response_timeout: "timeout",
    max_bytes: None,
};

impl Settings {
    /// # Errors
    /// A configuration error that names the option, or files that cannot be read.
    pub(crate) fn read(options: &Options, fips: Fips) -> Result<Self> {
        let preset = options.choice("preset", Preset::of)?.expect("the option is required");
        let format = format(options, preset)?;
        let duration = |name| Ok::<_, PluginError>(options.duration(name)?.unwrap_or_default());
        let timeout = options.duration("timeout")?.unwrap_or(Duration::from_secs(preset.timeout_secs));
        refuse_unused(options, preset)?;
        let network = NetworkOptions::read(options, fips, [duration("connect_timeout")?, timeout], &WORDING)?;
        let base = base(options, preset, &network)?;
        let mut redactor = Redactor::default();
        let login = login(options, preset, &network, &mut redactor)?;
        // A server may repeat the login as it got it, after its scheme.
        if let Login::Fixed(_, value) = &login
            && let Some((_, sent)) = value.expose().split_once(' ')
        {
            redactor.add(&Secret::new(sent.to_owned()));
        }
        let headers = headers(options, &mut redactor)?;
        if login.is_secret() || !headers.is_empty() {
            require_tls("url", &base)?;
        }
        let signer = options.secret("sign_secret")?.map(|secret| Signer::new(&secret)).transpose()?;
        let per_second = options.integer::<u32>("max_requests_per_sec")?;
        let limits = Limits {
            records: options.integer("batch_records")?.unwrap_or(preset.batch_records),
            bytes: usize::try_from(options.size("batch_bytes")?.unwrap_or(preset.batch_bytes))
                .unwrap_or(usize::MAX),
            delay: duration("batch_delay")?,
            interval: per_second.map_or(Duration::ZERO, |requests| Duration::from_secs(1) / requests),
        };
        let ack_timeout = options.duration("ack_timeout")?.unwrap_or(Duration::from_secs(300));
        Ok(Self {
            preset,
            base,
            format,
            is_array: options.text("body")? == Some("array"),
            record_id: match options.text("record_id")? {
                Some("finding") => RecordId::Finding,
                Some(_) => RecordId::Event,
                None => preset.record_id,
            },
            login,
            headers,
            signer,
            redactor,
            gzip: options.text("compression")?.map_or(preset.gzip, |word| word == "gzip"),
            limits,
            network,
            timeout,
            ack_timeout: options.flag("ack")?.then_some(ack_timeout),
            target: match (options.text("index")?, options.text("data_stream")?) {
                (Some(index), _) => Target::Index(index.to_owned()),
                (None, stream) => Target::DataStream(stream.unwrap_or(DATA_STREAM).to_owned()),
            },
        })
    }

    /// The URL of requests with records. `channel` is for Splunk.
    pub(crate) fn request_url(&self, options: &Options, channel: &str) -> Result<Url> {
        let text = |name, default: &'static str| {
            Ok::<_, PluginError>(options.text(name)?.unwrap_or(default).to_owned())
        };
        let path = |segments: &[&str]| self.at(segments);
        Ok(match self.preset.form {
            RecordForm::Webhook => self.base.clone(),
            RecordForm::SplunkEvent => path(&["services", "collector", "event"]),
            RecordForm::Line => {
                let mut url = path(&["services", "collector", "raw"]);
                let (source, kind, index) = splunk_fields(options, self.format)?;
                let mut query = url.query_pairs_mut();
                query.append_pair("channel", channel);
                query.append_pair("source", &source).append_pair("sourcetype", &kind);
                index.iter().for_each(|index| {
                    query.append_pair("index", index);
                });
                drop(query);
                url
            }
            RecordForm::Bulk => {
                let mut url = path(&["_bulk"]);
                let filter = "errors,items.*.status,items.*.error.type,items.*.error.reason";
                url.set_query(Some(&format!("filter_path={filter}")));
                if let Some(pipeline) = options.text("pipeline")? {
                    url.query_pairs_mut().append_pair("pipeline", pipeline);
                }
                url
            }
            RecordForm::Sentinel => {
                let (rule, stream) = (text("dcr", "")?, text("stream", "")?);
                let mut url = path(&["dataCollectionRules", &rule, "streams", &stream]);
                url.set_query(Some("api-version=2023-01-01"));
                url
            }
            RecordForm::SecOps => path(&[
                &text("api_version", "v1alpha")?,
                "projects",
                &text("project", "")?,
                "locations",
                &text("region", "")?,
                "instances",
                &text("instance", "")?,
                "logTypes",
                &text("log_type", "ARCSIGHT_CEF")?,
                "logs:import",
            ]),
            // The path ends with a slash.
            RecordForm::Import => path(&["api", "v2", "reimport-scan", ""]),
        })
    }

    /// `url` with these segments of a path.
    pub(crate) fn at(&self, segments: &[&str]) -> Url {
        below(&self.base, segments)
    }

    /// What is in a record.
    pub(crate) fn record(&self, options: &Options) -> Result<RecordSettings> {
        let (source, kind, index) = splunk_fields(options, self.format)?;
        let mut event = format!("\"source\":{},\"sourcetype\":{},", json!(source), json!(kind));
        index.iter().for_each(|index| event += &format!("\"index\":{},", json!(index)));
        let (action, name) = match (&self.target, self.record_id) {
            (Target::Index(index), RecordId::Finding) => ("index", index),
            (Target::Index(name) | Target::DataStream(name), _) => ("create", name),
        };
        Ok(RecordSettings {
            form: self.preset.form,
            format: self.format,
            action: format!("{{\"{action}\":{{\"_index\":{},\"_id\":", json!(name)),
            event,
            host: options.text("host_field")?.and_then(host_column),
        })
    }

    /// What is before, between and after the records of a request.
    pub(crate) fn frame(&self, options: &Options) -> Result<[String; 3]> {
        let mut frame = self.preset.frame(self.is_array).map(str::to_owned);
        if self.preset.form == RecordForm::SecOps {
            let forwarder = options.text("forwarder")?.map(|name| format!("\"forwarder\":{},", json!(name)));
            frame[0] = format!("{{\"inlineSource\":{{{}\"logs\":[", forwarder.unwrap_or_default());
        }
        Ok(frame)
    }

    /// The content type of requests.
    pub(crate) fn content_type(&self) -> &'static str {
        if self.is_array { "application/json" } else { self.preset.content_type }
    }

    /// The maximum size of a CEF event.
    pub(crate) fn line_limit(&self) -> LineLimit {
        let bytes = match self.preset.form {
            // Splunk truncates lines at 10,000 bytes.
            RecordForm::Line | RecordForm::SplunkEvent => 9500,
            _ => 60 << 10,
        };
        LineLimit { bytes, name: "the limit of the preset" }
    }
}

/// A URL with these segments after its path.
pub(crate) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

const DATA_STREAM: &str = "logs-scanbridge.finding-default";

fn format(options: &Options, preset: &Preset) -> Result<TextFormat> {
    let format = options.choice("format", TextFormat::of_word)?.unwrap_or(preset.formats[0]);
    if !preset.formats.contains(&format) {
        let words: Vec<_> = preset.formats.iter().map(|format| format!("`{}`", format.word())).collect();
        return Err(PluginError::config(format!(
            "option `format`: `preset: {}` does not accept `{}`",
            preset.name,
            format.word()
        ))
        .with_option("format")
        .with_hint(format!("it accepts {}", words.join(", "))));
    }
    if preset.form != RecordForm::Import {
        text::refuse_unused(options, &[format])?;
    }
    if preset.form == RecordForm::SecOps && format != TextFormat::Cef && !options.is_set("log_type") {
        return Err(PluginError::config(format!(
            "option `log_type` is required with `format: {}`",
            format.word()
        ))
        .with_option("log_type")
        .with_hint("name the log type of your own parser"));
    }
    let is_security_log = options.text("stream")? == Some("Microsoft-CommonSecurityLog");
    if preset.form == RecordForm::Sentinel && is_security_log != (format == TextFormat::Cef) {
        return Err(PluginError::config("options `stream` and `format` do not belong together")
            .with_option("stream")
            .with_hint("`format: cef` and the stream Microsoft-CommonSecurityLog need each other"));
    }
    Ok(format)
}

/// Source, source type and index of Splunk.
fn splunk_fields(options: &Options, format: TextFormat) -> Result<(String, String, Option<String>)> {
    let kind = if format == TextFormat::Cef { "cef" } else { "scanbridge:finding" };
    Ok((
        options.text("source")?.unwrap_or("scanbridge").to_owned(),
        options.text("sourcetype")?.unwrap_or(kind).to_owned(),
        options.text("index")?.map(str::to_owned),
    ))
}

fn base(options: &Options, preset: &Preset, network: &NetworkOptions) -> Result<Url> {
    let text = match (options.url("url")?, preset.form, options.text("region")?) {
        (Some(url), ..) => url.to_string(),
        (None, RecordForm::SecOps, Some(region)) => format!("https://{region}-chronicle.googleapis.com"),
        _ => {
            return Err(PluginError::config(format!(
                "option `url` is required with `preset: {}`",
                preset.name
            ))
            .with_option("url"));
        }
    };
    parsed("url", &text, network)
}

fn parsed(option: &str, text: &str, network: &NetworkOptions) -> Result<Url> {
    let url = Url::parse(text).map_err(|error| {
        PluginError::config(format!("option `{option}` is not a valid URL: {error}")).with_option(option)
    })?;
    network.accept(option, &url)?;
    Ok(url)
}

fn login(
    options: &Options,
    preset: &Preset,
    network: &NetworkOptions,
    redactor: &mut Redactor,
) -> Result<Login> {
    let mut secret = |name| -> Result<Option<Secret>> {
        let secret = options.secret(name)?.filter(|secret| !secret.expose().is_empty());
        secret.iter().for_each(|secret| redactor.add(secret));
        Ok(secret)
    };
    if let Some(token) = secret("token")? {
        // A token with a scheme of its own replaces that of the preset.
        let value = match token.expose().trim() {
            token if token.contains(' ') => token.to_owned(),
            token => format!("{} {token}", preset.token_scheme),
        };
        let value = Secret::new(value);
        secret_header("token", &value)?;
        return Ok(Login::Fixed("token", value));
    }
    if let (Some(user), Some(password)) = (options.text("username")?, secret("password")?) {
        return Ok(Login::basic(user, &password));
    }
    if let (Some(url), Some(id), Some(secret)) =
        (options.url("oauth_token_url")?, options.text("oauth_client_id")?, secret("oauth_client_secret")?)
    {
        let url = parsed("oauth_token_url", &url.to_string(), network)?;
        require_tls("oauth_token_url", &url)?;
        let default = (preset.form == RecordForm::Sentinel).then_some("https://monitor.azure.com/.default");
        let scope = options.text("oauth_scope")?.or(default).map(str::to_owned);
        return Ok(Login::Tokens(TokenSource::ClientCredentials { url, id: id.to_owned(), secret, scope }));
    }
    if let Some(path) = options.path("service_account_file")? {
        let account = ServiceAccount::open(&path)?;
        redactor.add(&account.private_key);
        require_tls("service_account_file", &account.token_url)?;
        return Ok(Login::Tokens(TokenSource::ServiceAccount(Box::new(account))));
    }
    let needed = match preset.form {
        RecordForm::SplunkEvent | RecordForm::Line | RecordForm::Import => "token",
        RecordForm::Sentinel => "oauth_token_url",
        RecordForm::SecOps => "service_account_file",
        RecordForm::Webhook | RecordForm::Bulk => return Ok(Login::None),
    };
    Err(PluginError::config(format!("option `{needed}` is required with `preset: {}`", preset.name))
        .with_option(needed))
}

fn headers(options: &Options, redactor: &mut Redactor) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in options.map("headers")? {
        let value = Secret::new(value.to_owned());
        redactor.add(&value);
        headers.insert(header_name("headers", name)?, secret_header("headers", &value)?);
    }
    Ok(headers)
}

/// Refuses options that have no effect for DefectDojo, whose files have a fixed form.
fn refuse_unused(options: &Options, preset: &Preset) -> Result<()> {
    const UNUSED: [&str; 4] = ["format", "record_id", "compression", "batch_records"];
    if preset.form != RecordForm::Import {
        return Ok(());
    }
    let of_formats = text::unused(options, &[])?.map(|(name, _)| name);
    match UNUSED.into_iter().find(|name| options.is_set(name)).or(of_formats) {
        None => Ok(()),
        Some(name) => {
            Err(PluginError::config(format!("option `{name}` has no effect with `preset: {}`", preset.name))
                .with_option(name)
                .with_hint("remove it"))
        }
    }
}

/// Refuses a login in clear text.
fn require_tls(option: &str, url: &Url) -> Result<()> {
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "https" || is_local {
        return Ok(());
    }
    Err(PluginError::config(format!("option `{option}`: a login is sent over https only"))
        .with_option(option)
        .with_hint("write https://; http is for tests on this machine"))
}
