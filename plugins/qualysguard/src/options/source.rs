//! Settings of the three sources.

use std::time::Duration;

use scanbridge_plugin_api::{Options, PluginError, Result};
use url::Url;

use super::computed::Computed;
use super::details::{Detail, details};
use super::network::{Network, address};
use super::table::DEFAULT_URL;
use super::values::{minutes, owned, text, time, version};

/// The configured source.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    TemplateReports(TemplateReports),
    ScanReports(ScanReports),
    Detections(Detections),
}

impl Source {
    /// What reading would change at Qualys.
    pub(crate) fn effect(&self) -> Option<PluginError> {
        let Self::TemplateReports(TemplateReports { which, .. }) = self else { return None };
        let template = which.iter().find_map(|which| match which {
            Which::Launch(template) => Some(template),
            _ => None,
        })?;
        let error =
            PluginError::config(format!("a report of template {template} would be launched at Qualys"));
        Some(error.with_option("report").with_hint("set `report: newest` to read a stored report"))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct TemplateReports {
    pub(crate) which: Vec<Which>,
    /// Title of launched reports; `None`: a unique title.
    pub(crate) title: Option<String>,
    pub(crate) delete: bool,
    pub(crate) timeout: Duration,
    pub(crate) poll: Duration,
}

/// Selects one report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// Launch a new report from this template.
    Launch(String),
    /// The newest finished report with the title of this template.
    NewestOfTemplate(String),
    /// The newest finished report with this title.
    NewestTitled(String),
    /// The report with this ID.
    Id(String),
}

#[derive(Debug, Clone)]
pub(crate) struct ScanReports {
    pub(crate) list: Url,
    pub(crate) report: Url,
    pub(crate) refs: Vec<String>,
    /// Statuses of the scans to download.
    pub(crate) statuses: Vec<String>,
    pub(crate) since: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Detections {
    pub(crate) version: String,
    pub(crate) knowledge_base_version: String,
    pub(crate) statuses: Vec<String>,
    pub(crate) severities: Vec<String>,
    pub(crate) types: Vec<String>,
    pub(crate) show_results: bool,
    /// Also detections that are ignored, and those of disabled QIDs.
    pub(crate) ignored: bool,
    pub(crate) disabled: bool,
    pub(crate) details: Vec<&'static Detail>,
    pub(crate) page_size: u32,
    pub(crate) incremental: bool,
    pub(crate) overlap: Duration,
    pub(crate) knowledge_base_update: Duration,
    pub(crate) knowledge_base_age: Duration,
}

/// Reads the options of the configured source; options of the other sources are ignored.
pub(super) fn source(options: &Options, network: &Network) -> Result<Source> {
    Ok(match options.text("source")? {
        Some("scan-reports") => Source::ScanReports(ScanReports {
            list: scan_address(options, network, SCAN_CALLS[0].0, SCAN_CALLS[0].1)?,
            report: scan_address(options, network, SCAN_CALLS[1].0, SCAN_CALLS[1].1)?,
            refs: owned(options, "scan_refs")?,
            statuses: owned(options, "scan_statuses")?,
            since: time(options, "scans_since")?,
        }),
        Some("host-detections") => Source::Detections(detections(options)?),
        _ => Source::TemplateReports(template_reports(options)?),
    })
}

fn template_reports(options: &Options) -> Result<TemplateReports> {
    let title = text(options, "report_title")?;
    let templates = options.list("template_id")?.into_iter().map(template_id).collect::<Result<Vec<_>>>()?;
    let newest = options.text("report")? == Some("newest");
    let which = match (options.integer::<i64>("report_id")?, &title) {
        (Some(id), _) => vec![Which::Id(id.to_string())],
        (None, Some(title)) if newest => vec![Which::NewestTitled(title.clone())],
        (None, _) if newest => templates.into_iter().map(Which::NewestOfTemplate).collect(),
        (None, _) => templates.into_iter().map(Which::Launch).collect(),
    };
    if which.is_empty() {
        return Err(PluginError::config("option `template_id` is required for `source: template-report`")
            .with_hint("it is the number after id= in the URL of the template's info page"));
    }
    Ok(TemplateReports {
        which,
        title,
        delete: options.flag("delete_report")?,
        timeout: minutes(options, "report_timeout_minutes")?.unwrap_or(Duration::from_secs(28_800)),
        poll: Duration::from_secs(options.integer("poll_secs")?.unwrap_or(30)),
    })
}

fn detections(options: &Options) -> Result<Detections> {
    let hours = |name| -> Result<Option<Duration>> {
        Ok(options.integer::<u64>(name)?.map(|hours| Duration::from_secs(hours * 3_600)))
    };
    let version_of_call = version(options, "detections_version", "5.0")?;
    Ok(Detections {
        details: details(options, &version_of_call)?,
        version: version_of_call,
        knowledge_base_version: version(options, "knowledge_base_version", "4.0")?,
        statuses: owned(options, "statuses")?,
        severities: owned(options, "severities")?,
        types: owned(options, "types")?,
        show_results: options.flag("show_results")?,
        ignored: options.flag("ignored")?,
        disabled: options.flag("disabled")?,
        page_size: options.integer("page_size")?.unwrap_or(1_000),
        incremental: options.flag("incremental")?,
        overlap: minutes(options, "overlap_minutes")?.unwrap_or(Duration::from_secs(3_600)),
        knowledge_base_update: hours("knowledge_base_update_hours")?.unwrap_or(Duration::from_secs(86_400)),
        knowledge_base_age: options
            .integer::<u64>("knowledge_base_days")?
            .map_or(Duration::from_secs(90 * 86_400), |days| Duration::from_secs(days * 86_400)),
    })
}

/// Reads a template ID, or the ID after `id=` in the URL of a template info page.
fn template_id(text: &str) -> Result<String> {
    let text = text.trim();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(text) {
        return Ok(text.to_owned());
    }
    let id = text.split(['?', '&', '#', ';']).find_map(|part| part.strip_prefix("id="));
    id.filter(|id| is_number(id)).map(str::to_owned).ok_or_else(|| {
        PluginError::config(format!("invalid `template_id`: `{text}` is not a template ID"))
            .with_hint("set it to the ID, or to the URL of the template's info page, which ends in id=NUMBER")
    })
}

/// The values of options that are not set: the API and the gateway of the platform, and the URLs of the scan calls.
pub(super) fn computed(options: &Options, network: &Network) -> Result<Vec<Computed>> {
    let is_default = network.url.as_str().trim_end_matches('/') == DEFAULT_URL;
    let platform = if options.text("platform")?.is_some() { "`platform`" } else { "`url`" };
    let of_calls = match (is_default, &network.route.tls.certificate) {
        (true, None) => "default",
        (true, Some(_)) => "`tls_certificate`",
        (false, _) => platform,
    };
    let mut computed = Vec::new();
    let mut add = |option, value: String, origin| computed.push(Computed { option, value, origin });
    if !is_default {
        add("url", network.url.as_str().trim_end_matches('/').to_owned(), platform);
    }
    if let (None, Some(gateway)) = (options.url("gateway_url")?, &network.gateway) {
        add("gateway_url", gateway.as_str().trim_end_matches('/').to_owned(), platform);
    }
    for (option, call) in SCAN_CALLS {
        if options.url(option)?.is_none() {
            add(option, scan_address(options, network, option, call)?.to_string(), of_calls);
        }
    }
    Ok(computed)
}

/// The options with the URLs of the v1 scan calls, and the files of the calls.
const SCAN_CALLS: [(&str, &str); 2] =
    [("scan_report_list_url", "scan_report_list.php"), ("scan_report_url", "scan_report.php")];

/// URL of a v1 scan call: on the web interface server as in the 2014 connector, or on `url` if that is set.
fn scan_address(options: &Options, network: &Network, option: &str, call: &str) -> Result<Url> {
    if let Some(url) = options.url(option)? {
        return address(option, &url.to_string(), &network.route);
    }
    let is_default = network.url.as_str().trim_end_matches('/') == DEFAULT_URL;
    let base = match (is_default, &network.route.tls.certificate) {
        (true, None) => "https://qualysguard.qualys.com",
        (true, Some(_)) => "https://certs.qualysguard.qualys.com",
        (false, _) => network.url.as_str().trim_end_matches('/'),
    };
    address(option, &format!("{base}/msp/{call}"), &network.route)
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::Fips;

    use super::super::{Settings, TABLE};
    use super::*;

    fn settings(json: &str) -> Result<Settings> {
        let options = format!(r#"{{"user_id": "u", "password": "p", {json}}}"#);
        Settings::read(&Options::read(TABLE, options.as_bytes())?, Fips::Off)
    }

    #[test]
    fn template_id_is_an_id_or_an_info_page_url() {
        for text in ["424242", "https://qualysguard.example.com/fo/report/report_template_info.php?id=424242"]
        {
            let settings = settings(&format!(r#""template_id": ["{text}", "7"]"#)).unwrap();
            let Source::TemplateReports(reports) = settings.source else { panic!("{text}") };
            assert_eq!(reports.which, [Which::Launch("424242".to_owned()), Which::Launch("7".to_owned())]);
        }
        for json in [r#""template_id": ["12a"]"#, r#""template_id": []"#, r#""add_host": true"#] {
            let error = settings(json).unwrap_err();
            assert!(error.message.contains("`template_id`") && error.hint.is_some(), "{error}");
        }
    }

    #[test]
    fn scan_urls_default_to_the_2014_connector_or_follow_url() {
        let of = |json: &str| {
            let json = format!(r#""source": "scan-reports"{json}"#);
            let Source::ScanReports(scans) = settings(&json).unwrap().source else { panic!("{json}") };
            (scans.list.to_string(), scans.report.to_string())
        };
        let at =
            |base: &str| (format!("{base}/msp/scan_report_list.php"), format!("{base}/msp/scan_report.php"));
        assert_eq!(of(""), at("https://qualysguard.qualys.com"));
        assert_eq!(of(r#", "tls_certificate": "c.p12""#), at("https://certs.qualysguard.qualys.com"));
        assert_eq!(of(r#", "url": "https://127.0.0.1:8443""#), at("https://127.0.0.1:8443"));
        assert_eq!(of(r#", "platform": "eu1""#), at("https://qualysapi.qualys.eu"));
    }

    #[test]
    fn url_without_tls_or_with_login_is_rejected() {
        for (url, what) in [
            ("http://qualysapi.example.com", "option `url` must start with https://"),
            ("https://u:p@qualysapi.example.com", "option `url` must not contain a user name or password"),
            ("qualysapi.example.com", "option `url` must start with https://"),
            ("https://qualysapi.example.300", "option `url` is not a valid URL"),
        ] {
            let error = settings(&format!(r#""template_id": ["1"], "url": "{url}""#)).unwrap_err();
            assert!(error.message.contains(what), "{error}");
        }
        let error = settings(r#""template_id": ["1"], "detections_version": "v5""#);
        assert!(error.is_ok(), "options of another source are ignored");
    }

    #[test]
    fn invalid_option_combination_fails_before_any_request() {
        let proxied = r#""proxy": "p:1", "url": "https://[2001:db8::1]""#;
        for (json, option) in [
            (r#""password": """#, "`password` must not be empty"),
            (r#""auth": "jwt", "url": "https://qualysapi.example.com""#, "`gateway_url` is required"),
            (r#""extra_parameters": {"Truncation_Limit": "5"}"#, "must not contain `Truncation_Limit`"),
            (
                r#""extra_parameters": ["x"]"#,
                "option `extra_parameters` is invalid: expected name=value pairs",
            ),
            (
                r#""source": "scan-reports", "scans_since": "yesterday""#,
                "`scans_since` must be a date or time",
            ),
            (
                r#""source": "scan-reports", "scans_since": "2026-02-30""#,
                "`scans_since` must be a date or time",
            ),
            (proxied, "`url` contains the IPv6 address [2001:db8::1]"),
        ] {
            let error = settings(&format!(r#""template_id": ["1"], {json}"#)).unwrap_err();
            assert!(error.message.contains(option), "{json}: {error}");
        }
        for json in [
            r#""auth": "jwt", "platform": "eu1""#,
            r#""extra_parameters": {"show_tags": "1"}"#,
            r#""source": "scan-reports", "scans_since": "2026-01-31""#,
            r#""source": "scan-reports", "scans_since": "2026-01-31T12:00:00Z""#,
            &format!(r#"{proxied}, "no_proxy": ["2001:db8::/32"]"#),
        ] {
            assert!(settings(&format!(r#""template_id": ["1"], {json}"#)).is_ok(), "{json}");
        }
    }
}
