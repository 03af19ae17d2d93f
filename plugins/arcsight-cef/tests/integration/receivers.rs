//! Real receivers: restarted during delivery, and given messages larger than their limits.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Listener};
use crate::network::{deliver, number_of, numbered, options};
use crate::reader;

const EVENTS: usize = 100_000;
const EVENTS_PER_BATCH: usize = 1000;
const BATCHES_PER_COMMIT: usize = 5;

fn options_for(listener: Listener, daemon: &Daemon) -> Value {
    let (transport, more) = match listener {
        Listener::RsyslogTcp | Listener::RsyslogPlainTcp => ("tcp", json!({})),
        Listener::RsyslogUdp | Listener::NgUdp => ("udp", json!({})),
        Listener::NgNetwork => ("tcp", json!({ "framing": "newline" })),
        Listener::NgNetworkFields => ("tcp", json!({ "syslog_header": "rfc3164" })),
        Listener::NgProtocolFields => ("tcp", json!({ "syslog_header": "rfc5424" })),
        Listener::NgSyslog => ("tcp", json!({ "framing": "octet-counted" })),
        Listener::RsyslogTls | Listener::NgTls => ("tls", json!({ "tls_ca_file": daemon.ca_file() })),
    };
    options(transport, daemon.address(), more)
}

/// The numbers of the events that were written, in their order. Each line is one complete event.
fn numbers_in(daemon: &Daemon) -> Vec<usize> {
    let text = fs::read_to_string(daemon.output()).unwrap();
    let events = text.lines().map(|line| {
        let event = &line[line.find("CEF:").unwrap_or_else(|| panic!("no event in `{line}`"))..];
        reader::read(event).unwrap_or_else(|problem| panic!("{problem} in `{line}`"));
        number_of(event.as_bytes())
    });
    events.collect()
}

fn no_event_is_lost(listener: Listener) {
    let Some(mut daemon) = Daemon::start(listener) else { return };
    let options = options_for(listener, &daemon);
    let batches: Vec<_> = (0..EVENTS / EVENTS_PER_BATCH)
        .map(|batch| numbered(batch * EVENTS_PER_BATCH, EVENTS_PER_BATCH, "a result"))
        .collect();
    let output = daemon.output();
    let failures = Arc::new(AtomicUsize::new(0));
    let sender = std::thread::spawn({
        let failures = Arc::clone(&failures);
        move || {
            deliver(&options, &batches, BATCHES_PER_COMMIT, |count| {
                failures.store(count, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(50));
            })
        }
    });
    let until = |condition: &dyn Fn() -> bool| {
        while !condition() && !sender.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    // About 200 bytes per event: near the beginning, and in the middle.
    for bytes in [1_000_000, 9_000_000] {
        until(&|| fs::metadata(&output).unwrap().len() >= bytes);
        let before = failures.load(Ordering::SeqCst);
        daemon.stop();
        // It stays unavailable until the sender has failed.
        until(&|| failures.load(Ordering::SeqCst) > before);
        daemon.run();
    }
    let run = sender.join().unwrap().unwrap();
    daemon.stop();
    assert!(!run.failures.is_empty(), "{listener:?} was stopped, but no failure was reported");
    let mut seen = numbers_in(&daemon);
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), EVENTS, "{listener:?} has {all} events, {} distinct", seen.len());
    // Each stop repeats at most what was not committed, once for each connection that was lost over it.
    let max_repeated = 2 * (run.failures.len() + 2) * BATCHES_PER_COMMIT * EVENTS_PER_BATCH;
    assert!(all - EVENTS <= max_repeated, "{} events are repeated, {:?}", all - EVENTS, run.failures);
}

#[test]
fn rsyslog_over_tcp_loses_no_events() {
    no_event_is_lost(Listener::RsyslogTcp);
}

#[test]
fn rsyslog_over_tls_loses_no_events() {
    no_event_is_lost(Listener::RsyslogTls);
}

#[test]
fn syslog_ng_over_tcp_loses_no_events() {
    no_event_is_lost(Listener::NgNetwork);
}

#[test]
fn syslog_ng_over_tls_loses_no_events() {
    no_event_is_lost(Listener::NgTls);
}

/// Results of 20,000 bytes with escapes, sent to receivers with their default size limits.
#[test]
fn oversized_message_is_truncated_and_marked() {
    for listener in [
        Listener::RsyslogTcp,
        Listener::RsyslogPlainTcp,
        Listener::RsyslogTls,
        Listener::RsyslogUdp,
        Listener::NgNetwork,
        Listener::NgSyslog,
        Listener::NgTls,
    ] {
        let Some(mut daemon) = Daemon::start(listener) else { continue };
        let batch = numbered(0, 50, &"a=b \\ | é".repeat(2000));
        let options = options_for(listener, &daemon);
        deliver(&options, &[batch], 1, |_| {}).unwrap();
        // Datagrams are not confirmed: give the receiver time.
        for _ in 0..400 {
            if fs::read_to_string(daemon.output()).unwrap().lines().count() >= 50 {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon.stop();
        assert_eq!(numbers_in(&daemon), (0..50).collect::<Vec<_>>(), "{listener:?}");
        let text = fs::read_to_string(daemon.output()).unwrap();
        assert!(text.lines().all(|line| line.ends_with(" ScanbridgeTruncated=cs1")), "{listener:?}");
    }
}

/// Both rows of the README for `network()`.
#[test]
fn syslog_ng_network_reads_host_and_program_of_the_header() {
    for listener in [Listener::NgNetworkFields, Listener::NgProtocolFields] {
        let Some(mut daemon) = Daemon::start(listener) else { continue };
        let options = options_for(listener, &daemon);
        deliver(&options, &[numbered(0, 5, "a result")], 1, |_| {}).unwrap();
        daemon.stop();
        let text = fs::read_to_string(daemon.output()).unwrap();
        assert!(
            text.lines().all(|line| line.starts_with("collector scanbridge CEF:0|")),
            "{listener:?}: {text}"
        );
        assert_eq!(numbers_in(&daemon), (0..5).collect::<Vec<_>>(), "{listener:?}");
    }
}

/// Other processes may stop a receiver for longer than its buffer lasts, so it has three attempts.
#[test]
fn default_rate_of_datagrams_is_low_enough() {
    const DATAGRAMS: usize = 20_520;
    for listener in [Listener::RsyslogUdp, Listener::NgUdp] {
        let Some(mut daemon) = Daemon::start(listener) else { continue };
        let mut written = 0;
        let all_arrived = (0..3).any(|_| {
            let batches: Vec<_> = (0..20).map(|_| numbered(0, DATAGRAMS / 20, "a result")).collect();
            deliver(&options_for(listener, &daemon), &batches, 20, |_| {}).unwrap();
            // Datagrams are not confirmed: give the receiver time.
            std::thread::sleep(Duration::from_secs(2));
            let before = std::mem::replace(&mut written, numbers_in(&daemon).len());
            written - before == DATAGRAMS
        });
        daemon.stop();
        assert!(all_arrived, "{listener:?} lost datagrams in each attempt");
    }
}
