//! The option table: what an operator can write under `with:` or in the settings file.

use scanbridge_plugin_api::{OptionSpec, ValueSpec};
use scanbridge_tls_identity::options as tls;

/// Where Qualys is when nothing else is said.
pub(crate) const DEFAULT_URL: &str = "https://qualysapi.qualys.com";

/// The options, those of the 2014 guide first and spelled as there.
pub(crate) const TABLE: &[OptionSpec] = &[
    OptionSpec::text("user_id").required().help("The login name of the Qualys account. It is case sensitive."),
    OptionSpec::text("password")
        .required()
        .secret()
        .help("Its password. One with punctuation needs single quotes around it."),
    OptionSpec::list("template_id", &ValueSpec::Text).help(
        "template-report: the report templates, as numbers or as the address of a template's info page, \
         which ends in id=NUMBER. Several make several reports.",
    ),
    OptionSpec::text("url")
        .default_text(DEFAULT_URL)
        .help("Where the API is. It depends on the platform that the account is on; https only."),
    OptionSpec::flag("add_host")
        .default_flag(false)
        .help("Whether the destination shall create assets that it does not know. An output's own option wins."),
    OptionSpec::list("ip_ranges", &ValueSpec::Text).help(
        "Only assets in these ranges are handed on: 192.0.2.0/24, 192.0.2.1-192.0.2.9, single addresses, IPv6 \
         too. What is downloaded does not change: the template or the targets decide that. Default: all.",
    ),
    OptionSpec::text("proxy").help(
        "A proxy that can tunnel TLS (HTTP CONNECT), as https://ADDRESS:PORT if it speaks TLS itself, else \
         http://ADDRESS:PORT. Nothing goes past it. Environment variables are not looked at.",
    ),
    OptionSpec::text("proxy_username").help("The login at the proxy, if it wants one (Basic)."),
    OptionSpec::text("proxy_password").secret().help("Its password."),
    OptionSpec::choice("source", &["template-report", "scan-reports", "host-detections"])
        .default_text("template-report")
        .help(
            "What is fetched: a report by a template; the stored results of finished scans (API v1); or the \
             present detections of all assets.",
        ),
    OptionSpec::integer("interval_minutes", 1, 525_600)
        .help("Fetch again every so many minutes, for as long as the pipeline runs. Unset: once."),
    OptionSpec::choice("platform", &super::platform::NAMES).help(
        "The Qualys platform of the account. It sets url and gateway_url where those are not set.",
    ),
    OptionSpec::text("gateway_url").help("Where tokens are had, for auth: jwt. Default: as the platform has it."),
    OptionSpec::choice("auth", &["basic", "session", "jwt"]).default_text("basic").help(
        "How calls are authenticated: the login with each call; a session, which is logged out at the end; or a \
         token of the gateway. API v1 takes the login only.",
    ),
    OptionSpec::choice("report", &["launch", "newest"]).default_text("launch").help(
        "template-report: launch a report, wait for it, fetch it and delete it; or fetch the newest finished one \
         with the title of the template, or with report_title.",
    ),
    OptionSpec::text("report_title").help(
        "template-report: the title of the report: the one a launched report gets, or the one to look for.",
    ),
    OptionSpec::integer("report_id", 1, i64::MAX).help("template-report: fetch this finished report."),
    OptionSpec::flag("delete_report")
        .default_flag(true)
        .help("template-report: delete a report that was launched here once it is delivered. No other is deleted."),
    OptionSpec::integer("report_timeout_minutes", 1, 10_080)
        .default_integer(480)
        .help("template-report: how long a launched report may take."),
    OptionSpec::integer("poll_secs", 1, 3_600)
        .default_integer(30)
        .help("template-report: how often to ask whether the report is ready."),
    OptionSpec::list("target_ips", &ValueSpec::Text)
        .help("The addresses and ranges to report on. Default: those of the template, or all."),
    OptionSpec::list("asset_group_ids", &ValueSpec::Text).help("The asset groups to report on, by number."),
    OptionSpec::list("tags", &ValueSpec::Text).help("The tags of the assets to report on, by name."),
    OptionSpec::list("tags_exclude", &ValueSpec::Text).help("Assets with these tags are left out."),
    OptionSpec::list("statuses", &ValueSpec::Choice(&["New", "Active", "Re-Opened", "Fixed"]))
        .default_list(&["New", "Active", "Re-Opened", "Fixed"])
        .help("host-detections: detections of these statuses. Qualys leaves Fixed out unless it is asked for."),
    OptionSpec::list("severities", &ValueSpec::Choice(&["1", "2", "3", "4", "5"]))
        .help("host-detections: detections of these severities. Default: all."),
    OptionSpec::list("types", &ValueSpec::Choice(&["confirmed", "potential", "information"]))
        .default_list(&["confirmed", "potential"])
        .help("host-detections: detections of these types. Information multiplies what is fetched."),
    OptionSpec::flag("show_results").default_flag(true).help(
        "host-detections: fetch what the scanner saw as well. Without it a download is much smaller.",
    ),
    OptionSpec::integer("page_size", 1, 10_000).default_integer(1_000).help(
        "host-detections: assets per call. Where Qualys cannot deliver that many it is halved, down to one.",
    ),
    OptionSpec::flag("incremental").default_flag(false).help(
        "host-detections: fetch only assets that were processed since the last pull that was complete.",
    ),
    OptionSpec::integer("overlap_minutes", 0, 10_080)
        .default_integer(60)
        .help("host-detections: how far an incremental pull reaches back before the last one."),
    OptionSpec::integer("knowledge_base_update_hours", 1, 8_760)
        .default_integer(24)
        .help("host-detections: how often the cached knowledge base is brought up to date."),
    OptionSpec::integer("knowledge_base_days", 1, 3_650)
        .default_integer(90)
        .help("host-detections: after so many days the cached knowledge base is fetched anew."),
    OptionSpec::list("scan_refs", &ValueSpec::Text)
        .help("scan-reports: only these scans (scan/1234567890.12345). Default: all finished ones."),
    OptionSpec::list("scan_statuses", &ValueSpec::Choice(&["FINISHED", "NOVULNSFOUND"]))
        .default_list(&["FINISHED"])
        .help(
            "scan-reports: scans that ended like this. NOVULNSFOUND ones, added here, clear their assets downstream, \
             if Qualys gives out such scans as a report.",
        ),
    OptionSpec::text("scans_since")
        .help("scan-reports: only scans since this time, as 2026-01-31 or 2026-01-31T12:00:00Z."),
    OptionSpec::text("scan_report_list_url").help(
        "scan-reports: the list of scans. Default: https://qualysguard.qualys.com/msp/scan_report_list.php, with a \
         client certificate https://certs.qualysguard.qualys.com/msp/scan_report_list.php; with another url, \
         the same path there.",
    ),
    OptionSpec::text("scan_report_url").help(
        "scan-reports: one scan. Default: https://qualysguard.qualys.com/msp/scan_report.php, with a client \
         certificate https://certs.qualysguard.qualys.com/msp/scan_report.php; with another url, the same \
         path there.",
    ),
    tls::CERTIFICATE,
    tls::KEY,
    tls::PASSWORD,
    tls::CA_FILE,
    tls::FINGERPRINT,
    tls::CHECK_NAME,
    tls::MIN_VERSION,
    OptionSpec::choice("ip_version", &["any", "4", "6"])
        .default_text("any")
        .help("Which addresses of a name are tried first."),
    OptionSpec::list("no_proxy", &ValueSpec::Text).help(
        "Names, .domains, *.domains, addresses and ranges that are reached without the proxy. Default: none.",
    ),
    OptionSpec::integer("connect_timeout_secs", 1, 600)
        .default_integer(30)
        .help("How long a connection may take, to the end of TLS."),
    OptionSpec::integer("read_timeout_secs", 1, 3_600)
        .default_integer(300)
        .help("How long Qualys may say nothing, before an answer and within one."),
    OptionSpec::integer("request_timeout_minutes", 1, 1_440)
        .default_integer(240)
        .help("How long one answer may take in all."),
    OptionSpec::integer("max_wait_minutes", 0, 10_080).default_integer(120).help(
        "How long to wait in one go when Qualys asks for it (limits on calls and on reports). Longer: the run \
         ends with exit code 69, and the next one tries again.",
    ),
    OptionSpec::integer("busy_wait_secs", 1, 600).default_integer(30).help(
        "How long to wait first, and then longer, up to twice as long, while as many calls or reports run as \
         Qualys allows.",
    ),
    OptionSpec::text("detections_version").default_text("5.0").help("Version of the host detection call."),
    OptionSpec::text("knowledge_base_version").default_text("4.0").help(
        "Version of the knowledge base call. Where the platform does not have it, 3.0 and 2.0 are tried.",
    ),
    OptionSpec::text("report_version").default_text("2.0").help("Version of the report calls."),
    OptionSpec::list("extra_parameters", &ValueSpec::Text).help(
        "Further parameters, as name=value, for the call that launches a report or lists detections or scans.",
    ),
    OptionSpec::flag("deliver_incomplete").default_flag(false).help(
        "Whether to deliver what can be read of a damaged report. It still counts as incomplete.",
    ),
    OptionSpec::size("max_text_bytes", 64 << 10, 1 << 30)
        .default_integer(16 << 20)
        .help("The most text that one asset, definition or finding may have. More is damage."),
    OptionSpec::size("max_download_bytes", 1 << 20, 1 << 50)
        .default_integer(64 << 30)
        .help("The most that one answer may unpack to in the state folder."),
];
