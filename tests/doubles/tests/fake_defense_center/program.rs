//! Tests of the program: its options, its faults, and the map that it writes when it is stopped.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::client::Client;
use crate::{PATCH, RC4};

const PROGRAM: &str = env!("CARGO_BIN_EXE_fake-defense-center");

/// A running program. It is stopped when this is dropped.
struct Program {
    process: Child,
    address: SocketAddr,
}

impl Program {
    fn start(folder: &Path, options: &[&str]) -> Self {
        let mut process = Command::new(PROGRAM)
            .args(["--port", "0", "--modern", "--folder"])
            .arg(folder)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(';').next());
        Self { address: address.unwrap().parse().unwrap(), process }
    }

    /// Connects with the client file that the program wrote.
    fn client(&self, folder: &Path) -> Client {
        let pem = folder.join("client.pem");
        let converted = Command::new("openssl")
            .args(["pkcs12", "-nodes", "-passin", "pass:", "-in"])
            .arg(folder.join("client.pkcs12"))
            .arg("-out")
            .arg(&pem)
            .output()
            .unwrap();
        assert!(converted.status.success(), "{converted:?}");
        let authority = CertificateDer::from_pem_file(folder.join("defense-center.pem")).unwrap();
        let client = CertificateDer::pem_file_iter(&pem).unwrap().next().unwrap().unwrap();
        let key = PrivateKeyDer::from_pem_file(&pem).unwrap();
        Client::connect_to(self.address, authority, vec![client], key)
    }

    /// Sends SIGTERM. Returns the exit code.
    fn terminate(mut self) -> Option<i32> {
        let sent = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(sent.success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

#[test]
fn map_file_is_written_at_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map.json");
    let program = Program::start(folder.path(), &["--map", map.to_str().unwrap()]);
    let mut client = program.client(folder.path()).negotiate_version();
    client.send_commands("SetSource,\"Qualys\"\nAddHost,192.0.2.10\nSetOS,192.0.2.10,Acme,OS,2\n");
    client
        .send_commands("SetAttributeValue,192.0.2.10,Owner,Web team\nSetAttributeValue,192.0.2.10,Rack,7\n");
    client.send_commands("DeleteAttributeValue,192.0.2.10,Rack\n");
    client.send_commands(&format!("{RC4}\n{PATCH}\nScanUpdate\n"));
    drop(client);
    assert!(!map.exists(), "the file is written at the end");
    assert_eq!(program.terminate(), Some(0));
    let map: Value = serde_json::from_slice(&std::fs::read(map).unwrap()).unwrap();
    let expected = json!({ "assets": [{
        "domain": "Global",
        "address": "192.0.2.10",
        "is_added": true,
        "os": { "vendor": "Acme", "product": "OS", "version": "2" },
        "attributes": { "Owner": "Web team" },
        "results": [
            {
                "scanner": "Acme", "id": "4242", "port": "443", "protocol": "tcp", "name": "Weak cipher",
                "description": "RC4 offered", "cves": ["2013-2566"], "bugtraqs": [],
            },
            {
                "scanner": "Acme", "id": "5150", "port": "", "protocol": "", "name": "Missing patch",
                "description": "Package x", "cves": [], "bugtraqs": [],
            },
        ],
    }] });
    assert_eq!(map, expected);
}

#[test]
fn map_file_that_cannot_be_written_fails_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("missing/map.json");
    let program = Program::start(folder.path(), &["--map", map.to_str().unwrap()]);
    assert_eq!(program.terminate(), Some(1));
}

#[test]
fn faults_are_options() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--reply", "1=4:no license", "--failing-host", "192.0.2.7", "--close-at", "message=3"];
    let program = Program::start(folder.path(), &options);
    let mut client = program.client(folder.path()).negotiate_version();
    client.send(3, b"ScanUpdate\n");
    assert_eq!(client.receive(), (4, b"no license".to_vec()));
    let failed = client.send_commands("SetSource,\"Qualys\"\nAddHost,192.0.2.7\n");
    assert!(failed.contains("Failed to Execute Command: AddHost"), "{failed}");
    client.send(3, b"ScanUpdate\n");
    assert_eq!(client.0.read(&mut [0]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn connection_reset() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &["--reset", "--close-at", "message=1"]);
    let mut client = program.client(folder.path()).negotiate_version();
    client.send(3, b"ScanUpdate\n");
    assert_eq!(client.0.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn help_lists_the_options() {
    for (program, options) in [
        (PROGRAM, &["--map FILE", "--reset", "--close-at POINT"][..]),
        (env!("CARGO_BIN_EXE_fake-qualys"), &["--script FILE", "--ca FILE"]),
    ] {
        let help = run(program, &["--help"]);
        assert_eq!(help.status.code(), Some(0), "{program}");
        let text = String::from_utf8(help.stdout).unwrap();
        for option in options {
            assert!(text.contains(option), "no {option} in: {text}");
        }
    }
}

#[test]
fn invalid_options_are_usage_errors() {
    for (arguments, error) in [
        (&["--colour"][..], "--colour: unknown option"),
        (&["--map"], "--map: requires a value"),
        (&["--close-at", "lunch"], "--close-at: unknown point `lunch`"),
        (&["--reply", "1"], "--reply: must be N=TYPE:TEXT"),
        (&["--port", "70000"], "--port: `70000` is not a valid number"),
    ] {
        let refused = run(PROGRAM, arguments);
        assert_eq!(refused.status.code(), Some(64), "{arguments:?}");
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(text.contains(error), "{text}");
    }
}
