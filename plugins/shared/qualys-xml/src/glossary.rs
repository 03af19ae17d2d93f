//! First pass over an `ASSET_DATA_REPORT`: indexes the glossary, gathers the head, and passes over the assets.

use std::io::Read;

use scanbridge_plugin_api::model::{DefinitionField, FindingField};

use crate::damage::{Damage, Fault};
use crate::definitions::Definitions;
use crate::element::Element;
use crate::events::Limits;
use crate::join::qid_number;
use crate::place::{Place, Structure, Value, in_definition};
use crate::preface::{Preface, or_nothing};
use crate::walk::{Document, Flow, MUTE_ERROR, State, Walk};

/// Reads all of the report but the assets. Those are read by the second pass, which begins at the beginning and
/// ends with the assets: together they read all of it.
pub(crate) fn read(
    source: impl Read,
    limits: Limits,
    definitions: &mut Definitions,
) -> (Preface, Option<Damage>) {
    let mut walk = Walk::new::<Definitions>(source, Glossary::default(), limits);
    let mut assets_end = 0;
    let damage = loop {
        match walk.run(definitions) {
            Ok(true) => assets_end = walk.position(),
            Ok(false) => break None,
            Err(damage) => break Some(damage),
        }
    };
    let replaced = walk.replaced();
    let Glossary { mut preface, lists, error, .. } = walk.document;
    preface.notes = walk.state.notes;
    preface.replaced = replaced;
    preface.assets_end = Some(assets_end).filter(|_| lists == 1 && damage.is_none());
    match error {
        Some(error) if lists == 0 => preface.error = Some(error),
        Some(error) => {
            preface.notes.say(format!("the report holds {error}"));
            preface.error_beside = Some(error);
        }
        None => {}
    }
    (preface, damage)
}

#[derive(Debug, Default)]
struct Glossary {
    preface: Preface,
    lists: u32,
    error: Option<String>,
    key: Option<u32>,
    range_start: String,
    range_end: String,
}

/// More ranges than this are not passed on: the outputs hold them in memory.
const MOST_RANGES: usize = 100_000;
/// No address is longer, in bytes.
const LONGEST_ADDRESS: usize = 128;

impl Document<Definitions> for Glossary {
    const ROOT: &'static str = "ASSET_DATA_REPORT";
    const PASSED_OVER: Option<Place> = Some(Place::Of(Structure::Assets));

    fn child(parent: Place, name: &str) -> Place {
        let Place::Of(structure) = parent else {
            return if parent == Place::Value(Value::Error) { Place::Ignored } else { Place::Unknown };
        };
        match (structure, name) {
            (Structure::Root, _) => in_root(name),
            (Structure::Head, _) => in_head(name),
            (Structure::RiskSummary, "TOTAL_VULNERABILITIES") => Place::Value(Value::Total),
            (Structure::RiskSummary, "AVG_SECURITY_RISK" | "BUSINESS_RISK") => Place::Ignored,
            (Structure::Definitions, "VULN_DETAILS_LIST") => Place::Of(Structure::Definitions),
            (Structure::Definitions, "VULN_DETAILS") => Place::Of(Structure::Definition),
            (Structure::Definition, _) => in_details(name),
            (Structure::Cvss, _) => in_definition(name),
            (Structure::Appendices, "NO_VULNS") => Place::Of(Structure::CleanRanges),
            (Structure::Appendices, "NO_RESULTS" | "TEMPLATE_DETAILS") => Place::Ignored,
            (Structure::CleanRanges, "IP_LIST") => Place::Of(Structure::CleanRanges),
            (Structure::CleanRanges, "RANGE") => Place::Of(Structure::CleanRange),
            (Structure::CleanRange, "START") => Place::Value(Value::RangeStart),
            (Structure::CleanRange, "END") => Place::Value(Value::RangeEnd),
            _ => Place::Unknown,
        }
    }

    fn open(&mut self, place: Place, element: &Element<'_>, state: &mut State) -> Result<(), Box<Fault>> {
        match place {
            Place::Of(Structure::Assets) => self.lists += 1,
            Place::Of(Structure::CleanRange) => {
                state.cells.begin_text();
                self.range_start.clear();
                self.range_end.clear();
            }
            Place::Of(Structure::Definition) => {
                state.cells.begin_finding();
                self.key = None;
            }
            _ => {}
        }
        element.attributes(|key, value| match (place, key) {
            (Place::Of(Structure::Definition), "id") => self.key = qid_number(value),
            (Place::Value(Value::Error), "number") => value.clone_into(&mut state.error_number),
            _ => {}
        })
    }

    fn close(&mut self, place: Place, state: &mut State, all: &mut Definitions) -> Result<Flow, Box<Fault>> {
        match place {
            Place::Of(Structure::Assets) => return Ok(Flow::Pause),
            Place::Of(Structure::Definition) => self.add_definition(state, all)?,
            Place::Of(Structure::CleanRange) => self.add_clean_range(state),
            Place::Value(Value::Time) => or_nothing(&state.cells.value).clone_into(&mut self.preface.time),
            Place::Value(Value::Title) => or_nothing(&state.cells.value).clone_into(&mut self.preface.title),
            Place::Value(Value::Total) => self.preface.findings = state.cells.value.parse().ok(),
            Place::Value(Value::RangeStart) => self.range_start.clone_from(&state.cells.value),
            Place::Value(Value::RangeEnd) => self.range_end.clone_from(&state.cells.value),
            Place::Value(Value::Error) => {
                let error = state.take_error().or_else(|| self.error.take());
                self.error = error.or_else(|| Some(MUTE_ERROR.to_owned()));
            }
            _ => {}
        }
        Ok(Flow::On)
    }
}

impl Glossary {
    fn add_definition(&self, state: &mut State, all: &mut Definitions) -> Result<(), Box<Fault>> {
        let cells = &mut state.cells;
        let key = self.key.or_else(|| qid_number(cells.definition.get(DefinitionField::Qid)));
        let Some(key) = key else {
            state.notes.say("the glossary holds a definition without a number".to_owned());
            return Ok(());
        };
        if cells.definition.get(DefinitionField::Qid).is_empty() {
            cells.definition.set(DefinitionField::Qid, &key.to_string());
        }
        all.add(key, cells.finding.get(FindingField::Severity), &cells.definition)
    }

    fn add_clean_range(&mut self, state: &mut State) {
        if self.preface.clean_assets.len() >= MOST_RANGES {
            state.notes.say(format!("only the first {MOST_RANGES} ranges without findings were taken"));
        } else if self.range_start.len().max(self.range_end.len()) > LONGEST_ADDRESS {
            state.notes.say("a range without findings is not one of addresses, and was left out".to_owned());
        } else if self.range_end.is_empty() || self.range_start == self.range_end {
            self.preface.clean_assets.push(self.range_start.clone());
        } else {
            self.preface.clean_assets.push(format!("{}-{}", self.range_start, self.range_end));
        }
    }
}

fn in_root(name: &str) -> Place {
    match name {
        "HEADER" => Place::Of(Structure::Head),
        "HOST_LIST" => Place::Of(Structure::Assets),
        "GLOSSARY" => Place::Of(Structure::Definitions),
        "APPENDICES" => Place::Of(Structure::Appendices),
        "ERROR" => Place::Value(Value::Error),
        "RISK_SCORE_PER_HOST" | "NON_RUNNING_KERNELS" => Place::Ignored,
        _ => Place::Unknown,
    }
}

fn in_head(name: &str) -> Place {
    match name {
        "GENERATION_DATETIME" => Place::Value(Value::Time),
        "TEMPLATE" => Place::Value(Value::Title),
        "RISK_SCORE_SUMMARY" => Place::Of(Structure::RiskSummary),
        "COMPANY" | "USERNAME" | "TARGET" => Place::Ignored,
        _ => Place::Unknown,
    }
}

fn in_details(name: &str) -> Place {
    match name {
        "QID" => Place::Definition(DefinitionField::Qid),
        "SEVERITY" => Place::Finding(FindingField::Severity),
        "CVSS_SCORE" | "CVSS3_SCORE" => Place::Of(Structure::Cvss),
        "CUSTOMIZED" | "DISCOVERY" => Place::Ignored,
        _ => in_definition(name),
    }
}
