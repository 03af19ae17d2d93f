//! Scanned assets. *Host* always means the runtime.

use super::field::fields;

fields! {
    /// The columns of the table of assets. Every value is text; empty means that the scanner gave no value.
    /// A list has one item per line.
    AssetField (()) in assets {
        /// The scanner's ID of the asset.
        Id = "id",
        /// The IP address as the scanner wrote it, IPv4 or IPv6. Assets reported by agents may have none.
        Address = "address",
        /// The IPv6 address, if the scanner reports both an IPv4 and an IPv6 address.
        Ipv6 = "ipv6",
        /// The DNS name.
        Dns = "dns",
        /// The NetBIOS name.
        Netbios = "netbios",
        /// The operating system, as detected by the scanner.
        Os = "os",
        /// The operating system as a CPE name.
        OsCpe = "os_cpe",
        /// The name or ID of the network of the address.
        Network = "network",
        /// How the scanner identifies the asset: `IP`, `DNS`, `NETBIOS`, `QAGENT`, `EC2` …
        TrackingMethod = "tracking_method",
        /// The ID of the scanner's agent on the asset.
        AgentId = "agent_id",
        /// Titles of the groups that the asset belongs to: a list.
        Groups = "groups" as List,
        /// Tags of the asset: a list.
        Tags = "tags" as List,
        /// All addresses of the asset: a list.
        Interfaces = "interfaces" as List,
        /// The ID of the asset at its cloud provider.
        CloudId = "cloud_id",
        /// When the asset was last scanned, in UTC (`2026-01-31T12:00:00Z`).
        LastScan = "last_scan" as Time,
        /// The scanner's status of the scan of this asset, for example `Finish` or `down`.
        Status = "status",
    }
}
