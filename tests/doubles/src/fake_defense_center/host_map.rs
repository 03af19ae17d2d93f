//! The center's data about each asset.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};

/// All assets by domain and address. Without leaf domains, the domain is `Global`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostMap {
    /// The assets.
    pub assets: BTreeMap<(String, IpAddr), Asset>,
}

/// The data about one asset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asset {
    /// Whether `AddHost` added it. If false, results were received for an unknown address.
    pub is_added: bool,
    /// Vendor, product and version of the operating system, as set by `SetOS`.
    pub os: Option<[String; 3]>,
    /// Values of host attributes by name, as set by `SetAttributeValue`.
    pub attributes: BTreeMap<String, String>,
    /// The scan results of all scanners.
    pub results: BTreeMap<ResultKey, ScanResult>,
}

/// The key of a scan result: two results of an asset with the same key are the same result.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResultKey {
    /// The scanner.
    pub scanner: String,
    /// The scanner's ID of the vulnerability; empty for a generic result.
    pub id: String,
    /// The port; empty if the result is about the entire asset.
    pub port: String,
    /// `tcp`, `udp` or empty.
    pub protocol: String,
}

/// One scan result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanResult {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// CVE IDs without the prefix `CVE-`.
    pub cves: Vec<String>,
    /// BugTraq IDs.
    pub bugtraqs: Vec<String>,
}

impl HostMap {
    /// The results of an asset in all domains, as `scanner id port protocol`, sorted within each domain.
    #[must_use]
    pub fn results(&self, address: &str) -> Vec<String> {
        let address: IpAddr = address.parse().expect("the argument is an IP address");
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

    /// The map as JSON: `{"assets": [{"domain", "address", "is_added", "os", "attributes", "results"}]}`, sorted by
    /// domain and address.
    #[must_use]
    pub fn to_json(&self) -> String {
        let assets = self.assets.iter().map(|((domain, address), asset)| {
            json!({
                "domain": domain,
                "address": address.to_string(),
                "is_added": asset.is_added,
                "os": asset.os.as_ref().map(|[vendor, product, version]| {
                    json!({ "vendor": vendor, "product": product, "version": version })
                }),
                "attributes": asset.attributes,
                "results": asset.results.iter().map(result_to_json).collect::<Vec<_>>(),
            })
        });
        format!("{:#}\n", json!({ "assets": assets.collect::<Vec<_>>() }))
    }
}

fn result_to_json((key, result): (&ResultKey, &ScanResult)) -> Value {
    let ResultKey { scanner, id, port, protocol } = key;
    let ScanResult { name, description, cves, bugtraqs } = result;
    json!({
        "scanner": scanner, "id": id, "port": port, "protocol": protocol,
        "name": name, "description": description, "cves": cves, "bugtraqs": bugtraqs,
    })
}

impl std::fmt::Display for ResultKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = [&self.scanner, &self.id, &self.port, &self.protocol].map(String::as_str);
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        f.write_str(&words.join(" "))
    }
}
