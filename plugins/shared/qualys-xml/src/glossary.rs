//! First pass over an `ASSET_DATA_REPORT`: reads the head, indexes the glossary, and skips the assets.

use std::io::Read;

use scanbridge_plugin_api::model::{AddressRange, DefinitionField};

use crate::damage::{Damage, Fault};
use crate::definitions::Definitions;
use crate::element::Element;
use crate::element_role::{Code, ElementRole, Structure, Value, in_definition};
use crate::events::Limits;
use crate::join::qid_number;
use crate::mark::Unread;
use crate::preface::{Preface, without_placeholder};
use crate::walk::{Document, EMPTY_ERROR, Flow, State, Walk};

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
    preface.replaced = replaced;
    preface.unread = skipped.filter(|_| lists == 1 && damage.is_none());
    match error {
        Some(error) if lists == 0 => preface.error = Some(error),
        Some(error) => {
            preface.notes.add(format!("the report contains {error}"));
            preface.error_next_to_assets = Some(error);
        }
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
}

/// Further ranges are ignored, because outputs keep them in memory.
const MAX_RANGES: usize = 100_000;

impl Document<Definitions> for Glossary {
    const ROOT: &'static str = "ASSET_DATA_REPORT";
    const SKIPPED: Option<ElementRole> = Some(ElementRole::Of(Structure::Assets));

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
            (Structure::RiskSummary, "AVG_SECURITY_RISK" | "BUSINESS_RISK") => ElementRole::Ignored,
            (Structure::Definitions, "VULN_DETAILS_LIST") => ElementRole::Of(Structure::Definitions),
            (Structure::Definitions, "VULN_DETAILS") => ElementRole::Of(Structure::Definition),
            (Structure::Definition, _) => in_details(name),
            (Structure::Cvss, _) => in_definition(name),
            (Structure::Appendices, "NO_VULNS") => ElementRole::Of(Structure::CleanRanges),
            (Structure::Appendices, "NO_RESULTS" | "TEMPLATE_DETAILS") => ElementRole::Ignored,
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
            _ => {}
        }
        element.attributes(|key, value| match (role, key) {
            (ElementRole::Of(Structure::Definition), "id") => self.key = qid_number(value),
            (ElementRole::Value(Value::Error), "number") => value.clone_into(&mut state.error_number),
            _ => {}
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
            ElementRole::Value(Value::Time) => {
                without_placeholder(&state.cells.value).clone_into(&mut self.preface.time)
            }
            ElementRole::Value(Value::Title) => {
                without_placeholder(&state.cells.value).clone_into(&mut self.preface.title)
            }
            ElementRole::Value(Value::Total) => self.preface.findings = state.cells.value.parse().ok(),
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
        all.add(key, cells.finding.severity(), &cells.definition)
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
        "RISK_SCORE_PER_HOST" | "NON_RUNNING_KERNELS" => ElementRole::Ignored,
        _ => ElementRole::Unknown,
    }
}

fn in_head(name: &str) -> ElementRole {
    match name {
        "GENERATION_DATETIME" => ElementRole::Value(Value::Time),
        "TEMPLATE" => ElementRole::Value(Value::Title),
        "RISK_SCORE_SUMMARY" => ElementRole::Of(Structure::RiskSummary),
        "COMPANY" | "USERNAME" | "TARGET" => ElementRole::Ignored,
        _ => ElementRole::Unknown,
    }
}

fn in_details(name: &str) -> ElementRole {
    match name {
        "QID" => ElementRole::Definition(DefinitionField::Id),
        "SEVERITY" => ElementRole::Value(Value::Code(Code::Severity)),
        "CVSS_SCORE" | "CVSS3_SCORE" => ElementRole::Of(Structure::Cvss),
        "CUSTOMIZED" | "DISCOVERY" => ElementRole::Ignored,
        _ => in_definition(name),
    }
}
