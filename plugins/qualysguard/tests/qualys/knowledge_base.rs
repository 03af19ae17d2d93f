//! Responses of the knowledge base that contain only a part of what was requested.

use std::sync::Mutex;

use scanbridge_doubles::fake_qualys::{Population, ReceivedRequest, Reply, Script};
use scanbridge_plugin_api::Services;
use serde_json::{Value, json};

use crate::drive::{Bench, Outcome};

const PAGE: &str = "/api/5.0/fo/asset/host/vm/detection/";
const KNOWLEDGE_BASE: &str = "/api/4.0/fo/knowledge_base/vuln/";

/// A page with one asset that has these QIDs.
fn page(qids: &[u32]) -> Reply {
    let detections: String = qids
        .iter()
        .map(|qid| {
            format!("<DETECTION><QID>{qid}</QID><TYPE>Confirmed</TYPE><SEVERITY>3</SEVERITY></DETECTION>")
        })
        .collect();
    Reply::xml(format!(
        "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2026-04-01T00:00:00Z</DATETIME><HOST_LIST><HOST><ID>1</ID>\
         <IP>192.0.2.1</IP><DETECTION_LIST>{detections}</DETECTION_LIST></HOST></HOST_LIST></RESPONSE>\
         </HOST_LIST_VM_DETECTION_OUTPUT>"
    ))
}

fn knowledge_base(time: &str, content: &str) -> Reply {
    Reply::xml(format!(
        "<?xml version=\"1.0\"?>\n<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE><DATETIME>{time}</DATETIME>{content}\
         </RESPONSE></KNOWLEDGE_BASE_VULN_LIST_OUTPUT>\n"
    ))
}

fn list(qids: &[u32], title: &str) -> String {
    let entry = |qid: &u32| {
        format!(
            "<VULN><QID>{qid}</QID><VULN_TYPE>Vulnerability</VULN_TYPE><SEVERITY_LEVEL>3</SEVERITY_LEVEL>\
             <TITLE>{title} of {qid}</TITLE></VULN>"
        )
    };
    format!("<VULN_LIST>{}</VULN_LIST>", qids.iter().map(entry).collect::<String>())
}

const MORE: &str = "<WARNING><CODE>1980</CODE><TEXT>record limit exceeded</TEXT></WARNING>";

fn warning(url: &str) -> String {
    format!("<WARNING><CODE>1980</CODE><TEXT>x</TEXT><URL><![CDATA[{url}]]></URL></WARNING>")
}

fn requested(request: &ReceivedRequest) -> Vec<u32> {
    request.field("ids").unwrap_or_default().split(',').filter_map(|id| id.parse().ok()).collect()
}

fn bench(qids: &'static [u32], respond: impl Fn(&ReceivedRequest) -> Reply + Send + Sync + 'static) -> Bench {
    Bench::new(
        move |request: &ReceivedRequest| if request.path == PAGE { page(qids) } else { respond(request) },
    )
    .with(json!({ "source": "host-detections", "template_id": null }))
}

fn titles(outcome: &Outcome) -> Vec<String> {
    let findings = outcome.only_report().findings.iter();
    findings.map(|finding| finding.get("definition.title").cloned().unwrap_or_default()).collect()
}

/// The saved state of the cache.
fn state(bench: &Bench) -> Option<Value> {
    let text = std::fs::read(bench.state().join("knowledge-base.json")).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

/// Makes the last update older than `knowledge_base_update_hours`.
fn make_old(bench: &Bench) {
    let mut state = state(bench).unwrap();
    state["asked"] = json!(state["asked"].as_u64().unwrap() - 25 * 3_600);
    std::fs::write(bench.state().join("knowledge-base.json"), state.to_string()).unwrap();
}

fn run(bench: &Bench) -> (Outcome, Vec<(String, u64)>) {
    let services = Services::without_host(&bench.state());
    let outcome = bench.run_with(&services).unwrap();
    let notes = services.notes().into_iter();
    (outcome, notes.filter(|(note, _)| note.contains("definitions") || note.contains("knowledge")).collect())
}

#[test]
fn list_of_ids_is_not_used_and_the_run_warns() {
    let bench = bench(&[1, 2, 3], |request| {
        let ids: String = requested(request).iter().map(|id| format!("<ID>{id}</ID>")).collect();
        knowledge_base("2026-04-01T00:00:00Z", &format!("<ID_SET>{ids}</ID_SET>"))
    });
    for calls in 1..=2 {
        let (outcome, notes) = run(&bench);
        assert_eq!(titles(&outcome), ["", "", ""]);
        assert_eq!(notes, [("definitions are missing: Qualys sent only their QIDs".to_owned(), 3)]);
        // The next run requests them again, and this one does not.
        assert_eq!(bench.qualys.count(KNOWLEDGE_BASE), calls);
        let cached = std::fs::read_dir(bench.state().join("knowledge-base")).unwrap().count();
        assert_eq!(cached, 0);
        assert!(state(&bench).is_none_or(|state| state["up_to"] == ""));
    }
}

#[test]
fn rest_of_a_truncated_response_is_requested() {
    // Each response contains at most two definitions.
    let bench = bench(&[1, 2, 3, 4, 5], |request| {
        let ids = requested(request);
        let (sent, left) = ids.split_at(ids.len().min(2));
        let time = format!("2026-04-01T00:00:0{}Z", ids.len());
        let more = if left.is_empty() { "" } else { MORE };
        knowledge_base(&time, &format!("{}{more}", list(sent, "Title")))
    });
    let (outcome, notes) = run(&bench);
    assert_eq!(titles(&outcome), (1..=5).map(|qid| format!("Title of {qid}")).collect::<Vec<_>>());
    assert_eq!((notes, bench.qualys.count(KNOWLEDGE_BASE)), (vec![], 3));
    // Changes after the first response are not known.
    assert_eq!(state(&bench).unwrap()["up_to"], "2026-04-01T00:00:05Z");
    run(&bench);
    assert_eq!(bench.qualys.count(KNOWLEDGE_BASE), 3, "the cache is complete");
}

#[test]
fn truncated_response_without_progress_ends_and_the_run_warns() {
    let bench = bench(&[1, 2, 3], |request| {
        let sent: Vec<u32> = requested(request).into_iter().filter(|qid| *qid == 2).collect();
        knowledge_base("2026-04-01T00:00:00Z", &format!("{}{MORE}", list(&sent, "Title")))
    });
    let (outcome, notes) = run(&bench);
    assert_eq!(titles(&outcome), ["", "Title of 2", ""]);
    assert_eq!(notes, [("definitions are missing: Qualys sent only others".to_owned(), 2)]);
    assert_eq!(bench.qualys.count(KNOWLEDGE_BASE), 2);
    // The cache does not count as up to date: the next run asks for the changes and for what is missing.
    assert_eq!(state(&bench).unwrap()["asked"], 0);
    run(&bench);
    assert_eq!(bench.qualys.count("last_modified_after=2026-04-01T00:00:00Z"), 1);
}

#[test]
fn update_is_read_to_its_end() {
    let old = Mutex::new(true);
    let bench = bench(&[1, 2, 3], move |request| {
        let host = request.header("host").unwrap_or_default();
        let next = |id: u32| warning(&format!("https://{host}{KNOWLEDGE_BASE}?action=list&id_min={id}"));
        match (request.field("last_modified_after"), request.field("id_min")) {
            (None, _) => knowledge_base("2026-04-01T00:00:00Z", &list(&requested(request), "Old")),
            (Some(_), None) => {
                *old.lock().unwrap() = false;
                knowledge_base("2026-04-02T00:00:00Z", &format!("{}{}", list(&[1], "New"), next(2)))
            }
            (Some(_), Some("2")) => {
                knowledge_base("2026-04-02T00:00:05Z", &format!("{}{}", list(&[2], "New"), next(3)))
            }
            _ => knowledge_base("2026-04-02T00:00:09Z", &list(&[3], "New")),
        }
    });
    run(&bench);
    make_old(&bench);
    let (outcome, notes) = run(&bench);
    assert_eq!(
        (titles(&outcome), notes),
        (vec!["New of 1".into(), "New of 2".into(), "New of 3".into()], vec![])
    );
    assert_eq!(bench.qualys.count("last_modified_after=2026-04-01T00:00:00Z"), 3);
    assert_eq!(state(&bench).unwrap()["up_to"], "2026-04-02T00:00:00Z");
}

#[test]
fn update_that_is_incomplete_is_used_and_repeated_by_the_next_run() {
    for (content, first) in [
        (format!("{}{MORE}", list(&[1], "New")), "New of 1"),
        (format!("{}{}", list(&[1], "New"), warning("https://evil.example.com/?id_min=2")), "New of 1"),
        (format!("{}{}", list(&[1], "New"), warning("no address")), "New of 1"),
        ("<ID_SET><ID>1</ID></ID_SET>".to_owned(), "Old of 1"),
    ] {
        let update = content.clone();
        let bench = bench(&[1, 2], move |request| match request.field("last_modified_after") {
            None => knowledge_base("2026-04-01T00:00:00Z", &list(&requested(request), "Old")),
            Some(_) => knowledge_base("2026-04-02T00:00:00Z", &update),
        });
        run(&bench);
        make_old(&bench);
        for updates in 1..=2 {
            let (outcome, notes) = run(&bench);
            assert_eq!(titles(&outcome), [first, "Old of 2"], "{content}");
            assert_eq!(notes, [("updates of the knowledge base are incomplete".to_owned(), 1)], "{content}");
            assert_eq!(bench.qualys.count("last_modified_after=2026-04-01T00:00:00Z"), updates, "{content}");
            assert_eq!(state(&bench).unwrap()["up_to"], "2026-04-01T00:00:00Z", "{content}");
        }
    }
}

/// Each page asks whether an update is due: an incomplete one is not repeated in the same run.
#[test]
fn incomplete_update_is_requested_once_per_run() {
    let script = |update: Reply| {
        Script::new()
            .on(&format!("{KNOWLEDGE_BASE} last_modified_after=2026-04-01T00:00:00Z"), [update])
            .population(Population::of(12))
    };
    let bench = Bench::new(script(knowledge_base("2026-04-02T00:00:00Z", "<ID_SET><ID>1</ID></ID_SET>")))
        .with(json!({ "source": "host-detections", "page_size": 3, "template_id": null }));
    run(&bench);
    make_old(&bench);
    run(&bench);
    assert_eq!(bench.qualys.count("last_modified_after=2026-04-01T00:00:00Z"), 1);
}
