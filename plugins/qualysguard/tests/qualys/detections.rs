//! Source `host-detections`.

use scanbridge_doubles::fake_qualys::{Population, ReceivedRequest, Reply, Script};
use scanbridge_fixtures::good;
use scanbridge_plugin_api::{ErrorKind, Input};
use serde_json::json;

use crate::drive::{Bench, Outcome, bytes_read, finish, step};

const PAGE: &str = "/api/5.0/fo/asset/host/vm/detection/";
const KNOWLEDGE_BASE: &str = "/api/4.0/fo/knowledge_base/vuln/";

fn bench(population: Population, page_size: u32) -> Bench {
    Bench::new(Script::new().population(population))
        .with(json!({ "source": "host-detections", "page_size": page_size, "template_id": null }))
}

#[test]
fn pages_are_joined_with_the_knowledge_base() {
    let bench = bench(Population::of(25), 10);
    let outcome = bench.run().unwrap();
    let report = outcome.only_report();
    assert_eq!((report.assets.len(), report.findings.len()), (25, 75));
    assert_eq!(report.start.kind, "HOST_LIST_VM_DETECTION_OUTPUT");
    assert_eq!(report.start.time, "2026-04-01T00:00:01Z");
    assert_eq!(report.notes(), [] as [&str; 0]);
    for finding in &report.findings {
        let qid = &finding["definition.id"];
        assert_eq!(finding["definition.title"], format!("Title of {qid}"));
        assert_eq!(finding["definition.cves"], format!("CVE-2026-{qid}"));
    }
    let pages: Vec<Option<String>> = bench
        .qualys
        .requests()
        .iter()
        .filter(|request| request.path == PAGE)
        .map(|request| {
            assert_eq!(request.method, "POST");
            assert_eq!(request.field("truncation_limit"), Some("10"));
            assert_eq!(request.field("status"), Some("New,Active,Re-Opened,Fixed"));
            assert!(request.header("authorization").is_some());
            request.field("id_min").map(str::to_owned)
        })
        .collect();
    assert_eq!(pages, [None, Some("1011".to_owned()), Some("1021".to_owned())]);
    // The first page contains 30 of the 40 QIDs, the second page the others.
    assert_eq!(bench.qualys.count(KNOWLEDGE_BASE), 2);

    // Another run finds all definitions in the cache.
    bench.run().unwrap();
    assert_eq!(bench.qualys.count(KNOWLEDGE_BASE), 2);
}

#[test]
fn definitions_are_requested_in_batches() {
    let population = Population { qids: 700, per_asset: 70, ..Population::of(10) };
    let bench = bench(population, 1_000);
    assert_eq!(bench.run().unwrap().only_report().findings.len(), 700);
    let batches = bench.qualys.requests().into_iter().filter(|request| request.path == KNOWLEDGE_BASE);
    let sizes: Vec<usize> = batches.map(|call| call.field("ids").unwrap().split(',').count()).collect();
    assert!(sizes.iter().all(|size| *size <= 300), "{sizes:?}");
    assert_eq!(sizes.len(), sizes.iter().sum::<usize>().div_ceil(300));
}

#[test]
fn page_from_the_api_gives_the_same_findings_as_a_file() {
    let page = std::fs::read(good("detections.xml")).unwrap();
    let knowledge_base = std::fs::read(good("knowledge-base.xml")).unwrap();
    let bench = Bench::new(
        Script::new().on(PAGE, [Reply::xml(page)]).on(KNOWLEDGE_BASE, [Reply::xml(knowledge_base).gzip()]),
    )
    .with(json!({ "source": "host-detections" }));
    let outcome = bench.run().unwrap();
    let report = outcome.only_report();
    assert_eq!((report.assets.len(), report.findings.len()), (3, 6));
    let tls = report.findings.iter().find(|finding| finding["definition.id"] == "38628").unwrap();
    assert_eq!(tls["definition.title"], "TLS 1.0 and weaker is spoken");
}

#[test]
fn page_size_is_halved_and_a_broken_asset_is_skipped() {
    let population =
        Population { max_assets_per_page: 4, truncated_assets: vec![1007], ..Population::of(20) };
    let bench = bench(population, 16);
    let outcome = bench.run().unwrap();
    let report = &outcome.reports[0];
    assert_eq!(report.assets.len(), 19);
    let end = report.end();
    assert!(!end.complete && end.deliver);
    assert_eq!(end.reason, "1 assets could not be downloaded and were skipped: 1007");
    // The watermark is not moved: the next pull is a full one.
    assert!(!bench.keys().contains_key("watermark"));
}

#[test]
fn invalid_url_of_the_next_page_is_rejected() {
    for (next, message) in [
        (
            "https://evil.example.com/api/?id_min=2000",
            "points to https://evil.example.com, expected https://127.0.0.1:",
        ),
        ("http://127.0.0.1/api/?id_min=2000", "points to http://127.0.0.1, expected https://127.0.0.1:"),
        ("no address", "invalid URL for the next page of detections"),
        ("{url}/api/?id_min=5", "starts at asset 5, which is not after the current page"),
        ("{url}/api/?x=5", "has no id_min"),
        ("", "announced a next page of detections without its URL"),
    ] {
        let bench = Bench::new(|_: &ReceivedRequest| Reply::no_response());
        let next = next.replace("{url}", &bench.qualys.url());
        drop(bench);
        let page = format!(
            "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2026-04-01T00:00:01Z</DATETIME><HOST_LIST><HOST>\
             <ID>1000</ID><IP>192.0.2.1</IP></HOST></HOST_LIST><WARNING><CODE>1980</CODE><TEXT>x</TEXT>\
             <URL><![CDATA[{next}]]></URL></WARNING></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>"
        );
        // The second fake may get another port, so its URLs are replaced by the host of the request.
        let bench = Bench::new(move |request: &ReceivedRequest| {
            let host = request.header("host").unwrap_or_default();
            let page = match page.find("https://127.0.0.1:") {
                Some(at) => {
                    let end = at + page[at..].find("/api").unwrap();
                    format!("{}https://{host}{}", &page[..at], &page[end..])
                }
                None => page.clone(),
            };
            Reply::xml(page)
        })
        .with(json!({ "source": "host-detections" }));
        let error = bench.fails();
        assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
        assert!(error.message.contains(message), "{error}");
    }
}

#[test]
fn interrupted_pull_is_resumed() {
    let complete = bench(Population::of(60), 10).run().unwrap();
    let complete = complete.only_report();
    for stop_after in [1, 2, 4, 6] {
        let bench = bench(Population::of(60), 10);
        let mut input = bench.open(None).unwrap();
        let mut outcome = Outcome::default();
        for _ in 0..=stop_after {
            assert!(step(&mut input, &mut outcome).unwrap());
        }
        drop(input);
        let (position, delivered) = outcome.positions.last().cloned().unwrap();
        let mut input = bench.open(Some(&position)).unwrap();
        let rest = finish(&mut input).unwrap();
        let report = rest.only_report();
        assert!(report.continued);
        assert_eq!(report.start.time, "2026-04-01T00:00:01Z");
        let before = &outcome.reports[0].findings[..delivered];
        let joined: Vec<_> = before.iter().chain(&report.findings).collect();
        assert_eq!(joined, complete.findings.iter().collect::<Vec<_>>(), "stopped after {stop_after}");
        assert_eq!(bench.qualys.count(PAGE), 6, "no page is downloaded twice");
    }
}

/// A page of several batches is resumed after the last delivered asset. The part before it is not read again.
#[test]
fn interrupted_page_is_resumed_at_the_asset() {
    let result = "x".repeat(40 << 10);
    let hosts: String = (1..=150)
        .map(|id| {
            format!(
                "<HOST><ID>{id}</ID><IP>192.0.2.{id}</IP><NEW/><DETECTION_LIST><DETECTION><QID>38628</QID>\
                 <TYPE>Confirmed</TYPE><RESULTS>{result}</RESULTS></DETECTION></DETECTION_LIST></HOST>\n"
            )
        })
        .collect();
    let page = format!(
        "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2026-04-01T00:00:00Z</DATETIME><HOST_LIST>{hosts}\
         </HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>"
    );
    let script = || {
        Script::new()
            .on(PAGE, [Reply::xml(page.clone())])
            .on(KNOWLEDGE_BASE, [Reply::xml(std::fs::read(good("knowledge-base.xml")).unwrap())])
    };
    let with = json!({ "source": "host-detections", "template_id": null });
    let (total, complete) = bytes_read(|| Bench::new(script()).with(with.clone()).run().unwrap());
    let complete = complete.only_report();
    let positions = |outcome: &Outcome| outcome.positions.iter().filter(|(at, _)| !at.0.is_empty()).count();
    for stop_after in [1, 6, 10] {
        let bench = Bench::new(script()).with(with.clone());
        let mut input = bench.open(None).unwrap();
        let mut outcome = Outcome::default();
        while positions(&outcome) < stop_after {
            assert!(step(&mut input, &mut outcome).unwrap());
        }
        drop(input);
        let (position, delivered) = outcome.positions.last().cloned().unwrap();
        assert!(delivered > 0 && delivered < complete.findings.len());
        let (read, rest) = bytes_read(|| finish(&mut bench.open(Some(&position)).unwrap()).unwrap());
        let rest = rest.only_report();
        assert!(rest.continued);
        let joined: Vec<_> = outcome.reports[0].findings[..delivered].iter().chain(&rest.findings).collect();
        assert_eq!(joined, complete.findings.iter().collect::<Vec<_>>(), "stopped after {stop_after}");
        assert_eq!((rest.notes(), rest.end().bytes), (complete.notes(), complete.end().bytes));
        assert_eq!(bench.qualys.count(PAGE), 1, "no page is downloaded twice");
        if 10 * delivered >= 6 * complete.findings.len() {
            assert!(100 * read <= 45 * total, "{read} of {total} bytes");
        }
        assert!(stop_after < 10 || 10 * delivered >= 6 * complete.findings.len(), "{delivered}");
    }
}

#[test]
fn incremental_pull_starts_at_the_last_complete_one() {
    let bench = bench(Population::of(5), 10).with(json!({ "incremental": true, "overlap_minutes": 30 }));
    bench.run().unwrap();
    bench.run().unwrap();
    let since: Vec<Option<String>> = bench
        .qualys
        .requests()
        .iter()
        .filter(|request| request.path == PAGE)
        .map(|request| request.field("vm_processed_after").map(str::to_owned))
        .collect();
    // Half an hour before the time of the first response.
    assert_eq!(since, [None, Some("2026-03-31T23:30:01Z".to_owned())]);

    // The time of a complete pull is stored together with the end of its report.
    let bench = self::bench(Population::of(5), 10).with(json!({ "incremental": true }));
    let mut input = bench.open(None).unwrap();
    assert!(!bench.keys().contains_key("watermark"));
    let outcome = finish(&mut input).unwrap();
    drop(input);
    assert!(bench.keys().contains_key("watermark"));
    let mut input = bench.open(outcome.last_position()).unwrap();
    assert!(finish(&mut input).unwrap().reports.is_empty());
    let _ = input.check();
}

#[test]
fn knowledge_base_falls_back_to_older_versions_and_is_updated() {
    let page = std::fs::read(good("detections.xml")).unwrap();
    let knowledge_base = std::fs::read(good("knowledge-base.xml")).unwrap();
    let changed = String::from_utf8(knowledge_base.clone())
        .unwrap()
        .replace("TLS 1.0 and weaker", "TLS 1.1 and weaker");
    let nothing = "<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE><DATETIME>2026-04-02T00:00:00Z</DATETIME></RESPONSE>\
                   </KNOWLEDGE_BASE_VULN_LIST_OUTPUT>";
    let script = Script::new()
        .on(PAGE, [Reply::xml(page)])
        .on(KNOWLEDGE_BASE, [Reply::html(404)])
        .on(
            "/api/3.0/fo/knowledge_base/vuln/ last_modified_after=2026-04-01T00:00:00Z",
            [Reply::xml(changed)],
        )
        .on("/api/3.0/fo/knowledge_base/vuln/ ids=777777", [Reply::xml(nothing)])
        .on("/api/3.0/fo/knowledge_base/vuln/", [Reply::xml(knowledge_base)]);
    let bench = Bench::new(script).with(json!({ "source": "host-detections" }));
    let title = |outcome: &Outcome| {
        let findings = outcome.findings();
        let finding = findings.iter().find(|finding| finding["definition.id"] == "38628").unwrap();
        finding["definition.title"].clone()
    };
    assert_eq!(title(&bench.run().unwrap()), "TLS 1.0 and weaker is spoken");
    // Makes the last update older than `knowledge_base_update_hours`.
    let memory = bench.state().join("knowledge-base.json");
    let text = std::fs::read_to_string(&memory).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["asked"] = json!(value["asked"].as_u64().unwrap() - 25 * 3_600);
    std::fs::write(&memory, value.to_string()).unwrap();
    assert_eq!(title(&bench.run().unwrap()), "TLS 1.1 and weaker is spoken");
}

const WARNING: &str = "<WARNING><CODE>1980</CODE><TEXT>x</TEXT><URL>";

/// A page with one asset, which has this ID.
fn page(time: &str, asset: u64, warning: &str) -> Reply {
    Reply::xml(format!(
        "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE>{time}<HOST_LIST><HOST><ID>{asset}</ID><IP>192.0.2.1</IP></HOST>\
         </HOST_LIST>{warning}</RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>"
    ))
}

/// Two pages; the URL of the second one has the host of the request.
fn two_pages(time: &'static str, next: u64) -> Bench {
    let responder = move |request: &ReceivedRequest| {
        let host = request.header("host").unwrap_or_default();
        match request.field("id_min") {
            None => page(time, 1000, &format!("{WARNING}https://{host}{PAGE}?id_min={next}</URL></WARNING>")),
            Some(_) => page(time, 1001, ""),
        }
    };
    Bench::new(responder).with(json!({ "source": "host-detections" }))
}

#[test]
fn asset_repeated_as_start_of_the_next_page_is_delivered_once() {
    let bench = two_pages("<DATETIME>2026-04-01T00:00:01Z</DATETIME>", 1000);
    assert_eq!(bench.run().unwrap().only_report().assets.len(), 2);
    assert_eq!(bench.qualys.count("id_min=1001"), 1);
}

#[test]
fn pull_without_a_time_is_resumed_and_moves_no_watermark() {
    let bench = two_pages("", 1001).with(json!({ "incremental": true }));
    let mut input = bench.open(None).unwrap();
    let mut outcome = Outcome::default();
    assert!(step(&mut input, &mut outcome).unwrap() && step(&mut input, &mut outcome).unwrap());
    drop(input);
    let rest = finish(&mut bench.open(outcome.last_position()).unwrap()).unwrap();
    assert!(rest.only_report().continued);
    assert_eq!(rest.only_report().assets.len(), 1);
    bench.run().unwrap();
    assert_eq!(bench.qualys.count("vm_processed_after"), 0);
    assert!(!bench.keys().contains_key("watermark"));
}

#[test]
fn restart_with_an_interval_starts_a_new_round() {
    let bench = bench(Population::of(5), 10).with(json!({ "interval_minutes": 60, "incremental": true }));
    let outcome = bench.run().unwrap();
    let mut input = bench.open(outcome.last_position()).unwrap();
    let again = finish(&mut input).unwrap();
    assert!(!again.only_report().continued);
    assert_eq!(again.only_report().assets.len(), 5);
    assert_eq!(bench.qualys.count("vm_processed_after=2026-03-31T23:00:01Z"), 1);
}

#[test]
fn failed_pull_moves_no_watermark() {
    let population =
        Population { truncated_assets: vec![1001, 1002, 1003, 1004, 1005, 1006, 1007], ..Population::of(20) };
    let failing = bench(population, 1).with(json!({ "incremental": true }));
    assert_eq!(failing.fails().kind, ErrorKind::Unavailable);
    assert!(!failing.keys().contains_key("watermark"));
}

#[test]
fn knowledge_base_cache_of_another_account_or_corrupt_is_unused() {
    let mut bench = bench(Population::of(5), 10);
    let titles = |outcome: Outcome| {
        outcome
            .only_report()
            .findings
            .iter()
            .all(|finding| finding["definition.title"].starts_with("Title of"))
    };
    assert!(titles(bench.run().unwrap()));
    bench.run().unwrap();
    assert_eq!(bench.qualys.count(KNOWLEDGE_BASE), 1);
    bench.set(json!({ "user_id": "arthur_d" }));
    assert!(titles(bench.run().unwrap()));
    assert_eq!(bench.qualys.count(KNOWLEDGE_BASE), 2);

    let folder = bench.state().join("knowledge-base");
    let kept = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(folder.join("incoming.part"), b"<KNOWLEDGE_BASE_VULN_LIST_OUTPUT>").unwrap();
    assert!(titles(bench.run().unwrap()));
    let last = bench.qualys.requests().into_iter().rfind(|request| request.path == KNOWLEDGE_BASE).unwrap();
    assert!(last.field("ids").is_some() && !folder.join("incoming.part").exists());
    std::fs::write(bench.state().join("knowledge-base.json"), b"{\"up_to\": 7").unwrap();
    assert!(titles(bench.run().unwrap()));
}
