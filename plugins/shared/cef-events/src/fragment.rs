//! The parts that all events of one definition share, encoded into an event or into a fragment for many events.

use scanbridge_html_text::{append_decoded, append_text, is_plain};
use scanbridge_plugin_api::batch::{Cell, DefinitionView};
use scanbridge_plugin_api::model::{DefinitionField, Exploit, Severity, list_items};

use crate::additional::AdditionalColumns;
use crate::escape::{TRUNCATION_MARK, trimmed};
use crate::field::{self, Field, KEPT_BYTES, TruncatedFields, append_header};
use crate::settings::{ClassIdStyle, EventSettings};
use crate::severity;
use crate::table::Table;

/// A part of a line that depends on the definition, the table and the severity, in the order of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// From the class id to the end of the header.
    Header,
    /// Category, severity and domain: always short.
    Front,
    /// The scores of CVSS 3 and 4.
    Scores,
    /// Threat intelligence, title and the score of CVSS 2.
    Middle,
    /// The CVE IDs: may be long, but are important.
    Cves,
    /// The long texts, last because a receiver with a small limit truncates the end.
    Tail,
    /// The additional fields of the definition.
    Additional,
}

impl Part {
    const ALL: [Self; 7] =
        [Self::Header, Self::Front, Self::Scores, Self::Middle, Self::Cves, Self::Tail, Self::Additional];
}

/// What the parts depend on, in addition to the source of the report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartsOf<'a> {
    pub settings: &'a EventSettings,
    pub table: Table,
    pub severity: Option<Severity>,
    pub definition: DefinitionView<'a>,
}

/// What is not as the definition has it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changes {
    /// Which fields are truncated.
    pub truncated: TruncatedFields,
    /// Whether a score is not a number and left out.
    pub has_bad_number: bool,
}

/// The encoded parts of a definition.
#[derive(Debug)]
pub(crate) struct Fragment {
    bytes: Box<[u8]>,
    /// The end of each part.
    ends: [usize; Part::ALL.len()],
    pub changes: Changes,
}

impl Fragment {
    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn part(&self, part: Part) -> &[u8] {
        let number = part as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }
}

/// Encodes parts; reuses its buffers.
#[derive(Debug, Default)]
pub(crate) struct PartEncoder {
    /// What the parts encoded so far have changed.
    changes: Changes,
    text: String,
    /// The vendor in class IDs.
    vendor: String,
    additional: AdditionalColumns<usize>,
    /// Memory for fragments.
    scratch: Vec<u8>,
}

impl PartEncoder {
    /// Sets what depends on the source and the columns of the reports that follow.
    pub(crate) fn set_source(&mut self, vendor: &str, additional: &AdditionalColumns<usize>) {
        vendor.clone_into(&mut self.vendor);
        self.additional.clone_from(additional);
    }

    /// Encodes all parts.
    pub(crate) fn fragment(&mut self, of: &PartsOf<'_>) -> Fragment {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        self.changes = Changes::default();
        let ends = Part::ALL.map(|part| {
            self.append(part, of, &mut out);
            out.len()
        });
        let bytes = out.as_slice().into();
        self.scratch = out;
        Fragment { bytes, ends, changes: self.take_changes() }
    }

    /// What the parts have changed that were encoded since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Cleans, truncates and escapes the fields of this part that the table includes.
    pub(crate) fn append(&mut self, part: Part, of: &PartsOf<'_>, out: &mut Vec<u8>) {
        match part {
            Part::Header => self.header(of, out),
            Part::Front => self.front(of, out),
            Part::Scores => self.scores(of, out),
            Part::Middle => self.middle(of, out),
            Part::Cves => self.cves(of, out),
            Part::Tail => self.tail(of, out),
            Part::Additional if of.table.columns().texts => {
                let Self { changes, text, additional, .. } = self;
                additional.append_definition(out, &mut changes.truncated, text, of.definition);
            }
            Part::Additional => {}
        }
        self.text.shrink_to(KEPT_BYTES);
    }

    fn scores(&mut self, of: &PartsOf<'_>, out: &mut Vec<u8>) {
        if of.table.columns().cvss {
            let definition = of.definition;
            self.number("cfp1Label=CVSS 3 Base Score cfp1=", definition.get(DefinitionField::Cvss3Base), out);
            self.number("cfp2Label=CVSS 4 Base Score cfp2=", definition.get(DefinitionField::Cvss4Base), out);
        }
    }

    fn cves(&mut self, of: &PartsOf<'_>, out: &mut Vec<u8>) {
        if of.table.columns().cves {
            join_cves(&mut self.text, of.definition.get(DefinitionField::Cves), "");
            field::append(out, &mut self.changes.truncated, Field::Cves, &self.text);
        }
    }

    fn header(&mut self, of: &PartsOf<'_>, out: &mut Vec<u8>) {
        let PartsOf { settings, table, severity, definition } = *of;
        let id = match definition.id().trim() {
            "" => "unknown",
            id => id,
        };
        self.text.clear();
        let separator = settings.class_id_separator;
        if table == Table::Vulnerability && settings.class_id_style == ClassIdStyle::Concat {
            join_class_id(&mut self.text, separator, [&self.vendor, id], severity, definition);
        } else {
            self.text.extend([&self.vendor, separator, table.columns().class, separator, id]);
        }
        append_header(out, &mut self.changes.truncated, Field::ClassId, &self.text, "unknown");
        self.text.clear();
        match table {
            Table::Vulnerability if settings.title_as_name => self.title(definition, Field::Name),
            Table::Vulnerability => self.text.extend(["Vulnerability:", id]),
            Table::OpenPorts => self.text.push_str("Open Port"),
            _ => self.text.push_str(definition.get(DefinitionField::Title)),
        }
        // The glossary of a report may lack the definition; its finding is still an event.
        let is_untitled = trimmed(&self.text).is_empty();
        let fallback = if is_untitled { format!("{} {id}", label(definition)) } else { String::new() };
        append_header(out, &mut self.changes.truncated, Field::Name, &self.text, &fallback);
        append_severity(out, settings, severity);
    }

    fn front(&mut self, of: &PartsOf<'_>, out: &mut Vec<u8>) {
        let PartsOf { settings, table, severity, definition } = *of;
        let columns = table.columns();
        let category = definition.get(DefinitionField::Category);
        if columns.category {
            self.field(Field::Category, category, out);
        }
        append_classification(out, &mut self.changes.truncated, settings, table, severity, category);
        if settings.extra.qid_number
            && let Ok(id) = definition.id().trim().parse::<u32>()
        {
            let opening = format!("cn1Label={} cn1=", label(definition));
            field::append_number(out, &opening, id);
        }
    }

    fn middle(&mut self, of: &PartsOf<'_>, out: &mut Vec<u8>) {
        let PartsOf { settings, table, definition, .. } = *of;
        let columns = table.columns();
        if settings.extra.threat_intelligence && columns.texts {
            let items = list_items(definition.get(DefinitionField::ThreatIntelligence));
            // An item without a name is known by its ID.
            let names = items.map(|item| match item.split_once('\t') {
                Some((id, name)) if trimmed(name).is_empty() => id,
                Some((_, name)) => name,
                None => item,
            });
            self.joined(Field::ThreatIntelligence, ",", names, out);
        }
        // The other tables have the title in the header.
        if table == Table::Vulnerability && !settings.title_as_name {
            self.text.clear();
            self.title(definition, Field::Message);
            field::append(out, &mut self.changes.truncated, Field::Message, &self.text);
        }
        if columns.cvss {
            self.field(Field::CvssBase, score(definition.get(DefinitionField::CvssBase)), out);
        }
    }

    fn tail(&mut self, of: &PartsOf<'_>, out: &mut Vec<u8>) {
        let PartsOf { settings, table, definition, .. } = *of;
        if table.columns().texts {
            for (field, source) in TEXTS {
                self.html(field, definition.get(source), out);
            }
        }
        if table.columns().exploits {
            let field = if settings.dotted_keys { Field::DottedExploits } else { Field::CustomExploits };
            let exploits = list_items(definition.get(DefinitionField::Exploits));
            self.joined(field, "; ", exploits.map(|item| Exploit::from_item(item).description), out);
        }
    }

    /// Sets the text to the title, for this field.
    fn title(&mut self, definition: DefinitionView<'_>, field: Field) {
        let title = definition.get(DefinitionField::Title);
        append_decoded(&mut self.text, title, max_input_bytes(field.limit()));
    }

    fn number(&mut self, opening: &str, text: &str, out: &mut Vec<u8>) {
        let score = score(text);
        if Cell::new(score).decimal().is_some() {
            field::append_plain(out, opening, score);
        } else {
            self.changes.has_bad_number |= !score.is_empty();
        }
    }

    fn field(&mut self, field: Field, value: &str, out: &mut Vec<u8>) {
        field::append(out, &mut self.changes.truncated, field, value);
    }

    fn joined<'a>(
        &mut self,
        field: Field,
        separator: &str,
        items: impl Iterator<Item = &'a str>,
        out: &mut Vec<u8>,
    ) {
        self.text.clear();
        for item in items.map(trimmed).filter(|item| !item.is_empty()) {
            if !self.text.is_empty() {
                self.text.push_str(separator);
            }
            self.text.push_str(item);
            if self.text.len() > max_input_bytes(field.limit()) {
                break;
            }
        }
        field::append(out, &mut self.changes.truncated, field, &self.text);
    }

    fn html(&mut self, field: Field, html: &str, out: &mut Vec<u8>) {
        if is_plain(html) {
            return self.field(field, html, out);
        }
        self.text.clear();
        append_text(&mut self.text, html, max_input_bytes(field.limit()));
        field::append(out, &mut self.changes.truncated, field, &self.text);
    }
}

/// Sets `out` to the CVE IDs of the definition, then those of the finding that it lacks, separated by commas. Returns
/// whether the finding has one that the definition lacks.
///
/// Stops when the text is longer than its field, so that the time is linear in the length of the lists.
pub(crate) fn join_cves(out: &mut String, of_definition: &str, of_finding: &str) -> bool {
    let max_bytes = max_input_bytes(Field::Cves.limit());
    out.clear();
    out.shrink_to(KEPT_BYTES);
    for cve in list_items(of_definition).map(trimmed).filter(|cve| !cve.is_empty()) {
        push_cve(out, cve);
        if out.len() > max_bytes {
            return false;
        }
    }
    let known = out.len();
    for cve in list_items(of_finding).map(trimmed).filter(|cve| !cve.is_empty()) {
        if !out.split(',').any(|known| known == cve) {
            push_cve(out, cve);
        }
        if out.len() > max_bytes {
            break;
        }
    }
    out.len() > known
}

fn push_cve(out: &mut String, cve: &str) {
    out.extend([if out.is_empty() { "" } else { "," }, cve]);
}

/// Appends the severity, the last field of the header.
pub(crate) fn append_severity(out: &mut Vec<u8>, settings: &EventSettings, severity: Option<Severity>) {
    out.extend_from_slice(severity::agent(severity, settings.severity_style).as_bytes());
    out.extend_from_slice(if settings.leading_space { b"| " } else { b"|" });
}

/// Appends the device severity, the domain and the category technique, if the table includes them.
pub(crate) fn append_classification(
    out: &mut Vec<u8>,
    truncated: &mut TruncatedFields,
    settings: &EventSettings,
    table: Table,
    severity: Option<Severity>,
    category: &str,
) {
    let columns = table.columns();
    if let Some(severity) = severity {
        if columns.severity_word {
            out.extend_from_slice(b"deviceSeverity=");
            out.extend_from_slice(severity::device_word(severity).as_bytes());
            out.push(b' ');
        } else {
            field::append_number(out, "deviceSeverity=", severity.number());
        }
    }
    if columns.domain {
        out.extend_from_slice(b"deviceDomain=Network ");
    }
    if columns.category_technique && settings.category_technique {
        field::append(out, truncated, Field::CategoryTechnique, category);
    }
}

const TEXTS: [(Field, DefinitionField); 3] = [
    (Field::Diagnosis, DefinitionField::Diagnosis),
    (Field::Consequence, DefinitionField::Consequence),
    (Field::Solution, DefinitionField::Solution),
];

/// How many bytes of a text to prepare for a field of this limit: cleaning may shorten three bytes to one.
fn max_input_bytes(limit: usize) -> usize {
    3 * limit + TRUNCATION_MARK.len()
}

/// The score without the vector that newer reports append; empty for the `-` of definitions without score.
fn score(text: &str) -> &str {
    text.split_whitespace().next().filter(|score| *score != "-").unwrap_or_default()
}

/// The name of the definition's ID: `QID`, or the scheme of another scanner.
fn label(definition: DefinitionView<'_>) -> &str {
    match definition.scheme() {
        "qid" => "QID",
        scheme if is_scheme(scheme) => scheme,
        _ => "ID",
    }
}

/// Whether the text has the form of a scheme, which needs no escapes.
fn is_scheme(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// Joins the parts that the guide lists. `=`, `%` and `#` have a special meaning for ESM in the class ID of a
/// scanner, so those in texts are escaped here, before the escapes of the header.
fn join_class_id(
    out: &mut String,
    separator: &str,
    [vendor, id]: [&str; 2],
    severity: Option<Severity>,
    definition: DefinitionView<'_>,
) {
    let limit = Field::ClassId.limit();
    out.extend([vendor, separator, id]);
    push_text_part(out, separator, definition.get(DefinitionField::Title));
    out.push_str(separator);
    out.extend(severity.and_then(|severity| char::from_digit(severity.number().into(), 10)));
    let mut text = String::new();
    for (_, source) in TEXTS {
        text.clear();
        append_text(&mut text, definition.get(source), max_input_bytes(limit));
        push_text_part(out, separator, &text);
    }
    text.clear();
    for cve in list_items(definition.get(DefinitionField::Cves)).take(limit) {
        text.push_str(if text.is_empty() { "" } else { "," });
        text.push_str(cve.trim());
    }
    push_text_part(out, separator, &text);
}

fn push_text_part(out: &mut String, separator: &str, text: &str) {
    out.push_str(separator);
    for piece in text.split_inclusive(['=', '%', '#']) {
        match piece.char_indices().next_back() {
            Some((last, '=' | '%' | '#')) => out.extend([&piece[..last], "\\", &piece[last..]]),
            _ => out.push_str(piece),
        }
    }
}
