//! The dialer against peers that refuse, never respond or respond late, written as raw sockets, and against resolvers
//! that fail.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod peers;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use peers::{BlackHole, refusing, stoppable};
use scanbridge_dialer::{DialError, Dialer, IpVersion, Resolver, SOURCE_ADDRESS, SourceAddress};
use scanbridge_plugin_api::{ErrorKind, Options, Services};

fn dialer() -> Dialer {
    Dialer::new(&Services::without_host(Path::new("/nonexistent")))
}

fn with(resolver: Resolver) -> Dialer {
    dialer().with_resolver(resolver)
}

/// Never returns within the time of a test.
fn never(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
    thread::sleep(Duration::from_secs(60));
    Ok(Vec::new())
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn refused_connection_fails_at_once() {
    let started = Instant::now();
    let error = dialer().connect(refusing(), LONG).unwrap_err();
    assert_eq!(error.to_string(), "connection refused (nothing is listening on this port)");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn connect_timeout() {
    let hole = BlackHole::new();
    let started = Instant::now();
    let error = dialer().connect(hole.address, Duration::from_secs(1)).unwrap_err();
    let waited = started.elapsed();
    let explained = error.explain("cannot connect to siem.example.com:514", None);
    assert_eq!(explained.message, "cannot connect to siem.example.com:514: timed out after 1 s");
    assert_eq!(explained.kind, ErrorKind::Unavailable);
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(5), "{waited:?}");
}

/// A limit that is shorter than the interval of the checks for cancellation.
#[test]
fn short_limit_is_kept() {
    let hole = BlackHole::new();
    let started = Instant::now();
    let error = dialer().connect(hole.address, Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error, DialError::TimedOut(_)), "{error:?}");
    assert!(started.elapsed() < Duration::from_millis(180), "{:?}", started.elapsed());
}

#[test]
fn dns_lookup_timeout() {
    let error = with(never).lookup_within("slow.example.com", 1, Duration::from_millis(50)).unwrap_err();
    let explained = error.explain("cannot resolve slow.example.com", None);
    assert_eq!(explained.kind, ErrorKind::Unavailable);
    assert!(
        explained.message.starts_with("cannot resolve slow.example.com: DNS lookup timed out after"),
        "{explained}"
    );
}

/// The lookup counts against the limit of the whole.
#[test]
fn slow_lookup_leaves_less_time_for_the_connection() {
    fn slow(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        thread::sleep(Duration::from_millis(600));
        Ok(vec![([127, 0, 0, 1], port).into()])
    }
    let hole = BlackHole::new();
    let started = Instant::now();
    let error = with(slow).dial("name", hole.address.port(), Duration::from_secs(1)).unwrap_err();
    let waited = started.elapsed();
    assert_eq!(error.to_string(), "timed out after 0.4 s");
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_millis(1_500), "{waited:?}");
}

#[test]
fn failures_of_the_resolver_are_named() {
    fn fails(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::Error::other("Temporary failure in name resolution"))
    }
    fn empty(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(Vec::new())
    }
    fn panics(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        panic!("a resolver that panics")
    }
    for (resolver, reason) in [
        (fails as Resolver, "Temporary failure in name resolution"),
        (empty, "no address found"),
        (panics, "the resolver ended without a result"),
    ] {
        let started = Instant::now();
        let error = with(resolver).dial("name", 1, LONG).unwrap_err();
        assert!(matches!(&error, DialError::Lookup(found) if found == reason), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{reason}: {:?}", started.elapsed());
    }
    let error = dialer().dial("no-such-name.invalid", 1, LONG).unwrap_err();
    assert!(matches!(error, DialError::Lookup(_)), "{error:?}");
}

#[test]
fn preferred_addresses_come_first_and_each_once() {
    fn both(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let texts = ["[::1]", "127.0.0.1", "[::2]", "127.0.0.1"];
        Ok(texts.map(|text| format!("{text}:{port}").parse().unwrap()).to_vec())
    }
    for (preferred, expected) in [
        (IpVersion::Any, &["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.1:1"][..]),
        (IpVersion::V4, &["127.0.0.1:1", "[::1]:1", "[::2]:1"]),
        (IpVersion::V6, &["[::1]:1", "[::2]:1", "127.0.0.1:1"]),
    ] {
        let dialer = with(both).prefer(preferred);
        for found in [dialer.lookup("name", 1).unwrap(), dialer.lookup_within("name", 1, LONG).unwrap()] {
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        }
    }
}

#[test]
fn ip_address_needs_no_lookup() {
    let dialer = with(never);
    for (host, expected) in [("192.0.2.1", "192.0.2.1:7"), ("2001:db8::1", "[2001:db8::1]:7")] {
        let found = dialer.lookup_within(host, 7, Duration::ZERO).unwrap();
        assert_eq!(found, [expected.parse().unwrap()]);
    }
}

#[test]
fn address_of_the_other_ip_version_is_tried_too() {
    fn both(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![([127, 0, 0, 1], port).into(), ([0, 0, 0, 0, 0, 0, 0, 1], port).into()])
    }
    for (listens_on, preferred) in [("127.0.0.1:0", IpVersion::V6), ("[::1]:0", IpVersion::V4)] {
        // A machine without IPv6 cannot run this case.
        let Ok(listener) = TcpListener::bind(listens_on) else { continue };
        let address = listener.local_addr().unwrap();
        let stream = with(both).prefer(preferred).dial("name", address.port(), LONG).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }
}

#[test]
fn addresses_that_never_respond_leave_time_for_the_others() {
    let (first, second) = (BlackHole::new(), BlackHole::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let good = listener.local_addr().unwrap();
    let addresses = [first.address, second.address, refusing(), good];
    let stream = dialer().connect_first(&addresses, Duration::from_secs(2)).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), good);
}

#[test]
fn limit_covers_all_addresses_together() {
    let holes = [(); 3].map(|()| BlackHole::new());
    let addresses = holes.each_ref().map(|hole| hole.address);
    let started = Instant::now();
    let (address, error) = dialer().connect_first(&addresses, Duration::from_millis(1_200)).unwrap_err();
    let waited = started.elapsed();
    assert_eq!(address, addresses[2]);
    assert_eq!(error.to_string(), "timed out after 0.4 s");
    assert!(waited >= Duration::from_millis(1_200) && waited < Duration::from_millis(2_400), "{waited:?}");
}

/// The message names the last address, whatever happened to the others.
#[test]
fn error_is_that_of_the_last_address() {
    let hole = BlackHole::new();
    let limit = Duration::from_millis(300);
    let (address, error) = dialer().connect_first(&[refusing(), hole.address], limit).unwrap_err();
    assert_eq!(address, hole.address);
    assert!(matches!(error, DialError::TimedOut(_)), "{error:?}");
    let refusing = refusing();
    let (address, error) = dialer().connect_first(&[hole.address, refusing], limit).unwrap_err();
    assert_eq!(address, refusing);
    assert!(matches!(error, DialError::Connect(_)), "{error:?}");
}

#[test]
fn cancellation_ends_lookup_and_connection() {
    let hole = BlackHole::new();
    type Call<'a> = &'a dyn Fn(Dialer) -> DialError;
    let calls: [(&str, Call<'_>); 3] = [
        ("lookup", &|dialer| dialer.with_resolver(never).dial("name", 1, LONG).unwrap_err()),
        ("connect", &|dialer| dialer.connect(hole.address, LONG).unwrap_err()),
        ("all addresses", &|dialer| dialer.connect_first(&[hole.address, refusing()], LONG).unwrap_err().1),
    ];
    for (name, call) in calls {
        let (host, services) = stoppable();
        let stopper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            host.cancel();
            Instant::now()
        });
        let error = call(Dialer::new(&services));
        let ended = Instant::now();
        let cancelled = stopper.join().unwrap();
        assert!(matches!(error, DialError::Cancelled), "{name}: {error:?}");
        assert_eq!(error.explain(name, Some("a hint")).kind, ErrorKind::Cancelled);
        let waited = ended.duration_since(cancelled);
        assert!(waited < Duration::from_secs(1), "{name}: {waited:?}");
    }
}

/// A peer that responds at once is worth the connection: the last events can still be confirmed.
#[test]
fn connection_that_succeeds_at_once_succeeds_after_cancellation() {
    let (host, services) = stoppable();
    host.cancel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = Dialer::new(&services).connect(address, LONG).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
}

fn from(address: &str) -> Dialer {
    let options = format!("{{\"source_address\": {address:?}}}");
    let options = Options::read(&[SOURCE_ADDRESS], options.as_bytes()).unwrap();
    dialer().from_address(SourceAddress::of_option(&options).unwrap())
}

#[test]
fn peer_sees_the_source_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The resolver prefers an address that cannot be reached from the source address.
    let both: Resolver = |_, port| {
        Ok(vec![SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port)), SocketAddr::from(([127, 0, 0, 1], port))])
    };
    for dialer in [from("127.0.0.2"), from("127.0.0.2").prefer(IpVersion::V6).with_resolver(both)] {
        let _stream = dialer.dial("127.0.0.1", port, LONG).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip().to_string(), "127.0.0.2");
        let _stream = dialer.with_resolver(both).dial("both.example.com", port, LONG).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip().to_string(), "127.0.0.2");
    }
}

#[test]
fn peer_without_an_address_of_the_same_version_is_a_config_error() {
    let only_v6: Resolver = |_, port| Ok(vec![SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))]);
    for (host, dialer) in
        [("::1", from("127.0.0.2")), ("six.example.com", from("127.0.0.2").with_resolver(only_v6))]
    {
        let error = dialer.dial(host, 1, LONG).unwrap_err().explain("cannot connect to a:1", Some("unused"));
        assert_eq!(error.kind, ErrorKind::Config);
        assert_eq!(
            error.message,
            format!(
                "cannot connect to a:1: `source_address` 127.0.0.2 is an IPv4 address, and {host} has only IPv6 addresses"
            )
        );
        assert!(error.hint.unwrap().contains("or remove the option"));
    }
}
