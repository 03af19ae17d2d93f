//! Runs a fake Defense Center from the command line:
//! `cargo run -p scanbridge-doubles --bin fake-defense-center -- --port 8307`
//!
//! It writes the client's PKCS#12 file and prints each received command line. Whenever the host map changes, it prints
//! the number of results of each asset.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use scanbridge_doubles::certificates::Pkcs12;
use scanbridge_doubles::fake_defense_center::{Behavior, FakeDefenseCenter, LineReader};

const USAGE: &str =
    "usage: fake-defense-center [--address 127.0.0.1] [--port 8307] [--folder .] [--password TEXT] [--modern] \
                     [--tolerant] [--max-size BYTES] [--domain NAME]…
  writes FOLDER/client.pkcs12 and FOLDER/defense-center.pem, then listens until it is stopped";

struct Arguments {
    address: String,
    port: u16,
    folder: PathBuf,
    password: String,
    encryption: Pkcs12,
    behavior: Behavior,
}

fn main() -> ExitCode {
    let outcome = arguments(std::env::args().skip(1)).and_then(|arguments| run(&arguments));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "{message}\n{USAGE}");
            ExitCode::from(64)
        }
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        address: "127.0.0.1".to_owned(),
        port: 8307,
        folder: PathBuf::from("."),
        password: String::new(),
        encryption: Pkcs12::DefenseCenter,
        behavior: Behavior::default(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} requires a value"));
        let number = |text: String| text.parse::<u32>().map_err(|_| format!("`{text}` is not a number"));
        match word.as_str() {
            "--address" => arguments.address = value()?,
            "--port" => {
                arguments.port = value()?.parse().map_err(|_| "a port must be 0 to 65535".to_owned())?
            }
            "--folder" => arguments.folder = value()?.into(),
            "--password" => arguments.password = value()?,
            "--modern" => arguments.encryption = Pkcs12::Modern,
            "--tolerant" => arguments.behavior.line_reader = LineReader::Tolerant,
            "--max-size" => arguments.behavior.max_size = number(value()?)?,
            "--domain" => arguments.behavior.domains.push(value()?),
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    Ok(arguments)
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let Arguments { address, port, folder, password, encryption, behavior } = arguments;
    let address =
        if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
    let center = FakeDefenseCenter::start_on(&address, behavior.clone())
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
    let mut printed = 0;
    let mut map = center.host_map();
    loop {
        thread::sleep(Duration::from_millis(200));
        let lines = center.lines();
        lines[printed..].iter().for_each(|line| print_line(line));
        printed = lines.len();
        let now = center.host_map();
        if now != map {
            map = now;
            let counts: BTreeMap<_, _> =
                map.assets.iter().map(|((_, address), asset)| (address, asset.results.len())).collect();
            print_line(&format!("# results by asset: {counts:?}"));
        }
    }
}

fn print_line(line: &str) {
    // Standard output may be closed.
    let _ = writeln!(io::stdout(), "{line}");
}
