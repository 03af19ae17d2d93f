//! `HOST_LIST_VM_DETECTION_OUTPUT`: findings with their own severity and without definitions.

use std::io::{self, Write};

use super::Extent;
use super::counts::CountingWriter;
use super::definition::Kind;
use super::markup::{cdata, plain, references, section};
use super::population::{Finding, Population};

pub(super) fn write(
    out: &mut CountingWriter<impl Write>,
    population: &mut Population,
    extent: Extent,
    own_qids: bool,
) -> io::Result<()> {
    let mut own_qid = own_qids.then_some(FIRST_OWN_QID);
    let definitions: Vec<(u32, u8)> =
        population.definitions().iter().map(|definition| (definition.qid, definition.severity)).collect();
    out.write_all(HEAD.as_bytes())?;
    while extent.needs_more(population.assets(), out.bytes()) {
        write_asset(out, population, &definitions, &mut own_qid)?;
    }
    out.write_all(b"</HOST_LIST>\n</RESPONSE>\n</HOST_LIST_VM_DETECTION_OUTPUT>\n")
}

/// Writes the findings one at a time, because an asset may have any number of them. `own_qid` is the next QID, if each
/// finding has one of its own.
fn write_asset(
    out: &mut impl Write,
    population: &mut Population,
    definitions: &[(u32, u8)],
    own_qid: &mut Option<u32>,
) -> io::Result<()> {
    let asset = population.begin_asset();
    writeln!(out, "<HOST>\n<ID>{}</ID>", 6_000_000 + asset.number)?;
    plain(out, if asset.is_ipv6 { "IPV6" } else { "IP" }, &asset.address)?;
    plain(out, "TRACKING_METHOD", "IP")?;
    cdata(out, "OS", asset.os)?;
    cdata(out, "DNS", &asset.dns)?;
    cdata(out, "NETBIOS", &asset.netbios)?;
    plain(out, "LAST_SCAN_DATETIME", "2026-03-04T10:14:53Z")?;
    out.write_all(b"<DETECTION_LIST>\n")?;
    for index in 0..population.findings_per_asset() {
        let finding = population.next_finding(&asset, index);
        let (qid, severity) = definitions[finding.definition];
        let qid = own_qid.unwrap_or(qid);
        own_qid.iter_mut().for_each(|next| *next += 1);
        write_finding(out, &finding, (qid, severity))?;
    }
    out.write_all(b"</DETECTION_LIST>\n</HOST>\n")
}

fn write_finding(out: &mut impl Write, finding: &Finding, (qid, severity): (u32, u8)) -> io::Result<()> {
    out.write_all(b"<DETECTION>\n")?;
    plain(out, "QID", qid)?;
    plain(out, "TYPE", type_name(finding.kind))?;
    plain(out, "SEVERITY", severity)?;
    if let Some(port) = finding.port {
        plain(out, "PORT", port)?;
        plain(out, "PROTOCOL", "tcp")?;
    }
    plain(out, "SSL", u8::from(finding.ssl))?;
    out.write_all(b"<RESULTS>")?;
    if finding.as_references {
        references(out, &finding.result)?;
    } else {
        section(out, &finding.result)?;
    }
    out.write_all(b"</RESULTS>\n")?;
    if matches!(finding.kind, Kind::Vulnerability | Kind::Potential) {
        plain(out, "STATUS", "Active")?;
    }
    plain(out, "FIRST_FOUND_DATETIME", "2026-01-02T03:04:05Z")?;
    plain(out, "LAST_FOUND_DATETIME", "2026-03-04T10:14:53Z")?;
    plain(out, "TIMES_FOUND", 7)?;
    plain(out, "LAST_UPDATE_DATETIME", "2026-03-04T10:20:00Z")?;
    plain(out, "IS_IGNORED", 0)?;
    plain(out, "IS_DISABLED", 0)?;
    out.write_all(b"</DETECTION>\n")
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Vulnerability => "Confirmed",
        Kind::Potential => "Potential",
        Kind::Information | Kind::Service => "Info",
    }
}

/// Above the QIDs of the definitions.
const FIRST_OWN_QID: u32 = 1_000_000;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE HOST_LIST_VM_DETECTION_OUTPUT SYSTEM "https://scanner.example.com/api/5.0/fo/asset/host/vm/detection/dtd/output.dtd">
<HOST_LIST_VM_DETECTION_OUTPUT>
<RESPONSE>
<DATETIME>2026-03-04T20:03:10Z</DATETIME>
<HOST_LIST>
"#;
