//! Reports of templates that an operator chooses from the stored ones.

use scanbridge_doubles::fake_qualys::{Reply, Script};
use scanbridge_plugin_api::{ErrorKind, Input, ReportChoice, ReportEntry, ReportMarks, ReportQuery};
use serde_json::json;

use crate::drive::{Bench, Outcome, finish, step};
use crate::template_reports::template_report;

/// Three XML reports, one of which is running, and a PDF file.
fn stored() -> Script {
    let report = |id: u32, format: &str, state: &str| {
        format!(
            "<REPORT><ID>{id}</ID><TITLE><![CDATA[Report {id}]]></TITLE><LAUNCH_DATETIME>2026-04-0{}T00:00:00Z\
             </LAUNCH_DATETIME><OUTPUT_FORMAT>{format}</OUTPUT_FORMAT><SIZE>129.1 MB</SIZE><STATUS><STATE>{state}</STATE>\
             </STATUS></REPORT>",
            id % 10
        )
    };
    let reports = report(71, "XML", "Finished")
        + &report(72, "PDF", "Finished")
        + &report(73, "XML", "Running")
        + &report(74, "XML", "Finished");
    let list = format!(
        "<REPORT_LIST_OUTPUT><RESPONSE><REPORT_LIST>{reports}</REPORT_LIST></RESPONSE></REPORT_LIST_OUTPUT>"
    );
    let body = || Reply::new(200, "application/xml", template_report());
    Script::new()
        .on("POST /api/2.0/fo/report/ action=list", [Reply::xml(list)])
        .on("action=fetch id=71", [body()])
        .on("action=fetch id=74", [body()])
}

fn choose(bench: &Bench, ids: &[&str], again: bool) -> Outcome {
    let mut input = bench.open(None).unwrap();
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    input.choose_reports(&ReportChoice::new(ids, again)).unwrap();
    finish(&mut input).unwrap()
}

fn ids(outcome: &Outcome) -> Vec<&str> {
    outcome.reports.iter().map(|report| report.start.id.as_str()).collect()
}

fn list(bench: &Bench) -> Vec<ReportEntry> {
    bench.open(None).unwrap().list_reports(&ReportQuery::default()).unwrap().entries
}

#[test]
fn xml_reports_are_listed_newest_first() {
    let bench = Bench::new(stored());
    let entries = list(&bench);
    let shown: Vec<_> =
        entries.iter().map(|entry| (entry.id.as_str(), entry.ready, entry.made.as_str())).collect();
    let expected = [
        ("74", true, "2026-04-04T00:00:00Z"),
        ("73", false, "2026-04-03T00:00:00Z"),
        ("71", true, "2026-04-01T00:00:00Z"),
    ];
    assert_eq!(shown, expected);
    assert_eq!((entries[0].title.as_str(), entries[0].detail["size"].as_str()), ("Report 74", "129.1 MB"));
    assert_eq!(bench.qualys.requests().len(), 1);
}

#[test]
fn pages_come_from_one_list() {
    let bench = Bench::new(stored());
    let mut input = bench.open(None).unwrap();
    let (mut query, mut found) = (ReportQuery::default().with_limit(1), Vec::new());
    loop {
        let page = input.list_reports(&query).unwrap();
        assert_eq!((page.entries.len(), page.total), (1, 3));
        found.extend(page.entries.into_iter().map(|entry| entry.id));
        if page.cursor.is_empty() {
            break;
        }
        query = query.with_cursor(page.cursor);
    }
    assert_eq!(found, ["74", "73", "71"]);
    assert_eq!(bench.qualys.count("action=list"), 1, "each request costs quota");
}

#[test]
fn chosen_reports_are_neither_launched_nor_deleted() {
    // The options launch a report in each run.
    let bench = Bench::new(stored());
    let outcome = choose(&bench, &["74", "99", "73", "72", "71"], false);
    assert_eq!(ids(&outcome), ["74", "71"]);
    let refused: Vec<String> = outcome
        .refused
        .iter()
        .map(|refusal| format!("{}: {}", refusal.path, refusal.error.message))
        .collect();
    let expected = [
        "99: 99 is not in the list of stored reports",
        "73: 73 is not ready: its state is Running",
        "72: 72 is not in the list of stored reports",
    ];
    assert_eq!(refused, expected);
    assert!(outcome.refused.iter().all(|refusal| refusal.error.kind == ErrorKind::NoInput));
    assert_eq!((bench.qualys.count("action=launch"), bench.qualys.count("action=delete")), (0, 0));
    let delivered: Vec<bool> = list(&bench).iter().map(|entry| entry.delivered).collect();
    assert_eq!(delivered, [true, false, true]);

    let again = choose(&bench, &["71"], false);
    assert!(again.refused[0].error.message.starts_with("71 was sent on 20"), "{:?}", again.refused);
    assert_eq!(ids(&choose(&bench, &["71"], true)), ["71"]);
}

/// At every position, a new instance with the same choice continues, even if reports are chosen again.
#[test]
fn choice_continues_at_each_position() {
    let order = ["71", "99", "74"];
    for again in [false, true] {
        let bench = Bench::new(stored());
        if again {
            choose(&bench, &order, false);
        }
        let before = bench.keys();
        let complete = choose(&bench, &order, again);
        let total = complete.findings().len();
        for number in 1..=complete.positions.len() {
            bench.restore_keys(&before);
            let choice = ReportChoice::new(order.map(str::to_owned).to_vec(), again);
            let mut input = bench.open(None).unwrap();
            input.choose_reports(&choice).unwrap();
            let mut first = Outcome::default();
            while first.positions.len() < number {
                assert!(step(&mut input, &mut first).unwrap());
            }
            drop(input);
            let (position, findings) = first.positions.last().unwrap().clone();
            if position.0.is_empty() {
                continue;
            }
            let mut input = bench.open(Some(&position)).unwrap();
            input.choose_reports(&choice).unwrap();
            let rest = finish(&mut input).unwrap();
            assert_eq!(findings + rest.findings().len(), total, "position {number}, again: {again}");
            let refused = first.refused.len() + rest.refused.len();
            assert!((1..=2).contains(&refused), "position {number}: {refused} refusals");
        }
    }
}

#[test]
fn marked_reports_count_as_delivered() {
    let bench = Bench::new(stored());
    let mark = |ids: &[&str], delivered| {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        bench.open(None).unwrap().mark_reports(&ReportMarks::new(ids, delivered)).unwrap()
    };
    assert_eq!(mark(&["71", "74"], true), 2);
    assert_eq!(mark(&["71"], true), 0);
    assert_eq!(mark(&["74"], false), 1);
    assert_eq!(bench.qualys.requests().len(), 0);
    let outcome = choose(&bench, &["71", "74"], false);
    assert_eq!((ids(&outcome), outcome.refused.len()), (vec!["74"], 1));
}

#[test]
fn detections_have_no_stored_reports() {
    let bench = Bench::new(Script::new()).with(json!({ "source": "host-detections" }));
    let mut input = bench.open(None).unwrap();
    let choice = ReportChoice::new(vec!["1".to_owned()], false);
    for result in [
        input.list_reports(&ReportQuery::default()).map(drop),
        input.choose_reports(&choice),
        input.mark_reports(&ReportMarks::default()).map(drop),
    ] {
        assert_eq!(result.unwrap_err().message, "this source has no reports to choose from");
    }
}
