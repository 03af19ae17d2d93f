//! Events as syslog messages, recorded by raw receivers.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use scanbridge_doubles::syslog_sink::{End, Framing, SinkBehavior, SyslogSink, split};
use scanbridge_plugin_api::batch::{Batch, Columns};
use scanbridge_plugin_api::model::ReportEnd;
use scanbridge_plugin_api::model::{AssetField as A, DefinitionField as D};
use scanbridge_plugin_api::{Begin, CommitPoint, ErrorKind, Output, Verdict};
use serde_json::json;

use crate::case::{Filling, scan};
use crate::network::{deliver, number_of, numbered, open, options};
use crate::reader;

const NO_WAIT: fn(usize) = |_| {};

fn numbers(sink: &SyslogSink) -> Vec<usize> {
    sink.messages().iter().map(|message| number_of(message)).collect()
}

/// Splits a message into its header and its event, and reads the event.
fn event_of(message: &[u8]) -> (String, reader::Event) {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let at = text.find("CEF:").unwrap();
    (text[..at].to_owned(), reader::read(&text[at..]).unwrap())
}

#[test]
fn each_event_is_one_framed_message() {
    for (framing, word) in [(Framing::Newline, "newline"), (Framing::OctetCounted, "octet-counted")] {
        let sink = SyslogSink::tcp(framing, SinkBehavior::default());
        let options = options("tcp", sink.address(), json!({ "framing": word }));
        let run = deliver(&options, &[numbered(0, 250, "ok"), numbered(250, 3, "ok")], 1, NO_WAIT).unwrap();
        assert!(run.failures.is_empty());
        assert!(sink.wait_until(|connections| connections[0].end == Some(End::Closed)));
        assert_eq!(numbers(&sink), (0..253).collect::<Vec<_>>(), "{word}");
        let (header, event) = event_of(&sink.messages()[0]);
        // Priority: local0 is 16, and severity 5 is critical, 2: 16 * 8 + 2.
        assert!(
            header.starts_with("<130>1 20") && header.ends_with("Z collector scanbridge - - - "),
            "{header}"
        );
        assert_eq!(event.get("cs1"), Some("ok"));
    }
}

#[test]
fn each_datagram_is_one_message() {
    let sink = SyslogSink::udp();
    let options = options("udp", sink.address(), json!({ "syslog_header": "arcsight" }));
    deliver(&options, &[numbered(0, 20, &"x".repeat(3000))], 1, NO_WAIT).unwrap();
    assert!(sink.wait_until(|connections| connections[0].datagrams.len() == 20));
    assert_eq!(numbers(&sink), (0..20).collect::<Vec<_>>());
    for message in sink.messages() {
        assert!(message.len() <= 1400, "{}", message.len());
        let (header, event) = event_of(&message);
        assert!(header.starts_with("<130>") && header.ends_with(" collector "), "{header}");
        assert_eq!(event.get("ScanbridgeTruncated"), Some("cs1"));
        assert!(event.get("cs1").unwrap().ends_with("xxx..."));
    }
}

#[test]
fn oversized_events_are_truncated_marked_and_sent_once() {
    let sink = SyslogSink::tcp(Framing::Newline, SinkBehavior::default());
    let options = options("tcp", sink.address(), json!({ "max_message_bytes": 600 }));
    deliver(&options, &[numbered(0, 5, &"=".repeat(3000))], 1, NO_WAIT).unwrap();
    assert!(sink.wait_until(|connections| connections[0].end.is_some()));
    assert_eq!(numbers(&sink), [0, 1, 2, 3, 4]);
    for message in sink.messages() {
        assert!((590..=600).contains(&message.len()), "{}", message.len());
        assert_eq!(event_of(&message).1.get("ScanbridgeTruncated"), Some("cs1"));
    }
}

#[test]
fn event_that_cannot_fit_is_rejected_with_its_row() {
    let sink = SyslogSink::tcp(Framing::Newline, SinkBehavior::default());
    let options =
        options("tcp", sink.address(), json!({ "max_message_bytes": 480, "device_vendor": "v".repeat(63) }));
    let mut report = scan();
    report.path = "p".repeat(600);
    let mut output = open(&options, None).unwrap();
    output.begin(&report, Begin::NEW).unwrap();
    let (batch, columns) = (numbered(0, 2, ""), Columns::of_report(&scan()));
    let written = output.write(Batch::of(&batch, &columns).unwrap()).unwrap();
    assert_eq!(written.rejected.iter().map(|rejection| rejection.row).collect::<Vec<_>>(), [0, 1]);
    assert!(written.rejected[0].reason.contains("`max_message_bytes`"), "{}", written.rejected[0].reason);
    output.commit(CommitPoint::InReport).unwrap();
    output.close().unwrap();
    assert!(sink.connections().is_empty(), "no events, so no connection");
}

#[test]
fn connection_refused_is_unavailable_and_names_the_receiver() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut output = open(&options("tcp", unused, json!({})), None).unwrap();
    output.begin(&scan(), Begin::NEW).unwrap();
    let (batch, columns) = (numbered(0, 1, ""), Columns::of_report(&scan()));
    output.write(Batch::of(&batch, &columns).unwrap()).unwrap();
    let error = output.commit(CommitPoint::InReport).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(
        error.message,
        format!("cannot connect to {unused}: connection refused (nothing is listening on this port)")
    );
    output.close().unwrap();
    let report = open(&options("tcp", unused, json!({})), None).unwrap().check().unwrap();
    assert_eq!(report.verdict(), Verdict::Failed);
}

#[test]
fn udp_connection_refused_is_reported_at_commit() {
    let unused = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut output = open(&options("udp", unused, json!({})), None).unwrap();
    output.begin(&scan(), Begin::NEW).unwrap();
    let (batch, columns) = (numbered(0, 1, ""), Columns::of_report(&scan()));
    output.write(Batch::of(&batch, &columns).unwrap()).unwrap();
    let error = output.commit(CommitPoint::InReport).unwrap_err();
    assert_eq!(
        (error.kind, error.message),
        (ErrorKind::Unavailable, format!("connection refused by {unused} (UDP: ICMP port unreachable)"))
    );
}

#[test]
fn failover_to_the_next_address() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sink = SyslogSink::tcp(Framing::Newline, SinkBehavior::default());
    let addresses = json!({ "address": [unused.to_string(), sink.address().to_string()] });
    let options = options("tcp", unused, addresses);
    assert_eq!(open(&options, None).unwrap().check().unwrap().verdict(), Verdict::Warning);
    let run = deliver(&options, &[numbered(0, 10, "")], 1, NO_WAIT).unwrap();
    assert!(run.failures.is_empty());
    assert_eq!(numbers(&sink), (0..10).collect::<Vec<_>>());
}

#[test]
fn receiver_that_never_reads_times_out() {
    let sink =
        SyslogSink::tcp(Framing::Newline, SinkBehavior { never_reads: true, ..SinkBehavior::default() });
    let options = options("tcp", sink.address(), json!({ "write_timeout_secs": 1 }));
    let mut output = open(&options, None).unwrap();
    output.begin(&scan(), Begin::NEW).unwrap();
    let columns = Columns::of_report(&scan());
    let batch = numbered(0, 100, &"x".repeat(4000));
    // The kernels of both sides buffer several megabytes; after that, writes or the confirmation time out.
    let error = (0..100).find_map(|_| output.write(Batch::of(&batch, &columns).unwrap()).err()).unwrap();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let words = ["no byte was accepted", "timed out: no acknowledgement", "did not close the connection"];
    assert!(words.iter().any(|words| error.message.contains(words)), "{error}");
    output.close().unwrap();
}

#[test]
fn receiver_closing_every_100_events_loses_none() {
    for resets in [false, true] {
        let behavior = SinkBehavior { close_after: Some(100), resets, ..SinkBehavior::default() };
        let sink = SyslogSink::tcp(Framing::OctetCounted, behavior);
        let options =
            options("tcp", sink.address(), json!({ "framing": "octet-counted", "confirm_grace_ms": 100 }));
        let batches: Vec<_> = (0..20).map(|batch| numbered(batch * 100, 100, "some result")).collect();
        deliver(&options, &batches, 4, NO_WAIT).unwrap();
        let mut seen = numbers(&sink);
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (0..2000).collect::<Vec<_>>());
        assert!(all <= 3 * 2000, "{all} events for 2000");
        // F-093: a receiver that drops events with an ID that it knows keeps each event once.
        let ids = sink.messages().into_iter().map(|message| {
            let id = event_of(&message).1.get("ScanbridgeEventId").unwrap().to_owned();
            (number_of(&message), id)
        });
        let by_number: HashMap<_, _> = ids.clone().collect();
        assert!(ids.into_iter().all(|(number, id)| by_number[&number] == id));
        assert_eq!(by_number.values().collect::<HashSet<_>>().len(), 2000);
    }
}

/// Nothing tells the sender that the network has failed: its writes succeed until the kernel's buffer is full.
#[test]
#[cfg(target_os = "linux")]
fn events_on_a_connection_that_loses_all_packets_are_sent_again() {
    for framing in [Framing::Newline, Framing::OctetCounted] {
        let behavior =
            SinkBehavior { close_after: Some(450), loses_packets: true, ..SinkBehavior::default() };
        let sink = SyslogSink::tcp(framing, behavior);
        let word = if framing == Framing::Newline { "newline" } else { "octet-counted" };
        let options = options("tcp", sink.address(), json!({ "framing": word, "write_timeout_secs": 1 }));
        let batches: Vec<_> = (0..20).map(|batch| numbered(batch * 100, 100, "some result")).collect();
        deliver(&options, &batches, 4, NO_WAIT).unwrap();
        assert!(sink.connections().len() > 1, "the first connection is abandoned");
        let mut seen = numbers(&sink);
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (0..2000).collect::<Vec<_>>());
        // Only what came after the last commit was sent again.
        assert!(all <= 2000 + 400, "{all} events for 2000");
    }
}

#[test]
fn truncated_report_keeps_sent_events_and_drops_unsent() {
    let sink = SyslogSink::tcp(Framing::Newline, SinkBehavior::default());
    let options = options("tcp", sink.address(), json!({ "batch_secs": 60 }));
    let columns = Columns::of_report(&scan());
    let mut output = open(&options, None).unwrap();
    output.begin(&scan(), Begin::NEW).unwrap();
    let (first, second) = (numbered(0, 130, ""), numbered(1000, 7, ""));
    output.write(Batch::of(&first, &columns).unwrap()).unwrap();
    output.end(&ReportEnd::default().with_reason("truncated")).unwrap();
    output.begin(&scan(), Begin::NEW).unwrap();
    output.write(Batch::of(&second, &columns).unwrap()).unwrap();
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true)).unwrap();
    let receipt = output.commit(CommitPoint::InReport).unwrap();
    assert_eq!(output.commit(CommitPoint::InReport).unwrap(), receipt);
    output.close().unwrap();
    // The first 100 events were a full batch; the next 30 had not been written yet.
    assert_eq!(numbers(&sink), (0..100).chain(1000..1007).collect::<Vec<_>>());
}

/// No further event and no commit arrives: the timer alone sends the buffered events.
#[test]
fn batch_secs_flushes_buffered_events() {
    let sink = SyslogSink::tcp(Framing::Newline, SinkBehavior::default());
    let options = options("tcp", sink.address(), json!({ "batch_secs": 1 }));
    let columns = Columns::of_report(&scan());
    let mut output = open(&options, None).unwrap();
    output.begin(&scan(), Begin::NEW).unwrap();
    for first in [0, 3] {
        output.write(Batch::of(&numbered(first, 3, ""), &columns).unwrap()).unwrap();
        let all = first + 3;
        assert!(sink.wait_until(|connections| {
            connections.first().is_some_and(|one| split(Framing::Newline, &one.bytes).len() == all)
        }));
    }
    assert_eq!(sink.connections().len(), 1);
    output.close().unwrap();
    assert_eq!(numbers(&sink), (0..6).collect::<Vec<_>>());
}

/// A write by the timer thread fails outside of any call, so the next call returns its error.
#[test]
fn background_flush_error_is_reported_by_the_next_event() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut output = open(&options("tcp", unused, json!({ "batch_secs": 1 })), None).unwrap();
    output.begin(&scan(), Begin::NEW).unwrap();
    let (batch, columns) = (numbered(0, 1, ""), Columns::of_report(&scan()));
    let end = Instant::now() + Duration::from_secs(10);
    let error = loop {
        // Less than a batch, so no call connects by itself.
        match output.write(Batch::of(&batch, &columns).unwrap()) {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < end, "the failure was not reported"),
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.starts_with(&format!("cannot connect to {unused}")), "{error}");
}

#[test]
fn probe_reports_each_step_and_sends_nothing() {
    let sink = SyslogSink::tcp(Framing::Newline, SinkBehavior::default());
    let report = open(&options("tcp", sink.address(), json!({})), None).unwrap().check().unwrap();
    let steps: Vec<_> = report.steps.iter().map(|step| (step.name.as_str(), step.verdict)).collect();
    assert_eq!(steps, [("resolve", Verdict::Ok), ("connect", Verdict::Ok)]);
    assert!(sink.messages().is_empty());
    let missing =
        open(&json!({ "transport": "tcp", "address": ["nowhere.invalid"], "connect_timeout_secs": 5 }), None);
    assert_eq!(missing.unwrap().check().unwrap().verdict(), Verdict::Failed);
}

#[test]
fn contradictory_options_are_rejected_at_open() {
    let somewhere = "127.0.0.1:9".parse().unwrap();
    for (transport, more, words) in [
        ("udp", json!({ "framing": "newline" }), "option `framing` has no effect with `transport: udp`"),
        (
            "udp",
            json!({ "max_message_bytes": 65_508 }),
            "`max_message_bytes` must be at most 65507 B with `transport: udp`, found 65508 B",
        ),
        ("tcp", json!({ "path": "out.cef" }), "option `path` has no effect with `transport: tcp`"),
        (
            "tcp",
            json!({ "tls_ca_file": "ca.pem" }),
            "option `tls_ca_file` has no effect with `transport: tcp`",
        ),
        ("file", json!({ "path": "out.cef" }), "option `address` has no effect with `transport: file`"),
        ("tcp", json!({ "address": [] }), "option `address` is required"),
        (
            "tcp",
            json!({ "address": ["tcp://host"] }),
            "option `address` must not contain a scheme such as `https://`, found `tcp://host`",
        ),
        (
            "tcp",
            json!({ "syslog_severities": ["1", "2"] }),
            "option `syslog_severities` must have exactly six numbers",
        ),
        (
            "tcp",
            json!({ "host_name": "two words" }),
            "option `host_name` must be 1 to 255 printable ASCII characters",
        ),
    ] {
        let error = open(&options(transport, somewhere, more.clone()), None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config, "{more}");
        assert!(error.message.contains(words), "{more}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// With any texts and any limit, no message exceeds the limit and each message is one complete event.
    #[test]
    fn no_message_exceeds_its_budget(
        texts in prop::collection::vec(r"[ -~\n\t|=\\éß漢𝄞]{0,700}", 5), name in "[a-z.]{0,60}",
        budget in 480_usize..1400,
    ) {
        let sink = SyslogSink::udp();
        let options = options("udp", sink.address(), json!({ "max_message_bytes": budget, "aggregate": true }));
        let definition = [
            (D::Id, "7"), (D::Cves, texts[0].as_str()), (D::Diagnosis, &texts[1]),
            (D::Consequence, &texts[2]), (D::Solution, &texts[3]),
        ];
        let mut filling = Filling::default().asset(&[(A::Address, "192.0.2.1"), (A::Dns, &name)]);
        for kind in ["vulnerability", "potential", "information", "service", "information", "service"] {
            filling = filling.finding(&definition, &[("kind", kind), ("result", &texts[4])]);
        }
        let run = deliver(&options, &[filling.done()], 1, NO_WAIT).unwrap();
        prop_assert!(run.failures.is_empty());
        // Two of the six findings equal two others.
        prop_assert!(sink.wait_until(|connections| connections[0].datagrams.len() == 4));
        for message in sink.messages() {
            prop_assert!(message.len() <= budget, "{} of {}", message.len(), budget);
            event_of(&message);
        }
    }
}
