//! Second pass over an `ASSET_DATA_REPORT`: delivers the assets, joined with the glossary.

use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField};

use crate::damage::Fault;
use crate::element::Element;
use crate::feed::Feed;
use crate::join::{Join, Joined, qid_number};
use crate::notes::Notes;
use crate::place::{Place, Structure, Value};
use crate::walk::{Document, Flow, State};

/// Delivers the assets of a template report.
#[derive(Debug, Default)]
pub(crate) struct TemplateReport {
    pub(crate) feed: Feed,
    pub(crate) join: Join,
    /// Where the first pass found the only list of assets to end. Nothing of interest follows it.
    pub(crate) assets_end: Option<u64>,
    /// That list has ended.
    pub(crate) is_done: bool,
    findings: u64,
    /// How many findings there are by the report's own account.
    findings_expected: Option<u64>,
    /// The asset was reported with an error: nothing is known of it.
    failed: bool,
    /// The QID that the finding's reference to the glossary names.
    key: Option<u32>,
}

impl TemplateReport {
    /// With what the first pass found.
    pub(crate) fn new(assets_end: Option<u64>, findings_expected: Option<u64>) -> Self {
        Self { assets_end, findings_expected, ..Self::default() }
    }

    /// All assets have been read: are there as many findings as the report says?
    pub(crate) fn compare_findings(&self, notes: &mut Notes) {
        let findings = self.findings;
        if let Some(total) = self.findings_expected.filter(|total| *total != findings) {
            notes.say(format!("the report says that it holds {total} findings, but it holds {findings}"));
        }
    }
}

impl Document<Joined<'_>> for TemplateReport {
    const ROOT: &'static str = "ASSET_DATA_REPORT";

    fn child(parent: Place, name: &str) -> Place {
        match parent {
            Place::Of(Structure::Finding) => in_finding(name),
            Place::Of(Structure::Findings) if name == "VULN_INFO" => Place::Of(Structure::Finding),
            Place::Of(Structure::Asset) => in_asset(name),
            Place::Of(Structure::AssetList(field)) => match name {
                "ASSET_TAG" | "ASSET_GROUP_TITLE" | "IP" => Place::Value(Value::AssetItem(field)),
                _ => Place::Unknown,
            },
            Place::Of(Structure::Assets) if name == "HOST" => Place::Of(Structure::Asset),
            Place::Of(Structure::Root) if name == "HOST_LIST" => Place::Of(Structure::Assets),
            // The first pass has read, or counted as unknown, all the rest.
            Place::Of(Structure::Root | Structure::Assets) | Place::Value(Value::Error) => Place::Ignored,
            _ => Place::Unknown,
        }
    }

    fn open(&mut self, place: Place, element: &Element<'_>, state: &mut State) -> Result<(), Box<Fault>> {
        match place {
            Place::Of(Structure::Finding) => {
                state.cells.begin_finding();
                self.findings += 1;
                self.key = None;
            }
            Place::Of(Structure::Asset) => {
                self.feed.begin_asset();
                state.cells.begin_asset();
                self.failed = false;
            }
            Place::Asset(_) | Place::Of(Structure::AssetList(_)) => self.feed.begin_text(&mut state.notes),
            _ => {}
        }
        element.attributes(|key, value| match (place, key) {
            (Place::Definition(DefinitionField::Qid), "id") => self.key = qid_number(value),
            (Place::Finding(FindingField::Result), "format") => {
                state.cells.finding.set(FindingField::ResultFormat, value);
            }
            (Place::Asset(AssetField::Address), "network_id") => {
                state.cells.asset.set(AssetField::Network, value.trim());
            }
            (Place::Asset(AssetField::Address), "v6") if value.contains(':') => {
                state.cells.asset.set(AssetField::Ipv6, value.trim());
            }
            (Place::Value(Value::Error), "number") => value.clone_into(&mut state.error_number),
            _ => {}
        })
    }

    fn close(&mut self, place: Place, state: &mut State, sink: &mut Joined<'_>) -> Result<Flow, Box<Fault>> {
        match place {
            Place::Of(Structure::Finding) => {
                let text = state.cells.definition.get(DefinitionField::Qid);
                let key = self.key.or_else(|| qid_number(text));
                return self.join.deliver(&mut self.feed, key, state, sink);
            }
            // Delivered, it would pass for an asset that was looked at and has no findings.
            Place::Of(Structure::Asset) if self.failed && !self.feed.has_started() => {
                self.feed.is_open = false
            }
            Place::Of(Structure::Asset) => return Ok(self.feed.end_asset(&state.cells, sink.batch)),
            Place::Of(Structure::Assets) if self.assets_end.is_some() => {
                self.is_done = true;
                return Ok(Flow::Pause);
            }
            Place::Value(Value::Error) => {
                self.failed = true;
                state.notes.asset_errors += 1;
                if let Some(error) = state.take_error() {
                    state.notes.say(format!("an asset was reported with {error}"));
                }
            }
            _ => {}
        }
        Ok(Flow::On)
    }
}

fn in_asset(name: &str) -> Place {
    match name {
        "IP" => Place::Asset(AssetField::Address),
        "TRACKING_METHOD" => Place::Asset(AssetField::TrackingMethod),
        "HOST_ID" => Place::Asset(AssetField::Id),
        "DNS" => Place::Asset(AssetField::Dns),
        "NETBIOS" => Place::Asset(AssetField::Netbios),
        "QG_HOSTID" => Place::Asset(AssetField::AgentId),
        "OPERATING_SYSTEM" => Place::Asset(AssetField::Os),
        "OS_CPE" => Place::Asset(AssetField::OsCpe),
        "ASSET_TAGS" => Place::Of(Structure::AssetList(AssetField::Tags)),
        "ASSET_GROUPS" => Place::Of(Structure::AssetList(AssetField::Groups)),
        "IP_INTERFACES" => Place::Of(Structure::AssetList(AssetField::Interfaces)),
        "VULN_INFO_LIST" => Place::Of(Structure::Findings),
        "ERROR" => Place::Value(Value::Error),
        _ => Place::Unknown,
    }
}

fn in_finding(name: &str) -> Place {
    Place::Finding(match name {
        "QID" => return Place::Definition(DefinitionField::Qid),
        "TYPE" => FindingField::Kind,
        "PORT" => FindingField::Port,
        "SERVICE" => FindingField::Service,
        "PROTOCOL" => FindingField::Protocol,
        "FQDN" => FindingField::Fqdn,
        "SSL" => FindingField::Ssl,
        "INSTANCE" => FindingField::Instance,
        "RESULT" => FindingField::Result,
        "FIRST_FOUND" => FindingField::FirstFound,
        "LAST_FOUND" => FindingField::LastFound,
        "TIMES_FOUND" => FindingField::TimesFound,
        "VULN_STATUS" => FindingField::Status,
        "LAST_FIXED" => FindingField::LastFixed,
        "CVSS_FINAL" => FindingField::CvssFinal,
        "CVSS3_FINAL" => FindingField::Cvss3Final,
        "TICKET_NUMBER" => FindingField::Ticket,
        "TICKET_STATE" => FindingField::TicketState,
        _ => return Place::Unknown,
    })
}
