//! The minimum cost of reading XML with the parser of the product: reads every event of each file on the command line
//! and discards it. Names of end tags are checked, as in the product.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use quick_xml::Reader;
use quick_xml::events::Event;

fn main() -> ExitCode {
    for path in std::env::args_os().skip(1) {
        match count_events(path.as_ref()) {
            Ok(events) => {
                let _ = writeln!(io::stdout(), "{events}");
            }
            Err(error) => {
                let _ = writeln!(io::stderr(), "bare-loop: {}: {error}", Path::new(&path).display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn count_events(path: &Path) -> Result<u64, Box<dyn Error>> {
    let mut reader = Reader::from_reader(BufReader::with_capacity(256 * 1024, File::open(path)?));
    reader.config_mut().check_end_names = true;
    let mut buffer = Vec::new();
    let mut events = 0;
    loop {
        if matches!(reader.read_event_into(&mut buffer)?, Event::Eof) {
            return Ok(events);
        }
        events += 1;
        buffer.clear();
    }
}
