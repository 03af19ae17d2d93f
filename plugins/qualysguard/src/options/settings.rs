//! The validated settings of one instance.

use std::time::Duration;

use scanbridge_plugin_api::{Fips, Options, Result};
use scanbridge_qualys_report::Reading;
use scanbridge_qualys_xml::Limits;

use super::Addresses;
use super::computed::Computed;
use super::network::{Account, Network, account, network};
use super::source::{Source, computed, source};
use super::values::{extra, minutes, owned, version};
use crate::fingerprint::fingerprint;

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
    /// Options that are not set and have a value that follows from others.
    pub(crate) computed: Vec<Computed>,
}

/// Selects the assets to report on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets {
    pub(crate) ips: Vec<String>,
    pub(crate) asset_group_ids: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) tags_exclude: Vec<String>,
}

impl Settings {
    /// Reads the options, which the host has checked one by one, and checks their combination. `fips` is the host's demand.
    ///
    /// # Errors
    /// [`scanbridge_plugin_api::ErrorKind::Config`] names the option and what is wrong with it.
    pub(crate) fn read(options: &Options, fips: Fips) -> Result<Self> {
        let network = network(options, fips)?;
        let text_bytes = options.size("max_text_bytes")?.unwrap_or(16 << 20);
        Ok(Self {
            account: account(options, &network)?,
            source: source(options, &network)?,
            computed: computed(options, &network)?,
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
    /// Identifies the positions of these settings. It covers the selection of data, not the way to download
    /// them.
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
                "ignored": wanted.ignored,
                "disabled": wanted.disabled,
                "details": wanted.details.iter().map(|detail| detail.word).collect::<Vec<_>>(),
            }),
        };
        let targets = self.targets.parameters("ag_ids");
        let addresses = format!("{:?}", self.addresses);
        let account = (self.network.url.as_str(), &self.account.user);
        fingerprint(&(account, source, targets, addresses, &self.extra))
    }
}

impl Targets {
    /// The API parameters. Report and detection calls differ only in the name of the asset group parameter,
    /// `groups`.
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
