//! Views of a batch, for outputs.

use super::cell::Cell;
use super::codes::{BadCode, FindingCodes};
use super::columns::{Columns, TableColumn};
use super::key;
use super::layout::{ASSET_LEAD, DEFINITION_LEAD, FINDING_LEAD, KEY_WORDS, stride};
use super::schema::Schema;
use super::validation::{BadBatch, validate_alone};
use crate::abi::{BatchRef, DefinitionRef, RawBatch2};
use crate::model::{
    AssetField, DefinitionField, Fact, FindingField, FindingKind, FindingStatus, Protocol, Severity,
    list_items,
};

/// Which rows of a batch are meant for one output, as the pipeline's filters decided. Rows ascend.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Selection<'a> {
    /// Rows of assets; `None` means all.
    pub assets: Option<&'a [u32]>,
    /// Rows of findings; `None` means all.
    pub findings: Option<&'a [u32]>,
}

impl<'a> Selection<'a> {
    /// These rows of assets and of findings.
    #[must_use]
    pub const fn new(assets: &'a [u32], findings: &'a [u32]) -> Self {
        Self { assets: Some(assets), findings: Some(findings) }
    }
}

/// A batch that has been validated, with the rows that are meant for the reader. Values are returned as typed
/// views; an empty cell and a column that the sender does not have look the same.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub(super) tables: Tables<'a>,
    selection: Selection<'a>,
    number: u64,
}

/// All rows of a batch. Offsets and rows outside the tables make a view panic; validation excludes them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tables<'a> {
    /// The arena of assets and findings.
    pub(super) text: &'a str,
    pub(super) assets: &'a [u32],
    pub(super) findings: &'a [u32],
    definitions: Definitions<'a>,
    columns: &'a Columns,
}

/// Where the definitions of a batch are.
#[derive(Debug, Clone, Copy)]
enum Definitions<'a> {
    /// In the order of the keys.
    Resolved(&'a [DefinitionRef<'a>]),
    /// In a batch that contains all of them, each in the row of its key, and their text.
    Own(&'a RawBatch2, &'a str),
}

impl<'a> Batch<'a> {
    /// Validates and views a batch that contains all its definitions: for tests of a plugin, where no host does it.
    ///
    /// # Errors
    /// The fault of the batch, or the first finding with an unknown code.
    pub fn of(raw: &'a RawBatch2, columns: &'a Columns) -> Result<Self, BadBatch> {
        let [text, new_text] = validate_alone(raw, columns.schema())?;
        let definitions = Definitions::Own(raw, new_text);
        let tables = Tables { text, assets: &raw.assets, findings: &raw.findings, definitions, columns };
        let batch = Self { tables, selection: Selection::default(), number: 0 };
        let bad = batch.findings().find_map(|finding| Some((finding.row(), finding.bad_code()?)));
        bad.map_or(Ok(batch), |(row, code)| Err(BadBatch::Code { row, code }))
    }

    /// Views a batch that the host has validated.
    pub(crate) fn resolved(batch: BatchRef<'a>, columns: &'a Columns, selection: Selection<'a>) -> Self {
        let tables = Tables {
            text: batch.text(),
            assets: batch.assets(),
            findings: batch.findings(),
            definitions: Definitions::Resolved(batch.definitions()),
            columns,
        };
        Self { tables, selection, number: 0 }
    }

    /// The number of the batch, for answers that come with a later commit
    /// ([`LateRow`](crate::LateRow)). It grows with each batch of an instance.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The same batch with this number.
    pub(crate) fn with_number(self, number: u64) -> Self {
        Self { number, ..self }
    }

    /// The same batch, showing only these rows.
    #[must_use]
    pub fn select(self, selection: Selection<'a>) -> Self {
        Self { selection, ..self }
    }

    /// The columns, with the positions of those that the model knows.
    #[must_use]
    pub fn columns(&self) -> &'a Columns {
        self.tables.columns
    }

    /// The columns' names.
    #[must_use]
    pub fn schema(&self) -> &'a Schema {
        self.tables.columns.schema()
    }

    /// The input's own column with this name (`acme:epss`), in whichever table it is; `None` if the report does not have
    /// it. [`FindingView::cell`] reads it.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<TableColumn> {
        self.tables.columns.own_column(name)
    }

    /// The assets, in the order in which they were scanned. An asset may have no findings here.
    pub fn assets(self) -> impl Iterator<Item = AssetView<'a>> {
        let rows = rows(self.tables.assets.len(), ASSET_LEAD, self.schema().assets.len());
        selected(self.selection.assets, rows).map(move |row| AssetView::new(self.tables, row))
    }

    /// The findings; those of one asset are consecutive, in the order of the assets.
    pub fn findings(self) -> impl Iterator<Item = FindingView<'a>> {
        let rows = self.all_findings();
        selected(self.selection.findings, rows).map(move |row| FindingView::new(self.tables, row))
    }

    /// The finding in this row, selected or not; `None` when the batch has no such row.
    #[must_use]
    pub fn finding(self, row: u32) -> Option<FindingView<'a>> {
        (row < self.all_findings()).then(|| FindingView::new(self.tables, row))
    }

    /// The number of findings that [`Batch::findings`] returns.
    #[must_use]
    pub fn finding_count(&self) -> usize {
        self.selection.findings.map_or_else(|| self.all_findings() as usize, <[u32]>::len)
    }

    fn all_findings(&self) -> u32 {
        rows(self.tables.findings.len(), FINDING_LEAD, self.schema().findings.len())
    }

    /// The number of definitions that findings of the batch can refer to, selected or not.
    pub(super) fn definition_count(&self) -> usize {
        match self.tables.definitions {
            Definitions::Resolved(definitions) => definitions.len(),
            Definitions::Own(raw, _) => raw.keys.len() / KEY_WORDS,
        }
    }

    /// The definition in this row of the keys.
    pub(super) fn definition(self, row: u32) -> DefinitionView<'a> {
        self.tables.definition(row)
    }
}

impl<'a> Tables<'a> {
    #[inline]
    fn cell(self, table: &'a [u32], base: usize, column: Option<usize>) -> &'a str {
        cell(self.text, table, base, column)
    }

    fn definition(self, row: u32) -> DefinitionView<'a> {
        let index = row as usize;
        let (key, text, table) = match self.definitions {
            Definitions::Resolved(definitions) => {
                let DefinitionRef { key, text, row } = &definitions[index];
                (&key[..], text.as_str(), row.as_slice())
            }
            Definitions::Own(raw, text) => {
                let stride = stride(DEFINITION_LEAD, self.columns.schema().definitions.len());
                let table = &raw.new_rows[index * stride..][DEFINITION_LEAD..stride];
                (&raw.keys[index * KEY_WORDS..][..KEY_WORDS], text, table)
            }
        };
        DefinitionView { text, table, key, row, columns: self.columns }
    }
}

#[inline]
fn cell<'a>(text: &'a str, table: &[u32], base: usize, column: Option<usize>) -> &'a str {
    match column {
        Some(column) => {
            let (start, end) = (table[base + column] as usize, table[base + column + 1] as usize);
            // Most cells are empty: nothing is sliced for them.
            if start == end { "" } else { &text[start..end] }
        }
        None => "",
    }
}

fn rows(length: usize, lead: usize, columns: usize) -> u32 {
    u32::try_from(length / stride(lead, columns)).expect("a batch stays below 4 GiB")
}

fn selected(rows: Option<&[u32]>, all: u32) -> impl Iterator<Item = u32> {
    let (some, all) = match rows {
        Some(rows) => (rows, 0..0),
        None => (&[][..], 0..all),
    };
    some.iter().copied().chain(all)
}

/// One asset of a batch.
#[derive(Debug, Clone, Copy)]
pub struct AssetView<'a> {
    tables: Tables<'a>,
    row: u32,
    /// Where the offsets of the row begin.
    base: usize,
}

impl<'a> AssetView<'a> {
    fn new(tables: Tables<'a>, row: u32) -> Self {
        let stride = stride(ASSET_LEAD, tables.columns.schema().assets.len());
        Self { tables, row, base: row as usize * stride + ASSET_LEAD }
    }

    /// The asset's row in the batch.
    #[must_use]
    pub fn row(&self) -> u32 {
        self.row
    }

    /// Whether the asset began in an earlier batch.
    #[must_use]
    pub fn is_continued(&self) -> bool {
        self.tables.assets[self.base - ASSET_LEAD] != 0
    }

    /// The text of a cell; empty if the scanner did not report the value.
    #[must_use]
    #[inline]
    pub fn get(&self, field: AssetField) -> &'a str {
        self.column(self.tables.columns.asset(field))
    }

    /// The value of a cell by the type of its column.
    #[must_use]
    pub fn typed(&self, field: AssetField) -> Cell<'a> {
        Cell::new(self.get(field))
    }

    /// The text of a column of the batch's schema, also of one that the model does not know.
    #[must_use]
    #[inline]
    pub fn column(&self, column: Option<usize>) -> &'a str {
        self.tables.cell(self.tables.assets, self.base, column)
    }

    /// The address; for an asset without an IPv4 one, its IPv6 address. Empty when it has neither.
    #[must_use]
    pub fn address(&self) -> &'a str {
        match self.get(AssetField::Address) {
            "" => self.get(AssetField::Ipv6),
            address => address,
        }
    }
}

/// One definition.
#[derive(Debug, Clone, Copy)]
pub struct DefinitionView<'a> {
    text: &'a str,
    table: &'a [u32],
    key: &'a [u32],
    row: u32,
    columns: &'a Columns,
}

impl<'a> DefinitionView<'a> {
    /// The definition's row in the batch. Equal rows of one batch mean the same definition; across batches compare
    /// [`DefinitionView::key`].
    #[must_use]
    pub fn row(&self) -> u32 {
        self.row
    }

    /// The content key: equal keys mean equal cells, across batches and reports of one schema.
    #[must_use]
    pub fn key(&self) -> u128 {
        key::from_words(self.key)
    }

    /// The key, the arena, and the offsets of the cells.
    pub(super) fn parts(&self) -> (&'a [u32], &'a str, &'a [u32]) {
        (self.key, self.text, self.table)
    }

    /// The scanner's ID for the definition.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.get(DefinitionField::Id)
    }

    /// The scheme that the ID belongs to: the definition's own, or that of the report.
    #[must_use]
    pub fn scheme(&self) -> &'a str {
        match self.get(DefinitionField::Scheme) {
            "" => self.columns.scheme(),
            scheme => scheme,
        }
    }

    /// The QID; none for a definition of another scheme.
    #[must_use]
    pub fn qid(&self) -> Option<&'a str> {
        (self.scheme() == "qid").then(|| self.id())
    }

    /// The text of a cell; empty if the scanner did not report the value.
    #[must_use]
    #[inline]
    pub fn get(&self, field: DefinitionField) -> &'a str {
        self.column(self.columns.definition(field))
    }

    /// The value of a cell by the type of its column.
    #[must_use]
    pub fn typed(&self, field: DefinitionField) -> Cell<'a> {
        Cell::new(self.get(field))
    }

    /// The text of a column of the batch's schema, also of one that the model does not know.
    #[must_use]
    #[inline]
    pub fn column(&self, column: Option<usize>) -> &'a str {
        cell(self.text, self.table, 0, column)
    }
}

/// One finding of a batch.
#[derive(Debug, Clone, Copy)]
pub struct FindingView<'a> {
    tables: Tables<'a>,
    row: u32,
    /// Where the offsets of the row begin.
    base: usize,
}

impl<'a> FindingView<'a> {
    fn new(tables: Tables<'a>, row: u32) -> Self {
        let stride = stride(FINDING_LEAD, tables.columns.schema().findings.len());
        Self { tables, row, base: row as usize * stride + FINDING_LEAD }
    }

    /// The finding's row in the batch: what a rejection names.
    #[must_use]
    pub fn row(&self) -> u32 {
        self.row
    }

    /// The asset that it was found on.
    #[must_use]
    pub fn asset(&self) -> AssetView<'a> {
        AssetView::new(self.tables, self.tables.findings[self.base - FINDING_LEAD])
    }

    /// What was found.
    #[must_use]
    pub fn definition(&self) -> DefinitionView<'a> {
        self.tables.definition(self.tables.findings[self.base - FINDING_LEAD + 1])
    }

    /// The text of a cell; empty if the scanner did not report the value.
    #[must_use]
    #[inline]
    pub fn get(&self, field: FindingField) -> &'a str {
        self.column(self.tables.columns.finding(field))
    }

    /// The value of a cell by the type of its column.
    #[must_use]
    pub fn typed(&self, field: FindingField) -> Cell<'a> {
        Cell::new(self.get(field))
    }

    /// The text of a column of the batch's schema, also of one that the model does not know.
    #[must_use]
    #[inline]
    pub fn column(&self, column: Option<usize>) -> &'a str {
        self.tables.cell(self.tables.findings, self.base, column)
    }

    /// A cell of the finding, of its definition or of its asset, for a column that [`Batch::column`] has found.
    #[must_use]
    #[inline]
    pub fn cell(&self, column: TableColumn) -> Cell<'a> {
        Cell::new(match column {
            TableColumn::Asset(column) => self.asset().column(Some(column)),
            TableColumn::Definition(column) => self.definition().column(Some(column)),
            TableColumn::Finding(column) => self.column(Some(column)),
        })
    }

    /// What kind of finding it is. The host gives outputs only findings of a known kind; any other is shown as
    /// information here.
    #[must_use]
    pub fn kind(&self) -> FindingKind {
        self.codes().kind().unwrap_or(FindingKind::Information)
    }

    /// The severity; `None` if the scanner did not report one.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.codes().severity()
    }

    /// The port; `None` if the finding concerns the whole asset.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.codes().port()
    }

    /// The transport protocol; `None` if the scanner did not report one.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol<'a>> {
        self.codes().protocol(self.get(FindingField::Protocol))
    }

    /// Whether the service was reached over TLS; none if the scanner did not report the value.
    #[must_use]
    pub fn ssl(&self) -> Option<bool> {
        self.codes().ssl()
    }

    /// The status; none means current.
    #[must_use]
    pub fn status(&self) -> Option<FindingStatus> {
        self.codes().status()
    }

    /// Whether the scanner says that the finding is gone.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.status() == Some(FindingStatus::Fixed)
    }

    /// Whether the finding is current: its status is not Fixed, Ignored or Disabled. A finding without a status is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.status().is_none_or(FindingStatus::is_open)
    }

    /// A code that this version does not know, if the finding has one. The host gives such a finding to no output.
    #[must_use]
    pub fn bad_code(&self) -> Option<BadCode> {
        self.codes().bad()
    }

    /// What the finding tells about its asset.
    pub fn facts(&self) -> impl Iterator<Item = Fact<'a>> {
        list_items(self.get(FindingField::Facts)).filter_map(Fact::from_item)
    }

    fn codes(&self) -> FindingCodes {
        FindingCodes([self.tables.findings[self.base - 2], self.tables.findings[self.base - 1]])
    }
}
