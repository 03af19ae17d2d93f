//! Writes the line of one finding, and caches the texts of recent definitions.

use std::collections::HashMap;
use std::fmt::Write;

use scanbridge_plugin_api::batch::{DefinitionView, FindingView, Schema};
use scanbridge_plugin_api::model::{DefinitionField, Protocol, list_items};
use scanbridge_plugin_api::printable;

use crate::counts::Cuts;
use crate::names::Name;
use crate::settings::Settings;
use crate::tail::{Tail, TooLong};
use crate::text::{CleanText, push_cut, push_quoted, quoted_length};

/// The key under which a Defense Center stores a finding of an asset: two with the same key are one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ResultKey {
    id: u32,
    service: Option<Service>,
}

/// A port with its protocol. The Defense Center knows only services with both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Service {
    port: u16,
    is_udp: bool,
}

impl ResultKey {
    /// The key, or the reason why the finding cannot be sent. An empty ID or 0 would create a result without a name.
    /// Other values that are not 32-bit numbers may not be stored unchanged.
    pub(crate) fn of(finding: &FindingView<'_>) -> Result<Self, String> {
        let id = finding.definition().id();
        let digits = id.bytes().all(|byte| byte.is_ascii_digit());
        let id = id.parse().ok().filter(|number| digits && *number != 0).ok_or_else(|| {
            let id = printable(id, 40);
            format!("the ID `{id}` is not a number accepted by the Defense Center")
        })?;
        let service = finding.port().and_then(|port| match finding.protocol()? {
            Protocol::Tcp => Some(Service { port, is_udp: false }),
            Protocol::Udp => Some(Service { port, is_udp: true }),
            _ => None,
        });
        Ok(Self { id, service })
    }

    pub(crate) fn has_port(self) -> bool {
        self.service.is_some()
    }
}

/// Appends the line that sets an asset's operating system, in at most `max` bytes. The scanner reports it as one text,
/// without separate vendor and version, so it is written as the product. Counts what was truncated.
pub(crate) fn push_os(line: &mut String, address: &str, os: &str, max: usize) -> Cuts {
    const END: &str = ",\"\"\n";
    let mut clean = CleanText::default();
    clean.begin(OS_LENGTH);
    clean.push_str(os);
    let mut is_cut = clean.is_truncated();
    let os = clean.finish();
    let start = line.len();
    // Writing to a `String` cannot fail.
    let _ = write!(line, "SetOS,{address},\"\",");
    let room = max.saturating_sub(line.len() - start + END.len());
    match quoted_length(os) <= room {
        true => push_quoted(line, os),
        false => {
            push_cut(line, os, room);
            is_cut = true;
        }
    }
    line.push_str(END);
    Cuts { texts: is_cut.into(), ..Cuts::default() }
}

/// Writes `AddScanResult` lines. The fields that depend on the definition alone are cached.
#[derive(Debug, Default)]
pub(crate) struct ResultLines {
    tails: HashMap<u128, (Box<str>, Cuts)>,
    tail_bytes: usize,
    /// The schema of the cached texts: keys of definitions are equal only within one schema.
    schema: Schema,
    tail: Tail,
}

/// A finding with what merged ones add to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Merged<'a> {
    pub(crate) key: ResultKey,
    pub(crate) definition: DefinitionView<'a>,
    /// The results, if they are described.
    pub(crate) results: &'a str,
    /// The CVE IDs of the findings: a list.
    pub(crate) cves: &'a str,
}

impl ResultLines {
    /// Begins a report with this schema.
    pub(crate) fn begin(&mut self, schema: &Schema) {
        if self.schema != *schema {
            self.schema = schema.clone();
            self.forget();
        }
    }

    /// Appends the line of a finding, shortened if it is too long. Counts what was truncated. If even the shortest line is
    /// too long, nothing is appended.
    pub(crate) fn push(
        &mut self,
        line: &mut String,
        address: &str,
        finding: &Merged<'_>,
        settings: &Settings,
        scanner: &Name,
    ) -> Result<Cuts, TooLong> {
        let start = line.len();
        line.push_str("AddScanResult,");
        line.push_str(address);
        let ResultKey { id, service } = finding.key;
        // Writing to a `String` cannot fail.
        let _ = write!(line, ",\"{scanner}\",{id},");
        match service {
            Some(Service { port, is_udp: true }) => _ = write!(line, "{port},udp,"),
            Some(Service { port, is_udp: false }) => _ = write!(line, "{port},tcp,"),
            None => line.push_str(",,"),
        }
        let room = settings.limits.line_bytes.saturating_sub(line.len() - start + 1);
        match self.push_tail(line, finding, room, settings) {
            Ok(cuts) => {
                line.push('\n');
                Ok(cuts)
            }
            Err(TooLong) => {
                line.truncate(start);
                Err(TooLong)
            }
        }
    }

    fn push_tail(
        &mut self,
        line: &mut String,
        finding: &Merged<'_>,
        room: usize,
        settings: &Settings,
    ) -> Result<Cuts, TooLong> {
        let Merged { definition, results, cves, .. } = finding;
        let of_definition = definition.get(DefinitionField::Cves);
        let is_known = |id: &str| list_items(of_definition).any(|known| known.eq_ignore_ascii_case(id));
        let start = line.len();
        let cuts = if settings.describes_findings() || !list_items(cves).all(is_known) {
            self.tail.make(definition, results, cves, settings);
            self.tail.write(line)
        } else {
            let (tail, cuts) = self.cached(definition, settings);
            line.push_str(tail);
            cuts
        };
        if line.len() - start <= room {
            return Ok(cuts);
        }
        line.truncate(start);
        self.tail.make(definition, results, cves, settings);
        self.tail.write_within(line, room)
    }

    /// The fields of a finding that adds nothing to its definition.
    fn cached(&mut self, definition: &DefinitionView<'_>, settings: &Settings) -> (&str, Cuts) {
        if !self.tails.contains_key(&definition.key()) {
            self.tail.make(definition, "", "", settings);
            let mut text = String::new();
            let cuts = self.tail.write(&mut text);
            let bytes = text.len() + ENTRY_BYTES;
            if self.tail_bytes + bytes > CACHE_BYTES {
                self.forget();
            }
            self.tail_bytes += bytes;
            self.tails.insert(definition.key(), (text.into(), cuts));
        }
        let (text, cuts) = &self.tails[&definition.key()];
        (text, *cuts)
    }

    fn forget(&mut self) {
        self.tails.clear();
        self.tail_bytes = 0;
    }
}

/// Maximum length of the text that names an operating system. The limit of the Defense Center is not known.
const OS_LENGTH: usize = 500;

/// Size of the cache for texts made from definitions: about 2,000 definitions with texts of ordinary length.
const CACHE_BYTES: usize = 3 << 19;
/// The most that a cached text needs in addition: its entry in a table that grows by doubling, the table before it has
/// grown, and its share of the heap.
const ENTRY_BYTES: usize = 240;
