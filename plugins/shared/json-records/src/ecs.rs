//! Elastic Common Schema 9.4.0. The choices are explained in docs/decisions/standard-json.md.

use crate::form::Form;
use crate::form::Form::{
    Each, EcsScore, First, Identity, Ip, Mac, Native, Part, Plain, Raw, Text, Time, Words,
};
use crate::mapping::{Mapping, Row, row};
use crate::ocsf::SEVERITY;
use crate::source::When;

pub(crate) const MAPPING: Mapping = Mapping {
    rows: ROWS,
    rest: "scanbridge",
    also_in_rest: ALSO_IN_REST,
    needs: &[],
    only_vulnerabilities: false,
};

const ROWS: &[Row] = &[
    row("finding.last_found", "@timestamp", Time).required(),
    row("asset.last_scan", "@timestamp", Time).required(),
    row("report.time", "@timestamp", Time).required(),
    row("run.start", "@timestamp", Time).required(),
    row("", "ecs.version", Raw("\"9.4.0\"")).required(),
    row("definition.title", "message", Text),
    row("", "event.kind", Raw("\"event\"")),
    row("finding.kind", "event.category[]", Words(CATEGORY)).required(),
    row("", "event.type[]", Raw("\"info\"")),
    row("", "event.module", Raw("\"scanbridge\"")),
    row("", "event.dataset", Raw("\"scanbridge.finding\"")),
    row("finding.unique_id", "event.id", Text).required(),
    row("", "event.id", Identity).required(),
    row("finding.severity", "event.severity", Native),
    row("finding.first_found", "event.start", Time),
    row("finding.last_fixed", "event.end", Time).when(When::Fixed),
    row("definition.cves", "vulnerability.id[]", Each(&Text)),
    row("finding.cves", "vulnerability.id[]", Each(&Text)),
    row("definition.cves", "vulnerability.enumeration", Raw("\"CVE\"")),
    row("finding.cves", "vulnerability.enumeration", Raw("\"CVE\"")),
    row("definition.cvss4_base", "vulnerability.classification", Raw("\"CVSS\"")),
    row("definition.cvss3_base", "vulnerability.classification", Raw("\"CVSS\"")),
    row("definition.cvss_base", "vulnerability.classification", Raw("\"CVSS\"")),
    row("definition.cvss4_base", "vulnerability.score", CVSS_4),
    row("definition.cvss3_base", "vulnerability.score", CVSS_3),
    row("definition.cvss_base", "vulnerability.score", CVSS_2),
    row("finding.severity", "vulnerability.severity", Words(SEVERITY)),
    row("finding.status", "vulnerability.status", Words(STATUS)),
    row("definition.category", "vulnerability.category[]", Text),
    row("definition.diagnosis", "vulnerability.description", Plain),
    row("definition.vendor_references", "vulnerability.reference", First(&Part(1))),
    row("report.id", "vulnerability.report_id", Text),
    row("report.vendor", "vulnerability.scanner.vendor", Text),
    row("definition.qid", "rule.id", Text),
    row("definition.id", "rule.id", Text),
    row("definition.title", "rule.name", Text),
    row("definition.category", "rule.category", Text),
    row("asset.address", "host.ip[]", Ip),
    row("asset.ipv6", "host.ip[]", Ip),
    row("asset.interfaces", "host.ip[]", Each(&Ip)),
    row("asset.cloud_public_address", "host.ip[]", Ip),
    row("asset.cloud_private_address", "host.ip[]", Ip),
    row("asset.macs", "host.mac[]", Each(&Mac { hyphens: true })),
    row("asset.fqdn", "host.name", Text),
    row("asset.dns", "host.name", Text),
    row("asset.hostname", "host.hostname", Text),
    row("asset.os_hostname", "host.hostname", Text),
    row("asset.netbios", "host.hostname", Text),
    row("asset.domain", "host.domain", Text),
    row("asset.os", "host.os.full", Text),
    row("asset.id", "host.id", Text),
    row("asset.cloud_provider", "cloud.provider", Text),
    row("asset.cloud_account", "cloud.account.id", Text),
    row("asset.cloud_region", "cloud.region", Text),
    row("asset.cloud_zone", "cloud.availability_zone", Text),
    row("asset.cloud_id", "cloud.instance.id", Text),
    row("asset.cloud_instance_type", "cloud.machine.type", Text),
    row("asset.cloud_service", "cloud.service.name", Text),
    row("finding.protocol", "network.transport", Text),
    row("asset.address", "related.ip[]", Ip),
    row("asset.ipv6", "related.ip[]", Ip),
    row("asset.interfaces", "related.ip[]", Each(&Ip)),
    row("asset.cloud_public_address", "related.ip[]", Ip),
    row("asset.cloud_private_address", "related.ip[]", Ip),
    row("asset.fqdn", "related.hosts[]", Text),
    row("asset.dns", "related.hosts[]", Text),
    row("asset.hostname", "related.hosts[]", Text),
    row("asset.os_hostname", "related.hosts[]", Text),
    row("asset.netbios", "related.hosts[]", Text),
    row("asset.cloud_public_dns", "related.hosts[]", Text),
    row("asset.cloud_private_dns", "related.hosts[]", Text),
    row("report.vendor", "observer.vendor", Text),
    row("report.scanner_version", "observer.version", Text),
    row("finding.attack_tactics", "threat.framework", Raw(ATTACK)),
    row("finding.attack_techniques", "threat.framework", Raw(ATTACK)),
    row("finding.attack_tactics", "threat.tactic.id[]", Each(&Part(0))),
    row("finding.attack_tactics", "threat.tactic.name[]", Each(&Part(1))),
    row("finding.attack_techniques", "threat.technique.id[]", Each(&Part(0))),
    row("finding.attack_techniques", "threat.technique.name[]", Each(&Part(1))),
];

const ALSO_IN_REST: &[&str] = &[
    "report.time",
    "asset.last_scan",
    "asset.cloud_public_address",
    "asset.cloud_private_address",
    "asset.cloud_public_dns",
    "asset.cloud_private_dns",
    "finding.kind",
    "finding.status",
    "finding.first_found",
    "finding.last_found",
    "finding.last_fixed",
    "definition.vendor_references",
    "definition.cvss_base",
    "definition.cvss_temporal",
    "definition.cvss3_base",
    "definition.cvss3_temporal",
    "definition.cvss3_version",
    "definition.cvss4_base",
    "definition.cvss4_version",
];

const CATEGORY: &[(&str, &str)] =
    &[("vulnerability", "\"vulnerability\""), ("potential", "\"vulnerability\""), ("*", "\"host\"")];
/// ECS has no word for findings that users ignore or that are disabled; their own word is in the rest.
const STATUS: &[(&str, &str)] = &[
    ("", "\"open\""),
    ("New", "\"open\""),
    ("Active", "\"open\""),
    ("Re-Opened", "\"reopened\""),
    ("Fixed", "\"fixed\""),
    ("*", "\"unknown\""),
];
const ATTACK: &str = "\"MITRE ATT&CK\"";

// The model has no version of CVSS 2 and no temporal score of CVSS 4.
const CVSS_2: Form =
    EcsScore { columns: &["definition.cvss_temporal", "definition.cvss_version"], version: "2.0" };
const CVSS_3: Form =
    EcsScore { columns: &["definition.cvss3_temporal", "definition.cvss3_version"], version: "3.0" };
const CVSS_4: Form =
    EcsScore { columns: &["definition.cvss4_temporal", "definition.cvss4_version"], version: "4.0" };
