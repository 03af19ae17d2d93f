//! The option tables of input and output.

use scanbridge_finding_texts::options as text;
use scanbridge_plugin_api::{EndpointPort, OptionSpec, ValueSpec};
use scanbridge_tls_identity::options as tls;

const BROKERS: OptionSpec = OptionSpec::list("brokers", &ValueSpec::Endpoint(EndpointPort::Required))
    .required()
    .resume_safe()
    .group("network")
    .help("Addresses of one or more brokers, `host:port`. The client learns the other brokers from them.");
const SECURITY: OptionSpec = OptionSpec::choice("security", &["tls", "plaintext"])
    .default_text("tls")
    .resume_safe()
    .group("network")
    .help("Encryption of connections. `plaintext` is not encrypted: for this machine and for tests.");
const SASL: OptionSpec =
    OptionSpec::choice("sasl", &["none", "plain", "scram-sha-256", "scram-sha-512", "oauthbearer"])
        .default_text("none")
        .resume_safe()
        .group("account")
        .help("Login method (SASL mechanism). `plain` and `oauthbearer` require `security: tls`.");
const USERNAME: OptionSpec = OptionSpec::text("username")
    .requires(&["password"])
    .resume_safe()
    .only_with("sasl", &["plain", "scram-sha-256", "scram-sha-512"])
    .required_with("sasl", &["plain", "scram-sha-256", "scram-sha-512"])
    .group("account")
    .help("User name for the login.");
const PASSWORD: OptionSpec = OptionSpec::text("password")
    .secret()
    .requires(&["username"])
    .resume_safe()
    .group("account")
    .help("Password for the login.");
const OAUTH_TOKEN_URL: OptionSpec = OptionSpec::url("oauth_token_url", &["https", "http"])
    .requires(&["oauth_client_id", "oauth_client_secret"])
    .resume_safe()
    .only_with("sasl", &["oauthbearer"])
    .required_with("sasl", &["oauthbearer"])
    .group("account")
    .help(
        "URL from which tokens are requested (OAuth 2.0, client credentials). `http:` only on this machine.",
    );
const OAUTH_CLIENT_ID: OptionSpec = OptionSpec::text("oauth_client_id")
    .requires(&["oauth_token_url"])
    .resume_safe()
    .group("account")
    .help("Client ID for OAuth.");
const OAUTH_CLIENT_SECRET: OptionSpec = OptionSpec::text("oauth_client_secret")
    .secret()
    .requires(&["oauth_token_url"])
    .resume_safe()
    .group("account")
    .help("Client secret for OAuth.");
const OAUTH_SCOPE: OptionSpec = OptionSpec::text("oauth_scope")
    .requires(&["oauth_token_url"])
    .resume_safe()
    .group("account")
    .help("Scope of the tokens. Default: none.");
const CERTIFICATE: OptionSpec = tls::CERTIFICATE.help(
    "Client certificate with its private key: PEM or PKCS#12 file; the format is detected from the content. \
     Default: none.",
);
const CLIENT_ID: OptionSpec = OptionSpec::text("client_id").resume_safe().group("network").help(
    "Name of this client in the logs and quotas of the brokers. Default: scanbridge- and the name of the pipeline.",
);
const CONNECT_TIMEOUT: OptionSpec = OptionSpec::duration("connect_timeout", 1_000, 600_000)
    .default_integer(30_000)
    .resume_safe()
    .group("network")
    .help("Timeout for the first connection, including login and the query for the topics.");
const EXTRA: OptionSpec = OptionSpec::map("extra", &ValueSpec::Text).resume_safe().group("network").help(
    "Additional properties of librdkafka. Properties that other options set, and those that delivery relies on, are \
     refused.",
);

const CREATE_TOPICS: OptionSpec =
    OptionSpec::flag("create_topics").default_flag(false).resume_safe().group("records");

/// The formats of records.
pub(crate) const FORMATS: &[&str] = &["batch", "cef", "json", "ocsf", "ecs"];

const EXACTLY_ONCE: &[&str] = &["exactly-once"];

/// All options of the output.
pub(crate) const OUTPUT: &[OptionSpec] = &[
    BROKERS,
    OptionSpec::text("topic").conflicts(&["routes"]).group("records").help("Topic. Required without `routes`."),
    OptionSpec::choice("format", FORMATS).conflicts(&["routes"]).group("records").help(
        "Format of records: `batch`, one record per asset, which the input Kafka reads; or one record per finding as a \
         CEF event or JSON (all columns, OCSF 1.8.0, ECS 9.4.0). Default: batch.",
    ),
    OptionSpec::map("routes", &ValueSpec::Choice(FORMATS)).group("records").help(
        "Several topics, each with its format: `{ scanbridge.findings: batch, siem: cef }`. Instead of `topic` and \
         `format`.",
    ),
    text::LEAVE_OUT,
    text::ASSETS,
    text::CEF_VERSION,
    text::SEVERITY_STYLE,
    text::CLASS_ID_SEPARATOR,
    text::NAME_STYLE,
    text::CLASS_ID_STYLE,
    text::DERIVE,
    text::ASSET_EVENTS,
    text::CATEGORY_TECHNIQUE,
    text::ADDITIONAL_DATA,
    text::EXTENSION_LEADING_SPACE,
    text::EXTRA_FIELDS,
    text::ADDITIONAL_FIELDS,
    text::CONNECTOR_FIELDS,
    text::AGGREGATE,
    text::ORDER,
    text::TIME_OFFSET,
    text::TIME_PAST_LIMIT,
    text::TIME_FUTURE_LIMIT,
    text::DEVICE_VENDOR,
    text::DEVICE_PRODUCT,
    text::DEVICE_VERSION,
    OptionSpec::choice("delivery", &["at-least-once", "exactly-once"]).default_text("at-least-once").group("records").help(
        "`exactly-once`: records and the checkpoint of the pipeline are committed in one transaction of Kafka, so that \
         another machine can continue. The output must then be the only one.",
    ),
    OptionSpec::integer("slots", 1, 64).default_integer(1).only_with("delivery", EXACTLY_ONCE).group("limits").help(
        "Number of instances that read a share of the source each; further ones wait. Partitions of `state_topic`. Only \
         for `exactly-once`.",
    ),
    OptionSpec::text("state_topic").only_with("delivery", EXACTLY_ONCE).group("records").help(
        "Topic of the checkpoints. Default: scanbridge.PIPELINE.state. Only for `exactly-once`.",
    ),
    CREATE_TOPICS.help(
        "Create the topics to which the output writes, also `state_topic`, if they do not exist. Default: no; the command \
         is in the error.",
    ),
    OptionSpec::choice("key", &["asset", "none"]).default_text("asset").group("records").help(
        "Key of records. `asset`: all records of an asset are in one partition, in their order. `none`: without order; \
         not for `batch`.",
    ),
    OptionSpec::choice("partitioner", &["murmur2", "crc32"]).default_text("murmur2").group("records").help(
        "Function from keys to partitions: `murmur2` as Java clients, `crc32` as librdkafka.",
    ),
    OptionSpec::choice("compression", &["zstd", "lz4", "snappy", "gzip", "none"])
        .default_text("zstd")
        .resume_safe()
        .group("records")
        .help("Compression of requests. `lz4` for brokers before 2.1."),
    OptionSpec::size("record_bytes", 10_000, 64 << 20).default_integer(900_000).resume_safe().group("limits").help(
        "Maximum size of a record before compression. A larger asset is split into parts, the texts of a larger CEF event \
         are truncated, another larger finding is rejected. Not more than `max.message.bytes` of the topic.",
    ),
    OptionSpec::duration("linger", 0, 60_000).default_integer(20).resume_safe().group("limits")
        .help("Longest time that a record waits for others of the same partition."),
    OptionSpec::duration("delivery_timeout", 1_000, 3_600_000).default_integer(120_000).resume_safe().group("limits")
        .help("Longest time until a record must be acknowledged, including retries. After that the output is unavailable."),
    OptionSpec::duration("transaction_timeout", 5_000, 3_600_000).default_integer(120_000).resume_safe()
        .only_with("delivery", EXACTLY_ONCE).group("limits").help(
        "Longest time of a transaction, from the first record to the checkpoint. At most \
         `transaction.max.timeout.ms` of the brokers. Only for `exactly-once`.",
    ),
    OptionSpec::duration("session_timeout", 2_000, 1_800_000).default_integer(20_000).resume_safe()
        .only_with("delivery", EXACTLY_ONCE).group("limits").help(
        "Time after which the slot of an instance without connection is given to another one. Only for `exactly-once`.",
    ),
    OptionSpec::duration("takeover_wait", 0, 600_000).default_integer(5_000).resume_safe()
        .only_with("delivery", EXACTLY_ONCE).group("limits").help(
        "Pause after taking over a slot, also the first time, so that calls of a former owner end. Only for `exactly-once`.",
    ),
    SECURITY,
    SASL,
    USERNAME,
    PASSWORD,
    OAUTH_TOKEN_URL,
    OAUTH_CLIENT_ID,
    OAUTH_CLIENT_SECRET,
    OAUTH_SCOPE,
    CERTIFICATE,
    tls::KEY,
    tls::PASSWORD,
    tls::CA_FILE,
    tls::CHECK_NAME,
    CLIENT_ID,
    CONNECT_TIMEOUT,
    EXTRA,
];

/// All options of the input.
pub(crate) const INPUT: &[OptionSpec] = &[
    BROKERS,
    OptionSpec::list("topics", &ValueSpec::Text).required().group("source")
        .help("Topics with records of the format `batch`."),
    OptionSpec::text("group").group("source").help(
        "Consumer group. Workers of one group share the partitions; one group for each destination. Default: the name \
         of the pipeline.",
    ),
    OptionSpec::choice("start", &["earliest", "latest"]).default_text("earliest").group("source").help(
        "Position at which a group without a stored position begins: the first record, or only new records.",
    ),
    OptionSpec::text("member").resume_safe().group("source").help(
        "Name of this worker in its group, kept over restarts so that they move no partitions. Must be unique in the \
         group. Default: machine, pipeline and instance.",
    ),
    OptionSpec::duration("window", 10, 600_000).default_integer(1_000).resume_safe().group("limits").help(
        "Longest time in which records are collected for one checkpoint. The next ones are read when outputs have \
         stored these.",
    ),
    OptionSpec::size("window_bytes", 1 << 20, 1 << 30).default_integer(16 << 20).resume_safe().group("limits")
        .help("Maximum size of the records of one checkpoint, before a record that exceeds it."),
    OptionSpec::size("asset_bytes", 1 << 20, 1 << 30).default_integer(64 << 20).resume_safe().group("limits")
        .help("Maximum size of an asset whose record is in several parts. A larger one is invalid."),
    OptionSpec::duration("part_timeout", 1_000, 86_400_000).default_integer(300_000).resume_safe().group("limits").help(
        "Longest time to wait for the missing parts of an asset. After that the parts are invalid.",
    ),
    OptionSpec::duration("drain_timeout", 1_000, 3_600_000).default_integer(240_000).resume_safe().group("limits").help(
        "Longest time that outputs may need for one checkpoint while other workers wait for partitions. After that the \
         group gives the partitions of this worker away and the run ends.",
    ),
    OptionSpec::duration("session_timeout", 2_000, 1_800_000).default_integer(45_000).resume_safe().group("limits")
        .help("Time after which the partitions of a worker without connection are given to others."),
    OptionSpec::text("dead_topic").resume_safe().group("records").help(
        "Topic to which invalid records are copied. Without it, an invalid record ends the run.",
    ),
    CREATE_TOPICS.help("Create `dead_topic` if it does not exist."),
    SECURITY,
    SASL,
    USERNAME,
    PASSWORD,
    OAUTH_TOKEN_URL,
    OAUTH_CLIENT_ID,
    OAUTH_CLIENT_SECRET,
    OAUTH_SCOPE,
    CERTIFICATE,
    tls::KEY,
    tls::PASSWORD,
    tls::CA_FILE,
    tls::CHECK_NAME,
    CLIENT_ID,
    CONNECT_TIMEOUT,
    EXTRA,
];
