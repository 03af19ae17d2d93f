//! Definitions of vulnerabilities: the texts that all findings of a QID share.

use super::random::Random;
use super::words;

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Information gathered.
    Information,
    /// A service.
    Service,
    /// A confirmed vulnerability.
    Vulnerability,
    /// A potential vulnerability.
    Potential,
}

/// One entry of a knowledge base.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The scanner's ID of the vulnerability.
    pub qid: u32,
    /// The kind of its findings.
    pub kind: Kind,
    /// 1 to 5; at most 3 if it is not a vulnerability.
    pub severity: u8,
    /// The title, one line.
    pub title: String,
    /// The category: the section of a scan in which its findings are.
    pub category: &'static str,
    /// CVE IDs; empty if it is not a vulnerability.
    pub cves: Vec<String>,
    /// The ID of the vendor's advisory.
    pub advisory: String,
    /// CVSS base score in tenths; `None` if it is not a vulnerability.
    pub cvss_tenths: Option<usize>,
    /// The diagnosis, as HTML.
    pub diagnosis: String,
    /// The consequence, as HTML.
    pub consequence: String,
    /// The solution, as HTML.
    pub solution: String,
    /// Description of a known exploit; empty if there is none.
    pub exploit: String,
}

impl Definition {
    /// The definitions of a report: first those that report facts about an asset, then generated ones. `text_percent`
    /// scales the length of their texts.
    pub(super) fn generate_all(seed: u64, count: usize, text_percent: usize) -> Vec<Self> {
        let mut random = Random::new(seed ^ 0x5EED_0FDE_F1A1_7105);
        let facts = FACTS.iter().map(|&(qid, kind, title)| (qid, kind, Some(title)));
        let generated = (0..).map(|index| (90_000 + index, KINDS[index as usize % KINDS.len()], None));
        facts
            .chain(generated)
            .take(count.max(FACTS.len() + KINDS.len()))
            .map(|(qid, kind, title)| Self::generate(&mut random, qid, kind, title, text_percent))
            .collect()
    }

    fn generate(random: &mut Random, qid: u32, kind: Kind, title: Option<&str>, text_percent: usize) -> Self {
        let words = |count: usize| count * text_percent / 100;
        let is_vulnerability = matches!(kind, Kind::Vulnerability | Kind::Potential);
        let cves = if is_vulnerability { random.between(0, 9) } else { 0 };
        let advisory = format!("EX-{}-{:04}", random.between(2012, 2026), random.below(10_000));
        Self {
            qid,
            kind,
            severity: random.between(1, if is_vulnerability { 5 } else { 3 }) as u8,
            title: title.map_or_else(|| generated_title(random, qid), str::to_owned),
            category: random.pick(CATEGORIES),
            cves: (0..cves)
                .map(|_| format!("CVE-{}-{}", random.between(2012, 2026), random.between(1000, 49_999)))
                .collect(),
            cvss_tenths: is_vulnerability.then(|| random.between(10, 100)),
            diagnosis: fragment(random, words(if is_vulnerability { 300 } else { 190 })),
            consequence: if is_vulnerability { fragment(random, words(90)) } else { "N/A".to_owned() },
            solution: solution(random, is_vulnerability, words(140), &advisory),
            exploit: if is_vulnerability && random.chance(25) {
                fragment(random, words(20))
            } else {
                String::new()
            },
            advisory,
        }
    }

    /// The score as reports write it: some with a vector after the number, `-` for a missing score.
    pub(super) fn cvss(&self) -> String {
        match self.cvss_tenths {
            None => "-".to_owned(),
            Some(tenths) if self.qid.is_multiple_of(3) => {
                format!("{}.{} (AV:N/AC:M/Au:N/C:C/I:C/A:C)", tenths / 10, tenths % 10)
            }
            Some(tenths) => format!("{}.{}", tenths / 10, tenths % 10),
        }
    }
}

fn generated_title(random: &mut Random, qid: u32) -> String {
    let mut title =
        format!("Example Vendor {} ", random.pick(&["Server", "Client", "Runtime", "Gateway", "Kernel"]));
    words::prose(&mut title, random, 5);
    title.pop();
    if qid.is_multiple_of(50) {
        title.push_str(" – Ümläut & <tag> \"quoted\"");
    }
    title
}

fn fragment(random: &mut Random, count: usize) -> String {
    let mut text = String::new();
    words::html(&mut text, random, count);
    text
}

fn solution(random: &mut Random, is_vulnerability: bool, words: usize, advisory: &str) -> String {
    if !is_vulnerability {
        return "N/A".to_owned();
    }
    let mut text = fragment(random, words);
    words::link(&mut text, advisory);
    text
}

/// QIDs whose results report facts about the asset; the first findings of each asset.
pub(super) const FACTS: &[(u32, Kind, &str)] = &[
    (6, Kind::Information, "DNS Host Name"),
    (82_023, Kind::Service, "Open TCP Services List"),
    (45_017, Kind::Service, "Operating System Detected"),
    (45_039, Kind::Information, "Host Names Found"),
];

/// The kinds of twenty consecutive definitions, about as frequent as in real reports.
const KINDS: &[Kind] = &{
    use Kind::{Information as I, Potential as P, Service as S, Vulnerability as V};
    [V, I, V, I, P, V, I, V, I, V, S, V, I, V, P, V, I, V, I, V]
};

const CATEGORIES: &[&str] = &[
    "TCP/IP",
    "Information gathering",
    "General remote services",
    "Web server",
    "Windows",
    "Local",
    "RPC",
    "CGI",
];
