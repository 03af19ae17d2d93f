//! The pairs of a run, in sorted pieces outside memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Pairs in memory: 384 KiB.
const IN_MEMORY: usize = 24 * 1024;
/// More pieces are merged into one, so that a run needs few open files.
const MAX_PIECES: usize = 64;
/// Buffer of each open piece in bytes.
const BUFFER: usize = 8 * 1024;

/// The hashes of an asset and of one of its findings; or an asset with the number of a report or a day. The latter are
/// the smaller ones, so an asset comes before its findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) asset: u64,
    item: u64,
}

impl Pair {
    /// Bytes of a pair in a file.
    pub(super) const LENGTH: usize = 16;

    /// A finding of an asset, by their hashes.
    pub(super) fn finding(asset: u64, finding: u64) -> Self {
        Self { asset, item: finding | 1 << 63 }
    }

    /// An asset in a report; in the file of a run, the last day with a report that has it.
    pub(super) fn asset(asset: u64, number: u32) -> Self {
        Self { asset, item: u64::from(number) }
    }

    /// The number of the report, or the day; `None` for a finding.
    pub(super) fn number(self) -> Option<u32> {
        u32::try_from(self.item).ok()
    }

    pub(super) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.asset.to_be_bytes());
        bytes[8..].copy_from_slice(&self.item.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let [asset, item] = [0, 8].map(|at| {
            let mut half = [0; 8];
            half.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(half)
        });
        Self { asset, item }
    }
}

/// The pairs of a run: some in memory, the others in sorted files of a temporary directory.
#[derive(Debug)]
pub(super) struct Pieces {
    folder: PathBuf,
    pairs: Vec<Pair>,
    files: Vec<PathBuf>,
    /// Number of files so far, for their names.
    created: u64,
}

impl Pieces {
    /// No pairs yet. `folder` is created when it is needed; what a killed run left there is removed.
    pub(super) fn new(folder: &Path) -> Self {
        let _ = fs::remove_dir_all(folder);
        Self { folder: folder.to_owned(), pairs: Vec::new(), files: Vec::new(), created: 0 }
    }

    pub(super) fn add(&mut self, pairs: &mut Vec<Pair>) -> io::Result<()> {
        if self.pairs.len() + pairs.len() > IN_MEMORY {
            self.write_piece()?;
        }
        if self.pairs.capacity() == 0 {
            // Without growth by doubling. Pages that are not used yet are not in memory.
            self.pairs.reserve_exact(IN_MEMORY);
        }
        self.pairs.append(pairs);
        if self.files.len() >= MAX_PIECES {
            self.merge_pieces()?;
        }
        Ok(())
    }

    /// All pairs in order, each once.
    pub(super) fn into_sorted(mut self) -> io::Result<Sorted> {
        sort(&mut self.pairs);
        let memory = std::mem::take(&mut self.pairs);
        let mut sources = vec![Source::Memory(memory.into_iter())];
        for file in &self.files {
            sources.push(Source::File(BufReader::with_capacity(BUFFER, File::open(file)?)));
        }
        Sorted::new(sources, self)
    }

    fn write_piece(&mut self) -> io::Result<()> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        sort(&mut self.pairs);
        let mut pairs = std::mem::take(&mut self.pairs);
        self.write(pairs.drain(..).map(Ok))?;
        self.pairs = pairs;
        Ok(())
    }

    fn merge_pieces(&mut self) -> io::Result<()> {
        let files = std::mem::take(&mut self.files);
        let merged = Self { folder: PathBuf::new(), pairs: Vec::new(), files, created: 0 };
        self.write(merged.into_sorted()?)
    }

    fn write(&mut self, pairs: impl Iterator<Item = io::Result<Pair>>) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(self.created.to_string());
        self.created += 1;
        let mut file = BufWriter::new(File::create_new(&path)?);
        for pair in pairs {
            file.write_all(&pair?.to_bytes())?;
        }
        file.flush()?;
        self.files.push(path);
        Ok(())
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

fn sort(pairs: &mut Vec<Pair>) {
    pairs.sort_unstable();
    pairs.dedup();
}

#[derive(Debug)]
enum Source {
    Memory(std::vec::IntoIter<Pair>),
    File(BufReader<File>),
}

impl Source {
    fn next(&mut self) -> io::Result<Option<Pair>> {
        match self {
            Self::Memory(pairs) => Ok(pairs.next()),
            Self::File(file) => read_pair(file),
        }
    }
}

/// The next pair of a file; `None` at its end.
fn read_pair(file: &mut impl Read) -> io::Result<Option<Pair>> {
    let mut bytes = [0; Pair::LENGTH];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(Pair::from_bytes(bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// All pairs in order, each once.
#[derive(Debug)]
pub(super) struct Sorted {
    sources: Vec<Source>,
    /// The next pair of each source that has one, smallest first.
    next: BinaryHeap<Reverse<(Pair, usize)>>,
    last: Option<Pair>,
    /// Removes the files at the end.
    _pieces: Pieces,
}

impl Sorted {
    fn new(mut sources: Vec<Source>, pieces: Pieces) -> io::Result<Self> {
        let mut next = BinaryHeap::new();
        for (number, source) in sources.iter_mut().enumerate() {
            next.extend(source.next()?.map(|pair| Reverse((pair, number))));
        }
        Ok(Self { sources, next, last: None, _pieces: pieces })
    }

    fn next_pair(&mut self) -> io::Result<Option<Pair>> {
        while let Some(Reverse((pair, number))) = self.next.pop() {
            self.next.extend(self.sources[number].next()?.map(|pair| Reverse((pair, number))));
            if self.last.replace(pair) != Some(pair) {
                return Ok(Some(pair));
            }
        }
        Ok(None)
    }
}

impl Iterator for Sorted {
    type Item = io::Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_pair().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_in_memory_never_need_more_than_their_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut pieces = Pieces::new(&folder.path().join("pieces"));
        for asset in 0..30 {
            let mut pairs = (0..1000).map(|finding| Pair::finding(asset, finding)).collect();
            pieces.add(&mut pairs).unwrap();
            assert_eq!(pieces.pairs.capacity(), IN_MEMORY);
        }
        assert_eq!(pieces.files.len(), 1);
        assert_eq!(pieces.into_sorted().unwrap().count(), 30_000);
    }
}
