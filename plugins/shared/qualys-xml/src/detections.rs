//! `HOST_LIST_VM_DETECTION_OUTPUT`: one page of the host detection API, joined with a knowledge base.

use std::io::Read;

use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField};

use crate::damage::{Damage, Fault};
use crate::element::Element;
use crate::events::Limits;
use crate::feed::Feed;
use crate::join::{Join, Joined, qid_number};
use crate::page::MORE_PAGES;
use crate::place::{Place, Structure, Value};
use crate::preface::Preface;
use crate::walk::{Document, Flow, State, Walk};

/// Reads the time of the answer, which stands before the assets.
pub(crate) fn read_preface(source: impl Read, limits: Limits) -> (Preface, Option<Damage>) {
    let mut walk = Walk::new::<()>(source, Head::default(), limits);
    let damage = walk.run(&mut ()).err();
    (Preface { time: walk.document.time, ..Preface::default() }, damage)
}

/// Delivers the assets of one page.
#[derive(Debug, Default)]
pub(crate) struct Detections {
    pub(crate) feed: Feed,
    pub(crate) join: Join,
    warning_code: String,
    names_next_page: bool,
}

impl Document<Joined<'_>> for Detections {
    const ROOT: &'static str = "HOST_LIST_VM_DETECTION_OUTPUT";

    fn child(parent: Place, name: &str) -> Place {
        let Place::Of(structure) = parent else {
            return Place::Unknown;
        };
        match (structure, name) {
            (Structure::Finding, _) => in_finding(name),
            (Structure::Findings, "DETECTION") => Place::Of(Structure::Finding),
            (Structure::Asset, _) => in_asset(name),
            (Structure::AssetList(_), _) => in_asset_list(structure, name),
            (Structure::DnsData, "FQDN") => Place::AssetFallback(AssetField::Dns),
            (Structure::DnsData, "HOSTNAME" | "DOMAIN") => Place::Ignored,
            (Structure::Assets, "HOST") => Place::Of(Structure::Asset),
            (Structure::Head, "HOST_LIST") => Place::Of(Structure::Assets),
            (Structure::Head, "WARNING") => Place::Of(Structure::Warning),
            (Structure::Head, "DATETIME") => Place::Ignored,
            (Structure::Warning, "CODE") => Place::Value(Value::WarningCode),
            (Structure::Warning, "URL") => Place::Value(Value::WarningAddress),
            (Structure::Warning, "TEXT") => Place::Ignored,
            (Structure::Root, "RESPONSE") => Place::Of(Structure::Head),
            // The echo may hold a login: it is never even collected.
            (Structure::Root, "REQUEST") => Place::Ignored,
            _ => Place::Unknown,
        }
    }

    fn open(&mut self, place: Place, element: &Element<'_>, state: &mut State) -> Result<(), Box<Fault>> {
        match place {
            Place::Of(Structure::Finding) => state.cells.begin_finding(),
            Place::Of(Structure::Asset) => {
                self.feed.begin_asset();
                state.cells.begin_asset();
            }
            Place::Asset(_) | Place::Of(Structure::AssetList(_)) => self.feed.begin_text(&mut state.notes),
            _ => {}
        }
        element.attributes(|_, _| {})
    }

    fn close(&mut self, place: Place, state: &mut State, sink: &mut Joined<'_>) -> Result<Flow, Box<Fault>> {
        match place {
            Place::Of(Structure::Finding) => {
                let key = qid_number(state.cells.definition.get(DefinitionField::Qid));
                return self.join.deliver(&mut self.feed, key, state, sink);
            }
            Place::Of(Structure::Asset) => return Ok(self.feed.end_asset(&state.cells, sink.batch)),
            Place::Value(Value::WarningCode) => self.warning_code.clone_from(&state.cells.value),
            Place::Value(Value::WarningAddress) => self.names_next_page = !state.cells.value.is_empty(),
            Place::Of(Structure::Warning) => self.note_warning(state),
            _ => {}
        }
        Ok(Flow::On)
    }
}

impl Detections {
    /// The address of the next page is not shown: it repeats the query.
    fn note_warning(&self, state: &mut State) {
        state.notes.say(match (self.warning_code.as_str(), self.names_next_page) {
            ("1980", true) => MORE_PAGES.to_owned(),
            (code, _) => format!("the answer holds warning {}", crate::names::Shown(code)),
        });
    }
}

/// Looks for the time of the answer only.
#[derive(Debug, Default)]
struct Head {
    time: String,
}

impl Document<()> for Head {
    const ROOT: &'static str = <Detections as Document<Joined<'_>>>::ROOT;

    fn child(parent: Place, name: &str) -> Place {
        match (parent, name) {
            (Place::Of(Structure::Root), "RESPONSE") => Place::Of(Structure::Head),
            (Place::Of(Structure::Head), "DATETIME") => Place::Value(Value::Time),
            (Place::Of(Structure::Head), "HOST_LIST") => Place::Of(Structure::Assets),
            (Place::Of(Structure::Assets), "HOST") => Place::Of(Structure::Asset),
            _ => Place::Ignored,
        }
    }

    fn open(&mut self, _: Place, element: &Element<'_>, _: &mut State) -> Result<(), Box<Fault>> {
        element.attributes(|_, _| {})
    }

    fn close(&mut self, place: Place, state: &mut State, (): &mut ()) -> Result<Flow, Box<Fault>> {
        match place {
            Place::Value(Value::Time) => {
                self.time.clone_from(&state.cells.value);
                Ok(Flow::Pause)
            }
            // The time stands before the assets, or nowhere.
            Place::Of(Structure::Asset) => Ok(Flow::Pause),
            _ => Ok(Flow::On),
        }
    }
}

fn in_asset(name: &str) -> Place {
    match name {
        "ID" => Place::Asset(AssetField::Id),
        "IP" => Place::Asset(AssetField::Address),
        "IPV6" => Place::Asset(AssetField::Ipv6),
        "TRACKING_METHOD" => Place::Asset(AssetField::TrackingMethod),
        "NETWORK_ID" => Place::AssetFallback(AssetField::Network),
        "NETWORK_NAME" => Place::AssetBetter(AssetField::Network),
        "OS" => Place::Asset(AssetField::Os),
        "OS_CPE" => Place::Asset(AssetField::OsCpe),
        "DNS" => Place::AssetBetter(AssetField::Dns),
        "DNS_DATA" => Place::Of(Structure::DnsData),
        "NETBIOS" => Place::Asset(AssetField::Netbios),
        "QG_HOSTID" => Place::Asset(AssetField::AgentId),
        "CLOUD_RESOURCE_ID" | "EC2_INSTANCE_ID" => Place::AssetFallback(AssetField::CloudId),
        "LAST_SCAN_DATETIME" => Place::AssetBetter(AssetField::LastScan),
        "LAST_VM_SCANNED_DATE" => Place::AssetFallback(AssetField::LastScan),
        "ASSET_GROUP_LIST" => Place::Of(Structure::AssetList(AssetField::Groups)),
        "TAGS" => Place::Of(Structure::AssetList(AssetField::Tags)),
        "DETECTION_LIST" => Place::Of(Structure::Findings),
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
        | "ARS_FACTORS" => Place::Ignored,
        _ => Place::Unknown,
    }
}

fn in_asset_list(list: Structure, name: &str) -> Place {
    match (list, name) {
        (_, "TAG" | "ASSET_GROUP") => Place::Of(list),
        (Structure::AssetList(AssetField::Tags), "NAME") => Place::Value(Value::AssetItem(AssetField::Tags)),
        (Structure::AssetList(field), "ASSET_GROUP_TITLE") => Place::Value(Value::AssetItem(field)),
        (_, "TAG_ID" | "COLOR" | "BACKGROUND_COLOR" | "ASSET_GROUP_ID") => Place::Ignored,
        _ => Place::Unknown,
    }
}

fn in_finding(name: &str) -> Place {
    Place::Finding(match name {
        "QID" => return Place::Definition(DefinitionField::Qid),
        "UNIQUE_VULN_ID" => FindingField::UniqueId,
        "TYPE" => FindingField::Kind,
        "SEVERITY" => FindingField::Severity,
        "PORT" => FindingField::Port,
        "PROTOCOL" => FindingField::Protocol,
        "FQDN" => FindingField::Fqdn,
        "SSL" => FindingField::Ssl,
        "INSTANCE" => FindingField::Instance,
        "RESULTS" => FindingField::Result,
        "STATUS" => FindingField::Status,
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
        | "LATEST_VULNERABILITY_DETECTION_SOURCE" => return Place::Ignored,
        _ => return Place::Unknown,
    })
}
