//! `SCAN`: the result of one scan; each finding contains its definition.

use std::io::Read;

use scanbridge_plugin_api::batch::{BatchBuilder, DefinitionIndex};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField, FindingKind};

use crate::batch_writer::{BatchWriter, add_facts, pause_when_overfull};
use crate::cells::Cells;
use crate::damage::Fault;
use crate::element::Element;
use crate::element_role::{Code, ElementRole, Structure, Value, in_definition};
use crate::events::Events;
use crate::facts::{is_placeholder, reader_of};
use crate::other::Table;
use crate::repeats::Repeats;
use crate::walk::{Document, EMPTY_ERROR, Flow, State, table_of_role};

/// Delivers the assets of a scan. `scan_preface` reads its header before.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) writer: BatchWriter,
    /// The first error next to the assets.
    pub(crate) error: Option<String>,
    /// Number of assets whose scan ended normally.
    pub(crate) scanned: u64,
    category: Category,
    pub(crate) repeats: Box<Repeats>,
    /// The definition of the current finding, if it was skipped.
    known: Option<DefinitionIndex>,
}

/// Attributes of a `CAT`, which apply to all findings in it.
#[derive(Debug, Default)]
struct Category {
    name: String,
    port: String,
    protocol: String,
    fqdn: String,
    note: String,
}

impl Document<BatchBuilder> for Scan {
    const ROOT: &'static str = "SCAN";

    fn passes_on(table: Table) -> bool {
        table != Table::Report
    }

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        match parent {
            ElementRole::Of(Structure::Finding) => in_finding(name),
            ElementRole::Of(Structure::Category) => match name {
                "VULN" | "INFO" | "SERVICE" | "PRACTICE" => ElementRole::Of(Structure::Finding),
                _ => ElementRole::Unknown,
            },
            ElementRole::Of(Structure::Findings) if name == "CAT" => ElementRole::Of(Structure::Category),
            ElementRole::Of(Structure::Asset) => in_asset(name),
            ElementRole::Of(Structure::Root) => match name {
                "IP" | "IPV6" => ElementRole::Of(Structure::Asset),
                "ERROR" => ElementRole::Value(Value::Error),
                "HEADER" => ElementRole::Ignored,
                _ => ElementRole::Unknown,
            },
            ElementRole::Value(Value::Error) if name == "SUMMARY" => parent,
            _ => ElementRole::Unknown,
        }
    }

    fn open(
        &mut self,
        role: ElementRole,
        element: &Element<'_>,
        state: &mut State,
    ) -> Result<(), Box<Fault>> {
        match role {
            ElementRole::Of(Structure::Finding) => self.open_finding(element, &mut state.cells),
            // Already read with the header.
            ElementRole::Of(Structure::Root) => Ok(()),
            ElementRole::Of(Structure::Category) => self.category.read(element, &mut state.cells),
            ElementRole::Of(Structure::Asset) => {
                self.writer.begin_asset();
                open_asset(element, &mut state.cells)
            }
            ElementRole::Value(Value::Error) => element.attributes(|key, value| match key {
                "number" => value.clone_into(&mut state.error_number),
                _ => state.notes.unknown_element(&format!("ERROR@{key}")),
            }),
            _ => {
                if matches!(role, ElementRole::Asset(_)) {
                    self.writer.begin_text(&mut state.notes);
                }
                element.attributes(|key, value| match (role, key) {
                    (ElementRole::Finding(FindingField::Result), "format") => {
                        state.cells.finding.set(FindingField::ResultFormat, value);
                    }
                    (ElementRole::Definition(field), "source") => state.cells.set_score_source(field, value),
                    _ => state.cells.pass_on_attribute(table_of_role(role), key, value),
                })
            }
        }
    }

    #[inline]
    fn after_open<R: Read>(
        &mut self,
        role: ElementRole,
        events: &mut Events<R>,
        state: &mut State,
        batch: &mut BatchBuilder,
    ) {
        match role {
            ElementRole::Of(Structure::Finding) => self.known = self.repeats.begin(events, state, batch),
            _ => self.repeats.open(role, events, state),
        }
    }

    fn close(
        &mut self,
        role: ElementRole,
        state: &mut State,
        batch: &mut BatchBuilder,
    ) -> Result<Flow, Box<Fault>> {
        match role {
            ElementRole::Of(Structure::Finding) => {
                let Some(asset) = self.writer.asset(&mut state.cells, batch) else { return Ok(Flow::On) };
                state.cells.complete_definition();
                if let Some(facts) = reader_of(state.cells.definition.get(DefinitionField::Id)) {
                    add_facts(&mut state.cells, facts)?;
                }
                let definition = self.known.take().unwrap_or_else(|| {
                    let definition = batch.push_definition(&state.cells.definition);
                    self.repeats.end(definition.key());
                    definition
                });
                batch.push_finding(asset, definition, &state.cells.finding);
                Ok(pause_when_overfull(batch))
            }
            ElementRole::Of(Structure::Asset) => {
                let status = state.cells.asset.get(AssetField::Status).as_bytes();
                let is_scanned = status.is_empty()
                    || status.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"finish"));
                self.scanned += u64::from(is_scanned);
                Ok(self.writer.end_asset(&mut state.cells, batch))
            }
            ElementRole::Other(Table::Asset) | ElementRole::Value(Value::Address) => {
                self.writer.begin_text(&mut state.notes);
                Ok(Flow::On)
            }
            ElementRole::Value(Value::Error) => {
                if let Some(error) = state.take_error() {
                    self.error.get_or_insert(error);
                }
                self.error.get_or_insert_with(|| EMPTY_ERROR.to_owned());
                Ok(Flow::On)
            }
            _ => Ok(Flow::On),
        }
    }
}

impl Scan {
    fn open_finding(&mut self, element: &Element<'_>, cells: &mut Cells) -> Result<(), Box<Fault>> {
        cells.begin_finding();
        let kind = match element.name() {
            "VULN" => FindingKind::Vulnerability,
            "PRACTICE" => FindingKind::Potential,
            "SERVICE" => FindingKind::Service,
            _ => FindingKind::Information,
        };
        cells.finding.set_kind(kind);
        let mut cves = Ok(());
        element.attributes(|key, value| match key {
            "number" => cells.definition.set(DefinitionField::Id, value.trim()),
            "severity" => cells.set_code(Code::Severity, value, Some("@severity")),
            "standard-severity" => cells.finding.set(FindingField::StandardSeverity, value.trim()),
            "cveid" => cves = cells.add_cves_of_attribute(value),
            _ => cells.pass_on_attribute(Table::Finding, key, value),
        })?;
        cves?;
        self.category.write(cells);
        Ok(())
    }
}

impl Category {
    fn read(&mut self, element: &Element<'_>, cells: &mut Cells) -> Result<(), Box<Fault>> {
        for text in [&mut self.name, &mut self.port, &mut self.protocol, &mut self.fqdn, &mut self.note] {
            text.clear();
        }
        element.attributes(|key, value| {
            let value = value.trim();
            match key {
                "value" => value.clone_into(&mut self.name),
                "port" => value.clone_into(&mut self.port),
                "protocol" => value.clone_into(&mut self.protocol),
                "fqdn" => value.clone_into(&mut self.fqdn),
                "misc" => value.clone_into(&mut self.note),
                _ => cells.pass_on_attribute(Table::Asset, key, value),
            }
        })
    }

    fn write(&self, cells: &mut Cells) {
        cells.definition.set(DefinitionField::Category, &self.name);
        cells.set_code(Code::Port, &self.port, Some("CAT@port"));
        cells.set_code(Code::Protocol, &self.protocol, Some("CAT@protocol"));
        if !self.fqdn.is_empty() {
            cells.finding.set(FindingField::Fqdn, &self.fqdn);
        }
        if !self.note.is_empty() {
            cells.finding.set(FindingField::PortNote, &self.note);
            if self.note.to_ascii_lowercase().contains("over ssl") {
                cells.finding.set_ssl(true);
            }
        }
    }
}

fn open_asset(element: &Element<'_>, cells: &mut Cells) -> Result<(), Box<Fault>> {
    cells.begin_asset();
    element.attributes(|key, value| match key {
        "value" => cells.add_address(value, Some("@value")),
        "name" if !is_placeholder(value) => cells.asset.set(AssetField::Dns, value.trim()),
        "status" => cells.asset.set(AssetField::Status, value.trim()),
        "name" => {}
        _ => cells.pass_on_attribute(Table::Asset, key, value),
    })
}

fn in_asset(name: &str) -> ElementRole {
    match name {
        "OS" => ElementRole::Asset(AssetField::Os),
        "OS_CPE" => ElementRole::Asset(AssetField::OsCpe),
        "NETBIOS_HOSTNAME" => ElementRole::Asset(AssetField::Netbios),
        "NETWORK" => ElementRole::Asset(AssetField::Network),
        "IPV6" => ElementRole::Value(Value::Address),
        "INFOS" | "SERVICES" | "VULNS" | "PRACTICES" => ElementRole::Of(Structure::Findings),
        _ => ElementRole::Unknown,
    }
}

fn in_finding(name: &str) -> ElementRole {
    match name {
        "RESULT" => ElementRole::Finding(FindingField::Result),
        "INSTANCE" => ElementRole::Finding(FindingField::Instance),
        "RESULT_ERRORS" => ElementRole::Finding(FindingField::ResultErrors),
        "RESULT_DEBUG" => ElementRole::Finding(FindingField::ResultDebug),
        _ => in_definition(name),
    }
}
