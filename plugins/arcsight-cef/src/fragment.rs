//! The parts that all events of one definition share, encoded once and copied into each event.

use std::ops::Range;

use scanbridge_html_text::append_text;
use scanbridge_plugin_api::batch::DefinitionView;
use scanbridge_plugin_api::model::{DefinitionField, Exploit, Severity, list_items};

use crate::escape::TRUNCATION_MARK;
use crate::field::{self, Field, TruncatedFields, append_header};
use crate::options::{ClassIdStyle, EventSettings};
use crate::severity;
use crate::table::Table;

/// The encoded parts of a line that depend on the definition, the table and the severity.
#[derive(Debug)]
pub(crate) struct Fragment {
    bytes: Box<[u8]>,
    header_end: usize,
    front_end: usize,
    middle_end: usize,
    /// Which of its fields are truncated.
    pub truncated: TruncatedFields,
}

impl Fragment {
    /// From the class id to the end of the header.
    pub(crate) fn header(&self) -> &[u8] {
        self.piece(0..self.header_end)
    }

    /// Category, severity and domain: always short.
    pub(crate) fn front(&self) -> &[u8] {
        self.piece(self.header_end..self.front_end)
    }

    /// Score, CVE IDs and exploits: may be long, but are important.
    pub(crate) fn middle(&self) -> &[u8] {
        self.piece(self.front_end..self.middle_end)
    }

    /// The long texts, last because a receiver with a small limit truncates the end.
    pub(crate) fn tail(&self) -> &[u8] {
        self.piece(self.middle_end..self.bytes.len())
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn piece(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }
}

/// Builds fragments; reuses its buffers.
#[derive(Debug, Default)]
pub(crate) struct FragmentBuilder {
    out: Vec<u8>,
    truncated: TruncatedFields,
    text: String,
    /// The vendor in class IDs.
    vendor: String,
}

impl FragmentBuilder {
    pub(crate) fn set_vendor(&mut self, vendor: &str) {
        vendor.clone_into(&mut self.vendor);
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
        self.header(settings, table, severity, definition);
        let header_end = self.out.len();
        self.front(settings, table, severity, definition);
        let front_end = self.out.len();
        self.middle(settings, table, definition);
        let middle_end = self.out.len();
        if table.columns().texts {
            for (field, source) in TEXTS {
                self.html(field, definition.get(source));
            }
        }
        let bytes = self.out.as_slice().into();
        self.text.shrink_to(KEPT_BYTES);
        Fragment { bytes, header_end, front_end, middle_end, truncated: self.truncated }
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
        if table == Table::Vulnerability && settings.class_id_style == ClassIdStyle::Concat {
            join_class_id(&mut self.text, [&self.vendor, id], severity, definition);
        } else {
            self.text.extend([&self.vendor, "|", table.columns().class, "|", id]);
        }
        append_header(&mut self.out, &mut self.truncated, Field::ClassId, &self.text, "unknown");
        self.text.clear();
        match table {
            Table::Vulnerability => self.text.extend(["Vulnerability:", id]),
            Table::OpenPorts => self.text.push_str("Open Port"),
            _ => self.text.push_str(definition.get(DefinitionField::Title)),
        }
        // The glossary of a report may lack the definition; its finding is still an event.
        let fallback = format!("{} {id}", label(definition));
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
        if columns.cvss {
            self.field(Field::CvssBase, score(definition.get(DefinitionField::CvssBase)));
        }
        if columns.cves {
            let cves = list_items(definition.get(DefinitionField::Cves));
            self.joined(Field::Cves, ",", cves);
        }
        if columns.exploits {
            let field = if settings.dotted_keys { Field::DottedExploits } else { Field::CustomExploits };
            let exploits = list_items(definition.get(DefinitionField::Exploits));
            self.joined(field, "; ", exploits.map(|item| Exploit::from_item(item).description));
        }
    }

    fn field(&mut self, field: Field, value: &str) {
        field::append(&mut self.out, &mut self.truncated, field, value);
    }

    fn joined<'a>(&mut self, field: Field, separator: &str, items: impl Iterator<Item = &'a str>) {
        self.text.clear();
        for item in items.map(str::trim).filter(|item| !item.is_empty()) {
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

/// Capacity in bytes that a buffer keeps for reuse, so that one huge text does not occupy memory forever.
pub(crate) const KEPT_BYTES: usize = 64 * 1024;

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
    [vendor, id]: [&str; 2],
    severity: Option<Severity>,
    definition: DefinitionView<'_>,
) {
    let limit = Field::ClassId.limit();
    out.extend([vendor, "|", id]);
    push_text_part(out, definition.get(DefinitionField::Title));
    out.push('|');
    out.extend(severity.and_then(|severity| char::from_digit(severity.number().into(), 10)));
    let mut text = String::new();
    for (_, source) in TEXTS {
        text.clear();
        append_text(&mut text, definition.get(source), max_input_bytes(limit));
        push_text_part(out, &text);
    }
    text.clear();
    for cve in list_items(definition.get(DefinitionField::Cves)).take(limit) {
        text.push_str(if text.is_empty() { "" } else { "," });
        text.push_str(cve.trim());
    }
    push_text_part(out, &text);
}

fn push_text_part(out: &mut String, text: &str) {
    out.push('|');
    for piece in text.split_inclusive(['=', '%', '#']) {
        match piece.char_indices().next_back() {
            Some((last, '=' | '%' | '#')) => out.extend([&piece[..last], "\\", &piece[last..]]),
            _ => out.push_str(piece),
        }
    }
}
