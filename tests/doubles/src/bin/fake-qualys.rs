//! A fake Qualys as a program: `fake-qualys --port PORT --script FILE --ca FILE`.
//!
//! It writes its authority's certificate to the file that `--ca` names, then the line `listening on URL`, then each
//! request as one line. Port 0 takes a free one. It runs until it is killed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use std::path::PathBuf;
use std::process::ExitCode;

use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::fake_qualys::{FakeQualys, Script};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("fake-qualys: {message}");
            ExitCode::from(64)
        }
    }
}

fn run() -> Result<(), String> {
    let (mut port, mut script, mut ca) = (0_u16, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--port" => port = value.parse().map_err(|_| format!("{value} is no port"))?,
            "--script" => script = Some(PathBuf::from(value)),
            "--ca" => ca = Some(PathBuf::from(value)),
            other => return Err(format!("{other} is not known")),
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
