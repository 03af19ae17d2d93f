//! Judges CEF lines by two parsers that know nothing of Scanbridge: Vector's `parse_cef`, and liblognorm through
//! its `lognormalizer` program. Both must give back exactly what the lines were made of.
//!
//! `cef-oracle EXPECTED.ndjson LINES.cef`: a line of the first file holds what the same line of the second must
//! say. With `SCANBRIDGE_CEF_VECTORS` set to a file of vectors, the judges are judged first.

mod event;
mod lognormalizer;
mod vector_remap;
mod vectors;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use event::Event;

/// What one parser makes of each line: the event, or why it refuses it.
type Verdicts = Vec<Result<Event, String>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [expected, lines] = arguments.as_slice() else {
        eprintln!("usage: cef-oracle EXPECTED.ndjson LINES.cef");
        return ExitCode::from(64);
    };
    match judge(Path::new(expected), Path::new(lines)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            println!("{failures} failures");
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn judge(expected: &Path, lines: &Path) -> Result<usize, String> {
    let expected = read(expected)?;
    let expected = expected.lines().map(Event::from_json).collect::<Result<Vec<_>, _>>()?;
    let text = read(lines)?;
    // Not `lines()`: a line must end in a line feed alone.
    let lines: Vec<&str> = text.split_terminator('\n').collect();
    if expected.len() != lines.len() || lines.is_empty() {
        return Err(format!("{} lines for {} expected events", lines.len(), expected.len()));
    }
    let mut failures = vectors::judge_the_judges()?;
    failures +=
        compare("parse_cef", &lines, &expected, vector_remap::parse(&lines)?, vector_remap::as_it_reads);
    match lognormalizer::parse(&lines)? {
        Some(verdicts) => {
            failures += compare("lognormalizer", &lines, &expected, verdicts, Event::clone);
        }
        None => println!("lognormalizer: skipped, the program (Debian: liblognorm-utils)"),
    }
    Ok(failures)
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    String::from_utf8(bytes).map_err(|error| format!("{} is not valid UTF-8: {error}", path.display()))
}

/// Counts the lines on which a parser does not agree and shows the first ones.
fn compare(
    name: &str,
    lines: &[&str],
    expected: &[Event],
    verdicts: Verdicts,
    as_it_reads: impl Fn(&Event) -> Event,
) -> usize {
    const SHOWN: usize = 5;
    let mut failures = 0;
    for (number, (line, (expected, verdict))) in lines.iter().zip(expected.iter().zip(verdicts)).enumerate() {
        let difference = match verdict {
            Ok(event) => as_it_reads(expected).difference(&event),
            Err(problem) => Some(problem),
        };
        if let Some(difference) = difference {
            failures += 1;
            if failures <= SHOWN {
                println!("{name}: line {}: {difference}\n    {line}", number + 1);
            }
        }
    }
    let values: usize = expected.iter().map(|event| event.extension.len()).sum();
    println!("{name}: {} lines with {values} values, {failures} failures", lines.len());
    failures
}
