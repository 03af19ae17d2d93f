//! Reports that an earlier run launched: yesterday's report is never delivered as today's.

use scanbridge_doubles::fake_qualys::{Reply, Script};
use scanbridge_plugin_api::{Position, Services};
use serde_json::{Value, json};

use crate::drive::{Bench, Outcome, step};
use crate::template_reports::{begin_report, complete_run, listed, template_report};

/// Makes the interrupted run and its launched report older, by the local clock. Returns the position.
fn age(bench: &Bench, position: &Position, seconds: u64) -> Position {
    let state = Services::without_host(&bench.state()).state();
    let older = |bytes: &[u8], path: &str| {
        let mut value: Value = serde_json::from_slice(bytes).unwrap();
        let time = value.pointer_mut(path).unwrap();
        *time = json!(time.as_u64().unwrap() - seconds);
        value.to_string().into_bytes()
    };
    let entry = state.get("launched:77").unwrap().unwrap();
    state.put("launched:77", &older(&entry, "/at")).unwrap();
    Position(older(&position.0, "/at/round"))
}

/// The first run launches report 77 and ends before anything is delivered.
fn interrupted(options: Value) -> (Bench, Position) {
    let script = Script::new()
        .on(
            "action=launch",
            [77, 78].map(|id| Reply::simple("New report launched", &[("ID", &id.to_string())])),
        )
        .on("action=list id=77", [listed("77", "Finished")])
        .on("action=list id=78", [listed("78", "Finished")])
        .on("action=fetch", [Reply::xml(template_report())])
        .on("action=delete", [Reply::simple("Report deleted", &[])]);
    let mut bench = Bench::new(script).with(options);
    let position = begin_report(&mut bench.open(None).unwrap());
    bench.run = 2;
    (bench, position)
}

/// The ID of the only report, and the notes about its age.
fn delivered(bench: &Bench, resume: Option<&Position>) -> (String, Vec<String>) {
    let services = Services::without_host(&bench.state());
    let outcome = bench.resume_with(resume, &services).unwrap();
    let report = outcome.only_report();
    assert_eq!(report.findings.len(), 8);
    assert!(!report.continued);
    let notes = services.notes().into_keys().filter(|note| note.contains("ago")).collect();
    (report.start.id.clone(), notes)
}

const HOUR: u64 = 3_600;

#[test]
fn report_of_an_interrupted_run_is_adopted_and_named_until_a_new_run_is_due() {
    let cron = json!({});
    let hourly = json!({ "interval_minutes": 60 });
    let daily = json!({ "interval_minutes": 1_440 });
    for (options, seconds, adopted) in [
        (&cron, 5 * 60, Some("5 min")),
        (&cron, 3 * HOUR, Some("3 h")),
        (&cron, 12 * HOUR - 60, Some("11 h")),
        (&cron, 12 * HOUR, None),
        (&cron, 23 * HOUR, None),
        (&cron, 24 * HOUR - 60, None),
        (&cron, 24 * HOUR, None),
        (&cron, 40 * 24 * HOUR, None),
        (&hourly, 50 * 60, Some("50 min")),
        (&hourly, HOUR, None),
        (&hourly, 2 * HOUR, None),
        (&daily, 3 * HOUR, Some("3 h")),
        (&daily, 12 * HOUR, None),
    ] {
        let (bench, position) = interrupted(options.clone());
        let position = age(&bench, &position, seconds);
        let (id, notes) = delivered(&bench, Some(&position));
        let launches = bench.qualys.count("action=launch");
        match adopted {
            Some(age) => {
                let note = format!("report 77 was launched by an earlier run, {age} ago");
                assert_eq!((id.as_str(), launches, notes), ("77", 1, vec![note]), "{options} {seconds}");
            }
            None => {
                assert_eq!((id.as_str(), launches, notes), ("78", 2, vec![]), "{options} {seconds}");
                assert_eq!(bench.qualys.count("action=delete id=77"), 1);
            }
        }
        assert_eq!(bench.qualys.count(&format!("action=delete id={id}")), 1);
    }
}

/// `scanbridge run --restart`, and each run of the old command line.
#[test]
fn run_that_does_not_resume_adopts_nothing() {
    let (bench, _) = interrupted(json!({}));
    let (id, notes) = delivered(&bench, None);
    assert_eq!((id.as_str(), notes), ("78", vec![]));
    assert_eq!(bench.qualys.count("action=delete id=77"), 1);
}

/// The host opens the input again after an outage: the run is the same.
#[test]
fn report_of_this_run_is_not_launched_again() {
    let (mut bench, position) = interrupted(json!({}));
    bench.run = 1;
    let position = age(&bench, &position, 30 * HOUR);
    let (id, notes) = delivered(&bench, Some(&position));
    assert_eq!((id.as_str(), notes), ("77", vec![]));
    assert_eq!(bench.qualys.count("action=launch"), 1);
}

/// A report that was delivered partly.
#[test]
fn partly_delivered_report_is_not_resumed_when_a_new_run_is_due() {
    for (seconds, continued) in [(HOUR, true), (24 * HOUR - 60, false)] {
        let result = "x".repeat(40 << 10);
        let hosts: String = (1..=60)
            .map(|index| {
                format!(
                    "<HOST><IP>192.0.2.{index}</IP><VULN_INFO_LIST><VULN_INFO><QID id=\"qid_38628\">38628</QID>\
                     <TYPE>Vuln</TYPE><RESULT>{result}</RESULT></VULN_INFO></VULN_INFO_LIST></HOST>"
                )
            })
            .collect();
        let report = format!(
            "<ASSET_DATA_REPORT><HOST_LIST>{hosts}</HOST_LIST><GLOSSARY><VULN_DETAILS_LIST><VULN_DETAILS id=\"qid_38628\">\
             <QID id=\"qid_38628\">38628</QID><TITLE>t</TITLE><SEVERITY>3</SEVERITY></VULN_DETAILS></VULN_DETAILS_LIST>\
             </GLOSSARY></ASSET_DATA_REPORT>"
        );
        let script = Script::new()
            .on(
                "action=launch",
                [77, 78].map(|id| Reply::simple("New report launched", &[("ID", &id.to_string())])),
            )
            .on("action=list id=77", [listed("77", "Finished")])
            .on("action=list id=78", [listed("78", "Finished")])
            .on("action=fetch", [Reply::xml(report)])
            .on("action=delete", [Reply::simple("Report deleted", &[])]);
        let mut bench = Bench::new(script);
        let mut input = bench.open(None).unwrap();
        let mut outcome = Outcome::default();
        while outcome.findings().is_empty() {
            assert!(step(&mut input, &mut outcome).unwrap());
        }
        drop(input);
        let position = outcome.last_position().unwrap().clone();
        let position = age(&bench, &position, seconds);
        bench.run = 2;
        let services = Services::without_host(&bench.state());
        let rest = bench.resume_with(Some(&position), &services).unwrap();
        let report = rest.only_report();
        assert_eq!((report.continued, report.start.id == "77"), (continued, continued));
        let delivered = outcome.findings().len();
        assert_eq!(report.findings.len(), if continued { 60 - delivered } else { 60 });
        let launches = if continued { 1 } else { 2 };
        assert_eq!(bench.qualys.count("action=launch"), launches);
        assert_eq!(
            services
                .notes()
                .keys()
                .filter(|note| note.contains("1 h ago") || note.contains("60 min ago"))
                .count(),
            usize::from(continued)
        );
    }
}

/// The title of an unanswered launch is reused, and the launch counts for the run that requests it.
#[test]
fn launch_without_a_response_counts_for_the_run_that_repeats_it() {
    let script = Script::new()
        .on("action=launch", [Reply::no_response(), Reply::simple("New report launched", &[("ID", "77")])])
        .on("action=list id=77", [listed("77", "Finished")])
        .on(
            "action=list",
            [Reply::xml(
                "<REPORT_LIST_OUTPUT><RESPONSE><DATETIME>t</DATETIME></RESPONSE></REPORT_LIST_OUTPUT>",
            )],
        )
        .on("action=fetch", [Reply::xml(template_report())])
        .on("action=delete", [Reply::simple("Report deleted", &[])]);
    let mut bench = Bench::new(script);
    bench.fails();
    bench.run = 2;
    let (id, notes) = delivered(&bench, None);
    assert_eq!((id.as_str(), notes), ("77", vec![]));
    let launches = bench.qualys.requests().into_iter().filter(|call| call.field("action") == Some("launch"));
    let titles: Vec<_> = launches.map(|call| call.field("report_title").unwrap().to_owned()).collect();
    assert!(titles.len() == 2 && titles[0] == titles[1], "{titles:?}");
    assert!(!bench.keys().keys().any(|key| key.starts_with("launched:")), "{:?}", bench.keys());
}

#[test]
fn age_of_a_report_of_others_is_named() {
    let text = String::from_utf8(template_report()).unwrap();
    let time = text.split_once("<GENERATION_DATETIME>").unwrap().1.split_once('<').unwrap().0.to_owned();
    for (time_of_report, age) in [("1999-12-31T00:00:00Z", " d ago"), ("", "of unknown age")] {
        let report = text.replace(&time, time_of_report);
        let bench = Bench::new(Script::new().on("", [Reply::xml(report)])).with(json!({ "report_id": 5 }));
        let services = Services::without_host(&bench.state());
        bench.run_with(&services).unwrap().only_report();
        let notes = services.notes();
        let note = notes.keys().find(|note| note.contains("was not launched by this input")).unwrap();
        assert!(note.starts_with("report 5, ") && note.contains(age), "{note}");
    }
    // A report that this run launches is not named.
    let bench = Bench::new(complete_run());
    let services = Services::without_host(&bench.state());
    bench.run_with(&services).unwrap().only_report();
    assert!(!services.notes().keys().any(|note| note.contains("report 77")), "{:?}", services.notes());
}

/// The first template was delivered by the interrupted run, the second one was not.
#[test]
fn all_templates_are_launched_when_a_new_run_is_due() {
    for (seconds, launches) in [(HOUR, 0), (23 * HOUR, 2)] {
        let answers =
            [76, 77, 78, 79].map(|id| Reply::simple("New report launched", &[("ID", &id.to_string())]));
        let mut script = Script::new().on("action=launch", answers);
        for id in ["76", "77", "78", "79"] {
            script = script.on(&format!("action=list id={id}"), [listed(id, "Finished")]);
        }
        let script = script
            .on("action=fetch", [Reply::xml(template_report())])
            .on("action=delete", [Reply::simple("Report deleted", &[])]);
        let mut bench = Bench::new(script).with(json!({ "template_id": ["1", "2"] }));
        let mut input = bench.open(None).unwrap();
        let mut outcome = Outcome::default();
        while outcome.reports.len() < 2 {
            assert!(step(&mut input, &mut outcome).unwrap());
        }
        drop(input);
        let position = age(&bench, outcome.last_position().unwrap(), seconds);
        bench.run = 2;
        let services = Services::without_host(&bench.state());
        let rest = bench.resume_with(Some(&position), &services).unwrap();
        assert_eq!(bench.qualys.count("action=launch"), 2 + launches, "{seconds}");
        let ids: Vec<&str> = rest.reports.iter().map(|report| report.start.id.as_str()).collect();
        assert_eq!(ids, if launches == 0 { vec!["77"] } else { vec!["78", "79"] });
    }
}
