//! What the Defense Center's answer to a message means.
//!
//! The answer is a text: messages, the line `Done processing N commands.`, then failures of scan commands. Success is
//! that line and nothing else, with the right number: lines that the center cannot read are dropped without a word,
//! and the number is their only trace.

use std::collections::BTreeMap;
use std::net::IpAddr;

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::packer::Body;
use crate::protocol::printable;

/// Assets about which commands were refused, each with the reason.
pub(crate) type Refused = BTreeMap<IpAddr, String>;

/// What an answer says. Nothing at all for a message that was taken whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgment {
    /// Assets that it names as refused.
    pub(crate) refused: Refused,
    /// Something was refused, and it does not say of which asset: any of the message may be meant.
    pub(crate) of_any: Option<String>,
}

/// Judges the answer to a message.
///
/// # Errors
/// When the center gave the message up: [`ErrorKind::Config`] for a domain, source or map that it does not take, else
/// [`ErrorKind::Protocol`].
pub(crate) fn judge(center: &str, text: &str, body: &Body) -> Result<Judgment> {
    let Some((before, count, after)) = split(text) else { return Err(given_up(center, text)) };
    let is_exact = before.is_empty() && after.is_empty() && text.ends_with('\n');
    let mut judgment = Judgment::default();
    if is_exact && count == Some(body.commands) {
        return Ok(judgment);
    }
    judgment.blame(&messages(before), body);
    judgment.blame(&messages(after), body);
    if count != Some(body.commands) || judgment == Judgment::default() {
        let counted = count.map_or_else(|| "an unreadable number".to_owned(), |count| count.to_string());
        let reason = format!(
            "the Defense Center counted {counted} of {} commands in the message: it drops lines that it cannot read \
             without a word",
            body.commands
        );
        judgment.of_any.get_or_insert(reason);
    }
    Ok(judgment)
}

impl Judgment {
    /// Finds the assets that messages are about. One that names none belongs to the next one that does; at the end, to
    /// any.
    fn blame(&mut self, messages: &[String], body: &Body) {
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

    /// The refused assets, with every asset of the message where the answer leaves open which one is meant.
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

/// What stands before the Done line, its number, and what stands after it.
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

/// The messages of a text: each begins at a line with a known fragment and goes on to the next one.
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

/// The assets of the body that a message names.
fn addresses(message: &str, body: &Body) -> Vec<IpAddr> {
    let is_part = |letter: char| letter.is_ascii_hexdigit() || letter == '.' || letter == ':';
    // `IP: 192.0.2.1,` and `field 1: 2001:db8::1` alike; a colon or full stop at either end belongs to the sentence.
    let words = message.split(|letter| !is_part(letter));
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
        None => format!("the Defense Center said `{text}`"),
    }
}

/// The message was not brought to its end.
fn given_up(center: &str, text: &str) -> PluginError {
    let shown = printable(text);
    match fragment(text) {
        Some(Fragment { meaning, option: Some(option), .. }) => {
            PluginError::config(format!("{center} gave the commands up: {meaning} (`{shown}`)"))
                .with_hint(*option)
        }
        Some(Fragment { meaning, .. }) => PluginError::new(
            ErrorKind::Protocol,
            format!("{center} gave the commands up: {meaning} (`{shown}`)"),
        ),
        None => PluginError::new(
            ErrorKind::Protocol,
            format!("{center} did not say that it is done with the commands; it said `{shown}`"),
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

/// A text by which a message is known.
struct Fragment {
    /// What it holds, in this order.
    parts: &'static [&'static str],
    meaning: &'static str,
    /// What to set otherwise, when an option is to blame and the whole message is given up.
    option: Option<&'static str>,
}

const fn said(parts: &'static [&'static str], meaning: &'static str) -> Fragment {
    Fragment { parts, meaning, option: None }
}

/// Known from a public copy of a 6.x interpreter. The first that fits counts: the more telling ones come first.
const FRAGMENTS: &[Fragment] = &[
    Fragment {
        parts: &["Failed to find map '"],
        meaning: "it knows no third-party map of this name",
        option: Some("create the map on the Defense Center"),
    },
    Fragment {
        parts: &["is not in the certificate domain"],
        meaning: "it has no such domain, or the client certificate may not write to it",
        option: Some(
            "set `domain` to a leaf domain below the one that the certificate was made in; `check` shows that one",
        ),
    },
    Fragment {
        parts: &["Invalid domain uuid"],
        meaning: "it knows no domain of this UUID",
        option: Some("set `domain` to the UUID or name of a leaf domain"),
    },
    Fragment {
        parts: &["is not a leaf domain"],
        meaning: "the domain has others below it, and only the lowest ones hold assets",
        option: Some("set `domain` to a leaf domain"),
    },
    said(
        &["Failure to Run Scan API:", "Failed to recognize IP address:"],
        "it cannot read the asset's address",
    ),
    said(
        &["Failure to Run Scan API:"],
        "it could not store the scan results; does it know the asset (`add_host`), and is a licence left?",
    ),
    said(&["Must set source application"], "it lost the source of the commands"),
    said(&["Failed to recognize IP address:"], "it cannot read the asset's address"),
    said(&["Failed to recognize MAC address:"], "it cannot read a MAC address"),
    said(&["' is not a valid address"], "it cannot read an address of a list"),
    said(&["address range"], "it cannot read a range of addresses"),
    said(&["Wrong protocol ", " entered"], "it knows no such protocol"),
    said(&["can not find the header: '"], "it misses the list of CVE or BugTraq ids"),
    said(&["Wrong command syntax on Vuln ID:"], "it misses the list of CVE or BugTraq ids"),
    said(&["Wrong command syntax on DeleteScanResult"], "it did not understand which results to delete"),
    said(&["Invalid Attribute"], "it does not take the host attribute"),
    said(&["Can not Find Attribute Name"], "it knows no such host attribute"),
    said(&["Can not Delete "], "it cannot delete a host attribute that is in use"),
    said(&["unknown vuln type"], "it does not know the kind of vulnerability"),
    said(&["Unknown proto '"], "it knows no such protocol"),
    said(&["Failed to send UserMessage"], "it could not hand a command on inside itself; is a licence left?"),
    said(&["Failed to Execute Command:"], "it could not carry a command out"),
];

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
