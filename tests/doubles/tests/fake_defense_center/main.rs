//! Tests of the fake Defense Center with raw frames: replies, counts and the resulting host map.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

mod client;
mod program;

use std::io::{Read, Write};

use scanbridge_doubles::fake_defense_center::{Behavior, FakeDefenseCenter, LineReader, UnknownAssets};

use client::Client;

/// Sends the messages on one connection. Returns the results in the host map, and the replies.
fn run(behavior: Behavior, messages: &[&str]) -> (Vec<String>, Vec<String>) {
    let center = FakeDefenseCenter::start_on("127.0.0.1:0", behavior).unwrap();
    let mut client = Client::connect(&center).negotiate_version();
    let replies = messages.iter().map(|message| client.send_commands(message)).collect();
    drop(client);
    center.wait_until_idle();
    (center.host_map().all_results(), replies)
}

const RC4: &str = r#"AddScanResult,192.0.2.10,"Acme",4242,443,tcp,"Weak cipher","RC4 offered","cve_ids: CVE-2013-2566","bugtraq_ids:""#;
const PATCH: &str =
    r#"AddScanResult,192.0.2.10,"Acme",5150,,,"Missing patch","Package x","cve_ids:","bugtraq_ids:""#;

#[test]
fn commands_are_counted_except_set_commands() {
    let message = format!(
        "SetSource,Acme\nAddHost,192.0.2.10\nDeleteScanResult,192.0.2.10,\"Acme\"\n{RC4}\n{PATCH}\nScanUpdate\n\
         AddHost,192.0.2.11\nDeleteScanResult,192.0.2.11,\"Acme\"\nScanUpdate\n"
    );
    let (results, replies) = run(Behavior::default(), &[&message]);
    assert_eq!(replies, ["Done processing 8 commands.\n"]);
    assert_eq!(results, ["192.0.2.10: Acme 4242 443 tcp", "192.0.2.10: Acme 5150"]);
}

#[test]
fn unreadable_lines_are_dropped_silently() {
    let message = "SetSource,Acme\n# a comment\n\n \nSetSourceType,2\nAddHost,192.0.2.1\r\nAddHost,192.0.2.2 \nNonsense,1\n\
                   AddHost,\"192.0.2.3\nAddHost,é";
    let (_, replies) = run(Behavior::default(), &[message]);
    assert_eq!(replies, ["Done processing 1 commands.\n"]);
    let tolerant = Behavior { line_reader: LineReader::Tolerant, ..Behavior::default() };
    let (_, replies) = run(tolerant, &["SetSource,Acme\nAddHost,%3192.0.2.1\n"]);
    assert_eq!(replies, ["Done processing 1 commands.\n"]);
}

#[test]
fn update_merges_and_flush_replaces_results() {
    let update = |line: &str| format!("SetSource,Acme\n{line}\nScanUpdate\n");
    let both = [&*update(RC4), &*update(PATCH)];
    assert_eq!(run(Behavior::default(), &both).0.len(), 2);
    let flush = format!("{PATCH}\nScanFlush\n");
    assert_eq!(run(Behavior::default(), &[&update(RC4), &flush]).0, ["192.0.2.10: Acme 5150"]);
    let pending_deletion = format!("DeleteScanResult,192.0.2.10,\"Acme\",4242,443,tcp\n{PATCH}\nScanFlush\n");
    let (results, _) = run(Behavior::default(), &[&update(RC4), &pending_deletion, "ScanUpdate\n"]);
    assert_eq!(results, ["192.0.2.10: Acme 5150"]);
}

#[test]
fn flush_keeps_results_of_other_scanners_by_default() {
    let other = RC4.replace("Acme", "Other");
    let messages = [&*format!("{other}\nScanUpdate\n"), &*format!("{PATCH}\nScanFlush\n")];
    assert_eq!(run(Behavior::default(), &messages).0.len(), 2);
    let all = Behavior { flush_deletes_all_scanners: true, ..Behavior::default() };
    assert_eq!(run(all, &messages).0, ["192.0.2.10: Acme 5150"]);
}

#[test]
fn end_of_connection_applies_pending_commands() {
    let (results, replies) = run(Behavior::default(), &[RC4]);
    assert_eq!(replies, ["Done processing 1 commands.\n"]);
    assert_eq!(results, ["192.0.2.10: Acme 4242 443 tcp"]);
}

/// A rude center resets a client that it does not know, without an alert, and treats others as before.
#[test]
fn rude_center_resets_unknown_clients() {
    let rude = Behavior { rude: true, ..Behavior::default() };
    assert_eq!(run(rude.clone(), &[RC4]).0, ["192.0.2.10: Acme 4242 443 tcp"]);
    let center = FakeDefenseCenter::start_on("127.0.0.1:0", rude).unwrap();
    center.revoke_clients();
    let error = Client::connect(&center).0.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn deletion_arguments_limit_the_deletion() {
    let all = format!("{RC4}\n{PATCH}\n{}\nScanUpdate\n", RC4.replace("Acme", "Other"));
    for (arguments, left) in [
        ("", 0),
        (",\"Acme\"", 1),
        (",\"Acme\",5150", 2),
        (",\"Acme\",4242", 3),
        (",\"Acme,Other\",4242,443,tcp", 1),
        (",\"Acme\",,443,6", 2),
        (",,,443,tcp", 1),
    ] {
        let delete = format!("DeleteScanResult,192.0.2.10{arguments}\nScanUpdate\n");
        let (results, replies) = run(Behavior::default(), &[&all, &delete]);
        assert_eq!(results.len(), left, "{arguments}: {results:?}");
        assert_eq!(replies[1], "Done processing 2 commands.\n");
    }
    let (_, replies) = run(Behavior::default(), &["DeleteScanResult,192.0.2.10,,5\n"]);
    assert!(replies[0].starts_with("Wrong command syntax on DeleteScanResult"), "{replies:?}");
}

#[test]
fn failures_are_reported_before_or_after_the_done_line() {
    let (_, replies) = run(
        Behavior { unknown_assets: UnknownAssets::Fail, ..Behavior::default() },
        &[
            "AddHost,192.0.2.1\nAddHost,nowhere\n",
            &format!("{PATCH}\nScanUpdate\n"),
            "AddScanResult,192.0.2.1,\"A\",1,1,icmp,\"\",\"\",\"cve_ids:\",\"bugtraq_ids:\"\n",
            "AddScanResult,192.0.2.1,\"A\",1,,,\"\",\"\",\"CVE-1\",\"bugtraq_ids:\"\n",
            "AddScanResult,192.0.2.1,\"A\",1,,,\"\",\"\"\n",
        ],
    );
    assert!(replies[0].contains("[AddHost]: Must set source application"), "{}", replies[0]);
    assert!(replies[0].contains("Failed to recognize IP address:"));
    assert!(replies[0].ends_with("Done processing 2 commands.\n"));
    let failure = "Failure to Run Scan API:\nCommand: ScanUpdate, IP: 192.0.2.10, vuln_count = 1\n";
    assert_eq!(replies[1], format!("Done processing 2 commands.\n{failure}"));
    for (reply, part) in [
        (&replies[2], "Wrong protocol icmp entered"),
        (&replies[3], "can not find the header: 'cve_ids:'"),
        (&replies[4], "Wrong command syntax on Vuln ID:"),
    ] {
        assert!(
            reply.contains(part) && reply.contains("Failed to Execute Command: AddScanResult"),
            "{reply}"
        );
    }
}

#[test]
fn unknown_domain_or_map_aborts_the_message() {
    let behavior =
        Behavior { domains: vec!["Lab".to_owned()], maps: vec!["Known".to_owned()], ..Behavior::default() };
    let (_, replies) = run(
        behavior,
        &[
            "SetDomain,Global\\Lab\nSetSource,Acme\nAddHost,192.0.2.1\n",
            "AddHost,192.0.2.2\n",
            "SetSource,Acme\nAddHost,192.0.2.3\n",
            "SetDomain,Nowhere\nAddHost,192.0.2.4\n",
            "SetMap,Unknown\nAddHost,192.0.2.5\n",
            "SetMap:Known,SetMap,Known\n",
        ],
    );
    assert_eq!(replies[0], "Done processing 1 commands.\n");
    assert!(
        replies[1].contains("is not a leaf domain") && replies[1].ends_with("Done processing 1 commands.\n")
    );
    for (reply, part) in [
        (&replies[2], "is not a leaf domain"),
        (&replies[3], "is not in the certificate domain"),
        (&replies[4], "Failed to find map 'Unknown'"),
    ] {
        assert!(reply.contains(part) && !reply.contains("Done"), "{reply}");
    }
    assert_eq!(replies[5], "Done processing 1 commands.\n");
}

#[test]
fn newer_version_and_oversized_body_are_rejected() {
    let center = FakeDefenseCenter::start();
    let mut client = Client::connect(&center);
    client.send(2, &[0, 0, 0, 2]);
    assert_eq!(client.receive(), (4, b"client version 2 is newer than 1\n".to_vec()));
    center.change(|behavior| behavior.max_size = 4);
    let mut client = Client::connect(&center);
    client.send(2, &[0, 0, 0, 1]);
    assert_eq!(client.receive(), (1, vec![0, 0, 0, 4]));
    client.send(3, b"12345");
    assert_eq!(client.receive().0, 4);
}

#[test]
fn unknown_client_certificate_is_rejected() {
    let center = FakeDefenseCenter::start();
    let registered = Client::connect(&center).negotiate_version();
    center.revoke_clients();
    let mut rejected = Client::connect(&center);
    // With TLS 1.3 the client notices the rejection at the first read.
    let _ = rejected.0.write_all(&[0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 1]);
    assert!(rejected.0.read_exact(&mut [0; 8]).is_err());
    drop(registered);
    assert!(center.connections()[0].subject.contains("Intrusion Management System"));
    assert_eq!(center.connections()[1].subject, "");
}
