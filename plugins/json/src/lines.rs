//! Lines: what findings share is turned into JSON once.

use std::collections::HashMap;

use scanbridge_plugin_api::batch::{AssetView, DefinitionView, FindingView, Schema};
use scanbridge_plugin_api::model::ReportStart;

use crate::object::{self, Form};

/// Makes the lines of one report after another.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// `,"report":{…}}` and the line's end.
    report: Vec<u8>,
    /// How the columns of the three tables look, in their order.
    forms: Forms,
    /// Definitions by content key, as JSON.
    definitions: HashMap<u128, Box<[u8]>, foldhash::fast::RandomState>,
    definition_bytes: usize,
}

#[derive(Debug, Default)]
struct Forms {
    assets: Vec<Form>,
    definitions: Vec<Form>,
    findings: Vec<Form>,
}

/// What is kept of definitions; when it is full, all are made anew as they come.
const KEPT_BYTES: usize = 8 << 20;

impl Lines {
    pub(crate) fn begin(&mut self, report: &ReportStart) {
        let Schema { assets, definitions, findings } = &report.schema;
        let of = |names: &[String]| names.iter().map(|name| Form::of(name)).collect();
        self.forms = Forms { assets: of(assets), definitions: of(definitions), findings: of(findings) };
        // Content keys say nothing about batches of another schema.
        self.definitions.clear();
        self.definition_bytes = 0;
        let names = ["id", "kind", "title", "time", "path"];
        let values = [&report.id, &report.kind, &report.title, &report.time, &report.path];
        let cells = names.into_iter().zip(values).map(|(name, value)| (name, Form::Text, value.as_str()));
        self.report = b",\"report\":".to_vec();
        object::push(&mut self.report, cells);
        self.report.extend_from_slice(b"}\n");
    }

    /// Appends the line of a finding.
    pub(crate) fn finding(&mut self, out: &mut Vec<u8>, schema: &Schema, finding: FindingView<'_>) {
        out.extend_from_slice(b"{\"finding\":");
        object::push(out, cells(&schema.findings, &self.forms.findings, |column| finding.column(column)));
        out.extend_from_slice(b",\"definition\":");
        self.definition(out, schema, finding.definition());
        self.asset_and_report(out, schema, finding.asset());
    }

    /// Appends the line of an asset by itself.
    pub(crate) fn asset(&self, out: &mut Vec<u8>, schema: &Schema, asset: AssetView<'_>) {
        // An empty finding tells the line apart and keeps the keys in one order.
        out.extend_from_slice(b"{\"finding\":null,\"definition\":null");
        self.asset_and_report(out, schema, asset);
    }

    fn asset_and_report(&self, out: &mut Vec<u8>, schema: &Schema, asset: AssetView<'_>) {
        out.extend_from_slice(b",\"asset\":");
        object::push(out, cells(&schema.assets, &self.forms.assets, |column| asset.column(column)));
        out.extend_from_slice(&self.report);
    }

    fn definition(&mut self, out: &mut Vec<u8>, schema: &Schema, definition: DefinitionView<'_>) {
        if let Some(known) = self.definitions.get(&definition.key()) {
            out.extend_from_slice(known);
            return;
        }
        let start = out.len();
        let forms = &self.forms.definitions;
        object::push(out, cells(&schema.definitions, forms, |column| definition.column(column)));
        let made: Box<[u8]> = out[start..].into();
        if self.definition_bytes + made.len() > KEPT_BYTES {
            self.definitions.clear();
            self.definition_bytes = 0;
        }
        self.definition_bytes += made.len();
        self.definitions.insert(definition.key(), made);
    }
}

/// The cells of a row with their names and forms.
fn cells<'a>(
    names: &'a [String],
    forms: &'a [Form],
    cell: impl Fn(Option<usize>) -> &'a str + 'a,
) -> impl Iterator<Item = (&'a str, Form, &'a str)> {
    let columns = names.iter().zip(forms).enumerate();
    columns.map(move |(column, (name, form))| (name.as_str(), *form, cell(Some(column))))
}
