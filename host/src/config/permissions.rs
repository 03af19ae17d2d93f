//! Files with secrets that other users can read, and files that other users can change.

use std::fs;
use std::path::Path;

use super::checker::Checker;
use super::document::Document;
use super::source::Span;

/// Access that neither the owner nor the group's right to read explains.
const OTHERS: u32 = 0o027;
const OTHERS_WRITE: u32 = 0o002;

impl Checker<'_> {
    /// Warns about a pipeline file that every user can change.
    pub(super) fn writable_by_all(&mut self, document: &Document) {
        let path = document.source.path();
        if let Some(mode) = mode(path).filter(|mode| mode & OTHERS_WRITE != 0)
            && let Some(first) = document.root.entries().first()
        {
            let message = format!("every user can change {} (mode {mode:04o})", path.display());
            let help = format!("run `chmod o-w {}`", path.display());
            self.collector.warning("open-permissions", &first.key.span, message).help(help);
        }
    }

    /// Warns once about a settings file that contains a secret and is open to other users. `at` is the secret's key.
    pub(super) fn secret_in_file(&mut self, at: &Span) {
        let path = at.file().to_owned();
        self.open_secret(&path, at);
    }

    /// Warns once about a file that contains a secret and is open to other users.
    pub(super) fn open_secret(&mut self, path: &Path, at: &Span) {
        self.open_file(path, at, ", or use ${env:NAME} or ${credential:NAME}");
    }

    /// Warns once about a file with a private key that is open to other users. `at` is the path in the settings.
    pub(super) fn open_private_key(&mut self, path: &Path, at: &Span) {
        self.open_file(path, at, "");
    }

    fn open_file(&mut self, path: &Path, at: &Span, alternative: &str) {
        let Some(mode) = mode(path).filter(|mode| mode & OTHERS != 0) else { return };
        if self.open_files.iter().any(|known| known == path) {
            return;
        }
        self.open_files.push(path.to_owned());
        let what = if mode & 0o022 == 0 { "can be read by" } else { "can be changed by" };
        let path = path.display();
        let message = format!("{path} contains a secret and {what} other users (mode {mode:04o})");
        self.collector
            .warning("open-permissions", at, message)
            .help(format!("run `chmod g-w,o-rwx {path}`{alternative}"));
    }
}

/// The permissions of a regular file.
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(metadata.permissions().mode() & 0o777)
}
