//! UDP: the rate of datagrams, and what is reported about them.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use scanbridge_plugin_api::batch::{Batch, Columns};
use scanbridge_plugin_api::{Begin, CommitPoint, Output, Services};
use serde_json::{Value, json};

use crate::case::scan;
use crate::network::{numbered, open_with, options};

const EVENTS: usize = 20_520;

/// Receives until nothing has arrived for a second. Its socket has the default buffer, and it sleeps whenever the
/// buffer is empty.
fn count_slowly(socket: &UdpSocket, sleep: Duration) -> usize {
    socket.set_nonblocking(true).unwrap();
    let (mut buffer, mut count, mut last) = (vec![0; 1 << 16], 0, Instant::now());
    while last.elapsed() < Duration::from_secs(1) {
        match socket.recv(&mut buffer) {
            Ok(_) => (count, last) = (count + 1, Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(sleep),
            Err(error) => panic!("{error}"),
        }
    }
    count
}

/// Sends the events to a slow receiver. Returns how many arrived, and the notes of the output.
fn received(events: usize, more: Value) -> (usize, std::collections::BTreeMap<String, u64>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let options = options("udp", socket.local_addr().unwrap(), more);
    let receiver = std::thread::spawn(move || count_slowly(&socket, Duration::from_millis(10)));
    let services = Services::without_host(Path::new("/nonexistent"));
    let mut output = open_with(&options, None, &services).unwrap();
    let columns = Columns::of_report(&scan());
    output.begin(&scan(), Begin::NEW).unwrap();
    // With long results each datagram has about 1,400 bytes.
    for first in (0..events).step_by(1026) {
        let batch = numbered(first, 1026.min(events - first), &"x".repeat(2000));
        output.write(Batch::of(&batch, &columns).unwrap()).unwrap();
    }
    output.commit(CommitPoint::InReport).unwrap();
    output.close().unwrap();
    (receiver.join().unwrap(), services.notes())
}

/// Other processes may stop the receiver for longer than its buffer lasts, so it has three attempts.
#[test]
fn default_rate_loses_no_datagram_of_a_slow_receiver() {
    let lost: Vec<_> =
        (0..3).map(|_| EVENTS - received(EVENTS, json!({})).0).take_while(|lost| *lost > 0).collect();
    assert!(lost.len() < 3, "lost in each attempt: {lost:?}");
}

#[test]
fn rate_of_datagrams_is_an_option() {
    let start = Instant::now();
    received(320, json!({ "max_datagrams_per_sec": 320 }));
    assert!(start.elapsed() >= Duration::from_millis(1_900), "{:?}", start.elapsed());
    // At full speed the buffer of the receiver is full after about 92 datagrams.
    let (arrived, _) = received(EVENTS, json!({ "max_datagrams_per_sec": 1_000_000 }));
    assert!(arrived < EVENTS, "the receiver is too fast for this test");
}

#[test]
fn datagrams_are_reported_as_not_confirmed() {
    let (arrived, notes) = received(20, json!({}));
    assert_eq!(arrived, 20);
    assert_eq!(notes.get("events sent over UDP, not confirmed by the receiver"), Some(&20), "{notes:?}");
}

#[test]
fn receivers_see_the_source_address() {
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (transport, address) in [("udp", datagrams.local_addr()), ("tcp", listener.local_addr())] {
        let options = options(transport, address.unwrap(), json!({ "source_address": "127.0.0.2" }));
        let services = Services::without_host(Path::new("/nonexistent"));
        let mut output = open_with(&options, None, &services).unwrap();
        output.begin(&scan(), Begin::NEW).unwrap();
        let batch = numbered(0, 1, "x");
        output.write(Batch::of(&batch, &Columns::of_report(&scan())).unwrap()).unwrap();
        let peer = match transport {
            "udp" => {
                output.commit(CommitPoint::InReport).unwrap();
                datagrams.recv_from(&mut [0; 4096]).unwrap().1
            }
            _ => {
                // Nothing reads, so the event may stay unconfirmed.
                let _ = output.commit(CommitPoint::InReport);
                listener.accept().unwrap().1
            }
        };
        assert_eq!(peer.ip().to_string(), "127.0.0.2", "{transport}");
    }
}
