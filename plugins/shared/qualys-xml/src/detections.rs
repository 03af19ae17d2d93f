//! `HOST_LIST_VM_DETECTION_OUTPUT`: one page of the host detection API, joined with a knowledge base.

use std::io::Read;

use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField};

use crate::batch_writer::BatchWriter;
use crate::damage::{Damage, Fault};
use crate::element::Element;
use crate::element_role::{Code, ElementRole, Structure, Value};
use crate::events::Limits;
use crate::join::{Joined, SentDefinitions, qid_number};
use crate::page::MORE_PAGES;
use crate::preface::Preface;
use crate::walk::{Document, Flow, State, Walk};

/// Reads the time of the response, which comes before the assets.
pub(crate) fn read_preface(source: impl Read, limits: Limits) -> (Preface, Option<Damage>) {
    let mut walk = Walk::new::<()>(source, Head::default(), limits);
    let damage = walk.run(&mut ()).err();
    (Preface { time: walk.document.time, ..Preface::default() }, damage)
}

/// Delivers the assets of one page.
#[derive(Debug, Default)]
pub(crate) struct Detections {
    pub(crate) writer: BatchWriter,
    pub(crate) join: SentDefinitions,
    warning_code: String,
    names_next_page: bool,
}

impl Document<Joined<'_>> for Detections {
    const ROOT: &'static str = "HOST_LIST_VM_DETECTION_OUTPUT";

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        let ElementRole::Of(structure) = parent else {
            return ElementRole::Unknown;
        };
        match (structure, name) {
            (Structure::Finding, _) => in_finding(name),
            (Structure::Findings, "DETECTION") => ElementRole::Of(Structure::Finding),
            (Structure::Asset, _) => in_asset(name),
            (Structure::AssetList(_), _) => in_asset_list(structure, name),
            (Structure::DnsData, "FQDN") => ElementRole::AssetFallback(AssetField::Dns),
            (Structure::DnsData, "HOSTNAME" | "DOMAIN") => ElementRole::Ignored,
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
            ElementRole::Asset(_) | ElementRole::Of(Structure::AssetList(_)) => {
                self.writer.begin_text(&mut state.notes)
            }
            ElementRole::Of(Structure::Warning) => {
                self.warning_code.clear();
                self.names_next_page = false;
            }
            _ => {}
        }
        element.attributes(|_, _| {})
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
                return self.join.deliver(&mut self.writer, key, state, sink);
            }
            ElementRole::Of(Structure::Asset) => return Ok(self.writer.end_asset(&state.cells, sink.batch)),
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

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        match (parent, name) {
            (ElementRole::Of(Structure::Root), "RESPONSE") => ElementRole::Of(Structure::Head),
            (ElementRole::Of(Structure::Head), "DATETIME") => ElementRole::Value(Value::Time),
            (ElementRole::Of(Structure::Head), "HOST_LIST") => ElementRole::Of(Structure::Assets),
            (ElementRole::Of(Structure::Assets), "HOST") => ElementRole::Of(Structure::Asset),
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
    match name {
        "ID" => ElementRole::Asset(AssetField::Id),
        "IP" => ElementRole::Asset(AssetField::Address),
        "IPV6" => ElementRole::Asset(AssetField::Ipv6),
        "TRACKING_METHOD" => ElementRole::Asset(AssetField::TrackingMethod),
        "NETWORK_ID" => ElementRole::AssetFallback(AssetField::Network),
        "NETWORK_NAME" => ElementRole::AssetBetter(AssetField::Network),
        "OS" => ElementRole::Asset(AssetField::Os),
        "OS_CPE" => ElementRole::Asset(AssetField::OsCpe),
        "DNS" => ElementRole::AssetBetter(AssetField::Dns),
        "DNS_DATA" => ElementRole::Of(Structure::DnsData),
        "NETBIOS" => ElementRole::Asset(AssetField::Netbios),
        "QG_HOSTID" => ElementRole::Asset(AssetField::AgentId),
        "CLOUD_RESOURCE_ID" | "EC2_INSTANCE_ID" => ElementRole::AssetFallback(AssetField::CloudId),
        "LAST_SCAN_DATETIME" => ElementRole::AssetBetter(AssetField::LastScan),
        "LAST_VM_SCANNED_DATE" => ElementRole::AssetFallback(AssetField::LastScan),
        "ASSET_GROUP_LIST" => ElementRole::Of(Structure::AssetList(AssetField::Groups)),
        "TAGS" => ElementRole::Of(Structure::AssetList(AssetField::Tags)),
        "DETECTION_LIST" => ElementRole::Of(Structure::Findings),
        "ASSET_ID"
        | "OS_HOSTNAME"
        | "CLOUD_PROVIDER"
        | "CLOUD_SERVICE"
        | "LAST_VM_SCANNED_DURATION"
        | "LAST_VM_AUTH_SCANNED_DATE"
        | "LAST_VM_AUTH_SCANNED_DURATION"
        | "LAST_PC_SCANNED_DATE"
        | "METADATA"
        | "CLOUD_PROVIDER_TAGS"
        | "USER_DEF"
        | "ASSET_RISK_SCORE"
        | "TRURISK_SCORE"
        | "TRURISK_SCORE_FACTORS"
        | "ASSET_CRITICALITY_SCORE"
        | "ARS_FACTORS" => ElementRole::Ignored,
        _ => ElementRole::Unknown,
    }
}

fn in_asset_list(list: Structure, name: &str) -> ElementRole {
    match (list, name) {
        (_, "TAG" | "ASSET_GROUP") => ElementRole::Of(list),
        (Structure::AssetList(AssetField::Tags), "NAME") => {
            ElementRole::Value(Value::AssetItem(AssetField::Tags))
        }
        (Structure::AssetList(field), "ASSET_GROUP_TITLE") => ElementRole::Value(Value::AssetItem(field)),
        (_, "TAG_ID" | "COLOR" | "BACKGROUND_COLOR" | "ASSET_GROUP_ID") => ElementRole::Ignored,
        _ => ElementRole::Unknown,
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
        "RESULT_INSTANCE"
        | "SOURCE"
        | "QDS_FACTORS"
        | "LAST_TEST_DATETIME"
        | "LAST_UPDATE_DATETIME"
        | "FIRST_REOPENED_DATETIME"
        | "LAST_REOPENED_DATETIME"
        | "TIMES_REOPENED"
        | "IS_IGNORED"
        | "IS_DISABLED"
        | "AFFECT_RUNNING_KERNEL"
        | "AFFECT_RUNNING_SERVICE"
        | "AFFECT_EXPLOITABLE_CONFIG"
        | "LAST_PROCESSED_DATETIME"
        | "ASSET_CVE"
        | "LINUX_HOSTNAME"
        | "MITRE_TACTIC_NAME"
        | "MITRE_TACTIC_ID"
        | "MITRE_TECHNIQUE_NAME"
        | "MITRE_TECHNIQUE_ID"
        | "TRURISK_ELIMINATION_STATUS"
        | "VULNERABILITY_DETECTION_SOURCES"
        | "LATEST_VULNERABILITY_DETECTION_SOURCE" => return ElementRole::Ignored,
        _ => return ElementRole::Unknown,
    })
}
