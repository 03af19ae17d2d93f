//! The option table.

use scanbridge_finding_texts::options as text;
use scanbridge_http_route as route;
use scanbridge_plugin_api::{OptionSpec, ValueSpec};
use scanbridge_tls_identity::options as tls;

use crate::preset::{DEFECTDOJO, WORDS};

const SPLUNK: &[&str] = &["splunk-hec", "splunk-hec-raw"];
const BULK: &[&str] = &["elasticsearch", "opensearch"];
const DOJO: &[&str] = &[DEFECTDOJO];
const HTTP: &[&str] = &["https", "http"];

/// All options of the plugin.
pub(crate) const TABLE: &[OptionSpec] = &[
    OptionSpec::choice("preset", WORDS).required().group("network").help(
        "Destination. Sets the URL path, the form of requests, the login, the limits and how responses are read.",
    ),
    OptionSpec::url("url", HTTP).group("network").help(
        "URL of the destination, without the path that the preset adds; for `webhook` the complete URL. Default: for \
         `google-secops` that of `region`. Without encryption (`http:`) only without a login, or on this machine.",
    ),
    OptionSpec::choice("format", &["json", "ocsf", "ecs", "cef"]).group("records").help(
        "Content of a record: all columns, OCSF 1.8.0, ECS 9.4.0 or a CEF event. Default: by preset.",
    ),
    OptionSpec::choice("body", &["ndjson", "array"]).only_with("preset", &["webhook"]).group("records").help(
        "Form of a request body: one record per line, or a JSON array. Default: ndjson. Only for `webhook`.",
    ),
    OptionSpec::choice("record_id", &["event", "finding"]).group("records").help(
        "Records with the same ID: `event`, those of one finding with the same time and status; `finding`, all of one \
         finding, so that a destination keeps its newest state. Default: event.",
    ),
    text::LEAVE_OUT,
    OptionSpec::text("token").secret().conflicts(&["username", "oauth_token_url"]).group("account")
        .help("Token or API key for the header `Authorization`."),
    OptionSpec::text("username").requires(&["password"]).group("account").help("User name for Basic authentication."),
    OptionSpec::text("password").secret().requires(&["username"]).group("account").help("Password for Basic authentication."),
    OptionSpec::url("oauth_token_url", HTTP)
        .requires(&["oauth_client_id", "oauth_client_secret"])
        .conflicts(&["username"])
        .group("account")
        .help("URL from which tokens are requested (OAuth 2.0, client credentials)."),
    OptionSpec::text("oauth_client_id").requires(&["oauth_token_url"]).group("account").help("Client ID for OAuth."),
    OptionSpec::text("oauth_client_secret").secret().requires(&["oauth_token_url"]).group("account")
        .help("Client secret for OAuth."),
    OptionSpec::text("oauth_scope").requires(&["oauth_token_url"]).group("account")
        .help("Scope of the tokens. Default: for `sentinel` https://monitor.azure.com/.default."),
    OptionSpec::path("service_account_file").only_with("preset", &["google-secops"]).group("account").help(
        "Key file of the Google service account (JSON). Tokens are requested with it.",
    ),
    OptionSpec::map("headers", &ValueSpec::Text).secret().group("account").help(
        "Additional request headers. Their values are secret. They replace headers of the preset.",
    ),
    OptionSpec::text("sign_secret").secret().only_with("preset", &["webhook"]).group("account").help(
        "Secret for signatures by Standard Webhooks: `whsec_` and Base64, at least 24 bytes. Two secrets during a \
         rotation, separated by a space. Default: no signature.",
    ),
    OptionSpec::choice("compression", &["gzip", "none"]).resume_safe().group("network").help(
        "Compression of requests. Default: none for `webhook` and `google-secops`, else gzip.",
    ),
    OptionSpec::integer("batch_records", 1, 100_000).resume_safe().group("limits")
        .help("Maximum number of records in a request. Default: by preset."),
    OptionSpec::size("batch_bytes", 1 << 10, 64 << 20).resume_safe()
        .max_with("preset", &["sentinel"], 1 << 20)
        .group("limits")
        .help("Maximum size of a request before compression. Default: by preset."),
    OptionSpec::duration("batch_delay", 0, 3_600_000).resume_safe().default_integer(1_000).group("limits").help(
        "Longest time that a record waits for others. Each checkpoint sends what waits.",
    ),
    OptionSpec::integer("max_requests_per_sec", 1, 10_000).resume_safe().group("limits")
        .help("Maximum number of requests per second. Default: no limit."),
    OptionSpec::duration("timeout", 1_000, 3_600_000).resume_safe().group("network")
        .help("Timeout for a request and its response. Default: 1 min; for `defectdojo` 30 min."),
    OptionSpec::duration("connect_timeout", 1_000, 600_000).resume_safe().default_integer(10_000).group("network")
        .help("Timeout for connecting, including the TLS handshake."),
    OptionSpec::text("index").group("records").help(
        "Index. For `splunk-hec` and `splunk-hec-raw`; default: that of the token. For `elasticsearch` and `opensearch` \
         instead of `data_stream`.",
    ),
    OptionSpec::text("source").only_with("preset", SPLUNK).group("records")
        .help("Source of the events. Default: scanbridge. Only for `splunk-hec` and `splunk-hec-raw`."),
    OptionSpec::text("sourcetype").only_with("preset", SPLUNK).group("records").help(
        "Source type of the events. Default: scanbridge:finding; with `format: cef` cef. Only for `splunk-hec` and \
         `splunk-hec-raw`.",
    ),
    OptionSpec::choice("host_field", &["address", "fqdn", "dns", "netbios", "id"])
        .only_with("preset", &["splunk-hec"]).group("records")
        .help("Column of the asset for the field `host`. Default: the first of these that has a value."),
    OptionSpec::flag("ack").only_with("preset", SPLUNK).group("network").help(
        "Wait until the indexer acknowledges events; the token must have this enabled. Default: no. Only for \
         `splunk-hec` and `splunk-hec-raw`.",
    ),
    OptionSpec::duration("ack_timeout", 1_000, 3_600_000).resume_safe().requires(&["ack"]).group("network")
        .help("Timeout for acknowledgements; then events are resent. Default: 5 min."),
    OptionSpec::text("data_stream").only_with("preset", BULK).conflicts(&["index"]).group("records").help(
        "Data stream. Default: logs-scanbridge.finding-default. Only for `elasticsearch` and `opensearch`.",
    ),
    OptionSpec::text("pipeline").only_with("preset", BULK).group("records")
        .help("Ingest pipeline. Default: that of the index. Only for `elasticsearch` and `opensearch`."),
    OptionSpec::text("dcr").only_with("preset", &["sentinel"]).required_with("preset", &["sentinel"]).group("account")
        .help("Immutable ID of the data collection rule (dcr-…)."),
    OptionSpec::text("stream").only_with("preset", &["sentinel"]).required_with("preset", &["sentinel"]).group("records").help(
        "Stream of the data collection rule: Custom-NAME_CL, or with `format: cef` Microsoft-CommonSecurityLog.",
    ),
    OptionSpec::text("project").only_with("preset", &["google-secops"]).required_with("preset", &["google-secops"])
        .group("account").help("Google Cloud project of the Google SecOps instance."),
    OptionSpec::text("region").only_with("preset", &["google-secops"]).required_with("preset", &["google-secops"])
        .group("account").help("Region of the Google SecOps instance, for example eu."),
    OptionSpec::text("instance").only_with("preset", &["google-secops"]).required_with("preset", &["google-secops"])
        .group("account").help("ID of the Google SecOps instance (customer ID)."),
    OptionSpec::text("log_type").only_with("preset", &["google-secops"]).group("records").help(
        "Log type. Default: ARCSIGHT_CEF. Required for other formats than `cef`; they need a parser of your own.",
    ),
    OptionSpec::choice("api_version", &["v1alpha", "v1beta", "v1"]).only_with("preset", &["google-secops"])
        .group("network").help("Version of the Chronicle API. Default: v1alpha."),
    OptionSpec::text("forwarder").only_with("preset", &["google-secops"]).group("account")
        .help("Resource name of the forwarder of the logs. Default: none."),
    OptionSpec::text("product_name").only_with("preset", DOJO).required_with("preset", DOJO).group("records").help(
        "Product in DefectDojo. `{asset_group}`: the first asset group of the asset, in alphabetical order; `Ungrouped` \
         without one. Only for `defectdojo`.",
    ),
    OptionSpec::text("product_type_name").only_with("preset", DOJO).group("records")
        .help("Product type of products that the import creates. Default: none; the products must exist."),
    OptionSpec::text("engagement_name").only_with("preset", DOJO).group("records")
        .help("Engagement in DefectDojo. Default: Scanbridge. Only for `defectdojo`."),
    OptionSpec::text("test_title").only_with("preset", DOJO).group("records").help(
        "Test in DefectDojo. `{report}`: title, ID or file name of the report. Reports with the same test replace each \
         other. Default: {report}.",
    ),
    OptionSpec::choice("minimum_severity", &["Info", "Low", "Medium", "High", "Critical"]).only_with("preset", DOJO)
        .group("records").help("Lowest severity that DefectDojo imports. Default: Info. Only for `defectdojo`."),
    OptionSpec::flag("active").only_with("preset", DOJO).group("records").help(
        "Import all findings as active, or none. Default: by the status of each finding. Only for `defectdojo`.",
    ),
    OptionSpec::flag("verified").only_with("preset", DOJO).group("records")
        .help("Import findings as verified. Default: no. Only for `defectdojo`."),
    OptionSpec::flag("close_old_findings").only_with("preset", DOJO).group("records").help(
        "Close findings of the test that a complete report no longer has. Default: yes. Only for `defectdojo`.",
    ),
    OptionSpec::flag("do_not_reactivate").only_with("preset", DOJO).group("records").help(
        "Keep findings closed that were closed in DefectDojo and are found again. Default: no. Only for `defectdojo`.",
    ),
    OptionSpec::integer("max_findings", 1, 1_000_000).only_with("preset", DOJO).resume_safe().group("limits").help(
        "Maximum number of findings in a file; a report with more is sent as several tests. Default: 10000. Only for \
         `defectdojo`.",
    ),
    text::CEF_VERSION,
    text::SEVERITY_STYLE,
    text::CLASS_ID_SEPARATOR,
    text::NAME_STYLE,
    text::CLASS_ID_STYLE,
    text::CATEGORY_TECHNIQUE,
    text::ADDITIONAL_DATA,
    text::EXTENSION_LEADING_SPACE,
    text::EXTRA_FIELDS,
    text::ADDITIONAL_FIELDS,
    text::CONNECTOR_FIELDS,
    text::TIME_OFFSET,
    text::TIME_PAST_LIMIT,
    text::TIME_FUTURE_LIMIT,
    text::DEVICE_VENDOR,
    text::DEVICE_PRODUCT,
    text::DEVICE_VERSION,
    route::PROXY,
    route::PROXY_USERNAME,
    route::PROXY_PASSWORD,
    route::NO_PROXY,
    route::IP_VERSION,
    scanbridge_dialer::SOURCE_ADDRESS,
    tls::CERTIFICATE,
    tls::KEY,
    tls::PASSWORD,
    tls::CA_FILE,
    tls::FINGERPRINT,
    tls::CHECK_NAME,
    tls::MIN_VERSION,
];
