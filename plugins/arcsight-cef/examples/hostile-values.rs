//! Writes events whose every value is hostile, and beside them what a reader must get back.
//!
//! `hostile-values EXPECTED.ndjson LINES.cef [REPORTS]`. What must come back is worked out here, character by
//! character from the rules that the README states, and not with the plugin's code.

use std::error::Error;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::{env, fs};

use scanbridge_arcsight_cef::ArcSightCef;
use scanbridge_plugin_api::batch::{AssetRow, Batch, BatchBuilder, Columns, DefinitionRow, FindingRow};
use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField, ReportEnd, ReportStart};
use scanbridge_plugin_api::{Options, Output, Services};
use serde_json::{Value, json};

const ASSETS_PER_REPORT: u32 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [expected, lines, rest @ ..] = arguments.as_slice() else {
        return Err("usage: hostile-values EXPECTED.ndjson LINES.cef [REPORTS]".into());
    };
    let reports = rest.first().map_or(Ok(20), |count| count.parse())?;
    let mut expected = BufWriter::new(fs::File::create(expected)?);
    let settings = json!({
        "path": lines,
        "asset_events": true,
        "profile": "generic",
        "extra_fields": ["externalId", "cn1", "outcome"],
    });
    let options = Options::read(ArcSightCef::OPTIONS, settings.to_string().as_bytes())?;
    let mut output = ArcSightCef::open(&options, &Services::without_host(Path::new(".")), None)?;
    let mut texts = Texts { seed: 1, vectors: foreign_values()? };
    for _ in 0..reports {
        write_report(&mut output, &mut texts, &mut expected)?;
    }
    output.close()?;
    Ok(expected.flush()?)
}

/// Values that others test their readers with, if `SCANBRIDGE_CEF_VECTORS` names a file of them.
fn foreign_values() -> Result<Vec<String>, Box<dyn Error>> {
    let Some(path) = env::var_os("SCANBRIDGE_CEF_VECTORS") else { return Ok(Vec::new()) };
    let mut values = Vec::new();
    for line in fs::read_to_string(path)?.lines() {
        let vector: Value = serde_json::from_str(line)?;
        values.extend(vector["value"].as_str().map(str::to_owned));
        for part in ["header", "ext"] {
            let texts = vector["expect"][part].as_object().into_iter().flatten();
            values.extend(texts.filter_map(|(_, text)| text.as_str().map(str::to_owned)));
        }
    }
    values.retain(|value| value.chars().count() <= 100);
    Ok(values)
}

fn write_report(
    output: &mut ArcSightCef,
    texts: &mut Texts,
    expected: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let report = ReportStart {
        id: texts.any(9),
        path: texts.any(100),
        scanner_version: texts.any(6),
        time: "2026-01-31T12:00:00Z".to_owned(),
        ..ReportStart::default()
    };
    output.begin(&report)?;
    let columns = Columns::of(report.schema.clone());
    let mut batch = BatchBuilder::default();
    for number in 0..ASSETS_PER_REPORT {
        let asset = Asset::make(texts, number);
        asset.fill(&mut batch);
        for event in asset.events(&report) {
            writeln!(expected, "{event}")?;
        }
        if batch.is_full() || number + 1 == ASSETS_PER_REPORT {
            let raw = std::mem::take(&mut batch).finish();
            output.write(Batch::of(&raw, &columns)?)?;
        }
    }
    output.end(&ReportEnd { complete: true, deliver: true, ..ReportEnd::default() })?;
    Ok(())
}

/// An asset with one finding that also tells an open port and the operating system.
struct Asset {
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
    /// Plain texts; the definition holds them as HTML.
    texts: [String; 3],
    status: String,
    protocol: String,
    service: String,
}

impl Asset {
    fn make(texts: &mut Texts, number: u32) -> Self {
        const KINDS: [&str; 4] = ["vulnerability", "potential", "information", "service"];
        Self {
            number,
            kind: KINDS[texts.below(4)],
            dns: texts.any(100),
            netbios: texts.any(100),
            os: texts.any(100),
            title: texts.any(100),
            category: texts.any(100),
            cves: texts.any(100).replace('\n', " "),
            exploit: texts.item(100),
            result: texts.any(300),
            texts: [texts.markup_free(200), texts.markup_free(200), texts.markup_free(200)],
            status: texts.any(15),
            protocol: texts.item(6),
            service: texts.item(100),
        }
    }

    fn address(&self) -> String {
        format!("192.0.2.{}", self.number % 256)
    }

    fn port(&self) -> String {
        (self.number % 65_535 + 1).to_string()
    }

    fn qid(&self) -> String {
        (self.number + 10_000).to_string()
    }

    fn fill(&self, batch: &mut BatchBuilder) {
        let mut asset = AssetRow::default();
        asset.set(AssetField::Id, &self.number.to_string());
        asset.set(AssetField::Address, &self.address());
        asset.set(AssetField::Dns, &self.dns);
        asset.set(AssetField::Netbios, &self.netbios);
        asset.set(AssetField::Os, &self.os);
        let asset = batch.push_asset(&asset, false);
        let mut definition = DefinitionRow::default();
        definition.set(DefinitionField::Qid, &self.qid());
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
        finding.set(FindingField::Kind, self.kind);
        finding.set(FindingField::Severity, "3");
        finding.set(FindingField::Protocol, &self.protocol);
        finding.set(FindingField::Result, &self.result);
        finding.set(FindingField::Status, &self.status);
        let port = self.port();
        finding.set(FindingField::Facts, &format!("port\t{port}\t{}\t{}\t", self.protocol, self.service));
        batch.push_finding(asset, definition, &finding);
    }

    /// The four events that must come of it, in their order.
    fn events(&self, report: &ReportStart) -> Vec<Value> {
        let mut events = vec![self.scanned(report), self.found(report), self.open_port(report)];
        events.extend(self.system(report));
        events
    }

    fn scanned(&self, report: &ReportStart) -> Value {
        let mut event = Expected::new(report, "Qualys|SCANNER", "Asset", "0");
        self.place(&mut event, [&self.netbios, &self.dns]);
        event.origin(report);
        event.done()
    }

    fn found(&self, report: &ReportStart) -> Value {
        let qid = self.qid();
        let (class, name) = match self.kind {
            "vulnerability" => ("VULN", format!("Vulnerability:{qid}")),
            "potential" => ("PRACTICES", self.title.clone()),
            "information" => ("INFOS", self.title.clone()),
            _ => ("Services", self.title.clone()),
        };
        let name = if in_value(&name).is_empty() { format!("QID {qid}") } else { name };
        let mut event = Expected::new(report, &format!("Qualys|{class}|{qid}"), &name, "7");
        let netbios_first = self.kind == "information";
        self.place(
            &mut event,
            if netbios_first { [&self.netbios, &self.dns] } else { [&self.dns, &self.netbios] },
        );
        event.add("proto", &self.protocol.to_ascii_uppercase());
        event.add("cat", &self.category);
        let word = matches!(self.kind, "information" | "potential");
        event.add("deviceSeverity", if word { "Serious" } else { "3" });
        if !word {
            event.add("deviceDomain", "Network");
        }
        if self.kind == "vulnerability" {
            event.add("categoryTechnique", &self.category);
        }
        event.labelled("cn1", "QID", &qid);
        event.origin(report);
        event.add("outcome", &self.status);
        if self.kind != "service" {
            event.labelled("cs2", "CVE ID", &self.cves);
        }
        if matches!(self.kind, "vulnerability" | "potential") {
            event.add("QualysQualysExpltDescription", &self.exploit);
        }
        event.labelled("cs1", "Result", &self.result);
        for ((key, label), text) in
            [("cs3", "Diagnosis"), ("cs4", "Consequence"), ("cs5", "Solution")].into_iter().zip(&self.texts)
        {
            event.labelled(key, label, text);
        }
        event.done()
    }

    fn open_port(&self, report: &ReportStart) -> Value {
        let class = format!("Qualys|Open Port|{}", self.qid());
        let mut event = Expected::new(report, &class, "Open Port", "7");
        self.place(&mut event, [&self.dns, &self.netbios]);
        event.add("dpt", &self.port());
        event.add("proto", &self.protocol.to_ascii_uppercase());
        event.classified(&self.category);
        event.labelled("cn1", "QID", &self.qid());
        event.origin(report);
        let mut result = format!("{}/{}", self.port(), self.protocol);
        if !self.service.trim().is_empty() {
            result.push_str(", assigned ");
            result.push_str(self.service.trim());
        }
        event.labelled("cs1", "Result", &result);
        event.done()
    }

    fn system(&self, report: &ReportStart) -> Option<Value> {
        let os = self.os.trim_matches(is_margin);
        if os.is_empty() {
            return None;
        }
        let (class, name) = (format!("Qualys|URI|{os}"), format!("Operating System {os}"));
        let mut event = Expected::new(report, &class, &name, "0");
        self.place(&mut event, [&self.dns, &self.netbios]);
        event.add("deviceDomain", "Network");
        event.add("filePath", os);
        event.origin(report);
        Some(event.done())
    }

    fn place(&self, event: &mut Expected, names: [&str; 2]) {
        event.add("rt", "1769860800000");
        event.add("dst", &self.address());
        let name = names.into_iter().find(|name| !in_value(name).is_empty());
        event.add("dhost", name.unwrap_or_default());
    }
}

/// What a reader must get back from one line.
struct Expected {
    header: Vec<String>,
    extension: Vec<(String, String)>,
}

impl Expected {
    fn new(report: &ReportStart, class: &str, name: &str, severity: &str) -> Self {
        let version = Some(in_header(&report.scanner_version)).filter(|version| !version.is_empty());
        let version = version.unwrap_or_else(|| "unknown".to_owned());
        let header = ["0", "Qualys", "Qualys", &version, &in_header(class), &in_header(name), severity];
        Self { header: header.map(str::to_owned).to_vec(), extension: Vec::new() }
    }

    fn add(&mut self, key: &str, value: &str) {
        let value = in_value(value);
        if !value.is_empty() {
            self.extension.push((key.to_owned(), value));
        }
    }

    fn labelled(&mut self, key: &str, label: &str, value: &str) {
        if !in_value(value).is_empty() {
            self.add(&format!("{key}Label"), label);
            self.add(key, value);
        }
    }

    fn classified(&mut self, category: &str) {
        self.add("deviceSeverity", "3");
        self.add("deviceDomain", "Network");
        self.add("categoryTechnique", category);
    }

    fn origin(&mut self, report: &ReportStart) {
        self.add("oldFilePath", &report.path);
        self.add("externalId", &report.id);
    }

    fn done(self) -> Value {
        json!({ "header": self.header, "extension": self.extension })
    }
}

/// Makes texts that attack a line.
struct Texts {
    seed: u64,
    vectors: Vec<String>,
}

impl Texts {
    fn below(&mut self, bound: usize) -> usize {
        // Xorshift: the same texts in every run.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as usize % bound
    }

    /// Up to `most` characters of anything.
    fn any(&mut self, most: usize) -> String {
        const PIECES: [&str; 44] = [
            "|",
            "=",
            "\\",
            "\"",
            "'",
            "\t",
            "\r",
            "\n",
            "\r\n",
            " ",
            "  ",
            "\0",
            "\u{1}",
            "\u{1b}",
            "\u{7f}",
            "\u{85}",
            "\u{9c}",
            "\u{a0}",
            "\u{2028}",
            "\u{2029}",
            "\u{feff}",
            "é",
            "漢",
            "𝄞",
            "\u{10ffff}",
            "\\n",
            "\\=",
            "\\|",
            "\\\\",
            " dst=6.6.6.6",
            " | dst=",
            "cs1=",
            " key=",
            "CEF:0|",
            "CEF:0|a|b|c|d|e|5|",
            "\nCEF:0|a|",
            "<b>",
            "&lt;",
            "<!--",
            "%",
            "#",
            "word",
            "192.0.2.1",
            "x=y z",
        ];
        if !self.vectors.is_empty() && self.below(4) == 0 {
            let index = self.below(self.vectors.len());
            return self.vectors[index].chars().take(most).collect();
        }
        let mut text = String::new();
        for _ in 0..self.below(12) {
            match self.below(6) {
                0 => text.push(char::from(b' ' + u8::try_from(self.below(95)).unwrap_or_default())),
                _ => text.push_str(PIECES[self.below(PIECES.len())]),
            }
        }
        text.chars().take(most).collect()
    }

    /// What an input may put into an item of a list: no tab, no line feed.
    fn item(&mut self, most: usize) -> String {
        self.any(most).replace(['\t', '\n'], " ")
    }

    /// A text that HTML can carry without loss: HTML knows no two line breaks in a row, no blanks around one.
    fn markup_free(&mut self, most: usize) -> String {
        let text = self.any(most).replace('&', "+");
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join("\n")
    }
}

fn as_html(text: &str) -> String {
    let escaped = text.replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    format!("<P>{}<!-- > --></P>\n", escaped.replace('\n', "<br />\r\n"))
}

fn is_margin(character: char) -> bool {
    character.is_whitespace() || character.is_control()
}

/// What must come back of an extension value.
fn in_value(text: &str) -> String {
    let text = text.trim_matches(is_margin).replace("\r\n", "\n").replace('\r', "\n");
    let clean = |c: char| match c {
        '\n' => '\n',
        '\u{2028}' | '\u{2029}' => ' ',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().map(clean).collect()
}

/// What must come back of a header field.
fn in_header(text: &str) -> String {
    in_value(text).replace('\n', " ")
}
