//! Parses any bytes as a small response of the Qualys API: a code with a text, or a list. They are parsed into bounded
//! texts without control characters, or rejected. The result is the same if the bytes are read one by one.
//!
//! The first byte selects the function.
#![no_main]

use std::fmt::Debug;
use std::io::{self, Read};

use libfuzzer_sys::{Corpus, fuzz_target};
use scanbridge_qualys_xml::{Reply, read_asset_numbers, read_reports, read_scans, read_templates};

/// Maximum length of a text, in characters.
const MOST_TEXT: usize = 501;
/// Maximum length of a response shown as one line, in characters.
const MOST_SHOWN: usize = 1_001;
/// Maximum number of items of a response.
const MOST_ITEMS: usize = 16;

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((first, rest)) = input.split_first() else { return Corpus::Reject };
    match first % 5 {
        0 => reply(rest),
        1 => reports(rest),
        2 => scans(rest),
        3 => templates(rest),
        _ => _ = both(rest, read_asset_numbers, read_asset_numbers),
    }
    Corpus::Keep
});

fn reply(bytes: &[u8]) {
    let reply = both(bytes, Reply::read, Reply::read);
    check(&reply.to_string(), MOST_SHOWN);
    check(&reply.text, MOST_TEXT);
    check(&reply.time, MOST_TEXT);
    assert!(reply.items.len() <= MOST_ITEMS, "{} items", reply.items.len());
    reply.items.iter().flat_map(|(key, value)| [key, value]).for_each(|text| check(text, MOST_TEXT));
}

fn reports(bytes: &[u8]) {
    for report in both(bytes, read_reports, read_reports).unwrap_or_default() {
        let texts = [report.id, report.title, report.launched, report.format, report.state, report.message];
        texts.iter().chain([&report.percent, &report.size]).for_each(|text| check(text, MOST_TEXT));
    }
}

fn scans(bytes: &[u8]) {
    for scan in both(bytes, read_scans, read_scans).unwrap_or_default() {
        [scan.reference, scan.date, scan.status].iter().for_each(|text| check(text, MOST_TEXT));
    }
}

fn templates(bytes: &[u8]) {
    for (number, title) in both(bytes, read_templates, read_templates).unwrap_or_default() {
        [number, title].iter().for_each(|text| check(text, MOST_TEXT));
    }
}

/// Reads at once and byte by byte. The function is passed twice, because it is called with two source types.
fn both<'b, T: PartialEq + Debug>(
    bytes: &'b [u8],
    at_once: impl FnOnce(&'b [u8]) -> T,
    by_bytes: impl FnOnce(OneByOne<'b>) -> T,
) -> T {
    let read = at_once(bytes);
    assert_eq!(by_bytes(OneByOne(bytes)), read, "read byte by byte");
    read
}

struct OneByOne<'b>(&'b [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = into.len().min(1);
        self.0.read(&mut into[..count])
    }
}

fn check(text: &str, most: usize) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.chars().count() <= most, "{} characters", text.chars().count());
}
