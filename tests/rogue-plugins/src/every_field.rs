//! A row with a value of its own in every text field, for the act `every-field`: a test searches for these values.

use scanbridge_plugin_api::batch::{ColumnType, Row};
use scanbridge_plugin_api::model::{AssetField, Fact, Field, FindingField};

/// Fills an asset.
pub(crate) fn fill_asset(row: &mut Row<AssetField>) {
    for field in AssetField::ALL {
        let text = match field {
            AssetField::Address => "198.51.100.77".to_owned(),
            AssetField::Ipv6 => "2001:db8:7777::77".to_owned(),
            AssetField::CloudPublicAddress => "203.0.113.78".to_owned(),
            AssetField::CloudPrivateAddress => "10.77.77.79".to_owned(),
            AssetField::Interfaces => "198.51.100.80\n00:00:5e:7a:7b:7c".to_owned(),
            AssetField::Macs => "00:00:5e:7d:7e:7f".to_owned(),
            AssetField::Netbios => "LEAKNETBIOS".to_owned(),
            AssetField::Id => "770011223344".to_owned(),
            AssetField::AssetId => "771011223344".to_owned(),
            AssetField::NetworkId => "772011223344".to_owned(),
            AssetField::GroupIds => "773011223344\n774011223344".to_owned(),
            AssetField::AgentId => "1eaf70ce-1111-4222-8333-944455556666".to_owned(),
            AssetField::HardwareUuid => "1eaf70ce-2222-4222-8333-944455556666".to_owned(),
            AssetField::Dns
            | AssetField::Fqdn
            | AssetField::Hostname
            | AssetField::Domain
            | AssetField::OsHostname
            | AssetField::CloudPublicDns
            | AssetField::CloudPrivateDns => {
                format!("leak-asset-{}.example.com", AssetField::NAMES[field.index()].replace('_', "-"))
            }
            _ => text("asset", *field),
        };
        row.set(*field, &text);
    }
}

/// Fills a finding.
pub(crate) fn fill_finding(row: &mut Row<FindingField>) {
    for field in FindingField::ALL {
        let text = match field {
            FindingField::Facts => [
                Fact::Name { name: "leak-fact.example.com", source: "DNS" },
                Fact::Name { name: "LEAKFACT", source: "NetBIOS" },
                Fact::OpenPort { port: 443, protocol: "tcp", assigned: "https", detected: "https" },
            ]
            .map(|fact| fact.to_string())
            .join("\n"),
            FindingField::Protocol => String::new(),
            FindingField::Fqdn => "leak-finding-fqdn.example.com".to_owned(),
            FindingField::Hostname => "leak-finding-hostname.example.com".to_owned(),
            FindingField::Ticket => "775011223344".to_owned(),
            FindingField::Result => "Leak finding result 4711, and a short host: 198.51.100.77".to_owned(),
            _ => text("finding", *field),
        };
        row.set(*field, &text);
    }
}

/// A text that names its field; empty for numbers and times.
fn text<F: Field>(table: &str, field: F) -> String {
    let name = F::NAMES[field.index()].replace('_', " ");
    match field.column_type() {
        ColumnType::Text => format!("Leak {table} {name} 4711"),
        ColumnType::List => {
            let parts = field.parts().len().max(1);
            let parts: Vec<_> = (1..=parts).map(|part| format!("Leak {table} {name} {part}")).collect();
            parts.join("\t")
        }
        _ => String::new(),
    }
}
