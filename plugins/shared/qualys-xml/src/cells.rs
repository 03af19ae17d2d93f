//! The rows under construction, and how pieces of text become cells.

use scanbridge_plugin_api::batch::{AssetRow, DefinitionRow, FindingRow, Row};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, Field, FindingField, FindingKind, FindingStatus, Protocol, Severity,
    list_items,
};

use crate::damage::Fault;
use crate::element_role::{Code, ElementRole, Item, List, Value};

/// The current rows of asset, definition and finding, reused for all rows of a report.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) asset: AssetRow,
    pub(crate) definition: DefinitionRow,
    pub(crate) finding: FindingRow,
    /// The text that a [`ElementRole::Value`] collects.
    pub(crate) value: String,
    parts: [String; 3],
    source: String,
    item: String,
    /// The list that received the last item.
    open_list: Option<ElementRole>,
    /// Length of the part of the CVE list that is from the finding's attribute.
    cves_of_attribute: usize,
    /// Offset in that part at which the next ID of the list is expected.
    next_cve: usize,
    /// White space that is added only if more text follows.
    pending: String,
    has_text: bool,
    /// The codes of the finding for which the report contains a text, one bit each.
    given: u8,
    /// Texts of codes, except kinds, that are not a value of their code.
    pub(crate) invalid_codes: u64,
    /// Bytes of text, moved text included, since the finding or definition began.
    text_bytes: usize,
    /// The same for the asset, whose texts may appear between its findings.
    asset_text_bytes: usize,
    limit: usize,
}

impl Cells {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            asset: AssetRow::default(),
            definition: DefinitionRow::default(),
            finding: FindingRow::default(),
            value: String::new(),
            parts: Default::default(),
            source: String::new(),
            item: String::new(),
            open_list: None,
            cves_of_attribute: 0,
            next_cve: 0,
            pending: String::new(),
            has_text: false,
            given: 0,
            invalid_codes: 0,
            text_bytes: 0,
            asset_text_bytes: 0,
            limit,
        }
    }

    /// Begins an asset.
    pub(crate) fn begin_asset(&mut self) {
        (self.text_bytes, self.asset_text_bytes) = (0, 0);
        self.asset.clear();
    }

    /// Begins a finding, and with it the definition that it may contain.
    pub(crate) fn begin_finding(&mut self) {
        (self.text_bytes, self.cves_of_attribute, self.next_cve) = (0, 0, 0);
        (self.given, self.invalid_codes) = (0, 0);
        self.finding.clear();
        self.definition.clear();
    }

    /// Begins a text outside every record; earlier texts do not count towards the limit.
    pub(crate) fn begin_text(&mut self) {
        self.text_bytes = 0;
    }

    /// Counts text of the current finding or definition. Text above the limit is a fault.
    #[inline]
    pub(crate) fn count_text(&mut self, bytes: usize) -> Result<(), Box<Fault>> {
        self.text_bytes = self.text_bytes.saturating_add(bytes);
        if self.text_bytes > self.limit { Err(Fault::TooMuchText(self.limit).into()) } else { Ok(()) }
    }

    /// Counts text that is added to, or has to be moved within, the row of this role.
    #[inline]
    pub(crate) fn count_text_in(&mut self, role: ElementRole, bytes: usize) -> Result<(), Box<Fault>> {
        if !matches!(role, ElementRole::Asset(_) | ElementRole::Value(Value::AssetItem(_))) {
            return self.count_text(bytes);
        }
        self.asset_text_bytes = self.asset_text_bytes.saturating_add(bytes);
        if self.asset_text_bytes > self.limit { Err(Fault::TooMuchText(self.limit).into()) } else { Ok(()) }
    }

    /// Begins an element whose text is used. Returns the cell that its text goes to.
    #[inline]
    pub(crate) fn open(&mut self, role: ElementRole) -> Result<ElementRole, Box<Fault>> {
        self.has_text = false;
        self.pending.clear();
        match role {
            ElementRole::Finding(field) => self.start_next_line(role, field),
            ElementRole::Definition(field) => self.start_next_line(role, field),
            ElementRole::Asset(field) => self.start_next_line(role, field),
            ElementRole::AssetFallback(field) if self.asset.cell_len(field) > 0 => Ok(ElementRole::Ignored),
            ElementRole::AssetFallback(field) => Ok(ElementRole::Asset(field)),
            ElementRole::AssetBetter(field) => {
                self.asset.set(field, "");
                Ok(ElementRole::Asset(field))
            }
            ElementRole::Value(_) => {
                self.value.clear();
                Ok(role)
            }
            ElementRole::List(List::ExploitSource) => {
                self.source.clear();
                Ok(role)
            }
            ElementRole::Item(_) => {
                self.parts.iter_mut().for_each(String::clear);
                Ok(role)
            }
            _ => Ok(role),
        }
    }

    /// A cell that already has text continues on a new line, so that no text is lost when an element appears twice. A
    /// customer's comment follows the text that it refers to.
    #[inline]
    fn start_next_line<F: Field>(&mut self, role: ElementRole, field: F) -> Result<ElementRole, Box<Fault>>
    where
        Self: Rows<F>,
    {
        self.open_list = None;
        let present = self.row().cell_len(field);
        if present > 0 {
            // The row may have to move the text of the cell.
            self.count_text_in(role, present + 1)?;
            self.row().append(field, "\n");
        }
        Ok(role)
    }

    /// Adds text outside CDATA. White space around it is layout of the report and is not added.
    #[inline]
    pub(crate) fn text(&mut self, role: ElementRole, piece: &str) -> Result<(), Box<Fault>> {
        if !collects_text(role) {
            return Ok(());
        }
        let piece = if self.has_text { piece } else { piece.trim_ascii_start() };
        let body = piece.trim_ascii_end();
        if !body.is_empty() {
            self.verbatim(role, body)?;
        }
        if self.has_text {
            self.count_text_in(role, piece.len() - body.len())?;
            self.pending.push_str(&piece[body.len()..]);
        }
        Ok(())
    }

    /// Adds text unchanged.
    #[inline]
    pub(crate) fn verbatim(&mut self, role: ElementRole, piece: &str) -> Result<(), Box<Fault>> {
        if !collects_text(role) {
            return Ok(());
        }
        if self.has_text && !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            self.put(role, &pending)?;
            self.pending = pending;
            self.pending.clear();
        }
        self.has_text = true;
        self.put(role, piece)
    }

    #[inline]
    fn put(&mut self, role: ElementRole, piece: &str) -> Result<(), Box<Fault>> {
        self.count_text_in(role, piece.len())?;
        match role {
            ElementRole::Finding(field) => self.finding.append(field, piece),
            ElementRole::Definition(field) => self.definition.append(field, piece),
            ElementRole::Asset(field) => self.asset.append(field, piece),
            ElementRole::Value(_) => self.value.push_str(piece),
            _ => {}
        }
        Ok(())
    }

    /// Ends an element and normalizes its text where necessary.
    #[inline]
    pub(crate) fn close(&mut self, role: ElementRole) -> Result<(), Box<Fault>> {
        match role {
            ElementRole::Definition(field) if is_score(field) => clear_dash(&mut self.definition, field),
            ElementRole::Finding(field @ (FindingField::CvssFinal | FindingField::Cvss3Final)) => {
                clear_dash(&mut self.finding, field);
            }
            ElementRole::Value(value) => self.close_value(value)?,
            ElementRole::Item(item) => self.close_item(item)?,
            _ => {}
        }
        Ok(())
    }

    fn close_value(&mut self, value: Value) -> Result<(), Box<Fault>> {
        match value {
            Value::Part(index) => flatten(&self.value, &mut self.parts[usize::from(index).min(2)]),
            Value::Source => flatten(&self.value, &mut self.source),
            Value::AssetItem(field) => {
                flatten(&self.value, &mut self.item);
                self.count_item(ElementRole::Asset(field), self.asset.cell_len(field))?;
                add_item(&mut self.asset, field, &self.item);
            }
            Value::Code(code) => {
                let text = std::mem::take(&mut self.value);
                self.set_code(code, &text);
                self.value = text;
            }
            _ => {}
        }
        Ok(())
    }

    fn close_item(&mut self, item: Item) -> Result<(), Box<Fault>> {
        let [first, second, third] = &self.parts;
        self.item.clear();
        let (field, parts): (_, &[&str]) = match item {
            Item::Cve => (DefinitionField::Cves, &[first]),
            Item::Bugtraq => (DefinitionField::Bugtraqs, &[first]),
            Item::Malware => (DefinitionField::Malware, &[first]),
            Item::VendorReference => (DefinitionField::VendorReferences, &[first, second]),
            Item::Exploit => (DefinitionField::Exploits, &[&self.source, first, second, third]),
            Item::Compliance => (DefinitionField::Compliance, &[first, second, third]),
        };
        if parts.iter().all(|part| part.is_empty()) {
            return Ok(());
        }
        for (count, part) in parts.iter().enumerate() {
            if count > 0 {
                self.item.push('\t');
            }
            self.item.push_str(part);
        }
        let length = self.item.trim_end_matches('\t').len();
        self.item.truncate(length);
        self.add_definition_item(field)
    }

    fn add_definition_item(&mut self, field: DefinitionField) -> Result<(), Box<Fault>> {
        if field == DefinitionField::Cves && self.is_cve_of_attribute() {
            return Ok(());
        }
        self.count_item(ElementRole::Definition(field), self.definition.cell_len(field))?;
        if !self.item.is_empty() {
            self.definition.append_item(field, &self.item);
        }
        Ok(())
    }

    /// Whether the finding's attribute already contains the CVE ID. The list usually repeats the attribute in the
    /// same order, so that one comparison is enough.
    fn is_cve_of_attribute(&mut self) -> bool {
        if self.cves_of_attribute == 0 || self.cves_of_attribute > MAX_SEARCHED_BYTES {
            return false;
        }
        let cves = self.definition.get(DefinitionField::Cves);
        let known = &cves[..self.cves_of_attribute];
        let expected = known.get(self.next_cve..).unwrap_or_default();
        if let Some(after) = expected.strip_prefix(&*self.item)
            && (after.is_empty() || after.starts_with('\n'))
        {
            self.next_cve += self.item.len() + 1;
            return true;
        }
        list_items(known).any(|known| known == self.item)
    }

    /// A list must be moved before it can grow if another cell was written after it. Counting the moved bytes bounds
    /// the row if a report alternates between long lists.
    fn count_item(&mut self, list: ElementRole, present: usize) -> Result<(), Box<Fault>> {
        let moved = if self.open_list == Some(list) { 0 } else { present };
        self.open_list = Some(list);
        self.count_text_in(list, moved + self.item.len())
    }

    /// Adds the CVE IDs of a finding's attribute, a comma-separated list.
    pub(crate) fn add_cves_of_attribute(&mut self, list: &str) -> Result<(), Box<Fault>> {
        for item in list.split(',') {
            flatten(item, &mut self.item);
            self.add_definition_item(DefinitionField::Cves)?;
        }
        self.cves_of_attribute = self.definition.cell_len(DefinitionField::Cves);
        Ok(())
    }

    /// Whether the report contains a text for this code of the finding.
    pub(crate) fn has(&self, code: Code) -> bool {
        self.given & code.bit() != 0
    }

    /// Sets a code of the finding from its text in the report. With a text that is not a value of the code, or with a
    /// second text, the finding has no such code.
    pub(crate) fn set_code(&mut self, code: Code, text: &str) {
        if text.is_empty() {
            return;
        }
        let is_first = !self.has(code);
        self.given |= code.bit();
        let is_valid = is_first && code.set(&mut self.finding, text);
        if !is_valid {
            code.remove(&mut self.finding);
            // A finding without a kind has a note of its own.
            self.invalid_codes += u64::from(code != Code::Kind);
        }
    }
}

impl Code {
    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Sets the code. Returns false if the text is not a value of it.
    fn set(self, finding: &mut FindingRow, text: &str) -> bool {
        match self {
            Self::Kind => kind_of(text).map(|kind| finding.set_kind(kind)),
            Self::Severity => Severity::from_text(text).map(|severity| finding.set_severity(severity)),
            Self::Port => text.parse().ok().map(|port| finding.set_port(port)),
            Self::Protocol => {
                set_protocol(finding, text);
                Some(())
            }
            Self::Ssl => flag(text).map(|ssl| finding.set_ssl(ssl)),
            Self::Status => FindingStatus::from_word(text).map(|status| finding.set_status(status)),
        }
        .is_some()
    }

    fn remove(self, finding: &mut FindingRow) {
        match self {
            Self::Kind => finding.set_kind(None),
            Self::Severity => finding.set_severity(None),
            Self::Port => finding.set_port(0),
            Self::Protocol => finding.set_protocol(None),
            Self::Ssl => finding.set_ssl(None),
            Self::Status => finding.set_status(None),
        }
    }
}

/// The row that a field belongs to.
trait Rows<F: Field> {
    fn row(&mut self) -> &mut Row<F>;
}

impl Rows<AssetField> for Cells {
    fn row(&mut self) -> &mut AssetRow {
        &mut self.asset
    }
}

impl Rows<DefinitionField> for Cells {
    fn row(&mut self) -> &mut DefinitionRow {
        &mut self.definition
    }
}

impl Rows<FindingField> for Cells {
    fn row(&mut self) -> &mut FindingRow {
        &mut self.finding
    }
}

/// Whether text of this role, outside CDATA, is used.
#[inline]
pub(crate) fn collects_text(role: ElementRole) -> bool {
    matches!(
        role,
        ElementRole::Finding(_) | ElementRole::Definition(_) | ElementRole::Asset(_) | ElementRole::Value(_)
    )
}

fn is_score(field: DefinitionField) -> bool {
    use DefinitionField::{Cvss3Base, Cvss3Temporal, CvssBase, CvssTemporal};
    matches!(field, CvssBase | CvssTemporal | Cvss3Base | Cvss3Temporal)
}

/// The kind that a report of detections or assets names.
fn kind_of(text: &str) -> Option<FindingKind> {
    match text {
        "Vuln" | "Confirmed" => Some(FindingKind::Vulnerability),
        "Practice" | "Potential" => Some(FindingKind::Potential),
        "Ig" | "Info" => Some(FindingKind::Information),
        _ => None,
    }
}

fn set_protocol(finding: &mut FindingRow, text: &str) {
    match Protocol::of(text) {
        Some(Protocol::Other(name)) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            finding.set_protocol(Protocol::Other(&name.to_ascii_lowercase()));
        }
        protocol => finding.set_protocol(protocol),
    }
}

/// Template reports write `true` and `false`, detections 1 and 0.
fn flag(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Qualys writes a dash for a missing score.
fn clear_dash<F: Field>(row: &mut Row<F>, field: F) {
    if row.get(field) == "-" {
        row.set(field, "");
    }
}

/// Writes `text` on one line and without tabs: items of list cells, and their parts, must not contain either.
fn flatten(text: &str, into: &mut String) {
    into.clear();
    let text = text.trim_ascii();
    if !text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        into.push_str(text);
        return;
    }
    for word in text.split_ascii_whitespace() {
        if !into.is_empty() {
            into.push(' ');
        }
        into.push_str(word);
    }
}

/// Longer lists are not searched for duplicates, because the time grows with the square of the length.
const MAX_SEARCHED_BYTES: usize = 64 << 10;

/// Adds an item unless the list already contains it.
fn add_item<F: Field>(row: &mut Row<F>, field: F, item: &str) {
    let is_known =
        || row.cell_len(field) <= MAX_SEARCHED_BYTES && list_items(row.get(field)).any(|known| known == item);
    if !item.is_empty() && !is_known() {
        row.append_item(field, item);
    }
}
