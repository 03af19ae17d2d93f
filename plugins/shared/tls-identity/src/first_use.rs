//! The file that stores the certificates seen first: one line per peer, `dc.example.com:8307 AB:CD:…`.

use std::fs::{self, File};
use std::io::{ErrorKind as IoKind, Write};
use std::path::Path;

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};

use crate::fingerprint::Fingerprint;

/// The fingerprint that `file` stores for `peer`.
///
/// # Errors
/// [`Io`](ErrorKind::Io) when the file exists and cannot be read, [`Config`](ErrorKind::Config) when the peer's line
/// is corrupt. A corrupt file is never treated as an empty one.
pub(crate) fn stored_fingerprint(file: &Path, peer: &str) -> Result<Option<Fingerprint>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == IoKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(PluginError::new(ErrorKind::Io, format!("cannot read {}: {error}", file.display())));
        }
    };
    let line = text.lines().find_map(|line| line.strip_prefix(peer)?.strip_prefix(' '));
    line.map(str::parse).transpose().map_err(|error: PluginError| {
        PluginError::config(format!("invalid line for {peer} in {}: {}", file.display(), error.message))
            .with_hint(
                "replace it with the peer's SHA-256 fingerprint, or remove the line to accept the \
                 next certificate",
            )
    })
}

/// Adds `peer`, unless another process has added it in the meantime; then the fingerprints must be equal.
///
/// # Errors
/// [`CannotCreate`](ErrorKind::CannotCreate) when the file cannot be written; the refusal of [`changed`] when another
/// one was stored in the meantime.
pub(crate) fn store(file: &Path, peer: &str, fingerprint: Fingerprint) -> Result<()> {
    let failed = |error: std::io::Error| {
        PluginError::new(ErrorKind::CannotCreate, format!("cannot write {}: {error}", file.display()))
            .with_hint("set `tls_first_use_file` to a file in a writable directory")
    };
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // The directory is locked instead of the file, because the file is replaced.
    let lock = File::open(folder).map_err(failed)?;
    lock.lock().map_err(failed)?;
    match stored_fingerprint(file, peer)? {
        Some(known) if known == fingerprint => return Ok(()),
        Some(known) => return Err(changed(file, peer, known, fingerprint)),
        None => {}
    }
    let mut text = match fs::read_to_string(file) {
        Err(error) if error.kind() == IoKind::NotFound => String::new(),
        other => other.map_err(failed)?,
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!("{peer} {fingerprint}\n"));
    // `NamedTempFile` creates files with mode 0600.
    let mut part = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    part.write_all(text.as_bytes()).map_err(failed)?;
    part.as_file().sync_all().map_err(failed)?;
    part.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The error for a peer whose certificate differs from the stored one.
pub(crate) fn changed(file: &Path, peer: &str, known: Fingerprint, shown: Fingerprint) -> PluginError {
    let file = file.display();
    PluginError::new(
        ErrorKind::Auth,
        format!("certificate of {peer} has changed: {file} has {known}, received {shown}"),
    )
    .with_hint(format!(
        "possible man-in-the-middle attack; if the certificate was renewed on purpose, remove the line of \
         {peer} from {file}"
    ))
}
