//! Reads files with certificates and keys.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, tracing};
use zeroize::{Zeroize, Zeroizing};

/// The content of such a file.
pub(crate) struct Material {
    /// The certificate of the key first, then the rest of the chain to its authority.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The key, wiped when this is dropped.
    pub(crate) key: Option<PrivateKeyDer<'static>>,
    /// The other certificates of the file: authorities to trust.
    pub(crate) authorities: Vec<CertificateDer<'static>>,
}

impl Drop for Material {
    fn drop(&mut self) {
        if let Some(key) = &mut self.key {
            key.zeroize();
        }
    }
}

/// The bytes of a file with certificates, wiped when dropped.
///
/// # Errors
/// [`NoInput`](ErrorKind::NoInput) when it does not exist or cannot be opened, [`Io`](ErrorKind::Io) when reading
/// fails, [`BadData`](ErrorKind::BadData) when it is much larger than a certificate or key file can be.
pub(crate) fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| {
        PluginError::new(ErrorKind::NoInput, format!("cannot open {shown}: {error}"))
            .with_hint("set a certificate file that the user running scanbridge can read")
    })?;
    let file_length = file.metadata().ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len());
    let expected =
        file_length.and_then(|length| usize::try_from(length).ok()).unwrap_or(MAX_BYTES).min(MAX_BYTES);
    // Reserved at once: a growing buffer leaves copies of the key in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected + 1));
    let mut limited = file.take(MAX_BYTES as u64 + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|error| PluginError::new(ErrorKind::Io, format!("cannot read {shown}: {error}")))?;
    if bytes.len() > MAX_BYTES {
        return Err(PluginError::bad_data(format!("{shown} is too large to be a certificate file")));
    }
    Ok(bytes)
}

/// Logs a warning when users who are neither the owner nor in the group can read a file that contains a key, or others can
/// change it: the rule for all files with secrets.
pub(crate) fn warn_if_readable_by_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    if mode & 0o027 != 0 {
        let shown = path.display();
        tracing::warn!(
            "{shown} contains a private key and is open to other users (mode {mode:04o}): chmod g-w,o-rwx {shown}"
        );
    }
}

/// Enough for about a thousand certificates.
const MAX_BYTES: usize = 4 << 20;
