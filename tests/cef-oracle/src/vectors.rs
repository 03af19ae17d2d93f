//! Vectors of others, to see that the judges are driven rightly: the lines that a careful producer may write.

use std::{env, fs};

use serde::Deserialize;
use serde_json::Value;

use crate::event::Event;
use crate::{lognormalizer, vector_remap};

#[derive(Deserialize)]
struct Vector {
    id: String,
    kind: String,
    #[serde(default)]
    line: String,
    #[serde(default)]
    producer_legal: String,
    expect: Expectation,
    /// What the standard says, where the reader that the vector is from deviates.
    spec_expect: Option<Expectation>,
}

#[derive(Deserialize)]
struct Expectation {
    #[serde(default)]
    header: Value,
    #[serde(default)]
    ext: Value,
}

/// Gives every line that is legal to both judges and counts those that either reads wrongly.
///
/// The file named by `SCANBRIDGE_CEF_VECTORS`: JSON objects, one per line, with `id`, `kind` (`parse`), `line`,
/// `producer_legal` (`legal`) and `expect` (`header`, `ext`).
pub fn judge_the_judges() -> Result<usize, String> {
    let Some(path) = env::var_os("SCANBRIDGE_CEF_VECTORS") else {
        println!("vectors: skipped, SCANBRIDGE_CEF_VECTORS is not set");
        return Ok(0);
    };
    let text =
        fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let vectors = text.lines().map(serde_json::from_str).collect::<Result<Vec<Vector>, _>>();
    let mut vectors = vectors.map_err(|error| format!("bad vector: {error}"))?;
    vectors.retain(|vector| vector.kind == "parse" && vector.producer_legal == "legal");
    // A judge reads lines, so what follows a line's end is not its to see.
    let lines: Vec<&str> = vectors.iter().map(|vector| vector.line.trim_end_matches(['\r', '\n'])).collect();
    let first = vector_remap::parse(&lines)?;
    let second = lognormalizer::parse(&lines)?;
    let mut failures = 0;
    for (index, vector) in vectors.iter().enumerate() {
        let expected = vector.event();
        let mut verdicts = vec![("parse_cef", &first[index])];
        // liblognorm knows version 0 and no syslog header.
        if let Some(second) = second.as_ref().filter(|_| vector.line.starts_with("CEF:0|")) {
            verdicts.push(("lognormalizer", &second[index]));
        }
        for (name, verdict) in verdicts {
            let problem = match verdict {
                Ok(event) => loosely(&expected).difference(&loosely(event)),
                Err(problem) => Some(problem.clone()),
            };
            if let Some(problem) = problem {
                println!("vector {}: {name}: {problem}", vector.id);
                failures += 1;
            }
        }
    }
    println!("vectors: {} legal lines, {failures} failures", vectors.len());
    Ok(failures)
}

impl Vector {
    fn event(&self) -> Event {
        const HEADER: [&str; 7] =
            ["version", "vendor", "product", "dev_version", "class_id", "name", "severity"];
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let expect = self.spec_expect.as_ref().unwrap_or(&self.expect);
        let extension = expect.ext.as_object().into_iter().flatten();
        Event {
            header: HEADER.iter().map(|name| text(&expect.header[*name])).collect(),
            extension: extension.map(|(key, value)| (key.clone(), text(value))).collect(),
        }
    }
}

/// The two parsers differ by design in how a carriage return, trailing spaces and bars, and quotation marks are
/// returned. Our own lines contain none of the first two.
fn loosely(event: &Event) -> Event {
    let loose = |text: &String| {
        let text = text.replace('\r', "\n");
        let text = text.trim_end_matches([' ', '|', '\t', '\n']).trim_start();
        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).to_owned()
    };
    Event {
        header: event.header.iter().map(loose).collect(),
        extension: event.extension.iter().map(|(key, value)| (key.clone(), loose(value))).collect(),
    }
}
