//! The rows under construction, and how pieces of text become cells.

use scanbridge_plugin_api::batch::{AssetRow, DefinitionRow, FindingRow, Row};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, Field, FindingField, FindingKind, Severity, list_items,
};

use crate::cloud::Provider;
use crate::damage::Fault;
use crate::element_role::{ElementRole, Gathered, List, Structure, Value};
use crate::forms::{Form, Formed, is_placeholder, is_score, is_usual_score, split_score};
use crate::other::{Budget, Extra, Place, Table};

/// The current rows of asset, definition and finding, reused for all rows of a report.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) asset: AssetRow,
    pub(crate) definition: DefinitionRow,
    pub(crate) finding: FindingRow,
    /// The text that a [`ElementRole::Value`] collects.
    pub(crate) value: String,
    pub(crate) parts: [String; 6],
    pub(crate) source: String,
    pub(crate) item: String,
    /// The list that received the last item.
    pub(crate) open_list: Option<ElementRole>,
    /// Length of the part of the CVE list that is from the finding's attribute.
    pub(crate) cves_of_attribute: usize,
    /// Offset in that part at which the next ID of the list is expected.
    pub(crate) next_cve: usize,
    /// Lists of the finding whose shape differs between versions, one item per line.
    pub(crate) gathered: [String; Gathered::COUNT],
    /// The cloud provider whose metadata is being read.
    pub(crate) provider: Provider,
    /// The ranks of the attributes that the cells of cloud facts are from.
    pub(crate) cloud_ranks: Vec<(AssetField, u8)>,
    /// The flags that close a finding.
    pub(crate) is_ignored: bool,
    pub(crate) is_disabled: bool,
    /// The kind of findings of a definition.
    pub(crate) definition_kind: Option<FindingKind>,
    /// Texts without a field, which are passed on after the current event.
    pub(crate) extras: Vec<Extra>,
    /// The text of an unknown element.
    other: String,
    /// What the rows have received of such texts: asset, definition, finding.
    pub(crate) budgets: [Budget; 3],
    /// A value in another spelling than in the report.
    scratch: String,
    /// White space that is added only if more text follows.
    pending: String,
    has_text: bool,
    /// The same of the text that an unknown element interrupts.
    interrupted: (String, bool),
    /// The codes of the finding for which the report contains a text, one bit each.
    pub(crate) given: u8,
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
            gathered: Default::default(),
            provider: Provider::default(),
            cloud_ranks: Vec::new(),
            is_ignored: false,
            is_disabled: false,
            definition_kind: None,
            extras: Vec::new(),
            other: String::new(),
            budgets: [Budget::default(); 3],
            scratch: String::new(),
            pending: String::new(),
            has_text: false,
            interrupted: (String::new(), false),
            given: 0,
            text_bytes: 0,
            asset_text_bytes: 0,
            limit,
        }
    }

    /// Begins an asset.
    pub(crate) fn begin_asset(&mut self) {
        (self.text_bytes, self.asset_text_bytes) = (0, 0);
        self.asset.clear();
        self.cloud_ranks.clear();
        self.budgets[0] = Budget::default();
    }

    /// Begins a finding, and with it the definition that it may contain.
    pub(crate) fn begin_finding(&mut self) {
        (self.text_bytes, self.cves_of_attribute, self.next_cve) = (0, 0, 0);
        self.given = 0;
        (self.is_ignored, self.is_disabled, self.definition_kind) = (false, false, None);
        self.gathered.iter_mut().for_each(String::clear);
        self.finding.clear();
        self.definition.clear();
        self.budgets[1..].fill(Budget::default());
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

    /// The text of the current finding and its definition so far, moved text included.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Counts text of a definition that was counted before: it is within the limit. `bytes` includes what the finding
    /// has so far.
    pub(crate) fn skip_text(&mut self, bytes: usize) {
        self.text_bytes = bytes;
    }

    /// Counts text that is added to, or has to be moved within, the row of this role.
    #[inline]
    pub(crate) fn count_text_in(&mut self, role: ElementRole, bytes: usize) -> Result<(), Box<Fault>> {
        if !is_of_asset(role) {
            return self.count_text(bytes);
        }
        self.asset_text_bytes = self.asset_text_bytes.saturating_add(bytes);
        if self.asset_text_bytes > self.limit { Err(Fault::TooMuchText(self.limit).into()) } else { Ok(()) }
    }

    /// Begins an element whose text is used.
    #[inline]
    pub(crate) fn open(&mut self, role: ElementRole, parent: ElementRole) -> Result<(), Box<Fault>> {
        if let ElementRole::Other(_) = role {
            self.open_other(parent);
            return Ok(());
        }
        self.has_text = false;
        self.pending.clear();
        match role {
            ElementRole::Finding(field) => return self.start_next_line(role, field),
            ElementRole::Definition(field) => return self.start_next_line(role, field),
            ElementRole::Asset(field) => return self.start_next_line(role, field),
            ElementRole::AssetBetter(field) => self.asset.set(field, ""),
            // An item is a child with any name.
            ElementRole::Value(Value::Gathered(list)) if parent == role => self.gather(list)?,
            ElementRole::Value(_) => self.value.clear(),
            ElementRole::List(List::ExploitSource | List::MalwareSource) => self.source.clear(),
            ElementRole::Item(_) => self.parts.iter_mut().for_each(String::clear),
            ElementRole::Of(Structure::CloudMetadata(provider)) => self.provider = provider,
            _ => {}
        }
        Ok(())
    }

    /// Begins an unknown element. It may interrupt the text of a cell.
    #[cold]
    fn open_other(&mut self, parent: ElementRole) {
        if let ElementRole::Other(table) = parent {
            self.pass_on_text(table, Place::Around);
        } else {
            self.interrupted = (std::mem::take(&mut self.pending), self.has_text);
        }
        self.other.clear();
        self.pending.clear();
        self.has_text = false;
    }

    /// Ends an unknown element within `parent`.
    #[cold]
    pub(crate) fn close_other(&mut self, table: Table, parent: ElementRole) {
        self.pass_on_text(table, Place::Closed(""));
        if !matches!(parent, ElementRole::Other(_)) {
            (self.pending, self.has_text) = std::mem::take(&mut self.interrupted);
        }
    }

    /// Passes on the text of the innermost unknown element.
    fn pass_on_text(&mut self, table: Table, place: Place) {
        let text = std::mem::take(&mut self.other);
        if !is_placeholder(text.trim()) {
            self.extras.push(Extra { table, place, text, field: None, is_second: false });
        }
    }

    /// Passes on an attribute of the element that was just opened.
    #[cold]
    pub(crate) fn pass_on_attribute(&mut self, table: Table, key: &str, value: &str) {
        if !is_placeholder(value.trim()) {
            let place = Place::Attribute(key.to_owned());
            self.extras.push(Extra { table, place, text: value.to_owned(), field: None, is_second: false });
        }
    }

    /// A cell that already has text continues on a new line, so that no text is lost when an element appears twice. A
    /// customer's comment follows the text that it refers to.
    #[inline]
    fn start_next_line<F: Field>(&mut self, role: ElementRole, field: F) -> Result<(), Box<Fault>>
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
        Ok(())
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
            self.add(role, body)?;
        }
        let after = &piece[body.len()..];
        if self.has_text && !after.is_empty() {
            self.count_text_in(role, after.len())?;
            self.pending.push_str(after);
        }
        Ok(())
    }

    /// Adds text unchanged.
    #[inline]
    pub(crate) fn verbatim(&mut self, role: ElementRole, piece: &str) -> Result<(), Box<Fault>> {
        if collects_text(role) { self.add(role, piece) } else { Ok(()) }
    }

    #[inline]
    fn add(&mut self, role: ElementRole, piece: &str) -> Result<(), Box<Fault>> {
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
            ElementRole::Other(_) => self.other.push_str(piece),
            _ => {}
        }
        Ok(())
    }

    /// Ends an element and normalizes its text where necessary.
    #[inline]
    pub(crate) fn close(&mut self, role: ElementRole) -> Result<(), Box<Fault>> {
        match role {
            ElementRole::Definition(field) => match field.form() {
                Some(Form::Score) => self.close_score(field),
                Some(form) => self.close_formed(Table::Definition, field, form),
                None => clear_placeholder(&mut self.definition, field),
            },
            ElementRole::Finding(field) => match field.form() {
                Some(form) => self.close_formed(Table::Finding, field, form),
                None => clear_placeholder(&mut self.finding, field),
            },
            ElementRole::Asset(field) => match field.form() {
                Some(form) => self.close_formed(Table::Asset, field, form),
                None => clear_placeholder(&mut self.asset, field),
            },
            ElementRole::Value(value) => self.close_value(value)?,
            ElementRole::Item(item) => self.close_item(item)?,
            _ => {}
        }
        Ok(())
    }

    /// Gives the cell the spelling of its form. A text of another form is passed on.
    fn close_formed<F: Formed>(&mut self, table: Table, field: F, form: Form)
    where
        Self: Rows<F>,
    {
        let mut scratch = std::mem::take(&mut self.scratch);
        let text = self.row().get(field);
        match form.of(text, &mut scratch) {
            Some(value) if value.len() == text.len() => {}
            Some(value) => {
                let value = value.to_owned();
                self.row().set(field, &value);
            }
            None => {
                let text = text.to_owned();
                self.row().set(field, "");
                let place = Place::Closed("");
                self.add_bad_value(table, place, F::NAMES[field.index()], text);
            }
        }
        self.scratch = scratch;
    }

    /// Passes on a text that does not have the form of its field.
    #[cold]
    pub(crate) fn add_bad_value(&mut self, table: Table, place: Place, field: &'static str, text: String) {
        self.extras.push(Extra { table, place, text, field: Some(field), is_second: false });
    }

    /// Separates the vector of a score from its number.
    fn close_score(&mut self, field: DefinitionField) {
        use DefinitionField::{Cvss3Base, Cvss3Temporal, Cvss3Vector, Cvss4Base, Cvss4Vector, CvssVector};
        if is_usual_score(self.definition.get(field)) {
            return;
        }
        let mut text = std::mem::take(&mut self.item);
        self.definition.get(field).clone_into(&mut text);
        let (number, vector) = split_score(&text);
        if vector.is_empty() || !is_score(number) {
            self.close_formed(Table::Definition, field, Form::Score);
        } else {
            let vector_field = match field {
                Cvss3Base | Cvss3Temporal => Cvss3Vector,
                Cvss4Base => Cvss4Vector,
                _ => CvssVector,
            };
            self.definition.set(field, number);
            // The metrics of a temporal score follow those of the base score.
            let present = self.definition.get(vector_field);
            if present.is_empty() {
                self.definition.set(vector_field, vector);
            } else if !present.split('/').any(|metric| vector.split('/').any(|other| other == metric)) {
                self.definition.append(vector_field, "/");
                self.definition.append(vector_field, vector);
            }
        }
        self.item = text;
    }

    /// Completes the cells of the asset from others that mean the same.
    pub(crate) fn complete_asset(&mut self) {
        use AssetField as F;
        for (empty, from) in
            [(F::Dns, F::Fqdn), (F::Network, F::NetworkId), (F::LastScan, F::LastVulnerabilityScan)]
        {
            if self.asset.cell_len(empty) == 0 && self.asset.cell_len(from) > 0 {
                let text = self.asset.get(from).to_owned();
                self.asset.set(empty, &text);
            }
        }
    }

    /// Sets the severity of the definition, which is that of findings without one.
    pub(crate) fn set_definition_severity(&mut self) {
        if let Some(severity) = self.finding.severity().map(Severity::word) {
            self.definition.set(DefinitionField::Severity, severity);
        }
    }

    /// Sets who assigned a score, from the attribute of its element.
    pub(crate) fn set_score_source(&mut self, field: DefinitionField, value: &str) {
        use DefinitionField::{Cvss3Base, Cvss3Source, Cvss4Base, Cvss4Source, CvssBase, CvssSource};
        let source = match field {
            CvssBase => CvssSource,
            Cvss3Base => Cvss3Source,
            Cvss4Base => Cvss4Source,
            _ => return self.pass_on_attribute(Table::Definition, "source", value),
        };
        // The text of the score continues after it.
        self.definition.set(source, value.trim());
    }

    /// Removes the metrics of versions of CVSS that have a vector.
    pub(crate) fn drop_metrics_of_vectors(&mut self) {
        use DefinitionField::{Cvss3Vector, CvssMetrics, CvssVector};
        if self.definition.cell_len(CvssMetrics) == 0 {
            return;
        }
        let has_vector = |field| self.definition.cell_len(field) > 0;
        let is_needed = |item: &&str| match item.get(..3) {
            Some("v2.") => !has_vector(CvssVector),
            _ => !has_vector(Cvss3Vector),
        };
        let needed: Vec<&str> = list_items(self.definition.get(CvssMetrics)).filter(is_needed).collect();
        let needed = needed.join("\n");
        self.definition.set(CvssMetrics, &needed);
    }

    /// Adds the CVSS 3 version that the vector names, if there is none.
    pub(crate) fn complete_definition(&mut self) {
        use DefinitionField::{Cvss3Vector, Cvss3Version};
        if self.definition.cell_len(Cvss3Version) > 0 || self.definition.cell_len(Cvss3Vector) == 0 {
            return;
        }
        let version = self.definition.get(Cvss3Vector).strip_prefix("CVSS:").and_then(|rest| rest.get(..3));
        if let Some(version) = version.filter(|version| version.starts_with("3.")).map(str::to_owned) {
            self.definition.set(Cvss3Version, &version);
        }
    }
}

/// The row that a field belongs to.
pub(crate) trait Rows<F: Field> {
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
        ElementRole::Finding(_)
            | ElementRole::Definition(_)
            | ElementRole::Asset(_)
            | ElementRole::Value(_)
            | ElementRole::Other(_)
    )
}

/// Whether text of this role belongs to the asset, whose texts may appear between its findings.
#[inline]
fn is_of_asset(role: ElementRole) -> bool {
    match role {
        ElementRole::Asset(_) | ElementRole::Other(Table::Asset) => true,
        ElementRole::Value(value) => value.is_of_asset(),
        _ => false,
    }
}

/// Qualys writes a dash or `N/A` for a missing text.
#[inline]
fn clear_placeholder<F: Field>(row: &mut Row<F>, field: F) {
    if matches!(row.cell_len(field), 1 | 3) && is_placeholder(row.get(field)) {
        row.set(field, "");
    }
}
