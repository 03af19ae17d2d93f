//! Which findings are new, gone or the same since the last run. Findings are not kept: the pipeline's state directory has
//! two hashes for each of them, of the asset and of the finding, sorted, in one file. If an output encrypts fields, the hashes
//! have a key, which is derived from that of the output: without it, no address or name can be guessed from them.
//!
//! *Gone* means: the last run had the finding, a complete report of this run has its asset, and no report of this run has
//! the finding. It does not mean fixed: the asset may have been scanned with other options.

mod counts;
mod identity;
mod merge;
mod pieces;
mod run;
mod stored;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use counts::Compared;
use pieces::{Pair, Pieces};
pub(crate) use run::{ReportComparison, RunComparison};

/// Collects the findings of a run. It holds less than 1 MiB in memory; the rest is in temporary files.
#[derive(Debug)]
struct Comparison {
    file: PathBuf,
    /// Identifies the key of the hashes; `None` without a key.
    key: Option<u64>,
    pieces: Pieces,
    complete: BTreeSet<u32>,
    with_gap: BTreeSet<u32>,
}

impl Comparison {
    /// A comparison with the file of the last run in this state directory.
    fn new(state_folder: &Path) -> Self {
        let pieces = Pieces::new(&state_folder.join("compare.tmp"));
        Self {
            file: state_folder.join("compare.bin"),
            key: None,
            pieces,
            complete: BTreeSet::new(),
            with_gap: BTreeSet::new(),
        }
    }

    /// The hashes have the key with this ID. Removes a file whose hashes have none.
    ///
    /// # Errors
    /// When the file cannot be read or removed.
    fn use_key(&mut self, key: u64) -> io::Result<()> {
        self.key = Some(key);
        stored::remove_without_key(&self.file)
    }

    /// Adds findings and assets. The vector is empty afterwards.
    ///
    /// # Errors
    /// When a temporary file cannot be written.
    fn add(&mut self, pairs: &mut Vec<Pair>) -> io::Result<()> {
        self.pieces.add(pairs)
    }

    /// The whole of this report was read: what it does not have of its assets is gone.
    fn report_is_complete(&mut self, report: u32) {
        self.complete.insert(report);
    }

    /// A part of this report is missing.
    fn report_has_gap(&mut self, report: u32) {
        self.with_gap.insert(report);
    }

    /// Compares with the last run, and replaces its file. `day` is the number of days since 1970-01-01.
    ///
    /// # Errors
    /// When a file cannot be read or written. Then the file of the last run is unchanged.
    fn finish(self, run: u64, day: u32) -> io::Result<Compared> {
        let Self { file, key, pieces, mut complete, with_gap } = self;
        complete.retain(|report| !with_gap.contains(report));
        merge::merge((&file, key), pieces, &complete, run, day)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;

    use proptest::prelude::*;

    use super::merge::DAYS;
    use super::*;

    /// One run: reports with their completeness, their assets and the findings of these.
    type Run = Vec<(bool, BTreeMap<u64, BTreeSet<u64>>)>;

    fn compare(folder: &Path, run: &Run, number: u64, day: u32) -> Compared {
        compare_with_key(folder, None, run, number, day)
    }

    fn compare_with_key(folder: &Path, key: Option<u64>, run: &Run, number: u64, day: u32) -> Compared {
        let mut comparison = Comparison::new(folder);
        if let Some(key) = key {
            comparison.use_key(key).unwrap();
        }
        for (report, (complete, assets)) in (0..).zip(run) {
            for (asset, findings) in assets {
                let findings = findings.iter().map(|finding| Pair::finding(*asset, *finding));
                let mut pairs: Vec<Pair> = findings.chain([Pair::asset(*asset, report)]).collect();
                comparison.add(&mut pairs).unwrap();
                assert!(pairs.is_empty());
            }
            if *complete {
                comparison.report_is_complete(report);
            }
        }
        comparison.finish(number, day).unwrap()
    }

    fn report(complete: bool, assets: &[(u64, &[u64])]) -> (bool, BTreeMap<u64, BTreeSet<u64>>) {
        let assets = assets.iter().map(|(asset, findings)| (*asset, findings.iter().copied().collect()));
        (complete, assets.collect())
    }

    #[test]
    fn new_gone_and_same_findings() {
        let folder = tempfile::tempdir().unwrap();
        let first = compare(folder.path(), &vec![report(true, &[(1, &[10, 11]), (2, &[20])])], 1, 1);
        assert_eq!(first, Compared::default(), "there is nothing to compare with");
        let second = compare(folder.path(), &vec![report(true, &[(1, &[11, 12]), (2, &[])])], 2, 1);
        assert_eq!(second, Compared { against_run: Some(1), new: 1, gone: 2, same: 1 });
        let third = compare(folder.path(), &Vec::new(), 3, 1);
        assert_eq!(third, Compared { against_run: Some(2), ..Compared::default() });
        let fourth = compare(folder.path(), &vec![report(true, &[(1, &[11, 12])])], 4, 1);
        assert_eq!(fourth, Compared { against_run: Some(3), new: 0, gone: 0, same: 2 }, "kept by run 3");
    }

    #[test]
    fn nothing_is_gone_after_an_incomplete_report() {
        let folder = tempfile::tempdir().unwrap();
        compare(folder.path(), &vec![report(true, &[(1, &[10, 11])])], 1, 1);
        let cut = compare(folder.path(), &vec![report(false, &[(1, &[10])])], 2, 1);
        assert_eq!(cut, Compared { against_run: Some(1), new: 0, gone: 0, same: 1 });
        let whole = compare(folder.path(), &vec![report(true, &[(1, &[10])])], 3, 1);
        assert_eq!(whole, Compared { against_run: Some(2), new: 0, gone: 1, same: 1 });
    }

    #[test]
    fn assets_that_are_not_seen_for_long_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        compare(folder.path(), &vec![report(true, &[(1, &[10]), (2, &[20])])], 1, 1);
        compare(folder.path(), &vec![report(true, &[(2, &[20])])], 2, DAYS + 2);
        let size = fs::metadata(folder.path().join("compare.bin")).unwrap().len();
        let again = compare(folder.path(), &vec![report(true, &[(1, &[10])])], 3, DAYS + 2);
        assert_eq!(again, Compared { against_run: Some(2), new: 1, gone: 0, same: 0 });
        assert!(fs::metadata(folder.path().join("compare.bin")).unwrap().len() > size);
    }

    #[test]
    fn hashes_with_another_key_are_compared_with_nothing() {
        let run = vec![report(true, &[(1, &[10, 11])])];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("compare.bin");
        let compare = |key, number| compare_with_key(folder.path(), key, &run, number, 1).against_run;
        assert_eq!(compare(None, 1), None);
        let without_key = fs::read(&file).unwrap();
        // Also if the run never finishes.
        Comparison::new(folder.path()).use_key(5).unwrap();
        assert!(!file.exists(), "hashes without a key are removed at once");
        fs::write(&file, &without_key).unwrap();
        assert_eq!(compare(Some(5), 2), None);
        assert_eq!(compare(Some(5), 3), Some(2));
        Comparison::new(folder.path()).use_key(6).unwrap();
        assert!(file.exists(), "another key reveals nothing");
        assert_eq!(compare(Some(6), 4), None);
        assert_eq!(compare(Some(6), 5), Some(4));
        assert_eq!(compare(None, 6), None);
        assert_eq!(compare(None, 7), Some(6));
        fs::write(&file, without_key).unwrap();
        assert_eq!(compare(None, 8), Some(1), "the form without a key is the old one");
    }

    #[test]
    fn a_damaged_file_is_compared_with_nothing() {
        let run = vec![report(true, &[(1, &[10, 11])])];
        let folder = tempfile::tempdir().unwrap();
        compare(folder.path(), &run, 1, 1);
        let file = folder.path().join("compare.bin");
        let good = fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            fs::write(&file, bad).unwrap();
            assert_eq!(compare(folder.path(), &run, 2, 1).against_run, None, "byte {at}");
            fs::write(&file, &good[..at]).unwrap();
            assert_eq!(compare(folder.path(), &run, 2, 1).against_run, None, "truncated at {at}");
        }
        fs::write(&file, good).unwrap();
        assert_eq!(compare(folder.path(), &run, 2, 1).same, 2);
    }

    fn any_run() -> impl Strategy<Value = Run> {
        let findings = proptest::collection::btree_set(0..6_u64, 0..5);
        let assets = proptest::collection::btree_map(0..5_u64, findings, 0..5);
        proptest::collection::vec((any::<bool>(), assets), 0..4)
    }

    /// The definition of the counts, over sets.
    fn expected(old: &BTreeSet<(u64, u64)>, run: &Run) -> (BTreeSet<(u64, u64)>, [u64; 3]) {
        let pairs = |assets: &BTreeMap<u64, BTreeSet<u64>>| {
            let pairs = assets.iter().flat_map(|(asset, findings)| findings.iter().map(|it| (*asset, *it)));
            pairs.collect::<Vec<_>>()
        };
        let now: BTreeSet<(u64, u64)> = run.iter().flat_map(|(_, assets)| pairs(assets)).collect();
        let complete = run.iter().filter(|(complete, _)| *complete);
        let seen: BTreeSet<u64> = complete.flat_map(|(_, assets)| assets.keys().copied()).collect();
        let gone: BTreeSet<_> =
            old.difference(&now).filter(|(asset, _)| seen.contains(asset)).copied().collect();
        let counts = [now.difference(old).count(), gone.len(), now.intersection(old).count()];
        let kept = old.union(&now).filter(|pair| !gone.contains(pair)).copied().collect();
        (kept, counts.map(|count| u64::try_from(count).unwrap()))
    }

    proptest! {
        #[test]
        fn counts_are_those_of_sets(runs in proptest::collection::vec(any_run(), 1..5)) {
            let folder = tempfile::tempdir().unwrap();
            let mut old = BTreeSet::new();
            for (number, run) in (1..).zip(&runs) {
                let compared = compare(folder.path(), run, number, 1);
                let (kept, [new, gone, same]) = expected(&old, run);
                if number == 1 {
                    prop_assert_eq!(compared, Compared::default());
                } else {
                    prop_assert_eq!(compared, Compared { against_run: Some(number - 1), new, gone, same });
                }
                old = kept;
            }
        }
    }

    #[test]
    fn many_findings_are_sorted_outside_memory() {
        let folder = tempfile::tempdir().unwrap();
        let run = |shift: u64| {
            let mut comparison = Comparison::new(folder.path());
            let mut pairs = Vec::new();
            for number in 0..300_000_u64 {
                // In no order: a multiplication by an odd number is a permutation.
                let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                pairs.extend([Pair::asset(mixed % 1000, 0), Pair::finding(mixed % 1000, number + shift)]);
                if pairs.len() > 1000 {
                    comparison.add(&mut pairs).unwrap();
                }
            }
            comparison.add(&mut pairs).unwrap();
            comparison.report_is_complete(0);
            comparison.finish(shift, 1).unwrap()
        };
        run(0);
        assert!(!folder.path().join("compare.tmp").exists(), "temporary files are removed");
        let size = fs::metadata(folder.path().join("compare.bin")).unwrap().len();
        assert!(size < 16 * 302_000, "{size} bytes");
        let same = run(0);
        assert_eq!(same, Compared { against_run: Some(0), new: 0, gone: 0, same: 300_000 });
        let shifted = run(300_000);
        assert_eq!(shifted, Compared { against_run: Some(0), new: 300_000, gone: 300_000, same: 0 });
    }
}
