//! Presets for receivers: the defaults that `receiver` and `profile` set. Each option of its own takes precedence.

use scanbridge_cef_events::options::EventDefaults;
use scanbridge_plugin_api::{CheckReport, Options, Result};

use crate::syslog::{Framing, HeaderStyle};

/// What a receiver needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Preset {
    /// The word of `receiver`.
    pub name: &'static str,
    pub header: HeaderStyle,
    /// `None`: newline for TCP, octet-counted for TLS.
    pub framing: Option<Framing>,
    pub facility: &'static str,
    /// The port for TCP and UDP.
    pub port: u16,
    /// What is in an event.
    pub events: EventDefaults,
    /// Maximum size of a message over TCP and TLS, in bytes.
    pub max_message: usize,
    /// Maximum size of a datagram, in bytes.
    pub max_datagram: usize,
    /// Maximum length of a line of a file, in bytes.
    pub max_line: usize,
    /// What must be set at the receiver.
    pub peer_setting: &'static str,
}

impl Preset {
    /// The preset that the options name.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the options.
    pub(crate) fn of(options: &Options) -> Result<Self> {
        let name = match options.text("receiver")? {
            Some(receiver) if receiver != "profile" => receiver,
            _ => options.text("profile")?.unwrap_or_default(),
        };
        Ok(ALL.into_iter().find(|preset| preset.name == name).unwrap_or(ARCSIGHT))
    }

    /// Adds the defaults that the preset sets, for `config show`. The host leaves out options that are set.
    ///
    /// # Errors
    /// A plugin bug: the table does not have the options.
    pub(crate) fn effective(&self, options: &Options, report: CheckReport) -> Result<CheckReport> {
        let receiver = options.text("receiver")? != Some("profile");
        let origin = format!("`{}: {}`", if receiver { "receiver" } else { "profile" }, self.name);
        let word = |yes, word: &'static str, other: &'static str| if yes { word } else { other };
        let mut values = vec![
            ("additional_data", word(self.events.dotted_keys, "ad", "custom").to_owned()),
            ("extension_leading_space", word(self.events.leading_space, "yes", "no").to_owned()),
            ("class_id_separator", word(self.events.class_id_separator == "|", "pipe", "colon").to_owned()),
            ("name_style", word(self.events.title_as_name, "title", "guide").to_owned()),
            ("extra_fields", word(self.events.extra_fields, "all", "none").to_owned()),
        ];
        let transport = options.text("transport")?;
        let max = match transport {
            Some("udp") => self.max_datagram,
            Some("tcp" | "tls") => self.max_message,
            _ => self.max_line,
        };
        values.extend((max != usize::MAX).then(|| ("max_message_bytes", max.to_string())));
        if transport != Some("file") {
            let header = match self.header {
                HeaderStyle::Rfc5424 => "rfc5424",
                HeaderStyle::Rfc3164 => "rfc3164",
                HeaderStyle::ArcSight => "arcsight",
                HeaderStyle::None => "none",
            };
            values.push(("syslog_header", header.to_owned()));
            values.push(("facility", self.facility.to_owned()));
        }
        if let Some(transport @ ("tcp" | "tls")) = transport {
            let framing = self.framing.unwrap_or(match transport {
                "tls" => Framing::OctetCounted,
                _ => Framing::Newline,
            });
            let is_newline = matches!(framing, Framing::Newline);
            values.push(("framing", word(is_newline, "newline", "octet-counted").to_owned()));
        }
        let add = |report: CheckReport, (name, value)| report.effective(name, value, origin.clone());
        Ok(values.into_iter().fold(report, add))
    }

    /// What must be set at the receiver, for the operator.
    pub(crate) fn expectation(&self) -> String {
        format!("`receiver: {}` expects at the receiver: {}", self.name, self.peer_setting)
    }
}

/// The words of `receiver`. `profile`: the preset that `profile` names.
pub(crate) const RECEIVERS: &[&str] = &[
    "profile",
    "arcsight",
    "sentinel-ama",
    "splunk",
    "qradar",
    "graylog",
    "logstash",
    "elastic-agent",
    "wazuh",
    "rsyslog",
    "syslog-ng",
    "syslog-ng-ietf",
    "fluentd",
];

/// The receivers that get a header of RFC 3164.
pub(crate) const OLD_HEADERS: &[&str] =
    &["arcsight", "sentinel-ama", "qradar", "wazuh", "syslog-ng", "fluentd"];

/// The words of `profile`, the older spelling of three presets.
pub(crate) const PROFILES: &[&str] = &["arcsight", "rsyslog", "generic"];

const ARCSIGHT: Preset = Preset {
    name: "arcsight",
    header: HeaderStyle::ArcSight,
    framing: None,
    facility: "local0",
    port: 514,
    events: EventDefaults {
        dotted_keys: true,
        leading_space: false,
        class_id_separator: "|",
        title_as_name: false,
        extra_fields: false,
    },
    max_message: 8000,
    // One Ethernet packet, including the headers of IPv6 and tunnels.
    max_datagram: 1400,
    max_line: usize::MAX,
    peer_setting: "the framing that the listener of the SmartConnector expects with TLS",
};

/// Keys without dots, and RFC 5424.
const GENERIC: Preset = Preset {
    name: "generic",
    header: HeaderStyle::Rfc5424,
    events: EventDefaults { dotted_keys: false, extra_fields: true, ..ARCSIGHT.events },
    peer_setting: "a listener for RFC 5424",
    ..ARCSIGHT
};

/// For parsers that do not unescape `|` in the header, or that show people the name of an event.
const PLAIN: Preset = Preset {
    framing: Some(Framing::Newline),
    events: EventDefaults { class_id_separator: ":", title_as_name: true, ..GENERIC.events },
    ..GENERIC
};

const LOGSTASH: Preset = Preset {
    name: "logstash",
    header: HeaderStyle::None,
    max_message: 65_000,
    peer_setting: "`tcp` input with the codec `cef`, and its `delimiter` set to a line feed",
    ..PLAIN
};

const SYSLOG_NG: Preset = Preset {
    name: "syslog-ng",
    header: HeaderStyle::Rfc3164,
    framing: Some(Framing::Newline),
    peer_setting: "source `network()` without `flags(syslog-protocol)`, and `log-msg-size()` of at least 8192",
    ..GENERIC
};

const ALL: [Preset; 13] = [
    ARCSIGHT,
    Preset {
        name: "sentinel-ama",
        header: HeaderStyle::ArcSight,
        facility: "local4",
        peer_setting: "a data collection rule for CEF that collects the facility local4",
        ..PLAIN
    },
    Preset {
        name: "splunk",
        framing: None,
        // Splunk truncates lines of a monitored file at 10,000 bytes.
        max_line: 9500,
        peer_setting: "SC4S or a syslog server with a forwarder; for a monitored file, `TRUNCATE` of at least 9500 \
                       and the source type `cef`",
        ..PLAIN
    },
    Preset {
        name: "qradar",
        header: HeaderStyle::Rfc3164,
        max_message: 4000,
        peer_setting: "a log source for CEF, and a TCP syslog payload limit of at least 4096 bytes",
        ..PLAIN
    },
    Preset {
        name: "graylog",
        header: HeaderStyle::None,
        port: 5555,
        peer_setting: "input `CEF TCP` with `Null frame delimiter` off",
        ..PLAIN
    },
    LOGSTASH,
    Preset {
        name: "elastic-agent",
        peer_setting: "`tcp` input of the integration `CEF`, with line framing and a `max_message_size` of at least \
                       64 KiB",
        ..LOGSTASH
    },
    Preset {
        name: "wazuh",
        header: HeaderStyle::Rfc3164,
        max_message: 6000,
        max_datagram: 1000,
        peer_setting: "`<remote>` with `<connection>syslog`, and a decoder for the program name in `app_name`",
        ..PLAIN
    },
    Preset {
        name: "rsyslog",
        events: EventDefaults { leading_space: true, ..GENERIC.events },
        peer_setting: "a template with `%msg%` or `%rawmsg%`, and `maxMessageSize` of at least 8k",
        ..GENERIC
    },
    SYSLOG_NG,
    Preset {
        name: "syslog-ng-ietf",
        header: HeaderStyle::Rfc5424,
        framing: Some(Framing::OctetCounted),
        peer_setting: "source `syslog()`, and `log-msg-size()` of at least 8192",
        ..SYSLOG_NG
    },
    Preset {
        name: "fluentd",
        header: HeaderStyle::Rfc3164,
        max_message: 2000,
        peer_setting: "`in_syslog` with `frame_type traditional`, or `in_tcp` with `delimiter \"\\n\"`; \
                       `message_length_limit` of at least 2048",
        ..PLAIN
    },
    GENERIC,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_preset() {
        for word in RECEIVERS[1..].iter().chain(PROFILES) {
            assert_eq!(ALL.into_iter().filter(|preset| preset.name == *word).count(), 1, "{word}");
        }
        assert_eq!(ALL.len(), RECEIVERS.len(), "`generic` is a profile only");
        for preset in ALL {
            let is_old = matches!(preset.header, HeaderStyle::Rfc3164 | HeaderStyle::ArcSight);
            assert_eq!(OLD_HEADERS.contains(&preset.name), is_old, "{}", preset.name);
        }
        assert!(ALL.iter().all(|preset| preset.max_datagram <= 1400 && !preset.peer_setting.is_empty()));
    }
}
