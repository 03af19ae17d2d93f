//! Generates assets and their findings, one asset after the other.

use std::fmt::Write as _;

use super::Shape;
use super::counts::Counts;
use super::definition::{Definition, FACTS, Kind};
use super::random::Random;
use super::words;

/// Generates assets with findings, and counts them.
pub(super) struct Population {
    definitions: Vec<Definition>,
    findings_per_asset: usize,
    min_text_bytes: usize,
    random: Random,
    counts: Counts,
}

/// A scanned asset.
pub(super) struct Asset {
    /// Its number, starting at 1.
    pub(super) number: u64,
    pub(super) address: String,
    pub(super) is_ipv6: bool,
    pub(super) dns: String,
    pub(super) netbios: String,
    pub(super) os: &'static str,
    pub(super) findings: Vec<Finding>,
}

/// A finding on an asset.
pub(super) struct Finding {
    /// The index of its definition in [`Population::definitions`].
    pub(super) definition: usize,
    pub(super) kind: Kind,
    pub(super) port: Option<u16>,
    pub(super) ssl: bool,
    pub(super) result: String,
    pub(super) is_table: bool,
    /// Whether the result is written with character references instead of CDATA.
    pub(super) as_references: bool,
}

impl Population {
    pub(super) fn new(shape: Shape) -> Self {
        let mut definitions = Definition::generate_all(shape.seed, shape.qids, shape.format.text_percent());
        let min_text_bytes = shape.format.min_text_bytes();
        definitions
            .iter_mut()
            .for_each(|definition| words::lengthen(&mut definition.diagnosis, min_text_bytes));
        let counts = Counts { definitions: definitions.len() as u64, ..Counts::default() };
        Self {
            definitions,
            findings_per_asset: shape.findings_per_asset,
            min_text_bytes,
            random: Random::new(shape.seed),
            counts,
        }
    }

    pub(super) fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    pub(super) fn assets(&self) -> u64 {
        self.counts.assets
    }

    pub(super) fn into_counts(self, bytes: u64) -> Counts {
        Counts { bytes, ..self.counts }
    }

    /// Must be called before the first asset: only scans distinguish services from information.
    pub(super) fn replace_services_by_information(&mut self) {
        for definition in &mut self.definitions {
            if definition.kind == Kind::Service {
                definition.kind = Kind::Information;
            }
        }
    }

    /// Generates and counts the next asset with its findings.
    pub(super) fn next_asset(&mut self) -> Asset {
        let mut asset = self.begin_asset();
        asset.findings = (0..self.findings_per_asset).map(|index| self.next_finding(&asset, index)).collect();
        asset
    }

    /// Generates and counts the next asset without findings. The caller gets them from [`Population::next_finding`],
    /// one at a time.
    pub(super) fn begin_asset(&mut self) -> Asset {
        self.counts.assets += 1;
        let number = self.counts.assets;
        let is_ipv6 = number.is_multiple_of(50) || number > BENCHMARK_ADDRESSES;
        Asset {
            number,
            address: address(number, is_ipv6),
            is_ipv6,
            dns: format!("asset{number}.dept{}.example.com", number % 17),
            netbios: format!("ASSET{number}"),
            os: self.random.pick(OPERATING_SYSTEMS),
            findings: Vec::new(),
        }
    }

    pub(super) fn findings_per_asset(&self) -> usize {
        self.findings_per_asset
    }

    /// Generates and counts the finding with this index on the asset.
    pub(super) fn next_finding(&mut self, asset: &Asset, index: usize) -> Finding {
        let finding = self.finding(asset, index);
        self.counts.findings.add(finding.kind);
        finding
    }

    fn finding(&mut self, asset: &Asset, index: usize) -> Finding {
        if index < FACTS.len() && self.findings_per_asset > FACTS.len() {
            return self.fact(asset, index);
        }
        // The smaller of two random numbers: some definitions are used often, many rarely.
        let count = self.definitions.len() - FACTS.len();
        let definition = FACTS.len() + self.random.below(count).min(self.random.below(count));
        let port = self.random.chance(55).then(|| self.random.pick(PORTS));
        let has_hazard = self.random.below(100) == 0;
        let is_table = self.random.chance(20);
        let mut result = if is_table { self.table_result() } else { self.prose_result() };
        words::lengthen(&mut result, self.min_text_bytes);
        if has_hazard {
            self.counts.hazards += 1;
            result.push_str(HAZARD);
        }
        Finding {
            definition,
            kind: self.definitions[definition].kind,
            port,
            ssl: port.is_some_and(|port| matches!(port, 443 | 8443 | 636)),
            result,
            is_table,
            as_references: has_hazard && self.random.chance(50),
        }
    }

    /// The names, open ports or operating system of the asset, as the result of the QID that reports them.
    fn fact(&mut self, asset: &Asset, definition: usize) -> Finding {
        let result = match definition {
            0 => format!("IP address\tHost name\n{}\t{}\n", asset.address, asset.dns),
            1 => self.open_ports(),
            2 => format!(
                "Operating System\tTechnique\tID\n{}\tTCP/IP Fingerprint\tU{:04}:{}\n",
                asset.os,
                self.random.below(10_000),
                self.random.below(65_536)
            ),
            _ => format!("Host Name\tSource\n{}\tFQDN\n{}\tNTLM DNS\n", asset.dns, asset.netbios),
        };
        Finding {
            definition,
            kind: self.definitions[definition].kind,
            port: None,
            ssl: false,
            result,
            is_table: true,
            as_references: false,
        }
    }

    fn open_ports(&mut self) -> String {
        let count = self.random.between(1, PORTS.len());
        self.counts.open_ports += count as u64;
        let mut table =
            "Port\tIANA Assigned Ports/Services\tDescription\tService Detected\tOS On Redirected Port\n"
                .to_owned();
        for port in &PORTS[..count] {
            let service = if *port == 443 { "http over ssl" } else { "unknown" };
            let _ = writeln!(table, "{port}\tservice-{port}\tInvented service {port}\t{service}\t");
        }
        table
    }

    fn table_result(&mut self) -> String {
        let mut table = "Package\tInstalled Version\tRequired Version\n".to_owned();
        for _ in 0..self.random.between(3, 30) {
            let (name, minor) = (self.random.below(900), self.random.below(40));
            let _ = writeln!(table, "lib-example-{name}\t2.{minor}-5.el8\t2.{}-1.el8", minor + 1);
        }
        table
    }

    fn prose_result(&mut self) -> String {
        let mut text = String::with_capacity(2048);
        for _ in 0..self.random.between(1, 24) {
            let count = self.random.between(5, 22);
            words::prose(&mut text, &mut self.random, count);
            text.push('\n');
        }
        text
    }
}

/// 198.18.0.0/15 is reserved for benchmarks, 2001:db8::/32 for documentation.
fn address(number: u64, is_ipv6: bool) -> String {
    if is_ipv6 {
        return format!("2001:db8::{:x}:{:x}", number >> 16, number & 0xFFFF);
    }
    format!("198.{}.{}.{}", 18 + ((number >> 16) & 1), (number >> 8) & 0xFF, number & 0xFF)
}

const BENCHMARK_ADDRESSES: u64 = 1 << 17;

/// A text that incorrect parsers misread.
const HAZARD: &str = "a = b | c \\ d\r\nnächste Zeile 漢字 🦀\r\nif (x[y[0]]>1) { &quot;z&quot; } \
    <IP value=\"192.0.2.1\">no asset</IP> &unknown; %00 CEF:0|x|y|z|\u{a0}\u{2028}end";

const PORTS: &[u16] = &[22, 25, 53, 80, 135, 139, 443, 445, 636, 993, 3306, 3389, 5432, 8080, 8443];

const OPERATING_SYSTEMS: &[&str] = &[
    "Windows Server 2022 Standard 64 bit Edition",
    "Windows 11 Enterprise",
    "Ubuntu Linux 24.04",
    "Ubuntu / Tiny Core Linux / Linux 2.6.x",
    "Red Hat Enterprise Linux 9.4",
    "Cisco IOS XE 17.9",
];
