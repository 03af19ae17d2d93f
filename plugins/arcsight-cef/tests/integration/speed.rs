//! Measures the throughput over the network. Run by hand:
//! `cargo test --release -p scanbridge-arcsight-cef --test integration speed -- --ignored --nocapture`.

use std::time::Instant;

use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::syslog_sink::{Framing, SinkBehavior, SyslogSink};
use serde_json::json;

use crate::network::{deliver, number_of, numbered, options};

const BATCHES: usize = 200;

#[test]
#[ignore = "a measurement"]
fn throughput_of_200_000_events() {
    let (authority, folder) = (Authority::new("Example Root CA"), tempfile::tempdir().unwrap());
    let server = authority.server_config(&authority.issue(&Request::server(&["127.0.0.1"])), false);
    let batches: Vec<_> =
        (0..BATCHES).map(|batch| numbered(batch * 1000, 1000, &"a result ".repeat(50))).collect();
    for (transport, confirm) in [("tcp", "end"), ("tcp", "arrival"), ("tls", "end"), ("tls", "arrival")] {
        let framing = Framing::OctetCounted;
        let sink = match transport {
            "tcp" => SyslogSink::tcp(framing, SinkBehavior::default()),
            _ => SyslogSink::tls(framing, SinkBehavior::default(), server.clone()),
        };
        let mut options = options(
            transport,
            sink.address(),
            json!({ "framing": "octet-counted", "confirm": confirm, "confirm_grace_ms": 100 }),
        );
        if transport == "tls" {
            options["tls_ca_file"] = json!(authority.write_pem(folder.path(), "ca.pem"));
        }
        let started = Instant::now();
        deliver(&options, &batches, 20, |_| {}).unwrap();
        let seconds = started.elapsed().as_secs_f64();
        let mut arrived: Vec<_> = sink.messages().iter().map(|message| number_of(message)).collect();
        arrived.sort_unstable();
        arrived.dedup();
        assert_eq!(arrived.len(), BATCHES * 1000, "{transport} {confirm}: every event has arrived");
        let bytes: usize = sink.connections().iter().map(|connection| connection.bytes.len()).sum();
        println!(
            "{transport} {confirm:8}: {} events, {bytes} bytes, {seconds:.2} s wall",
            sink.messages().len()
        );
    }
}
