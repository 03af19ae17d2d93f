//! `KNOWLEDGE_BASE_VULN_LIST_OUTPUT`: titles and texts for detections, which contain only QIDs.

use std::io::Read;

use scanbridge_plugin_api::model::{DefinitionField, Note};

use crate::damage::{Damage, Fault};
use crate::definitions::Definitions;
use crate::element::Element;
use crate::element_role::{Code, ElementRole, Item, Level, Structure, Value, in_definition, in_discovery};
use crate::events::Limits;
use crate::join::qid_number;
use crate::names::Shown;
use crate::other::Table;
use crate::walk::{Document, Flow, State, Walk, table_of_role};

/// What a response contains of the requested definitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Extent {
    /// All of them that exist.
    #[default]
    All,
    /// A part of them, and the URL of the rest, if the response has one.
    Part {
        /// The URL.
        next: Option<String>,
    },
    /// Only their IDs.
    Ids,
}

/// What was read besides the definitions.
#[derive(Debug)]
pub struct IndexedKnowledgeBase {
    /// Warnings for the operator.
    pub notes: Vec<Note>,
    /// How much of the requested definitions it contains.
    pub extent: Extent,
}

/// Adds a complete knowledge base to `definitions`.
///
/// # Errors
/// The damage. A partly read knowledge base must not be used, because an unpredictable part of the findings would
/// lack titles.
pub fn index_knowledge_base(
    source: impl Read,
    limits: Limits,
    definitions: &mut Definitions,
) -> Result<IndexedKnowledgeBase, Damage> {
    let mut walk = Walk::new::<Definitions>(source, KnowledgeBase::default(), limits);
    walk.run(definitions)?; // It never pauses.
    let notes = walk.state.notes.list(walk.replaced());
    Ok(IndexedKnowledgeBase { notes, extent: walk.document.extent })
}

#[derive(Debug, Default)]
struct KnowledgeBase {
    extent: Extent,
}

impl Document<Definitions> for KnowledgeBase {
    const ROOT: &'static str = "KNOWLEDGE_BASE_VULN_LIST_OUTPUT";

    fn passes_on(table: Table) -> bool {
        table == Table::Definition
    }

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        let ElementRole::Of(structure) = parent else {
            return ElementRole::Unknown;
        };
        match (structure, name) {
            (Structure::Definition, _) => in_vuln(name),
            (Structure::Level(level), _) => in_level(level, name),
            (Structure::Cvss, "VECTOR_STRING") => ElementRole::Definition(DefinitionField::CvssVector),
            (Structure::Cvss3, "VECTOR_STRING") => ElementRole::Definition(DefinitionField::Cvss3Vector),
            (Structure::Cvss4, "VECTOR_STRING") => ElementRole::Definition(DefinitionField::Cvss4Vector),
            (Structure::Cvss4, "BASE") => ElementRole::Definition(DefinitionField::Cvss4Base),
            (Structure::Cvss4, "CVSS4_VERSION") => ElementRole::Definition(DefinitionField::Cvss4Version),
            (Structure::Cvss, "BASE") => ElementRole::Definition(DefinitionField::CvssBase),
            (Structure::Cvss, "TEMPORAL") => ElementRole::Definition(DefinitionField::CvssTemporal),
            (Structure::Cvss3, "BASE") => ElementRole::Definition(DefinitionField::Cvss3Base),
            (Structure::Cvss3, "TEMPORAL") => ElementRole::Definition(DefinitionField::Cvss3Temporal),
            (Structure::Cvss3, "CVSS3_VERSION") => ElementRole::Definition(DefinitionField::Cvss3Version),
            (Structure::Cvss, "ACCESS" | "IMPACT") => ElementRole::Of(Structure::Cvss),
            (Structure::Cvss3, "ATTACK" | "IMPACT") => ElementRole::Of(Structure::Cvss3),
            (Structure::Cvss, name) if METRICS.contains(&name) => ElementRole::Value(Value::CvssMetric(2)),
            (Structure::Cvss3, name) if METRICS.contains(&name) => ElementRole::Value(Value::CvssMetric(3)),
            (Structure::Definitions, "VULN") => ElementRole::Of(Structure::Definition),
            (Structure::Head, "VULN_LIST") => ElementRole::Of(Structure::Definitions),
            (Structure::Head, "ID_SET") => ElementRole::Of(Structure::IdSet),
            (Structure::IdSet, _) | (Structure::Head, "DATETIME") => ElementRole::Ignored,
            (Structure::Head, "WARNING") => ElementRole::Of(Structure::Warning),
            (Structure::Warning, "CODE") => ElementRole::Value(Value::WarningCode),
            (Structure::Warning, "URL") => ElementRole::Value(Value::WarningAddress),
            (Structure::Warning, _) => ElementRole::Ignored,
            (Structure::Root, "RESPONSE") => ElementRole::Of(Structure::Head),
            (Structure::Root, "REQUEST") => ElementRole::Ignored,
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
            ElementRole::Of(Structure::Definition) => state.cells.begin_finding(),
            ElementRole::Of(Structure::IdSet) => {
                self.extent = Extent::Ids;
                let sentence = "the knowledge base contains only IDs; download it with details=All";
                state.notes.add(sentence.to_owned());
            }
            _ => {}
        }
        match role {
            ElementRole::Value(Value::CvssMetric(version)) => {
                state.cells.parts[0] = name_of_metric(version, element.name());
            }
            ElementRole::Value(Value::ThreatIntelligence) => state.cells.parts[0].clear(),
            _ => {}
        }
        element.attributes(|key, value| match (role, key) {
            (ElementRole::Value(Value::ThreatIntelligence), "id") => {
                value.trim().clone_into(&mut state.cells.parts[0]);
            }
            (ElementRole::Definition(field), "source") => state.cells.set_score_source(field, value),
            _ if table_of_role(role) == Table::Definition => {
                state.cells.pass_on_attribute(Table::Definition, key, value);
            }
            _ => state.notes.unknown_element(&format!("{}@{key}", element.name())),
        })
    }

    fn close(
        &mut self,
        role: ElementRole,
        state: &mut State,
        all: &mut Definitions,
    ) -> Result<Flow, Box<Fault>> {
        if role == ElementRole::Of(Structure::Definition) {
            let (severity, kind) = (state.cells.finding.severity(), state.cells.definition_kind);
            state.cells.set_definition_severity();
            state.cells.complete_definition();
            state.cells.drop_metrics_of_vectors();
            match qid_number(state.cells.definition.get(DefinitionField::Id)) {
                Some(qid) => all.add(qid, severity, kind, &state.cells.definition)?,
                None => state.notes.add("the knowledge base contains an entry without a QID".to_owned()),
            }
        }
        let text = state.cells.value.trim();
        match role {
            ElementRole::Value(Value::WarningCode) if text == "1980" => {
                self.extent = Extent::Part { next: None };
                let note = "the knowledge base is a part of a larger one; findings of the other definitions have no texts";
                state.notes.add(note.to_owned());
            }
            ElementRole::Value(Value::WarningCode) => {
                let note = format!("the knowledge base contains warning {}", Shown(text));
                state.notes.add(note);
            }
            // The code comes before it.
            ElementRole::Value(Value::WarningAddress) => {
                if let Extent::Part { next } = &mut self.extent {
                    *next = Some(text.to_owned()).filter(|next| !next.is_empty());
                }
            }
            _ => {}
        }
        Ok(Flow::On)
    }
}

fn in_vuln(name: &str) -> ElementRole {
    match name {
        "QID" => ElementRole::Definition(DefinitionField::Id),
        "SEVERITY_LEVEL" => ElementRole::Value(Value::Code(Code::Severity)),
        "LAST_SERVICE_MODIFICATION_DATETIME" => ElementRole::Definition(DefinitionField::LastUpdate),
        "CVSS" => ElementRole::Of(Structure::Cvss),
        "CVSS_V3" => ElementRole::Of(Structure::Cvss3),
        "CVSS_V4" => ElementRole::Of(Structure::Cvss4),
        "VULN_TYPE" => ElementRole::Value(Value::DefinitionType),
        "DETECTION_INFO" => ElementRole::Definition(DefinitionField::DetectionInfo),
        "TECHNOLOGY" => ElementRole::Definition(DefinitionField::Technology),
        "PUBLISHED_DATETIME" => ElementRole::Definition(DefinitionField::Published),
        "CODE_MODIFIED_DATETIME" => ElementRole::Definition(DefinitionField::CodeModified),
        "PATCH_PUBLISHED_DATE" => ElementRole::Definition(DefinitionField::PatchPublished),
        "AUTOMATIC_PCI_FAIL" => ElementRole::Definition(DefinitionField::PciAutoFail),
        "IS_DISABLED" => ElementRole::Definition(DefinitionField::Disabled),
        "SUPPORTED_MODULES" => ElementRole::Value(Value::DefinitionItems(DefinitionField::SupportedModules)),
        "LAST_CUSTOMIZATION" => ElementRole::Of(Structure::Level(Level::Customization)),
        "SOFTWARE_LIST" => ElementRole::Of(Structure::Level(Level::Software)),
        "CHANGE_LOG_LIST" => ElementRole::Of(Structure::Level(Level::Changes)),
        "PCI_REASONS" => ElementRole::Of(Structure::Level(Level::PciReasons)),
        "THREAT_INTELLIGENCE" => ElementRole::Of(Structure::Level(Level::ThreatIntelligence)),
        "DISCOVERY" => ElementRole::Of(Structure::Level(Level::Discovery)),
        _ => in_definition(name),
    }
}

fn in_level(level: Level, name: &str) -> ElementRole {
    match (level, name) {
        (Level::Customization, "DATETIME") => ElementRole::Definition(DefinitionField::Customized),
        // The login name of a person says nothing about the definition.
        (Level::Customization, "USER_LOGIN") => ElementRole::Ignored,
        (Level::Software, "SOFTWARE") => ElementRole::Item(Item::Software),
        (Level::Changes, "CHANGE_LOG_INFO") => ElementRole::Item(Item::Change),
        (Level::PciReasons, "PCI_REASON") => {
            ElementRole::Value(Value::DefinitionItem(DefinitionField::PciReasons))
        }
        (Level::ThreatIntelligence, "THREAT_INTEL") => ElementRole::Value(Value::ThreatIntelligence),
        _ => in_discovery(level, name),
    }
}

/// `v2.access.vector`: the version, the element around it, and the name.
fn name_of_metric(version: u8, name: &str) -> String {
    let around = match (name, version) {
        ("VECTOR" | "COMPLEXITY", 2) => "access.",
        ("VECTOR" | "COMPLEXITY", _) => "attack.",
        ("CONFIDENTIALITY" | "INTEGRITY" | "AVAILABILITY", _) => "impact.",
        _ => "",
    };
    format!("v{version}.{around}{}", name.to_ascii_lowercase())
}

/// Metrics of CVSS 2 and 3, which the vector repeats.
const METRICS: [&str; 13] = [
    "VECTOR",
    "COMPLEXITY",
    "CONFIDENTIALITY",
    "INTEGRITY",
    "AVAILABILITY",
    "AUTHENTICATION",
    "EXPLOITABILITY",
    "REMEDIATION_LEVEL",
    "REPORT_CONFIDENCE",
    "PRIVILEGES_REQUIRED",
    "USER_INTERACTION",
    "SCOPE",
    "EXPLOIT_CODE_MATURITY",
];
