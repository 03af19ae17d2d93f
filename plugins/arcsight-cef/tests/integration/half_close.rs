//! Receivers that close their sending side of each connection and continue to read, as `ncat --recv-only` does.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection};
use scanbridge_doubles::certificates::{Authority, Request};
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
        Self::start_with(move |socket, keep| read(socket, closes, keep))
    }

    /// A receiver over TLS. It closes its sending side as TLS wants it: by `close_notify`, then that of the connection.
    fn start_tls(config: Arc<ServerConfig>, closes_at_once: bool) -> Self {
        Self::start_with(move |socket, keep| read_tls(socket, Arc::clone(&config), closes_at_once, keep))
    }

    fn start_with(read: impl Fn(TcpStream, &mut dyn FnMut(&[u8])) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let (received, reader) = (Arc::clone(&received), Arc::new(read));
            move || {
                for (index, socket) in listener.incoming().enumerate() {
                    received.lock().unwrap().push(Vec::new());
                    let (received, socket) = (Arc::clone(&received), socket.unwrap());
                    let reader = Arc::clone(&reader);
                    std::thread::spawn(move || {
                        reader(socket, &mut |bytes: &[u8]| {
                            received.lock().unwrap()[index].extend_from_slice(bytes);
                        });
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

fn read_tls(
    mut socket: TcpStream,
    config: Arc<ServerConfig>,
    closes_at_once: bool,
    keep: &mut dyn FnMut(&[u8]),
) {
    let mut session = ServerConnection::new(config).unwrap();
    while session.is_handshaking() {
        if session.complete_io(&mut socket).is_err() {
            return; // The sender has closed the connection.
        }
    }
    let mut is_closed = false;
    let mut close = |session: &mut ServerConnection, socket: &mut TcpStream| {
        if !std::mem::replace(&mut is_closed, true) {
            session.send_close_notify();
            while session.wants_write() && session.write_tls(socket).is_ok() {}
            drop(socket.shutdown(Shutdown::Write));
        }
    };
    if closes_at_once {
        close(&mut session, &mut socket);
    }
    let mut buffer = vec![0; 1 << 16];
    loop {
        // The first events may have come with the end of the handshake.
        let Ok(state) = session.process_new_packets() else { return };
        let mut waiting = state.plaintext_bytes_to_read();
        let has_events = waiting > 0;
        while waiting > 0 {
            let Ok(length) = session.reader().read(&mut buffer) else { return };
            keep(&buffer[..length]);
            waiting -= length;
        }
        if has_events {
            close(&mut session, &mut socket);
        }
        if !session.read_tls(&mut socket).is_ok_and(|length| length > 0) {
            return;
        }
    }
}

fn read(mut socket: TcpStream, closes: Closes, keep: &mut dyn FnMut(&[u8])) {
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

/// Over TLS, a receiver says with `close_notify` that it sends nothing more. It may still read, and the end is as clear.
#[test]
fn half_closed_tls_connection_ends_after_one_repetition_or_delivers_with_confirm_arrival() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("Example Root CA");
    let server = authority.issue(&Request::server(&["127.0.0.1"]));
    let ca = authority.write_pem(folder.path(), "ca.pem");
    for closes_at_once in [true, false] {
        for events in [1, 200] {
            let start = || HalfCloser::start_tls(authority.server_config(&server, false), closes_at_once);
            let case = format!("{events} events, at once: {closes_at_once}");
            let receiver = start();
            let more = json!({ "confirm_grace_ms": 100, "tls_ca_file": ca, "framing": "newline" });
            let options = options("tls", receiver.address, more);
            let error = deliver(&options, &[numbered(0, events, "some result")], 1, |_| {}).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Protocol, "{case}: {error}");
            assert!(error.message.contains("has closed its sending side but still reads"), "{case}: {error}");
            let counts = receiver.counts();
            assert!(!counts.is_empty() && counts.values().all(|count| *count <= 3), "{case}: {counts:?}");

            let receiver = start();
            let more = json!({ "confirm": "arrival", "confirm_grace_ms": 100, "tls_ca_file": ca, "framing": "newline" });
            let options = crate::network::options("tls", receiver.address, more);
            let run = deliver(&options, &[numbered(0, events, "some result")], 1, |_| {}).unwrap();
            assert!(run.failures.is_empty(), "{case}: {:?}", run.failures);
            let all: Vec<usize> = (0..events).collect();
            let arrived = || receiver.counts().into_keys().collect::<Vec<_>>();
            // The kernel has acknowledged them; the receiver may still be decrypting.
            let started = Instant::now();
            while arrived() != all && started.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(10));
            }
            assert_eq!(arrived(), all, "{case}");
        }
    }
}
