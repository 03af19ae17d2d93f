//! Definitions that a scan repeats in each of their findings. Bytes that were read before after the same attributes make
//! the same definition, so they are compared by their hash instead of being parsed again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;

use scanbridge_plugin_api::batch::{BatchBuilder, DefinitionIndex};
use scanbridge_plugin_api::model::DefinitionField;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::cells::Cells;
use crate::element_role::{ElementRole, Value};
use crate::events::{BlockPosition, Events};
use crate::in_place::{CDATA, end_of_cdata};
use crate::walk::State;

/// The definitions of a report, by what their findings say before and within them.
#[derive(Debug)]
pub(crate) struct Repeats {
    /// By the hash of the attributes.
    known: HashMap<u64, Repeatable, foldhash::fast::RandomState>,
    /// The definition that is being read.
    reading: Option<Reading>,
    /// Begins all hashes, so that a report cannot be made to have equal ones.
    seed: u64,
    /// How many definitions in succession had other bytes than before.
    changed: u32,
}

/// A definition that was read.
#[derive(Debug, Clone, Copy)]
struct Repeatable {
    bytes: Bytes,
    content: u128,
}

/// The bytes of a definition, from the start tag of the finding to the first element that is not of the definition.
#[derive(Debug, Clone, Copy)]
struct Bytes {
    hash: u128,
    length: usize,
    /// What they count towards the limit on texts.
    text_bytes: usize,
}

/// A definition that is being read.
#[derive(Debug)]
struct Reading {
    attributes: u64,
    begin: BlockPosition,
    passed_on: u64,
    forbidden_references: u64,
    /// Known at the first element that is not of the definition.
    bytes: Option<Bytes>,
}

/// After this many changed definitions in succession, no more are compared: findings have texts of their own.
const MOST_CHANGED: u32 = 256;
/// The memory of more would be noticed; those that follow are parsed.
const MOST_KNOWN: usize = 16 << 10;

impl Default for Repeats {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(0);
        Self { known: HashMap::default(), reading: None, seed, changed: 0 }
    }
}

impl Repeats {
    /// Begins a finding whose attributes are in the cells. Skips its definition and returns it, if it is known and the
    /// receiver has it.
    pub(crate) fn begin<R: Read>(
        &mut self,
        events: &mut Events<R>,
        state: &mut State,
        batch: &mut BatchBuilder,
    ) -> Option<DefinitionIndex> {
        self.reading = None;
        if self.changed >= MOST_CHANGED {
            return None;
        }
        let attributes = self.hash_of_attributes(&state.cells);
        if let Some(known) = self.known.get(&attributes).copied()
            && let Some((element, following)) = events.following()
            && let Some((definition, rest)) = following.split_at_checked(known.bytes.length)
            && ends_finding(rest, element)
        {
            if xxh3_128_with_seed(definition, attributes) != known.bytes.hash {
                self.changed += 1;
            } else if let Some(index) = batch.push_known(known.content) {
                self.changed = 0;
                state.cells.skip_text(known.bytes.text_bytes);
                events.skip(known.bytes.length);
                return Some(index);
            }
        }
        self.reading = events.block_position().map(|begin| Reading {
            attributes,
            begin,
            passed_on: state.passed_on,
            forbidden_references: state.notes.forbidden_references,
            bytes: None,
        });
        None
    }

    /// An element within the finding begins.
    #[inline]
    pub(crate) fn open<R: Read>(&mut self, role: ElementRole, events: &Events<R>, state: &State) {
        let Some(reading) = &mut self.reading else { return };
        match role {
            ElementRole::Finding(_) if reading.bytes.is_some() => {}
            ElementRole::Finding(_) => {
                reading.bytes = reading.read(events, state);
                if reading.bytes.is_none() {
                    self.reading = None;
                }
            }
            _ if reading.bytes.is_none() && is_of_definition(role) => {}
            _ => self.reading = None,
        }
    }

    /// The finding ends; its definition was sent with this key.
    pub(crate) fn end(&mut self, content: u128) {
        let Some(Reading { attributes, bytes: Some(bytes), .. }) = self.reading.take() else { return };
        if self.known.len() < MOST_KNOWN || self.known.contains_key(&attributes) {
            self.known.insert(attributes, Repeatable { bytes, content });
        }
    }

    /// All that the cells of the definition contain before its first element.
    fn hash_of_attributes(&self, cells: &Cells) -> u64 {
        let fields = [DefinitionField::Id, DefinitionField::Category, DefinitionField::Cves];
        fields
            .iter()
            .fold(self.seed, |hash, field| xxh3_64_with_seed(cells.definition.get(*field).as_bytes(), hash))
    }
}

impl Reading {
    /// The bytes of the definition, which ends before the start tag that was just read. None if they are not in one
    /// block, or had an effect on more than the definition.
    fn read<R: Read>(&self, events: &Events<R>, state: &State) -> Option<Bytes> {
        if (self.passed_on, self.forbidden_references) != (state.passed_on, state.notes.forbidden_references)
        {
            return None;
        }
        let read = events.since(self.begin)?;
        let definition = &read[..memchr::memrchr(b'<', read)?];
        let hash = xxh3_128_with_seed(definition, self.attributes);
        Some(Bytes { hash, length: definition.len(), text_bytes: state.cells.text_bytes() })
    }
}

/// Whether an element with this role changes nothing but the definition.
fn is_of_definition(role: ElementRole) -> bool {
    matches!(
        role,
        ElementRole::Definition(_)
            | ElementRole::List(_)
            | ElementRole::Item(_)
            | ElementRole::Value(Value::Part(_) | Value::Source)
            | ElementRole::Ignored
    )
}

/// Whether the bytes after a definition are at most a result of CDATA sections, and then the end tag of the finding: no
/// part of the definition follows.
fn ends_finding(bytes: &[u8], element: &str) -> bool {
    let Some(rest) = after_result(bytes) else { return false };
    let name =
        rest.trim_ascii_start().strip_prefix(b"</").and_then(|rest| rest.strip_prefix(element.as_bytes()));
    name.is_some_and(|rest| rest.starts_with(b">"))
}

/// The bytes after the result, if there is one. None if it is not of CDATA sections.
fn after_result(bytes: &[u8]) -> Option<&[u8]> {
    let tags = [&b"<RESULT>"[..], b"<RESULT format=\"table\">"];
    let Some(mut rest) = tags.iter().find_map(|tag| bytes.strip_prefix(*tag)) else { return Some(bytes) };
    while let Some(section) = rest.strip_prefix(CDATA.as_bytes()) {
        rest = &section[end_of_cdata(section)?..];
    }
    rest.strip_prefix(b"</RESULT>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Limits;
    use crate::scan::Scan;
    use crate::walk::Walk;

    #[test]
    fn only_a_result_of_sections_may_follow() {
        for (bytes, ends) in [
            ("</VULN>", true),
            ("\n </VULN>", true),
            ("<RESULT></RESULT>\n</VULN>", true),
            ("<RESULT format=\"table\"><![CDATA[a]]]]><![CDATA[>b]]></RESULT></VULN>", true),
            ("<RESULT><![CDATA[</RESULT></VULN>]]></RESULT></VULN>", true),
            ("<RESULT><![CDATA[a]]></RESULT><TITLE>t</TITLE></VULN>", false),
            ("<RESULT>a</RESULT></VULN>", false),
            ("<RESULT><![CDATA[a]]></RESULT></VULNS>", false),
            ("<RESULT x=\"1\"><![CDATA[a]]></RESULT></VULN>", false),
            ("<RESULT><![CDATA[a", false),
            ("", false),
        ] {
            assert_eq!(ends_finding(bytes.as_bytes(), "VULN"), ends, "{bytes}");
        }
    }

    /// How many definitions of a scan are known at its end, and how many were changed at last.
    fn known_and_changed(findings: &str) -> (usize, u32) {
        let scan = format!("<SCAN><IP value=\"192.0.2.1\"><VULNS><CAT>{findings}</CAT></VULNS></IP></SCAN>");
        let mut walk = Walk::new::<BatchBuilder>(scan.as_bytes(), Scan::default(), Limits::default());
        let mut batch = BatchBuilder::default();
        while walk.run(&mut batch).unwrap_or_else(|damage| panic!("{damage}")) {}
        (walk.document.repeats.known.len(), walk.document.repeats.changed)
    }

    #[test]
    fn changed_definition_is_compared_with_the_last_one() {
        let finding = |qid: u32, text: &str| {
            format!(
                "<VULN number=\"{qid}\">\n<TITLE>{text}</TITLE>\n<RESULT><![CDATA[r]]></RESULT>\n</VULN>\n\
                 <VULN number=\"{qid}\">\n<TITLE>{text}</TITLE>\n</VULN>\n"
            )
        };
        assert_eq!(known_and_changed(&(finding(1, "a") + &finding(2, "b"))), (2, 0));
        assert_eq!(
            known_and_changed(&(finding(1, "a") + &finding(1, "b"))),
            (1, 0),
            "a repeat follows the change"
        );
        let unique = |number: u32| format!("<VULN number=\"1\"><TITLE>{number}</TITLE><RESULT/></VULN>");
        assert_eq!(known_and_changed(&(10..19).map(unique).collect::<String>()), (1, 0), "not of sections");
        let unique = |number: u32| unique(number).replace("<RESULT/>", "<RESULT></RESULT>");
        assert_eq!(known_and_changed(&(10..19).map(unique).collect::<String>()), (1, 8));
        assert_eq!(
            known_and_changed("<VULN number=\"1\"><X>u</X><RESULT><![CDATA[r]]></RESULT></VULN>").0,
            0
        );
    }
}
