//! The file with the pairs of the last run: a header, the pairs in order, and a checksum of all before it. A file that is
//! truncated or damaged, or whose hashes have another key, counts as absent.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::pieces::Pair;

/// First bytes of the file: its form, with a version. The number of the run follows.
const MAGIC: &[u8; 8] = b"SBCMP\0\0\x01";
/// The same for hashes with a key. The ID of the key follows the number of the run.
const MAGIC_OF_KEY: &[u8; 8] = b"SBCMP\0\0\x02";
const CHECKSUM: usize = 8;

/// Reads the file of the last run.
pub(super) struct StoredPairs {
    file: BufReader<File>,
    left: u64,
    /// The run that wrote it.
    pub(super) run: u64,
}

/// What precedes the pairs.
struct Header {
    run: u64,
    key: Option<u64>,
}

impl Header {
    /// `None` if the file has another form.
    fn read(file: &mut impl Read, hash: &mut Xxh3) -> io::Result<Option<Self>> {
        let mut next = || {
            let bytes: [u8; 8] = read_array(file)?;
            hash.update(&bytes);
            Ok::<_, io::Error>(bytes)
        };
        let (magic, run) = (next()?, u64::from_be_bytes(next()?));
        Ok(match &magic {
            MAGIC => Some(Self { run, key: None }),
            MAGIC_OF_KEY => Some(Self { run, key: Some(u64::from_be_bytes(next()?)) }),
            _ => None,
        })
    }

    fn length(&self) -> u64 {
        if self.key.is_some() { 24 } else { 16 }
    }
}

impl StoredPairs {
    /// The file of the last run; `None` if there is none, it is damaged, or its hashes have another key than this.
    pub(super) fn open(path: &Path, key: Option<u64>) -> io::Result<Option<Self>> {
        let Some(mut file) = existing(path)? else { return Ok(None) };
        let stored = match Self::read_once(&mut file) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            read => read?,
        };
        let Some((header, left)) = stored else {
            tracing::warn!("{} is damaged; this run is compared with nothing", path.display());
            return Ok(None);
        };
        if header.key != key {
            tracing::warn!(
                "the key of `encrypt` was changed, added or removed since run {}: this run is compared with nothing, the \
                 next one with this run",
                header.run
            );
            return Ok(None);
        }
        file.seek(SeekFrom::Start(header.length()))?;
        Ok(Some(Self { file, left, run: header.run }))
    }

    /// Reads the whole file. Returns its header and the number of its pairs; `None` if it is damaged.
    fn read_once(file: &mut BufReader<File>) -> io::Result<Option<(Header, u64)>> {
        let bytes = file.get_ref().metadata()?.len();
        let mut hash = Xxh3::new();
        let Some(header) = Header::read(file, &mut hash)? else { return Ok(None) };
        let pairs = bytes.checked_sub(header.length() + CHECKSUM as u64);
        let Some(pairs) = pairs.filter(|bytes| bytes.is_multiple_of(Pair::LENGTH as u64)) else {
            return Ok(None);
        };
        let left = pairs / Pair::LENGTH as u64;
        for _ in 0..left {
            hash.update(&read_array::<{ Pair::LENGTH }>(file)?);
        }
        let checksum: [u8; CHECKSUM] = read_array(file)?;
        Ok((checksum == hash.digest().to_be_bytes()).then_some((header, left)))
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

/// Removes a file whose hashes have no key: what they are of could be guessed.
pub(super) fn remove_without_key(path: &Path) -> io::Result<()> {
    let Some(mut file) = existing(path)? else { return Ok(()) };
    match Header::read(&mut file, &mut Xxh3::new()) {
        Ok(Some(Header { key: Some(_), .. })) => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    fs::remove_file(path)?;
    tracing::warn!(
        "an output encrypts fields now: {} had hashes without a key and is removed; this run is compared with nothing, the \
         next one with this run",
        path.display()
    );
    Ok(())
}

fn existing(path: &Path) -> io::Result<Option<BufReader<File>>> {
    match File::open(path) {
        Ok(file) => Ok(Some(BufReader::new(file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
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
    /// `key` identifies the key of the hashes.
    pub(super) fn create(path: &Path, run: u64, key: Option<u64>) -> io::Result<Self> {
        let temporary = path.with_extension("new");
        let file = BufWriter::new(File::create(&temporary)?);
        let mut new = Self { file, hash: Xxh3::new(), temporary };
        new.put(if key.is_some() { MAGIC_OF_KEY } else { MAGIC })?;
        new.put(&run.to_be_bytes())?;
        if let Some(key) = key {
            new.put(&key.to_be_bytes())?;
        }
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
