//! The files of dead letters: NDJSON, one file an output, never larger than agreed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::StateError;
use super::folder::{StateFolder, create_private};
use super::letter::Letter;

/// The dead letters of one output, as the run that writes them sees them.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    /// Opened when the first letter comes.
    file: Option<File>,
    buffer: Vec<u8>,
    /// Bytes in the file and the buffer together.
    length: u64,
    most: u64,
    /// Letters for which there was no room.
    lost: u64,
    /// The same up to the last commit.
    committed_lost: u64,
}

impl DeadLetters {
    /// The letters of the output with this id. Those that an interrupted run wrote behind `length` are cut off, for
    /// their findings will come again; without a length the file goes on behind its last whole line.
    ///
    /// # Errors
    /// When the file is there and cannot be cut.
    pub fn open(folder: &StateFolder, id: &str, length: Option<u64>, most: u64) -> Result<Self, StateError> {
        let path = letters_path(folder, id);
        let length = cut(&path, length).map_err(|error| StateError::io(&path, &error))?;
        Ok(Self { path, file: None, buffer: Vec::new(), length, most, lost: 0, committed_lost: 0 })
    }

    /// Adds a letter, or counts it as lost when there is no room.
    pub fn add(&mut self, letter: &Letter) {
        let mut line = serde_json::to_vec(letter).expect("plain data serialises");
        line.push(b'\n');
        if self.length + line.len() as u64 > self.most {
            self.lost += 1;
            if self.lost == 1 {
                tracing::error!(
                    "dead letter file {} is full; further rejected findings are counted but not stored",
                    self.path.display()
                );
            }
            return;
        }
        self.length += line.len() as u64;
        self.buffer.extend_from_slice(&line);
    }

    /// The length of the file with what is buffered, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Letters for which there was no room.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether what is buffered should go to the file before more comes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.buffer.len() > BUFFER
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), StateError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.open_file().and_then(|mut file| file.write_all(&buffer));
        written.map_err(|error| StateError::io(&self.path, &error))?;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    /// Brings everything to the disk, and gives the length of the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn commit(&mut self) -> Result<u64, StateError> {
        self.flush()?;
        if let Some(file) = &self.file {
            file.sync_data().map_err(|error| StateError::io(&self.path, &error))?;
        }
        self.committed_lost = self.lost;
        Ok(self.length)
    }

    /// Forgets the letters behind this length, which a commit gave.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub fn cut_back(&mut self, length: u64) -> Result<(), StateError> {
        self.buffer.clear();
        self.length = length;
        self.lost = self.committed_lost;
        match &self.file {
            Some(file) => file.set_len(length).map_err(|error| StateError::io(&self.path, &error)),
            None => Ok(()),
        }
    }

    fn open_file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            create_private(folder)?;
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
            File::open(folder)?.sync_all()?;
            self.file = Some(file);
        }
        self.file.as_ref().ok_or_else(|| io::Error::other("the dead letter file is closed"))
    }
}

/// Enough letters for one write.
const BUFFER: usize = 64 << 10;

/// A file of dead letters, as somebody who looks at it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterFile {
    /// The `id:` of the output.
    pub output: String,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The files of dead letters of a pipeline, by output.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn list_letters(folder: &StateFolder) -> Result<Vec<LetterFile>, StateError> {
    let place = folder.dead_letters();
    let entries = match fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StateError::io(&place, &error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| StateError::io(&place, &error))?.path();
        let id = path.file_stem().and_then(OsStr::to_str).map(str::to_owned);
        let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if let Some(output) = id.filter(|_| path.extension() == Some(OsStr::new("ndjson")) && bytes > 0) {
            files.push(LetterFile { output, path, bytes });
        }
    }
    files.sort_by(|one, other| one.output.cmp(&other.output));
    Ok(files)
}

impl LetterFile {
    /// The letters, in the order in which they were written.
    ///
    /// # Errors
    /// When the file cannot be opened; each item fails by itself when its line is damaged.
    pub fn letters(&self) -> Result<impl Iterator<Item = Result<Letter, StateError>> + use<>, StateError> {
        let file = File::open(&self.path).map_err(|error| StateError::io(&self.path, &error))?;
        let path = self.path.clone();
        let lines = BufReader::new(file).split(b'\n').enumerate();
        Ok(lines.filter_map(move |(index, line)| match line {
            Ok(line) if line.is_empty() => None,
            Ok(line) => {
                let letter = serde_json::from_slice(&line);
                let line = index + 1;
                Some(letter.map_err(|error| StateError {
                    message: format!("{}, line {line}: {error}", path.display()),
                    hint: Some("repair or remove this line".to_owned()),
                    exit_code: 65,
                }))
            }
            Err(error) => Some(Err(StateError::io(&path, &error))),
        }))
    }
}

/// Cuts the file to this length, or to its whole lines: a crash may have left half a letter, and the next one must
/// not be joined to it. Gives the length; a file that is not there has none.
fn cut(path: &Path, length: Option<u64>) -> io::Result<u64> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let found = file.metadata()?.len();
    let length = match length {
        Some(length) => length.min(found),
        None => whole_lines(&mut file, found)?,
    };
    if length < found {
        file.set_len(length)?;
        file.sync_all()?;
    }
    Ok(length)
}

/// Where the last line break of a file of this length ends, found from behind.
fn whole_lines(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut piece = vec![0; BUFFER];
    while end > 0 {
        let start = end.saturating_sub(BUFFER as u64);
        let piece = &mut piece[..usize::try_from(end - start).unwrap_or(BUFFER)];
        file.seek(io::SeekFrom::Start(start))?;
        file.read_exact(piece)?;
        if let Some(place) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn letters_path(folder: &StateFolder, id: &str) -> PathBuf {
    folder.dead_letters().join(format!("{id}.ndjson"))
}

#[cfg(test)]
mod tests {
    use super::super::letter::{LetterReport, Record};
    use super::*;

    fn letter(number: usize) -> Letter {
        Letter {
            output: "siem".to_owned(),
            run: 1,
            time: "2026-01-31T12:00:00Z".to_owned(),
            reason: number.to_string(),
            attempts: 1,
            report: LetterReport::default(),
            record: Record::default(),
        }
    }

    fn reasons(folder: &StateFolder) -> Vec<String> {
        let files = list_letters(folder).unwrap();
        let letters = files.iter().flat_map(|file| file.letters().unwrap());
        letters.map(|letter| letter.unwrap().reason).collect()
    }

    #[test]
    fn letters_behind_the_last_commit_are_taken_back_here_and_in_a_later_run() {
        let all = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(all.path(), "nightly");
        let mut letters = DeadLetters::open(&folder, "siem", None, u64::MAX).unwrap();
        letters.add(&letter(1));
        let first = letters.commit().unwrap();
        letters.add(&letter(2));
        letters.flush().unwrap();
        letters.add(&letter(3));
        letters.cut_back(first).unwrap();
        letters.add(&letter(4));
        let second = letters.commit().unwrap();
        assert_eq!(reasons(&folder), ["1", "4"]);
        letters.add(&letter(5));
        letters.flush().unwrap();
        drop(letters); // The run is killed here.

        let mut letters = DeadLetters::open(&folder, "siem", Some(second), u64::MAX).unwrap();
        letters.add(&letter(6));
        letters.commit().unwrap();
        assert_eq!(reasons(&folder), ["1", "4", "6"]);
    }

    #[test]
    fn half_a_letter_spoils_no_other() {
        let all = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(all.path(), "nightly");
        for (whole, half) in [(0, 10), (1, 1), (2, 3 * BUFFER)] {
            let mut letters = DeadLetters::open(&folder, "siem", None, u64::MAX).unwrap();
            (0..whole).for_each(|number| letters.add(&letter(number)));
            let length = letters.commit().unwrap();
            drop(letters);
            fs::create_dir_all(folder.dead_letters()).unwrap();
            let path = letters_path(&folder, "siem");
            let mut file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
            file.write_all(&vec![b'x'; half]).unwrap(); // The run was killed within a write.

            let mut letters = DeadLetters::open(&folder, "siem", None, u64::MAX).unwrap();
            assert_eq!(letters.length(), length);
            letters.add(&letter(whole));
            letters.commit().unwrap();
            let expected: Vec<String> = (0..=whole).map(|number| number.to_string()).collect();
            assert_eq!(reasons(&folder), expected);
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_full_file_grows_no_more_and_counts_what_it_loses() {
        let all = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(all.path(), "nightly");
        let mut letters = DeadLetters::open(&folder, "siem", None, 1000).unwrap();
        (0..50).for_each(|number| letters.add(&letter(number)));
        let length = letters.commit().unwrap();
        assert!(length <= 1000 && length == fs::metadata(letters_path(&folder, "siem")).unwrap().len());
        assert_eq!(reasons(&folder).len() as u64 + letters.lost(), 50);
        assert!(letters.lost() > 0);
        let lost = letters.lost();
        letters.add(&letter(50));
        letters.cut_back(length).unwrap();
        assert_eq!(letters.lost(), lost, "a repeated finding is not counted as lost twice");
    }
}
