//! OCSF 1.8.0, class Vulnerability Finding (2002). The choices are explained in docs/decisions/standard-json.md.

use crate::form::Form;
use crate::form::Form::{
    AnyOf, Each, First, Identity, Ip, Mac, Millis, Native, OcsfScore, Os, Paired, Part, Parts, Plain,
    Prefixed, Raw, Text, Uuid, Words, Wrapped,
};
use crate::form::Presence::{Always, Optional, Required};
use crate::mapping::{Mapping, Row, row};
use crate::source::{CVE, When};

pub(crate) const MAPPING: Mapping = Mapping {
    rows: ROWS,
    rest: "unmapped",
    also_in_rest: ALSO_UNMAPPED,
    needs: &[
        ("device", &["ip", "uid", "name", "hostname", "instance_uid"]),
        ("device.os", &["name"]),
        ("resources[0]", &["uid", "name"]),
        ("cloud", &["provider"]),
        ("ticket", &["uid"]),
    ],
    only_vulnerabilities: true,
};

const ROWS: &[Row] = &[
    row("", "class_uid", Raw("2002")).required(),
    row("", "category_uid", Raw("2")).required(),
    row("finding.status", "type_uid", Words(TYPE)).required(),
    row("finding.status", "activity_id", Words(ACTIVITY)).required(),
    row("finding.severity", "severity_id", Words(SEVERITY_ID)).required(),
    row("finding.severity", "severity", Words(SEVERITY)).required(),
    row("finding.last_found", "time", Millis).required(),
    row("asset.last_scan", "time", Millis).required(),
    row("report.time", "time", Millis).required(),
    row("run.start", "time", Millis).required(),
    row("definition.title", "message", Text),
    row("finding.status", "status_id", Words(STATUS_ID)).required(),
    row("finding.status", "status", Words(STATUS)).required(),
    row("finding.status", "status", Text).required(),
    row("finding.status", "status_code", Text),
    row("finding.reported_status", "status_code", Text),
    row("finding.kind", "confidence_id", Words(CONFIDENCE_ID)),
    row("finding.kind", "confidence", Words(CONFIDENCE)),
    row("finding.severity", "vendor_attributes.severity", Text),
    row("finding.last_fixed", "end_time", Millis).when(When::Fixed),
    row("", "metadata.version", Raw("\"1.8.0\"")).required(),
    row("report.product", "metadata.product.name", Text).required(),
    row("report.vendor", "metadata.product.vendor_name", Text),
    row("report.scanner_version", "metadata.product.version", Text),
    row("asset.cloud_provider", "metadata.profiles[]", Raw("\"cloud\"")),
    row("finding.ticket", "metadata.profiles[]", Raw("\"incident\"")),
    row("definition.qid", "metadata.event_code", Text),
    row("definition.id", "metadata.event_code", Text),
    row("report.id", "metadata.correlation_uid", Text),
    row("report.title", "metadata.log_name", Text),
    row("report.time", "metadata.original_time", Text),
    row("report.path", "metadata.source", Text),
    row("finding.unique_id", "finding_info.uid", Text).required(),
    row("", "finding_info.uid", Identity).required(),
    row("definition.title", "finding_info.title", Text),
    row("definition.diagnosis", "finding_info.desc", Plain),
    row("finding.kind", "finding_info.types[]", Text),
    row("", "finding_info.analytic.type_id", Raw("1")).required(),
    row("definition.qid", "finding_info.analytic.uid", Text).required(),
    row("definition.id", "finding_info.analytic.uid", Text).required(),
    row("definition.title", "finding_info.analytic.name", Text),
    row("finding.first_found", "finding_info.first_seen_time", Millis),
    row("finding.last_found", "finding_info.last_seen_time", Millis),
    row("finding.last_updated", "finding_info.modified_time", Millis),
    row("finding.attack_tactics", "finding_info.attacks[]", Each(&Wrapped("tactic", &ID_AND_NAME))),
    row("finding.attack_techniques", "finding_info.attacks[]", Each(&Wrapped("technique", &ID_AND_NAME))),
    row("finding.detection_sources", "finding_info.data_sources[]", Each(&Text)),
    row(CVE, "vulnerabilities[cve].cve.uid", Text).when(When::Cve).required(),
    row("definition.cvss_base", "vulnerabilities[cve].cve.cvss[]", CVSS_2).when(When::Cve),
    row("definition.cvss3_base", "vulnerabilities[cve].cve.cvss[]", CVSS_3).when(When::Cve),
    row("definition.cvss4_base", "vulnerabilities[cve].cve.cvss[]", CVSS_4).when(When::Cve),
    row("finding.epss", "vulnerabilities[cve].cve.epss.score", Text).when(When::OneCve),
    row("definition.qid", "vulnerabilities[cve].advisory.uid", Prefixed("QID-")).when(When::NoCve).required(),
    row("definition.id", "vulnerabilities[cve].advisory.uid", Text).when(When::NoCve).required(),
    row("definition.title", "vulnerabilities[cve].advisory.title", Text).when(When::NoCve),
    row("definition.published", "vulnerabilities[cve].advisory.created_time", Millis).when(When::NoCve),
    row("definition.last_update", "vulnerabilities[cve].advisory.modified_time", Millis).when(When::NoCve),
    row("definition.title", "vulnerabilities[cve].title", Text),
    row("definition.category", "vulnerabilities[cve].category", Text),
    row("finding.severity", "vulnerabilities[cve].severity", Text),
    row("definition.diagnosis", "vulnerabilities[cve].desc", Plain),
    row("definition.solution", "vulnerabilities[cve].remediation.desc", Plain),
    row("definition.vendor_references", "vulnerabilities[cve].references[]", Each(&Part(1))),
    row("definition.patchable", "vulnerabilities[cve].is_fix_available", Native),
    row("definition.exploits", "vulnerabilities[cve].is_exploit_available", Raw("true")),
    row("finding.known_exploited", "vulnerabilities[cve].is_exploit_available", Words(&[("1", "true")])),
    row("finding.exploit_maturity", "vulnerabilities[cve].is_exploit_available", AnyOf(EXPLOITS, "true")),
    row("finding.threat_indicators", "vulnerabilities[cve].is_exploit_available", AnyOf(EXPLOITS, "true")),
    row("definition.exploits", "vulnerabilities[cve].exploit_ref_url", First(&Part(3))),
    row("finding.first_found", "vulnerabilities[cve].first_seen_time", Millis),
    row("finding.last_found", "vulnerabilities[cve].last_seen_time", Millis),
    row("", "device.type_id", Raw("0")).required(),
    row("asset.address", "device.ip", Ip),
    row("asset.ipv6", "device.ip", Ip),
    row("asset.fqdn", "device.hostname", Text),
    row("asset.dns", "device.hostname", Text),
    row("asset.netbios", "device.name", Text),
    row("asset.os_hostname", "device.name", Text),
    row("asset.hostname", "device.name", Text),
    row("asset.id", "device.uid", Text),
    row("asset.asset_id", "device.uid", Text),
    row("asset.agent_id", "device.uid", Text),
    row("asset.macs", "device.uid", First(&Text)),
    row("asset.asset_id", "device.uid_alt", Text),
    row("asset.macs", "device.mac", First(&Mac { hyphens: false })),
    row("asset.ipv6", "device.network_interfaces[]", Wrapped("ip", &Ip)),
    row("asset.interfaces", "device.network_interfaces[]", Each(&Wrapped("ip", &Ip))),
    row("asset.macs", "device.network_interfaces[]", Each(&Wrapped("mac", &Mac { hyphens: false }))),
    row("asset.domain", "device.domain", Text),
    row("asset.os", "device.os.name", Text),
    row("asset.os", "device.os.type_id", Os(OS_TYPE_ID)),
    row("asset.os", "device.os.type", Os(OS_TYPE)),
    row("asset.os", "device.os.type", Text),
    row("asset.os_cpe", "device.os.cpe_name", Text),
    row("asset.agent_id", "device.agent_list[0].uid", Text),
    row("asset.groups", "device.groups[]", Paired(&["asset.group_ids"])),
    row("asset.cloud_region", "device.region", Text),
    row("asset.cloud_id", "device.instance_uid", Text),
    row("asset.cloud_image", "device.image.uid", Text),
    row("asset.risk_score", "device.risk_score", Native),
    row("asset.first_found", "device.first_seen_time", Millis),
    row("asset.last_scan", "device.last_seen_time", Millis),
    row("asset.last_boot", "device.boot_time", Millis),
    row("asset.serial_number", "device.hw_info.serial_number", Text),
    row("asset.hardware_uuid", "device.hw_info.uuid", Uuid),
    row("", "resources[0].type", Raw("\"Host\"")).required(),
    row("asset.id", "resources[0].uid", Text),
    row("asset.netbios", "resources[0].name", Text),
    row("asset.os_hostname", "resources[0].name", Text),
    row("asset.hostname", "resources[0].name", Text),
    row("asset.fqdn", "resources[0].name", Text),
    row("asset.dns", "resources[0].name", Text),
    row("asset.address", "resources[0].name", Text),
    row("asset.ipv6", "resources[0].name", Text),
    row("asset.asset_id", "resources[0].name", Text),
    row("asset.agent_id", "resources[0].name", Text),
    row("asset.cloud_id", "resources[0].name", Text),
    row("asset.macs", "resources[0].name", First(&Text)),
    row("asset.address", "resources[0].ip", Ip),
    row("asset.ipv6", "resources[0].ip", Ip),
    row("asset.fqdn", "resources[0].hostname", Text),
    row("asset.dns", "resources[0].hostname", Text),
    row("asset.agent_id", "resources[0].agent_list[0].uid", Text),
    row("asset.network_id", "resources[0].namespace", Text),
    row("asset.tags", "resources[0].labels[]", Each(&Text)),
    row("asset.cloud_tags", "resources[0].tags[]", Each(&NAME_AND_VALUE)),
    row("asset.owner", "resources[0].owner.name", Text),
    row("asset.criticality", "resources[0].criticality", Text),
    row("asset.cloud_provider", "resources[0].provider", Text),
    row("asset.cloud_region", "resources[0].region", Text).when(When::Cloud),
    row("asset.cloud_zone", "resources[0].zone", Text).when(When::Cloud),
    row("asset.cloud_provider", "cloud.provider", Text),
    row("asset.cloud_account", "cloud.account.uid", Text),
    row("asset.cloud_region", "cloud.region", Text),
    row("asset.cloud_zone", "cloud.zone", Text),
    row("finding.ticket", "ticket.uid", Text),
    row("finding.ticket_state", "ticket.status", Text),
];

const ALSO_UNMAPPED: &[&str] = &[
    "asset.os_cpe",
    "asset.cloud_account",
    "asset.cloud_zone",
    "asset.cloud_tags",
    "asset.hardware_uuid",
    "asset.dns",
    "asset.os_hostname",
    "asset.hostname",
    "finding.reported_status",
    "finding.last_fixed",
    "finding.epss",
    "finding.known_exploited",
    "finding.exploit_maturity",
    "finding.threat_indicators",
    "finding.ticket_state",
    "definition.vendor_references",
    "definition.cvss_base",
    "definition.cvss_temporal",
    "definition.cvss_vector",
    "definition.cvss_source",
    "definition.cvss3_base",
    "definition.cvss3_temporal",
    "definition.cvss3_vector",
    "definition.cvss3_source",
    "definition.cvss3_version",
    "definition.cvss4_base",
    "definition.cvss4_vector",
    "definition.cvss4_source",
    "definition.cvss4_version",
    "definition.last_update",
    "definition.published",
    "definition.exploits",
];

/// Fixed, ignored and disabled findings are closed.
const ACTIVITY: &[(&str, &str)] =
    &[("New", "1"), ("Fixed", "3"), ("Ignored", "3"), ("Disabled", "3"), ("", "2"), ("*", "2")];
const TYPE: &[(&str, &str)] = &[
    ("New", "200201"),
    ("Fixed", "200203"),
    ("Ignored", "200203"),
    ("Disabled", "200203"),
    ("", "200202"),
    ("*", "200202"),
];
const STATUS_ID: &[(&str, &str)] =
    &[("New", "1"), ("Fixed", "4"), ("Ignored", "3"), ("Disabled", "3"), ("", "0"), ("*", "99")];
/// The captions of the numbers; for 99 the word itself is written.
const STATUS: &[(&str, &str)] = &[
    ("New", "\"New\""),
    ("Fixed", "\"Resolved\""),
    ("Ignored", "\"Suppressed\""),
    ("Disabled", "\"Suppressed\""),
    ("", "\"Unknown\""),
];
const SEVERITY_ID: &[(&str, &str)] = &[("", "0"), ("1", "1"), ("2", "2"), ("3", "3"), ("4", "4"), ("5", "5")];
pub(crate) const SEVERITY: &[(&str, &str)] = &[
    ("", "\"Unknown\""),
    ("1", "\"Informational\""),
    ("2", "\"Low\""),
    ("3", "\"Medium\""),
    ("4", "\"High\""),
    ("5", "\"Critical\""),
];
const CONFIDENCE_ID: &[(&str, &str)] = &[("vulnerability", "3"), ("potential", "1")];
const CONFIDENCE: &[(&str, &str)] = &[("vulnerability", "\"High\""), ("potential", "\"Low\"")];

const OS_TYPE_ID: &[(&str, &str)] = &[
    ("Windows", "100"),
    ("Linux", "200"),
    ("macOS", "300"),
    ("Mac", "300"),
    ("Solaris", "400"),
    ("SunOS", "400"),
    ("AIX", "401"),
    ("HP-UX", "402"),
    ("*", "99"),
];
/// The captions of the numbers; for 99 the system itself is written.
const OS_TYPE: &[(&str, &str)] = &[
    ("Windows", "\"Windows\""),
    ("Linux", "\"Linux\""),
    ("macOS", "\"macOS\""),
    ("Mac", "\"macOS\""),
    ("Solaris", "\"Solaris\""),
    ("SunOS", "\"Solaris\""),
    ("AIX", "\"AIX\""),
    ("HP-UX", "\"HP-UX\""),
];

/// Words for exploits that are public.
const EXPLOITS: &[&str] = &["poc", "weaponized"];

const ID_AND_NAME: Form = Parts(&[(0, "uid", Optional), (1, "name", Optional)]);
const NAME_AND_VALUE: Form = Parts(&[(0, "name", Required), (1, "value", Always)]);

const CVSS_2: Form = OcsfScore {
    columns: &[
        "definition.cvss_temporal",
        "definition.cvss_vector",
        "definition.cvss_source",
        // The model has no such column.
        "definition.cvss_version",
        "report.vendor",
    ],
    version: "2.0",
};
const CVSS_3: Form = OcsfScore {
    columns: &[
        "definition.cvss3_temporal",
        "definition.cvss3_vector",
        "definition.cvss3_source",
        "definition.cvss3_version",
        "report.vendor",
    ],
    version: "3.0",
};
const CVSS_4: Form = OcsfScore {
    columns: &[
        // The model has no such column.
        "definition.cvss4_temporal",
        "definition.cvss4_vector",
        "definition.cvss4_source",
        "definition.cvss4_version",
        "report.vendor",
    ],
    version: "4.0",
};
