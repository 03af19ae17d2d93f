//! Identifies a file by its path, and by a fingerprint that changes when the file changes.

use std::fs::{self, File, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use scanbridge_qualys_report::Source;

/// The identity of a file when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileKey {
    /// The escaped path, a tab, the fingerprint.
    text: String,
}

impl FileKey {
    /// A file with this path and fingerprint. The path is made absolute, because the next run may start in another
    /// directory.
    pub(crate) fn new(path: &Path, fingerprint: &str) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { text: format!("{}\t{fingerprint}", to_text(&path)) }
    }

    /// Parses the text of a key.
    pub(crate) fn from_text(text: String) -> Self {
        Self { text }
    }

    /// The current key of a regular file; `None` for other files, and for files that cannot be read.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
        let source = Source::new(File::open(path).ok()?, metadata.len());
        let fingerprint = source.fingerprint(metadata.modified().ok()).ok()?;
        Some(Self::new(path, &fingerprint))
    }

    /// The key as text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The path.
    pub(crate) fn path(&self) -> PathBuf {
        path_of(&self.text)
    }

    /// The fingerprint of the content.
    pub(crate) fn revision(&self) -> &str {
        self.text.split_once('\t').map_or("", |(_, fingerprint)| fingerprint)
    }
}

/// The path in the text of a key.
fn path_of(text: &str) -> PathBuf {
    from_text(text.split('\t').next().unwrap_or_default())
}

/// Metadata that shows without opening a file whether it may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    length: u64,
    inode: u64,
    modified: (i64, i64),
    /// A change of permissions changes it, so that a file that could not be opened is retried.
    changed: (i64, i64),
}

impl Stamp {
    /// The current metadata of the file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            length: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// A path as text without tabs: invalid UTF-8, tabs and `%` are written as `%` and two digits.
fn to_text(path: &Path) -> String {
    let mut text = String::new();
    let escape = |text: &mut String, byte: u8| text.push_str(&format!("%{byte:02x}"));
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '%' => escape(&mut text, b'%'),
                '\t' => escape(&mut text, b'\t'),
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(&mut text, *byte));
    }
    text
}

fn from_text(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).unwrap_or(("", piece));
        bytes.extend(u8::from_str_radix(digits, 16).ok());
        bytes.extend_from_slice(rest.as_bytes());
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn paths_are_restored_from_the_text_of_a_key() {
        for name in
            [&b"/in/scan.xml"[..], b"/caf\xE9.xml", b"/100%\t\n\xFF\xFF.xml", "/a\u{301}%41".as_bytes()]
        {
            let path = Path::new(OsStr::from_bytes(name));
            let key = FileKey::new(path, "1-2-3");
            assert_eq!(key.path(), path);
            assert!(key.text().ends_with("\t1-2-3"));
        }
    }

    #[test]
    fn changed_file_has_a_different_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.xml");
        let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let key = |bytes: &[u8], time: SystemTime| {
            fs::write(&path, bytes).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            FileKey::of(&path).unwrap()
        };
        let long = vec![b'x'; 300 << 10];
        let mut other_end = long.clone();
        *other_end.last_mut().unwrap() = b'y';
        let first = key(&long, time);
        assert_eq!(first, key(&long, time));
        for other in [
            key(&other_end, time),
            key(&long[1..], time),
            key(&long, time + Duration::from_nanos(1_000)),
            FileKey::new(Path::new("other"), first.text().split('\t').nth(1).unwrap()),
        ] {
            assert_ne!(first, other);
        }
        assert_eq!(FileKey::of(folder.path()), None);
        assert_eq!(FileKey::of(&folder.path().join("none")), None);
    }
}
