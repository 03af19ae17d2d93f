//! A fake Qualys as a program: `fake-qualys --port PORT --script FILE --ca FILE`; `--help` lists its options.
//!
//! It writes the certificate of its authority to the file of `--ca`. It prints `listening on URL`, then one line per
//! request, and `calls at once: NUMBER` when more calls than before are in progress. Port 0, the default, selects a free port. It runs until it is killed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use std::path::PathBuf;
use std::process::ExitCode;

use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::fake_qualys::{FakeQualys, Script};

const USAGE: &str = "\
usage: fake-qualys --script FILE --ca FILE [--port PORT]
  Prints `listening on URL`, then one line per request, until it is killed.

  --script FILE  rules `PATTERN => RESPONSE`, as documented in the module `fake_qualys::file`
  --ca FILE      writes the certificate of its authority to this file
  --port PORT    listens on this port of 127.0.0.1; 0 selects a free one (0)
  --help         print this text";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("fake-qualys: {message}\n{USAGE}");
            ExitCode::from(64)
        }
    }
}

fn run() -> Result<(), String> {
    let (mut port, mut script, mut ca) = (0_u16, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} requires a value"));
        match argument.as_str() {
            "--help" => {
                println!("{USAGE}");
                return Ok(());
            }
            "--port" => port = value()?.parse().map_err(|_| "a port must be 0 to 65535".to_owned())?,
            "--script" => script = Some(PathBuf::from(value()?)),
            "--ca" => ca = Some(PathBuf::from(value()?)),
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    let script = Script::read(&script.ok_or("--script is missing")?)?;
    let ca = ca.ok_or("--ca is missing")?;
    let authority = Authority::new("Fake Qualys");
    std::fs::write(&ca, authority.pem()).map_err(|error| format!("{}: {error}", ca.display()))?;
    let server = authority.issue(&Request::server(&["127.0.0.1", "localhost"]));
    let tls = authority.server_config(&server, false);
    let qualys = FakeQualys::start_at(&format!("127.0.0.1:{port}"), tls, script, true);
    println!("listening on {}", qualys.url());
    loop {
        std::thread::park();
    }
}
