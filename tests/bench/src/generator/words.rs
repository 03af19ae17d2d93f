//! Generates texts similar to those of a scanner: prose, HTML fragments and tables.

use super::random::Random;

/// Appends `count` words as sentences.
pub(super) fn prose(out: &mut String, random: &mut Random, count: usize) {
    let mut left_in_sentence = 0;
    for index in 0..count {
        if left_in_sentence == 0 {
            if index > 0 {
                out.push_str(". ");
            }
            left_in_sentence = random.between(7, 18);
            out.push_str(random.pick(OPENERS));
        } else {
            out.push(' ');
            out.push_str(random.pick(WORDS));
        }
        left_in_sentence -= 1;
    }
    out.push('.');
}

/// Appends an HTML fragment of about `count` words, with the tags and the double escapes of real texts.
pub(super) fn html(out: &mut String, random: &mut Random, count: usize) {
    let mut left = count;
    while left > 0 {
        let words = left.min(random.between(20, 45));
        left -= words;
        prose(out, random, words);
        match random.below(6) {
            0 => out.push_str("<BR>\n"),
            1 => {
                out.push_str("<UL><LI>");
                prose(out, random, 6);
                out.push_str("</LI>\n<LI>");
                prose(out, random, 5);
                out.push_str("</LI></UL>\n");
            }
            2 => out.push_str("<P>\nAffected: versions &lt; 4.2 &amp; all &quot;legacy&quot; builds.<P>\n"),
            3 => out.push_str("\n<B>Note:</B> the setting doesn&apos;t survive an upgrade.<BR>\n"),
            _ => out.push_str("<P>\n"),
        }
    }
}

/// Appends a link as in real solutions.
pub(super) fn link(out: &mut String, id: &str) {
    out.push_str("Patch:<BR>\nFollowing are links for downloading patches:<P> <A HREF=\"https://updates.example.com/advisories/");
    out.push_str(id);
    out.push_str("\" TARGET=\"_blank\">");
    out.push_str(id);
    out.push_str(": Workstation and Server</A>");
}

/// Repeats the text, unless it is empty, until it has at least `min_bytes` bytes.
pub(super) fn lengthen(text: &mut String, min_bytes: usize) {
    let unit = text.clone();
    while text.len() < min_bytes && !unit.is_empty() {
        text.push_str(&unit);
    }
}

const OPENERS: &[&str] =
    &["The", "A", "Remote", "When", "If", "This", "Affected", "Successful", "An", "Every"];

const WORDS: &[&str] = &[
    "attacker",
    "service",
    "request",
    "buffer",
    "memory",
    "overflow",
    "certificate",
    "session",
    "remote",
    "privilege",
    "authentication",
    "configuration",
    "server",
    "client",
    "packet",
    "crafted",
    "vulnerability",
    "exploit",
    "module",
    "kernel",
    "driver",
    "registry",
    "version",
    "package",
    "update",
    "library",
    "protocol",
    "handshake",
    "cipher",
    "key",
    "length",
    "heap",
    "stack",
    "pointer",
    "bypass",
    "disclosure",
    "denial",
    "execution",
    "arbitrary",
    "code",
    "user",
    "password",
    "default",
    "credential",
    "directory",
    "traversal",
    "injection",
    "query",
    "parameter",
    "header",
    "cookie",
    "script",
    "browser",
    "object",
    "reference",
    "race",
    "condition",
    "file",
    "permission",
    "is",
    "was",
    "may",
    "allows",
    "contains",
    "fails",
    "to",
    "of",
    "in",
    "with",
    "through",
    "before",
    "after",
    "when",
    "which",
    "and",
    "or",
    "the",
    "a",
    "an",
    "by",
    "on",
    "from",
    "against",
    "network",
    "address",
    "port",
    "listening",
    "policy",
];
