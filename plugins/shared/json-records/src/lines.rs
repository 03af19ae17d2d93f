//! Turns rows of a batch into lines of JSON. What depends on a definition or an asset alone is encoded once and cached.

use std::collections::HashMap;

use scanbridge_columns::{REPORT_COLUMNS, ReportColumn, Table};
use scanbridge_plugin_api::ConnectorIdentity;
use scanbridge_plugin_api::batch::{AssetView, Columns, DefinitionView, FindingView};
use scanbridge_plugin_api::model::{FindingKind, ReportStart};

use crate::cached::{Cached, Parts};
use crate::form::Form;
use crate::mapping::Mapping;
use crate::options::LineOptions;
use crate::source::{Names, QID, Record, When};
use crate::tree::{Scratch, Step, Tree, steps};

/// Encodes the lines of one report at a time.
#[derive(Debug)]
pub struct Lines {
    options: LineOptions,
    /// When the run started, in UTC.
    started: String,
    /// Who delivers.
    connector: ConnectorIdentity,
    finding: Tree,
    asset: Tree,
    scratch: Scratch,
    /// Parts of lines by the content key of their definition.
    definitions: HashMap<u128, Parts, foldhash::fast::RandomState>,
    definition_bytes: usize,
    /// Parts of lines of the last asset, and its row in the current batch.
    asset_parts: Parts,
    asset_row: Option<u32>,
}

/// Size limit of the cached definitions, in bytes. A full cache is cleared and filled again.
const KEPT_BYTES: usize = 1 << 20;
/// Why findings are left out that the format [does not accept](Lines::accepts), for notes and previews.
pub const NOT_VULNERABILITIES: &str =
    "information and service findings left out: they are not vulnerabilities (`format: ocsf`)";
/// About what a cached definition needs in addition to its text: its entry in a table that grows by doubling.
const ENTRY_BYTES: usize = 128;

impl Lines {
    /// An encoder for these options. `started` is the time at which the run started, in UTC (`2026-01-31T12:00:00Z`), for
    /// findings without any time; `connector` is who delivers.
    #[must_use]
    pub fn new(options: LineOptions, started: String, connector: ConnectorIdentity) -> Self {
        Self {
            options,
            started,
            connector,
            finding: Tree::default(),
            asset: Tree::default(),
            scratch: Scratch::default(),
            definitions: HashMap::default(),
            definition_bytes: 0,
            asset_parts: Parts::default(),
            asset_row: None,
        }
    }

    /// An encoder with the same options, for another report.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::new(self.options.clone(), self.started.clone(), self.connector.clone())
    }

    /// Begins a report. Its columns decide the keys of the lines.
    pub fn begin(&mut self, report: &ReportStart) {
        let columns = Columns::of_report(report);
        let names = Names { report, columns: &columns, started: &self.started, connector: &self.connector };
        (self.finding, self.asset) = match self.options.mapping {
            None => (self.native_finding(&names), self.native_asset(&names)),
            Some(mapping) => (self.mapped_finding(&names, mapping), Tree::default()),
        };
        self.finding.finish();
        self.asset.finish();
        // Content keys are comparable only within one schema, and the scheme of an ID may be that of the report.
        self.definitions.clear();
        self.definition_bytes = 0;
    }

    /// Begins another batch: rows have another meaning.
    pub fn begin_batch(&mut self) {
        self.asset_row = None;
    }

    /// Whether the format can express this kind of findings.
    #[must_use]
    pub fn accepts(&self, kind: FindingKind) -> bool {
        let is_vulnerability = matches!(kind, FindingKind::Vulnerability | FindingKind::Potential);
        is_vulnerability || self.options.mapping.is_none_or(|mapping| !mapping.only_vulnerabilities)
    }

    /// Appends the line of a finding, with its line feed.
    pub fn finding(&mut self, out: &mut Vec<u8>, finding: FindingView<'_>) {
        let record = Record::of_finding(finding);
        let key = finding.definition().key();
        if !self.definitions.contains_key(&key) {
            self.add_definition(finding.definition());
        }
        let Self { finding: tree, definitions, scratch, asset_parts, asset_row, .. } = self;
        let row = finding.asset().row();
        if asset_row.replace(row) != Some(row) {
            tree.asset_parts(asset_parts, &record, scratch);
        }
        tree.write(out, &record, Cached { definition: &definitions[&key], asset: asset_parts }, scratch);
        out.push(b'\n');
    }

    /// Appends the separate line of an asset, with its line feed. Only our own schema has such lines.
    pub fn asset(&mut self, out: &mut Vec<u8>, asset: AssetView<'_>) {
        let Self { asset: tree, scratch, asset_parts, .. } = self;
        self.asset_row = None;
        let record = Record::of_asset(asset);
        tree.asset_parts(asset_parts, &record, scratch);
        tree.write(out, &record, Cached { definition: &Parts::default(), asset: asset_parts }, scratch);
        out.push(b'\n');
    }

    fn add_definition(&mut self, definition: DefinitionView<'_>) {
        let record = Record { definition: Some(definition), ..Record::default() };
        let parts = self.finding.definition_parts(&record, &mut self.scratch);
        let bytes = parts.bytes() + ENTRY_BYTES;
        if self.definition_bytes + bytes > KEPT_BYTES {
            self.definitions.clear();
            self.definition_bytes = 0;
        }
        self.definition_bytes += bytes;
        self.definitions.insert(definition.key(), parts);
    }

    /// The native line of a finding: every column of the schema under its name.
    fn native_finding(&self, names: &Names<'_>) -> Tree {
        let mut tree = Tree::default();
        self.add_table(&mut tree, names, Table::Finding);
        self.add_table(&mut tree, names, Table::Definition);
        self.add_table(&mut tree, names, Table::Asset);
        self.add_report(&mut tree, names, |_| false);
        self.add_connector(&mut tree, names);
        tree
    }

    /// The native line of an asset. `null` distinguishes it from those of findings and keeps the order of the keys.
    fn native_asset(&self, names: &Names<'_>) -> Tree {
        let mut tree = Tree::default();
        tree.add_fixed(Table::Finding.word(), b"null");
        tree.add_fixed(Table::Definition.word(), b"null");
        self.add_table(&mut tree, names, Table::Asset);
        // The details can be long, and are the same in all lines.
        self.add_report(&mut tree, names, |column| column.name == "details");
        self.add_connector(&mut tree, names);
        tree
    }

    /// Adds who delivers, if the pipeline sets it.
    fn add_connector(&self, tree: &mut Tree, names: &Names<'_>) {
        if !names.connector.is_empty() {
            self.add_table(tree, names, Table::Connector);
        }
    }

    fn add_table(&self, tree: &mut Tree, names: &Names<'_>, table: Table) {
        tree.add_object(table.word());
        for name in names.names_of(table) {
            self.add_column(tree, names, table, &name, &[Step::key(table.word())]);
        }
    }

    fn add_report(&self, tree: &mut Tree, names: &Names<'_>, adds: impl Fn(&ReportColumn) -> bool) {
        tree.add_object(Table::Report.word());
        // A QID names its vendor already.
        let is_foreign = names.report.source.scheme != QID;
        let is_shown = |column: &&ReportColumn| match column.name {
            "vendor" | "product" => is_foreign,
            // The older name of `scanner_version`.
            "product_version" => false,
            "details" => adds(column),
            _ => true,
        };
        for column in REPORT_COLUMNS.iter().filter(is_shown) {
            self.add_column(tree, names, Table::Report, column.name, &[Step::key(Table::Report.word())]);
        }
    }

    /// Adds a column in its native form to the object at the end of these steps, unless it is left out.
    fn add_column(&self, tree: &mut Tree, names: &Names<'_>, table: Table, name: &str, to: &[Step<'_>]) {
        let column = format!("{}.{name}", table.word());
        if !self.options.leaves_out(&column) {
            let steps = [to, &[Step::key(name)]].concat();
            tree.add((&steps, false), names, &column, Form::Native, When::Always);
        }
    }

    /// The line of a finding in a schema of other tools.
    fn mapped_finding(&self, names: &Names<'_>, mapping: &Mapping) -> Tree {
        let mut tree = Tree::default();
        let is_kept = |column: &str, is_required: bool| is_required || !self.options.leaves_out(column);
        for row in mapping.rows.iter().filter(|row| is_kept(row.column, row.is_required)) {
            let (steps, is_list) = steps(row.path);
            tree.add((&steps, is_list), names, row.column, row.form, row.when);
        }
        for table in [Table::Asset, Table::Finding, Table::Definition, Table::Report, Table::Connector] {
            for name in names.names_of(table).iter().filter(|name| mapping.has_rest(table, name)) {
                let to = [Step::key(mapping.rest), Step::key(table.word())];
                self.add_column(&mut tree, names, table, name, &to);
            }
        }
        mapping.needs.iter().for_each(|(path, needed)| tree.set_needs(path, needed));
        tree
    }
}
