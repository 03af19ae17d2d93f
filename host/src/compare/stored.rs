//! The file with the pairs of the last run: a header, the pairs in order, and a checksum of all before it. A file that is
//! truncated or damaged counts as absent.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::pieces::Pair;

/// First bytes of the file: its form, with a version. The number of the run follows.
const MAGIC: &[u8; 8] = b"SBCMP\0\0\x01";
const NUMBER: usize = 8;
const HEADER: u64 = (MAGIC.len() + NUMBER) as u64;
const CHECKSUM: usize = 8;

/// Reads the file of the last run.
pub(super) struct StoredPairs {
    file: BufReader<File>,
    left: u64,
    /// The run that wrote it.
    pub(super) run: u64,
}

impl StoredPairs {
    /// The file of the last run; `None` if there is none, or it is damaged.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stored = Self::read_once(file)?;
        if stored.is_none() {
            tracing::warn!("{} is damaged; this run is compared with nothing", path.display());
        }
        Ok(stored)
    }

    /// Reads the whole file, and returns to its first pair. `None` if it is damaged.
    fn read_once(file: File) -> io::Result<Option<Self>> {
        let pairs = file.metadata()?.len().checked_sub(HEADER + CHECKSUM as u64);
        let Some(pairs) = pairs.filter(|bytes| bytes.is_multiple_of(Pair::LENGTH as u64)) else {
            return Ok(None);
        };
        let left = pairs / Pair::LENGTH as u64;
        let (mut file, mut hash) = (BufReader::new(file), Xxh3::new());
        let magic: [u8; MAGIC.len()] = read_array(&mut file)?;
        let run: [u8; NUMBER] = read_array(&mut file)?;
        hash.update(&magic);
        hash.update(&run);
        for _ in 0..left {
            hash.update(&read_array::<{ Pair::LENGTH }>(&mut file)?);
        }
        let checksum: [u8; CHECKSUM] = read_array(&mut file)?;
        let is_intact = magic == *MAGIC && checksum == hash.digest().to_be_bytes();
        file.seek(SeekFrom::Start(HEADER))?;
        Ok(is_intact.then(|| Self { file, left, run: u64::from_be_bytes(run) }))
    }

    /// The next pair.
    pub(super) fn next(&mut self) -> io::Result<Option<Pair>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        Ok(Some(Pair::from_bytes(read_array(&mut self.file)?)))
    }
}

fn read_array<const LENGTH: usize>(file: &mut impl Read) -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Writes the file of this run under a temporary name.
pub(super) struct NewFile {
    file: BufWriter<File>,
    hash: Xxh3,
    temporary: PathBuf,
}

impl NewFile {
    pub(super) fn create(path: &Path, run: u64) -> io::Result<Self> {
        let temporary = path.with_extension("new");
        let file = BufWriter::new(File::create(&temporary)?);
        let mut new = Self { file, hash: Xxh3::new(), temporary };
        new.put(MAGIC)?;
        new.put(&run.to_be_bytes())?;
        Ok(new)
    }

    pub(super) fn write(&mut self, pair: Pair) -> io::Result<()> {
        self.put(&pair.to_bytes())
    }

    /// Adds the checksum, and replaces the file of the last run.
    pub(super) fn publish(mut self, path: &Path) -> io::Result<()> {
        self.file.write_all(&self.hash.digest().to_be_bytes())?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(self.temporary, path)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }
}
