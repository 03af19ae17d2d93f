//! The cost of a delivery to a Defense Center for the host and its plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::Event;
use scanbridge_doubles::certificates::Pkcs12;
use scanbridge_doubles::fake_defense_center::FakeDefenseCenter;

use super::bound::{Bound, Limit};
use super::stage::{Stage, StageError, shape};
use super::table;
use crate::generator::{Extent, Format, Shape};

const ASSETS: u64 = 2_000;
const FINDINGS_PER_ASSET: usize = 25;
const QIDS: usize = 3_000;

/// The data received by the center.
struct Received {
    findings: u64,
    messages: u64,
    /// Assets whose findings were in more than one message.
    split_assets: u64,
}

impl Stage {
    /// Delivers 50,000 findings on 2,000 assets to the fake Defense Center of the tests, in one run. The center runs
    /// in the measuring process, so its cost is not counted.
    ///
    /// # Errors
    /// Fails if the report or the client file cannot be written, or if the host fails or reports wrong counts.
    pub fn defense_center(&self, out: &mut impl Write) -> Result<Vec<Bound>, StageError> {
        let shape = shape(Format::Template, Extent::Assets(ASSETS), QIDS);
        let report =
            self.report("defense-center", Shape { findings_per_asset: FINDINGS_PER_ASSET, ..shape })?;
        let center = FakeDefenseCenter::start();
        let client = center
            .client_file(&self.folder, "defense-center.pkcs12", "", Pkcs12::DefenseCenter)
            .ok_or_else(|| StageError::new("client file", "openssl, which makes it, is not installed"))?;
        let output = format!(
            "{{ id: center, plugin: Sourcefire, with: {{ server: 127.0.0.1, port: {}, pkcs12: {client:?}, \
             add_host: yes, kinds: [vulnerability, potential, information] }} }}",
            center.port()
        );
        let program = self.host_into(&output, &report, None)?;
        let run = program.run()?;
        report.check_summary()?;
        let received = Received::from_center(&center);
        let sent = report.counts.findings.total();
        let expected = results(&report.path)?;
        report.remove();
        let title = format!(
            "{sent} findings on {ASSETS} assets to a Defense Center, in {} messages: {:.0} findings a processor second",
            received.messages,
            sent as f64 / run.cpu_secs
        );
        table::print(out, &title, &[program], &[vec![run]])?;
        let bound = |what: &str, measured, maximum, unit| Bound {
            quantity: format!("Defense Center: {what}"),
            measured,
            limit: Limit::AtMost(maximum),
            unit,
        };
        Ok(vec![
            bound("processor time", run.cpu_secs, 10.0, " s"),
            bound("peak RSS", table::peak_mib(&[run]), 48.0, " MiB"),
            bound("results too few or too many", expected.abs_diff(received.findings) as f64, 0.0, ""),
            bound("assets that were split", received.split_assets as f64, 0.0, ""),
        ])
    }
}

/// The number of results that a Defense Center can keep of a template report: it has one for each asset, ID, port and
/// protocol. A port counts only together with TCP or UDP.
fn results(report: &Path) -> Result<u64, StageError> {
    let failed = |error: &dyn std::fmt::Display| StageError::new(report.display(), error.to_string());
    let file = File::open(report).map_err(|error| failed(&error))?;
    let mut reader = Reader::from_reader(BufReader::new(file));
    let (mut buffer, mut text) = (Vec::new(), String::new());
    let mut address = String::new();
    let mut finding: BTreeMap<String, String> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    loop {
        match reader.read_event_into(&mut buffer).map_err(|error| failed(&error))? {
            Event::Start(_) => text.clear(),
            Event::Text(part) => text.push_str(part.trim()),
            Event::CData(part) => text.push_str(&part),
            Event::End(tag) => match tag.name().into_inner() {
                "IP" if finding.is_empty() => address = std::mem::take(&mut text),
                name @ ("QID" | "PORT" | "PROTOCOL") => {
                    finding.insert(name.to_owned(), std::mem::take(&mut text));
                }
                "VULN_INFO" => {
                    let protocol = finding.get("PROTOCOL").map(|name| name.to_ascii_lowercase());
                    let protocol = protocol.filter(|name| name == "tcp" || name == "udp");
                    let port = finding.get("PORT").filter(|_| protocol.is_some()).cloned();
                    let protocol = protocol.filter(|_| port.is_some());
                    keys.insert((address.clone(), finding.remove("QID"), port, protocol));
                    finding.clear();
                }
                "HOST_LIST" => return Ok(keys.len() as u64),
                _ => {}
            },
            Event::Eof => return Ok(keys.len() as u64),
            _ => {}
        }
        buffer.clear();
    }
}

impl Received {
    fn from_center(center: &FakeDefenseCenter) -> Self {
        center.wait_until_idle();
        let mut findings = 0;
        let mut messages_by_asset: BTreeMap<String, u64> = BTreeMap::new();
        for body in center.bodies() {
            let text = String::from_utf8_lossy(&body);
            let mut addresses: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("AddScanResult,")?.split(',').next())
                .collect();
            findings += addresses.len() as u64;
            addresses.dedup();
            addresses
                .into_iter()
                .for_each(|address| *messages_by_asset.entry(address.to_owned()).or_default() += 1);
        }
        let split_assets = messages_by_asset.values().filter(|messages| **messages > 1).count() as u64;
        Self { findings, messages: center.message_count(), split_assets }
    }
}
