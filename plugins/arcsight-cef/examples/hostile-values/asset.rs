//! An asset with hostile values everywhere, and the expected events.

use scanbridge_plugin_api::batch::{AssetRow, BatchBuilder, DefinitionRow, FindingRow};
use scanbridge_plugin_api::model::{
    AssetField, DefinitionField, FindingField, FindingKind, FindingStatus, Protocol, ReportStart, Severity,
};
use serde_json::Value;

use crate::Receiver;
use crate::expected::{Expected, in_value, visible};
use crate::texts::{Texts, as_html};

/// An asset with one finding that also reports an open port and the operating system.
pub(crate) struct Asset {
    number: u32,
    kind: &'static str,
    dns: String,
    netbios: String,
    os: String,
    title: String,
    category: String,
    cves: String,
    exploit: String,
    result: String,
    /// Plain texts; the definition contains them as HTML.
    texts: [String; 3],
    status: FindingStatus,
    protocol: String,
    service: String,
}

impl Receiver {
    /// The class ID of these parts.
    fn class(&self, parts: &[&str]) -> String {
        ["Qualys"].iter().chain(parts).copied().collect::<Vec<_>>().join(self.separator)
    }
}

impl Asset {
    pub(crate) fn make(texts: &mut Texts, number: u32) -> Self {
        const KINDS: [&str; 4] = ["vulnerability", "potential", "information", "service"];
        Self {
            number,
            kind: KINDS[texts.below(4)],
            dns: texts.any(100),
            netbios: texts.any(100),
            os: texts.any(100),
            // The name of a vulnerability has its entities decoded, other names do not.
            title: texts.any(100).replace('&', "+"),
            category: texts.any(100),
            cves: texts.any(100).replace('\n', " "),
            exploit: texts.item(100),
            result: texts.any(300),
            texts: [texts.markup_free(200), texts.markup_free(200), texts.markup_free(200)],
            status: FindingStatus::ALL[texts.below(3)],
            protocol: texts.item(6),
            service: texts.item(100),
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("192.0.2.{}", self.number % 256)
    }

    pub(crate) fn port(&self) -> String {
        (self.number % 65_535 + 1).to_string()
    }

    pub(crate) fn qid(&self) -> String {
        (self.number + 10_000).to_string()
    }

    pub(crate) fn fill(&self, batch: &mut BatchBuilder) {
        let mut asset = AssetRow::default();
        asset.set(AssetField::Id, &self.number.to_string());
        asset.set(AssetField::Address, &self.address());
        asset.set(AssetField::Dns, &self.dns);
        asset.set(AssetField::Netbios, &self.netbios);
        asset.set(AssetField::Os, &self.os);
        let asset = batch.push_asset(&asset, false);
        let mut definition = DefinitionRow::default();
        definition.set(DefinitionField::Id, &self.qid());
        definition.set(DefinitionField::Title, &self.title);
        definition.set(DefinitionField::Category, &self.category);
        definition.set(DefinitionField::Cves, &self.cves);
        definition.set(DefinitionField::Exploits, &format!("source\t\t{}\tlink", self.exploit));
        let fields = [DefinitionField::Diagnosis, DefinitionField::Consequence, DefinitionField::Solution];
        for (field, text) in fields.into_iter().zip(&self.texts) {
            definition.set(field, &as_html(text));
        }
        let definition = batch.push_definition(&definition);
        let mut finding = FindingRow::default();
        finding.set_kind(FindingKind::from_word(self.kind));
        finding.set_severity(Severity::new(3));
        finding.set_protocol(Protocol::of(&self.protocol));
        finding.set(FindingField::Result, &self.result);
        finding.set_status(self.status);
        let port = self.port();
        finding.set(FindingField::Facts, &format!("port\t{port}\t{}\t{}\t", self.protocol, self.service));
        batch.push_finding(asset, definition, &finding);
    }

    /// The three or four expected events, in their order.
    pub(crate) fn events(&self, report: &ReportStart, receiver: &Receiver) -> Vec<Value> {
        let mut events = vec![self.finding_event(report, receiver), self.open_port(report, receiver)];
        events.extend(self.system(report, receiver));
        events.push(self.asset_event(report, receiver));
        events
    }

    pub(crate) fn asset_event(&self, report: &ReportStart, receiver: &Receiver) -> Value {
        let mut event = Expected::new(report, &receiver.class(&["SCANNER"]), "Asset", "0");
        self.add_time_and_address(&mut event, [&self.netbios, &self.dns]);
        event.origin(report);
        event.done()
    }

    pub(crate) fn finding_event(&self, report: &ReportStart, receiver: &Receiver) -> Value {
        let qid = self.qid();
        let (class, name) = match self.kind {
            "vulnerability" if receiver.title_as_name => ("VULN", self.title.clone()),
            "vulnerability" => ("VULN", format!("Vulnerability:{qid}")),
            "potential" => ("PRACTICES", self.title.clone()),
            "information" => ("INFOS", self.title.clone()),
            _ => ("Services", self.title.clone()),
        };
        let name = if in_value(&name).is_empty() { format!("QID {qid}") } else { name };
        let mut event = Expected::new(report, &receiver.class(&[class, &qid]), &name, "7");
        let netbios_first = self.kind == "information";
        self.add_time_and_address(
            &mut event,
            if netbios_first { [&self.netbios, &self.dns] } else { [&self.dns, &self.netbios] },
        );
        event.add("proto", &self.protocol.to_ascii_uppercase());
        event.add("cat", &self.category);
        let is_word = matches!(self.kind, "information" | "potential");
        event.add("deviceSeverity", if is_word { "Serious" } else { "3" });
        if !is_word {
            event.add("deviceDomain", "Network");
        }
        if self.kind == "vulnerability" {
            event.add("categoryTechnique", &self.category);
        }
        event.labeled("cn1", "QID", &qid);
        event.origin(report);
        event.add("outcome", self.status.word());
        if self.kind == "vulnerability" && !receiver.title_as_name {
            event.add("msg", &self.title);
        }
        if self.kind != "service" {
            event.labeled("cs2", "CVE ID", &self.cves);
        }
        event.labeled("cs1", "Result", &self.result);
        for ((key, label), text) in
            [("cs3", "Diagnosis"), ("cs4", "Consequence"), ("cs5", "Solution")].into_iter().zip(&self.texts)
        {
            event.labeled(key, label, text);
        }
        if matches!(self.kind, "vulnerability" | "potential") {
            event.add("QualysQualysExpltDescription", &self.exploit);
        }
        event.done()
    }

    pub(crate) fn open_port(&self, report: &ReportStart, receiver: &Receiver) -> Value {
        let class = receiver.class(&["Open Port", &self.qid()]);
        let mut event = Expected::new(report, &class, "Open Port", "7");
        self.add_time_and_address(&mut event, [&self.dns, &self.netbios]);
        event.add("dpt", &self.port());
        event.add("proto", &self.protocol.to_ascii_uppercase());
        event.classified(&self.category);
        event.labeled("cn1", "QID", &self.qid());
        event.origin(report);
        let mut result = format!("{}/{}", self.port(), self.protocol);
        if !self.service.trim().is_empty() {
            result.push_str(", assigned ");
            result.push_str(self.service.trim());
        }
        event.labeled("cs1", "Result", &result);
        event.done()
    }

    pub(crate) fn system(&self, report: &ReportStart, receiver: &Receiver) -> Option<Value> {
        let os = visible(&self.os);
        if os.is_empty() {
            return None;
        }
        let (class, name) = (receiver.class(&["URI", os]), format!("Operating System {os}"));
        let mut event = Expected::new(report, &class, &name, "0");
        self.add_time_and_address(&mut event, [&self.dns, &self.netbios]);
        event.add("deviceDomain", "Network");
        event.add("filePath", os);
        event.origin(report);
        Some(event.done())
    }

    pub(crate) fn add_time_and_address(&self, event: &mut Expected, names: [&str; 2]) {
        event.add("rt", "1769860800000");
        event.add("dst", &self.address());
        let is_name = |name: &&str| !matches!(in_value(name).as_str(), "" | "-");
        event.add("dhost", names.into_iter().find(is_name).unwrap_or_default());
        event.labeled("flexString1", "Asset ID", &self.number.to_string());
    }
}
