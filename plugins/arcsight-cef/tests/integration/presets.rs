//! Each preset of `receiver`: its messages are read back by readers that know nothing of the encoder.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use scanbridge_doubles::certificates::installed;
use scanbridge_doubles::syslog_sink::{End, Framing, SinkBehavior, SyslogSink};
use scanbridge_plugin_api::batch::RawBatch2;
use scanbridge_plugin_api::model::{AssetField as A, DefinitionField as D};
use serde_json::{Value, json};

use crate::case::Filling;
use crate::daemon::{Daemon, Listener};
use crate::network::{deliver, options};
use crate::reader::{self, Event};

/// What a receiver gets.
struct Expected {
    receiver: &'static str,
    framing: Framing,
    /// The header after the priority, without its time; `HOST` and `APP` are words of the options.
    header: &'static str,
    facility: u8,
    separator: &'static str,
    title_as_name: bool,
    /// The key of exploit descriptions.
    exploits: &'static str,
    space: &'static str,
    max_bytes: usize,
}

const RFC5424: &str = " HOST APP - - - ";
const RFC3164: &str = " HOST APP: ";
const ARCSIGHT: &str = " HOST ";

const PRESETS: [Expected; 12] = [
    guide("arcsight", ARCSIGHT, "ad.ExpltDescription"),
    Expected { facility: 20, ..plain("sentinel-ama", ARCSIGHT) },
    plain("splunk", RFC5424),
    Expected { max_bytes: 4000, ..plain("qradar", RFC3164) },
    plain("graylog", ""),
    Expected { max_bytes: 65_000, ..plain("logstash", "") },
    Expected { max_bytes: 65_000, ..plain("elastic-agent", "") },
    Expected { max_bytes: 6000, ..plain("wazuh", RFC3164) },
    Expected { space: " ", ..guide("rsyslog", RFC5424, CUSTOM) },
    guide("syslog-ng", RFC3164, CUSTOM),
    Expected { framing: Framing::OctetCounted, ..guide("syslog-ng-ietf", RFC5424, CUSTOM) },
    Expected { max_bytes: 2000, ..plain("fluentd", RFC3164) },
];

const CUSTOM: &str = "QualysQualysExpltDescription";

const fn guide(receiver: &'static str, header: &'static str, exploits: &'static str) -> Expected {
    let framing = Framing::Newline;
    let (separator, space) = ("|", "");
    Expected {
        receiver,
        framing,
        header,
        facility: 16,
        separator,
        title_as_name: false,
        exploits,
        space,
        max_bytes: 8000,
    }
}

const fn plain(receiver: &'static str, header: &'static str) -> Expected {
    Expected { separator: ":", title_as_name: true, ..guide(receiver, header, CUSTOM) }
}

/// A text that tries to forge keys, fields of the header and events.
const HOSTILE: &str = r#"a|b=c\d "q" cs1=x dst=6.6.6.6 | dpt=1 CEF:0|v|p|1|c|n|9|x=y \n \= é漢𝄞 100% #1"#;

/// A state that fits into its field.
const STATUS: &str = r"down | x=1 \= CEF:0|";

/// One event of each of the seven tables, with hostile texts wherever a scanned asset or a scanner's user can put them.
fn all_tables() -> RawBatch2 {
    let asset = [
        (A::Address, "192.0.2.1"),
        (A::Id, HOSTILE),
        (A::Dns, HOSTILE),
        (A::Netbios, HOSTILE),
        (A::Os, HOSTILE),
        (A::Owner, HOSTILE),
        (A::Status, STATUS),
    ];
    let exploit = format!("\t\t{HOSTILE}\t");
    let html = HOSTILE.replace('"', "&quot;");
    let definition = [
        (D::Id, "1001"),
        (D::Title, HOSTILE),
        (D::Category, HOSTILE),
        (D::Cves, HOSTILE),
        (D::CvssBase, "9.3"),
        (D::Cvss3Base, "9.8"),
        (D::Exploits, exploit.as_str()),
        (D::Diagnosis, &html),
        (D::Consequence, &html),
        (D::Solution, &html),
    ];
    let mut filling = Filling::default().asset(&asset);
    for kind in ["information", "potential", "service", "vulnerability"] {
        let facts = if kind == "service" { "port\t22\ttcp\tssh\t" } else { "" };
        let cells = [
            ("kind", kind),
            ("severity", "5"),
            ("port", "443"),
            ("protocol", "tcp"),
            ("status", "Active"),
            ("result", HOSTILE),
            ("service", HOSTILE),
            ("first_found", "2026-01-01T00:00:00Z"),
            ("facts", facts),
        ];
        filling = filling.finding(&definition, &cells);
    }
    filling.done()
}

fn preset_options(preset: &Expected, mut options: Value, more: Value) -> Value {
    for own in ["syslog_header", "derive"] {
        options.as_object_mut().unwrap().remove(own);
    }
    options["receiver"] = json!(preset.receiver);
    options["app_name"] = json!("vulns");
    options["asset_events"] = json!(true);
    options["additional_fields"] = json!(["asset.owner", "finding.service"]);
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    options
}

/// Checks an event of [`all_tables`], and returns its table. Nothing may be missing, and no key may be there that
/// [`HOSTILE`] has put there.
fn check(preset: &Expected, event: &Event) -> String {
    let Expected { receiver, separator, exploits, .. } = preset;
    assert_eq!(event.header[..3], ["Qualys", "Qualys", "12.7"], "{receiver}");
    let class =
        event.header[3].strip_prefix(&format!("Qualys{separator}")).unwrap_or_else(|| panic!("{event:?}"));
    let table = class.split(separator).next().unwrap().to_owned();
    let is_of_finding = ["INFOS", "PRACTICES", "Services", "VULN"].contains(&table.as_str());
    let id = match table.as_str() {
        "SCANNER" => "SCANNER".to_owned(),
        "URI" => format!("URI{separator}{HOSTILE}"),
        table => format!("{table}{separator}1001"),
    };
    assert_eq!(class, id, "{receiver}");
    let name = match table.as_str() {
        "SCANNER" => "Asset".to_owned(),
        "URI" => format!("Operating System {HOSTILE}"),
        "Open Port" => "Open Port".to_owned(),
        "VULN" if !preset.title_as_name => "Vulnerability:1001".to_owned(),
        _ => HOSTILE.to_owned(),
    };
    assert_eq!(event.header[4], name, "{receiver}");
    let severity = if matches!(table.as_str(), "SCANNER" | "URI") { "0" } else { "10" };
    assert_eq!(event.header[5], severity, "{receiver} {table}");
    let extra = *receiver != "arcsight";
    let is_severe = matches!(table.as_str(), "PRACTICES" | "VULN");
    let has_port = is_of_finding || table == "Open Port";
    let hostile = Some(HOSTILE);
    let when = |is_there: bool, value: &'static str| is_there.then_some(value);
    let prefix = exploits.trim_end_matches("ExpltDescription");
    let expected: Vec<(String, Option<&str>)> = [
        ("rt", when(true, "1769860800000")),
        ("dst", when(true, "192.0.2.1")),
        ("dhost", hostile),
        ("dpt", when(has_port, if is_of_finding { "443" } else { "22" })),
        ("proto", when(has_port, "TCP")),
        ("cat", when(is_of_finding, HOSTILE)),
        (
            "deviceSeverity",
            when(has_port, if matches!(table.as_str(), "INFOS" | "PRACTICES") { "Urgent" } else { "5" }),
        ),
        ("deviceDomain", when(!matches!(table.as_str(), "INFOS" | "PRACTICES" | "SCANNER"), "Network")),
        ("categoryTechnique", when(matches!(table.as_str(), "VULN" | "Open Port"), HOSTILE)),
        ("cn1Label", when(has_port && extra, "QID")),
        ("cn1", when(has_port && extra, "1001")),
        ("filePath", when(table == "URI", HOSTILE)),
        ("oldFilePath", when(true, "/reports/scan.xml")),
        ("externalId", when(extra, "scan/1234567890.12345")),
        (
            "outcome",
            match table.as_str() {
                "SCANNER" => Some(STATUS),
                _ => when(is_of_finding, "Active"),
            },
        ),
        ("flexString1Label", when(extra, "Asset ID")),
        ("flexString1", when(extra, HOSTILE)),
        ("deviceCustomDate1Label", when(is_of_finding && extra, "First Found")),
        ("deviceCustomDate1", when(is_of_finding && extra, "1767225600000")),
        ("cfp1Label", when(is_severe, "CVSS 3 Base Score")),
        ("cfp1", when(is_severe, "9.8")),
        ("msg", when(table == "VULN" && !preset.title_as_name, HOSTILE)),
        ("cs6Label", when(is_severe, "CVSS Base Score")),
        ("cs6", when(is_severe, "9.3")),
        ("cs2Label", when(is_of_finding && table != "Services", "CVE ID")),
        ("cs2", when(is_of_finding && table != "Services", HOSTILE)),
        ("cs1Label", when(has_port, "Result")),
        (
            "cs1",
            if table == "Open Port" { Some("22/tcp, assigned ssh") } else { when(is_of_finding, HOSTILE) },
        ),
        ("cs3Label", when(is_of_finding, "Diagnosis")),
        ("cs3", when(is_of_finding, HOSTILE)),
        ("cs4Label", when(is_of_finding, "Consequence")),
        ("cs4", when(is_of_finding, HOSTILE)),
        ("cs5Label", when(is_of_finding, "Solution")),
        ("cs5", when(is_of_finding, HOSTILE)),
        (exploits, when(is_severe, HOSTILE)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .chain([
        (format!("{prefix}AssetOwner"), hostile),
        (format!("{prefix}FindingService"), when(is_of_finding, HOSTILE)),
    ])
    .collect();
    let expected: BTreeMap<&str, &str> =
        expected.iter().filter_map(|(key, value)| Some((key.as_str(), (*value)?))).collect();
    let mut read: BTreeMap<&str, &str> =
        event.extension.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(read.remove("ScanbridgeEventId").map(str::len), Some(32), "{receiver} {table}");
    if preset.max_bytes < 4000 {
        // This receiver takes short messages only: texts are shortened, but nothing else.
        let truncated = read.remove("ScanbridgeTruncated");
        let texts = ["cs1", "cs2", "cs3", "cs4", "cs5", exploits];
        for (key, value) in &expected {
            let is_text = texts.contains(&key.trim_end_matches("Label")) || key.starts_with(prefix);
            let value = if is_text { read.get(key).copied().unwrap_or(value) } else { value };
            assert_eq!(read.get(key).copied().unwrap_or(value), value, "{receiver} {table} {key}");
            assert!(is_text && truncated.is_some() || read.contains_key(key), "{receiver} {table} {key}");
        }
        assert!(read.keys().all(|key| expected.contains_key(key)), "{receiver} {table}");
    } else {
        assert_eq!(read, expected, "{receiver} {table}");
    }
    table
}

const TABLES: [&str; 7] = ["INFOS", "Open Port", "PRACTICES", "SCANNER", "Services", "URI", "VULN"];

/// A raw receiver has exactly the bytes that the preset promises: framing, header, space, and no more than its limit.
#[test]
fn messages_of_each_preset_are_read_back() {
    for preset in &PRESETS {
        let sink = SyslogSink::tcp(preset.framing, SinkBehavior::default());
        let options = preset_options(preset, options("tcp", sink.address(), json!({})), json!({}));
        deliver(&options, &[all_tables()], 1, |_| {}).unwrap();
        assert!(sink.wait_until(|connections| connections[0].end == Some(End::Closed)));
        let mut tables = Vec::new();
        for message in sink.messages() {
            assert!(message.len() <= preset.max_bytes, "{} of {}", message.len(), preset.receiver);
            let text = String::from_utf8(message).unwrap();
            let (header, event) = text.split_at(text.find("CEF:0|Qualys|").unwrap());
            check_header(preset, header, event);
            tables.push(check(preset, &reader::read(event).unwrap()));
        }
        tables.sort();
        assert_eq!(tables, TABLES, "{}", preset.receiver);
    }
}

fn check_header(preset: &Expected, header: &str, event: &str) {
    let parts = preset.header.replace("HOST", "collector").replace("APP", "vulns");
    assert!(header.ends_with(&parts), "{}: {header:?}", preset.receiver);
    if preset.header.is_empty() {
        assert_eq!(header, "", "{}", preset.receiver);
    } else {
        // Events of severity 5 are critical (2), those without severity informational (6).
        let priorities = [2, 6].map(|severity| format!("<{}>", u16::from(preset.facility) * 8 + severity));
        assert!(
            priorities.iter().any(|priority| header.starts_with(priority)),
            "{}: {header}",
            preset.receiver
        );
        let is_5424 = header.contains(">1 20");
        assert_eq!(is_5424, preset.header == RFC5424, "{}: {header}", preset.receiver);
    }
    let severity = if event.contains("|10|") { "|10|" } else { "|0|" };
    let space =
        &event[event.find(&format!("{severity}{}rt=", preset.space)).unwrap_or_else(|| panic!("{event}"))..];
    assert!(!space.is_empty());
}

/// liblognorm, the parser of rsyslog's mmnormalize, reads the same as the strict reader.
#[test]
fn lognormalizer_reads_the_events_of_each_preset() {
    if !installed("lognormalizer") {
        return;
    }
    for preset in &PRESETS {
        let sink = SyslogSink::tcp(preset.framing, SinkBehavior::default());
        let options = preset_options(
            preset,
            options("tcp", sink.address(), json!({})),
            // Its version 2.0.6 drops a character without the space, so presets for other receivers get it here.
            json!({ "syslog_header": "none", "extension_leading_space": "yes" }),
        );
        deliver(&options, &[all_tables()], 1, |_| {}).unwrap();
        assert!(sink.wait_until(|connections| connections[0].end == Some(End::Closed)));
        let lines: Vec<_> =
            sink.messages().into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
        let mut tables: Vec<_> = normalized(&lines).iter().map(|event| check(preset, event)).collect();
        tables.sort();
        assert_eq!(tables, TABLES, "{}", preset.receiver);
    }
}

fn normalized(lines: &[String]) -> Vec<Event> {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::write(&rules, "version=2\nrule=:%f:cef%\n").unwrap();
    let mut command = Command::new("lognormalizer");
    command.arg("-r").arg(&rules).args(["-e", "json"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{output}")).to_owned();
    let events = output.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        let names = ["DeviceVendor", "DeviceProduct", "DeviceVersion", "SignatureID", "Name", "Severity"];
        let pairs = event["f"]["Extensions"].as_object().unwrap_or_else(|| panic!("refused: {line}"));
        Event {
            version: "0".to_owned(),
            header: names.map(|name| text(&event["f"][name])).to_vec(),
            extension: pairs.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        }
    });
    let events: Vec<_> = events.collect();
    assert_eq!(events.len(), lines.len());
    events
}

/// Real receivers write each message whole, under the right host and program (F-083: not under the program `1`).
#[test]
fn real_receivers_read_their_presets() {
    for (listener, receivers) in [
        (
            Listener::RsyslogTcp,
            &["arcsight", "sentinel-ama", "splunk", "qradar", "wazuh", "rsyslog", "fluentd"][..],
        ),
        (Listener::RsyslogPlainTcp, &["rsyslog", "syslog-ng-ietf"]),
        (Listener::NgNetwork, &["sentinel-ama", "qradar", "wazuh", "syslog-ng", "fluentd"]),
        (Listener::NgSyslog, &["syslog-ng-ietf"]),
    ] {
        for preset in PRESETS.iter().filter(|preset| receivers.contains(&preset.receiver)) {
            let Some(mut daemon) = Daemon::start(listener) else { break };
            let options = preset_options(preset, options("tcp", daemon.address(), json!({})), json!({}));
            deliver(&options, &[all_tables()], 1, |_| {}).unwrap();
            for _ in 0..200 {
                if fs::read_to_string(daemon.output()).unwrap().lines().count() >= TABLES.len() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
            daemon.stop();
            let text = fs::read_to_string(daemon.output()).unwrap();
            let program = if preset.header == ARCSIGHT { "CEF" } else { "vulns" };
            let mut tables = Vec::new();
            for line in text.lines() {
                assert!(
                    line.starts_with(&format!("collector {program} ")),
                    "{listener:?} {}: {line}",
                    preset.receiver
                );
                let event = &line[line.find("CEF:0|Qualys|").unwrap_or_else(|| panic!("{line}"))..];
                tables.push(check(preset, &reader::read(event).unwrap()));
            }
            tables.sort();
            assert_eq!(tables, TABLES, "{listener:?} {}", preset.receiver);
        }
    }
}

/// F-080: parsers in use split the header at each pipe. With the presets for them, the severity is still the seventh field.
#[test]
fn presets_with_colons_survive_a_reader_that_does_not_unescape() {
    let definition = [(D::Id, "1001"), (D::Title, "a title")];
    for preset in PRESETS.iter().filter(|preset| preset.separator == ":") {
        let cells =
            [("kind", "vulnerability"), ("severity", "5"), ("facts", "port\t22\ttcp\t\t\nos\tLinux\t")];
        let asset = [(A::Address, "192.0.2.1")];
        let batch = Filling::default().asset(&asset).finding(&definition, &cells).done();
        let sink = SyslogSink::tcp(preset.framing, SinkBehavior::default());
        deliver(
            &preset_options(preset, options("tcp", sink.address(), json!({})), json!({})),
            &[batch],
            1,
            |_| {},
        )
        .unwrap();
        assert!(sink.wait_until(|connections| connections[0].end == Some(End::Closed)));
        let headers: Vec<Vec<String>> = sink
            .messages()
            .into_iter()
            .map(|message| String::from_utf8(message).unwrap())
            .map(|text| {
                text[text.find("CEF:").unwrap()..].split('|').skip(4).take(3).map(str::to_owned).collect()
            })
            .collect();
        let expected = [
            ["Qualys:VULN:1001", "a title", "10"],
            ["Qualys:Open Port:1001", "Open Port", "10"],
            ["Qualys:URI:Linux", "Operating System Linux", "10"],
            ["Qualys:SCANNER", "Asset", "0"],
        ];
        assert_eq!(headers, expected, "{}", preset.receiver);
    }
}

/// Each option of its own takes precedence over the preset.
#[test]
fn single_options_win_over_the_preset() {
    let options_of = |sink: &SyslogSink| {
        let more = json!({
            "syslog_header": "none", "framing": "octet-counted", "class_id_separator": "pipe", "name_style": "guide",
            "additional_data": "ad", "extension_leading_space": "yes", "extra_fields": ["none"],
            "max_message_bytes": 8000, "facility": "local7",
        });
        preset_options(&PRESETS[11], options("tcp", sink.address(), json!({})), more)
    };
    let sink = SyslogSink::tcp(Framing::OctetCounted, SinkBehavior::default());
    deliver(&options_of(&sink), &[all_tables()], 1, |_| {}).unwrap();
    assert!(sink.wait_until(|connections| connections[0].end == Some(End::Closed)));
    let expected = Expected {
        framing: Framing::OctetCounted,
        space: " ",
        ..guide("arcsight", "", "ad.ExpltDescription")
    };
    for message in sink.messages() {
        let text = String::from_utf8(message).unwrap();
        check_header(&expected, "", &text);
        check(&expected, &reader::read(&text).unwrap());
    }
    // A single header shows the facility.
    let sink = SyslogSink::tcp(Framing::OctetCounted, SinkBehavior::default());
    let mut options = options_of(&sink);
    options["syslog_header"] = json!("rfc5424");
    deliver(&options, &[all_tables()], 1, |_| {}).unwrap();
    assert!(sink.wait_until(|connections| connections[0].end == Some(End::Closed)));
    assert!(
        sink.messages()
            .iter()
            .all(|message| message.starts_with(b"<186>1 ") || message.starts_with(b"<190>1 "))
    );
}

/// A file that Splunk monitors has no line that Splunk would truncate.
#[test]
fn lines_for_splunk_are_short_enough() {
    let long = "x".repeat(5000);
    let definition =
        [(D::Id, "1"), (D::Diagnosis, long.as_str()), (D::Consequence, &long), (D::Solution, &long)];
    let batch = || {
        Filling::default()
            .asset(&[])
            .finding(&definition, &[("kind", "vulnerability"), ("result", &long)])
            .done()
    };
    for (receiver, expected) in [("splunk", 9400..=9500), ("rsyslog", 16_000..=17_000)] {
        let text = crate::case::text_of(json!({ "receiver": receiver }), &crate::case::scan(), &[batch()]);
        assert!(expected.contains(&text.trim_end().len()), "{receiver}: {}", text.len());
    }
}

/// `check` names what must be set at the receiver.
#[test]
fn check_names_the_setting_of_the_receiver() {
    use scanbridge_plugin_api::Output as _;
    for preset in &PRESETS {
        let options = json!({ "receiver": preset.receiver });
        let mut output = crate::case::open(std::path::Path::new("/dev/null"), options).unwrap();
        let report = output.check().unwrap();
        let step = report.steps.iter().find(|step| step.name == "receiver").unwrap();
        assert!(
            step.detail.starts_with(&format!("`receiver: {}` expects at the receiver: ", preset.receiver)),
            "{}",
            step.detail
        );
    }
}
