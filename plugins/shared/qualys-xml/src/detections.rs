//! `HOST_LIST_VM_DETECTION_OUTPUT`: one page of the host detection API, joined with a knowledge base.

use std::io::Read;

use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField};

use crate::batch_writer::BatchWriter;
use crate::cloud::Provider;
use crate::damage::{Damage, Fault};
use crate::element::Element;
use crate::element_role::{Code, ElementRole, Gathered, Item, Level, Structure, Value};
use crate::events::Limits;
use crate::join::{Joined, deliver, qid_number};
use crate::other::Table;
use crate::page::MORE_PAGES;
use crate::preface::Preface;
use crate::walk::{Document, Flow, State, Walk, table_of_role};

/// Reads the time of the response, which comes before the assets.
pub(crate) fn read_preface(source: impl Read, limits: Limits) -> (Preface, Option<Damage>) {
    let mut walk = Walk::new::<()>(source, Head::default(), limits);
    let damage = walk.run(&mut ()).err();
    let State { details, mut notes, .. } = walk.state;
    // The delivering walk counts them.
    notes.forbidden_references = 0;
    (Preface { time: walk.document.time, details, notes, ..Preface::default() }, damage)
}

/// Delivers the assets of one page.
#[derive(Debug, Default)]
pub(crate) struct Detections {
    pub(crate) writer: BatchWriter,
    warning_code: String,
    names_next_page: bool,
}

impl Document<Joined<'_>> for Detections {
    const ROOT: &'static str = "HOST_LIST_VM_DETECTION_OUTPUT";

    fn passes_on(table: Table) -> bool {
        table != Table::Report
    }

    /// The preface has read what comes before the assets.
    fn counts_unknown(&self, parent: ElementRole) -> bool {
        parent != ElementRole::Of(Structure::Head) || self.writer.assets > 0
    }

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        let ElementRole::Of(structure) = parent else {
            return ElementRole::Unknown;
        };
        match (structure, name) {
            (Structure::Finding, _) => in_finding(name),
            (Structure::Findings, "DETECTION") => ElementRole::Of(Structure::Finding),
            (Structure::Asset, _) => in_asset(name),
            (Structure::Level(level), _) => in_level(level, name),
            (Structure::CloudMetadata(_), "ATTRIBUTE") => ElementRole::Item(Item::CloudAttribute),
            (Structure::DnsData, "FQDN") => ElementRole::Asset(AssetField::Fqdn),
            (Structure::DnsData, "HOSTNAME") => ElementRole::Asset(AssetField::Hostname),
            (Structure::DnsData, "DOMAIN") => ElementRole::Asset(AssetField::Domain),
            (Structure::Assets, "HOST") => ElementRole::Of(Structure::Asset),
            (Structure::Head, "HOST_LIST") => ElementRole::Of(Structure::Assets),
            (Structure::Head, "WARNING") => ElementRole::Of(Structure::Warning),
            (Structure::Head, "DATETIME") => ElementRole::Ignored,
            (Structure::Warning, "CODE") => ElementRole::Value(Value::WarningCode),
            (Structure::Warning, "URL") => ElementRole::Value(Value::WarningAddress),
            (Structure::Warning, "TEXT") => ElementRole::Ignored,
            (Structure::Root, "RESPONSE") => ElementRole::Of(Structure::Head),
            // The echo of the request may contain credentials, so its text is never collected.
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
            ElementRole::Of(Structure::Finding) => state.cells.begin_finding(),
            ElementRole::Of(Structure::Asset) => {
                self.writer.begin_asset();
                state.cells.begin_asset();
            }
            ElementRole::Asset(_) => self.writer.begin_text(&mut state.notes),
            ElementRole::Value(Value::AssetFactor | Value::UserAttribute) => {
                state.cells.parts[0] = name_of_item(element.name());
            }
            ElementRole::Value(Value::DetectionFactor) => state.cells.parts[0].clear(),
            ElementRole::Of(Structure::Warning) => {
                self.warning_code.clear();
                self.names_next_page = false;
            }
            _ => {}
        }
        element.attributes(|key, value| match (role, key) {
            (ElementRole::Finding(FindingField::DetectionScore), "severity") => {
                state.cells.finding.set(FindingField::DetectionLevel, value.trim());
            }
            (ElementRole::Value(Value::DetectionFactor), "name") => {
                value.trim().clone_into(&mut state.cells.parts[0]);
            }
            (ElementRole::Value(Value::AssetFactor), "qds_severity") => {
                state.cells.parts[0] = format!("vuln_count_{}", value.trim());
            }
            (ElementRole::Value(Value::UserAttribute), "ud_attr") => {
                value.trim().clone_into(&mut state.cells.parts[0]);
            }
            _ if table_of_role(role) != Table::Report => {
                state.cells.pass_on_attribute(table_of_role(role), key, value);
            }
            _ => state.notes.unknown_element(&format!("{}@{key}", element.name())),
        })
    }

    fn close(
        &mut self,
        role: ElementRole,
        state: &mut State,
        sink: &mut Joined<'_>,
    ) -> Result<Flow, Box<Fault>> {
        match role {
            ElementRole::Of(Structure::Finding) => {
                let key = qid_number(state.cells.definition.get(DefinitionField::Id));
                return deliver(&mut self.writer, key, state, sink);
            }
            ElementRole::Of(Structure::Asset) => {
                return Ok(self.writer.end_asset(&mut state.cells, sink.batch));
            }
            ElementRole::Of(Structure::CloudMetadata(_)) => {
                state.cells.close_cloud_metadata();
                self.writer.begin_text(&mut state.notes);
            }
            ElementRole::Of(Structure::Level(level)) if level.is_of_asset() => {
                self.writer.begin_text(&mut state.notes);
            }
            ElementRole::Value(value) if value.is_of_asset() => self.writer.begin_text(&mut state.notes),
            ElementRole::Other(Table::Asset) => self.writer.begin_text(&mut state.notes),
            ElementRole::Value(Value::WarningCode) => self.warning_code.clone_from(&state.cells.value),
            ElementRole::Value(Value::WarningAddress) => self.names_next_page = !state.cells.value.is_empty(),
            ElementRole::Of(Structure::Warning) => self.add_warning(state),
            _ => {}
        }
        Ok(Flow::On)
    }
}

impl Detections {
    /// The message does not contain the address of the next page, because the address repeats the query.
    fn add_warning(&self, state: &mut State) {
        state.notes.add(match (self.warning_code.as_str(), self.names_next_page) {
            ("1980", true) => MORE_PAGES.to_owned(),
            (code, _) => format!("the response contains warning {}", crate::names::Shown(code)),
        });
    }
}

/// Reads only the time of the response.
#[derive(Debug, Default)]
struct Head {
    time: String,
}

impl Document<()> for Head {
    const ROOT: &'static str = <Detections as Document<Joined<'_>>>::ROOT;

    fn passes_on(table: Table) -> bool {
        table == Table::Report
    }

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        match (parent, name) {
            (ElementRole::Of(Structure::Root), "RESPONSE") => ElementRole::Of(Structure::Head),
            (ElementRole::Of(Structure::Head), "DATETIME") => ElementRole::Value(Value::Time),
            (ElementRole::Of(Structure::Head), "HOST_LIST") => ElementRole::Of(Structure::Assets),
            (ElementRole::Of(Structure::Assets), "HOST") => ElementRole::Of(Structure::Asset),
            (ElementRole::Of(Structure::Head), "WARNING") => ElementRole::Ignored,
            (ElementRole::Of(Structure::Head), _) => ElementRole::Unknown,
            _ => ElementRole::Ignored,
        }
    }

    fn open(&mut self, _: ElementRole, element: &Element<'_>, _: &mut State) -> Result<(), Box<Fault>> {
        element.attributes(|_, _| {})
    }

    fn close(&mut self, role: ElementRole, state: &mut State, (): &mut ()) -> Result<Flow, Box<Fault>> {
        match role {
            ElementRole::Value(Value::Time) => {
                self.time.clone_from(&state.cells.value);
                Ok(Flow::Pause)
            }
            // The time comes before the assets, or is missing.
            ElementRole::Of(Structure::Asset) => Ok(Flow::Pause),
            _ => Ok(Flow::On),
        }
    }
}

fn in_asset(name: &str) -> ElementRole {
    ElementRole::Asset(match name {
        "ID" => AssetField::Id,
        "ASSET_ID" => AssetField::AssetId,
        "IP" | "IPV6" => return ElementRole::Value(Value::Address),
        "TRACKING_METHOD" => AssetField::TrackingMethod,
        "NETWORK_ID" => AssetField::NetworkId,
        "NETWORK_NAME" => return ElementRole::AssetBetter(AssetField::Network),
        "OS" => AssetField::Os,
        "OS_CPE" => AssetField::OsCpe,
        "DNS" => return ElementRole::AssetBetter(AssetField::Dns),
        "DNS_DATA" => return ElementRole::Of(Structure::DnsData),
        "OS_HOSTNAME" => AssetField::OsHostname,
        "NETBIOS" => AssetField::Netbios,
        "QG_HOSTID" => AssetField::AgentId,
        "CLOUD_PROVIDER" => return ElementRole::AssetBetter(AssetField::CloudProvider),
        "CLOUD_SERVICE" => AssetField::CloudService,
        "CLOUD_RESOURCE_ID" | "EC2_INSTANCE_ID" => {
            return ElementRole::Value(Value::AssetFallback(AssetField::CloudId));
        }
        "METADATA" => return ElementRole::Of(Structure::Level(Level::Metadata)),
        "CLOUD_PROVIDER_TAGS" => return ElementRole::Of(Structure::Level(Level::CloudTags)),
        "TRURISK_SCORE" => return ElementRole::AssetBetter(AssetField::RiskScore),
        "ASSET_RISK_SCORE" => return ElementRole::Value(Value::SecondRiskScore),
        "ASSET_CRITICALITY_SCORE" => AssetField::Criticality,
        "TRURISK_SCORE_FACTORS" | "ARS_FACTORS" => {
            return ElementRole::Of(Structure::Level(Level::RiskFactors));
        }
        "LAST_SCAN_DATETIME" => return ElementRole::AssetBetter(AssetField::LastScan),
        "LAST_VM_SCANNED_DATE" => AssetField::LastVulnerabilityScan,
        "LAST_VM_SCANNED_DURATION" => AssetField::ScanSecs,
        "LAST_VM_AUTH_SCANNED_DATE" => AssetField::LastAuthenticatedScan,
        "LAST_VM_AUTH_SCANNED_DURATION" => AssetField::AuthenticatedScanSecs,
        "LAST_PC_SCANNED_DATE" => AssetField::LastComplianceScan,
        "USER_DEF" => return ElementRole::Of(Structure::Level(Level::UserAttributes)),
        "OWNER" => AssetField::Owner,
        "COMMENTS" => AssetField::Comments,
        "LAST_BOOT" => AssetField::LastBoot,
        "SERIAL_NUMBER" => AssetField::SerialNumber,
        "HARDWARE_UUID" => AssetField::HardwareUuid,
        "FIRST_FOUND_DATE" => AssetField::FirstFound,
        "LAST_ACTIVITY" | "LAST_ACTIVITY_DATE" => AssetField::LastActivity,
        "AGENT_STATUS" => AssetField::AgentStatus,
        "CLOUD_AGENT_RUNNING_ON" => AssetField::AgentSource,
        "ASSET_GROUP_LIST" => return ElementRole::Of(Structure::Level(Level::Groups)),
        "TAGS" => return ElementRole::Of(Structure::Level(Level::Tags)),
        "DETECTION_LIST" => return ElementRole::Of(Structure::Findings),
        _ => return ElementRole::Unknown,
    })
}

fn in_level(level: Level, name: &str) -> ElementRole {
    match (level, name) {
        (Level::Metadata, _) => match Provider::of_element(name) {
            Some(provider) => ElementRole::Of(Structure::CloudMetadata(provider)),
            None => ElementRole::Unknown,
        },
        (Level::CloudTags, "CLOUD_TAG") => ElementRole::Item(Item::CloudTag),
        (Level::Tags, "TAG") => ElementRole::Item(Item::Tag),
        (Level::Groups, "ASSET_GROUP") => ElementRole::Item(Item::Group),
        (Level::RiskFactors, "ARS_FACTORS") => ElementRole::Of(Structure::Level(level)),
        (Level::RiskFactors, _) => ElementRole::Value(Value::AssetFactor),
        (Level::UserAttributes, "VALUE_1" | "VALUE_2" | "VALUE_3") => {
            ElementRole::Value(Value::UserAttribute)
        }
        (Level::DetectionFactors, "QDS_FACTOR") => ElementRole::Value(Value::DetectionFactor),
        _ => ElementRole::Unknown,
    }
}

/// The name of an item that has none of its own, from the name of its element.
fn name_of_item(element: &str) -> String {
    match element {
        "TRURISK_SCORE_FORMULA" => "formula".to_owned(),
        _ => element.to_ascii_lowercase(),
    }
}

fn in_finding(name: &str) -> ElementRole {
    ElementRole::Finding(match name {
        "QID" => return ElementRole::Definition(DefinitionField::Id),
        "UNIQUE_VULN_ID" => FindingField::UniqueId,
        "TYPE" => return ElementRole::Value(Value::Code(Code::Kind)),
        "SEVERITY" => return ElementRole::Value(Value::Code(Code::Severity)),
        "PORT" => return ElementRole::Value(Value::Code(Code::Port)),
        "PROTOCOL" => return ElementRole::Value(Value::Code(Code::Protocol)),
        "FQDN" => FindingField::Fqdn,
        "SSL" => return ElementRole::Value(Value::Code(Code::Ssl)),
        "INSTANCE" => FindingField::Instance,
        "RESULTS" => FindingField::Result,
        "STATUS" => return ElementRole::Value(Value::Code(Code::Status)),
        "FIRST_FOUND_DATETIME" => FindingField::FirstFound,
        "LAST_FOUND_DATETIME" => FindingField::LastFound,
        "LAST_FIXED_DATETIME" => FindingField::LastFixed,
        "TIMES_FOUND" => FindingField::TimesFound,
        "QDS" => FindingField::DetectionScore,
        "SERVICE" => FindingField::Service,
        "RESULT_INSTANCE" => FindingField::ResultInstance,
        "SOURCE" => FindingField::Source,
        "QDS_FACTORS" => return ElementRole::Of(Structure::Level(Level::DetectionFactors)),
        "LAST_TEST_DATETIME" => FindingField::LastTested,
        "LAST_UPDATE_DATETIME" => FindingField::LastUpdated,
        "LAST_PROCESSED_DATETIME" => FindingField::LastProcessed,
        "FIRST_REOPENED_DATETIME" => FindingField::FirstReopened,
        "LAST_REOPENED_DATETIME" => FindingField::LastReopened,
        "TIMES_REOPENED" => FindingField::TimesReopened,
        "IS_IGNORED" => return ElementRole::Value(Value::Ignored),
        "IS_DISABLED" => return ElementRole::Value(Value::Disabled),
        "AFFECT_RUNNING_KERNEL" => FindingField::RunningKernel,
        "AFFECT_RUNNING_SERVICE" => FindingField::RunningService,
        "AFFECT_EXPLOITABLE_CONFIG" => FindingField::ExploitableConfig,
        "ASSET_CVE" | "CVE" => return ElementRole::Value(Value::Gathered(Gathered::Cves)),
        "LINUX_HOSTNAME" => FindingField::Hostname,
        "MITRE_TACTIC_ID" => return ElementRole::Value(Value::Gathered(Gathered::TacticIds)),
        "MITRE_TACTIC_NAME" => return ElementRole::Value(Value::Gathered(Gathered::TacticNames)),
        "MITRE_TECHNIQUE_ID" => return ElementRole::Value(Value::Gathered(Gathered::TechniqueIds)),
        "MITRE_TECHNIQUE_NAME" => return ElementRole::Value(Value::Gathered(Gathered::TechniqueNames)),
        "TRURISK_ELIMINATION_STATUS" => FindingField::EliminationStatus,
        "VULNERABILITY_DETECTION_SOURCES" => {
            return ElementRole::Value(Value::Gathered(Gathered::DetectionSources));
        }
        "LATEST_VULNERABILITY_DETECTION_SOURCE" => FindingField::LatestDetectionSource,
        _ => return ElementRole::Unknown,
    })
}
