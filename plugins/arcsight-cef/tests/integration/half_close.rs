//! Receivers that close their sending side of each connection and continue to read, as `ncat --recv-only` does.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scanbridge_plugin_api::ErrorKind;
use serde_json::json;

use crate::network::{deliver, number_of, numbered, options};

/// When the receiver closes its sending side.
#[derive(Debug, Clone, Copy)]
enum Closes {
    AtOnce,
    AfterFirstRead,
    After(Duration),
}

/// A receiver that reads until the sender closes its side. It listens until the end of the test process.
struct HalfCloser {
    address: SocketAddr,
    /// The bytes of each connection.
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl HalfCloser {
    fn start(closes: Closes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let received = Arc::clone(&received);
            move || {
                for (index, socket) in listener.incoming().enumerate() {
                    received.lock().unwrap().push(Vec::new());
                    let (received, socket) = (Arc::clone(&received), socket.unwrap());
                    std::thread::spawn(move || {
                        read(socket, closes, |bytes| {
                            received.lock().unwrap()[index].extend_from_slice(bytes);
                        })
                    });
                }
            }
        });
        Self { address, received }
    }

    /// How often each event arrived.
    fn counts(&self) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for connection in self.received.lock().unwrap().iter() {
            for message in
                connection.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"))
            {
                *counts.entry(number_of(message)).or_default() += 1;
            }
        }
        counts
    }

    /// If all events were sent before the close, one of them is sent a third time to find out whether the receiver
    /// still reads.
    fn expect_one_repetition(&self, closes: Closes, case: &str) {
        let counts = self.counts();
        let thrice = counts.values().filter(|count| **count == 3).count();
        let allowed = usize::from(matches!(closes, Closes::AfterFirstRead));
        assert!(thrice <= allowed && counts.values().all(|count| *count <= 3), "{case}: {counts:?}");
    }
}

fn read(mut socket: TcpStream, closes: Closes, mut keep: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 1 << 16];
    match closes {
        Closes::AtOnce => socket.shutdown(Shutdown::Write).unwrap(),
        Closes::AfterFirstRead => {}
        Closes::After(delay) => {
            let closing = socket.try_clone().unwrap();
            std::thread::spawn(move || {
                std::thread::sleep(delay);
                drop(closing.shutdown(Shutdown::Write)); // The sender may have closed the connection.
            });
        }
    }
    while let Ok(length) = socket.read(&mut buffer)
        && length > 0
    {
        keep(&buffer[..length]);
        if matches!(closes, Closes::AfterFirstRead) {
            drop(socket.shutdown(Shutdown::Write));
        }
    }
}

const CASES: [Closes; 4] = [
    Closes::AtOnce,
    Closes::AfterFirstRead,
    Closes::After(Duration::from_millis(5)),
    Closes::After(Duration::from_millis(50)),
];

/// With `confirm: end` no connection can confirm anything: one repetition, then an error that is not retried.
#[test]
fn half_closed_connection_ends_after_one_repetition() {
    for events in [1, 20, 400] {
        for closes in CASES {
            let receiver = HalfCloser::start(closes);
            let options = options("tcp", receiver.address, json!({ "confirm_grace_ms": 100 }));
            let error = deliver(&options, &[numbered(0, events, "some result")], 1, |_| {}).unwrap_err();
            let case = format!("{events} events, {closes:?}: {error}");
            assert_eq!(error.kind, ErrorKind::Protocol, "{case}");
            assert!(error.message.contains("has closed its sending side but still reads"), "{case}");
            assert!(
                error.hint.as_deref().is_some_and(|hint| hint.contains("set `confirm: arrival`")),
                "{case}"
            );
            receiver.expect_one_repetition(closes, &case);
        }
    }
}

/// With `confirm: arrival` the acknowledgement of the kernel is enough, and the connection is used on.
#[test]
fn half_closed_connection_delivers_with_confirm_arrival() {
    for events in [1, 20, 400] {
        for closes in CASES {
            let receiver = HalfCloser::start(closes);
            let more = json!({ "confirm": "arrival", "confirm_grace_ms": 100 });
            let options = options("tcp", receiver.address, more);
            let batches: Vec<_> = (0..events)
                .step_by(100)
                .map(|first| numbered(first, 100.min(events), "some result"))
                .collect();
            let run = deliver(&options, &batches, 1, |_| {}).unwrap();
            let case = format!("{events} events, {closes:?}");
            assert!(run.failures.is_empty(), "{case}: {:?}", run.failures);
            let counts = receiver.counts();
            assert_eq!(counts.keys().copied().collect::<Vec<_>>(), (0..events).collect::<Vec<_>>(), "{case}");
            let repeated = counts.values().filter(|count| **count > 1).count();
            assert!(
                repeated <= 100,
                "{case}: only the events before the first commit are repeated: {repeated}"
            );
            receiver.expect_one_repetition(closes, &case);
        }
    }
}
