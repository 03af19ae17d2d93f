//! Source `template-report`.

use std::sync::Mutex;

use scanbridge_doubles::fake_qualys::{ReceivedRequest, Reply, Script};
use scanbridge_fixtures::good;
use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::{CheckpointRequest, ErrorKind, Event, Input, Position};
use scanbridge_qualysguard::QualysGuard;
use serde_json::json;

use crate::drive::{Bench, Outcome, PASSWORD, bytes_read, finish, step};

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

/// Launches report 77; it is running once, then finished; it is downloaded after one 7001, then deleted.
pub(crate) fn complete_run() -> Script {
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

/// The requests; of a unique title only the constant part.
fn lines(bench: &Bench) -> Vec<String> {
    let lines = bench.qualys.requests().into_iter().map(|request| {
        let line = request.line();
        let title = line.find("report_title=Scanbridge ").map(|at| at + "report_title=Scanbridge".len());
        line[..title.unwrap_or(line.len())].to_owned()
    });
    lines.collect()
}

#[test]
fn report_is_launched_awaited_downloaded_and_deleted() {
    let bench = Bench::new(complete_run());
    let outcome = bench.run().unwrap();
    let report = outcome.only_report();
    assert_eq!((report.assets.len(), report.findings.len()), (3, 8));
    assert_eq!(report.start.id, "77");
    assert_eq!(report.start.kind, "ASSET_DATA_REPORT");
    assert_eq!(report.start.hints.flag("host-input.add_host"), Some(false));
    assert_eq!(report.start.path, format!("{}/api/2.0/fo/report/?action=fetch&id=77", bench.qualys.url()));
    let lines = lines(&bench);
    assert_eq!(
        lines,
        [
            "POST /api/2.0/fo/report/ action=launch template_id=424242 output_format=xml report_title=Scanbridge",
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
    // Computed with the command `base64`, independently of the product.
    assert_eq!(login, "Basic ZGlya19nOnBAc3M6IHcjcmQmKyU=");
    assert!(!format!("{outcome:?}").contains(PASSWORD));
    let left = std::fs::read_dir(bench.state().join("reports")).unwrap().count();
    assert_eq!(left, 0, "the downloaded report is removed");
}

#[test]
fn only_assets_in_ip_ranges_are_delivered() {
    let unfiltered = Bench::new(complete_run());
    let all = unfiltered.run().unwrap();
    let first = all.only_report().assets[0]["address"].clone();
    let bench = Bench::new(complete_run()).with(json!({ "ip_ranges": [first] }));
    let outcome = bench.run().unwrap();
    let report = outcome.only_report();
    assert_eq!(report.assets.len(), 1);
    let wanted = all.findings().into_iter().filter(|finding| finding["asset"] == first).count();
    assert_eq!(report.findings.len(), wanted);
    assert!(wanted > 0);
    // The download does not change.
    assert_eq!(lines(&bench), lines(&unfiltered));
}

/// Launches a report and begins to deliver it. Returns the last position.
pub(crate) fn begin_report(input: &mut QualysGuard) -> Position {
    let mut outcome = Outcome::default();
    while outcome.reports.is_empty() {
        assert!(step(input, &mut outcome).unwrap());
    }
    outcome.last_position().unwrap().clone()
}

/// A launch and its ID are stored in a checkpoint before the input continues: neither a lost response nor a kill
/// launches a report twice.
#[test]
fn launch_is_stored_before_it_is_requested_and_before_the_wait() {
    let bench = Bench::new(complete_run());
    let mut input = bench.open(None).unwrap();
    for (launches, key) in [(0, "launched:title:Scanbridge "), (1, "launched:77")] {
        let step = input.next(BatchBuilder::default()).unwrap();
        assert!(matches!(step.event, Event::Mark), "{step:?}");
        assert_eq!(step.checkpoint, CheckpointRequest::NowAndWait);
        assert!(step.position.is_some_and(|position| !position.0.is_empty()));
        assert_eq!(bench.qualys.count("action=launch"), launches);
        assert!(bench.keys().keys().any(|name| name.starts_with(key)), "{:?}", bench.keys());
    }
}

#[test]
fn obsolete_report_of_an_interrupted_run_is_deleted() {
    let mut bench = Bench::new(complete_run());
    let mut input = bench.open(None).unwrap();
    begin_report(&mut input);
    drop(input);
    bench.set(json!({ "report_id": 77 }));
    bench.run().unwrap().only_report();
    assert_eq!(bench.qualys.count("action=delete id=77"), 1);
}

#[test]
fn interrupted_report_is_resumed_at_the_asset() {
    // Large assets, so that the report has several batches.
    let result = "x".repeat(40 << 10);
    let text = String::from_utf8(template_report()).unwrap();
    let (head, rest) = text.split_once("<HOST_LIST>").unwrap();
    let (hosts, tail) = rest.split_once("</HOST_LIST>").unwrap();
    let many: String = (1..=60)
        .map(|index| {
            format!(
                "<HOST><IP>192.0.2.{index}</IP><TRACKING_METHOD>IP</TRACKING_METHOD><VULN_INFO_LIST><VULN_INFO>\
                 <QID id=\"qid_38628\">38628</QID><TYPE>Vuln</TYPE><RESULT><![CDATA[{result}]]></RESULT>\
                 </VULN_INFO></VULN_INFO_LIST></HOST>"
            )
        })
        .collect();
    let report = format!("{head}<HOST_LIST>{hosts}{many}</HOST_LIST>{tail}");
    let script = || Script::new().on("", [Reply::xml(report.clone())]);
    let complete = Bench::new(script()).with(json!({ "report_id": 5 })).run().unwrap();
    let complete = complete.only_report();
    let bench = Bench::new(script()).with(json!({ "report_id": 5 }));
    let mut input = bench.open(None).unwrap();
    let mut outcome = Outcome::default();
    for _ in 0..3 {
        assert!(step(&mut input, &mut outcome).unwrap());
    }
    drop(input);
    let (position, delivered) = outcome.positions.last().cloned().unwrap();
    assert!(!position.0.is_empty() && delivered < complete.findings.len());
    let rest = finish(&mut bench.open(Some(&position)).unwrap()).unwrap();
    let rest = rest.only_report();
    assert!(rest.continued);
    let joined: Vec<_> = outcome.reports[0].findings[..delivered].iter().chain(&rest.findings).collect();
    assert_eq!(joined, complete.findings.iter().collect::<Vec<_>>());
    assert_eq!(bench.qualys.requests().len(), 1, "nothing is downloaded again");

    // A run that resumes after 60 % of the findings reads only the rest of the file, and its end.
    let mut input = bench.open(None).unwrap();
    let (total, _) = bytes_read(|| finish(&mut input).unwrap());
    let mut input = bench.open(None).unwrap();
    let mut outcome = Outcome::default();
    while outcome.positions.last().is_none_or(|(_, findings)| 10 * findings < 6 * complete.findings.len()) {
        assert!(step(&mut input, &mut outcome).unwrap());
    }
    drop(input);
    let (position, _) = outcome.positions.last().cloned().unwrap();
    let (read, rest) = bytes_read(|| finish(&mut bench.open(Some(&position)).unwrap()).unwrap());
    assert!(rest.only_report().continued);
    assert!(100 * read <= 45 * total, "{read} of {total} bytes");

    // A changed file is not resumed.
    let file = std::fs::read_dir(bench.state().join("reports")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, report.replace("192.0.2.7<", "192.0.2.8<")).unwrap();
    let restarted = finish(&mut bench.open(Some(&position)).unwrap()).unwrap();
    let restarted = restarted.only_report();
    assert!(!restarted.continued);
    assert_eq!(restarted.findings.len(), complete.findings.len());
}

#[test]
fn several_templates_or_the_newest_report() {
    let list = "<REPORT_LIST_OUTPUT><RESPONSE><REPORT_LIST>\
        <REPORT><ID>1</ID><TITLE><![CDATA[Front row]]></TITLE><LAUNCH_DATETIME>2026-01-01T00:00:00Z</LAUNCH_DATETIME>\
        <OUTPUT_FORMAT>XML</OUTPUT_FORMAT><STATUS><STATE>Finished</STATE></STATUS></REPORT>\
        <REPORT><ID>2</ID><TITLE><![CDATA[Front row]]></TITLE><LAUNCH_DATETIME>2026-02-01T00:00:00Z</LAUNCH_DATETIME>\
        <OUTPUT_FORMAT>XML</OUTPUT_FORMAT><STATUS><STATE>Finished</STATE></STATUS></REPORT>\
        <REPORT><ID>3</ID><TITLE><![CDATA[Front row]]></TITLE><LAUNCH_DATETIME>2026-03-01T00:00:00Z</LAUNCH_DATETIME>\
        <OUTPUT_FORMAT>PDF</OUTPUT_FORMAT><STATUS><STATE>Finished</STATE></STATUS></REPORT>\
        </REPORT_LIST></RESPONSE></REPORT_LIST_OUTPUT>";
    let templates = "<REPORT_TEMPLATE_LIST><REPORT_TEMPLATE><ID>424242</ID><TYPE>Auto</TYPE>\
        <TITLE><![CDATA[Front row]]></TITLE></REPORT_TEMPLATE></REPORT_TEMPLATE_LIST>";
    let newest = || {
        Script::new()
            .on("GET /msp/report_template_list.php", [Reply::xml(templates)])
            .on("action=list", [Reply::xml(list)])
            .on("action=fetch id=2", [Reply::xml(template_report())])
    };
    for more in [json!({ "report": "newest" }), json!({ "report": "newest", "report_title": "Front row" })] {
        let outcome = Bench::new(newest()).with(more).run().unwrap();
        assert_eq!(outcome.only_report().start.id, "2");
    }
    let none = Bench::new(newest()).with(json!({ "report": "newest", "report_title": "Back row" }));
    assert_eq!(none.fails().kind, ErrorKind::NoInput);

    let two = Script::new()
        .on("action=launch template_id=1", [Reply::simple("New report launched", &[("ID", "71")])])
        .on("action=launch template_id=2", [Reply::simple("New report launched", &[("ID", "72")])])
        .on("action=list id=71", [listed("71", "Finished")])
        .on("action=list id=72", [listed("72", "Finished")])
        .on("action=fetch id=71", [Reply::xml(template_report())])
        .on("action=fetch id=72", [Reply::xml(std::fs::read(good("template-report-no-assets.xml")).unwrap())])
        .on("action=delete", [Reply::simple("Report deleted", &[])]);
    let bench = Bench::new(two).with(json!({ "template_id": ["1", "2"], "target_ips": ["192.0.2.0/24"] }));
    let outcome = bench.run().unwrap();
    assert_eq!(outcome.reports.iter().map(|report| report.assets.len()).collect::<Vec<_>>(), [3, 0]);
    assert_eq!(bench.qualys.count("action=delete"), 2);
    assert_eq!(bench.qualys.count("action=launch ips=192.0.2.0/24"), 2);
}

#[test]
fn failed_report_is_an_error_and_is_deleted() {
    let script = Script::new()
        .on("action=launch", [Reply::simple("New report launched", &[("ID", "77")])])
        .on("action=list id=77", [listed("77", "Errors")])
        .on("action=delete id=77", [Reply::simple("Report deleted", &[])]);
    let bench = Bench::new(script);
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::Rejected);
    assert!(error.message.contains("report 77 ended as Errors"), "{error}");
    assert_eq!(bench.qualys.count("action=delete"), 1);
}

/// An empty list of reports.
fn none_listed() -> Reply {
    Reply::xml(
        "<REPORT_LIST_OUTPUT><RESPONSE><DATETIME>2026-04-01T00:00:00Z</DATETIME></RESPONSE></REPORT_LIST_OUTPUT>",
    )
}

#[test]
fn lost_launch_response_does_not_launch_twice() {
    let title = Mutex::new(String::new());
    let bench = Bench::new(move |request: &ReceivedRequest| {
        match request.field("action").unwrap_or_default() {
            "launch" => {
                *title.lock().unwrap() = request.field("report_title").unwrap().to_owned();
                Reply::no_response()
            }
            "fetch" => Reply::xml(template_report()),
            "delete" => Reply::simple("Report deleted", &[]),
            _ => {
                let title = title.lock().unwrap();
                let report = |id: u32, title: &str| {
                    format!(
                        "<REPORT><ID>{id}</ID><TITLE>{title}</TITLE><STATUS><STATE>Finished</STATE></STATUS></REPORT>"
                    )
                };
                let (own, other) = (report(88, &title), report(87, "Scanbridge of another instance"));
                let list = format!("<REPORT_LIST>{other}{own}</REPORT_LIST>");
                Reply::xml(format!("<REPORT_LIST_OUTPUT><RESPONSE>{list}</RESPONSE></REPORT_LIST_OUTPUT>"))
            }
        }
    });
    assert_eq!(bench.fails().kind, ErrorKind::Unavailable);
    assert_eq!(bench.run().unwrap().only_report().start.id, "88");
    assert_eq!((bench.qualys.count("action=launch"), bench.qualys.count("action=delete id=88")), (1, 1));
    assert_eq!(bench.qualys.count("action=delete"), 1, "reports of other instances are not deleted");
}

#[test]
fn rejected_or_titled_launch_is_not_searched_for() {
    let refused = Bench::new(Script::new().on("", [Reply::code(400, 1905, "bad value")]));
    for _ in 0..2 {
        assert_eq!(refused.fails().kind, ErrorKind::Config);
    }
    assert_eq!(refused.qualys.count("action=list"), 0);
    let titled =
        Bench::new(Script::new().on("", [Reply::no_response()])).with(json!({ "report_title": "Nightly" }));
    for _ in 0..2 {
        assert_eq!(titled.fails().kind, ErrorKind::Unavailable);
    }
    assert_eq!((titled.qualys.count("report_title=Nightly"), titled.qualys.count("action=list")), (2, 0));
}

#[test]
fn outage_before_a_report_is_listed_launches_no_second_one() {
    let script = Script::new()
        .on("action=launch", [Reply::simple("New report launched", &[("ID", "77")])])
        .on("action=list", [none_listed(), Reply::html(503), none_listed(), listed("77", "Finished")])
        .on("action=fetch", [Reply::xml(template_report())])
        .on("action=delete", [Reply::simple("Report deleted", &[])]);
    let bench = Bench::new(script);
    assert_eq!(bench.fails().kind, ErrorKind::Unavailable);
    bench.run().unwrap().only_report();
    assert_eq!(bench.qualys.count("action=launch"), 1);
}

#[test]
fn rejected_template_does_not_block_the_others() {
    let items = [("Incident Signature", "Tried to launch invalid report.")];
    let script = Script::new()
        .on("action=launch template_id=1", [Reply::code_with(400, 999, "Internal error.", &items)])
        .on("action=launch template_id=2", [Reply::simple("New report launched", &[("ID", "72")])])
        .on("action=list id=72", [listed("72", "Finished")])
        .on("action=fetch id=72", [Reply::xml(template_report())])
        // The deletion fails, but everything is delivered.
        .on("action=delete id=72", [Reply::html(503), Reply::simple("Report deleted", &[])]);
    let bench = Bench::new(script).with(json!({ "template_id": ["1", "2"] }));
    let outcome = bench.run().unwrap();
    assert_eq!((outcome.reports.len(), outcome.refused.len()), (1, 1));
    assert!(outcome.refused[0].error.message.contains("template 1"), "{:?}", outcome.refused);
    assert_eq!(bench.qualys.count("action=delete"), 1);
    bench.run().unwrap();
    assert!(bench.qualys.count("action=delete") > 1, "the next run deletes it");
}

#[test]
fn newest_report_is_delivered_by_one_round_only() {
    let list = "<REPORT_LIST_OUTPUT><RESPONSE><REPORT_LIST><REPORT><ID>5</ID><TITLE>Front  row</TITLE>\
        <OUTPUT_FORMAT>XML</OUTPUT_FORMAT><STATUS><STATE>Finished</STATE></STATUS></REPORT></REPORT_LIST></RESPONSE>\
        </REPORT_LIST_OUTPUT>";
    let script = Script::new()
        .on("action=list", [Reply::xml(list)])
        .on("action=fetch", [Reply::xml(template_report())]);
    let bench = Bench::new(script)
        .with(json!({ "report": "newest", "report_title": "Front  row", "interval_minutes": 60 }));
    let outcome = bench.run().unwrap();
    assert_eq!(outcome.only_report().start.id, "5");
    let mut input = bench.open(outcome.last_position()).unwrap();
    assert!(finish(&mut input).unwrap().reports.is_empty());
    assert_eq!((bench.qualys.count("action=list"), bench.qualys.count("action=fetch")), (2, 1));
}

#[test]
fn running_report_with_report_id_is_waited_for() {
    let script = Script::new()
        .on("action=list id=5", [listed("5", "Running"), listed("5", "Running"), listed("5", "Finished")])
        .on(
            "action=fetch",
            [Reply::code(200, 7001, "Report cannot be fetched."), Reply::xml(template_report())],
        );
    let bench = Bench::new(script).with(json!({ "report_id": 5 }));
    bench.run().unwrap().only_report();
    assert_eq!((bench.qualys.count("action=fetch"), bench.qualys.count("action=delete")), (2, 0));

    let unknown = Script::new()
        .on("action=list", [none_listed()])
        .on("action=fetch", [Reply::code(200, 7001, "Report cannot be fetched.")]);
    let bench = Bench::new(unknown).with(json!({ "report_id": 5 }));
    assert_eq!(bench.fails().kind, ErrorKind::Rejected);
    assert_eq!(bench.qualys.count("action=fetch"), 1);
}
