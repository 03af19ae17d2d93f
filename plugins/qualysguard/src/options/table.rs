//! The option table: the keys allowed under `with:` and in the settings file.

use scanbridge_http_route as route;
use scanbridge_plugin_api::{ExcludedKeysSpec, OptionSpec, ValueSpec};
use scanbridge_tls_identity::options as tls;

/// Default of `url`.
pub(crate) const DEFAULT_URL: &str = "https://qualysapi.qualys.com";

/// Credentials are only sent over TLS.
const HTTPS: &[&str] = &["https"];

/// Parameters that `extra_parameters` must not contain: a second value would lose data or request an unsupported
/// format. Those of `details` apply only to the source that has them.
const EXCLUDED: &[ExcludedKeysSpec] = &[
    (
        &[],
        &[
            "action",
            "id_min",
            "output_format",
            "ref",
            "report_title",
            "template_id",
            "truncation_limit",
            "vm_processed_after",
        ],
    ),
    (&[DETECTIONS, ("ignored", &["yes"])], &["include_ignored"]),
    (&[DETECTIONS, ("disabled", &["yes"])], &["include_disabled"]),
    (&[DETECTIONS, ("details", &["asset-id"])], &["show_asset_id"]),
    (&[DETECTIONS, ("details", &["tags"])], &["show_tags"]),
    (&[DETECTIONS, ("details", &["scores"])], &["show_qds", "show_qds_factors"]),
    (&[DETECTIONS, ("details", &["reopened"])], &["show_reopened_info"]),
    (&[DETECTIONS, ("details", &["attack"])], &["mitre_attack_details"]),
    (&[DETECTIONS, ("details", &["cloud"])], &["host_metadata", "show_cloud_tags"]),
    (&[DETECTIONS, ("details", &["running"])], &["show_arf_data"]),
];

/// The source that the options `details`, `ignored` and `disabled` belong to.
const DETECTIONS: (&str, &[&str]) = ("source", &["host-detections"]);

/// The options. The first nine are those of the 2014 Qualys Connector Guide, with the same spelling.
pub(crate) const TABLE: &[OptionSpec] = &[
    OptionSpec::text("user_id").required().group("account").help("User name of the Qualys account (case-sensitive)."),
    OptionSpec::text("password")
        .required()
        .secret().group("account")
        .help("Password of the Qualys account. Put a password with punctuation in single quotes."),
    OptionSpec::list("template_id", &ValueSpec::Text).group("source").help(
        "Report templates: IDs, or URLs of template info pages, which end in id=NUMBER. Each template gives \
         one report. Required for `source: template-report` unless `report_id`, or `report: newest` with \
         `report_title`, is set.",
    ),
    OptionSpec::url("url", HTTPS)
        .default_text(DEFAULT_URL).group("account")
        .help("URL of the Qualys API, https only. Depends on the account's platform; see `platform`."),
    OptionSpec::flag("add_host").default_flag(false).group("records").help(
        "Tell outputs to create assets that the destination does not know. An output's own option takes \
         precedence.",
    ),
    OptionSpec::list("ip_ranges", &ValueSpec::Text).group("records").help(
        "Filter: only assets in these ranges are delivered (192.0.2.0/24, 192.0.2.1-192.0.2.9, single \
         addresses, IPv6). Does not reduce the download; use `target_ips` for that. Default: all.",
    ),
    route::PROXY,
    route::PROXY_USERNAME,
    route::PROXY_PASSWORD,
    OptionSpec::choice("source", &["template-report", "scan-reports", "host-detections"])
        .default_text("template-report").group("source")
        .help(
            "Data to download: `template-report` (report from a template), `scan-reports` (stored results \
             of finished scans, API v1) or `host-detections` (current detections of all assets).",
        ),
    OptionSpec::integer("interval_minutes", 1, 525_600).group("source").help(
        "Interval between two downloads, in minutes; the pipeline keeps running. Default: download once.",
    ),
    OptionSpec::choice("platform", &super::platform::NAMES).group("account")
        .help("Qualys platform of the account. Sets the defaults of `url` and `gateway_url`."),
    OptionSpec::url("gateway_url", HTTPS).group("account").help(
        "URL for requesting tokens. Only with `auth: jwt`. Default: from `platform`, or from `url` if it is \
         the API URL of a known platform.",
    ),
    OptionSpec::choice("auth", &["basic", "session", "jwt"]).default_text("basic").group("account").help(
        "Authentication: `basic` (user name and password with each call), `session` (login, then logout \
         at the end) or `jwt` (token from the gateway). API v1 supports only `basic`.",
    ),
    OptionSpec::choice("report", &["launch", "newest"]).default_text("launch").group("source").help(
        "Report selection: `launch` (launch, wait, download, delete) or `newest` (download the newest \
         finished report titled like the template, or like `report_title`). \
         Only for `source: template-report`.",
    ),
    OptionSpec::text("report_title").group("source").help(
        "Title of the launched report, or of the report to search for. Default: a unique title, by which \
         a launch is found again if its response is lost. Only for `source: template-report`.",
    ),
    OptionSpec::integer("report_id", 1, i64::MAX).group("source").help(
        "ID of a stored report to download. A report that is still in progress is waited for. \
         Only for `source: template-report`.",
    ),
    OptionSpec::flag("delete_report").default_flag(true).group("source").help(
        "Delete reports launched by this plugin at Qualys after delivery. Other reports are never deleted. \
         Only for `source: template-report`.",
    ),
    OptionSpec::integer("report_timeout_minutes", 1, 10_080)
        .resume_safe()
        .default_integer(480).group("source")
        .help("Timeout for a launched report to finish, in minutes. Only for `source: template-report`."),
    OptionSpec::integer("poll_secs", 1, 3_600).resume_safe().default_integer(30).group("source").help(
        "First interval between two status checks of a launched report, in seconds; later intervals grow up \
         to four times this time. Only for `source: template-report`.",
    ),
    OptionSpec::list("target_ips", &ValueSpec::Text).group("source")
        .help("Addresses and ranges to report on. Default: those of the template, or all assets."),
    OptionSpec::list("asset_group_ids", &ValueSpec::Text).group("source").help("IDs of asset groups to report on."),
    OptionSpec::list("tags", &ValueSpec::Text).group("source").help("Names of asset tags to report on."),
    OptionSpec::list("tags_exclude", &ValueSpec::Text).group("source").help("Names of asset tags to exclude."),
    OptionSpec::list("statuses", &ValueSpec::Choice(&["New", "Active", "Re-Opened", "Fixed"]))
        .default_list(&["New", "Active", "Re-Opened", "Fixed"]).group("source")
        .help(
            "Detection statuses to download. Qualys omits Fixed unless it is listed here. \
             Only for `source: host-detections`.",
        ),
    OptionSpec::list("severities", &ValueSpec::Choice(&["1", "2", "3", "4", "5"])).group("source")
        .help("Severities to download. Default: all. Only for `source: host-detections`."),
    OptionSpec::list("types", &ValueSpec::Choice(&["confirmed", "potential", "information"]))
        .default_list(&["confirmed", "potential"]).group("source")
        .help(
            "Detection types to download. `information` increases the download many times. \
             Only for `source: host-detections`.",
        ),
    OptionSpec::flag("show_results").default_flag(true).group("source").help(
        "Download the scan result text of each detection. `no` makes the download much smaller. \
         Only for `source: host-detections`.",
    ),
    OptionSpec::flag("ignored").default_flag(false).group("source").help(
        "Also download detections that are ignored. Only for `source: host-detections`.",
    ),
    OptionSpec::flag("disabled").default_flag(false).group("source").help(
        "Also download detections of QIDs that are disabled. Only for `source: host-detections`.",
    ),
    OptionSpec::list("details", &ValueSpec::Choice(super::details::WORDS))
        .default_list(super::details::DEFAULT).group("source")
        .help(
            "Optional parts of the detections to download. `cloud` adds dozens of attributes per asset. A part \
             that the platform refuses is omitted, with a warning. Only for `source: host-detections`.",
        ),
    OptionSpec::integer("page_size", 1, 10_000).default_integer(1_000).group("source").help(
        "Assets per API call. Halved automatically, down to 1, when Qualys cannot deliver that many. \
         Only for `source: host-detections`.",
    ),
    OptionSpec::flag("incremental").default_flag(false).group("source").help(
        "Download only assets processed since the last complete download. \
         Only for `source: host-detections`.",
    ),
    OptionSpec::integer("overlap_minutes", 0, 10_080).default_integer(60).group("source").help(
        "Overlap with the previous incremental download, in minutes. Only for `source: host-detections`.",
    ),
    OptionSpec::integer("knowledge_base_update_hours", 1, 8_760).default_integer(24).group("source").help(
        "Interval between two updates of the cached knowledge base, in hours. \
         Only for `source: host-detections`.",
    ),
    OptionSpec::integer("knowledge_base_days", 1, 3_650).default_integer(90).group("source").help(
        "Age at which the cached knowledge base is downloaded again completely, in days. \
         Only for `source: host-detections`.",
    ),
    OptionSpec::list("scan_refs", &ValueSpec::Text).group("source").help(
        "Scan references to download, for example scan/1234567890.12345. Default: all finished scans. \
         Only for `source: scan-reports`.",
    ),
    OptionSpec::list("scan_statuses", &ValueSpec::Choice(&["FINISHED", "NOVULNSFOUND"]))
        .default_list(&["FINISHED"]).group("source")
        .help(
            "Statuses of scans to download. NOVULNSFOUND also clears the assets of scans without \
             findings, if Qualys provides their reports. Only for `source: scan-reports`.",
        ),
    OptionSpec::text("scans_since").group("source").help(
        "Date or time of the oldest scan to download, for example 2026-01-31 or 2026-01-31T12:00:00Z. \
         Only for `source: scan-reports`.",
    ),
    OptionSpec::url("scan_report_list_url", HTTPS).group("source").help(
        "URL of the scan list. Default: https://qualysguard.qualys.com/msp/scan_report_list.php; with a \
         client certificate https://certs.qualysguard.qualys.com/msp/scan_report_list.php; if `url` is \
         set, the same path there. Only for `source: scan-reports`.",
    ),
    OptionSpec::url("scan_report_url", HTTPS).group("source").help(
        "URL of one scan report. Default: https://qualysguard.qualys.com/msp/scan_report.php; with a \
         client certificate https://certs.qualysguard.qualys.com/msp/scan_report.php; if `url` is set, \
         the same path there. Only for `source: scan-reports`.",
    ),
    tls::CERTIFICATE,
    tls::KEY,
    tls::PASSWORD,
    tls::CA_FILE,
    tls::FINGERPRINT,
    tls::CHECK_NAME,
    tls::MIN_VERSION,
    route::IP_VERSION,
    scanbridge_dialer::SOURCE_ADDRESS,
    route::NO_PROXY,
    OptionSpec::integer("connect_timeout_secs", 1, 600)
        .resume_safe()
        .default_integer(30).group("network")
        .help("Timeout for connecting, including the TLS handshake, in seconds."),
    OptionSpec::integer("read_timeout_secs", 1, 3_600)
        .resume_safe()
        .default_integer(300).group("network")
        .help("Read timeout, in seconds: longest time without data before and within a response."),
    OptionSpec::integer("request_timeout_minutes", 1, 1_440)
        .resume_safe()
        .default_integer(240).group("network")
        .help("Timeout for one complete response, in minutes."),
    OptionSpec::integer("max_wait_minutes", 0, 10_080).default_integer(120).group("limits").help(
        "Maximum total wait within one API call for Qualys rate and concurrency limits, in minutes. If \
         more is needed, the run ends with exit code 69 and the next run retries.",
    ),
    OptionSpec::integer("busy_wait_secs", 1, 600).resume_safe().default_integer(30).group("limits").help(
        "First wait when the Qualys concurrency limit is reached, in seconds. Later waits grow up to \
         twice this time.",
    ),
    OptionSpec::text("detections_version")
        .default_text("5.0").group("source")
        .help("API version of the host detection call."),
    OptionSpec::text("knowledge_base_version").default_text("4.0").group("source").help(
        "API version of the knowledge base call. If the platform does not offer it, 3.0 and then 2.0 are \
         tried.",
    ),
    OptionSpec::text("report_version").default_text("2.0").group("source").help("API version of the report calls."),
    OptionSpec::map("extra_parameters", &ValueSpec::Text).excludes_keys(EXCLUDED).group("source").help(
        "Additional request parameters, `name=value`, for the call that launches a report, lists \
         detections or lists scans.",
    ),
    OptionSpec::flag("deliver_incomplete").default_flag(false).group("records").help(
        "Deliver the readable part of a truncated or damaged report. It still counts as incomplete, and \
         outputs clear nothing because of it.",
    ),
    OptionSpec::size("max_text_bytes", 64 << 10, 1 << 30)
        .default_integer(16 << 20).group("limits")
        .help("Maximum text size of one asset, definition or finding. A larger one is treated as damage."),
    OptionSpec::size("max_download_bytes", 1 << 20, 1 << 50)
        .default_integer(64 << 30).group("limits")
        .help("Maximum size of one decompressed response in the state directory."),
];
