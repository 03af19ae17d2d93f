//! The file with the pairs of the last run: a header, the pairs in order, and a checksum of all before it. A file that is
//! truncated or damaged counts as absent.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::pieces::Pair;

/// First bytes of the file: its form, with a version.
const MAGIC: &[u8; 8] = b"SBCMP\0\0\x01";
/// Magic, run and number of pairs.
const HEADER: usize = 24;
const CHECKSUM: usize = 8;

/// Reads the file of the last run.
pub(super) struct StoredPairs {
    file: BufReader<File>,
    hash: Xxh3,
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
        let length = file.metadata()?.len();
        if !is_intact(&file, length)? {
            tracing::warn!("{} is damaged; this run is compared with nothing", path.display());
            return Ok(None);
        }
        let mut stored = Self { file: BufReader::new(File::open(path)?), hash: Xxh3::new(), left: 0, run: 0 };
        let mut header = [0; HEADER];
        stored.file.read_exact(&mut header)?;
        stored.hash.update(&header);
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            u64::from_be_bytes(bytes)
        };
        (stored.run, stored.left) = (number(8), number(16));
        Ok(Some(stored))
    }

    /// The next pair.
    pub(super) fn next(&mut self) -> io::Result<Option<Pair>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut bytes = [0; Pair::LENGTH];
        self.file.read_exact(&mut bytes)?;
        Ok(Some(Pair::from_bytes(bytes)))
    }
}

/// Whether the length and the checksum are those that were written. Reads the whole file once.
fn is_intact(file: &File, length: u64) -> io::Result<bool> {
    let Some(content) = length.checked_sub(CHECKSUM as u64).filter(|content| *content >= HEADER as u64)
    else {
        return Ok(false);
    };
    let mut reader = BufReader::new(file);
    let (mut hash, mut buffer) = (Xxh3::new(), [0; 8 * 1024]);
    let mut left = content;
    let mut header = [0; HEADER];
    let mut is_first = true;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        reader.read_exact(&mut buffer[..part])?;
        if std::mem::take(&mut is_first) {
            let known = part.min(HEADER);
            header[..known].copy_from_slice(&buffer[..known]);
        }
        hash.update(&buffer[..part]);
        left -= part as u64;
    }
    let mut checksum = [0; CHECKSUM];
    reader.read_exact(&mut checksum)?;
    let pairs = (content - HEADER as u64) / Pair::LENGTH as u64;
    let is_whole = (content - HEADER as u64).is_multiple_of(Pair::LENGTH as u64);
    Ok(is_whole
        && header[..8] == *MAGIC
        && header[16..] == pairs.to_be_bytes()
        && checksum == hash.digest().to_be_bytes())
}

/// Writes the file of this run under a temporary name. The pairs come before their number, so it is written twice.
pub(super) struct NewFile {
    file: BufWriter<File>,
    temporary: PathBuf,
    pairs: u64,
    run: u64,
}

impl NewFile {
    pub(super) fn create(path: &Path, run: u64) -> io::Result<Self> {
        let temporary = path.with_extension("new");
        let mut file = BufWriter::new(
            File::options().read(true).write(true).create(true).truncate(true).open(&temporary)?,
        );
        file.write_all(&header(run, 0))?;
        Ok(Self { file, temporary, pairs: 0, run })
    }

    pub(super) fn write(&mut self, pair: Pair) -> io::Result<()> {
        self.pairs += 1;
        self.file.write_all(&pair.to_bytes())
    }

    /// Adds the checksum, and replaces the file of the last run.
    pub(super) fn publish(self, path: &Path) -> io::Result<()> {
        let Self { file, temporary, pairs, run } = self;
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        write_ends(&mut file, &header(run, pairs))?;
        file.sync_all()?;
        fs::rename(temporary, path)
    }
}

fn header(run: u64, pairs: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&run.to_be_bytes());
    header[16..].copy_from_slice(&pairs.to_be_bytes());
    header
}

/// Writes the final header, and the checksum of all before it at the end.
fn write_ends(file: &mut File, header: &[u8; HEADER]) -> io::Result<()> {
    use std::io::{Seek, SeekFrom};
    file.seek(SeekFrom::Start(0))?;
    file.write_all(header)?;
    let (mut hash, mut buffer) = (Xxh3::new(), [0; 8 * 1024]);
    hash.update(header);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    file.write_all(&hash.digest().to_be_bytes())
}
