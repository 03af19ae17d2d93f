//! The parts that all events of one definition share, encoded once and copied into each event.

use scanbridge_html_text::{append_decoded, append_text};
use scanbridge_plugin_api::batch::{Cell, DefinitionView};
use scanbridge_plugin_api::model::{DefinitionField, Exploit, Severity, list_items};

use crate::additional::AdditionalColumns;
use crate::escape::{TRUNCATION_MARK, trimmed};
use crate::field::{self, Field, KEPT_BYTES, TruncatedFields, append_header};
use crate::settings::{ClassIdStyle, EventSettings};
use crate::severity;
use crate::table::Table;

/// The encoded parts of a line that depend on the definition, the table and the severity.
#[derive(Debug)]
pub(crate) struct Fragment {
    bytes: Box<[u8]>,
    /// The end of each part except the last.
    ends: [usize; PARTS - 1],
    /// Which of its fields are truncated.
    pub truncated: TruncatedFields,
    /// Whether a score is not a number and left out.
    pub has_bad_number: bool,
}

/// The number of parts of a fragment.
const PARTS: usize = 7;

impl Fragment {
    /// From the class id to the end of the header.
    pub(crate) fn header(&self) -> &[u8] {
        self.part(0)
    }

    /// Category, severity and domain: always short.
    pub(crate) fn front(&self) -> &[u8] {
        self.part(1)
    }

    /// The scores of CVSS 3 and 4.
    pub(crate) fn scores(&self) -> &[u8] {
        self.part(2)
    }

    /// Threat intelligence, title and the score of CVSS 2.
    pub(crate) fn middle(&self) -> &[u8] {
        self.part(3)
    }

    /// The CVE IDs: may be long, but are important.
    pub(crate) fn cves(&self) -> &[u8] {
        self.part(4)
    }

    /// The long texts, last because a receiver with a small limit truncates the end.
    pub(crate) fn tail(&self) -> &[u8] {
        self.part(5)
    }

    /// The additional fields of the definition.
    pub(crate) fn additional(&self) -> &[u8] {
        self.part(6)
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn part(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends.get(number).copied().unwrap_or(self.bytes.len())]
    }
}

/// Builds fragments; reuses its buffers.
#[derive(Debug, Default)]
pub(crate) struct FragmentBuilder {
    out: Vec<u8>,
    truncated: TruncatedFields,
    has_bad_number: bool,
    text: String,
    /// The vendor in class IDs.
    vendor: String,
    additional: AdditionalColumns<usize>,
}

impl FragmentBuilder {
    /// Sets what depends on the source and the columns of the reports that follow.
    pub(crate) fn set_source(&mut self, vendor: &str, additional: &AdditionalColumns<usize>) {
        vendor.clone_into(&mut self.vendor);
        self.additional.clone_from(additional);
    }

    /// Cleans, truncates and escapes the fields of the definition that `table` includes.
    pub(crate) fn build(
        &mut self,
        settings: &EventSettings,
        table: Table,
        severity: Option<Severity>,
        definition: DefinitionView<'_>,
    ) -> Fragment {
        self.out.clear();
        self.truncated = TruncatedFields::default();
        self.has_bad_number = false;
        let mut ends = [0; PARTS - 1];
        self.header(settings, table, severity, definition);
        ends[0] = self.out.len();
        self.front(settings, table, severity, definition);
        ends[1] = self.out.len();
        if table.columns().cvss {
            self.number("cfp1Label=CVSS 3 Base Score cfp1=", definition.get(DefinitionField::Cvss3Base));
            self.number("cfp2Label=CVSS 4 Base Score cfp2=", definition.get(DefinitionField::Cvss4Base));
        }
        ends[2] = self.out.len();
        self.middle(settings, table, definition);
        ends[3] = self.out.len();
        if table.columns().cves {
            join_cves(&mut self.text, definition.get(DefinitionField::Cves), "");
            field::append(&mut self.out, &mut self.truncated, Field::Cves, &self.text);
        }
        ends[4] = self.out.len();
        self.tail(settings, table, definition);
        ends[5] = self.out.len();
        if table.columns().texts {
            let Self { out, truncated, text, .. } = self;
            self.additional.append_definition(out, truncated, text, definition);
        }
        let bytes = self.out.as_slice().into();
        self.text.shrink_to(KEPT_BYTES);
        Fragment { bytes, ends, truncated: self.truncated, has_bad_number: self.has_bad_number }
    }

    fn header(
        &mut self,
        settings: &EventSettings,
        table: Table,
        severity: Option<Severity>,
        definition: DefinitionView<'_>,
    ) {
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
        append_header(&mut self.out, &mut self.truncated, Field::ClassId, &self.text, "unknown");
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
        append_header(&mut self.out, &mut self.truncated, Field::Name, &self.text, &fallback);
        append_severity(&mut self.out, settings, severity);
    }

    fn front(
        &mut self,
        settings: &EventSettings,
        table: Table,
        severity: Option<Severity>,
        definition: DefinitionView<'_>,
    ) {
        let columns = table.columns();
        let category = definition.get(DefinitionField::Category);
        if columns.category {
            self.field(Field::Category, category);
        }
        append_classification(&mut self.out, &mut self.truncated, settings, table, severity, category);
        if settings.extra.qid_number
            && let Ok(id) = definition.id().trim().parse::<u32>()
        {
            let opening = format!("cn1Label={} cn1=", label(definition));
            field::append_number(&mut self.out, &opening, id);
        }
    }

    fn middle(&mut self, settings: &EventSettings, table: Table, definition: DefinitionView<'_>) {
        let columns = table.columns();
        if settings.extra.threat_intelligence && columns.texts {
            let items = list_items(definition.get(DefinitionField::ThreatIntelligence));
            // An item without a name is known by its ID.
            let names = items.map(|item| match item.split_once('\t') {
                Some((id, name)) if trimmed(name).is_empty() => id,
                Some((_, name)) => name,
                None => item,
            });
            self.joined(Field::ThreatIntelligence, ",", names);
        }
        // The other tables have the title in the header.
        if table == Table::Vulnerability && !settings.title_as_name {
            self.text.clear();
            self.title(definition, Field::Message);
            field::append(&mut self.out, &mut self.truncated, Field::Message, &self.text);
        }
        if columns.cvss {
            self.field(Field::CvssBase, score(definition.get(DefinitionField::CvssBase)));
        }
    }

    fn tail(&mut self, settings: &EventSettings, table: Table, definition: DefinitionView<'_>) {
        if table.columns().texts {
            for (field, source) in TEXTS {
                self.html(field, definition.get(source));
            }
        }
        if table.columns().exploits {
            let field = if settings.dotted_keys { Field::DottedExploits } else { Field::CustomExploits };
            let exploits = list_items(definition.get(DefinitionField::Exploits));
            self.joined(field, "; ", exploits.map(|item| Exploit::from_item(item).description));
        }
    }

    /// Sets the text to the title, for this field.
    fn title(&mut self, definition: DefinitionView<'_>, field: Field) {
        let title = definition.get(DefinitionField::Title);
        append_decoded(&mut self.text, title, max_input_bytes(field.limit()));
    }

    fn number(&mut self, opening: &str, text: &str) {
        let score = score(text);
        if Cell::new(score).decimal().is_some() {
            field::append_plain(&mut self.out, opening, score);
        } else {
            self.has_bad_number |= !score.is_empty();
        }
    }

    fn field(&mut self, field: Field, value: &str) {
        field::append(&mut self.out, &mut self.truncated, field, value);
    }

    fn joined<'a>(&mut self, field: Field, separator: &str, items: impl Iterator<Item = &'a str>) {
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
        field::append(&mut self.out, &mut self.truncated, field, &self.text);
    }

    fn html(&mut self, field: Field, html: &str) {
        self.text.clear();
        append_text(&mut self.text, html, max_input_bytes(field.limit()));
        field::append(&mut self.out, &mut self.truncated, field, &self.text);
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
