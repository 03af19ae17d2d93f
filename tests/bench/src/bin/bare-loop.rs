//! The minimum cost of reading XML with the parser of the product: reads every event of each file on the command line
//! and discards it. Names of end tags are checked, as in the product. A file whose name ends in `.gz` is decompressed
//! while it is read.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use flate2::read::MultiGzDecoder;
use quick_xml::Reader;
use quick_xml::events::Event;

const BUFFER_BYTES: usize = 256 * 1024;

fn main() -> ExitCode {
    for path in std::env::args_os().skip(1) {
        match count_events_of_file(path.as_ref()) {
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

fn count_events_of_file(path: &Path) -> Result<u64, Box<dyn Error>> {
    let file = File::open(path)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        return count_events(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(file)));
    }
    count_events(BufReader::with_capacity(BUFFER_BYTES, file))
}

fn count_events(input: impl BufRead) -> Result<u64, Box<dyn Error>> {
    let mut reader = Reader::from_reader(input);
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
