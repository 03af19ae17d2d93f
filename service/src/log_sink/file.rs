//! A log file with rotation by size.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, open, readlinkat};
use rustix::io::Errno;

/// A log file. The older ones have the names `FILE.1` (the last) to `FILE.KEEP`.
#[derive(Debug)]
pub(super) struct LogFile {
    /// The file that was asked for; it may be a symbolic link.
    path: PathBuf,
    rotate_bytes: u64,
    keep: u64,
    /// The file itself.
    real: PathBuf,
    file: File,
    size: u64,
    /// The size after which it is rotated.
    limit: u64,
}

/// More symbolic links in a row are refused, as the system does.
const MAX_LINKS: usize = 8;

impl LogFile {
    /// Opens the file for appending. With 0 `rotate_bytes` it is never rotated.
    ///
    /// # Errors
    /// When it cannot be opened, or is a symbolic link of another user.
    pub(super) fn open(path: &Path, rotate_bytes: u64, keep: u64) -> io::Result<Self> {
        let (real, file) = append_to(path)?;
        let metadata = file.metadata()?;
        let limit = if metadata.is_file() && rotate_bytes > 0 { rotate_bytes } else { u64::MAX };
        Ok(Self { path: path.to_owned(), rotate_bytes, keep, real, file, size: metadata.len(), limit })
    }

    /// Opens the file again, after another program has moved it away.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(&self.path, self.rotate_bytes, self.keep)?;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line, into a new file if this one would get too large.
    ///
    /// # Errors
    /// When the line cannot be written. A rotation that fails is reported once for each `rotate_bytes`, and the line is
    /// written anyway.
    pub(super) fn write(&mut self, line: &str) -> io::Result<Option<io::Error>> {
        let mut failed = None;
        let is_full = self.size > 0 && self.size.saturating_add(line.len() as u64) > self.limit;
        if is_full && let Err(error) = self.rotate() {
            self.limit = self.size.saturating_add(self.rotate_bytes);
            failed = Some(error);
        }
        self.file.write_all(line.as_bytes())?;
        self.size += line.len() as u64;
        Ok(failed)
    }

    fn rotate(&mut self) -> io::Result<()> {
        // Another program may have moved the file away, and made a new one.
        if self.is_current() {
            let mut number = self.keep + 1;
            while fs::remove_file(self.numbered(number)).is_ok() {
                number += 1;
            }
            for number in (1..self.keep).rev() {
                let moved = fs::rename(self.numbered(number), self.numbered(number + 1));
                moved
                    .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
            }
            if self.keep == 0 {
                fs::remove_file(&self.real)?;
            } else {
                fs::rename(&self.real, self.numbered(1))?;
            }
        }
        self.reopen()
    }

    fn is_current(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let open = self.file.metadata().map(identity);
        let named = fs::symlink_metadata(&self.real).map(identity);
        matches!((open, named), (Ok(open), Ok(named)) if open == named)
    }

    fn numbered(&self, number: u64) -> PathBuf {
        let mut name = self.real.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Opens a file for appending, and returns where it is. Only a symbolic link that this user or root made is followed: in
/// a directory such as /tmp another user could let the service append to any of its files.
fn append_to(path: &Path) -> io::Result<(PathBuf, File)> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match open(&path, flags, Mode::from_raw_mode(0o640)) {
            Err(Errno::LOOP) => path = target_of_link(&path)?,
            Err(error) => return Err(error.into()),
            Ok(file) => return Ok((path, file.into())),
        }
    }
    Err(Errno::LOOP.into())
}

fn target_of_link(path: &Path) -> io::Result<PathBuf> {
    // The owner and the target are those of one link, even if another one replaces it now.
    let link = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let owner = fstat(&link)?.st_uid;
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        let message = format!("{} is a symbolic link of another user (uid {owner})", path.display());
        return Err(io::Error::new(ErrorKind::PermissionDenied, message));
    }
    let target = readlinkat(&link, "", Vec::new())?;
    Ok(path.parent().unwrap_or(Path::new("")).join(OsStr::from_bytes(target.as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    fn files(folder: &Path) -> Vec<(String, String)> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        let mut files: Vec<_> = entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn file(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    #[test]
    fn rotation_keeps_the_last_files_and_every_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        // Files of an earlier, larger `keep`.
        fs::write(folder.path().join("log.3"), "older").unwrap();
        fs::write(folder.path().join("log.4"), "oldest").unwrap();
        let mut log = LogFile::open(&path, 8, 2).unwrap();
        for line in ["1\n", "22\n", "333\n", "4444\n", "a line longer than the limit\n", "6\n"] {
            assert!(log.write(line).unwrap().is_none());
        }
        let expected =
            [file("log", "6\n"), file("log.1", "a line longer than the limit\n"), file("log.2", "4444\n")];
        assert_eq!(files(folder.path()), expected);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
        // After a restart, the file continues.
        drop(log);
        LogFile::open(&path, 8, 0).unwrap().write("7\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "6\n7\n");
        LogFile::open(&path, 4, 0).unwrap().write("8\n").unwrap();
        assert_eq!(files(folder.path()), [file("log", "8\n")], "keep: 0 keeps no older file");
    }

    #[test]
    fn file_that_another_program_rotates_is_not_rotated_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path, 8, 5).unwrap();
        log.write("1234567\n").unwrap();
        fs::rename(&path, folder.path().join("log-20261130")).unwrap();
        fs::write(&path, "new\n").unwrap();
        log.write("9\n").unwrap();
        assert_eq!(files(folder.path()), [file("log", "new\n9\n"), file("log-20261130", "1234567\n")]);
    }

    #[test]
    fn failed_rotation_loses_no_line_and_is_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        // A directory that is not empty cannot be replaced.
        fs::create_dir_all(folder.path().join("log.1/x")).unwrap();
        let mut log = LogFile::open(&path, 8, 1).unwrap();
        let failed = (0..6).filter(|_| log.write("123\n").unwrap().is_some()).count();
        assert_eq!((failed, fs::read_to_string(&path).unwrap().len()), (2, 24));
    }

    #[test]
    fn link_of_another_user_is_refused_and_an_own_one_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("log"), folder.path().join("real"));
        symlink("real", &path).unwrap();
        let mut log = LogFile::open(&path, 4, 1).unwrap();
        log.write("1\n").unwrap();
        log.write("222\n").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "222\n");
        assert!(
            fs::symlink_metadata(&path).unwrap().is_symlink(),
            "the rotation moves the file, not the link"
        );
        symlink("loop", folder.path().join("loop")).unwrap();
        assert!(LogFile::open(&folder.path().join("loop"), 4, 1).is_err());
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can make a link of another user");
            return;
        }
        lchown(&path, Some(12345), None).unwrap();
        let error = LogFile::open(&path, 4, 1).unwrap_err();
        assert!(error.to_string().contains("a symbolic link of another user (uid 12345)"), "{error}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "222\n");
    }
}
