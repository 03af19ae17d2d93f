//! The machine that was scanned. It is never called *host*, for that is our runtime.

use super::fields;

fields! {
    /// The columns of the table of assets. Every value is text; an empty value means that the scanner said
    /// nothing. A list holds one item a line.
    AssetField (()) in assets {
        /// The scanner's own number for the asset.
        Id = "id",
        /// The IP address as the scanner wrote it, IPv4 or IPv6. Agents report assets without one.
        Address = "address",
        /// A second address, when the scanner gives an IPv6 one beside the IPv4 one.
        Ipv6 = "ipv6",
        /// The DNS name.
        Dns = "dns",
        /// The NetBIOS name.
        Netbios = "netbios",
        /// The operating system as the scanner believes it to be.
        Os = "os",
        /// The operating system as a CPE name.
        OsCpe = "os_cpe",
        /// The name or number of the network that the address belongs to.
        Network = "network",
        /// How the scanner follows the asset: `IP`, `DNS`, `NETBIOS`, `QAGENT`, `EC2` …
        TrackingMethod = "tracking_method",
        /// The scanner agent's number for the machine.
        AgentId = "agent_id",
        /// Titles of the groups that the asset belongs to: a list.
        Groups = "groups" as List,
        /// Tags of the asset: a list.
        Tags = "tags" as List,
        /// All addresses of the machine: a list.
        Interfaces = "interfaces" as List,
        /// The machine's number at its cloud provider.
        CloudId = "cloud_id",
        /// When the asset was last scanned, in UTC (`2026-01-31T12:00:00Z`).
        LastScan = "last_scan" as Time,
        /// What the scanner says of the scan of this asset, for example `Finish` or `down`.
        Status = "status",
    }
}
