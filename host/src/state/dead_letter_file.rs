//! Dead letter files: NDJSON, one file per output, each with a maximum size.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::dead_letter::DeadLetter;
use super::error::StateError;
use super::folder::{StateFolder, create_private};

/// Writes the dead letters of one output.
#[derive(Debug)]
pub struct DeadLetterWriter {
    path: PathBuf,
    /// Opened when the first dead letter is written.
    file: Option<File>,
    buffer: Vec<u8>,
    /// Size of the file plus the buffer, in bytes.
    length: u64,
    max_bytes: u64,
    /// Dead letters that were dropped because the file is full.
    lost: u64,
    /// `lost` at the last commit.
    committed_lost: u64,
}

impl DeadLetterWriter {
    /// Opens the dead letter file of this output. Dead letters after `length` come from an interrupted run and are
    /// truncated, because their findings are delivered again. Without a length, only an incomplete last line is
    /// truncated.
    ///
    /// # Errors
    /// When the file exists and cannot be truncated.
    pub fn open(
        folder: &StateFolder,
        id: &str,
        length: Option<u64>,
        max_bytes: u64,
    ) -> Result<Self, StateError> {
        let path = dead_letter_path(folder, id);
        let length = truncate_file(&path, length).map_err(|error| StateError::io(&path, &error))?;
        Ok(Self { path, file: None, buffer: Vec::new(), length, max_bytes, lost: 0, committed_lost: 0 })
    }

    /// Adds a dead letter, or counts it as lost if the file is full.
    pub fn add(&mut self, dead_letter: &DeadLetter) {
        let mut line = serde_json::to_vec(dead_letter).expect("plain data can be serialized");
        line.push(b'\n');
        if self.length + line.len() as u64 > self.max_bytes {
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

    /// Length of the file including buffered data, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Number of dead letters that were dropped because the file is full.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether the caller must flush before it adds more.
    #[must_use]
    pub fn needs_flush(&self) -> bool {
        self.buffer.len() > BUFFER
    }

    /// Writes the buffered data to the file.
    ///
    /// # Errors
    /// When the file cannot be written.
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

    /// Writes everything to disk and returns the length of the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn commit(&mut self) -> Result<u64, StateError> {
        self.flush()?;
        if let Some(file) = &self.file {
            file.sync_data().map_err(|error| StateError::io(&self.path, &error))?;
        }
        self.committed_lost = self.lost;
        Ok(self.length)
    }

    /// Rolls back to a length that [`DeadLetterWriter::commit`] returned.
    ///
    /// # Errors
    /// When the file cannot be truncated.
    pub fn roll_back_to(&mut self, length: u64) -> Result<(), StateError> {
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

/// Buffer size in bytes.
const BUFFER: usize = 64 << 10;

/// A dead letter file, for reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterFile {
    /// The `id:` of the output.
    pub output: String,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Lists the dead letter files of a pipeline, sorted by output.
///
/// # Errors
/// When the directory exists and cannot be read.
pub fn list_dead_letter_files(folder: &StateFolder) -> Result<Vec<DeadLetterFile>, StateError> {
    let directory = folder.dead_letters();
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StateError::io(&directory, &error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| StateError::io(&directory, &error))?.path();
        let id = path.file_stem().and_then(OsStr::to_str).map(str::to_owned);
        let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if let Some(output) = id.filter(|_| path.extension() == Some(OsStr::new("ndjson")) && bytes > 0) {
            files.push(DeadLetterFile { output, path, bytes });
        }
    }
    files.sort_by(|one, other| one.output.cmp(&other.output));
    Ok(files)
}

impl DeadLetterFile {
    /// Reads the dead letters in the order in which they were written.
    ///
    /// # Errors
    /// When the file cannot be opened. An invalid line makes only its own item an error.
    pub fn dead_letters(
        &self,
    ) -> Result<impl Iterator<Item = Result<DeadLetter, StateError>> + use<>, StateError> {
        let file = File::open(&self.path).map_err(|error| StateError::io(&self.path, &error))?;
        let path = self.path.clone();
        let lines = BufReader::new(file).split(b'\n').enumerate();
        Ok(lines.filter_map(move |(index, line)| match line {
            Ok(line) if line.is_empty() => None,
            Ok(line) => {
                let dead_letter = serde_json::from_slice(&line);
                let line = index + 1;
                Some(dead_letter.map_err(|error| StateError {
                    message: format!("{}, line {line}: {error}", path.display()),
                    hint: Some("repair or remove this line".to_owned()),
                    exit_code: 65,
                }))
            }
            Err(error) => Some(Err(StateError::io(&path, &error))),
        }))
    }
}

/// Truncates the file to this length, or without a length to its last complete line. A crash may leave an incomplete
/// line, and the next dead letter must not be appended to it. Returns the new length, 0 if the file does not exist.
fn truncate_file(path: &Path, length: Option<u64>) -> io::Result<u64> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let found = file.metadata()?.len();
    let length = match length {
        Some(length) => length.min(found),
        None => complete_lines_end(&mut file, found)?,
    };
    if length < found {
        file.set_len(length)?;
        file.sync_all()?;
    }
    Ok(length)
}

/// Returns the offset after the last line break; reads the file backward.
fn complete_lines_end(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut block = vec![0; BUFFER];
    while end > 0 {
        let start = end.saturating_sub(BUFFER as u64);
        let block = &mut block[..usize::try_from(end - start).unwrap_or(BUFFER)];
        file.seek(io::SeekFrom::Start(start))?;
        file.read_exact(block)?;
        if let Some(line_break) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + line_break as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn dead_letter_path(folder: &StateFolder, id: &str) -> PathBuf {
    folder.dead_letters().join(format!("{id}.ndjson"))
}

#[cfg(test)]
mod tests {
    use super::super::dead_letter::{Record, ReportRecord};
    use super::*;

    fn dead_letter(number: usize) -> DeadLetter {
        DeadLetter {
            output: "siem".to_owned(),
            run: 1,
            time: "2026-01-31T12:00:00Z".to_owned(),
            reason: number.to_string(),
            attempts: 1,
            report: ReportRecord::default(),
            record: Record::default(),
        }
    }

    fn reasons(folder: &StateFolder) -> Vec<String> {
        let files = list_dead_letter_files(folder).unwrap();
        let dead_letters = files.iter().flat_map(|file| file.dead_letters().unwrap());
        dead_letters.map(|dead_letter| dead_letter.unwrap().reason).collect()
    }

    #[test]
    fn uncommitted_dead_letters_are_rolled_back_within_and_between_runs() {
        let all = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(all.path(), "nightly");
        let mut dead_letters = DeadLetterWriter::open(&folder, "siem", None, u64::MAX).unwrap();
        dead_letters.add(&dead_letter(1));
        let first = dead_letters.commit().unwrap();
        dead_letters.add(&dead_letter(2));
        dead_letters.flush().unwrap();
        dead_letters.add(&dead_letter(3));
        dead_letters.roll_back_to(first).unwrap();
        dead_letters.add(&dead_letter(4));
        let second = dead_letters.commit().unwrap();
        assert_eq!(reasons(&folder), ["1", "4"]);
        dead_letters.add(&dead_letter(5));
        dead_letters.flush().unwrap();
        drop(dead_letters); // The run is killed here.

        let mut dead_letters = DeadLetterWriter::open(&folder, "siem", Some(second), u64::MAX).unwrap();
        dead_letters.add(&dead_letter(6));
        dead_letters.commit().unwrap();
        assert_eq!(reasons(&folder), ["1", "4", "6"]);
    }

    #[test]
    fn truncated_dead_letter_does_not_affect_others() {
        let all = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(all.path(), "nightly");
        for (complete_lines, incomplete_bytes) in [(0, 10), (1, 1), (2, 3 * BUFFER)] {
            let mut dead_letters = DeadLetterWriter::open(&folder, "siem", None, u64::MAX).unwrap();
            (0..complete_lines).for_each(|number| dead_letters.add(&dead_letter(number)));
            let length = dead_letters.commit().unwrap();
            drop(dead_letters);
            fs::create_dir_all(folder.dead_letters()).unwrap();
            let path = dead_letter_path(&folder, "siem");
            let mut file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
            file.write_all(&vec![b'x'; incomplete_bytes]).unwrap(); // The run was killed within a write.

            let mut dead_letters = DeadLetterWriter::open(&folder, "siem", None, u64::MAX).unwrap();
            assert_eq!(dead_letters.length(), length);
            dead_letters.add(&dead_letter(complete_lines));
            dead_letters.commit().unwrap();
            let expected: Vec<String> = (0..=complete_lines).map(|number| number.to_string()).collect();
            assert_eq!(reasons(&folder), expected);
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn full_file_stays_within_its_limit_and_counts_lost_dead_letters() {
        let all = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(all.path(), "nightly");
        let mut dead_letters = DeadLetterWriter::open(&folder, "siem", None, 1000).unwrap();
        (0..50).for_each(|number| dead_letters.add(&dead_letter(number)));
        let length = dead_letters.commit().unwrap();
        assert!(length <= 1000 && length == fs::metadata(dead_letter_path(&folder, "siem")).unwrap().len());
        assert_eq!(reasons(&folder).len() as u64 + dead_letters.lost(), 50);
        assert!(dead_letters.lost() > 0);
        let lost = dead_letters.lost();
        dead_letters.add(&dead_letter(50));
        dead_letters.roll_back_to(length).unwrap();
        assert_eq!(dead_letters.lost(), lost, "a repeated finding is not counted as lost twice");
    }
}
