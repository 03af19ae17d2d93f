//! Second pass over an `ASSET_DATA_REPORT`: delivers the assets, joined with the glossary.

use std::collections::HashMap;

use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField};

use crate::batch_writer::BatchWriter;
use crate::damage::Fault;
use crate::element::Element;
use crate::element_role::{Code, ElementRole, Structure, Value};
use crate::join::{Joined, deliver, qid_number};
use crate::notes::Notes;
use crate::other::Table;
use crate::preface::AssetRisk;
use crate::walk::{Document, Flow, State, table_of_role};

/// Delivers the assets of a template report.
#[derive(Debug, Default)]
pub(crate) struct TemplateReport {
    pub(crate) writer: BatchWriter,
    /// The end of the only list of assets, as found by the first pass. The rest of the report is not needed.
    pub(crate) assets_end: Option<u64>,
    /// That list has ended.
    pub(crate) is_done: bool,
    pub(crate) findings: u64,
    /// The number of findings that the report declares.
    findings_expected: Option<u64>,
    /// The risks of the assets, by network and address.
    risks: HashMap<(String, String), AssetRisk>,
    /// Number of findings of the asset.
    asset_findings: u64,
    /// The report contains an error for the asset instead of findings.
    failed: bool,
    /// The QID of the finding's reference to the glossary.
    key: Option<u32>,
}

impl TemplateReport {
    /// Uses the results of the first pass.
    pub(crate) fn new(
        assets_end: Option<u64>,
        findings_expected: Option<u64>,
        risks: HashMap<(String, String), AssetRisk>,
    ) -> Self {
        Self { assets_end, findings_expected, risks, ..Self::default() }
    }

    /// Adds a note if the number of findings differs from the number that the report declares.
    pub(crate) fn compare_findings(&self, notes: &mut Notes) {
        let findings = self.findings;
        if let Some(total) = self.findings_expected.filter(|total| *total != findings) {
            notes.add(format!(
                "finding count mismatch: the report declares {total} findings, but contains {findings}"
            ));
        }
    }
}

impl TemplateReport {
    /// The risk that the head of the report declares for the asset.
    fn risk_of(&self, state: &State) -> Option<&AssetRisk> {
        if self.risks.is_empty() {
            return None;
        }
        let asset = &state.cells.asset;
        let network = asset.get(AssetField::NetworkId).to_owned();
        let address = match asset.get(AssetField::Address) {
            "" => asset.get(AssetField::Ipv6),
            address => address,
        };
        self.risks.get(&(network, address.to_owned()))
    }

    /// Adds it to the asset.
    fn add_risk(&mut self, state: &mut State) {
        if self.writer.has_started() {
            return;
        }
        let Some(AssetRisk { risk, total }) = self.risk_of(state) else { return };
        let (risk, total) = (risk.clone(), total.clone());
        state.cells.asset.set(AssetField::SecurityRisk, &risk);
        if !total.is_empty() {
            let item = format!("total_vulnerabilities\t{total}");
            state.cells.asset.append_item(AssetField::RiskFactors, &item);
        }
    }

    fn compare_findings_of_asset(&self, state: &mut State) {
        let total = self.risk_of(state).and_then(|risk| risk.total.parse::<u64>().ok());
        if total.is_some_and(|total| total != self.asset_findings) {
            state.notes.count_mismatches += 1;
        }
    }
}

impl Document<Joined<'_>> for TemplateReport {
    const ROOT: &'static str = "ASSET_DATA_REPORT";

    fn passes_on(table: Table) -> bool {
        table != Table::Report
    }

    fn child(parent: ElementRole, name: &str) -> ElementRole {
        match parent {
            ElementRole::Of(Structure::Finding) => in_finding(name),
            ElementRole::Of(Structure::Findings) if name == "VULN_INFO" => {
                ElementRole::Of(Structure::Finding)
            }
            ElementRole::Of(Structure::Asset) => in_asset(name),
            ElementRole::Of(Structure::AssetList(field)) => match name {
                "ASSET_TAG" | "ASSET_GROUP_TITLE" | "IP" => ElementRole::Value(Value::AssetItem(field)),
                _ => ElementRole::Unknown,
            },
            ElementRole::Of(Structure::Assets) if name == "HOST" => ElementRole::Of(Structure::Asset),
            ElementRole::Of(Structure::Root) if name == "HOST_LIST" => ElementRole::Of(Structure::Assets),
            // The first pass has read the rest, or counted it as unknown.
            ElementRole::Of(Structure::Root | Structure::Assets) | ElementRole::Value(Value::Error) => {
                ElementRole::Ignored
            }
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
            ElementRole::Of(Structure::Finding) => {
                state.cells.begin_finding();
                self.findings += 1;
                self.asset_findings += 1;
                self.key = None;
            }
            ElementRole::Of(Structure::Asset) => {
                self.writer.begin_asset();
                state.cells.begin_asset();
                (self.failed, self.asset_findings) = (false, 0);
            }
            ElementRole::Asset(_)
            | ElementRole::Value(Value::Address)
            | ElementRole::Of(Structure::AssetList(_)) => self.writer.begin_text(&mut state.notes),
            _ => {}
        }
        element.attributes(|key, value| match (role, key) {
            (ElementRole::Definition(DefinitionField::Id), "id") => self.key = qid_number(value),
            (ElementRole::Finding(FindingField::Result), "format") => {
                state.cells.finding.set(FindingField::ResultFormat, value);
            }
            (ElementRole::Finding(FindingField::DetectionScore), "severity") => {
                state.cells.finding.set(FindingField::DetectionLevel, value.trim());
            }
            (ElementRole::Value(Value::Address), "network_id") => {
                state.cells.asset.set(AssetField::NetworkId, value.trim());
            }
            (ElementRole::Value(Value::Address), "v6") if value.contains(':') => {
                state.cells.add_address(value, Some("IP@v6"));
            }
            // 1 for an IPv6 address, which shows it itself.
            (ElementRole::Value(Value::Address | Value::AssetItem(_)), "v6") => {}
            (ElementRole::Value(Value::Error), "number") => value.clone_into(&mut state.error_number),
            // The first pass has read the attributes of other elements.
            _ if table_of_role(role) != Table::Report => {
                state.cells.pass_on_attribute(table_of_role(role), key, value);
            }
            _ => {}
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
                let text = state.cells.definition.get(DefinitionField::Id);
                let key = self.key.or_else(|| qid_number(text));
                self.add_risk(state);
                return deliver(&mut self.writer, key, state, sink);
            }
            // If delivered, it would look like an asset that was scanned and has no findings.
            ElementRole::Of(Structure::Asset) if self.failed && !self.writer.has_started() => {
                self.writer.is_open = false
            }
            ElementRole::Of(Structure::Asset) => {
                self.add_risk(state);
                self.compare_findings_of_asset(state);
                return Ok(self.writer.end_asset(&mut state.cells, sink.batch));
            }
            ElementRole::Other(Table::Asset) => self.writer.begin_text(&mut state.notes),
            ElementRole::Of(Structure::Assets) if self.assets_end.is_some() => {
                self.is_done = true;
                return Ok(Flow::Pause);
            }
            ElementRole::Value(Value::Error) => {
                self.failed = true;
                state.notes.asset_errors += 1;
                if let Some(error) = state.take_error() {
                    state.notes.add(format!("asset reported with {error}"));
                }
            }
            _ => {}
        }
        Ok(Flow::On)
    }
}

fn in_asset(name: &str) -> ElementRole {
    match name {
        "IP" => ElementRole::Value(Value::Address),
        "TRACKING_METHOD" => ElementRole::Asset(AssetField::TrackingMethod),
        "HOST_ID" => ElementRole::Asset(AssetField::Id),
        "DNS" => ElementRole::Asset(AssetField::Dns),
        "NETBIOS" => ElementRole::Asset(AssetField::Netbios),
        "QG_HOSTID" => ElementRole::Asset(AssetField::AgentId),
        "OPERATING_SYSTEM" => ElementRole::Asset(AssetField::Os),
        "OS_CPE" => ElementRole::Asset(AssetField::OsCpe),
        "ASSET_TAGS" => ElementRole::Of(Structure::AssetList(AssetField::Tags)),
        "ASSET_GROUPS" => ElementRole::Of(Structure::AssetList(AssetField::Groups)),
        "IP_INTERFACES" => ElementRole::Of(Structure::AssetList(AssetField::Interfaces)),
        "ASSET_RISK_SCORE" => ElementRole::Value(Value::SecondRiskScore),
        "TRURISK_SCORE" => ElementRole::AssetBetter(AssetField::RiskScore),
        "ASSET_CRITICALITY_SCORE" => ElementRole::Asset(AssetField::Criticality),
        "CLOUD_PROVIDER" => ElementRole::Asset(AssetField::CloudProvider),
        "EC2_INSTANCE_ID" => ElementRole::Value(Value::AssetFallback(AssetField::CloudId)),
        "VULN_INFO_LIST" => ElementRole::Of(Structure::Findings),
        "ERROR" => ElementRole::Value(Value::Error),
        _ => ElementRole::Unknown,
    }
}

fn in_finding(name: &str) -> ElementRole {
    ElementRole::Finding(match name {
        "QID" => return ElementRole::Definition(DefinitionField::Id),
        "TYPE" => return ElementRole::Value(Value::Code(Code::Kind)),
        "PORT" => return ElementRole::Value(Value::Code(Code::Port)),
        "SERVICE" => FindingField::Service,
        "PROTOCOL" => return ElementRole::Value(Value::Code(Code::Protocol)),
        "FQDN" => FindingField::Fqdn,
        "SSL" => return ElementRole::Value(Value::Code(Code::Ssl)),
        "INSTANCE" => FindingField::Instance,
        "RESULT" => FindingField::Result,
        "FIRST_FOUND" => FindingField::FirstFound,
        "LAST_FOUND" => FindingField::LastFound,
        "TIMES_FOUND" => FindingField::TimesFound,
        "VULN_STATUS" => return ElementRole::Value(Value::Code(Code::Status)),
        "LAST_FIXED" => FindingField::LastFixed,
        "CVSS_FINAL" => FindingField::CvssFinal,
        "CVSS3_FINAL" => FindingField::Cvss3Final,
        "TICKET_NUMBER" => FindingField::Ticket,
        "TICKET_STATE" => FindingField::TicketState,
        "QDS" => FindingField::DetectionScore,
        _ => return ElementRole::Unknown,
    })
}
