//! `KNOWLEDGE_BASE_VULN_LIST_OUTPUT`: the definitions of the QIDs in detections.

use std::io::{self, Write};

use super::definition::{Definition, Kind};
use super::markup::{cdata, plain};
use super::population::Population;

pub(super) fn write(out: &mut impl Write, population: &Population) -> io::Result<()> {
    out.write_all(HEAD.as_bytes())?;
    for definition in population.definitions() {
        write_definition(out, definition)?;
    }
    out.write_all(b"</VULN_LIST>\n</RESPONSE>\n</KNOWLEDGE_BASE_VULN_LIST_OUTPUT>\n")
}

fn write_definition(out: &mut impl Write, definition: &Definition) -> io::Result<()> {
    out.write_all(b"<VULN>\n")?;
    plain(out, "QID", definition.qid)?;
    plain(out, "VULN_TYPE", type_name(definition.kind))?;
    plain(out, "SEVERITY_LEVEL", definition.severity)?;
    cdata(out, "TITLE", &definition.title)?;
    plain(out, "CATEGORY", definition.category)?;
    plain(out, "LAST_SERVICE_MODIFICATION_DATETIME", "2026-03-04T05:06:07Z")?;
    plain(out, "PUBLISHED_DATETIME", "2020-03-04T05:06:07Z")?;
    plain(out, "PATCHABLE", u8::from(definition.cvss_tenths.is_some()))?;
    write_cves(out, &definition.cves)?;
    cdata(out, "DIAGNOSIS", &definition.diagnosis)?;
    cdata(out, "CONSEQUENCE", &definition.consequence)?;
    cdata(out, "SOLUTION", &definition.solution)?;
    if definition.cvss_tenths.is_some() {
        writeln!(out, "<CVSS>\n<BASE source=\"service\">{}</BASE>\n</CVSS>", definition.cvss())?;
    }
    plain(out, "PCI_FLAG", u8::from(definition.severity > 2))?;
    out.write_all(b"<DISCOVERY><REMOTE>1</REMOTE></DISCOVERY>\n</VULN>\n")
}

fn write_cves(out: &mut impl Write, cves: &[String]) -> io::Result<()> {
    if cves.is_empty() {
        return Ok(());
    }
    out.write_all(b"<CVE_LIST>\n")?;
    for cve in cves {
        out.write_all(b"<CVE>\n")?;
        cdata(out, "ID", cve)?;
        cdata(out, "URL", &format!("https://cve.example.com/cgi-bin/cvename.cgi?name={cve}"))?;
        out.write_all(b"</CVE>\n")?;
    }
    out.write_all(b"</CVE_LIST>\n")
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Vulnerability => "Vulnerability",
        Kind::Potential => "Potential Vulnerability",
        Kind::Information | Kind::Service => "Information Gathered",
    }
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE KNOWLEDGE_BASE_VULN_LIST_OUTPUT SYSTEM "https://scanner.example.com/api/4.0/fo/knowledge_base/vuln/knowledge_base_vuln_list_output.dtd">
<KNOWLEDGE_BASE_VULN_LIST_OUTPUT>
<RESPONSE>
<DATETIME>2026-03-04T20:03:10Z</DATETIME>
<VULN_LIST>
"#;
