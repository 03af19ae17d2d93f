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
        /// The ID of the asset in the asset inventory of the scanner's vendor, if it differs from `id`.
        AssetId = "asset_id",
        /// The ID of the network of the address; `0` is usually the default network.
        NetworkId = "network_id",
        /// The fully qualified domain name.
        Fqdn = "fqdn",
        /// The host name without its domain.
        Hostname = "hostname",
        /// The DNS domain.
        Domain = "domain",
        /// The host name that the operating system itself reports.
        OsHostname = "os_hostname",
        /// Hardware addresses, a list: `00:00:5e:00:53:01`.
        Macs = "macs" as List,
        /// IDs of the groups in `groups`, a list.
        GroupIds = "group_ids" as List,
        /// Tags with their IDs, a list of objects: ID, name.
        TagIds = "tag_ids" as List ["id", "name"],
        /// The owner.
        Owner = "owner",
        /// Comments of the scanner's users.
        Comments = "comments",
        /// Attributes that the scanner's users defined, a list of objects: name, value.
        UserAttributes = "user_attributes" as List ["name", "value"],
        /// The cloud provider, for example `AWS`.
        CloudProvider = "cloud_provider",
        /// The service of the provider, for example `EC2`.
        CloudService = "cloud_service",
        /// The ID of the account, subscription or project.
        CloudAccount = "cloud_account",
        /// The region.
        CloudRegion = "cloud_region",
        /// The availability zone.
        CloudZone = "cloud_zone",
        /// The type of the instance.
        CloudInstanceType = "cloud_instance_type",
        /// The state of the instance.
        CloudInstanceState = "cloud_instance_state",
        /// The group of the instance, for example a resource group.
        CloudGroup = "cloud_group",
        /// The ID of the image of the instance.
        CloudImage = "cloud_image",
        /// The public address.
        CloudPublicAddress = "cloud_public_address",
        /// The private address.
        CloudPrivateAddress = "cloud_private_address",
        /// The public DNS name.
        CloudPublicDns = "cloud_public_dns",
        /// The private DNS name.
        CloudPrivateDns = "cloud_private_dns",
        /// All attributes that the provider reports, a list of objects.
        CloudAttributes = "cloud_attributes" as List ["name", "value", "status", "success", "error_time", "error"],
        /// Tags at the provider, a list of objects: name, value, time of the last successful query.
        CloudTags = "cloud_tags" as List ["name", "value", "time"],
        /// The scanner's risk score, 0 to 1000 for Qualys; higher is worse.
        RiskScore = "risk_score" as Integer,
        /// How critical the asset is, 1 to 5; 5 is the most critical.
        Criticality = "criticality" as Integer,
        /// Values from which the risk score is computed, a list of objects: name, value.
        RiskFactors = "risk_factors" as List ["name", "value"],
        /// The security risk, as the scanner wrote it.
        SecurityRisk = "security_risk",
        /// When the asset was last scanned for vulnerabilities, in UTC.
        LastVulnerabilityScan = "last_vulnerability_scan" as Time,
        /// Duration of that scan, in seconds.
        ScanSecs = "scan_secs" as Integer,
        /// When the asset was last scanned with authentication, in UTC.
        LastAuthenticatedScan = "last_authenticated_scan" as Time,
        /// Duration of that scan, in seconds.
        AuthenticatedScanSecs = "authenticated_scan_secs" as Integer,
        /// When the asset was last scanned for compliance, in UTC.
        LastComplianceScan = "last_compliance_scan" as Time,
        /// When the scanner found the asset for the first time, in UTC.
        FirstFound = "first_found" as Time,
        /// When the asset was started, in UTC.
        LastBoot = "last_boot" as Time,
        /// When the agent or the asset was last active, in UTC.
        LastActivity = "last_activity" as Time,
        /// The serial number of the hardware.
        SerialNumber = "serial_number",
        /// The UUID of the hardware.
        HardwareUuid = "hardware_uuid",
        /// The status of the scanner's agent.
        AgentStatus = "agent_status",
        /// Where the agent runs.
        AgentSource = "agent_source",
        /// Values that the input passes on without knowing their meaning, a list of objects: path in the source, value.
        Other = "other" as List ["path", "value"],
    }
}
