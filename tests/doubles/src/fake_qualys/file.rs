//! Script files for the program `fake-qualys`.
//!
//! Each line defines one response: a pattern as in [`Script::on`], ` => `, and the response. Successive lines with the
//! same pattern are responses to successive requests. Empty lines and lines that begin with `#` are ignored.
//!
//! ```text
//! POST action=launch  => simple New report launched ID=77
//! action=list id=77   => file running.xml
//! action=list id=77   => file finished.xml
//! action=fetch        => code 200 7001 Report cannot be fetched.
//! action=fetch        => file report.xml drip=65536/10
//! action=delete       => simple Report deleted
//! /msp/old.php        => html 404
//! *                   => population assets=200 per_asset=3 qids=40
//! *                   => scans finished=3 running=1 findings=2
//! ```
//!
//! `drip=BYTES/MILLISECONDS`, `cut=BYTES`, `gzip` and `delay=MILLISECONDS` may follow a file name. Files are located in
//! the directory of the script.

use std::path::Path;
use std::time::Duration;

use super::{Population, Reply, Script, StoredScans};

impl Script {
    /// Reads a script file.
    ///
    /// # Errors
    /// If the file cannot be read or a line is invalid: the file, the line number and the reason.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut script = Self::new();
        let mut pending: Option<(String, Vec<Reply>)> = None;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: &str| format!("{}, line {}: {what}", path.display(), index + 1);
            let (pattern, response) = line.split_once("=> ").ok_or_else(|| wrong("missing `=>`"))?;
            let pattern = pattern.trim().trim_start_matches('*').to_owned();
            match read_response(response.trim(), folder).map_err(|what| wrong(&what))? {
                Line::Population(population) => {
                    script = flush(script, pending.take()).population(population);
                }
                Line::Scans(scans) => script = flush(script, pending.take()).scans(scans),
                Line::Reply(reply) => match &mut pending {
                    Some((before, replies)) if *before == pattern => replies.push(*reply),
                    _ => {
                        script = flush(script, pending.replace((pattern, vec![*reply])));
                    }
                },
            }
        }
        Ok(flush(script, pending))
    }
}

enum Line {
    Reply(Box<Reply>),
    Population(Population),
    Scans(StoredScans),
}

fn flush(script: Script, pending: Option<(String, Vec<Reply>)>) -> Script {
    match pending {
        Some((pattern, replies)) => script.on(&pattern, replies),
        None => script,
    }
}

fn read_response(text: &str, folder: &Path) -> Result<Line, String> {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut words = rest.split_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok()).ok_or("missing number");
    let reply = match kind {
        "simple" => {
            let (text, items): (Vec<&str>, Vec<&str>) =
                rest.split_whitespace().partition(|word| !word.contains('='));
            let items: Vec<(&str, &str)> = items.iter().filter_map(|item| item.split_once('=')).collect();
            Reply::simple(&text.join(" "), &items)
        }
        "code" => {
            let (status, code) = (number()?, number()?);
            let status = u16::try_from(status).map_err(|_| "invalid HTTP status")?;
            Reply::code(status, code, &words.collect::<Vec<_>>().join(" "))
        }
        "html" => Reply::html(u16::try_from(number()?).map_err(|_| "invalid HTTP status")?),
        "file" => read_file(rest, folder)?,
        "population" => return Ok(Line::Population(read_population(rest)?)),
        "scans" => return Ok(Line::Scans(read_scans(rest)?)),
        _ => return Err(format!("unknown response `{kind}`")),
    };
    Ok(Line::Reply(Box::new(reply)))
}

fn read_file(rest: &str, folder: &Path) -> Result<Reply, String> {
    let mut words = rest.split_whitespace();
    let name = words.next().ok_or("missing file name")?;
    let body = std::fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
    let mut reply = Reply::new(200, "application/xml", body);
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("invalid number in `{word}`"));
        reply = match key {
            "gzip" => reply.gzip(),
            "cut" => reply.truncate_at(number(value)? as usize),
            "delay" => reply.delay(Duration::from_millis(number(value)?.into())),
            "drip" => {
                let (bytes, pause) = value.split_once('/').ok_or("`drip` must be BYTES/MILLISECONDS")?;
                reply.in_pieces(number(bytes)? as usize, Duration::from_millis(number(pause)?.into()))
            }
            _ => return Err(format!("unknown word `{word}`")),
        };
    }
    Ok(reply)
}

fn read_population(rest: &str) -> Result<Population, String> {
    let mut population = Population::of(100);
    for word in rest.split_whitespace() {
        let (key, value) = word.split_once('=').ok_or_else(|| format!("unknown word `{word}`"))?;
        let number = value.parse().map_err(|_| format!("invalid number in `{word}`"))?;
        match key {
            "assets" => population.assets = number,
            "per_asset" => population.per_asset = number,
            "qids" => population.qids = number,
            "most_per_page" => population.max_assets_per_page = number,
            "broken" => population.truncated_assets.push(number),
            "silent" => population.without_detections.push(number),
            "delay" => population.delay = Duration::from_millis(u64::from(number)),
            _ => return Err(format!("unknown word `{word}`")),
        }
    }
    Ok(population)
}

fn read_scans(rest: &str) -> Result<StoredScans, String> {
    let mut scans = StoredScans::of(3);
    for word in rest.split_whitespace() {
        let (key, value) = word.split_once('=').ok_or_else(|| format!("unknown word `{word}`"))?;
        let number = value.parse().map_err(|_| format!("invalid number in `{word}`"))?;
        match key {
            "finished" => scans.finished = number,
            "running" => scans.running = number,
            "findings" => scans.findings = number,
            "delay" => scans.delay = Duration::from_millis(u64::from(number)),
            _ => return Err(format!("unknown word `{word}`")),
        }
    }
    Ok(scans)
}
