//! What the center knows of each asset.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// All assets, by domain and address. Without domains the domain is `Global`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostMap {
    /// The assets.
    pub assets: BTreeMap<(String, IpAddr), Asset>,
}

/// What is known of one asset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asset {
    /// Whether somebody added it; otherwise results came for an address that was not known.
    pub is_added: bool,
    /// Vendor, product and version of the operating system, as set.
    pub os: Option<[String; 3]>,
    /// What scanners found on it.
    pub results: BTreeMap<ResultKey, ScanResult>,
}

/// What tells one result of an asset from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResultKey {
    /// The scanner.
    pub scanner: String,
    /// The scanner's id for what it found; empty for a generic result.
    pub id: String,
    /// The port; empty when the result concerns the whole asset.
    pub port: String,
    /// `tcp`, `udp` or nothing.
    pub protocol: String,
}

/// What a scanner found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanResult {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// CVE ids, without their prefix.
    pub cves: Vec<String>,
    /// BugTraq ids.
    pub bugtraqs: Vec<String>,
}

impl HostMap {
    /// The results of an asset in whatever domain, as `scanner id port protocol`, sorted.
    #[must_use]
    pub fn results(&self, address: &str) -> Vec<String> {
        let address: IpAddr = address.parse().expect("a test asks for an address");
        let assets = self.assets.iter().filter(|((_, of), _)| *of == address).map(|(_, asset)| asset);
        assets.flat_map(|asset| asset.results.keys().map(ResultKey::to_string)).collect()
    }

    /// All results as `address: scanner id port protocol`, sorted.
    #[must_use]
    pub fn all_results(&self) -> Vec<String> {
        let lines = self.assets.iter().flat_map(|((_, address), asset)| {
            asset.results.keys().map(move |key| format!("{address}: {key}"))
        });
        let mut lines: Vec<_> = lines.collect();
        lines.sort_unstable();
        lines
    }
}

impl std::fmt::Display for ResultKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = [&self.scanner, &self.id, &self.port, &self.protocol].map(String::as_str);
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        f.write_str(&words.join(" "))
    }
}
