//! First pass over an `ASSET_DATA_REPORT`: reads the head, indexes the glossary, and skips the assets.

use std::io::Read;

use scanbridge_plugin_api::model::{AddressRange, DefinitionField};

use crate::address::{self, Address};
use crate::damage::{Damage, Fault};
use crate::definitions::Definitions;
use crate::details;
use crate::element::Element;
use crate::element_role::{Code, ElementRole, Structure, Value, in_definition};
use crate::element_role::{Level, in_discovery};
use crate::events::Limits;
use crate::forms::time;
use crate::join::qid_number;
use crate::mark::Unread;
use crate::other::Table;
use crate::preface::{AssetRisk, Preface, without_placeholder};
use crate::walk::{Document, EMPTY_ERROR, Flow, State, Walk, table_of_role};

/// Reads the report except for its assets. The second pass reads from the beginning to the end of the assets;
/// together they read the complete report. The content of the assets may be `unread`: then [`END_OF_ASSETS`] replaces it
/// and their end tag.
pub(crate) fn read(
    source: impl Read,
    unread: Option<Unread>,
    limits: Limits,
    definitions: &mut Definitions,
) -> (Preface, Option<Damage>) {
    let mut walk = Walk::new::<Definitions>(source, Glossary::default(), limits);
    let mut skipped = None;
    let damage = loop {
        match walk.run(definitions) {
            Ok(true) => {
                skipped = unread.or_else(|| skipped_by(&walk));
                if let Some(Unread { position, to, .. }) = unread {
                    walk.move_to(position, to);
                }
            }
            Ok(false) => break None,
            Err(damage) => break Some(damage),
        }
    };
    let replaced = walk.replaced() + unread.map_or(0, |unread| unread.replaced);
    let Glossary { mut preface, lists, error, .. } = walk.document;
    preface.notes = walk.state.notes;
    preface.details = walk.state.details;
    preface.replaced = replaced;
    preface.unread = skipped.filter(|_| lists == 1 && damage.is_none());
    match error {
        Some(error) if lists == 0 => preface.error = Some(error),
        Some(error) => preface.error_next_to_assets = Some(error),
        None => {}
    }
    (preface, damage)
}

/// The end tag of the list of assets.
pub(crate) const END_OF_ASSETS: &[u8] = b"</HOST_LIST>";

/// The content of the list of assets that has just ended, and its end tag.
fn skipped_by<R: Read>(walk: &Walk<R, Glossary>) -> Option<Unread> {
    let (from, to) = (walk.skipped_from()?, walk.source_position());
    Some(Unread {
        from: from.offset,
        to: to.offset,
        position: walk.position(),
        replaced: to.replaced.checked_sub(from.replaced)?,
        forbidden_references: 0,
    })
}

#[derive(Debug, Default)]
struct Glossary {
    preface: Preface,
    lists: u32,
    error: Option<String>,
    key: Option<u32>,
    range_start: String,
    range_end: String,
    /// Network and address of the asset whose risk is being read.
    risk_of: (String, String),
    risk: AssetRisk,
}

/// Further ranges and risks are ignored, because they are kept in memory.
const MAX_RANGES: usize = 100_000;

impl Document<Definitions> for Glossary {
    const ROOT: &'static str = "ASSET_DATA_REPORT";
    const SKIPPED: Option<ElementRole> = Some(ElementRole::Of(Structure::Assets));

    fn passes_on(table: Table) -> bool {
        matches!(table, Table::Definition | Table::Report)
    }

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        let ElementRole::Of(structure) = parent else {
            return if parent == ElementRole::Value(Value::Error) {
                ElementRole::Ignored
            } else {
                ElementRole::Unknown
            };
        };
        match (structure, name) {
            (Structure::Root, _) => in_root(name),
            (Structure::Head, _) => in_head(name),
            (Structure::RiskSummary, "TOTAL_VULNERABILITIES") => ElementRole::Value(Value::Total),
            (Structure::AssetRisks, "HOSTS") => ElementRole::Of(Structure::AssetRisk),
            (Structure::AssetRisk, "IP_ADDRESS") => ElementRole::Value(Value::RiskAddress),
            (Structure::AssetRisk, "SECURITY_RISK") => ElementRole::Value(Value::SecurityRisk),
            (Structure::AssetRisk, "TOTAL_VULNERABILITIES") => ElementRole::Value(Value::AssetTotal),
            (Structure::Definitions, "VULN_DETAILS_LIST") => ElementRole::Of(Structure::Definitions),
            (Structure::Definitions, "VULN_DETAILS") => ElementRole::Of(Structure::Definition),
            (Structure::Definition, _) => in_details(name),
            (Structure::Cvss, _) => in_definition(name),
            (Structure::Appendices, "NO_VULNS") => ElementRole::Of(Structure::CleanRanges),
            (Structure::Level(level), _) => in_discovery(level, name),
            (Structure::CleanRanges, "IP_LIST") => ElementRole::Of(Structure::CleanRanges),
            (Structure::CleanRanges, "RANGE") => ElementRole::Of(Structure::CleanRange),
            (Structure::CleanRange, "START") => ElementRole::Value(Value::RangeStart),
            (Structure::CleanRange, "END") => ElementRole::Value(Value::RangeEnd),
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
            ElementRole::Of(Structure::Assets) => self.lists += 1,
            ElementRole::Of(Structure::CleanRange) => {
                state.cells.begin_text();
                self.range_start.clear();
                self.range_end.clear();
            }
            ElementRole::Of(Structure::Definition) => {
                state.cells.begin_finding();
                self.key = None;
            }
            ElementRole::Of(Structure::AssetRisk) => {
                state.cells.begin_text();
                self.risk_of = Default::default();
                self.risk = AssetRisk::default();
            }
            ElementRole::Of(Structure::Head | Structure::Appendices) => state.cells.begin_text(),
            _ => {}
        }
        element.attributes(|key, value| match (role, key) {
            (ElementRole::Of(Structure::Definition), "id") => self.key = qid_number(value),
            // A repetition.
            (ElementRole::Definition(DefinitionField::Id), "id") => {}
            (ElementRole::Definition(field), "source") => state.cells.set_score_source(field, value),
            (ElementRole::Value(Value::Error), "number") => value.clone_into(&mut state.error_number),
            (ElementRole::Value(Value::RiskAddress), "network_id") => {
                value.trim().clone_into(&mut self.risk_of.0);
            }
            (ElementRole::Value(Value::RiskAddress), "v6") => self.set_risk_address(value),
            // Outside the assets, which have not been read.
            (ElementRole::Of(Structure::CleanRange), "network_id") => {}
            _ => state.cells.pass_on_attribute(table_of_role(role), key, value),
        })
    }

    fn close(
        &mut self,
        role: ElementRole,
        state: &mut State,
        all: &mut Definitions,
    ) -> Result<Flow, Box<Fault>> {
        match role {
            ElementRole::Of(Structure::Assets) => return Ok(Flow::Pause),
            ElementRole::Of(Structure::Definition) => self.add_definition(state, all)?,
            ElementRole::Of(Structure::CleanRange) => self.add_clean_range(state),
            ElementRole::Of(Structure::AssetRisk) => self.add_risk(state),
            ElementRole::Value(Value::RiskAddress) => {
                let text = std::mem::take(&mut state.cells.value);
                self.set_risk_address(&text);
            }
            ElementRole::Value(Value::SecurityRisk) => {
                without_placeholder(&state.cells.value).clone_into(&mut self.risk.risk);
            }
            ElementRole::Value(Value::AssetTotal) => {
                without_placeholder(&state.cells.value).clone_into(&mut self.risk.total);
            }
            ElementRole::Value(Value::Time) => {
                let text = without_placeholder(&state.cells.value).to_owned();
                let mut scratch = String::new();
                match time(&text, &mut scratch) {
                    Some(time) => time.clone_into(&mut self.preface.time),
                    None if text.is_empty() => {}
                    None => {
                        state.notes.bad_value(Table::Report, "time");
                        details::add_named(&mut state.details, "generation_datetime", &text);
                    }
                }
            }
            ElementRole::Value(Value::Title) => {
                without_placeholder(&state.cells.value).clone_into(&mut self.preface.title)
            }
            ElementRole::Value(Value::Total) => {
                let text = state.cells.value.trim();
                self.preface.findings = text.parse().ok();
                if !text.is_empty() {
                    details::add_named(&mut state.details, "total_vulnerabilities", text);
                }
            }
            ElementRole::Value(Value::RangeStart) => self.range_start.clone_from(&state.cells.value),
            ElementRole::Value(Value::RangeEnd) => self.range_end.clone_from(&state.cells.value),
            ElementRole::Value(Value::Error) => {
                let error = state.take_error().or_else(|| self.error.take());
                self.error = error.or_else(|| Some(EMPTY_ERROR.to_owned()));
            }
            _ => {}
        }
        Ok(Flow::On)
    }
}

impl Glossary {
    fn add_definition(&self, state: &mut State, all: &mut Definitions) -> Result<(), Box<Fault>> {
        let cells = &mut state.cells;
        let key = self.key.or_else(|| qid_number(cells.definition.get(DefinitionField::Id)));
        let Some(key) = key else {
            state.notes.add("the glossary contains a definition without a QID".to_owned());
            return Ok(());
        };
        if cells.definition.get(DefinitionField::Id).is_empty() {
            cells.definition.set(DefinitionField::Id, &key.to_string());
        }
        cells.set_definition_severity();
        cells.complete_definition();
        all.add(key, cells.finding.severity(), None, &cells.definition)
    }

    /// The address in the spelling of the model. That of the attribute `v6` is used if there is no other one.
    fn set_risk_address(&mut self, text: &str) {
        let address = match address::read(text).0 {
            Address::V4(address) => address.to_string(),
            Address::V6(address) => address.to_string(),
            Address::None | Address::Invalid => return,
        };
        if self.risk_of.1.is_empty() || !address.contains(':') {
            self.risk_of.1 = address;
        }
    }

    fn add_risk(&mut self, state: &mut State) {
        let (risk_of, risk) = (std::mem::take(&mut self.risk_of), std::mem::take(&mut self.risk));
        if self.preface.risks.len() < MAX_RANGES {
            self.preface.risks.insert(risk_of, risk);
        } else {
            state.notes.dropped_texts += 1;
        }
    }

    fn add_clean_range(&mut self, state: &mut State) {
        if self.preface.clean_assets.len() >= MAX_RANGES {
            state
                .notes
                .add(format!("more than {MAX_RANGES} address ranges without findings; the rest was ignored"));
            return;
        }
        let (start, end) = (self.range_start.parse::<AddressRange>(), self.range_end.parse::<AddressRange>());
        let range = match (start, end) {
            (Ok(start), Ok(end)) => AddressRange::new(start.first(), end.last()),
            (start, _) if self.range_end.is_empty() => start,
            (start, end) => start.and(end),
        };
        match range {
            Ok(range) => self.preface.clean_assets.push(range),
            Err(_) => {
                state.notes.add("an address range without findings is invalid and was ignored".to_owned());
            }
        }
    }
}

fn in_root(name: &str) -> ElementRole {
    match name {
        "HEADER" => ElementRole::Of(Structure::Head),
        "HOST_LIST" => ElementRole::Of(Structure::Assets),
        "GLOSSARY" => ElementRole::Of(Structure::Definitions),
        "APPENDICES" => ElementRole::Of(Structure::Appendices),
        "ERROR" => ElementRole::Value(Value::Error),
        "RISK_SCORE_PER_HOST" => ElementRole::Of(Structure::AssetRisks),
        _ => ElementRole::Unknown,
    }
}

fn in_head(name: &str) -> ElementRole {
    match name {
        "GENERATION_DATETIME" => ElementRole::Value(Value::Time),
        "TEMPLATE" => ElementRole::Value(Value::Title),
        "RISK_SCORE_SUMMARY" => ElementRole::Of(Structure::RiskSummary),
        // The login name of a person says nothing about the report.
        "USERNAME" => ElementRole::Ignored,
        _ => ElementRole::Unknown,
    }
}

fn in_details(name: &str) -> ElementRole {
    match name {
        "QID" => ElementRole::Definition(DefinitionField::Id),
        "SEVERITY" => ElementRole::Value(Value::Code(Code::Severity)),
        "CVSS_SCORE" | "CVSS3_SCORE" => ElementRole::Of(Structure::Cvss),
        "DISCOVERY" => ElementRole::Of(Structure::Level(Level::Discovery)),
        _ => in_definition(name),
    }
}
