//! Writes the line of one finding, and caches the texts of recent definitions.

use std::collections::HashMap;
use std::fmt::Write;

use scanbridge_html_text::append_text;
use scanbridge_plugin_api::batch::{DefinitionView, FindingView, Schema};
use scanbridge_plugin_api::model::{DefinitionField, FindingField, Protocol, list_items};
use scanbridge_plugin_api::printable;

use crate::names::Name;
use crate::settings::{DescriptionPart, Settings};
use crate::text::{CleanText, push_quoted};

/// The ID under which a finding is stored, or the reason why it cannot be sent. An empty ID or 0 would create a
/// result without a name. Other values that are not 32-bit numbers may not be stored unchanged.
pub(crate) fn result_id(finding: &FindingView<'_>) -> Result<u32, String> {
    let id = finding.definition().id();
    let digits = id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse().ok().filter(|number| digits && *number != 0).ok_or_else(|| {
        let id = printable(id, 40);
        format!("the ID `{id}` is not a number accepted by the Defense Center")
    })
}

/// Appends the line that sets an asset's operating system. The scanner reports it as one text, without separate
/// vendor and version, so it is written as the product.
pub(crate) fn push_os(line: &mut String, address: &str, os: &str) {
    let mut clean = CleanText::default();
    clean.begin(NAME_LENGTH);
    clean.push_str(os);
    // Writing to a `String` cannot fail.
    let _ = write!(line, "SetOS,{address},\"\",");
    push_quoted(line, clean.finish());
    line.push_str(",\"\"\n");
}

/// Writes `AddScanResult` lines. The fields that depend on the definition alone are cached.
#[derive(Debug, Default)]
pub(crate) struct ResultLines {
    tails: HashMap<u128, Box<str>>,
    tail_bytes: usize,
    /// The schema of the cached texts: keys of definitions are equal only within one schema.
    schema: Schema,
    clean: CleanText,
    plain: String,
    tail: String,
}

impl ResultLines {
    /// Begins a report with this schema.
    pub(crate) fn begin(&mut self, schema: &Schema) {
        if self.schema != *schema {
            self.schema = schema.clone();
            self.tails.clear();
            self.tail_bytes = 0;
        }
    }

    /// Appends the line of a finding with this ID.
    pub(crate) fn push(
        &mut self,
        line: &mut String,
        address: &str,
        number: u32,
        finding: &FindingView<'_>,
        settings: &Settings,
        scanner: &Name,
    ) {
        let definition = finding.definition();
        line.push_str("AddScanResult,");
        line.push_str(address);
        // Writing to a `String` cannot fail.
        let _ = write!(line, ",\"{scanner}\",{number},");
        if let Some(port) = finding.port() {
            let _ = write!(line, "{port}");
        }
        line.push(',');
        line.push_str(transport(finding.protocol()));
        line.push(',');
        self.push_tail(line, finding, &definition, settings);
        line.push('\n');
    }

    fn push_tail(
        &mut self,
        line: &mut String,
        finding: &FindingView<'_>,
        definition: &DefinitionView<'_>,
        settings: &Settings,
    ) {
        if settings.describes_findings() {
            self.make_tail(finding, definition, settings);
            line.push_str(&self.tail);
            return;
        }
        if !self.tails.contains_key(&definition.key()) {
            self.make_tail(finding, definition, settings);
            let bytes = self.tail.len() + ENTRY_BYTES;
            if self.tail_bytes + bytes > CACHE_BYTES {
                self.tails.clear();
                self.tail_bytes = 0;
            }
            self.tail_bytes += bytes;
            self.tails.insert(definition.key(), self.tail.as_str().into());
        }
        line.push_str(&self.tails[&definition.key()]);
    }

    /// Writes the last four fields: name, description, CVE IDs, BugTraq IDs.
    fn make_tail(&mut self, finding: &FindingView<'_>, definition: &DefinitionView<'_>, settings: &Settings) {
        let Self { clean, plain, tail, .. } = self;
        tail.clear();
        clean.begin(NAME_LENGTH);
        clean.push_str(definition.get(DefinitionField::Title));
        push_quoted(tail, clean.finish());
        tail.push(',');
        describe(clean, plain, finding, definition, settings);
        push_quoted(tail, clean.finish());
        let cves = list_items(definition.get(DefinitionField::Cves)).filter(|id| is_cve(id));
        push_ids(tail, "cve_ids:", cves);
        let bugtraqs = list_items(definition.get(DefinitionField::Bugtraqs)).filter(|id| is_number(id));
        push_ids(tail, "bugtraq_ids:", bugtraqs);
    }
}

fn describe(
    clean: &mut CleanText,
    plain: &mut String,
    finding: &FindingView<'_>,
    definition: &DefinitionView<'_>,
    settings: &Settings,
) {
    clean.begin(settings.description_length);
    for part in &settings.description {
        let text = match part {
            DescriptionPart::Diagnosis => definition.get(DefinitionField::Diagnosis),
            DescriptionPart::Consequence => definition.get(DefinitionField::Consequence),
            DescriptionPart::Solution => definition.get(DefinitionField::Solution),
            DescriptionPart::Result => finding.get(FindingField::Result),
        };
        if text.trim().is_empty() {
            continue;
        }
        if !clean.is_empty() {
            clean.push(' ');
        }
        if settings.description.len() > 1 {
            clean.push_str(part.label());
        }
        match part {
            // Text that a scanned machine returned is not HTML, even if it looks like it.
            DescriptionPart::Result => clean.push_str(text),
            _ => {
                plain.clear();
                // Collapsing white space and transliteration follow and change the length, so the limit here is
                // larger.
                append_text(plain, text, settings.description_length.saturating_mul(4));
                clean.push_str(plain);
            }
        }
    }
}

/// The Defense Center accepts `tcp` and `udp`; a line with any other value fails.
fn transport(protocol: Option<Protocol<'_>>) -> &'static str {
    match protocol {
        Some(Protocol::Tcp) => "tcp",
        Some(Protocol::Udp) => "udp",
        _ => "",
    }
}

/// Writes a list argument. Its prefix is required even if the list is empty.
fn push_ids<'a>(line: &mut String, prefix: &str, ids: impl Iterator<Item = &'a str>) {
    line.push_str(",\"");
    line.push_str(prefix);
    let start = line.len();
    for id in ids {
        if line.len() - start + id.len() >= LIST_BYTES {
            break;
        }
        line.push(' ');
        line.extend(id.chars().map(|character| character.to_ascii_uppercase()));
    }
    line.push('"');
}

/// Whether an ID has the form `CVE-2014-0160`. The older prefix `CAN-` is also accepted.
fn is_cve(id: &str) -> bool {
    let mut parts = id.splitn(3, '-');
    let (list, year, number) = (parts.next(), parts.next(), parts.next());
    list.is_some_and(|list| ["CVE", "CAN"].iter().any(|known| known.eq_ignore_ascii_case(list)))
        && year.is_some_and(|year| year.len() == 4 && is_number(year))
        && number.is_some_and(|number| number.len() >= 4 && is_number(number))
}

fn is_number(id: &str) -> bool {
    (1..=10).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// Maximum length of a name. The limit of the Defense Center is not known; the scanner's titles are shorter.
const NAME_LENGTH: usize = 500;

/// Maximum size of a list: about two thousand CVE IDs, twice as many as any known definition has.
const LIST_BYTES: usize = 32 * 1024;

/// Size of the cache for texts made from definitions: about 2,000 definitions with texts of ordinary length.
const CACHE_BYTES: usize = 3 << 20;
/// About what a cached text needs in addition: its entry in a table that grows by doubling.
const ENTRY_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_cve_ids_are_sent() {
        for good in ["CVE-2014-0160", "cve-2021-44228", "CAN-1999-1234"] {
            assert!(is_cve(good), "{good}");
        }
        for bad in ["CVE-2014-016", "CVE-14-0160", "CVE-2014-0160\"", "2014-0160", "CVE", "CVE-2014-01x0", ""]
        {
            assert!(!is_cve(bad), "{bad}");
        }
    }

    #[test]
    fn an_empty_list_keeps_its_prefix() {
        let mut line = String::new();
        push_ids(&mut line, "cve_ids:", std::iter::empty());
        push_ids(&mut line, "bugtraq_ids:", ["7", "9"].into_iter());
        assert_eq!(line, r#","cve_ids:","bugtraq_ids: 7 9""#);
    }

    #[test]
    fn only_tcp_and_udp_are_sent() {
        let names = ["TCP", "udp", "icmp", "6", ""];
        assert_eq!(names.map(|name| transport(Protocol::of(name))), ["tcp", "udp", "", "", ""]);
    }
}
