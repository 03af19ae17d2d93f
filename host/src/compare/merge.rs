//! Compares the sorted pairs of this run with those of the last run, in one pass over both.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::counts::Compared;
use super::pieces::{Pair, Pieces, Sorted};
use super::stored::{NewFile, StoredPairs};

/// Entries of assets that no run has seen for this many days are removed.
pub(super) const DAYS: u32 = 400;

/// Compares, writes the file for the next run, and replaces the old one. `key` identifies the key of the hashes.
pub(super) fn merge(
    (file, key): (&Path, Option<u64>),
    pieces: Pieces,
    complete: &BTreeSet<u32>,
    run: u64,
    day: u32,
) -> io::Result<Compared> {
    let stored = StoredPairs::open(file, key)?;
    let against_run = stored.as_ref().map(|stored| stored.run);
    let mut merge = Merge {
        old: Old(stored, None).read()?,
        new: New(pieces.into_sorted()?, None).read()?,
        out: NewFile::create(file, run, key)?,
        compared: Compared { against_run, ..Compared::default() },
    };
    while let Some(asset) = merge.next_asset() {
        merge.asset(asset, complete, day)?;
    }
    merge.out.publish(file)?;
    // Without a run before, everything would be new, which says nothing.
    Ok(if against_run.is_some() { merge.compared } else { Compared::default() })
}

struct Merge {
    old: Old,
    new: New,
    out: NewFile,
    compared: Compared,
}

/// The last run, with its next pair.
struct Old(Option<StoredPairs>, Option<Pair>);

impl Old {
    fn read(mut self) -> io::Result<Self> {
        self.advance()?;
        Ok(self)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.1 = self.0.as_mut().map_or(Ok(None), StoredPairs::next)?;
        Ok(())
    }
}

/// This run, with its next pair.
struct New(Sorted, Option<Pair>);

impl New {
    fn read(mut self) -> io::Result<Self> {
        self.advance()?;
        Ok(self)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.1 = self.0.next().transpose()?;
        Ok(())
    }
}

impl Merge {
    /// The next asset of either run.
    fn next_asset(&self) -> Option<u64> {
        [self.old.1, self.new.1].into_iter().flatten().map(|pair| pair.asset).min()
    }

    /// Compares one asset.
    fn asset(&mut self, asset: u64, complete: &BTreeSet<u32>, day: u32) -> io::Result<()> {
        let of_asset = |pair: &Option<Pair>| pair.filter(|pair| pair.asset == asset);
        let (mut is_seen, mut is_complete, mut last_day) = (false, false, 0);
        while let Some(report) = of_asset(&self.new.1).and_then(Pair::number) {
            is_seen = true;
            is_complete |= complete.contains(&report);
            self.new.advance()?;
        }
        while let Some(day) = of_asset(&self.old.1).and_then(Pair::number) {
            last_day = last_day.max(day);
            self.old.advance()?;
        }
        let is_kept = is_seen || last_day.saturating_add(DAYS) >= day;
        if is_kept {
            self.out.write(Pair::asset(asset, if is_seen { day } else { last_day }))?;
        }
        loop {
            let (old, new) = (of_asset(&self.old.1), of_asset(&self.new.1));
            let (pair, in_old, in_new) = match (old, new) {
                (None, None) => return Ok(()),
                (Some(old), Some(new)) => (old.min(new), old <= new, new <= old),
                (Some(old), None) => (old, true, false),
                (None, Some(new)) => (new, false, true),
            };
            let is_gone = !in_new && is_complete;
            let count = match (in_old, in_new) {
                (true, true) => Some(&mut self.compared.same),
                (false, _) => Some(&mut self.compared.new),
                (true, false) if is_gone => Some(&mut self.compared.gone),
                (true, false) => None,
            };
            count.into_iter().for_each(|count| *count += 1);
            if is_kept && !is_gone {
                self.out.write(pair)?;
            }
            if in_old {
                self.old.advance()?;
            }
            if in_new {
                self.new.advance()?;
            }
        }
    }
}
