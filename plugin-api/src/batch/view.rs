//! How an output reads a batch.

use super::codes::{BadCode, FindingCodes};
use super::raw::{ASSET_LEAD, DEFINITION_LEAD, FINDING_LEAD, RawBatch, RawDefinitions, stride};
use super::schema::{Columns, Schema};
use super::validation::{BadBatch, validate_alone};
use crate::model::{
    AssetField, DefinitionField, Fact, FindingField, FindingKind, FindingStatus, Protocol, Severity,
    list_items,
};

/// Which rows of a batch are meant for one output, as the pipeline's filters decided. Rows ascend.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'a> {
    /// Rows of assets; `None` means all.
    pub assets: Option<&'a [u32]>,
    /// Rows of findings; `None` means all.
    pub findings: Option<&'a [u32]>,
}

/// A batch that has been validated, with the rows that are meant for the reader. Values are given as typed
/// views; an empty cell and a column that the sender does not have look the same.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    raw: &'a RawBatch,
    /// The arena of assets and findings.
    text: &'a str,
    /// Definitions that are not in the batch itself, in the order of their numbers.
    definitions: &'a [&'a RawDefinitions],
    columns: &'a Columns,
    selection: Selection<'a>,
    number: u64,
}

impl<'a> Batch<'a> {
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

    /// Validates and views a batch that contains all its definitions: for tests of a plugin, which have no host to do it.
    ///
    /// # Errors
    /// What is wrong with the batch, or the first finding with an unknown code.
    #[expect(unsafe_code, reason = "the check is made here")]
    pub fn of(raw: &'a RawBatch, columns: &'a Columns) -> Result<Self, BadBatch> {
        validate_alone(raw, columns.schema())?;
        // SAFETY: the check passed, and it includes UTF-8.
        let batch = unsafe { Self::trusted(raw, &[], columns, Selection::default()) };
        let bad = batch.findings().find_map(|finding| Some((finding.row(), finding.bad_code()?)));
        bad.map_or(Ok(batch), |(row, code)| Err(BadBatch::Code { row, code }))
    }

    /// Views a batch whose arenas, that of the batch and those of the definitions, are known to be UTF-8. Offsets
    /// and numbers that lead nowhere make a view panic, nothing worse.
    #[expect(unsafe_code, reason = "the UTF-8 check of an arena is done once per batch, not once per output")]
    pub(crate) unsafe fn trusted(
        raw: &'a RawBatch,
        definitions: &'a [&'a RawDefinitions],
        columns: &'a Columns,
        selection: Selection<'a>,
    ) -> Self {
        // SAFETY: the caller vouches for the bytes.
        let text = unsafe { std::str::from_utf8_unchecked(&raw.bytes) };
        Self { raw, text, definitions, columns, selection, number: 0 }
    }

    /// The same batch, showing only these rows.
    #[must_use]
    pub fn select(self, selection: Selection<'a>) -> Self {
        Self { selection, ..self }
    }

    /// The columns, with the positions of those that the model knows.
    #[must_use]
    pub fn columns(&self) -> &'a Columns {
        self.columns
    }

    /// The columns' names.
    #[must_use]
    pub fn schema(&self) -> &'a Schema {
        self.columns.schema()
    }

    /// The assets, in the order in which they were scanned. An asset may have no findings here.
    pub fn assets(self) -> impl Iterator<Item = AssetView<'a>> {
        let rows = rows(self.raw.assets.len(), ASSET_LEAD, self.schema().assets.len());
        selected(self.selection.assets, rows).map(move |row| AssetView { batch: self, row })
    }

    /// The findings; those of one asset stand together, in the order of the assets.
    pub fn findings(self) -> impl Iterator<Item = FindingView<'a>> {
        let rows = rows(self.raw.findings.len(), FINDING_LEAD, self.schema().findings.len());
        selected(self.selection.findings, rows).map(move |row| FindingView { batch: self, row })
    }

    /// The finding in this row, selected or not; none when the batch has no such row.
    #[must_use]
    pub fn finding(self, row: u32) -> Option<FindingView<'a>> {
        let rows = rows(self.raw.findings.len(), FINDING_LEAD, self.schema().findings.len());
        (row < rows).then_some(FindingView { batch: self, row })
    }

    /// How many findings [`Batch::findings`] gives.
    #[must_use]
    pub fn finding_count(&self) -> usize {
        let all = rows(self.raw.findings.len(), FINDING_LEAD, self.schema().findings.len()) as usize;
        self.selection.findings.map_or(all, <[u32]>::len)
    }

    fn cell(self, table: &'a [u32], base: usize, column: Option<usize>) -> &'a str {
        cell(self.text, table, base, column)
    }

    /// The definition with this number.
    #[expect(unsafe_code, reason = "as for the arena of the batch")]
    pub(super) fn definition(self, number: u32) -> DefinitionView<'a> {
        let block = if number >= self.raw.definitions.first {
            &self.raw.definitions
        } else {
            let after = self.definitions.partition_point(|block| block.first <= number);
            self.definitions[after - 1]
        };
        // SAFETY: `Batch::trusted` was given definitions whose arenas are UTF-8.
        let text = unsafe { std::str::from_utf8_unchecked(&block.bytes) };
        let row = (number - block.first) as usize;
        let base = row * stride(DEFINITION_LEAD, self.schema().definitions.len()) + DEFINITION_LEAD;
        DefinitionView { text, table: &block.table, base, number, columns: self.columns }
    }
}

fn cell<'a>(text: &'a str, table: &[u32], base: usize, column: Option<usize>) -> &'a str {
    match column {
        Some(column) => &text[table[base + column] as usize..table[base + column + 1] as usize],
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
    batch: Batch<'a>,
    row: u32,
}

impl<'a> AssetView<'a> {
    /// The asset's row in the batch.
    #[must_use]
    pub fn row(&self) -> u32 {
        self.row
    }

    /// Whether the asset began in an earlier batch.
    #[must_use]
    pub fn is_continued(&self) -> bool {
        self.batch.raw.assets[self.base() - ASSET_LEAD] != 0
    }

    /// The text of a cell; empty when the scanner said nothing.
    #[must_use]
    pub fn get(&self, field: AssetField) -> &'a str {
        self.column(self.batch.columns.asset(field))
    }

    /// The text of a column of the batch's schema, also of one that the model does not know.
    #[must_use]
    pub fn column(&self, column: Option<usize>) -> &'a str {
        self.batch.cell(&self.batch.raw.assets, self.base(), column)
    }

    /// The address; for an asset without an IPv4 one, its IPv6 address. Empty when it has neither.
    #[must_use]
    pub fn address(&self) -> &'a str {
        match self.get(AssetField::Address) {
            "" => self.get(AssetField::Ipv6),
            address => address,
        }
    }

    fn base(&self) -> usize {
        self.row as usize * stride(ASSET_LEAD, self.batch.schema().assets.len()) + ASSET_LEAD
    }
}

/// One definition.
#[derive(Debug, Clone, Copy)]
pub struct DefinitionView<'a> {
    text: &'a str,
    table: &'a [u32],
    base: usize,
    number: u32,
    columns: &'a Columns,
}

impl<'a> DefinitionView<'a> {
    /// The definition's number. Equal numbers within a batch mean the same definition; in another batch a number
    /// may mean another one, so across batches compare [`DefinitionView::key`].
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The content key: equal keys mean equal cells, across batches and reports.
    #[must_use]
    pub fn key(&self) -> u128 {
        let parts = &self.table[self.base - DEFINITION_LEAD..self.base];
        parts.iter().rev().fold(0, |key, part| key << 32 | u128::from(*part))
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

    /// The text of a cell; empty when the scanner said nothing.
    #[must_use]
    pub fn get(&self, field: DefinitionField) -> &'a str {
        self.column(self.columns.definition(field))
    }

    /// The text of a column of the batch's schema, also of one that the model does not know.
    #[must_use]
    pub fn column(&self, column: Option<usize>) -> &'a str {
        cell(self.text, self.table, self.base, column)
    }
}

/// One finding of a batch.
#[derive(Debug, Clone, Copy)]
pub struct FindingView<'a> {
    batch: Batch<'a>,
    row: u32,
}

impl<'a> FindingView<'a> {
    /// The finding's row in the batch: what a rejection names.
    #[must_use]
    pub fn row(&self) -> u32 {
        self.row
    }

    /// The asset that it was found on.
    #[must_use]
    pub fn asset(&self) -> AssetView<'a> {
        AssetView { batch: self.batch, row: self.batch.raw.findings[self.base() - FINDING_LEAD] }
    }

    /// What was found.
    #[must_use]
    pub fn definition(&self) -> DefinitionView<'a> {
        self.batch.definition(self.batch.raw.findings[self.base() - FINDING_LEAD + 1])
    }

    /// The text of a cell; empty when the scanner said nothing.
    #[must_use]
    pub fn get(&self, field: FindingField) -> &'a str {
        self.column(self.batch.columns.finding(field))
    }

    /// The text of a column of the batch's schema, also of one that the model does not know.
    #[must_use]
    pub fn column(&self, column: Option<usize>) -> &'a str {
        self.batch.cell(&self.batch.raw.findings, self.base(), column)
    }

    /// What kind of finding it is. The host gives outputs only findings of a known kind; any other is shown as
    /// information here.
    #[must_use]
    pub fn kind(&self) -> FindingKind {
        self.codes().kind().unwrap_or(FindingKind::Information)
    }

    /// The severity; none when the scanner gave none.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.codes().severity()
    }

    /// The port; none when the finding concerns the whole asset.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.codes().port()
    }

    /// The transport protocol; none when the scanner gave none.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol<'a>> {
        self.codes().protocol(self.get(FindingField::Protocol))
    }

    /// Whether the service was reached over TLS; none when the scanner said nothing.
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
        let base = self.base();
        FindingCodes([self.batch.raw.findings[base - 2], self.batch.raw.findings[base - 1]])
    }

    fn base(&self) -> usize {
        self.row as usize * stride(FINDING_LEAD, self.batch.schema().findings.len()) + FINDING_LEAD
    }
}
