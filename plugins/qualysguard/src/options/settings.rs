//! The options of one instance; from here on none can be wrong.

use std::time::Duration;

use scanbridge_plugin_api::{Options, PluginError, Result, Secret};
use scanbridge_qualys_report::Reading;
use scanbridge_qualys_xml::Limits;
use scanbridge_tls_identity::TlsOptions;
use url::Url;

use super::table::DEFAULT_URL;
use super::{Addresses, Platform, Proxy};

/// All settings of an instance.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) account: Account,
    pub(crate) network: Network,
    pub(crate) source: Source,
    pub(crate) targets: Targets,
    pub(crate) addresses: Addresses,
    pub(crate) reading: Reading,
    pub(crate) interval: Option<Duration>,
    pub(crate) report_version: String,
    pub(crate) extra: Vec<(String, String)>,
}

/// Who logs in, and how.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: Secret,
    pub(crate) auth: Auth,
}

/// How calls are authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    Basic,
    Session,
    Jwt,
}

/// How Qualys is reached.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) url: Url,
    pub(crate) gateway: Option<Url>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) tls: TlsOptions,
    pub(crate) ip_version: IpVersion,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) busy_wait: Duration,
    pub(crate) max_bytes: u64,
}

/// Which addresses of a name are tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpVersion {
    Any,
    Four,
    Six,
}

/// What is fetched.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    TemplateReports(TemplateReports),
    ScanReports(ScanReports),
    Detections(Detections),
}

#[derive(Debug, Clone)]
pub(crate) struct TemplateReports {
    pub(crate) which: Vec<Which>,
    /// The title of launched reports.
    pub(crate) title: Option<String>,
    pub(crate) delete: bool,
    pub(crate) timeout: Duration,
    pub(crate) poll: Duration,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// A new one by this template.
    Launch(String),
    /// The newest finished one with the title of this template.
    NewestOfTemplate(String),
    /// The newest finished one with this title.
    NewestTitled(String),
    /// This one.
    Id(String),
}

#[derive(Debug, Clone)]
pub(crate) struct ScanReports {
    pub(crate) list: Url,
    pub(crate) report: Url,
    pub(crate) refs: Vec<String>,
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
    pub(crate) page_size: u32,
    pub(crate) incremental: bool,
    pub(crate) overlap: Duration,
    pub(crate) knowledge_base_update: Duration,
    pub(crate) knowledge_base_age: Duration,
}

/// What is reported on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets {
    pub(crate) ips: Vec<String>,
    pub(crate) asset_group_ids: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) tags_exclude: Vec<String>,
}

impl Settings {
    /// Reads what the host has checked one by one, and checks what concerns several options.
    ///
    /// # Errors
    /// [`scanbridge_plugin_api::ErrorKind::Config`] names the option and what is wrong with it.
    pub(crate) fn read(options: &Options) -> Result<Self> {
        let network = network(options)?;
        let text_bytes = options.size("max_text_bytes")?.unwrap_or(16 << 20);
        Ok(Self {
            account: account(options)?,
            source: source(options, &network)?,
            network,
            targets: Targets {
                ips: owned(options, "target_ips")?,
                asset_group_ids: owned(options, "asset_group_ids")?,
                tags: owned(options, "tags")?,
                tags_exclude: owned(options, "tags_exclude")?,
            },
            addresses: Addresses::read("ip_ranges", &options.list("ip_ranges")?)?,
            reading: Reading {
                limits: Limits { text_bytes: usize::try_from(text_bytes).unwrap_or(usize::MAX) },
                deliver_incomplete: options.flag("deliver_incomplete")?,
                add_host: Some(options.flag("add_host")?),
            },
            interval: minutes(options, "interval_minutes")?,
            report_version: version(options, "report_version", "2.0")?,
            extra: extra(options)?,
        })
    }
}

impl Settings {
    /// What tells the positions of these settings from those of others: what is fetched, not how.
    pub(crate) fn fingerprint(&self) -> String {
        let source = match &self.source {
            Source::TemplateReports(reports) => {
                let which: Vec<String> = reports.which.iter().map(|which| format!("{which:?}")).collect();
                serde_json::json!({ "which": which, "title": reports.title })
            }
            Source::ScanReports(scans) => {
                serde_json::json!({ "list": scans.list.as_str(), "refs": scans.refs })
            }
            Source::Detections(wanted) => serde_json::json!({
                "version": wanted.version,
                "statuses": wanted.statuses,
                "severities": wanted.severities,
                "types": wanted.types,
                "results": wanted.show_results,
            }),
        };
        let targets = self.targets.parameters("ag_ids");
        let addresses = format!("{:?}", self.addresses);
        let account = (self.network.url.as_str(), &self.account.user);
        crate::source::fingerprint(&(account, source, targets, addresses, &self.extra))
    }
}

impl Targets {
    /// The parameters that say so, alike for reports and detections but for the names of two.
    pub(crate) fn parameters(&self, groups: &'static str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut add = |name: &str, values: &[String]| {
            if !values.is_empty() {
                all.push((name.to_owned(), values.join(",")));
            }
        };
        add("ips", &self.ips);
        add(groups, &self.asset_group_ids);
        if !self.tags.is_empty() || !self.tags_exclude.is_empty() {
            add("use_tags", &["1".to_owned()]);
            add("tag_set_by", &["name".to_owned()]);
            add("tag_set_include", &self.tags);
            add("tag_set_exclude", &self.tags_exclude);
        }
        all
    }
}

fn account(options: &Options) -> Result<Account> {
    let auth = match options.text("auth")? {
        Some("session") => Auth::Session,
        Some("jwt") => Auth::Jwt,
        _ => Auth::Basic,
    };
    let user = text(options, "user_id")?.unwrap_or_default();
    if user.is_empty() || user.contains(':') {
        return Err(PluginError::config("option `user_id` is no login name: it is empty or holds a colon"));
    }
    let password = options.secret("password")?.unwrap_or_else(|| Secret::new(String::new()));
    Ok(Account { user, password, auth })
}

fn network(options: &Options) -> Result<Network> {
    let platform = options.text("platform")?.and_then(Platform::named);
    let url = text(options, "url")?.unwrap_or_else(|| DEFAULT_URL.to_owned());
    let url = match platform {
        Some(platform) if url == DEFAULT_URL => platform.api.to_owned(),
        _ => url,
    };
    let gateway = match text(options, "gateway_url")? {
        Some(gateway) => Some(gateway),
        None => platform.or_else(|| Platform::at(&url)).map(|platform| platform.gateway.to_owned()),
    };
    Ok(Network {
        url: address("url", &url)?,
        gateway: gateway.map(|gateway| address("gateway_url", &gateway)).transpose()?,
        proxy: Proxy::read(options)?,
        tls: TlsOptions::read(options)?,
        ip_version: match options.text("ip_version")? {
            Some("4") => IpVersion::Four,
            Some("6") => IpVersion::Six,
            _ => IpVersion::Any,
        },
        connect_timeout: Duration::from_secs(options.integer("connect_timeout_secs")?.unwrap_or(30)),
        read_timeout: Duration::from_secs(options.integer("read_timeout_secs")?.unwrap_or(300)),
        request_timeout: minutes(options, "request_timeout_minutes")?.unwrap_or(Duration::from_secs(14_400)),
        max_wait: minutes(options, "max_wait_minutes")?.unwrap_or(Duration::from_secs(7_200)),
        busy_wait: Duration::from_secs(options.integer("busy_wait_secs")?.unwrap_or(30)),
        max_bytes: options.size("max_download_bytes")?.unwrap_or(64 << 30),
    })
}

fn source(options: &Options, network: &Network) -> Result<Source> {
    Ok(match options.text("source")? {
        Some("scan-reports") => Source::ScanReports(ScanReports {
            list: scan_address(options, network, "scan_report_list_url", "scan_report_list.php")?,
            report: scan_address(options, network, "scan_report_url", "scan_report.php")?,
            refs: owned(options, "scan_refs")?,
            since: text(options, "scans_since")?,
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
        return Err(PluginError::config("option `template_id` is required for source: template-report")
            .with_hint("it is the number behind id= in the address of the template's info page"));
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
    Ok(Detections {
        version: version(options, "detections_version", "5.0")?,
        knowledge_base_version: version(options, "knowledge_base_version", "4.0")?,
        statuses: owned(options, "statuses")?,
        severities: owned(options, "severities")?,
        types: owned(options, "types")?,
        show_results: options.flag("show_results")?,
        page_size: options.integer("page_size")?.unwrap_or(1_000),
        incremental: options.flag("incremental")?,
        overlap: minutes(options, "overlap_minutes")?.unwrap_or(Duration::from_secs(3_600)),
        knowledge_base_update: hours("knowledge_base_update_hours")?.unwrap_or(Duration::from_secs(86_400)),
        knowledge_base_age: options
            .integer::<u64>("knowledge_base_days")?
            .map_or(Duration::from_secs(90 * 86_400), |days| Duration::from_secs(days * 86_400)),
    })
}

/// The number of a template, or the one behind `id=` in the address of its info page.
fn template_id(text: &str) -> Result<String> {
    let text = text.trim();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(text) {
        return Ok(text.to_owned());
    }
    let behind = text.split(['?', '&', '#', ';']).find_map(|part| part.strip_prefix("id="));
    behind.filter(|id| is_number(id)).map(str::to_owned).ok_or_else(|| {
        PluginError::config(format!("option `template_id` holds `{text}`, which is no number of a template"))
            .with_hint(
                "write the number, or the address of the template's info page, which ends in id=NUMBER",
            )
    })
}

/// Where the v1 calls for scans are: at the web interface, as the old connector had it, or where `url` is.
fn scan_address(options: &Options, network: &Network, option: &str, call: &str) -> Result<Url> {
    if let Some(text) = text(options, option)? {
        return address(option, &text);
    }
    let is_default = network.url.as_str().trim_end_matches('/') == DEFAULT_URL;
    let base = match (is_default, &network.tls.certificate) {
        (true, None) => "https://qualysguard.qualys.com",
        (true, Some(_)) => "https://certs.qualysguard.qualys.com",
        (false, _) => network.url.as_str().trim_end_matches('/'),
    };
    address(option, &format!("{base}/msp/{call}"))
}

fn address(option: &str, text: &str) -> Result<Url> {
    let wrong = |what: &str| {
        PluginError::config(format!("option `{option}` {what}"))
            .with_hint("write it as https://qualysapi.qualys.com")
    };
    let url = Url::parse(text).map_err(|error| wrong(&format!("is no address: {error}")))?;
    if url.scheme() != "https" {
        return Err(wrong("does not begin with https://, and a login is never sent without TLS"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a login, which belongs into user_id and password"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("names no host"));
    }
    Ok(url)
}

/// A version becomes part of an address.
fn version(options: &Options, option: &str, default: &str) -> Result<String> {
    let version = text(options, option)?.unwrap_or_else(|| default.to_owned());
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match version.split_once('.') {
        Some((major, minor)) if digits(major) && digits(minor) => Ok(version),
        _ => Err(PluginError::config(format!("option `{option}` must be a version such as {default}"))),
    }
}

fn extra(options: &Options) -> Result<Vec<(String, String)>> {
    let pairs = options.list("extra_parameters")?.into_iter().map(|pair| {
        let pair = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty());
        pair.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .ok_or_else(|| PluginError::config("option `extra_parameters` takes name=value"))
    });
    pairs.collect()
}

fn text(options: &Options, name: &str) -> Result<Option<String>> {
    Ok(options.text(name)?.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned))
}

fn owned(options: &Options, name: &str) -> Result<Vec<String>> {
    Ok(options.list(name)?.into_iter().map(str::to_owned).collect())
}

fn minutes(options: &Options, name: &str) -> Result<Option<Duration>> {
    Ok(options.integer::<u64>(name)?.map(|minutes| Duration::from_secs(minutes * 60)))
}

#[cfg(test)]
mod tests {
    use super::super::TABLE;
    use super::*;

    fn settings(json: &str) -> Result<Settings> {
        let options = format!(r#"{{"user_id": "u", "password": "p", {json}}}"#);
        Settings::read(&Options::read(TABLE, options.as_bytes())?)
    }

    #[test]
    fn a_template_is_a_number_or_the_address_of_its_page() {
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
    fn scans_are_fetched_where_the_old_connector_did_unless_another_address_is_given() {
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
    fn addresses_without_tls_or_with_a_login_are_refused() {
        for (url, what) in [
            ("http://qualysapi.example.com", "does not begin with https://"),
            ("https://u:p@qualysapi.example.com", "holds a login"),
            ("qualysapi.example.com", "is no address"),
        ] {
            let error = settings(&format!(r#""template_id": ["1"], "url": "{url}""#)).unwrap_err();
            assert!(error.message.contains(what), "{error}");
        }
        let error = settings(r#""template_id": ["1"], "detections_version": "v5""#);
        assert!(error.is_ok(), "an option of another source is not looked at");
    }
}
