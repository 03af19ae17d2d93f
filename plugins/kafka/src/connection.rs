//! The connection to the brokers as an operator configures it, as properties of librdkafka.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use scanbridge_plugin_api::{ErrorKind, Fips, Open, Options, PluginError, Result, Secret};
use scanbridge_tls_identity::TlsOptions;

use crate::token::TokenSource;

/// The settings that input and output share.
#[derive(Clone)]
pub(crate) struct Connection {
    config: ClientConfig,
    /// The values of `brokers`, for messages and commands.
    pub(crate) brokers: String,
    pub(crate) connect_timeout: Duration,
    /// Where tokens are requested, with `sasl: oauthbearer`.
    pub(crate) tokens: Option<TokenSource>,
    /// For commands in hints: `User:sb`.
    pub(crate) principal: String,
    /// Whether the connection leaves this machine without encryption.
    is_exposed: bool,
}

/// Properties that options set, or that delivery relies on. A prefix ends with a full stop.
const REFUSED: &[&str] = &[
    "acks",
    "auto.offset.reset",
    "batch.size",
    "bootstrap.servers",
    "builtin.features",
    "client.id",
    "compression.codec",
    "compression.type",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "enable.ssl.certificate.verification",
    "group.id",
    "group.instance.id",
    "isolation.level",
    "linger.ms",
    "max.poll.interval.ms",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.broker.list",
    "partitioner",
    "plugin.library.paths",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.ms",
    "request.required.acks",
    "sasl.",
    "security.protocol",
    "session.timeout.ms",
    "ssl.ca.",
    "ssl.certificate.",
    "ssl.endpoint.identification.algorithm",
    "ssl.engine.location",
    "ssl.key.",
    "ssl.keystore.",
    "transaction.timeout.ms",
    "transactional.id",
];

impl Connection {
    /// Reads the options. Contacts no peer.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] that names the option, or the errors of files.
    pub(crate) fn read(open: &Open<'_>) -> Result<Self> {
        let options = open.options;
        if !open.services.fips().is_off() {
            let message =
                "Kafka cannot be used in FIPS mode: its cryptography is that of OpenSSL on this system";
            return Err(PluginError::config(message).with_hint(
                "deliver to Kafka from a pipeline with `fips: off`, or choose another output or input",
            ));
        }
        let brokers: Vec<_> = options.endpoints("brokers")?;
        let is_exposed = options.text("security")? == Some("plaintext")
            && !brokers.iter().all(|broker| is_loopback(&broker.host));
        let brokers = brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut connection = Self {
            config: ClientConfig::new(),
            connect_timeout: options.duration("connect_timeout")?.unwrap_or_default(),
            tokens: None,
            principal: "User:NAME".to_owned(),
            is_exposed,
            brokers,
        };
        connection.general(open)?;
        connection.security(options, open.services.fips())?;
        connection.extra(options)?;
        Ok(connection)
    }

    /// Whether topics that do not exist are created.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: they cannot be created with this login.
    pub(crate) fn creates_topics(&self, options: &Options) -> Result<bool> {
        let creates = options.flag("create_topics")?;
        if creates && self.tokens.is_some() {
            let message = "option `create_topics`: topics cannot be created with `sasl: oauthbearer`";
            return Err(PluginError::config(message)
                .with_option("create_topics")
                .with_hint("create them with the commands of the manual"));
        }
        Ok(creates)
    }

    /// The properties, to which each kind of client adds its own.
    pub(crate) fn config(&self) -> ClientConfig {
        self.config.clone()
    }

    /// Warns of a connection without encryption.
    pub(crate) fn warn(&self) {
        if self.is_exposed {
            scanbridge_plugin_api::tracing::warn!(
                brokers = self.brokers,
                "connections to the brokers are not encrypted (`security: plaintext`)"
            );
        }
    }

    fn general(&mut self, open: &Open<'_>) -> Result<()> {
        let client = match open.options.text("client_id")? {
            Some(id) => id.to_owned(),
            None => format!("scanbridge-{}", pipeline(open)),
        };
        let setup = self.connect_timeout.as_millis().clamp(1_000, 30_000);
        self.set("bootstrap.servers", &self.brokers.clone());
        self.set("client.id", &client);
        self.set("socket.connection.setup.timeout.ms", &setup.to_string());
        self.set("reconnect.backoff.max.ms", "2000");
        self.set("log.connection.close", "false");
        Ok(())
    }

    fn security(&mut self, options: &Options, fips: Fips) -> Result<()> {
        let is_tls = options.text("security")? != Some("plaintext");
        let sasl = options.text("sasl")?.unwrap_or("none");
        if !is_tls && matches!(sasl, "plain" | "oauthbearer") {
            let message = format!("option `sasl`: the login of `{sasl}` is sent over TLS only");
            return Err(PluginError::config(message)
                .with_option("sasl")
                .with_hint("set `security: tls`, or use scram-sha-512"));
        }
        self.set(
            "security.protocol",
            match (is_tls, sasl) {
                (true, "none") => "ssl",
                (true, _) => "sasl_ssl",
                (false, "none") => "plaintext",
                (false, _) => "sasl_plaintext",
            },
        );
        let tls = TlsOptions::read(options, fips)?;
        if is_tls {
            self.tls(&tls)?;
        }
        match sasl {
            "none" => {}
            "oauthbearer" => {
                self.set("sasl.mechanisms", "OAUTHBEARER");
                let source = TokenSource::read(options, &tls, self.connect_timeout)?;
                self.principal = format!("User:{}", source.client_id());
                self.tokens = Some(source);
            }
            mechanism => {
                self.set("sasl.mechanisms", &mechanism.to_uppercase());
                let user = options.text("username")?.unwrap_or_default().to_owned();
                self.principal = format!("User:{user}");
                self.set("sasl.username", &user);
                if let Some(password) = options.secret("password")? {
                    self.set("sasl.password", password.expose());
                }
            }
        }
        Ok(())
    }

    fn tls(&mut self, tls: &TlsOptions) -> Result<()> {
        if tls.any_name {
            self.set("ssl.endpoint.identification.algorithm", "none");
        }
        if let Some(file) = &tls.ca_file {
            readable(file, "tls_ca_file")?;
            self.set("ssl.ca.location", text("tls_ca_file", file)?);
        }
        let Some(file) = &tls.certificate else { return Ok(()) };
        // The same checks and messages as in other plugins: password, key of the certificate, file mode.
        tls.identity()?;
        let path = text("tls_certificate", file)?.to_owned();
        let password = tls.password.as_ref().map(Secret::expose);
        match format_of(file)? {
            KeyFile::Pem => {
                let key = tls.key.as_deref().unwrap_or(file);
                self.set("ssl.certificate.location", &path);
                self.set("ssl.key.location", text("tls_key", key)?);
                password.into_iter().for_each(|password| self.set("ssl.key.password", password));
            }
            KeyFile::Pkcs12 => {
                self.set("ssl.keystore.location", &path);
                password.into_iter().for_each(|password| self.set("ssl.keystore.password", password));
            }
            KeyFile::Jks => {
                let message = format!("{}: Java key stores (JKS) are not supported by Kafka", file.display());
                return Err(PluginError::config(message)
                    .with_option("tls_certificate")
                    .with_hint("convert it: keytool -importkeystore -srckeystore FILE -destkeystore FILE.p12 -deststoretype pkcs12"));
            }
        }
        Ok(())
    }

    fn extra(&mut self, options: &Options) -> Result<()> {
        for (name, value) in options.map("extra")? {
            let is_refused = REFUSED
                .iter()
                .any(|refused| name == *refused || (refused.ends_with('.') && name.starts_with(refused)));
            if is_refused {
                let message = format!("option `extra`: `{name}` cannot be set");
                return Err(PluginError::config(message).with_option("extra").with_hint(
                    "another option sets it, or delivery relies on its value; see the README of this plugin",
                ));
            }
            self.set(name, value);
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.config.set(name, value);
    }
}

/// Without the properties, which contain secrets.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

/// The name of the pipeline, as a part of names.
pub(crate) fn pipeline<'a>(open: &Open<'a>) -> &'a str {
    match open.frame.pipeline.as_str() {
        "" => "pipeline",
        name => name,
    }
}

/// The name of this instance in a group, the same after a restart: machine, pipeline and state directory.
pub(crate) fn member(open: &Open<'_>) -> String {
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy();
    // Several installations on a machine have state directories of their own.
    let folder = crc32c::crc32c(open.state_folder().as_os_str().as_encoded_bytes());
    format!("{machine}-{}-{}-{folder:08x}", pipeline(open), open.instance())
}

/// # Errors
/// The name has characters that topics cannot have.
pub(crate) fn valid_topic(option: &str, topic: &str) -> Result<()> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=249).contains(&topic.len()) && topic.bytes().all(is_valid) {
        return Ok(());
    }
    Err(PluginError::config(format!("option `{option}`: `{topic}` is not a valid name of a topic"))
        .with_option(option)
        .with_hint("a name has 1 to 249 characters: ASCII letters, digits, `.`, `_` and `-`"))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

enum KeyFile {
    Pem,
    Pkcs12,
    Jks,
}

fn format_of(path: &Path) -> Result<KeyFile> {
    let mut start = [0; 4];
    let mut file = readable(path, "tls_certificate")?;
    let length = file
        .read(&mut start)
        .map_err(|error| PluginError::of_file(ErrorKind::NoInput, "read", path, &error))?;
    Ok(match &start[..length] {
        [0xFE, 0xED, 0xFE, 0xED] | [0xCE, 0xCE, 0xCE, 0xCE] => KeyFile::Jks,
        [0x30, ..] => KeyFile::Pkcs12,
        _ => KeyFile::Pem,
    })
}

fn readable(path: &Path, option: &str) -> Result<File> {
    File::open(path)
        .map_err(|error| PluginError::of_file(ErrorKind::NoInput, "open", path, &error).with_option(option))
}

fn text<'a>(option: &str, path: &'a Path) -> Result<&'a str> {
    path.to_str().ok_or_else(|| {
        PluginError::config(format!("option `{option}`: the path is not UTF-8")).with_option(option)
    })
}

#[cfg(test)]
mod tests {
    use scanbridge_plugin_api::{OpenFrame, Services};
    use serde_json::{Value, json};

    use super::*;
    use crate::options::OUTPUT;

    fn read(more: Value) -> Result<Connection> {
        let mut options = json!({ "brokers": ["k1.example.com:9093"], "topic": "t" });
        let map = options.as_object_mut().unwrap();
        map.extend(more.as_object().unwrap().clone());
        let options = Options::read(OUTPUT, options.to_string().as_bytes())?;
        let folder = tempfile::tempdir().unwrap();
        Connection::read(&Open::new(&options, &Services::without_host(folder.path()), &OpenFrame::default()))
    }

    #[test]
    fn protocol_follows_from_security_and_login() {
        for (more, protocol, mechanism) in [
            (json!({}), "ssl", None),
            (json!({ "security": "plaintext" }), "plaintext", None),
            (json!({ "sasl": "plain", "username": "u", "password": "p" }), "sasl_ssl", Some("PLAIN")),
            (
                json!({ "security": "plaintext", "sasl": "scram-sha-512", "username": "u", "password": "p" }),
                "sasl_plaintext",
                Some("SCRAM-SHA-512"),
            ),
        ] {
            let config = read(more).unwrap().config();
            assert_eq!(config.get("security.protocol"), Some(protocol));
            assert_eq!(config.get("sasl.mechanisms"), mechanism);
        }
    }

    #[test]
    fn fips_mode_is_refused() {
        let options = json!({ "brokers": ["127.0.0.1:9092"], "topic": "t", "security": "plaintext" });
        let options = Options::read(OUTPUT, options.to_string().as_bytes()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for fips in [Fips::On, Fips::SuiteB128] {
            let services = Services::without_host_in(fips, folder.path());
            let frame = OpenFrame::default();
            let error = Connection::read(&Open::new(&options, &services, &frame)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config);
            assert!(error.message.contains("FIPS mode") && error.hint.is_some(), "{error}");
        }
    }

    #[test]
    fn passwords_are_not_sent_in_clear_text() {
        for more in [
            json!({ "security": "plaintext", "sasl": "plain", "username": "u", "password": "p" }),
            json!({ "security": "plaintext", "sasl": "oauthbearer", "oauth_token_url": "https://t.example.com",
                "oauth_client_id": "i", "oauth_client_secret": "s" }),
        ] {
            let error = read(more).unwrap_err();
            assert_eq!((error.kind, error.option.as_deref()), (ErrorKind::Config, Some("sasl")));
        }
    }

    #[test]
    fn properties_that_delivery_relies_on_are_refused() {
        for name in
            ["enable.idempotence", "isolation.level", "plugin.library.paths", "sasl.password", "ssl.key.pem"]
        {
            let error = read(json!({ "extra": { name: "x" } })).unwrap_err();
            assert_eq!(error.option.as_deref(), Some("extra"), "{name}");
            assert!(error.message.contains(name), "{}", error.message);
        }
        let config = read(json!({ "extra": { "broker.address.family": "v4" } })).unwrap().config();
        assert_eq!(config.get("broker.address.family"), Some("v4"));
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let connection = read(json!({ "sasl": "plain", "username": "u", "password": "t0w3L" })).unwrap();
        assert!(!format!("{connection:?}").contains("t0w3L"));
    }
}
