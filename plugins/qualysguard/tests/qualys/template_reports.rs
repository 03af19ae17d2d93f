//! Source `template-report`.

use scanbridge_doubles::fake_qualys::{Reply, Script};
use scanbridge_fixtures::good;
use serde_json::json;

use crate::drive::{Bench, PASSWORD};

pub(crate) fn template_report() -> Vec<u8> {
    std::fs::read(good("template-report.xml")).unwrap()
}

pub(crate) fn listed(id: &str, state: &str) -> Reply {
    Reply::xml(format!(
        "<?xml version=\"1.0\"?>\n<REPORT_LIST_OUTPUT><RESPONSE><DATETIME>2026-04-01T00:00:00Z</DATETIME>\
         <REPORT_LIST><REPORT><ID>{id}</ID><TITLE><![CDATA[Front row]]></TITLE><TYPE>Scan</TYPE>\
         <LAUNCH_DATETIME>2026-04-01T00:00:00Z</LAUNCH_DATETIME><OUTPUT_FORMAT>XML</OUTPUT_FORMAT><SIZE>129.1 MB</SIZE>\
         <STATUS><STATE>{state}</STATE><PERCENT>40</PERCENT></STATUS></REPORT></REPORT_LIST></RESPONSE></REPORT_LIST_OUTPUT>"
    ))
}

/// Launch 77, running once, then finished; fetched after one 7001; deleted.
pub(crate) fn whole_story() -> Script {
    Script::new()
        .on("POST /api/2.0/fo/report/ action=launch", [Reply::simple("New report launched", &[("ID", "77")])])
        .on("action=list id=77", [listed("77", "Running"), listed("77", "Finished")])
        .on(
            "action=fetch id=77",
            [
                Reply::code(200, 7001, "Report cannot be fetched."),
                Reply::new(200, "application/xml", template_report()),
            ],
        )
        .on("action=delete id=77", [Reply::simple("Report deleted", &[("ID", "77")])])
}

#[test]
fn a_report_is_launched_waited_for_fetched_and_deleted() {
    let bench = Bench::new(whole_story());
    let told = bench.run().unwrap();
    let report = told.only_report();
    assert_eq!((report.assets.len(), report.findings.len()), (3, 8));
    assert_eq!(report.start.id, "77");
    assert_eq!(report.start.kind, "ASSET_DATA_REPORT");
    assert_eq!(report.start.hints.add_host, Some(false));
    assert_eq!(report.start.path, format!("{}/api/2.0/fo/report/?action=fetch&id=77", bench.qualys.url()));
    let lines: Vec<String> = bench.qualys.requests().iter().map(|request| request.line()).collect();
    assert_eq!(
        lines,
        [
            "POST /api/2.0/fo/report/ action=launch template_id=424242 output_format=xml",
            "POST /api/2.0/fo/report/ action=list id=77",
            "POST /api/2.0/fo/report/ action=list id=77",
            "POST /api/2.0/fo/report/ action=fetch id=77",
            "POST /api/2.0/fo/report/ action=fetch id=77",
            "POST /api/2.0/fo/report/ action=delete id=77",
        ]
    );
    let first = &bench.qualys.requests()[0];
    assert!(first.header("x-requested-with").is_some());
    let login = first.header("authorization").unwrap();
    // Independent of the product: what `base64` makes of user and password.
    assert_eq!(login, "Basic ZGlya19nOnBAc3M6IHcjcmQmKyU=");
    assert!(!format!("{told:?}").contains(PASSWORD));
    let left = std::fs::read_dir(bench.state().join("reports")).unwrap().count();
    assert_eq!(left, 0, "the fetched report is not kept");
}

#[test]
fn only_assets_in_the_ranges_are_handed_on() {
    let all = Bench::new(whole_story()).run().unwrap();
    let first = all.only_report().assets[0]["address"].clone();
    let bench = Bench::new(whole_story()).with(json!({ "ip_ranges": [first] }));
    let told = bench.run().unwrap();
    let report = told.only_report();
    assert_eq!(report.assets.len(), 1);
    let wanted = all.findings().into_iter().filter(|finding| finding["asset"] == first).count();
    assert_eq!(report.findings.len(), wanted);
    assert!(wanted > 0);
}
