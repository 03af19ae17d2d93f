//! Scan commands are pending, per connection, until an update, a flush or the end of the connection applies them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::behavior::{Behavior, UnknownAssets};
use super::host_map::{Asset, HostMap, ResultKey, ScanResult};

/// The scan commands of one connection that are not applied yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    deletions: Vec<Deletion>,
    additions: Vec<Addition>,
}

/// A pending `DeleteScanResult`.
#[derive(Debug, Clone)]
pub(super) struct Deletion {
    pub(super) address: String,
    /// Scanners; empty means all.
    pub(super) scanners: Vec<String>,
    /// Result IDs; empty means all.
    pub(super) ids: Vec<String>,
    /// Port and protocol, if the deletion is limited to them.
    pub(super) service: Option<(String, String)>,
}

/// A pending `AddScanResult`. Its address is parsed only when it is applied.
#[derive(Debug, Clone)]
pub(super) struct Addition {
    pub(super) address: String,
    pub(super) key: ResultKey,
    pub(super) result: ScanResult,
}

impl Pending {
    pub(super) fn delete(&mut self, deletion: Deletion) {
        self.deletions.push(deletion);
    }

    pub(super) fn add(&mut self, addition: Addition) {
        self.additions.push(addition);
    }

    /// `ScanUpdate`, and the end of a connection: applies the deletions, then merges the additions with the stored
    /// results. Returns the failures.
    pub(super) fn update(&mut self, map: &mut HostMap, domain: &str, behavior: &Behavior) -> Vec<String> {
        let mut failures = Vec::new();
        for deletion in std::mem::take(&mut self.deletions) {
            let Ok(address) = deletion.address.parse::<IpAddr>() else {
                failures.push(failure("ScanUpdate", &deletion.address, 0, ADDRESS));
                continue;
            };
            if behavior.failing_assets.contains(&address) {
                failures.push(failure("ScanUpdate", &deletion.address, 0, ""));
                continue;
            }
            if let Some(asset) = map.assets.get_mut(&(domain.to_owned(), address)) {
                asset.results.retain(|key, _| !deletion.matches(key));
            }
        }
        failures.extend(self.apply_additions("ScanUpdate", map, domain, behavior, |_, _| {}));
        failures
    }

    /// `ScanFlush`: the additions replace the stored results of an asset. Deletions stay pending. Returns the failures.
    pub(super) fn flush(&mut self, map: &mut HostMap, domain: &str, behavior: &Behavior) -> Vec<String> {
        self.apply_additions("ScanFlush", map, domain, behavior, |asset, scanner| {
            asset.results.retain(|key, _| !behavior.flush_deletes_all_scanners && key.scanner != scanner);
        })
    }

    /// Applies the additions, grouped by scanner and asset. Calls `prepare` before each group.
    fn apply_additions(
        &mut self,
        command: &str,
        map: &mut HostMap,
        domain: &str,
        behavior: &Behavior,
        prepare: impl Fn(&mut Asset, &str),
    ) -> Vec<String> {
        let mut groups: BTreeMap<(String, String), Vec<Addition>> = BTreeMap::new();
        for addition in std::mem::take(&mut self.additions) {
            let group = (addition.key.scanner.clone(), addition.address.clone());
            groups.entry(group).or_default().push(addition);
        }
        let mut failures = Vec::new();
        for ((scanner, address), additions) in groups {
            let Ok(parsed) = address.parse::<IpAddr>() else {
                failures.push(failure(command, &address, additions.len(), ADDRESS));
                continue;
            };
            let key = (domain.to_owned(), parsed);
            let is_known = map.assets.get(&key).is_some_and(|asset| asset.is_added);
            let is_rejected = !is_known && behavior.unknown_assets == UnknownAssets::Fail;
            if is_rejected || behavior.failing_assets.contains(&parsed) {
                failures.push(failure(command, &address, additions.len(), ""));
                continue;
            }
            if !is_known && behavior.unknown_assets == UnknownAssets::Ignored {
                continue;
            }
            let asset = map.assets.entry(key).or_default();
            prepare(asset, &scanner);
            asset.results.extend(additions.into_iter().map(|addition| (addition.key, addition.result)));
        }
        failures
    }
}

impl Deletion {
    fn matches(&self, key: &ResultKey) -> bool {
        let scanner = self.scanners.is_empty() || self.scanners.contains(&key.scanner);
        let id = self.ids.is_empty() || self.ids.contains(&key.id);
        // Deleting an ID requires its port and protocol, because the key of a result includes them.
        let service = match &self.service {
            Some((port, protocol)) => *port == key.port && *protocol == key.protocol,
            None => self.ids.is_empty() || key.port.is_empty() && key.protocol.is_empty(),
        };
        scanner && id && service
    }
}

fn failure(command: &str, address: &str, count: usize, reason: &str) -> String {
    format!("Failure to Run Scan API:{reason}\nCommand: {command}, IP: {address}, vuln_count = {count}\n")
}

const ADDRESS: &str = " Failed to recognize IP address:";
