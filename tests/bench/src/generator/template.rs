//! `ASSET_DATA_REPORT`: findings with only their QID, and a glossary after all assets.

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
) -> io::Result<()> {
    let mut glossary = Vec::new();
    write_glossary(&mut glossary, population.definitions())?;
    let qids: Vec<u32> = population.definitions().iter().map(|definition| definition.qid).collect();
    out.write_all(HEAD.as_bytes())?;
    while extent.needs_more(population.assets(), out.bytes() + glossary.len() as u64) {
        write_asset(out, &population.next_asset(), &qids)?;
    }
    out.write_all(b"</HOST_LIST>\n")?;
    out.write_all(&glossary)?;
    out.write_all(TAIL.as_bytes())
}

fn write_asset(out: &mut impl Write, asset: &Asset, qids: &[u32]) -> io::Result<()> {
    let v6 = if asset.is_ipv6 { " v6=\"1\"" } else { "" };
    writeln!(out, "<HOST>\n<IP{v6}>{}</IP>", asset.address)?;
    plain(out, "TRACKING_METHOD", "IP")?;
    cdata(out, "DNS", &asset.dns)?;
    cdata(out, "NETBIOS", &asset.netbios)?;
    cdata(out, "OPERATING_SYSTEM", asset.os)?;
    out.write_all(
        b"<ASSET_GROUPS>\n<ASSET_GROUP_TITLE><![CDATA[All]]></ASSET_GROUP_TITLE>\n</ASSET_GROUPS>\n",
    )?;
    out.write_all(b"<VULN_INFO_LIST>\n")?;
    for finding in &asset.findings {
        write_finding(out, finding, qids[finding.definition])?;
    }
    out.write_all(b"</VULN_INFO_LIST>\n</HOST>\n")
}

fn write_finding(out: &mut impl Write, finding: &Finding, qid: u32) -> io::Result<()> {
    writeln!(out, "<VULN_INFO>\n<QID id=\"qid_{qid}\">{qid}</QID>")?;
    plain(out, "TYPE", type_name(finding.kind))?;
    if let Some(port) = finding.port {
        plain(out, "PORT", port)?;
        plain(out, "SERVICE", "example")?;
        plain(out, "PROTOCOL", "tcp")?;
    }
    plain(out, "SSL", finding.ssl)?;
    out.write_all(if finding.is_table { b"<RESULT format=\"table\">" } else { b"<RESULT>" })?;
    if finding.as_references {
        references(out, &finding.result)?;
    } else {
        section(out, &finding.result)?;
    }
    out.write_all(b"</RESULT>\n")?;
    plain(out, "FIRST_FOUND", "2026-01-02T03:04:05Z")?;
    plain(out, "LAST_FOUND", "2026-03-04T10:14:53Z")?;
    plain(out, "TIMES_FOUND", 7)?;
    if matches!(finding.kind, Kind::Vulnerability | Kind::Potential) {
        plain(out, "VULN_STATUS", "Active")?;
        plain(out, "CVSS_FINAL", "5.1")?;
        plain(out, "CVSS3_FINAL", "-")?;
    }
    out.write_all(b"</VULN_INFO>\n")
}

fn write_glossary(out: &mut Vec<u8>, definitions: &[Definition]) -> io::Result<()> {
    out.write_all(b"<GLOSSARY>\n<VULN_DETAILS_LIST>\n")?;
    // Real template reports omit parts of the glossary, so one definition in a thousand is missing here.
    for definition in definitions.iter().filter(|definition| definition.qid % 1000 != 999) {
        write_definition(out, definition)?;
    }
    out.write_all(b"</VULN_DETAILS_LIST>\n</GLOSSARY>\n")
}

fn write_definition(out: &mut Vec<u8>, definition: &Definition) -> io::Result<()> {
    let qid = definition.qid;
    writeln!(out, "<VULN_DETAILS id=\"qid_{qid}\">\n<QID id=\"qid_{qid}\">{qid}</QID>")?;
    cdata(out, "TITLE", &definition.title)?;
    plain(out, "SEVERITY", definition.severity)?;
    plain(out, "CATEGORY", definition.category)?;
    cdata(out, "THREAT", &definition.diagnosis)?;
    cdata(out, "IMPACT", &definition.consequence)?;
    cdata(out, "SOLUTION", &definition.solution)?;
    plain(out, "PCI_FLAG", u8::from(definition.severity > 2))?;
    plain(out, "LAST_UPDATE", "2026-03-04T05:06:07Z")?;
    if definition.cvss_tenths.is_some() {
        let score = definition.cvss();
        writeln!(out, "<CVSS_SCORE>\n<CVSS_BASE source=\"service\">{score}</CVSS_BASE>\n</CVSS_SCORE>")?;
    }
    if !definition.cves.is_empty() {
        out.write_all(b"<CVE_ID_LIST>\n")?;
        for cve in &definition.cves {
            out.write_all(b"<CVE_ID>\n")?;
            cdata(out, "ID", cve)?;
            cdata(out, "URL", &format!("https://cve.example.com/cgi-bin/cvename.cgi?name={cve}"))?;
            out.write_all(b"</CVE_ID>\n")?;
        }
        out.write_all(b"</CVE_ID_LIST>\n")?;
    }
    out.write_all(b"</VULN_DETAILS>\n")
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Vulnerability => "Vuln",
        Kind::Potential => "Practice",
        Kind::Information | Kind::Service => "Ig",
    }
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE ASSET_DATA_REPORT SYSTEM "https://scanner.example.com/asset_data_report.dtd">
<ASSET_DATA_REPORT>
<HEADER>
<COMPANY><![CDATA[Example Company]]></COMPANY>
<USERNAME>example_user</USERNAME>
<GENERATION_DATETIME>2026-03-04T20:03:10Z</GENERATION_DATETIME>
<TEMPLATE><![CDATA[Generated template]]></TEMPLATE>
<TARGET>
<USER_ASSET_GROUPS><ASSET_GROUP_TITLE><![CDATA[All]]></ASSET_GROUP_TITLE></USER_ASSET_GROUPS>
</TARGET>
</HEADER>
<HOST_LIST>
"#;

const TAIL: &str = r"<APPENDICES>
<TEMPLATE_DETAILS><FILTER_SUMMARY>Status: New, Active, Re-Opened</FILTER_SUMMARY></TEMPLATE_DETAILS>
</APPENDICES>
</ASSET_DATA_REPORT>
";
