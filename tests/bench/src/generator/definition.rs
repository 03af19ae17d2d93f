//! What is known of a vulnerability: the texts that every finding of a QID shares.

use super::random::Random;
use super::words;

/// What a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Information gathered.
    Information,
    /// A service that listens.
    Service,
    /// A confirmed vulnerability.
    Vulnerability,
    /// A potential vulnerability.
    Potential,
}

/// One entry of a knowledge base.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The scanner's number.
    pub qid: u32,
    /// What its findings are.
    pub kind: Kind,
    /// 1 to 5; at most 3 for anything that is not a vulnerability.
    pub severity: u8,
    /// One line.
    pub title: String,
    /// The section of the scan it belongs to.
    pub category: &'static str,
    /// CVE IDs; empty for anything that is not a vulnerability.
    pub cves: Vec<String>,
    /// The vendor's advisory.
    pub advisory: String,
    /// CVSS base score in tenths; none for anything that is not a vulnerability.
    pub cvss_tenths: Option<usize>,
    /// HTML.
    pub diagnosis: String,
    /// HTML.
    pub consequence: String,
    /// HTML.
    pub solution: String,
    /// What a known exploit does; empty when none is known.
    pub exploit: String,
}

impl Definition {
    /// The definitions of a report: first the ones that tell facts about an asset, then invented ones. With
    /// `text_percent` below 100 their texts are shorter.
    pub(super) fn pool(seed: u64, count: usize, text_percent: usize) -> Vec<Self> {
        let mut random = Random::new(seed ^ 0x5EED_0FDE_F1A1_7105);
        let facts = FACTS.iter().map(|&(qid, kind, title)| (qid, kind, Some(title)));
        let invented = (0..).map(|index| (90_000 + index, KINDS[index as usize % KINDS.len()], None));
        facts
            .chain(invented)
            .take(count.max(FACTS.len() + KINDS.len()))
            .map(|(qid, kind, title)| Self::invent(&mut random, qid, kind, title, text_percent))
            .collect()
    }

    fn invent(random: &mut Random, qid: u32, kind: Kind, title: Option<&str>, text_percent: usize) -> Self {
        let words = |count: usize| count * text_percent / 100;
        let weak = matches!(kind, Kind::Vulnerability | Kind::Potential);
        let cves = if weak { random.between(0, 9) } else { 0 };
        let advisory = format!("EX-{}-{:04}", random.between(2012, 2026), random.below(10_000));
        Self {
            qid,
            kind,
            severity: random.between(1, if weak { 5 } else { 3 }) as u8,
            title: title.map_or_else(|| invented_title(random, qid), str::to_owned),
            category: random.pick(CATEGORIES),
            cves: (0..cves)
                .map(|_| format!("CVE-{}-{}", random.between(2012, 2026), random.between(1000, 49_999)))
                .collect(),
            cvss_tenths: weak.then(|| random.between(10, 100)),
            diagnosis: fragment(random, words(if weak { 300 } else { 190 })),
            consequence: if weak { fragment(random, words(90)) } else { "N/A".to_owned() },
            solution: solution(random, weak, words(140), &advisory),
            exploit: if weak && random.chance(25) { fragment(random, words(20)) } else { String::new() },
            advisory,
        }
    }

    /// The score as reports write it: some with the vector after the number, some without any score.
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

fn invented_title(random: &mut Random, qid: u32) -> String {
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

fn solution(random: &mut Random, weak: bool, words: usize, advisory: &str) -> String {
    if !weak {
        return "N/A".to_owned();
    }
    let mut text = fragment(random, words);
    words::link(&mut text, advisory);
    text
}

/// QIDs whose results tell facts about the asset; each asset has the first four.
pub(super) const FACTS: &[(u32, Kind, &str)] = &[
    (6, Kind::Information, "DNS Host Name"),
    (82_023, Kind::Service, "Open TCP Services List"),
    (45_017, Kind::Service, "Operating System Detected"),
    (45_039, Kind::Information, "Host Names Found"),
];

/// Twenty definitions in a row hold these kinds, about as often as in real reports.
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
