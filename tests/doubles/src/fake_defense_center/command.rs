//! The names of the commands, and parsing of the two commands for scan results.

use super::host_map::{ResultKey, ScanResult};
use super::pending::{Addition, Deletion};

/// Commands that require `SetSource` and are counted. This center executes only some of them.
pub(super) const SOURCE_COMMANDS: &[&str] = &[
    "AddHost",
    "DeleteHost",
    "SetOS",
    "UnsetOS",
    "AddService",
    "SetService",
    "UnsetService",
    "DeleteService",
    "AddClientApp",
    "DeleteClientApp",
    "DeleteClientAppPayload",
    "AddProtocol",
    "DeleteProtocol",
    "AddFix",
    "RemoveFix",
    "AddHostAttribute",
    "DeleteHostAttribute",
    "SetAttributeValue",
    "DeleteAttributeValue",
    "SetValidVuln",
    "SetInvalidVuln",
];

/// Parses `AddScanResult,ip,scanner,id,port,protocol,name,description,cve_ids:…,bugtraq_ids:…`.
///
/// # Errors
/// The center's error message.
pub(super) fn addition(fields: &[String]) -> Result<Addition, String> {
    let field = |index: usize| fields.get(index).cloned().unwrap_or_default();
    let (id, protocol) = (field(3), field(5));
    check_protocol(&protocol)?;
    let is_generic = id.is_empty() || id == "0";
    if !is_generic && (fields.len() <= 9) {
        return Err(format!("Wrong command syntax on Vuln ID: {id}"));
    }
    let list = |index: usize, prefix: &str| {
        let text = field(index);
        match text.strip_prefix(prefix) {
            Some(ids) => Ok(ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()),
            None if is_generic => Ok(Vec::new()),
            None => Err(format!("can not find the header: '{prefix}'")),
        }
    };
    let cves = list(8, "cve_ids:")?;
    let cves = cves.into_iter().map(|id| id.strip_prefix("CVE-").unwrap_or(&id).to_owned()).collect();
    Ok(Addition {
        address: field(1),
        key: ResultKey {
            scanner: field(2),
            id: if is_generic { String::new() } else { id },
            port: field(4),
            protocol: name_of(&protocol),
        },
        result: ScanResult {
            name: field(6),
            description: field(7),
            cves,
            bugtraqs: list(9, "bugtraq_ids:")?,
        },
    })
}

/// Parses `DeleteScanResult,ip,[scanners],[ids],[port],[protocol]`.
///
/// # Errors
/// The center's error message.
pub(super) fn deletion(fields: &[String]) -> Result<Deletion, String> {
    let field = |index: usize| fields.get(index).map(String::as_str).unwrap_or_default();
    let list = |index: usize| {
        let items = field(index).split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(str::to_owned).collect::<Vec<_>>()
    };
    let (scanners, ids) = (list(2), list(3));
    let (port, protocol) = (field(4), field(5));
    check_protocol(protocol)?;
    let service = match (port.is_empty(), protocol.is_empty()) {
        (true, true) => None,
        (false, false) => Some((port.to_owned(), name_of(protocol))),
        _ => return Err(DELETION_SYNTAX.to_owned()),
    };
    if scanners.is_empty() && !ids.is_empty() {
        return Err(DELETION_SYNTAX.to_owned());
    }
    Ok(Deletion { address: field(1).to_owned(), scanners, ids, service })
}

const DELETION_SYNTAX: &str = "Wrong command syntax on DeleteScanResult";

fn check_protocol(protocol: &str) -> Result<(), String> {
    match protocol {
        "" | "tcp" | "udp" | "6" | "17" => Ok(()),
        other => Err(format!("Wrong protocol {other} entered")),
    }
}

fn name_of(protocol: &str) -> String {
    match protocol {
        "6" => "tcp".to_owned(),
        "17" => "udp".to_owned(),
        name => name.to_owned(),
    }
}
