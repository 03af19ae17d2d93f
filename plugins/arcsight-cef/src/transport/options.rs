//! The transport options, and the settings read from them.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use scanbridge_dialer::{Dialer, IpVersion, SourceAddress};
use scanbridge_durable_file::{Target, options as file};
use scanbridge_plugin_api::{
    Endpoint, EndpointPort, OptionSpec, Options, PluginError, Result, Services, ValueSpec, printable, tracing,
};
use scanbridge_tls_identity::{TlsOptions, options as tls};

use super::connect::Connector;
use super::rate_limit::RateLimit;
use super::receiver::Receiver;
use super::stream::{Batching, Proof};
use super::tls::Tls;
use crate::preset::{self, Preset};
use crate::syslog::{FACILITIES, Framing, Header, HeaderSettings, HeaderStyle};

/// `transport`.
pub(crate) const TRANSPORT: OptionSpec = OptionSpec::choice("transport", &["file", "udp", "tcp", "tls"])
    .default_text("file")
    .group("network")
    .help("Event transport: `file` writes one event per line; `udp`, `tcp` and `tls` send syslog messages.");
/// `path`.
pub(crate) const PATH: OptionSpec = OptionSpec::path("path")
    .only_with("transport", FILE)
    .required_with("transport", FILE)
    .group("files")
    .help(file::PATH.help);
/// `rotate_bytes`.
pub(crate) const ROTATE_BYTES: OptionSpec = file::ROTATE_BYTES.only_with("transport", FILE);
/// `rotate_secs`.
pub(crate) const ROTATE_SECS: OptionSpec = file::ROTATE_SECS.only_with("transport", FILE);
/// `address`.
pub(crate) const ADDRESS: OptionSpec =
    OptionSpec::list("address", &ValueSpec::Endpoint(EndpointPort::Optional))
        .only_with("transport", NETWORK)
        .required_with("transport", NETWORK).group("network")
        .help(
            "Syslog receivers, `host` or `host:port`, tried in this order (failover), for example \
             siem.example.com:514. Default port: 514, or 6514 for `transport: tls`; 5555 for `receiver: graylog`.",
        );
/// `preferred_ip_version`.
pub(crate) const PREFERRED: OptionSpec = OptionSpec::choice("preferred_ip_version", &["any", "ipv4", "ipv6"])
    .default_text("ipv4")
    .group("network")
    .help("IP version tried first when a name has several addresses. `any`: order of the system's resolver.");
/// `source_address`.
pub(crate) const SOURCE_ADDRESS: OptionSpec =
    scanbridge_dialer::SOURCE_ADDRESS.only_with("transport", NETWORK);
/// `framing`.
pub(crate) const FRAMING: OptionSpec = OptionSpec::choice("framing", &["newline", "octet-counted"])
    .only_with("transport", &["tcp", "tls"])
    .group("network")
    .help(
        "Message framing on a connection (RFC 6587). Default: that of `receiver`, else `newline` for tcp and \
         `octet-counted` for tls (RFC 5425).",
    );
/// `syslog_header`.
pub(crate) const HEADER: OptionSpec =
    OptionSpec::choice("syslog_header", &["profile", "rfc5424", "rfc3164", "arcsight", "none"])
        .default_text("profile")
        .group("records")
        .help(
            "Syslog header before each event. `arcsight`: RFC 3164 without program name, as in the CEF \
             specification. `profile`: the default of `receiver` or `profile`.",
        );
/// `facility`.
pub(crate) const FACILITY: OptionSpec = OptionSpec::choice("facility", &FACILITIES)
    .group("records")
    .help("Syslog facility. Default: local0; local4 for `receiver: sentinel-ama`.");
/// `syslog_severities`.
pub(crate) const SEVERITIES: OptionSpec = OptionSpec::list(
    "syslog_severities",
    &ValueSpec::Choice(&["0", "1", "2", "3", "4", "5", "6", "7"]),
)
.only_with("transport", NETWORK)
.group("records")
.help(
    "Syslog severities as six numbers from 0 to 7: for findings without severity, then for severities \
     1 to 5. Default: 6, 6, 4, 3, 3, 2.",
);
/// `host_name`.
pub(crate) const HOST: OptionSpec = OptionSpec::text("host_name")
    .only_with("transport", NETWORK)
    // A receiver of RFC 3164 ends the host name and the tag at other characters.
    .host_name_with(&[
        &[("syslog_header", &["rfc3164", "arcsight"])],
        &[("syslog_header", &["profile"]), ("receiver", &["profile"]), ("profile", &["arcsight"])],
        &[("syslog_header", &["profile"]), ("receiver", preset::OLD_HEADERS)],
    ])
    .group("records")
    .help(
        "Host name in the syslog header. Default: the name of this machine; if the header cannot contain it, \
         `-` (rfc5424) or the IP address of this machine.",
    );
/// `app_name`.
pub(crate) const APP: OptionSpec = OptionSpec::text("app_name")
    .default_text("scanbridge")
    .group("records")
    .help("Program name in the syslog header.");
/// `max_message_bytes`.
pub(crate) const MAX_MESSAGE: OptionSpec = OptionSpec::size("max_message_bytes", 480, 1 << 20)
    .max_with("transport", &["udp"], MAX_DATAGRAM)
    .group("limits")
    .help(
        "Maximum size of a message with its header, or of a line of a file, in bytes. Text fields of larger \
         events are truncated. Default: that of `receiver`, else 1400 for udp, 8000 for tcp and \
         tls, no limit for a file.",
    );
/// `max_datagrams_per_sec`.
pub(crate) const MAX_DATAGRAMS: OptionSpec = OptionSpec::integer("max_datagrams_per_sec", 1, 1_000_000)
    .only_with("transport", &["udp"])
    .resume_safe().group("limits")
    .help(
        "Maximum datagrams per second. A receiver loses datagrams that arrive while its socket buffer is full. \
         Default: 2500.",
    );
/// `connect_timeout_secs`.
pub(crate) const CONNECT_TIMEOUT: OptionSpec = OptionSpec::integer("connect_timeout_secs", 1, 300)
    .resume_safe()
    .default_integer(10)
    .group("network")
    .help("Timeout for each DNS lookup and for each connection attempt, in seconds.");
/// `write_timeout_secs`.
pub(crate) const WRITE_TIMEOUT: OptionSpec =
    OptionSpec::integer("write_timeout_secs", 1, 3600).default_integer(30).group("network").help(
        "Write timeout, in seconds: how long a connected receiver may accept no data before it counts \
         as unavailable.",
    );
/// `keepalive_secs`.
pub(crate) const KEEPALIVE: OptionSpec = OptionSpec::integer("keepalive_secs", 0, 7200)
    .default_integer(30)
    .group("network")
    .help("Idle time before a TCP keepalive probe, in seconds. 0 disables keepalive.");
/// `confirm`.
pub(crate) const CONFIRM: OptionSpec =
    OptionSpec::choice("confirm", &["end", "arrival"]).default_text("end").group("network").help(
        "Delivery confirmation. `end` (safe): close the connection, wait for the receiver to close it \
         too, reconnect. `arrival` (fast): trust the TCP acknowledgement of the receiver's kernel.",
    );
/// `confirm_grace_ms`.
pub(crate) const GRACE: OptionSpec = OptionSpec::integer("confirm_grace_ms", 0, 10_000)
    .default_integer(100)
    .group("network")
    .help("Minimum time a connection must stay open before a confirmation counts, in milliseconds.");
/// `batch_events`.
pub(crate) const BATCH_EVENTS: OptionSpec = OptionSpec::integer("batch_events", 1, 10_000)
    .default_integer(100)
    .group("limits")
    .help("Maximum events per write.");
/// `batch_bytes`.
pub(crate) const BATCH_BYTES: OptionSpec = OptionSpec::size("batch_bytes", 1, 1 << 20)
    .default_integer(64 << 10)
    .group("limits")
    .help("Maximum bytes per write.");
/// `batch_secs`.
pub(crate) const BATCH_SECS: OptionSpec = OptionSpec::integer("batch_secs", 1, 3600)
    .default_integer(1)
    .group("limits")
    .help("Maximum delay of a buffered event before it is written, in seconds.");

/// `tls_certificate`.
pub(crate) const TLS_CERTIFICATE: OptionSpec = tls::CERTIFICATE.only_with("transport", TLS);
/// `tls_key`.
pub(crate) const TLS_KEY: OptionSpec = tls::KEY.only_with("transport", TLS);
/// `tls_password`.
pub(crate) const TLS_PASSWORD: OptionSpec = tls::PASSWORD.only_with("transport", TLS);
/// `tls_ca_file`.
pub(crate) const TLS_CA_FILE: OptionSpec = tls::CA_FILE.only_with("transport", TLS);
/// `tls_fingerprint`.
pub(crate) const TLS_FINGERPRINT: OptionSpec = tls::FINGERPRINT.only_with("transport", TLS);
/// `tls_first_use_file`.
pub(crate) const TLS_FIRST_USE_FILE: OptionSpec = tls::FIRST_USE_FILE.only_with("transport", TLS);

/// Words of `transport` in the rules of other options.
const FILE: &[&str] = &["file"];
const NETWORK: &[&str] = &["udp", "tcp", "tls"];
const TLS: &[&str] = &["tls"];

/// Maximum UDP payload over IPv4, in bytes. IPv6 allows 20 more, but a name may have addresses of both.
const MAX_DATAGRAM: u64 = 65_507;

/// Validated transport options.
#[derive(Debug)]
pub(super) enum TransportSettings {
    File(Target),
    Udp {
        connector: Connector,
        header: Header,
        rate_limit: RateLimit,
    },
    Stream {
        connector: Connector,
        header: Header,
        batching: Batching,
        proof: Proof,
        grace: Duration,
        framing: Framing,
    },
}

/// Reads and validates the transport options.
pub(super) fn read(options: &Options, services: &Services) -> Result<TransportSettings> {
    let transport = options.text(TRANSPORT.name)?.unwrap_or_default();
    if transport == "file" {
        return Ok(TransportSettings::File(Target::read(options)?));
    }
    let header = Header::new(header_settings(options)?);
    let connector = connector(options, services, transport == "tls")?;
    if transport == "udp" {
        let rate_limit = RateLimit::new(options.integer(MAX_DATAGRAMS.name)?.unwrap_or(2500));
        return Ok(TransportSettings::Udp { connector, header, rate_limit });
    }
    Ok(TransportSettings::Stream {
        connector,
        header,
        batching: Batching {
            events: options.integer(BATCH_EVENTS.name)?.unwrap_or(100),
            bytes: options.size(BATCH_BYTES.name)?.and_then(|size| size.try_into().ok()).unwrap_or(64 << 10),
            age: seconds(options, BATCH_SECS)?,
        },
        proof: match options.text(CONFIRM.name)? {
            Some("arrival") => Proof::Arrival,
            _ => Proof::End,
        },
        grace: Duration::from_millis(options.integer(GRACE.name)?.unwrap_or_default()),
        framing: match (options.text(FRAMING.name)?, Preset::of(options)?.framing, transport) {
            (None, Some(framing), _) => framing,
            (Some("newline"), ..) | (None, None, "tcp") => Framing::Newline,
            _ => Framing::OctetCounted,
        },
    })
}

/// Maximum length in bytes of a message with its header, or of a line of a file without its line feed.
pub(crate) fn max_message_bytes(options: &Options) -> Result<usize> {
    let preset = Preset::of(options)?;
    let default = match options.text(TRANSPORT.name)? {
        Some("udp") => preset.max_datagram,
        Some("tcp" | "tls") => preset.max_message,
        _ => preset.max_line,
    };
    let limit = options.size(MAX_MESSAGE.name)?;
    Ok(limit.and_then(|size| usize::try_from(size).ok()).unwrap_or(default))
}

fn connector(options: &Options, services: &Services, secured: bool) -> Result<Connector> {
    let default_port = if secured { 6514 } else { Preset::of(options)?.port };
    let endpoints = options.endpoints(ADDRESS.name)?.into_iter();
    let receivers: Vec<_> = endpoints
        .map(|Endpoint { host, port, .. }| Receiver { host, port: port.unwrap_or(default_port) })
        .collect();
    let tls = if secured {
        Some(Tls::open(&TlsOptions::read(options, services.fips())?, &receivers, services)?)
    } else {
        None
    };
    let write_timeout = seconds(options, WRITE_TIMEOUT)?;
    Ok(Connector {
        receivers,
        dialer: Dialer::new(services)
            .prefer(IpVersion::of_option(options.text(PREFERRED.name)?))
            .from_address(SourceAddress::of_option(options)?)
            .keepalive(seconds(options, KEEPALIVE)?)
            // Otherwise the kernel notices a dead peer only after about 15 minutes.
            .acknowledgement_timeout(write_timeout),
        connect_timeout: seconds(options, CONNECT_TIMEOUT)?,
        write_timeout,
        tls,
        services: services.clone(),
        untrusted_logged: Cell::new(false),
    })
}

fn header_settings(options: &Options) -> Result<HeaderSettings> {
    let preset = Preset::of(options)?;
    let style = match options.text(HEADER.name)? {
        Some("rfc5424") => HeaderStyle::Rfc5424,
        Some("rfc3164") => HeaderStyle::Rfc3164,
        Some("arcsight") => HeaderStyle::ArcSight,
        Some("none") => HeaderStyle::None,
        _ => preset.header,
    };
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let facility = options.text(FACILITY.name)?.unwrap_or(preset.facility);
    let facility = FACILITIES.iter().position(|name| *name == facility).unwrap_or(16);
    Ok(HeaderSettings {
        style,
        facility: u8::try_from(facility).expect("there are 24 facilities"),
        severities: severities(options)?,
        host: match options.text(HOST.name)? {
            Some(host) => word(HOST.name, host, 255, b"")?,
            None => host_of_machine(style, &machine),
        },
        // RFC 3164 limits a tag to 32 characters; each of these characters ends it.
        app: word(APP.name, options.text(APP.name)?.unwrap_or_default(), 32, b"[]:")?,
    })
}

/// The name of this machine, or what the header contains instead of a name that would break it.
fn host_of_machine(style: HeaderStyle, name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_usable = match style {
        HeaderStyle::None => return String::new(),
        HeaderStyle::Rfc5424 => word(HOST.name, name, 255, b"").is_ok(),
        HeaderStyle::Rfc3164 | HeaderStyle::ArcSight => {
            name.bytes().all(is_plain) && name.starts_with(|first| first != '-' && first != '.')
        }
    };
    if is_usable {
        return name.to_owned();
    }
    // Only RFC 5424 has a mark for a missing name.
    let instead = match style {
        HeaderStyle::Rfc5424 => "-".to_owned(),
        _ => own_address().to_string(),
    };
    tracing::warn!(
        "the syslog header cannot contain the name of this machine, `{}`, and contains `{instead}`; set `host_name`",
        printable(name, 64)
    );
    instead
}

/// The IPv4 address from which this machine sends to other networks. Nothing is sent: a UDP socket only asks for the
/// route.
fn own_address() -> Ipv4Addr {
    let route = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((DOCUMENTATION_NET, 9))?;
        socket.local_addr()
    });
    match route.map(|address| address.ip()) {
        Ok(IpAddr::V4(address)) => address,
        _ => Ipv4Addr::LOCALHOST,
    }
}

/// An address of TEST-NET-1 (RFC 5737), which no machine has.
const DOCUMENTATION_NET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn severities(options: &Options) -> Result<[u8; 6]> {
    let given: Vec<u8> = options.choices(SEVERITIES.name, |text| text.parse().ok())?;
    if given.is_empty() {
        return Ok([6, 6, 4, 3, 3, 2]);
    }
    given
        .try_into()
        .map_err(|_| PluginError::config("option `syslog_severities` must have exactly six numbers"))
}

/// Validates a word of a syslog header: RFC 5424 allows printable US-ASCII characters.
fn word(name: &str, text: &str, most: usize, without: &[u8]) -> Result<String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !without.contains(&byte);
    if !text.is_empty() && text.len() <= most && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err(PluginError::config(format!(
        "option `{name}` must be 1 to {most} printable ASCII characters without spaces"
    )))
}

fn seconds(options: &Options, spec: OptionSpec) -> Result<Duration> {
    Ok(Duration::from_secs(options.integer(spec.name)?.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A-021: the same default as the SmartConnector.
    #[test]
    fn ipv4_is_preferred_by_default() {
        let services = Services::without_host(Path::new("/nonexistent"));
        for (more, expected) in [
            ("", IpVersion::V4),
            (r#", "preferred_ip_version": "ipv6""#, IpVersion::V6),
            (r#", "preferred_ip_version": "any""#, IpVersion::Any),
        ] {
            let json = format!(r#"{{"transport": "tcp", "address": ["siem.example.com"]{more}}}"#);
            let options = Options::read(crate::options::TABLE, json.as_bytes()).unwrap();
            assert_eq!(connector(&options, &services, false).unwrap().dialer.preferred(), expected, "{more}");
        }
    }

    #[test]
    fn unusable_machine_name_is_replaced() {
        let is_address = |host: &str| host.parse::<Ipv4Addr>().is_ok();
        for name in ["scanner", "scanner.example.com", "SCAN_1", "7"] {
            for style in [HeaderStyle::Rfc5424, HeaderStyle::Rfc3164, HeaderStyle::ArcSight] {
                assert_eq!(host_of_machine(style, name), name);
            }
        }
        for name in ["", "caf\u{e9}", "two words", "srv\n1", "\u{7f}"] {
            assert_eq!(host_of_machine(HeaderStyle::Rfc5424, name), "-", "{name:?}");
            for style in [HeaderStyle::Rfc3164, HeaderStyle::ArcSight] {
                assert!(is_address(&host_of_machine(style, name)), "{name:?}");
            }
        }
        for name in ["2001:db8::1", "srv/1", "a:b", "[::1]", "-", "-a", ".a"] {
            assert_eq!(host_of_machine(HeaderStyle::Rfc5424, name), name);
            assert!(is_address(&host_of_machine(HeaderStyle::ArcSight, name)), "{name:?}");
        }
    }

    /// Only the kernel detects a peer that disappears silently, and only with these options.
    #[test]
    #[cfg(target_os = "linux")]
    fn keepalive_and_user_timeout_are_set() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let services = Services::without_host(Path::new("/nonexistent"));
        let socket = |more: &str| {
            let json = format!(r#"{{"transport": "tcp", "address": ["siem.example.com"]{more}}}"#);
            let options = Options::read(crate::options::TABLE, json.as_bytes()).unwrap();
            let dialer = connector(&options, &services, false).unwrap().dialer;
            let address = listener.local_addr().unwrap();
            socket2::Socket::from(dialer.connect(address, Duration::from_secs(5)).unwrap())
        };
        let kept = socket(r#", "keepalive_secs": 40, "write_timeout_secs": 50"#);
        assert_eq!(kept.tcp_user_timeout().unwrap(), Some(Duration::from_secs(50)));
        assert!(kept.keepalive().unwrap());
        assert!(kept.tcp_nodelay().unwrap());
        assert_eq!(kept.tcp_keepalive_time().unwrap(), Duration::from_secs(40));
        assert_eq!(kept.tcp_keepalive_interval().unwrap(), Duration::from_secs(40));
        assert!(!socket(r#", "keepalive_secs": 0"#).keepalive().unwrap());
    }
}
