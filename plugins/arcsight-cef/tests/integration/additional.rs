//! Additional data: any column of a report in an event.

use scanbridge_plugin_api::model::{AssetField as A, DefinitionField as D};
use serde_json::json;

use crate::case::{Filling, event_of, scan, text_of};
use crate::reader;

const ASSET: &[(A, &str)] = &[(A::Address, "192.0.2.1")];

#[test]
fn additional_fields_are_readable_and_last() {
    let asset = [
        (A::Address, "192.0.2.1"),
        (A::Owner, "ops = team"),
        (A::Tags, "prod\nweb"),
        (A::CloudTags, "env\tprod\t2026-01-01T00:00:00Z\nrole\tweb"),
    ];
    let definition = [
        (D::Id, "1"),
        (D::Solution, "<p>fix"),
        (D::Software, "Apache\thttpd\nnginx\t"),
        (D::Exploits, "Core\tCVE-1\tread\thttps://x.example.com"),
    ];
    let cells = [
        ("kind", "vulnerability"),
        ("port", "443"),
        ("ssl", "1"),
        ("risk_factors", "epss\t0.9\nRTI\tActive"),
        ("facts", "port\t22\ttcp\t\t"),
    ];
    let batch = || Filling::default().asset(&asset).finding(&definition, &cells).done();
    let names = [
        "finding.ssl",
        "asset.tags",
        "definition.software",
        "finding.risk_factors",
        "asset.owner",
        "report.title",
        "asset.cloud_tags",
        "definition.solution",
        "definition.exploits",
        "finding.ticket",
    ];
    let report = scan().with_title("weekly");
    for (profile, prefix) in [("arcsight", "ad."), ("generic", "QualysQualys")] {
        let options = json!({ "profile": profile, "additional_fields": names });
        let text = text_of(options, &report, &[batch()]);
        let event = reader::read(text.lines().next().unwrap()).unwrap();
        let added = event.extension.iter().skip_while(|(key, _)| !key.ends_with("ExpltDescription")).skip(1);
        let added: Vec<_> =
            added.map(|(key, value)| (key.strip_prefix(prefix).unwrap(), value.as_str())).collect();
        assert_eq!(
            added,
            [
                ("ReportTitle", "weekly"),
                ("AssetTags", "prod, web"),
                ("AssetOwner", "ops = team"),
                ("AssetCloudTags", "name env, value prod, time 2026-01-01T00:00:00Z; name role, value web"),
                ("DefinitionSoftware", "Apache: httpd; nginx"),
                ("DefinitionSolution", "fix"),
                (
                    "DefinitionExploits",
                    "source Core, reference CVE-1, description read, link https://x.example.com"
                ),
                ("FindingSsl", "1"),
                ("FindingRiskFactors", "epss: 0.9; RTI: Active"),
            ]
        );
        // Derived events have those of the report and of the asset.
        let port = reader::read(text.lines().nth(1).unwrap()).unwrap();
        let keys: Vec<_> =
            port.keys().into_iter().filter_map(|key| key.strip_prefix(prefix)).map(str::to_owned).collect();
        assert_eq!(keys, ["ReportTitle", "AssetTags", "AssetOwner", "AssetCloudTags"]);
    }
}

/// Each at most 1,023 bytes, all together 8,000; what is truncated or left out is marked.
#[test]
fn additional_fields_have_limits() {
    let long = "x=".repeat(2000);
    let fields = [
        A::Owner,
        A::Comments,
        A::CloudRegion,
        A::CloudZone,
        A::CloudGroup,
        A::CloudImage,
        A::SerialNumber,
        A::HardwareUuid,
        A::AgentStatus,
    ];
    let names = [
        "owner",
        "comments",
        "cloud_region",
        "cloud_zone",
        "cloud_group",
        "cloud_image",
        "serial_number",
        "hardware_uuid",
        "agent_status",
    ];
    let mut asset: Vec<_> = fields.map(|field| (field, long.as_str())).to_vec();
    asset.push((A::Address, "192.0.2.1"));
    let batch = Filling::default().asset(&asset).finding(&[(D::Id, "1")], &[("kind", "service")]).done();
    let options = json!({ "additional_fields": names.map(|name| format!("asset.{name}")) });
    let event = event_of(options, batch);
    let added: Vec<_> = event.extension.iter().filter(|(key, _)| key.starts_with("ad.")).collect();
    let bytes = |text: &str| text.len() + text.matches('=').count();
    assert!(added.iter().all(|(_, value)| value.ends_with("...") && (1019..=1023).contains(&bytes(value))));
    let all: usize = added.iter().map(|(key, value)| key.len() + bytes(value) + 2).sum();
    assert!(added.len() == 7 && all <= 8000, "{} fields of {all} bytes", added.len());
    assert_eq!(event.get("ScanbridgeTruncated"), Some("additionalFields"));
}

/// Columns that an input adds are found by name, in the reports that have them.
#[test]
fn own_columns_can_be_additional_fields() {
    use scanbridge_plugin_api::batch::{
        AssetRow, BatchBuilder, ColumnType, DefinitionRow, FindingRow, Schema,
    };
    use scanbridge_plugin_api::model::{AssetField, FindingKind};
    let mut schema = Schema::default();
    let rack = schema.add_column::<AssetField>("acme:rack", ColumnType::List, "").unwrap();
    let report = scan().with_schema(schema);
    let mut batch = BatchBuilder::new(&report.schema);
    let mut asset = AssetRow::default();
    asset.set(AssetField::Address, "192.0.2.1");
    asset.set_own(rack, "1\n2");
    let asset = batch.push_asset(&asset, false);
    let definition = batch.push_definition(&DefinitionRow::default());
    let mut finding = FindingRow::default();
    finding.set_kind(FindingKind::Service);
    batch.push_finding(asset, definition, &finding);
    let options = json!({ "additional_fields": ["asset.acme:rack"] });
    let text = text_of(options.clone(), &report, &[batch.finish()]);
    assert!(text.ends_with(" ad.AssetAcmeRack=1, 2\n"), "{text}");
    let other = Filling::default().asset(ASSET).finding(&[(D::Id, "1")], &[("kind", "service")]).done();
    assert!(!text_of(options, &scan(), &[other]).contains("Rack"));
}
