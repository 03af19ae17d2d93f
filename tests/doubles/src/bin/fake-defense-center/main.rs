//! A fake Defense Center as a program: `fake-defense-center --port 8307 --map map.json`; `--help` lists its options.
//!
//! It writes the client's PKCS#12 file and prints each received command line. Whenever the host map changes, it prints
//! the number of results of each asset. It runs until SIGTERM or SIGINT.

mod arguments;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use arguments::{Arguments, USAGE};
use scanbridge_doubles::fake_defense_center::{Behavior, FakeDefenseCenter};
use signal_hook::consts::{SIGINT, SIGTERM};

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)) {
        Ok(None) => {
            print_line(USAGE);
            ExitCode::SUCCESS
        }
        Ok(Some(arguments)) => match run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                let _ = writeln!(io::stderr(), "fake-defense-center: {message}");
                ExitCode::FAILURE
            }
        },
        Err(message) => {
            let _ = writeln!(io::stderr(), "fake-defense-center: {message}\n{USAGE}");
            ExitCode::from(64)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let Arguments { address, port, folder, password, encryption, map: map_file, behavior } = arguments;
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stopped))
            .map_err(|error| format!("cannot handle signal {signal}: {error}"))?;
    }
    let address =
        if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
    let behavior = Behavior { echo: true, ..behavior.clone() };
    let center = FakeDefenseCenter::start_on(&address, behavior)
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let file = center
        .client_file(folder, "client.pkcs12", password, *encryption)
        .ok_or("openssl is not installed")?;
    let authority = center.authority().write_pem(folder, "defense-center.pem");
    print_line(&format!(
        "listening on {}; client file {}, authority {}",
        center.address(),
        file.display(),
        authority.display()
    ));
    let mut map = center.host_map();
    let mut is_last = false;
    while !is_last {
        thread::sleep(Duration::from_millis(100));
        is_last = stopped.load(Ordering::SeqCst);
        let now = center.host_map();
        if now != map {
            map = now;
            let counts: BTreeMap<_, _> =
                map.assets.iter().map(|((_, address), asset)| (address, asset.results.len())).collect();
            print_line(&format!("# results by asset: {counts:?}"));
        }
    }
    match map_file {
        Some(file) => write_file(file, &center.host_map().to_json()),
        None => Ok(()),
    }
}

/// Replaces the file in one step, so that no reader sees a part of it.
fn write_file(path: &Path, text: &str) -> Result<(), String> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let written = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|error| format!("cannot write to {}: {error}", path.display()))
}

fn print_line(line: &str) {
    // Standard output may be closed.
    let _ = writeln!(io::stdout(), "{line}");
}
