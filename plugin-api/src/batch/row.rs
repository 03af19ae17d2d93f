//! Rows under construction.

use super::codes::FindingCodes;
use super::columns::{OwnColumn, RowLayout};
use super::touched::Touched;
use crate::model::{
    AssetField, DefinitionField, Field, FindingField, FindingKind, FindingStatus, Protocol, Severity,
};

/// A row under construction. Cells are set in any order. A parser keeps one row of each table and clears it for each
/// use, so that no memory is allocated per finding.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Row<F: Field> {
    text: String,
    spans: Vec<(u32, u32)>,
    /// The cells that were set since the row was cleared: most cells of a row are empty.
    touched: Touched,
    open: Option<usize>,
    codes: F::Codes,
}

/// A row of the table of assets.
pub type AssetRow = Row<AssetField>;
/// A row of the table of definitions.
pub type DefinitionRow = Row<DefinitionField>;
/// A row of the table of findings.
pub type FindingRow = Row<FindingField>;

impl<F: Field> Default for Row<F> {
    fn default() -> Self {
        Self {
            text: String::new(),
            spans: vec![(0, 0); F::NAMES.len()],
            touched: Touched::default(),
            open: None,
            codes: F::Codes::default(),
        }
    }
}

impl<F: Field> Row<F> {
    /// Empties every cell, removes every code, and keeps the memory.
    pub fn clear(&mut self) {
        self.codes = F::Codes::default();
        self.text.clear();
        self.spans.fill((0, 0));
        self.touched = Touched::default();
        self.open = None;
    }

    /// Replaces the text of a cell.
    pub fn set(&mut self, field: F, text: &str) {
        self.set_at(field.index(), text);
    }

    /// Replaces the text of a cell in a column of the input's own. Its form must be that of the column's type.
    pub fn set_own(&mut self, column: OwnColumn<F>, text: &str) {
        let index = self.own(column);
        self.set_at(index, text);
    }

    fn set_at(&mut self, index: usize, text: &str) {
        let end = offset(self.text.len());
        self.spans[index] = (end, end);
        self.touched.add(index);
        self.open = Some(index);
        self.append_at(index, text);
    }

    /// Adds an item to a list cell in a column of the input's own.
    pub fn append_own_item(&mut self, column: OwnColumn<F>, item: &str) {
        let index = self.own(column);
        if !self.cell(index).is_empty() {
            self.append_at(index, "\n");
        }
        self.append_at(index, item);
    }

    /// The index of the cell in an own column: these come after the fields of the model.
    fn own(&mut self, column: OwnColumn<F>) -> usize {
        let index = F::NAMES.len() + column.index();
        if index >= self.spans.len() {
            self.spans.resize(index + 1, (0, 0));
        }
        index
    }

    /// Adds text to the end of a cell. Add the pieces of one cell without another cell's in between: otherwise they
    /// are copied again.
    pub fn append(&mut self, field: F, text: &str) {
        self.append_at(field.index(), text);
    }

    fn append_at(&mut self, index: usize, text: &str) {
        if self.open != Some(index) {
            let (start, end) = self.spans[index];
            self.spans[index].0 = offset(self.text.len());
            if start < end {
                self.text.extend_from_within(start as usize..end as usize);
            }
            self.touched.add(index);
            self.open = Some(index);
        }
        self.text.push_str(text);
        self.spans[index].1 = offset(self.text.len());
    }

    /// Adds an item to a list cell.
    pub fn append_item(&mut self, field: F, item: &str) {
        if self.cell_len(field) > 0 {
            self.append(field, "\n");
        }
        self.append(field, item);
    }

    /// The text of a cell so far.
    #[must_use]
    pub fn get(&self, field: F) -> &str {
        self.cell(field.index())
    }

    /// The length of a cell so far, in bytes.
    #[must_use]
    pub fn cell_len(&self, field: F) -> usize {
        let (start, end) = self.spans[field.index()];
        (end - start) as usize
    }

    /// Whether no cell has text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.iter().all(|(start, end)| start == end)
    }

    /// The length of all cells, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.iter().map(|(start, end)| (end - start) as usize).sum()
    }

    fn cell(&self, index: usize) -> &str {
        let (start, end) = self.spans[index];
        &self.text[start as usize..end as usize]
    }

    /// The bytes that were added.
    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The cells that were set: their indexes, in order, and their positions in the bytes.
    pub(super) fn touched(&self) -> impl Iterator<Item = (usize, (u32, u32))> {
        self.touched.cells().map(|index| (index, self.spans[index]))
    }

    /// Appends the cells in column order and their offsets, after the leading numbers that are in the table already.
    ///
    /// # Panics
    /// When the row has a cell in an own column that the schema of the batch does not have.
    pub(super) fn write_to(&self, layout: &RowLayout, bytes: &mut Vec<u8>, table: &mut Vec<u32>) {
        assert!(self.spans.len() <= layout.cells, "the row has a column that the schema does not have");
        table.reserve(layout.columns + 1);
        let mut position = offset(bytes.len());
        table.push(position);
        let start = table.len();
        let mut write = |(start, end): (u32, u32)| {
            if start < end {
                bytes.extend_from_slice(&self.text.as_bytes()[start as usize..end as usize]);
                position = offset(bytes.len());
            }
            position
        };
        match &layout.order {
            None => {
                let mut last = table[start - 1];
                table.resize(start + layout.columns, last);
                let ends = &mut table[start..];
                let mut written = 0;
                for index in self.touched.cells() {
                    // The cells before it are empty: each ends where the last one ended.
                    ends[written..index].fill(last);
                    last = write(self.spans[index]);
                    ends[index] = last;
                    written = index + 1;
                }
                ends[written..].fill(last);
            }
            Some(order) => {
                let span = |index: &usize| self.spans.get(*index).copied().unwrap_or_default();
                table.extend(order.iter().map(|index| write(span(index))));
            }
        }
    }
}

impl Row<FindingField> {
    /// Sets the kind. A finding without one is invalid: the host gives it to no output.
    pub fn set_kind(&mut self, kind: impl Into<Option<FindingKind>>) {
        self.codes.set_kind(kind.into());
    }

    /// Sets the severity that the scanner gives; see [`Severity::of_scale`] for other scales than 1 to 5.
    pub fn set_severity(&mut self, severity: impl Into<Option<Severity>>) {
        self.codes.set_severity(severity.into());
    }

    /// Sets the port; 0 means that the finding concerns the whole asset.
    pub fn set_port(&mut self, port: u16) {
        self.codes.set_port(port);
    }

    /// Sets the transport protocol.
    pub fn set_protocol<'a>(&mut self, protocol: impl Into<Option<Protocol<'a>>>) {
        let protocol = protocol.into();
        self.codes.set_protocol(protocol);
        self.set(FindingField::Protocol, if let Some(Protocol::Other(name)) = protocol { name } else { "" });
    }

    /// Sets whether the service was reached over TLS; without a value the scanner did not report it.
    pub fn set_ssl(&mut self, ssl: impl Into<Option<bool>>) {
        self.codes.set_ssl(ssl.into());
    }

    /// Sets the status; without one the finding is current.
    pub fn set_status(&mut self, status: impl Into<Option<FindingStatus>>) {
        self.codes.set_status(status.into());
    }

    /// Sets the value that outputs print under this name, from the printed text: a code or a cell. Returns false, and
    /// changes nothing, when there is no such name or the text is not a value of it.
    pub fn set_printed(&mut self, name: &str, text: &str) -> bool {
        match name {
            "kind" => FindingKind::from_word(text).map(|kind| self.set_kind(kind)).is_some(),
            "severity" => Severity::from_text(text).map(|severity| self.set_severity(severity)).is_some(),
            "port" => text.parse().map(|port| self.set_port(port)).is_ok(),
            "protocol" => Protocol::of(text).map(|protocol| self.set_protocol(protocol)).is_some(),
            "ssl" => match text {
                "1" => Some(true),
                "0" => Some(false),
                _ => None,
            }
            .map(|ssl| self.set_ssl(ssl))
            .is_some(),
            "status" => FindingStatus::from_word(text).map(|status| self.set_status(status)).is_some(),
            _ => {
                let field = FindingField::NAMES.iter().position(|known| *known == name);
                field.map(|index| self.set(FindingField::ALL[index], text)).is_some()
            }
        }
    }

    /// The kind so far.
    #[must_use]
    pub fn kind(&self) -> Option<FindingKind> {
        self.codes.kind()
    }

    /// The severity so far.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.codes.severity()
    }

    /// The status so far.
    #[must_use]
    pub fn status(&self) -> Option<FindingStatus> {
        self.codes.status()
    }

    pub(super) fn codes(&self) -> FindingCodes {
        self.codes
    }
}

/// Offsets are `u32`: a batch is passed on long before 4 GiB, and its reader limits the length of a text.
#[inline]
pub(super) fn offset(position: usize) -> u32 {
    u32::try_from(position).expect("a batch stays below 4 GiB")
}
