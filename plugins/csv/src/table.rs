//! The table: one row per finding.

use scanbridge_durable_file::{ReportFile, StartMode};
use scanbridge_plugin_api::batch::{Batch, Columns, FindingView};
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::tracing::warn;
use scanbridge_plugin_api::{Begin, ConnectorIdentity, Receipt, Rendered, Result};

use crate::column::{Column, ColumnName, Source};
use crate::formula::is_formula;
use crate::options::TableOptions;
use crate::plain::{looks_like_another_format, without_controls};
use crate::row_buffer::RowBuffer;

/// What a receipt says when the next row is the first of its file.
const FIRST_ROW: &[u8] = b"first row";

/// Writes findings as rows. It allocates no memory once its buffers have grown.
#[derive(Debug)]
pub(crate) struct Table {
    options: TableOptions,
    /// Who delivers.
    connector: ConnectorIdentity,
    /// The names of the columns for the current report.
    names: Vec<ColumnName>,
    columns: Vec<Column>,
    rows: RowBuffer,
    list: String,
    number: String,
    plain: String,
    escaped: String,
    /// Whether the next row is the first of its file, without a header or byte order mark before it.
    is_first: bool,
    /// Whether rows are written to the file one by one, because a piece may end after each of them.
    rotates: bool,
}

impl Table {
    pub(crate) fn new(options: TableOptions, connector: ConnectorIdentity, rotates: bool) -> Self {
        let rows = RowBuffer::new(options.delimiter, options.crlf);
        Self {
            options,
            connector,
            names: Vec::new(),
            columns: Vec::new(),
            rows,
            list: String::new(),
            number: String::new(),
            plain: String::new(),
            escaped: String::new(),
            is_first: false,
            rotates,
        }
    }

    /// Begins or resumes a report. Returns the bytes written.
    pub(crate) fn begin(&mut self, report: &ReportStart, how: Begin, file: &mut ReportFile) -> Result<u64> {
        self.locate_columns(report)?;
        for name in self.names.iter().filter(|name| name.is_missing_in(&report.schema)) {
            warn!("the report {} has no column `{}`; its cells are empty", report.path, name.heading());
        }
        self.rows.clear();
        match file.begin(report, how.continued)? {
            StartMode::Empty => self.write_head(),
            StartMode::Continued(state) => self.is_first = state == FIRST_ROW,
            StartMode::Behind => {}
        }
        let head = self.rows.rows();
        file.write_head(head)?;
        let bytes = head.len() as u64;
        self.rows.clear();
        Ok(bytes)
    }

    /// The columns of this report.
    fn locate_columns(&mut self, report: &ReportStart) -> Result<()> {
        let columns = Columns::of_report(report);
        let names = self.options.columns.iter();
        self.names = if self.options.has_default_columns {
            names.map(|name| name.for_scheme(&report.source.scheme)).collect()
        } else {
            names.cloned().collect()
        };
        let located = self.names.iter().map(|name| name.locate(report, &columns, &self.connector));
        self.columns = located.collect::<Result<_>>()?;
        Ok(())
    }

    /// The rows of the findings, without their line ends.
    pub(crate) fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        let mut table = Self::new(self.options.clone(), self.connector.clone(), false);
        table.locate_columns(report)?;
        let rendered = batch.findings().map(|finding| {
            table.rows.clear();
            table.write_row(finding);
            let row = String::from_utf8_lossy(table.rows.rows());
            let row = row.strip_suffix('\n').unwrap_or(&row);
            Rendered::new(finding.row(), row.strip_suffix('\r').unwrap_or(row))
        });
        Ok(rendered.collect())
    }

    /// Makes the rows durable. They are in the file after each call.
    pub(crate) fn commit(&self, file: &mut ReportFile) -> Result<Receipt> {
        file.commit(if self.is_first { FIRST_ROW } else { b"" })
    }

    /// Writes the findings of a batch. Returns the bytes written.
    pub(crate) fn write(&mut self, batch: Batch<'_>, file: &mut ReportFile) -> Result<u64> {
        let mut bytes = 0;
        for finding in batch.findings() {
            if self.rotates && file.record_boundary()? {
                self.write_head();
            }
            self.write_row(finding);
            if self.rotates || self.rows.is_full() {
                bytes += self.flush(file)?;
            }
        }
        Ok(bytes + self.flush(file)?)
    }

    fn write_row(&mut self, finding: FindingView<'_>) {
        let Self { options, columns, rows, list, number, plain, escaped, is_first, .. } = self;
        let source = Source::of(finding);
        // The writer must see the only cell of a row, and those of a row in which all cells may be quoted.
        let has_plain_cells = columns.len() > 1 && !*is_first;
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                rows.next_cell();
            }
            let mut text = column.cell(&source, number);
            if column.is_list() && !text.is_empty() {
                list.clear();
                column.push_items(list, text, &options.list_separator);
                text = list;
            }
            if has_plain_cells && rows.plain_cell(text) {
                continue;
            }
            let text = without_controls(text, plain);
            if index == 0 && *is_first && looks_like_another_format(text) {
                rows.quote_all(true);
            }
            if options.escape_formulas && is_formula(text) {
                escaped.clear();
                escaped.push('\'');
                escaped.push_str(text);
                rows.cell(escaped);
            } else {
                rows.cell(text);
            }
        }
        rows.end_row();
        if std::mem::take(is_first) {
            rows.quote_all(false);
        }
    }

    fn write_head(&mut self) {
        self.is_first = !self.options.bom && !self.options.header;
        if self.options.bom {
            self.rows.raw("\u{feff}".as_bytes());
        }
        if !self.options.header {
            return;
        }
        let headings = self.options.headings.iter().zip(&self.names);
        let headings = headings.map(|(heading, name)| heading.clone().unwrap_or_else(|| name.heading()));
        let headings: Vec<String> = headings.collect();
        // Names of columns never do; a heading of the operator may.
        let is_quoted = !self.options.bom && looks_like_another_format(&headings[0]);
        if is_quoted {
            self.rows.quote_all(true);
        }
        for (index, heading) in headings.iter().enumerate() {
            if index > 0 {
                self.rows.next_cell();
            }
            self.rows.cell(heading);
        }
        self.rows.end_row();
        if is_quoted {
            self.rows.quote_all(false);
        }
    }

    fn flush(&mut self, file: &mut ReportFile) -> Result<u64> {
        let rows = self.rows.rows();
        file.write(rows)?;
        let bytes = rows.len() as u64;
        self.rows.clear();
        Ok(bytes)
    }
}
