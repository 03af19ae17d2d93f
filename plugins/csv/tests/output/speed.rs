//! The cost of a large report. Run by hand: `cargo test --release -p scanbridge-csv --test output -- --ignored
//! --nocapture`.

use std::path::Path;
use std::time::Instant;

use crate::reports::*;
use scanbridge_plugin_api::batch::{Batch, BatchBuilder, Columns};
use scanbridge_plugin_api::model::DefinitionField;
use scanbridge_plugin_api::{Begin, Output};

const FINDINGS: usize = 55_000;
const PER_BATCH: usize = 100;

/// 5 kB per finding: one quarter of it in the finding, the rest in definitions that ten findings share.
fn large_batch() -> BatchBuilder {
    let text = "A line of ordinary length, with \"quotes\" and <B>mark-up</B>.\n".repeat(20);
    let qids: Vec<String> = (0..PER_BATCH / 10).map(|index| (42_000 + index).to_string()).collect();
    let definitions: Vec<_> = qids
        .iter()
        .map(|qid| {
            [
                (DefinitionField::Id, qid.as_str()),
                (DefinitionField::Title, "A title of ordinary length, as they are"),
                (DefinitionField::Cves, "CVE-2013-2566\nCVE-2015-2808"),
                (DefinitionField::Diagnosis, text.as_str()),
                (DefinitionField::Consequence, text.as_str()),
                (DefinitionField::Solution, text.as_str()),
            ]
        })
        .collect();
    let finding = [ON_443, &[("result", text.as_str())]].concat();
    let findings: Vec<Cells<'_>> =
        (0..PER_BATCH).map(|index| (WEB, &definitions[index / 10][..], &finding[..])).collect();
    batch(&findings, false)
}

#[test]
#[ignore = "a measurement"]
fn fifty_five_thousand_findings() {
    let folder = tempfile::tempdir().unwrap();
    for (options, path) in [
        ("", Path::new("/dev/null").to_owned()),
        ("", folder.path().join("out.csv")),
        (r#""format": "host-input""#, Path::new("/dev/null").to_owned()),
        (r#""format": "host-input", "description": ["result"]"#, Path::new("/dev/null").to_owned()),
    ] {
        let report = start();
        let raw = large_batch().finish();
        let columns = Columns::of_report(&report);
        let batch = Batch::of(&raw, &columns).unwrap();
        let mut output = open(&path, options).unwrap();
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        output.begin(&report, Begin::NEW).unwrap();
        let mut bytes = 0;
        for _ in 0..FINDINGS / PER_BATCH {
            bytes += output.write(batch).unwrap().bytes;
        }
        output.end(&complete(&[])).unwrap();
        assert!(bytes > 100 * FINDINGS as u64, "{options}: only {bytes} bytes");
        if path.starts_with(folder.path()) {
            let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
            let written = file.metadata().unwrap().len();
            assert!(written > bytes, "{written} bytes in the file, {bytes} and a header expected");
        }
        println!(
            "{options:45} {}: {bytes} bytes, {:.3} s CPU, {:.3} s wall",
            path.display(),
            cpu_seconds() - cpu,
            wall.elapsed().as_secs_f64()
        );
    }
}

/// User and system time of this process, in ticks of 1/100 s, as Linux reports them.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
