//! The rows under construction, and how pieces of text become cells.

use scanbridge_plugin_api::batch::{AssetRow, DefinitionRow, FindingRow, Row};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, Field, FindingField, FindingKind, FindingStatus, Protocol, Severity,
    list_items,
};

use crate::damage::Fault;
use crate::place::{Code, ElementRole, Item, List, Value};

/// The current rows of asset, definition and finding, reused for the whole report.
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
    /// The list that the last item went to.
    open_list: Option<ElementRole>,
    /// How much of the list of CVE ids is from the finding's attribute.
    cves_of_attribute: usize,
    /// Where in that part the next id of the list is expected.
    next_cve: usize,
    /// White space that belongs to the text only if more of it follows.
    pending: String,
    begun: bool,
    /// The codes of the finding for which the report contains a text, one bit each.
    given: u8,
    /// Texts of codes, except kinds, that are not a value of their code.
    pub(crate) invalid_codes: u64,
    /// Bytes of text (moved ones too) since the finding or definition began.
    weight: usize,
    /// The same for the asset: its texts may appear between its findings, and are kept with it.
    asset_weight: usize,
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
            begun: false,
            given: 0,
            invalid_codes: 0,
            weight: 0,
            asset_weight: 0,
            limit,
        }
    }

    /// An asset begins.
    pub(crate) fn begin_asset(&mut self) {
        (self.weight, self.asset_weight) = (0, 0);
        self.asset.clear();
    }

    /// Begins a finding, and with it the definition that it may contain.
    pub(crate) fn begin_finding(&mut self) {
        (self.weight, self.cves_of_attribute, self.next_cve) = (0, 0, 0);
        (self.given, self.invalid_codes) = (0, 0);
        self.finding.clear();
        self.definition.clear();
    }

    /// Begins a text that belongs to no record: earlier texts do not count.
    pub(crate) fn begin_text(&mut self) {
        self.weight = 0;
    }

    /// Text of the current finding or definition; more than the limit is damage.
    #[inline]
    pub(crate) fn count_text(&mut self, bytes: usize) -> Result<(), Box<Fault>> {
        self.weight = self.weight.saturating_add(bytes);
        if self.weight > self.limit { Err(Fault::TooMuchText(self.limit).into()) } else { Ok(()) }
    }

    /// Text that goes to this place, or has to be moved there.
    #[inline]
    pub(crate) fn weigh_in(&mut self, place: ElementRole, bytes: usize) -> Result<(), Box<Fault>> {
        if !matches!(place, ElementRole::Asset(_) | ElementRole::Value(Value::AssetItem(_))) {
            return self.count_text(bytes);
        }
        self.asset_weight = self.asset_weight.saturating_add(bytes);
        if self.asset_weight > self.limit { Err(Fault::TooMuchText(self.limit).into()) } else { Ok(()) }
    }

    /// Begins an element whose text is used. Returns the cell that its text goes to.
    #[inline]
    pub(crate) fn open(&mut self, place: ElementRole) -> Result<ElementRole, Box<Fault>> {
        self.begun = false;
        self.pending.clear();
        match place {
            ElementRole::Finding(field) => self.start_next_line(place, field),
            ElementRole::Definition(field) => self.start_next_line(place, field),
            ElementRole::Asset(field) => self.start_next_line(place, field),
            ElementRole::AssetFallback(field) if self.asset.cell_len(field) > 0 => Ok(ElementRole::Ignored),
            ElementRole::AssetFallback(field) => Ok(ElementRole::Asset(field)),
            ElementRole::AssetBetter(field) => {
                self.asset.set(field, "");
                Ok(ElementRole::Asset(field))
            }
            ElementRole::Value(_) => {
                self.value.clear();
                Ok(place)
            }
            ElementRole::List(List::ExploitSource) => {
                self.source.clear();
                Ok(place)
            }
            ElementRole::Item(_) => {
                self.parts.iter_mut().for_each(String::clear);
                Ok(place)
            }
            _ => Ok(place),
        }
    }

    /// A cell that already has text continues on a new line: nothing is lost when an element appears twice, and a
    /// customer's comment follows the text that it comments on.
    #[inline]
    fn start_next_line<F: Field>(&mut self, place: ElementRole, field: F) -> Result<ElementRole, Box<Fault>>
    where
        Self: Rows<F>,
    {
        self.open_list = None;
        let present = self.row().cell_len(field);
        if present > 0 {
            // The row may have to move what the cell has.
            self.weigh_in(place, present + 1)?;
            self.row().append(field, "\n");
        }
        Ok(place)
    }

    /// Text that stood outside CDATA: white space around it is the report's layout, not text.
    #[inline]
    pub(crate) fn text(&mut self, place: ElementRole, piece: &str) -> Result<(), Box<Fault>> {
        if !takes_text(place) {
            return Ok(());
        }
        let piece = if self.begun { piece } else { piece.trim_ascii_start() };
        let body = piece.trim_ascii_end();
        if !body.is_empty() {
            self.verbatim(place, body)?;
        }
        if self.begun {
            self.weigh_in(place, piece.len() - body.len())?;
            self.pending.push_str(&piece[body.len()..]);
        }
        Ok(())
    }

    /// Text that is taken as it is.
    #[inline]
    pub(crate) fn verbatim(&mut self, place: ElementRole, piece: &str) -> Result<(), Box<Fault>> {
        if !takes_text(place) {
            return Ok(());
        }
        if self.begun && !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            self.put(place, &pending)?;
            self.pending = pending;
            self.pending.clear();
        }
        self.begun = true;
        self.put(place, piece)
    }

    #[inline]
    fn put(&mut self, place: ElementRole, piece: &str) -> Result<(), Box<Fault>> {
        self.weigh_in(place, piece.len())?;
        match place {
            ElementRole::Finding(field) => self.finding.append(field, piece),
            ElementRole::Definition(field) => self.definition.append(field, piece),
            ElementRole::Asset(field) => self.asset.append(field, piece),
            ElementRole::Value(_) => self.value.push_str(piece),
            _ => {}
        }
        Ok(())
    }

    /// An element ends: what needs a last touch gets it.
    #[inline]
    pub(crate) fn close(&mut self, place: ElementRole) -> Result<(), Box<Fault>> {
        match place {
            ElementRole::Definition(field) if is_score(field) => no_dash(&mut self.definition, field),
            ElementRole::Finding(field @ (FindingField::CvssFinal | FindingField::Cvss3Final)) => {
                no_dash(&mut self.finding, field);
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
                self.weigh_item(ElementRole::Asset(field), self.asset.cell_len(field))?;
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
        let kept = self.item.trim_end_matches('\t').len();
        self.item.truncate(kept);
        self.add_definition_item(field)
    }

    fn add_definition_item(&mut self, field: DefinitionField) -> Result<(), Box<Fault>> {
        if field == DefinitionField::Cves && self.is_in_attribute() {
            return Ok(());
        }
        self.weigh_item(ElementRole::Definition(field), self.definition.cell_len(field))?;
        if !self.item.is_empty() {
            self.definition.append_item(field, &self.item);
        }
        Ok(())
    }

    /// Whether the CVE id was in the finding's attribute already. As a rule the list repeats the attribute in
    /// its order, so that one comparison says yes.
    fn is_in_attribute(&mut self) -> bool {
        if self.cves_of_attribute == 0 || self.cves_of_attribute > SEARCHED {
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

    /// A list after which another cell was written has to be moved before it can grow. A report that alternates
    /// between long lists must not grow the row without limit.
    fn weigh_item(&mut self, list: ElementRole, present: usize) -> Result<(), Box<Fault>> {
        let moved = if self.open_list == Some(list) { 0 } else { present };
        self.open_list = Some(list);
        self.weigh_in(list, moved + self.item.len())
    }

    /// Takes the CVE ids of a finding's attribute: a comma list.
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

/// Whether text at this position, outside CDATA, is used.
#[inline]
pub(crate) fn takes_text(place: ElementRole) -> bool {
    matches!(
        place,
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

/// A dash stands for no score.
fn no_dash<F: Field>(row: &mut Row<F>, field: F) {
    if row.get(field) == "-" {
        row.set(field, "");
    }
}

/// Writes `text` on one line and without tabs, as an item of a list cell or a part of one has to be.
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

/// Longer lists are not searched for repeats: that would take the square of their length.
const SEARCHED: usize = 64 << 10;

/// Adds an item that the list does not have yet.
fn add_item<F: Field>(row: &mut Row<F>, field: F, item: &str) {
    let is_known =
        || row.cell_len(field) <= SEARCHED && list_items(row.get(field)).any(|known| known == item);
    if !item.is_empty() && !is_known() {
        row.append_item(field, item);
    }
}
