//! `KNOWLEDGE_BASE_VULN_LIST_OUTPUT`: titles and texts for detections, which contain only QIDs.

use std::io::Read;

use scanbridge_plugin_api::model::{DefinitionField, Note};

use crate::damage::{Damage, Fault};
use crate::definitions::Definitions;
use crate::element::Element;
use crate::element_role::{Code, ElementRole, Structure, Value, in_definition};
use crate::events::Limits;
use crate::join::qid_number;
use crate::walk::{Document, Flow, State, Walk};

/// Adds a complete knowledge base to `definitions` and returns warnings for the operator.
///
/// # Errors
/// The damage. A partly read knowledge base must not be used, because an unpredictable part of the findings would
/// lack titles.
pub fn index_knowledge_base(
    source: impl Read,
    limits: Limits,
    definitions: &mut Definitions,
) -> Result<Vec<Note>, Damage> {
    let mut walk = Walk::new::<Definitions>(source, KnowledgeBase, limits);
    walk.run(definitions)?; // It never pauses.
    let replaced = walk.replaced();
    Ok(walk.state.notes.list(replaced))
}

struct KnowledgeBase;

impl Document<Definitions> for KnowledgeBase {
    const ROOT: &'static str = "KNOWLEDGE_BASE_VULN_LIST_OUTPUT";

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        let ElementRole::Of(structure) = parent else {
            return ElementRole::Unknown;
        };
        match (structure, name) {
            (Structure::Definition, _) => in_vuln(name),
            (Structure::Cvss, "BASE") => ElementRole::Definition(DefinitionField::CvssBase),
            (Structure::Cvss, "TEMPORAL") => ElementRole::Definition(DefinitionField::CvssTemporal),
            (Structure::Cvss3, "BASE") => ElementRole::Definition(DefinitionField::Cvss3Base),
            (Structure::Cvss3, "TEMPORAL") => ElementRole::Definition(DefinitionField::Cvss3Temporal),
            (Structure::Cvss3, "CVSS3_VERSION") => ElementRole::Definition(DefinitionField::Cvss3Version),
            (Structure::Cvss | Structure::Cvss3, _) => ElementRole::Ignored,
            (Structure::Definitions, "VULN") => ElementRole::Of(Structure::Definition),
            (Structure::Head, "VULN_LIST") => ElementRole::Of(Structure::Definitions),
            (Structure::Head, "ID_SET") => ElementRole::Of(Structure::IdSet),
            (Structure::IdSet, _) | (Structure::Head, "DATETIME" | "WARNING") => ElementRole::Ignored,
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
                let sentence = "the knowledge base contains only IDs; download it with details=All";
                state.notes.add(sentence.to_owned());
            }
            _ => {}
        }
        element.attributes(|_, _| {})
    }

    fn close(
        &mut self,
        role: ElementRole,
        state: &mut State,
        all: &mut Definitions,
    ) -> Result<Flow, Box<Fault>> {
        if role == ElementRole::Of(Structure::Definition) {
            let severity = state.cells.finding.severity();
            match qid_number(state.cells.definition.get(DefinitionField::Id)) {
                Some(qid) => all.add(qid, severity, &state.cells.definition)?,
                None => state.notes.add("the knowledge base contains an entry without a QID".to_owned()),
            }
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
        "VULN_TYPE"
        | "DETECTION_INFO"
        | "LAST_CUSTOMIZATION"
        | "PUBLISHED_DATETIME"
        | "CODE_MODIFIED_DATETIME"
        | "PATCH_PUBLISHED_DATE"
        | "TECHNOLOGY"
        | "SOFTWARE_LIST"
        | "CVSS_V4"
        | "AUTOMATIC_PCI_FAIL"
        | "PCI_REASONS"
        | "THREAT_INTELLIGENCE"
        | "SUPPORTED_MODULES"
        | "DISCOVERY"
        | "IS_DISABLED"
        | "CHANGE_LOG_LIST" => ElementRole::Ignored,
        _ => in_definition(name),
    }
}
