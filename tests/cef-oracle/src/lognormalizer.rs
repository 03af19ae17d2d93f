//! The second judge: liblognorm, the parser behind rsyslog's mmnormalize. The strictest of the well-known ones.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::{env, fs, thread};

use serde_json::Value;

use crate::Verdicts;
use crate::event::Event;

const HEADER: [&str; 6] =
    ["DeviceVendor", "DeviceProduct", "DeviceVersion", "SignatureID", "Name", "Severity"];

/// Reads each line; none when the program is not installed, which in CI is an error.
pub fn parse(lines: &[&str]) -> Result<Option<Verdicts>, String> {
    let rules = env::temp_dir().join(format!("cef-oracle-{}.rulebase", std::process::id()));
    fs::write(&rules, "version=2\nrule=:%f:cef%\n")
        .map_err(|error| format!("cannot write rules: {error}"))?;
    let child = Command::new("lognormalizer")
        .arg("-r")
        .arg(&rules)
        .args(["-e", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            let _ = fs::remove_file(rules);
            return match env::var("CI").as_deref() {
                Ok("true") => Err(format!("lognormalizer does not run, and in CI it must: {error}")),
                _ => Ok(None),
            };
        }
    };
    let mut input = child.stdin.take().ok_or("no standard input")?;
    let sent: String = lines.iter().map(|line| with_space(line) + "\n").collect();
    // Its answers fill the pipe long before all lines are sent.
    let sender = thread::spawn(move || input.write_all(sent.as_bytes()));
    let output = child.wait_with_output().map_err(|error| format!("lognormalizer: {error}"))?;
    let _ = fs::remove_file(rules);
    sender.join().map_err(|_| "the sender panicked")?.map_err(|error| format!("lognormalizer: {error}"))?;
    let answers = String::from_utf8(output.stdout).map_err(|error| format!("lognormalizer: {error}"))?;
    let verdicts: Verdicts = answers.lines().map(read).collect();
    if verdicts.len() != lines.len() {
        return Err(format!("lognormalizer answered {} of {} lines", verdicts.len(), lines.len()));
    }
    Ok(Some(verdicts))
}

/// Version 2.0.6 drops the first character of the first key unless a space follows the header.
fn with_space(line: &str) -> String {
    let mut bars = 0;
    let mut escaped = false;
    for (index, byte) in line.bytes().enumerate() {
        bars += u32::from(byte == b'|' && !escaped);
        escaped = byte == b'\\' && !escaped;
        if bars == 7 {
            let (header, extension) = line.split_at(index + 1);
            let space = if extension.starts_with(' ') { "" } else { " " };
            return format!("{header}{space}{extension}");
        }
    }
    line.to_owned()
}

fn read(answer: &str) -> Result<Event, String> {
    let answer: Value =
        serde_json::from_str(answer).map_err(|error| format!("answer {answer:?}: {error}"))?;
    let event = answer["f"].as_object().ok_or_else(|| format!("refused: {answer}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // It reads version 0 only and does not repeat it.
    let mut header = vec!["0".to_owned()];
    header.extend(HEADER.iter().map(|name| event.get(*name).map(text).unwrap_or_default()));
    let extension = event.get("Extensions").and_then(Value::as_object).into_iter().flatten();
    Ok(Event { header, extension: extension.map(|(key, value)| (key.clone(), text(value))).collect() })
}
