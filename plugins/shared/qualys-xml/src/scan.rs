//! `SCAN`: the result of one scan; each finding contains its definition.

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField, FindingKind};

use crate::batch_writer::{BatchWriter, add_facts, pause_when_overfull};
use crate::cells::Cells;
use crate::damage::Fault;
use crate::element::Element;
use crate::element_role::{Code, ElementRole, Structure, Value, in_definition};
use crate::facts::{is_placeholder, reader_of};
use crate::walk::{Document, EMPTY_ERROR, Flow, State};

/// Delivers the assets of a scan. `scan_preface` reads its header before.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) writer: BatchWriter,
    /// The first error next to the assets.
    pub(crate) error: Option<String>,
    category: Category,
}

/// Attributes of a `CAT`, which apply to all findings in it.
#[derive(Debug, Default)]
struct Category {
    name: String,
    port: String,
    protocol: String,
    fqdn: String,
    over_ssl: bool,
}

impl Document<BatchBuilder> for Scan {
    const ROOT: &'static str = "SCAN";

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
            ElementRole::Of(Structure::Category) => self.category.read(element),
            ElementRole::Of(Structure::Asset) => {
                self.writer.begin_asset();
                open_asset(element, &mut state.cells)
            }
            ElementRole::Finding(FindingField::Result) => element.attributes(|key, value| {
                if key == "format" {
                    state.cells.finding.set(FindingField::ResultFormat, value);
                }
            }),
            ElementRole::Value(Value::Error) => element.attributes(|key, value| {
                if key == "number" {
                    value.clone_into(&mut state.error_number);
                }
            }),
            ElementRole::Asset(_) => {
                self.writer.begin_text(&mut state.notes);
                element.attributes(|_, _| {})
            }
            _ => element.attributes(|_, _| {}),
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
                let Some(asset) = self.writer.asset(&state.cells, batch) else { return Ok(Flow::On) };
                state.notes.invalid_codes += state.cells.invalid_codes;
                if let Some(facts) = reader_of(state.cells.definition.get(DefinitionField::Id)) {
                    add_facts(&mut state.cells, facts)?;
                }
                let definition = batch.push_definition(&state.cells.definition);
                batch.push_finding(asset, definition, &state.cells.finding);
                Ok(pause_when_overfull(batch))
            }
            ElementRole::Of(Structure::Asset) => Ok(self.writer.end_asset(&state.cells, batch)),
            ElementRole::Value(Value::Error) => {
                if let Some(error) = state.take_error() {
                    state.notes.add(format!("the report contains {error}"));
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
            "severity" => cells.set_code(Code::Severity, value.trim()),
            "cveid" => cves = cells.add_cves_of_attribute(value),
            _ => {}
        })?;
        cves?;
        self.category.write(cells);
        Ok(())
    }
}

impl Category {
    fn read(&mut self, element: &Element<'_>) -> Result<(), Box<Fault>> {
        for text in [&mut self.name, &mut self.port, &mut self.protocol, &mut self.fqdn] {
            text.clear();
        }
        self.over_ssl = false;
        element.attributes(|key, value| {
            let value = value.trim();
            match key {
                "value" => value.clone_into(&mut self.name),
                "port" => value.clone_into(&mut self.port),
                "protocol" => value.clone_into(&mut self.protocol),
                "fqdn" => value.clone_into(&mut self.fqdn),
                "misc" => self.over_ssl = value.to_ascii_lowercase().contains("over ssl"),
                _ => {}
            }
        })
    }

    fn write(&self, cells: &mut Cells) {
        cells.definition.set(DefinitionField::Category, &self.name);
        cells.set_code(Code::Port, &self.port);
        cells.set_code(Code::Protocol, &self.protocol);
        cells.finding.set(FindingField::Fqdn, &self.fqdn);
        if self.over_ssl {
            cells.finding.set_ssl(true);
        }
    }
}

fn open_asset(element: &Element<'_>, cells: &mut Cells) -> Result<(), Box<Fault>> {
    cells.begin_asset();
    element.attributes(|key, value| match key {
        "value" => cells.asset.set(AssetField::Address, value.trim()),
        "name" if !is_placeholder(value) => cells.asset.set(AssetField::Dns, value.trim()),
        "status" => cells.asset.set(AssetField::Status, value.trim()),
        _ => {}
    })
}

fn in_asset(name: &str) -> ElementRole {
    match name {
        "OS" => ElementRole::Asset(AssetField::Os),
        "OS_CPE" => ElementRole::Asset(AssetField::OsCpe),
        "NETBIOS_HOSTNAME" => ElementRole::Asset(AssetField::Netbios),
        "NETWORK" => ElementRole::Asset(AssetField::Network),
        "IPV6" => ElementRole::Asset(AssetField::Ipv6),
        "INFOS" | "SERVICES" | "VULNS" | "PRACTICES" => ElementRole::Of(Structure::Findings),
        _ => ElementRole::Unknown,
    }
}

fn in_finding(name: &str) -> ElementRole {
    match name {
        "RESULT" => ElementRole::Finding(FindingField::Result),
        "INSTANCE" => ElementRole::Finding(FindingField::Instance),
        "RESULT_ERRORS" | "RESULT_DEBUG" => ElementRole::Ignored,
        _ => in_definition(name),
    }
}
