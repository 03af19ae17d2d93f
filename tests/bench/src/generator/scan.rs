//! `SCAN`: assets with sections, sections with categories, and each finding with its definition.

use std::io::{self, Write};

use super::Extent;
use super::counts::CountingWriter;
use super::definition::{Definition, Kind};
use super::markup::{cdata, plain, references, section};
use super::population::{Asset, Finding, Population};

pub(super) fn write(
    out: &mut CountingWriter<impl Write>,
    population: &mut Population,
    extent: Extent,
    own_texts: bool,
) -> io::Result<()> {
    let mut findings = own_texts.then_some(0);
    // The definition is the same in all findings of a QID, so it is rendered once.
    let rendered = population.definitions().iter().map(Rendered::new).collect::<io::Result<Vec<_>>>()?;
    out.write_all(HEAD.as_bytes())?;
    while extent.needs_more(population.assets(), out.bytes()) {
        let mut asset = population.next_asset();
        asset
            .findings
            .sort_by_key(|finding| (finding.kind, rendered[finding.definition].category, finding.port));
        write_asset(out, &asset, &rendered, &mut findings)?;
        if asset.number.is_multiple_of(1000) {
            out.write_all(b"<!-- keep-alive -->\n")?;
        }
    }
    out.write_all(b"</SCAN>\n<!-- CONFIDENTIAL. Invented data. -->\n")
}

/// A definition, rendered for its findings.
struct Rendered {
    category: &'static str,
    open: String,
    body: Vec<u8>,
    /// Where the text of the diagnosis begins in the body.
    diagnosis: usize,
}

impl Rendered {
    fn new(definition: &Definition) -> io::Result<Self> {
        let element = element(definition.kind);
        let mut open =
            format!("<{element} number=\"{}\" severity=\"{}\"", definition.qid, definition.severity);
        if !definition.cves.is_empty() {
            open.push_str(&format!(" cveid=\"{}\"", definition.cves.join(",")));
        }
        open.push_str(">\n");
        let mut body = Vec::new();
        let diagnosis = write_definition(&mut body, definition)?;
        Ok(Self { category: definition.category, open, body, diagnosis })
    }
}

/// Writes the definition and returns where the text of the diagnosis begins.
fn write_definition(out: &mut Vec<u8>, definition: &Definition) -> io::Result<usize> {
    cdata(out, "TITLE", &definition.title)?;
    cdata(out, "LAST_UPDATE", "2026-03-04T05:06:07Z")?;
    if definition.cvss_tenths.is_some() {
        writeln!(out, "<CVSS_BASE source=\"service\">{}</CVSS_BASE>", definition.cvss())?;
        plain(out, "CVSS_TEMPORAL", "-")?;
        plain(out, "CVSS3_BASE", definition.cvss())?;
        plain(out, "CVSS3_VERSION", "3.1")?;
    }
    plain(out, "PCI_FLAG", u8::from(definition.severity > 2))?;
    write_references(out, definition)?;
    let diagnosis = out.len() + "<DIAGNOSIS><![CDATA[".len();
    cdata(out, "DIAGNOSIS", &definition.diagnosis)?;
    cdata(out, "CONSEQUENCE", &definition.consequence)?;
    cdata(out, "SOLUTION", &definition.solution)?;
    write_correlation(out, definition)?;
    Ok(diagnosis)
}

fn write_references(out: &mut Vec<u8>, definition: &Definition) -> io::Result<()> {
    if definition.cvss_tenths.is_none() {
        return Ok(());
    }
    out.write_all(b"<VENDOR_REFERENCE_LIST>\n<VENDOR_REFERENCE>\n")?;
    cdata(out, "ID", &definition.advisory)?;
    cdata(out, "URL", &format!("https://updates.example.com/advisories/{}", definition.advisory))?;
    out.write_all(b"</VENDOR_REFERENCE>\n</VENDOR_REFERENCE_LIST>\n")?;
    if definition.cves.is_empty() {
        return Ok(());
    }
    out.write_all(b"<CVE_ID_LIST>\n")?;
    for cve in &definition.cves {
        out.write_all(b"<CVE_ID>\n")?;
        cdata(out, "ID", cve)?;
        cdata(out, "URL", &format!("https://cve.example.com/cgi-bin/cvename.cgi?name={cve}"))?;
        out.write_all(b"</CVE_ID>\n")?;
    }
    out.write_all(b"</CVE_ID_LIST>\n")
}

fn write_correlation(out: &mut Vec<u8>, definition: &Definition) -> io::Result<()> {
    out.write_all(b"<CORRELATION>\n")?;
    if !definition.exploit.is_empty() {
        out.write_all(b"<EXPLOITABILITY>\n<EXPLT_SRC>\n")?;
        cdata(out, "SRC_NAME", "Example Exploits")?;
        out.write_all(b"<EXPLT_LIST>\n<EXPLT>\n")?;
        cdata(out, "REF", definition.cves.first().map_or("EX-0000", String::as_str))?;
        cdata(out, "DESC", &definition.exploit)?;
        cdata(out, "LINK", "https://exploits.example.org/1")?;
        out.write_all(b"</EXPLT>\n</EXPLT_LIST>\n</EXPLT_SRC>\n</EXPLOITABILITY>\n")?;
    }
    out.write_all(b"</CORRELATION>\n")
}

/// `own_texts` is the number of findings before, if each has texts of its own.
fn write_asset(
    out: &mut impl Write,
    asset: &Asset,
    rendered: &[Rendered],
    own_texts: &mut Option<u64>,
) -> io::Result<()> {
    writeln!(out, "<IP value=\"{}\" name=\"{}\">", asset.address, asset.dns)?;
    cdata(out, "OS", asset.os)?;
    cdata(out, "NETBIOS_HOSTNAME", &asset.netbios)?;
    for findings in asset.findings.chunk_by(|a, b| a.kind == b.kind) {
        let section = section_element(findings[0].kind);
        writeln!(out, "<{section}>")?;
        for in_category in findings.chunk_by(|a, b| category_key(a, rendered) == category_key(b, rendered)) {
            write_category(out, in_category, rendered, own_texts)?;
        }
        writeln!(out, "</{section}>")?;
    }
    out.write_all(b"</IP>\n")
}

fn category_key(finding: &Finding, rendered: &[Rendered]) -> (&'static str, Option<u16>) {
    (rendered[finding.definition].category, finding.port)
}

fn write_category(
    out: &mut impl Write,
    findings: &[Finding],
    rendered: &[Rendered],
    own_texts: &mut Option<u64>,
) -> io::Result<()> {
    write!(out, "<CAT value=\"{}\"", rendered[findings[0].definition].category)?;
    if let Some(port) = findings[0].port {
        let misc = if findings[0].ssl { " misc=\"over ssl\"" } else { "" };
        write!(out, " port=\"{port}\" protocol=\"tcp\"{misc}")?;
    }
    out.write_all(b">\n")?;
    for finding in findings {
        let definition = &rendered[finding.definition];
        out.write_all(definition.open.as_bytes())?;
        let (before, after) = definition.body.split_at(definition.diagnosis);
        out.write_all(before)?;
        if let Some(number) = own_texts {
            *number += 1;
            write!(out, "Instance {number}. ")?;
        }
        out.write_all(after)?;
        write_result(out, finding)?;
        writeln!(out, "</{}>", element(finding.kind))?;
    }
    out.write_all(b"</CAT>\n")
}

fn write_result(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
    out.write_all(if finding.is_table { b"<RESULT format=\"table\">" } else { b"<RESULT>" })?;
    if finding.as_references {
        references(out, &finding.result)?;
    } else {
        section(out, &finding.result)?;
    }
    out.write_all(b"</RESULT>\n")
}

fn element(kind: Kind) -> &'static str {
    match kind {
        Kind::Information => "INFO",
        Kind::Service => "SERVICE",
        Kind::Vulnerability => "VULN",
        Kind::Potential => "PRACTICE",
    }
}

fn section_element(kind: Kind) -> &'static str {
    match kind {
        Kind::Information => "INFOS",
        Kind::Service => "SERVICES",
        Kind::Vulnerability => "VULNS",
        Kind::Potential => "PRACTICES",
    }
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>

<!DOCTYPE SCAN SYSTEM "https://scanner.example.com/scan-1.dtd">
<!-- Initializing Data -->
<SCAN value="scan/1790000000.12345">
<HEADER>
<KEY value="USERNAME">example_user</KEY>
<KEY value="COMPANY"><![CDATA[Example Company]]></KEY>
<KEY value="DATE">2026-03-04T10:14:53Z</KEY>
<KEY value="TITLE"><![CDATA[Generated scan]]></KEY>
<KEY value="TARGET"><![CDATA[198.18.0.0-198.19.255.255]]></KEY>
<KEY value="DURATION">04:29:11</KEY>
<KEY value="SCAN_HOST">scanner.example.com (Scanner 12.1.31-1,Vulnerability Signatures 2.6.1-2)</KEY>
<KEY value="REPORT_TYPE">Scheduled</KEY>
<KEY value="STATUS">FINISHED</KEY>
</HEADER>
"#;
