//! Assets that cannot be downloaded: found with few calls, skipped and named. The pages after them have the full size.

use scanbridge_doubles::fake_qualys::{Population, ReceivedRequest, Reply, Script};
use serde_json::json;

use crate::drive::Bench;

const PAGE: &str = "/api/5.0/fo/asset/host/vm/detection/";
const LIST: &str = "/api/2.0/fo/asset/host/";

fn bench(population: Population, page_size: u32) -> Bench {
    Bench::new(Script::new().population(population))
        .with(json!({ "source": "host-detections", "page_size": page_size, "template_id": null }))
}

/// The page sizes of the detection calls.
fn sizes(bench: &Bench) -> Vec<u32> {
    let calls = bench.qualys.requests().into_iter().filter(|request| request.path == PAGE);
    calls.map(|call| call.field("truncation_limit").unwrap().parse().unwrap()).collect()
}

#[test]
fn one_broken_asset_costs_few_calls_and_the_next_page_is_full() {
    for (page_size, most) in [(10, 13), (40, 14), (100, 16), (1_000, 17)] {
        for broken in [1001, 1002, 1020, 1039, 1040] {
            let population = Population { truncated_assets: vec![broken], ..Population::of(40) };
            let bench = bench(population, page_size);
            let outcome = bench.run().unwrap();
            let report = &outcome.reports[0];
            assert_eq!(report.assets.len(), 39);
            let reason = format!("1 assets could not be downloaded and were skipped: {broken}");
            assert_eq!((report.end().complete, &report.end().reason), (false, &reason));
            let sizes = sizes(&bench);
            assert!(sizes.len() <= most, "{page_size} {broken}: {sizes:?}");
            assert_eq!(bench.qualys.count(LIST), 1);
            if broken < 1040 {
                let single = sizes.iter().rposition(|size| *size == 1).unwrap();
                assert_eq!(sizes[single + 1], page_size, "{page_size} {broken}: {sizes:?}");
            }
        }
    }
}

#[test]
fn size_that_is_too_large_for_qualys_is_not_mistaken_for_an_asset() {
    let bench = bench(Population { max_assets_per_page: 10, ..Population::of(100) }, 40);
    assert_eq!(bench.run().unwrap().only_report().assets.len(), 100);
    assert_eq!(bench.qualys.count(LIST), 0);
    assert_eq!(sizes(&bench)[..6], [40, 20, 10, 10, 10, 10]);
}

/// Assets without detections are in the list of assets, but in no page. They are neither skipped nor named.
#[test]
fn broken_asset_is_named_and_no_other() {
    for incremental in [false, true] {
        let population = Population {
            truncated_assets: vec![1020],
            without_detections: (1003..1020).collect(),
            ..Population::of(40)
        };
        let bench = bench(population, 10).with(json!({ "incremental": incremental }));
        let outcome = bench.run().unwrap();
        let report = &outcome.reports[0];
        assert_eq!(report.assets.len(), 40 - 17 - 1);
        assert_eq!(report.end().reason, "1 assets could not be downloaded and were skipped: 1020");
        // Only a complete pull moves the time of the next one.
        assert!(!bench.keys().contains_key("watermark"));
        assert!(bench.qualys.count("id_max=1020") >= 1);
    }
}

/// After a missing asset, the next pull requests the same period again. The list of assets has the same limit.
#[test]
fn incremental_pull_with_a_missing_asset_is_repeated() {
    let page = |assets: &[u32]| {
        let hosts: String =
            assets.iter().map(|id| format!("<HOST><ID>{id}</ID><IP>192.0.2.{id}</IP></HOST>")).collect();
        Reply::xml(format!(
            "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2026-04-01T00:00:01Z</DATETIME><HOST_LIST>{hosts}\
             </HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>"
        ))
    };
    let bench = Bench::new(move |request: &ReceivedRequest| {
        if request.path == LIST {
            return Reply::xml(
                "<HOST_LIST_OUTPUT><RESPONSE><ID_SET><ID>2</ID></ID_SET></RESPONSE></HOST_LIST_OUTPUT>",
            );
        }
        match (request.field("vm_processed_after"), request.field("id_min")) {
            (None, _) => page(&[1, 2, 3]),
            (Some(_), Some("3")) => page(&[3]),
            _ => page(&[2]).truncate_at(50),
        }
    })
    .with(json!({ "source": "host-detections", "page_size": 2, "template_id": null, "incremental": true }));
    bench.run().unwrap().only_report();
    let mark = bench.keys()["watermark"].clone();
    for _ in 0..2 {
        let outcome = bench.run().unwrap();
        assert_eq!(outcome.reports[0].end().reason, "1 assets could not be downloaded and were skipped: 2");
        assert_eq!(bench.keys()["watermark"], mark);
    }
    let lists = bench.qualys.requests().into_iter().filter(|request| request.path == LIST);
    assert!(lists.into_iter().all(|list| list.field("vm_processed_after") == Some("2026-03-31T23:00:01Z")));
}
