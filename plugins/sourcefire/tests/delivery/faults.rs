//! Each fault has its own message and error class.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use scanbridge_doubles::fake_defense_center::{Behavior, Oversize, Stage, VersionRefusal};
use scanbridge_plugin_api::{Begin, ErrorKind, Output, PluginError, Verdict};
use serde_json::{Value, json};

use crate::report::*;
use crate::setting_up::Registered;

fn report() -> Vec<Asset> {
    vec![asset("192.0.2.1", &[(1, 0)]), asset("192.0.2.2", &[(2, 0)])]
}

/// Delivers a report to a Defense Center with this behavior. Returns the error, if any.
fn outcome(more: &Value, change: impl FnOnce(&mut Behavior)) -> Option<PluginError> {
    let registered = Registered::new()?;
    registered.center.change(change);
    let mut output = registered.open(more).unwrap();
    Some(deliver(&mut output, &report(), &complete(&[])).unwrap_err())
}

#[track_caller]
fn check(error: Option<PluginError>, kind: ErrorKind, parts: &[&str]) {
    let Some(error) = error else { return };
    assert_eq!(error.kind, kind, "{error}");
    let full_text = format!("{} / {}", error.message, error.hint.unwrap_or_default());
    for part in parts {
        assert!(full_text.contains(part), "{part}: {full_text}");
    }
    assert!(!full_text.contains('\n') && full_text.is_ascii(), "{full_text}");
}

#[test]
fn protocol_version_mismatch_names_the_version() {
    check(
        outcome(&json!({}), |behavior| behavior.highest_version = 0),
        ErrorKind::Protocol,
        &["rejected version 1 of the host input protocol", "newer than 0", "an older Defense Center"],
    );
    check(
        outcome(&json!({}), |behavior| {
            behavior.highest_version = 0;
            behavior.version_refusal = VersionRefusal::Close;
        }),
        ErrorKind::Auth,
        &[
            "not registered",
            "closed the connection before it answered",
            "name resolves to the address from which this machine connects",
        ],
    );
}

#[test]
fn unregistered_client_gets_registration_hint() {
    for stage in [Stage::Handshake, Stage::Version] {
        let error = outcome(&json!({}), |behavior| behavior.close_at = Some(stage));
        let hint = "on the Defense Center: (1) this machine is in its host input client settings";
        check(error, ErrorKind::Auth, &["certificate revoked or client not registered", hint]);
    }
}

#[test]
fn revoked_client_is_rejected_at_the_next_report() {
    let Some(registered) = Registered::new() else { return };
    let mut output = registered.open(&json!({})).unwrap();
    deliver(&mut output, &report(), &complete(&[])).unwrap();
    registered.center.revoke_clients();
    let error = output.begin(&start(), Begin::NEW).unwrap_err();
    check(
        Some(error),
        ErrorKind::Auth,
        &["certificate revoked or client not registered", "client certificate rejected by 127.0.0.1"],
    );
}

/// Such a center resets the connection as soon as it has read the certificate: in TLS 1.2 during the handshake, in TLS
/// 1.3 after its end, where the client may be sending or already waiting for the answer.
#[test]
fn reset_by_a_center_that_does_not_know_the_client() {
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let Some(registered) = Registered::new() else { return };
        registered.center.change(|behavior| behavior.rude = true);
        registered.center.revoke_clients_over(versions);
        let mut output = registered.open(&json!({})).unwrap();
        for _ in 0..20 {
            check(output.begin(&start(), Begin::NEW).err(), ErrorKind::Auth, &UNKNOWN_CLIENT);
        }
        let report = registered.open(&json!({})).unwrap().check().unwrap();
        let failed = report.steps.iter().find(|step| step.verdict == Verdict::Failed).unwrap();
        assert!(failed.detail.contains("probably does not know this client"), "{failed:?}");
    }
    for stage in [Stage::Handshake, Stage::Version] {
        let reset = outcome(&json!({}), |behavior| {
            (behavior.close_at, behavior.reset_connections) = (Some(stage), true);
        });
        check(reset, ErrorKind::Auth, &UNKNOWN_CLIENT);
    }
}

/// A peer that has not even shown its certificate may be a proxy or a service that starts: the host tries again.
#[test]
fn reset_before_the_certificates_is_retried() {
    let Some(registered) = Registered::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Closing with unread data resets the connection.
            let _ = std::io::Read::read(&mut stream, &mut [0; 1]);
        }
    });
    let mut output = registered.open(&json!({ "port": port })).unwrap();
    check(output.begin(&start(), Begin::NEW).err(), ErrorKind::Unavailable, &UNKNOWN_CLIENT);
}

const UNKNOWN_CLIENT: [&str; 4] = [
    "closed the connection before it answered, so it probably does not know this client or its certificate",
    "this machine is in its host input client settings, else create it there",
    "`pkcs12` is the newest certificate file downloaded for this client",
    "name resolves to the address from which this machine connects",
];

#[test]
fn connection_refused() {
    let Some(registered) = Registered::new() else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut output = registered.open(&json!({ "port": port })).unwrap();
    let error = output.begin(&start(), Begin::NEW).unwrap_err();
    let parts = [&*format!("cannot connect to 127.0.0.1:{port} at 127.0.0.1:{port}"), "refused", "firewalls"];
    check(Some(error), ErrorKind::Unavailable, &parts);
}

#[test]
fn unknown_host_name() {
    let Some(registered) = Registered::new() else { return };
    let mut output = registered.open(&json!({ "server": "dc.invalid" })).unwrap();
    let error = output.begin(&start(), Begin::NEW).unwrap_err();
    check(Some(error), ErrorKind::Unavailable, &["cannot resolve `dc.invalid`"]);
}

#[test]
fn peer_that_does_not_speak_tls_is_rejected() {
    let Some(registered) = Registered::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"220 mail.example.com ESMTP\r\n").unwrap();
        let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
    });
    let mut output = registered.open(&json!({ "port": port })).unwrap();
    check(output.begin(&start(), Begin::NEW).err(), ErrorKind::Protocol, &["does not speak TLS"]);
}

#[test]
fn invalid_greeting() {
    for (kind, body, part) in [
        (1, &[0, 0, 0, 1][..], "accepts messages of at most 1 bytes"),
        (1, &[0, 8], "as 2 bytes, expected 4"),
        (3, &[0, 8, 0, 0], "sent message type 3, expected the maximum message size"),
        (77, b"", "sent message type 77, expected"),
        (4, b"go away", "rejected version 1 of the host input protocol: `go away`"),
    ] {
        let error = outcome(&json!({}), |behavior| behavior.greeting = Some((kind, body.to_vec())));
        check(error, ErrorKind::Protocol, &[part]);
    }
}

#[test]
fn invalid_reply() {
    for (reply, part) in [
        ((4, &b"out of\x1b memory"[..]), "replied with an error message: `out of? memory`"),
        ((1, &[0, 0, 0, 9]), "sent message type 1, expected the reply to a message"),
        ((3, b""), "did not confirm the commands; it replied ``"),
        ((3, b"Done"), "did not confirm the commands; it replied `Done`"),
        ((3, b"Failed to send UserMessage\n"), "aborted the commands"),
    ] {
        let error = outcome(&json!({}), |behavior| {
            behavior.replies.insert(1, (reply.0, reply.1.to_vec()));
        });
        check(error, ErrorKind::Protocol, &[part]);
    }
    let huge = outcome(&json!({}), |behavior| {
        behavior.replies.insert(1, (3, vec![b'x'; (4 << 20) + 1]));
    });
    check(huge, ErrorKind::Protocol, &["announced a reply of 4194305 bytes", "affected: asset 192.0.2.1"]);
}

#[test]
fn connection_closed_instead_of_reply() {
    for stage in [Stage::Message(1), Stage::Reply(1), Stage::HalfReply(1)] {
        let error = outcome(&json!({}), |behavior| behavior.close_at = Some(stage));
        check(error, ErrorKind::Unavailable, &["affected: asset 192.0.2.1", "127.0.0.1:"]);
    }
}

#[test]
fn message_above_the_actual_limit_is_rejected() {
    for (oversize, kind) in
        [(Oversize::Message, ErrorKind::Protocol), (Oversize::Close, ErrorKind::Unavailable)]
    {
        let error = outcome(&json!({}), |behavior| {
            behavior.greeting = Some((1, vec![0, 8, 0, 0]));
            behavior.max_size = 64;
            behavior.oversize = oversize;
        });
        check(error, kind, &["affected: asset 192.0.2.1"]);
    }
}

#[test]
fn slow_reply_is_accepted_and_missing_reply_times_out() {
    let Some(registered) = Registered::new() else { return };
    registered.center.change(|behavior| {
        behavior.reply_delay = Duration::from_millis(700);
        behavior.reply_pieces = Some(3);
    });
    let mut output = registered.open(&json!({})).unwrap();
    deliver(&mut output, &report(), &complete(&[])).unwrap();
    assert_eq!(registered.results(), expected(&report()));
    let before = Instant::now();
    let no_reply = outcome(&json!({ "reply_timeout_secs": 1 }), |behavior| behavior.no_reply_to = Some(1));
    check(
        no_reply,
        ErrorKind::Unavailable,
        &["timed out: ", "did not finish a message", "reply_timeout_secs"],
    );
    assert!(before.elapsed() < Duration::from_secs(15));
}

/// Each byte arrives in time, but the complete reply does not.
#[test]
fn slow_reply_times_out() {
    let before = Instant::now();
    let slow_reply = outcome(&json!({ "reply_timeout_secs": 1 }), |behavior| {
        behavior.raw_replies.insert(1, [&[0, 0, 0, 3, 0, 0, 4, 0][..], &[b'x'; 1024]].concat());
        (behavior.reply_pieces, behavior.piece_delay) = (Some(1), Duration::from_millis(20));
    });
    let part = "did not finish a message";
    check(slow_reply, ErrorKind::Unavailable, &[part, "affected: asset 192.0.2.1"]);
    let greeting = outcome(&json!({ "connect_timeout_secs": 1 }), |behavior| {
        behavior.raw_replies.insert(0, vec![0; 1024]);
        (behavior.reply_pieces, behavior.piece_delay) = (Some(1), Duration::from_millis(200));
    });
    check(greeting, ErrorKind::Unavailable, &["did not finish the protocol greeting"]);
    assert!(before.elapsed() < Duration::from_secs(15));
}

/// Whatever size is announced, the plugin reads and stores at most the maximum size of a reply.
#[test]
fn invalid_frame_lengths() {
    for (number, about) in [(0, "127.0.0.1"), (1, "affected: asset 192.0.2.1")] {
        for kind in [1, 3, 4, u8::MAX] {
            let garbage = outcome(&json!({}), |behavior| {
                behavior.raw_replies.insert(number, vec![0, 0, 0, kind, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
            });
            check(
                garbage,
                ErrorKind::Protocol,
                &["announced a reply of 4294967295 bytes", "another service may be listening", about],
            );
        }
    }
}

#[test]
fn unknown_domain_is_a_config_error() {
    let parts =
        ["unknown domain, or the client certificate has no write access", "set `domain` to a leaf domain"];
    check(outcome(&json!({ "domain": "Nowhere" }), |_| {}), ErrorKind::Config, &parts);
    let parent = outcome(&json!({}), |behavior| behavior.domains = vec!["Lab".to_owned()]);
    check(parent, ErrorKind::Config, &["not a leaf domain", "set `domain` to a leaf domain"]);
}
