//! Several instances that read a part each, because the output keeps their checkpoints.

use std::collections::BTreeSet;

use scanbridge_doubles::fake_qualys::{Population, Script, StoredScans};
use scanbridge_plugin_api::keeper::Share;
use scanbridge_plugin_api::{Input, Stored};
use serde_json::json;

use crate::drive::{Bench, Outcome, finish, step};

const PAGE: &str = "/api/5.0/fo/asset/host/vm/detection/";
const LIST: &str = "/api/2.0/fo/asset/host/";

fn bench(population: Population, page_size: u32, share: Share) -> Bench {
    let bench = Bench::new(Script::new().population(population))
        .with(json!({ "source": "host-detections", "page_size": page_size, "template_id": null }));
    Bench { share: Some(share), ..bench }
}

fn addresses(outcome: &Outcome) -> Vec<String> {
    outcome.reports.iter().flat_map(|report| &report.assets).map(|asset| asset["address"].clone()).collect()
}

#[test]
fn shares_of_detections_are_everything_and_no_asset_is_in_two() {
    let population = Population { max_listed: 7, without_detections: vec![1003, 1004], ..Population::of(40) };
    let mut all = Vec::new();
    for number in 0..3 {
        let bench = bench(population.clone(), 5, Share::new(number, 3));
        let outcome = bench.run().unwrap();
        let report = outcome.only_report();
        assert_eq!(report.findings.len(), report.assets.len() * 3);
        all.extend(addresses(&outcome));
        // 40 assets in lists of seven.
        assert_eq!(bench.qualys.count(&format!("POST {LIST} details=None")), 6);
        let pages = bench.qualys.requests().into_iter().filter(|request| request.path == PAGE);
        let mut last = 0;
        for page in pages {
            assert_eq!((page.method.as_str(), page.field("id_min")), ("POST", None));
            let ids: Vec<u32> = page.field("ids").unwrap().split(',').map(|id| id.parse().unwrap()).collect();
            assert!(ids.len() <= 5 && ids.is_sorted() && ids[0] > last, "{ids:?} after {last}");
            assert!(ids.iter().all(|id| id % 3 == number), "{ids:?}");
            last = *ids.last().unwrap();
        }
        let watermark = String::from_utf8(bench.keys()["watermark"].clone()).unwrap();
        assert!(watermark.contains("2026-04-01T00:00:01Z"), "when the list was made: {watermark}");
    }
    assert_eq!(all.len(), 38);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 38);
}

#[test]
fn share_of_one_is_downloaded_as_before() {
    let requests = |share| {
        let bench = Bench { share, ..bench(Population::of(25), 10, Share::WHOLE) };
        assert_eq!(bench.run().unwrap().only_report().assets.len(), 25);
        bench.qualys.requests().iter().map(|request| request.line()).collect::<Vec<_>>()
    };
    assert_eq!(requests(None), requests(Some(Share::WHOLE)));
}

#[test]
fn share_without_assets_is_an_empty_complete_report() {
    let bench = bench(Population::of(1), 10, Share::new(1, 2));
    let outcome = bench.run().unwrap();
    // The only asset is 1001.
    assert_eq!(outcome.only_report().assets.len(), 1);
    let other = Bench { share: Some(Share::new(0, 2)), ..bench };
    let outcome = other.run().unwrap();
    assert_eq!(outcome.only_report().assets.len(), 0);
    assert_eq!(other.qualys.count(PAGE), 1, "that of the other share");
}

#[test]
fn broken_asset_of_a_share_is_skipped() {
    for broken in [1003, 1021] {
        let population =
            Population { max_assets_per_page: 4, truncated_assets: vec![broken], ..Population::of(21) };
        let outcome = bench(population, 8, Share::new(1, 2)).run().unwrap();
        assert_eq!(addresses(&outcome).len(), 10, "of eleven");
        let end = outcome.reports[0].end();
        assert_eq!(end.reason, format!("1 assets could not be downloaded and were skipped: {broken}"));
    }
}

/// Another machine has the position and the keys, but none of the files: it downloads only what is not delivered.
#[test]
fn another_machine_continues_at_any_position() {
    let share = Share::new(1, 2);
    let population = Population { max_assets_per_page: 4, ..Population::of(40) };
    let expected = addresses(&bench(population.clone(), 16, share).run().unwrap());
    let whole = bench(population.clone(), 16, share);
    let positions = whole.run().unwrap().positions;
    assert!(positions.len() > 5, "{positions:?}");
    for (position, findings) in positions.iter().filter(|(position, _)| !position.0.is_empty()) {
        let mut other = bench(population.clone(), 16, share);
        // The same account: the fingerprint of a position covers the URL.
        other.set(json!({ "url": whole.qualys.url(), "tls_ca_file": whole.options["tls_ca_file"] }));
        let before = whole.qualys.count(PAGE);
        let outcome = finish(&mut other.open(Some(position)).unwrap()).unwrap();
        let mut all = expected[..findings / 3].to_vec();
        all.extend(addresses(&outcome));
        assert_eq!(all, expected, "after {findings} findings");
        // The page size that was reached is in the position: only the first machine had pages that failed.
        let calls = whole.qualys.count(PAGE) - before;
        let rest = expected.len() - findings / 3;
        if *findings > 12 {
            assert!(calls <= rest.div_ceil(2) + 2, "{calls} calls for {rest} assets");
        }
    }
}

/// The cached pages of this machine are those of a pull that another machine has ended.
#[test]
fn pages_of_an_earlier_pull_are_not_used() {
    let share = Share::WHOLE;
    let bench = bench(Population::of(30), 10, share);
    let mut input = bench.open(None).unwrap();
    let mut outcome = Outcome::default();
    for _ in 0..4 {
        assert!(step(&mut input, &mut outcome).unwrap());
    }
    drop(input);
    // After the first of three pages, which are all downloaded.
    let position = outcome.positions[0].0.clone();
    assert_eq!(bench.qualys.count(PAGE), 3);
    let resumed = |position: &scanbridge_plugin_api::Position| {
        let before = bench.qualys.count(PAGE);
        let mut input = bench.open(Some(position)).unwrap();
        let outcome = finish(&mut input).unwrap();
        input.stored(&Stored::new(position.clone(), Vec::new())).unwrap();
        (addresses(&outcome).len(), bench.qualys.count(PAGE) - before)
    };
    assert_eq!(resumed(&position), (20, 0), "the pages of this pull are used");
    let text = String::from_utf8(position.0.clone()).unwrap();
    let later = text.replace("2026-04-01T00:00:01Z", "2026-04-02T00:00:01Z");
    assert_ne!(later, text);
    assert_eq!(
        resumed(&scanbridge_plugin_api::Position(later.into_bytes())),
        (20, 2),
        "those of another one are not"
    );
}

#[test]
fn scans_are_divided_by_their_reference() {
    let mut all = Vec::new();
    for number in 0..2 {
        let bench =
            Bench::new(Script::new().scans(StoredScans::of(12))).with(json!({ "source": "scan-reports" }));
        let bench = Bench { share: Some(Share::new(number, 2)), ..bench };
        let outcome = bench.run().unwrap();
        all.extend(outcome.reports.iter().map(|report| report.start.id.clone()));
        // One report is one piece: another machine does not have the file.
        let inside = outcome.positions.iter().filter(|(position, _)| !position.0.is_empty()).count();
        assert_eq!(inside, outcome.reports.len());
        assert!((2..=10).contains(&outcome.reports.len()), "{}", outcome.reports.len());
    }
    assert_eq!(all.len(), 12);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 12);
}

#[test]
fn template_reports_belong_to_the_first_share() {
    let bench = Bench::new(Script::new());
    let bench = Bench { share: Some(Share::new(1, 2)), ..bench };
    assert_eq!(bench.run().unwrap().reports.len(), 0);
    assert_eq!(bench.qualys.requests().len(), 0);
}
