//! Evaluates the Defense Center's reply to a message.
//!
//! The reply is a text: messages, the line `Done processing N commands.`, then failures of scan commands. Success is
//! that line alone, with the right number: the Defense Center silently drops lines that it cannot read, and the
//! number is the only sign of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::packer::Body;
use crate::protocol::printable;

/// Assets with refused commands, each with the reason.
pub(crate) type Refused = BTreeMap<IpAddr, String>;

/// The result of a reply. Empty for a message that was accepted completely.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Evaluation {
    /// The refused assets that the reply names.
    pub(crate) refused: Refused,
    /// The reason of a refusal without an asset: it may concern any asset of the message.
    pub(crate) of_any: Option<String>,
}

/// Evaluates the reply to a message.
///
/// # Errors
/// When the Defense Center aborted the message: [`ErrorKind::Config`] for a domain, source or map that it does not
/// accept, otherwise [`ErrorKind::Protocol`].
pub(crate) fn evaluate(center: &str, text: &str, body: &Body) -> Result<Evaluation> {
    let Some((before, count, after)) = split(text) else { return Err(aborted(center, text)) };
    let is_exact = before.is_empty() && after.is_empty() && text.ends_with('\n');
    let mut evaluation = Evaluation::default();
    if is_exact && count == Some(body.commands) {
        return Ok(evaluation);
    }
    evaluation.assign_messages(&messages(before), body);
    evaluation.assign_messages(&messages(after), body);
    if count != Some(body.commands) || evaluation == Evaluation::default() {
        let counted = count.map_or_else(|| "an invalid number".to_owned(), |count| count.to_string());
        let reason = format!(
            "the Defense Center processed {counted} of {} commands; it silently drops lines it cannot parse",
            body.commands
        );
        evaluation.of_any.get_or_insert(reason);
    }
    Ok(evaluation)
}

impl Evaluation {
    /// Finds the assets of the messages. A message without an asset belongs to the next message that names one. If
    /// none follows, it may concern any asset.
    fn assign_messages(&mut self, messages: &[String], body: &Body) {
        let mut reason = String::new();
        for message in messages {
            if !reason.is_empty() {
                reason.push_str("; ");
            }
            reason.push_str(&explain(message));
            let named = addresses(message, body);
            if !named.is_empty() {
                for address in named {
                    self.refused.entry(address).or_insert_with(|| reason.clone());
                }
                reason.clear();
            }
        }
        if !reason.is_empty() {
            self.of_any.get_or_insert(reason);
        }
    }

    /// The refused assets. If the reply does not identify them, all assets of the message.
    pub(crate) fn into_refused(self, body: &Body) -> Refused {
        let Self { mut refused, of_any } = self;
        for share in &body.shares {
            if let Some(reason) = &of_any {
                refused.entry(share.address).or_insert_with(|| reason.clone());
            }
        }
        refused
    }
}

/// The text before the Done line, its number, and the text after it.
fn split(text: &str) -> Option<(&str, Option<u64>, &str)> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.strip_suffix('\n').unwrap_or(line);
        if let Some(number) =
            bare.strip_prefix("Done processing ").and_then(|rest| rest.strip_suffix(" commands."))
        {
            return Some((&text[..start], plain_number(number), &text[start + line.len()..]));
        }
        start += line.len();
    }
    None
}

fn plain_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| digits && plain)
}

/// Splits a text into messages. Each begins at a line with a known fragment and ends before the next one.
fn messages(text: &str) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match messages.last_mut() {
            Some(last) if fragment(line).is_none() => {
                last.push('\n');
                last.push_str(line);
            }
            _ => messages.push(line.to_owned()),
        }
    }
    messages
}

/// The assets of the body that are named in a message.
fn addresses(message: &str, body: &Body) -> Vec<IpAddr> {
    let is_part = |character: char| character.is_ascii_hexdigit() || character == '.' || character == ':';
    // Matches both `IP: 192.0.2.1,` and `field 1: 2001:db8::1`. A colon or full stop at either end is punctuation.
    let words = message.split(|character| !is_part(character));
    let mut found: Vec<IpAddr> = words
        .flat_map(|word| [word, word.trim_end_matches(['.', ':'])])
        .filter_map(|word| word.parse().ok())
        .filter(|address| body.has(*address))
        .collect();
    found.dedup();
    found
}

fn explain(message: &str) -> String {
    let text = printable(message);
    match fragment(message) {
        Some(Fragment { meaning, .. }) => format!("{meaning} (`{text}`)"),
        None => format!("the Defense Center replied `{text}`"),
    }
}

/// The error for a message that the Defense Center aborted.
fn aborted(center: &str, text: &str) -> PluginError {
    let shown = printable(text);
    match fragment(text) {
        Some(Fragment { meaning, option: Some(option), .. }) => {
            PluginError::config(format!("{center} aborted the commands: {meaning} (`{shown}`)"))
                .with_hint(*option)
        }
        Some(Fragment { meaning, .. }) => PluginError::new(
            ErrorKind::Protocol,
            format!("{center} aborted the commands: {meaning} (`{shown}`)"),
        ),
        None => PluginError::new(
            ErrorKind::Protocol,
            format!("{center} did not confirm the commands; it replied `{shown}`"),
        ),
    }
}

fn fragment(text: &str) -> Option<&'static Fragment> {
    FRAGMENTS.iter().find(|fragment| {
        let mut rest = text;
        fragment.parts.iter().all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    })
}

/// A text that identifies a kind of message.
struct Fragment {
    /// The parts that the message contains, in this order.
    parts: &'static [&'static str],
    meaning: &'static str,
    /// The option to change, when an option is the cause and the whole message was aborted.
    option: Option<&'static str>,
}

const fn known_message(parts: &'static [&'static str], meaning: &'static str) -> Fragment {
    Fragment { parts, meaning, option: None }
}

/// From a public copy of a 6.x interpreter. The first match counts, so the more specific ones come first.
const FRAGMENTS: &[Fragment] = &[
    Fragment {
        parts: &["Failed to find map '"],
        meaning: "unknown third-party map",
        option: Some("create the map on the Defense Center"),
    },
    Fragment {
        parts: &["is not in the certificate domain"],
        meaning: "unknown domain, or the client certificate has no write access to it",
        option: Some(
            "set `domain` to a leaf domain below the domain of the client certificate; `scanbridge check \
             --probe` shows it",
        ),
    },
    Fragment {
        parts: &["Invalid domain uuid"],
        meaning: "unknown domain UUID",
        option: Some("set `domain` to the UUID or name of a leaf domain"),
    },
    Fragment {
        parts: &["is not a leaf domain"],
        meaning: "not a leaf domain; only leaf domains contain hosts",
        option: Some("set `domain` to a leaf domain"),
    },
    known_message(
        &["Failure to Run Scan API:", "Failed to recognize IP address:"],
        "invalid IP address of the asset",
    ),
    known_message(
        &["Failure to Run Scan API:"],
        "the scan results could not be stored; check that the asset exists (`add_host`) and that a host \
         license is free",
    ),
    known_message(&["Must set source application"], "the source of the commands is not set"),
    known_message(&["Failed to recognize IP address:"], "invalid IP address of the asset"),
    known_message(&["Failed to recognize MAC address:"], "invalid MAC address"),
    known_message(&["' is not a valid address"], "invalid IP address in a list"),
    known_message(&["address range"], "invalid address range"),
    known_message(&["Wrong protocol ", " entered"], "unknown protocol"),
    known_message(&["can not find the header: '"], "the list of CVE or BugTraq IDs is missing"),
    known_message(&["Wrong command syntax on Vuln ID:"], "the list of CVE or BugTraq IDs is missing"),
    known_message(&["Wrong command syntax on DeleteScanResult"], "invalid command DeleteScanResult"),
    known_message(&["Invalid Attribute"], "invalid host attribute"),
    known_message(&["Can not Find Attribute Name"], "unknown host attribute"),
    known_message(&["Can not Delete "], "a host attribute that is in use cannot be deleted"),
    known_message(&["unknown vuln type"], "unknown vulnerability type"),
    known_message(&["Unknown proto '"], "unknown protocol"),
    known_message(
        &["Failed to send UserMessage"],
        "internal error on the Defense Center while processing a \
         command; check that a host license is free",
    ),
    known_message(&["Failed to Execute Command:"], "a command failed on the Defense Center"),
];

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
